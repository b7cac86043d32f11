//! The state of one librdkafka client, as its events show it: the cause of a
//! failure, refused credentials, silent connections, tokens.
//!
//! | file | |
//! |---|---|
//! | `callbacks.rs` | librdkafka's callbacks: errors, log lines, statistics, requests for tokens |
//! | `statistics.rs` | its statistics: which connections are silent, and which partitions are fetched |

mod callbacks;
mod statistics;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use tokio::runtime::Handle;

use super::errors::Explanation;
use super::errors::cause::{Cause, ClientAuth, ConnectionError, Evidence};
use super::now;
#[cfg(feature = "broker-certificates")]
use super::tls::CertificateError;
use crate::config::Properties;
use crate::error::ErrorType;
use crate::record::TopicPartition;
use crate::security::Security;
pub(crate) use statistics::STATISTICS_AFTER;
pub use statistics::statistics_interval_ms;

/// How often a wait for the client serves its events.
pub(crate) const EVENT_INTERVAL: Duration = Duration::from_millis(10);

/// How long after the first refusal of the credentials another broker may still
/// accept them: in a cluster a new user reaches the brokers one after another.
pub(crate) const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);

/// How long it may take to sign a token that is requested during a run.
const SIGNING_TIMEOUT: Duration = Duration::from_secs(30);

/// The context of one librdkafka client.
pub struct Context {
    poll_timeout: Duration,
    served: AtomicU64,
    group_refused: AtomicBool,
    observed: Mutex<Observed>,
    security: Arc<Security>,
    auth: ClientAuth,
    /// When the client's token expires, in milliseconds since the epoch.
    token_expires_ms: AtomicI64,
    /// Where tokens are signed in the background.
    runtime: Option<Handle>,
}

/// What the client's events have shown.
#[derive(Default)]
struct Observed {
    /// The connections that failed since a broker last responded, each cause
    /// once for each broker: librdkafka reports them again and again.
    errors: BTreeMap<(Cause, String), ConnectionError>,
    /// Connections on which nothing arrives, as of the last statistics, and for
    /// how long.
    silent: Vec<(ConnectionError, Duration)>,
    /// Why the certificate of the broker at this address cannot be verified.
    #[cfg(feature = "broker-certificates")]
    certificate_error: Option<(String, CertificateError)>,
    /// Our certificate was not sent, because it is of none of the CAs that the
    /// broker named.
    certificate_withheld: bool,
    /// Whether a connection was ever ready for requests: then the settings of
    /// connections are right.
    was_connected: bool,
    /// Whether a broker ever responded to a request of this client.
    responded: bool,
    /// When a broker first refused the credentials, since one last responded.
    refused_since: Option<Instant>,
    /// When other credentials might first have helped, since one last responded.
    suspect_since: Option<Instant>,
    /// How far each partition is fetched, and when that last changed while statistics were read.
    fetched: BTreeMap<TopicPartition, (i64, Option<Instant>)>,
    /// Until when statistics are read.
    statistics_until: Option<Instant>,
}

/// Makes a client log why its connections end, whatever of it is printed.
pub(crate) fn log_connections(client: &mut ClientConfig) {
    if (client.log_level as i32) < RDKafkaLogLevel::Info as i32 {
        client.set_log_level(RDKafkaLogLevel::Info);
    }
}

impl Context {
    /// The context of a client with these properties, whose brokers may be
    /// silent for `poll_timeout`. Its tokens come from `security`.
    #[must_use]
    pub fn new(poll_timeout: Duration, security: Arc<Security>, properties: &Properties) -> Self {
        Self {
            poll_timeout,
            served: AtomicU64::new(0),
            group_refused: AtomicBool::new(false),
            observed: Mutex::default(),
            security,
            auth: ClientAuth::of(properties),
            token_expires_ms: AtomicI64::new(0),
            runtime: Handle::try_current().ok(),
        }
    }

    pub(super) fn poll_timeout(&self) -> Duration {
        self.poll_timeout
    }

    /// Signs another token in the background, for the client's next request.
    fn sign(&self) {
        if let Some(runtime) = &self.runtime {
            let security = Arc::clone(&self.security);
            runtime.spawn(async move {
                if let Err(error) = security.sign(SIGNING_TIMEOUT).await {
                    tracing::warn!(%error, "the next token could not be signed");
                }
            });
        }
    }

