//! A connection to the brokers, with the metadata that they returned last and
//! the requests in flight.
//!
//! | file | |
//! |---|---|
//! | `connection` | the librdkafka client: created, kept, replaced; its blocking calls |
//! | `recovery` | what to try after which failure; pure |
//! | `settings` | its properties |

pub(super) mod connection;
pub(super) mod recovery;
mod settings;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;

use super::context::Context;
use super::metadata::{TopicMetadata, Topics};
use super::{now, time_left};
use crate::config::Config;
use crate::error::{Error, ErrorType};
use crate::record::TopicPartition;
use crate::security::Security;
use crate::source::EndOffsets;
use connection::{Connection, KafkaConsumer, PendingRequest};
use recovery::{Outcome, Recovery, RecoverySteps, request_until};

/// How long secrets may take to be read while a process starts: Lambda's
/// initialization takes 10 seconds at most.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Gets the partition of a record that arrived on the client's own queue instead
/// of its partition's.
type OnStrayRecord = Box<dyn Fn(&TopicPartition) + Send + Sync>;

/// A client of the brokers. Its requests run concurrently.
pub struct KafkaClient {
    pub(super) connection: Connection,
    pub(super) bootstrap_servers: String,
    pub(super) poll_timeout: Duration,
    topics: Arc<Mutex<Topics>>,
    /// Metadata requests that were sent before a run needs the response.
    prefetched: Mutex<BTreeMap<Arc<str>, PendingRequest<TopicMetadata>>>,
    /// Whether a broker sent no response while others did.
    missing_response: AtomicBool,
    on_stray_record: Option<OnStrayRecord>,
}

impl KafkaClient {
    /// A client for the brokers of `config`. It neither connects nor reads a
    /// secret before the first request.
    #[must_use]
    pub fn new(config: &Config, security: Arc<Security>) -> Self {
        Self::with_properties(config, security, vec![])
    }

    /// With properties that differ from those of runs.
    pub(super) fn with_properties(
        config: &Config,
        security: Arc<Security>,
        properties: Vec<(&'static str, String)>,
    ) -> Self {
        Self::on(
            Connection::new(config, security, properties),
            config.bootstrap_servers.clone(),
            config.poll_timeout,
            Arc::default(),
        )
    }

    /// The same brokers and metadata on another connection.
    pub(super) fn on_connection(&self, connection: Connection) -> Self {
        Self::on(
            connection,
            self.bootstrap_servers.clone(),
            self.poll_timeout,
            Arc::clone(&self.topics),
        )
    }

    fn on(
        connection: Connection,
        bootstrap_servers: String,
        poll_timeout: Duration,
        topics: Arc<Mutex<Topics>>,
    ) -> Self {
        Self {
            connection,
            bootstrap_servers,
            poll_timeout,
            topics,
            prefetched: Mutex::default(),
            missing_response: AtomicBool::new(false),
            on_stray_record: None,
        }
    }

    pub(crate) fn on_stray_record(self, handle: impl Fn(&TopicPartition) + Send + Sync + 'static) -> Self {
        Self {
            on_stray_record: Some(Box::new(handle)),
            ..self
        }
    }

    /// Starts to connect, in the background.
    ///
    /// # Errors
    /// `InvalidConfiguration` when a secret cannot be read, or librdkafka
    /// rejects a property. The first request tries again.
    pub async fn connect(&self) -> Result<(), Error> {
        self.connection.open(CONNECT_TIMEOUT).await.map(|_| ())
    }

    /// The librdkafka client, if it is created.
    pub(crate) fn consumer(&self) -> Option<Arc<KafkaConsumer>> {
        self.connection.consumer()
    }

    pub(super) fn topics(&self) -> MutexGuard<'_, Topics> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn shared_topics(&self) -> Arc<Mutex<Topics>> {
        Arc::clone(&self.topics)
    }

