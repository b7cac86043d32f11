//! librdkafka's callbacks: the errors and log lines that hold the cause of a
//! failure, the statistics that distinguish a silent connection from a slow
//! one, and its requests for tokens.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use tokio::runtime::Handle;

use super::errors::Explanation;
use super::errors::cause::{Cause, ClientAuth, ConnectionError, Evidence, printable};
use super::now;
#[cfg(feature = "broker-certificates")]
use super::tls::CertificateError;
use crate::config::Properties;
use crate::error::ErrorType;
use crate::record::TopicPartition;
use crate::security::Security;

/// The facility of librdkafka's log lines about connections that ended.
const FAIL: &str = "FAIL";

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

/// Statistics are read only during waits that take this long. They name every
/// partition in the client's metadata, 0.75 KB each, and come every second:
/// always reading them would cost a run more than its records.
pub(crate) const STATISTICS_AFTER: Duration = Duration::from_millis(100);

/// Two statistics come in this time at least.
const STATISTICS_FOR: Duration = Duration::from_secs(2);

/// How often librdkafka emits statistics: several times within `POLL_TIMEOUT`.
#[must_use]
pub fn statistics_interval_ms(poll_timeout: Duration) -> u128 {
    (poll_timeout.as_millis() / 5).clamp(20, 1000)
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

    /// Reads statistics for the next `STATISTICS_FOR`; called again and again
    /// during a wait.
    pub(super) fn read_statistics(&self) {
        let now = now();
        let mut observed = self.observed();
        if observed.statistics_until.is_none_or(|until| now > until) {
            // Positions of an earlier wait are no evidence of progress in this one.
            observed.fetched.clear();
        }
        observed.statistics_until = Some(now + STATISTICS_FOR);
    }

    /// How long the brokers have sent nothing new of `partition`; never longer
    /// than since `since`.
    ///
    /// By the position of the fetcher: it moves over records that a consumer
    /// never gets (aborted transactions), and it does not move for responses
    /// without records, such as those of a broker that is not the leader.
    #[must_use]
    pub fn silence(&self, partition: &TopicPartition, since: Instant) -> Duration {
        if now().saturating_duration_since(since) >= STATISTICS_AFTER {
            self.read_statistics();
        }
        let moved = self.observed().fetched.get(partition).and_then(|(_, at)| *at);
        now().saturating_duration_since(moved.map_or(since, |at| at.max(since)))
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

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    /// librdkafka requests a token while it is polled, and does not wait: the
    /// token was signed before. It requests the next after 80 % of the rest of the
    /// token's lifetime. A second request for the same token signs another one in
    /// the background.
    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.count_served();
        let token = self.security.token().ok_or("there is no token")?;
        if self.token_expires_ms.swap(token.expires_ms, Ordering::Relaxed) == token.expires_ms {
            self.sign();
        }
        Ok(OAuthToken {
            token: token.text.expose_secret().to_owned(),
            principal_name: String::new(),
            lifetime_ms: token.expires_ms,
        })
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let message = printable(message);
        self.count_served();
        if facility == FAIL
            && let Some(error) = ConnectionError::parse(message)
        {
            self.record_error(error);
        }
        if message.contains("not sending any client certificates") {
            self.observed().certificate_withheld = true;
        }
        match level {
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice if facility != FAIL => {
                tracing::info!(target: "librdkafka", facility, "{message}");
            }
            // The run reports what it means for the run.
            _ => tracing::debug!(target: "librdkafka", facility, severe = true, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let reason = printable(reason);
        self.count_served();
        let Some(code) = error.rdkafka_error_code() else { return };
        if code == RDKafkaErrorCode::GroupAuthorizationFailed {
            self.group_refused.store(true, Ordering::Relaxed);
        }
        // No group is joined, so no permission on it is needed. The end of a
        // partition is no error. AllBrokersDown follows the errors of each broker.
        if matches!(
            code,
            RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::PartitionEOF
                | RDKafkaErrorCode::AllBrokersDown
        ) {
            return;
        }
        tracing::debug!(target: "librdkafka", %code, reason, "client error");
        let sasl_refused = || (code == RDKafkaErrorCode::Authentication).then(|| ConnectionError::sasl_refused(reason));
        if let Some(error) = ConnectionError::parse(reason).or_else(sasl_refused) {
            self.record_error(error);
        }
    }

    fn stats_raw(&self, json: &[u8]) {
        self.count_served();
        let now = now();
        if self.observed().statistics_until.is_none_or(|until| now > until) {
            return;
        }
        let Ok(statistics) = serde_json::from_slice::<Statistics>(json) else {
            tracing::warn!(target: "librdkafka", "statistics could not be read");
            return;
        };
        let silent = statistics
            .brokers
            .iter()
            .filter_map(|(name, broker)| broker.silent(name));
        let mut observed = self.observed();
        observed.silent = silent.collect();
        observed.was_connected |= statistics.brokers.values().any(|broker| broker.state == "UP");
        for (topic, statistics) in statistics.topics {
            let topic: Arc<str> = topic.into();
            for partition in statistics
                .partitions
                .into_values()
                .filter(PartitionStatistics::is_fetched)
            {
                let key = TopicPartition::new(Arc::clone(&topic), partition.partition);
                // The first statistics show no progress yet.
                let entry = observed.fetched.entry(key).or_insert((partition.next_offset, None));
                if partition.next_offset != entry.0 {
                    *entry = (partition.next_offset, Some(now));
                }
            }
        }
    }
}

impl ConsumerContext for Context {
    fn main_queue_min_poll_interval(&self) -> rdkafka::util::Timeout {
        self.poll_timeout.into()
    }
}

/// The part of librdkafka's statistics (STATISTICS.md) that is used here.
#[derive(Deserialize)]
struct Statistics {
    topics: BTreeMap<String, TopicStatistics>,
    brokers: BTreeMap<String, BrokerStatistics>,
}

#[derive(Deserialize)]
struct BrokerStatistics {
    state: String,
    /// Microseconds in this state.
    stateage: i64,
    /// Requests in flight.
    waitresp_cnt: i64,
    /// Microseconds since something was received, or negative.
    rxidle: i64,
}

impl BrokerStatistics {
    /// The connection, if nothing arrives on it, and for how long.
    fn silent(&self, name: &str) -> Option<(ConnectionError, Duration)> {
        let is_up = self.state == "UP";
        if is_up && self.waitresp_cnt == 0 {
            return None;
        }
        let micros = if is_up { self.rxidle } else { self.stateage };
        let since = Duration::from_micros(u64::try_from(micros).ok()?);
        Some((ConnectionError::timed_out(name, &self.state)?, since))
    }
}

#[derive(Deserialize)]
struct TopicStatistics {
    partitions: BTreeMap<String, PartitionStatistics>,
}

#[derive(Deserialize)]
struct PartitionStatistics {
    partition: i32,
    next_offset: i64,
    fetch_state: String,
}

impl PartitionStatistics {
    /// Most partitions are in the metadata only.
    fn is_fetched(&self) -> bool {
        self.fetch_state != "none"
    }
}