    fn observed(&self) -> MutexGuard<'_, Observed> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many events were served. A poll that serves one event returns
    /// nothing, and more may be queued behind it.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Whether the user has no permission on the group. Runs need none.
    #[must_use]
    pub fn group_refused(&self) -> bool {
        self.group_refused.load(Ordering::Relaxed)
    }

    fn count_served(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    /// A broker responded: earlier errors are outdated.
    pub fn response_received(&self) {
        let mut observed = self.observed();
        observed.was_connected = true;
        observed.responded = true;
        observed.errors.clear();
        observed.silent.clear();
        observed.refused_since = None;
        observed.suspect_since = None;
    }

    /// Whether a connection was ever ready for requests.
    pub(super) fn was_connected(&self) -> bool {
        self.observed().was_connected
    }

    /// Since when brokers refuse the credentials and none responds.
    #[must_use]
    pub fn refused_since(&self) -> Option<Instant> {
        self.observed().refused_since
    }

    /// Whether other credentials might help: these were refused, or may be the
    /// cause of what happened, and no broker has responded since.
    #[must_use]
    pub fn credentials_suspect(&self) -> bool {
        self.observed().suspect_since.is_some()
    }

    /// Whether to try other credentials now for a request that was sent at `sent`.
    ///
    /// | the credentials are suspect | |
    /// |---|---|
    /// | since it was sent | at once |
    /// | since before | after `REFUSAL_PATIENCE`: that was one broker, and another may respond. librdkafka does not report it again |
    /// | not | no |
    #[must_use]
    pub fn needs_other_credentials(&self, sent: Instant, now: Instant) -> bool {
        let since = self.observed().suspect_since;
        since.is_some_and(|since| since >= sent || now.saturating_duration_since(sent) >= REFUSAL_PATIENCE)
    }

    /// Why connections failed since the last response, and what to do next;
    /// `None` if none did.
    pub(crate) fn cause(&self) -> Option<(ErrorType, Explanation)> {
        let observed = self.observed();
        let error = self.connection_error(&observed)?;
        #[cfg(feature = "broker-certificates")]
        let certificate_error = observed
            .certificate_error
            .as_ref()
            .filter(|(address, _)| *address == error.endpoint.address)
            .map(|(_, certificate_error)| certificate_error);
        #[cfg(not(feature = "broker-certificates"))]
        let certificate_error = None;
        let evidence = Evidence {
            certificate_error,
            certificate_withheld: observed.certificate_withheld,
        };
        Some((error.cause.error_type(), error.explain(&self.auth, evidence)))
    }

    /// The address of the broker whose certificate cannot be verified, if that
    /// is the cause, and whether its host name is verified.
    #[cfg(feature = "broker-certificates")]
    pub(super) fn unverified_broker(&self) -> Option<(String, bool)> {
        let observed = self.observed();
        let error = self
            .connection_error(&observed)
            .filter(|it| it.cause == Cause::Certificate)?;
        Some((error.endpoint.address.clone(), self.auth.verifies_host))
    }

    /// Why the certificate of the broker at `address` cannot be verified.
    #[cfg(feature = "broker-certificates")]
    pub(super) fn set_certificate_error(&self, address: String, error: CertificateError) {
        self.observed().certificate_error = Some((address, error));
    }

    /// The error with the highest precedence. A connection counts as silent
    /// after half of `POLL_TIMEOUT`: others are still connecting.
    fn connection_error<'a>(&self, observed: &'a Observed) -> Option<&'a ConnectionError> {
        let patience = self.poll_timeout / 2;
        let silent = observed.silent.iter().filter(|(_, since)| *since >= patience);
        let all = observed.errors.values().chain(silent.map(|(error, _)| error));
        all.max_by_key(|error| error.cause)
    }

    fn record_error(&self, mut error: ConnectionError) {
        let mut observed = self.observed();
        if observed.responded {
            error.cause = error.cause.after_a_response();
        }
        if error.cause.error_type() == ErrorType::AuthenticationFailed {
            observed.refused_since.get_or_insert_with(now);
        }
        if error.cause.makes_credentials_suspect() {
            observed.suspect_since.get_or_insert_with(now);
        }
        observed
            .errors
            .insert((error.cause, error.endpoint.address.clone()), error);
    }
}