    pub(super) fn prefetched(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, PendingRequest<TopicMetadata>>> {
        self.prefetched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A broker sent no response, whatever the others did.
    pub(super) fn response_is_missing(&self) {
        self.missing_response.store(true, Ordering::Relaxed);
    }

    /// Runs a blocking call of librdkafka's.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&KafkaConsumer) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, KafkaError> {
        let request = self.connection.send(call).ok_or(KafkaError::Canceled)?;
        self.response(request).await
    }

    pub(super) async fn response<T>(&self, request: PendingRequest<T>) -> Result<T, KafkaError> {
        self.connection.response(request, || self.serve_events()).await
    }

    /// Serves the client's own queue. No record may arrive there, for each
    /// partition has a queue of its own.
    pub(crate) fn serve_events(&self) {
        if let Some(consumer) = self.connection.consumer() {
            connection::serve(&consumer, |record| {
                let partition = TopicPartition::new(record.topic(), record.partition());
                tracing::error!(%partition, offset = record.offset(), "a record arrived outside its partition's queue");
                if let Some(handle) = &self.on_stray_record {
                    handle(&partition);
                }
            });
        }
    }

    /// The context of the librdkafka client, if it is created.
    pub(crate) fn context(&self) -> Option<Arc<Context>> {
        self.connection
            .consumer()
            .map(|consumer| Arc::clone(consumer.context()))
    }

    /// Why a request that was sent at `sent` got no response.
    pub(super) async fn explain(&self, error: &KafkaError, sent: Instant) -> Error {
        let waited = now().saturating_duration_since(sent);
        self.serve_events();
        let Some(context) = self.context() else {
            return Error::new(
                ErrorType::BrokerUnreachable,
                format!("the Kafka client was closed: {error}"),
            )
            .next("Try again")
            .caused_by(error.clone());
        };
        #[cfg(feature = "broker-certificates")]
        if let Some((address, verifies_host)) = context.unverified_broker()
            && let Some(error) = Box::pin(super::tls::probe::certificate_error(&address, verifies_host)).await
        {
            context.set_certificate_error(address, error);
        }
        context.explain(&self.bootstrap_servers, waited, error)
    }

    /// The end offsets of all partitions of `topics`. It is the first request
    /// of a run: connections that died since the last run, and credentials that
    /// changed, are found and replaced here, each once.
    ///
    /// # Errors
    /// When no broker responds before `until`, or a secret cannot be read.
    pub async fn end_offsets(&self, topics: &[Arc<str>], until: Instant) -> Result<EndOffsets, Error> {
        let healthy = self.connection.open(time_left(until)).await?;
        let mut steps = RecoverySteps {
            reconnect: healthy,
            refresh_credentials: self.connection.may_change(),
        };
        let mut secret_error = None;
        loop {
            self.connection.set_refreshable(steps.refresh_credentials);
            self.missing_response.store(false, Ordering::Relaxed);
            let request_until = request_until(steps, self.poll_timeout, now(), until);
            let result = self.list_end_offsets(topics, request_until).await;
            match steps.next(self.outcome(&result)) {
                Recovery::GiveUp => {
                    self.connection.set_refreshable(false);
                    if result.is_ok() {
                        self.connection.mark_healthy();
                    }
                    return result.map_err(|error| with_secret_error(error, secret_error));
                }
                Recovery::Retry => {}
                Recovery::Reconnect => {
                    tracing::info!("no response on the connections of the last run: reconnecting");
                    self.connection.reconnect(time_left(until)).await?;
                }
                // Half of the time, so that the other half is for the brokers.
                Recovery::RefreshCredentials => {
                    secret_error = self.connection.refresh_credentials(time_left(until) / 2).await.err();
                }
            }
        }
    }

    fn outcome(&self, result: &Result<EndOffsets, Error>) -> Outcome {
        let suspect = || self.context().is_some_and(|context| context.credentials_suspect());
        match result {
            Err(error) => match error.kind {
                ErrorType::AuthenticationFailed => Outcome::Refused,
                ErrorType::BrokerUnreachable if suspect() => Outcome::Suspect,
                ErrorType::BrokerUnreachable => Outcome::NoResponse,
                _ => Outcome::Permanent,
            },
            Ok(ends) if is_complete(ends) => Outcome::Complete,
            Ok(_) if self.missing_response.load(Ordering::Relaxed) => Outcome::NoResponse,
            Ok(_) => Outcome::NoLeader,
        }
    }
}

/// Whether the brokers returned all end offsets that there are.
fn is_complete(ends: &EndOffsets) -> bool {
    let is_permanent = |error: &Error| error.kind != ErrorType::BrokerUnreachable;
    ends.partitions.iter().all(|(_, end)| end.is_ok()) && ends.refused.values().all(is_permanent)
}

/// The brokers refused the credentials, and the secret could not be read again:
/// both are reported.
fn with_secret_error(error: Error, secret_error: Option<Error>) -> Error {
    match secret_error {
        Some(secret_error) if error.kind == ErrorType::AuthenticationFailed => {
            let next = format!("{}. Besides, {}", error.next, secret_error.message());
            Error::new(error.kind, error.what).next(next).caused_by(secret_error)
        }
        _ => error,
    }
}
