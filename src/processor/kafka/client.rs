//! The producer: its settings, and one record -> one answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use crate::config::{Config, Properties};
use crate::record::{Header, Record};
use crate::security::{Access, Security};
use crate::source::kafka::close;
use crate::source::kafka::context::{Context, hear_all};
use crate::source::kafka::headers;

/// What a request may be for a broker with default settings
/// (`socket.request.max.bytes`). Up to here the broker decides; beyond, it
/// would close the connection without a word.
const MOST_BYTES: &str = "104857600";

/// How the properties begin that are for consumers alone, or for producers
/// alone: people set the first for reading, and the second are decided here.
const NOT_SHARED: [&str; 31] = [
    "auto.",
    "batch.",
    "check.crcs",
    "consume.",
    "coordinator.query.",
    "delivery.",
    "enable.auto.",
    "enable.gapless.",
    "enable.idempotence",
    "enable.partition.eof",
    "fetch.",
    "group.",
    "heartbeat.",
    "isolation.",
    "max.in.flight",
    "max.partition.fetch.",
    "max.poll.",
    "message.",
    "offset.",
    "partition.",
    "partitioner",
    "produce.",
    "queue.",
    "queued.",
    "queuing.",
    "request.",
    "session.",
    "socket.timeout.",
    "statistics.",
    "sticky.",
    "transaction",
];

/// The settings of a producer for the brokers of `config`, which wants its
/// answers within `patience`. Holds secrets.
fn settings(config: &Config, properties: &Properties, patience: Duration) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("client.id", &*config.group_id)
        .set("ssl.ca.location", "probe");
    for (name, value) in properties.iter() {
        if is_shared(name) {
            client.set(name, value);
        }
    }
    client
        .set("bootstrap.servers", &config.bootstrap_servers)
        .set("request.required.acks", "all")
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .set("message.max.bytes", MOST_BYTES)
        .set("message.timeout.ms", patience.as_millis().to_string())
        // A connection that went stale while the process was frozen leaves
        // time for another one.
        .set("socket.timeout.ms", (patience / 2).as_millis().to_string())
        // Nobody sends more that would be worth waiting for.
        .set("queue.buffering.max.ms", "0")
        // A broker judges whole batches by their size: so it judges one record.
        .set("batch.num.messages", "1");
    hear_all(&mut client);
    client
}

fn is_shared(canonical_name: &str) -> bool {
    !NOT_SHARED.iter().any(|start| canonical_name.starts_with(start))
}

/// Where the answer to a record goes.
type Answer = oneshot::Sender<KafkaResult<()>>;

/// The answer to a record that was sent; see [`answer`].
pub(super) type Sent = oneshot::Receiver<KafkaResult<()>>;

/// Waits for a broker's answer.
pub(super) async fn answer(sent: Sent) -> KafkaResult<()> {
    sent.await.unwrap_or(Err(KafkaError::Canceled))
}

/// A producer with a thread of its own.
pub(super) struct Client {
    // `None` only while it is dropped.
    producer: Option<ThreadedProducer<Listener>>,
    knows_topic: AtomicBool,
    access: Arc<Access>,
}

impl Client {
    /// Makes the producer and its threads; it connects when it is asked something.
    pub(super) fn new(
        config: &Config,
        access: Arc<Access>,
        security: &Arc<Security>,
        patience: Duration,
    ) -> KafkaResult<Self> {
        let listener = Listener(Context::new(patience, Arc::clone(security), &access.properties));
        let settings = settings(config, &access.properties, patience);
        Ok(Self {
            producer: Some(settings.create_with_context(listener)?),
            knows_topic: AtomicBool::new(false),
            access,
        })
    }

    /// What it connects with.
    pub(super) fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// Whether other credentials might help what was begun at `since`.
    pub(super) fn is_curable(&self, since: Instant, now: Instant) -> bool {
        let context = self.producer.as_ref().map(|it| it.client().context());
        context.is_some_and(|it| it.0.is_curable(since, now))
    }

    /// Whether the brokers know the topic, as far as they were asked.
    pub(super) fn knows_topic(&self) -> bool {
        self.knows_topic.load(Ordering::Relaxed)
    }

    /// Asks for the topic and waits. Where brokers make topics by themselves,
    /// it is being made from now on.
    pub(super) fn ask(&self, topic: &str, limit: Duration) -> KafkaResult<()> {
        let producer = self.producer.as_ref().ok_or(KafkaError::Canceled)?;
        let metadata = producer.client().fetch_metadata(Some(topic), limit)?;
        producer.client().context().0.answered();
        let found = metadata.topics().iter().find(|it| it.name() == topic);
        let error = found.map_or(Some(RDKafkaErrorCode::UnknownTopicOrPartition), |it| {
            it.error().map(Into::into)
        });
        if let Some(code) = error {
            return Err(KafkaError::MetadataFetch(code));
        }
        self.knows_topic.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Hands a record to the producer. What is wrong with it at once is part of
    /// the answer as well.
    pub(super) fn send(&self, topic: &str, record: &Record) -> Sent {
        let (answer, sent) = oneshot::channel();
        let Some(producer) = &self.producer else {
            return sent;
        };
        // Without a time of its own: it is written now.
        let mut message: BaseRecord<'_, [u8], [u8], Box<Answer>> = BaseRecord::with_opaque_to(topic, Box::new(answer));
        message.key = record.key.as_deref();
        message.payload = record.value.as_deref();
        message.headers = headers(record);
        if let Err((error, message)) = producer.send(message) {
            // Whoever asked is still here to take it.
            let _ = message.delivery_opaque.send(Err(error));
        }
        sent
    }

    /// What went wrong, and what to do next.
    pub(super) fn explain(&self, error: &KafkaError, bootstrap_servers: &str, waited: Duration) -> String {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition) => {
                "the topic does not exist. Create it, or correct ON_FAILURE".to_owned()
            }
            Some(Code::TopicAuthorizationFailed) => {
                "not authorised. Allow Write on the topic to the user of this function".to_owned()
            }
            Some(Code::InvalidRecord) => {
                "the topic refuses the record. One that is compacted takes no record without a \
                                          key: set its cleanup.policy to delete"
                    .to_owned()
            }
            Some(Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend) => {
                "fewer replicas are in sync than the topic's min.insync.replicas. Look after the brokers".to_owned()
            }
            Some(Code::Fatal | Code::ClusterAuthorizationFailed) => format!(
                "{}. On brokers before 2.8 the user needs IdempotentWrite on the cluster",
                self.fatal().unwrap_or_else(|| error.to_string())
            ),
            Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge) => {
                "not even a pointer to the record fits. Raise the topic's max.message.bytes".to_owned()
            }
            Some(Code::MessageTimedOut) if self.knows_topic() => self.unanswered(waited),
            Some(
                Code::MessageTimedOut
                | Code::OperationTimedOut
                | Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::Resolve
                | Code::SSL
                | Code::Authentication,
            ) => self.unreachable(bootstrap_servers, waited, error),
            _ => format!("{error}. Look at the brokers' logs"),
        }
    }

    fn unreachable(&self, bootstrap_servers: &str, waited: Duration, error: &KafkaError) -> String {
        match &self.producer {
            Some(it) => {
                it.client()
                    .context()
                    .0
                    .explain(bootstrap_servers, waited, error)
                    .message
            }
            None => error.to_string(),
        }
    }

    fn unanswered(&self, waited: Duration) -> String {
        let heard = self.producer.as_ref().and_then(|it| it.client().context().0.cause());
        let cause = heard.map_or_else(
            || "Look after the brokers and the topic's replicas".to_owned(),
            |(_, cause)| cause,
        );
        format!("no acknowledgement within {:.1} s. {cause}", waited.as_secs_f64())
    }

    fn fatal(&self) -> Option<String> {
        let (_, reason) = self.producer.as_ref()?.client().fatal_error()?;
        Some(reason)
    }
}

impl Drop for Client {
    /// Ending a producer takes up to a second, which no task may wait for.
    fn drop(&mut self) {
        if let Some(producer) = self.producer.take() {
            close(producer);
        }
    }
}

fn headers(record: &Record) -> Option<OwnedHeaders> {
    if record.headers.is_empty() {
        return None;
    }
    let all = OwnedHeaders::new_with_capacity(record.headers.len());
    let add = |all, header: &Header| headers::add(all, header.name_bytes(), header.value.as_deref());
    Some(record.headers.iter().fold(all, add))
}

/// Hears what the client says, and hands the brokers' answers on.
struct Listener(Context);

impl ClientContext for Listener {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, settings: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.0.generate_oauth_token(settings)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for Listener {
    type DeliveryOpaque = Box<Answer>;

    fn delivery(&self, result: &DeliveryResult<'_>, answer: Box<Answer>) {
        let result = match result {
            Ok(_) => {
                self.0.answered();
                Ok(())
            }
            Err((error, _)) => Err(error.clone()),
        };
        // Whoever asked may have stopped waiting.
        let _ = answer.send(result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings_of(more: &[(&str, &str)]) -> ClientConfig {
        let pairs = more
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::from_lookup(pairs).expect("these are settings");
        settings(&config, &config.kafka_properties, Duration::from_secs(4))
    }

    #[test]
    fn the_producer_connects_as_the_consumer_does() {
        let settings = settings_of(&[
            ("KAFKA_BOOTSTRAP_SERVERS", "b:1"),
            ("KAFKA_GROUP_ID", "g"),
            ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
            ("KAFKA_SASL_MECHANISM", "PLAIN"),
            ("KAFKA_SASL_USERNAME", "u"),
            ("KAFKA_SASL_PASSWORD", "p"),
            ("KAFKA_SSL_CA_LOCATION", "/ca"),
            ("KAFKA_SOCKET_KEEPALIVE_ENABLE", "true"),
            ("KAFKA_COMPRESSION_TYPE", "zstd"),
        ]);
        let expected = [
            ("bootstrap.servers", "b:1"),
            ("client.id", "g"),
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanisms", "PLAIN"),
            ("sasl.username", "u"),
            ("sasl.password", "p"),
            ("ssl.ca.location", "/ca"),
            ("socket.keepalive.enable", "true"),
            ("compression.codec", "zstd"),
        ];
        for (name, value) in expected {
            assert_eq!(settings.get(name), Some(value), "{name}");
        }
        assert!(settings.create_native_config().is_ok());
    }

    #[test]
    fn what_is_set_for_reading_or_would_lose_dead_letters_is_left_out() {
        let settings = settings_of(&[
            ("KAFKA_ACKS", "0"),
            ("KAFKA_MESSAGE_MAX_BYTES", "2000"),
            ("KAFKA_MAX_IN_FLIGHT", "100"),
            ("KAFKA_RETRIES", "0"),
            ("KAFKA_LINGER_MS", "60000"),
            ("KAFKA_DELIVERY_TIMEOUT_MS", "1"),
            ("KAFKA_DELIVERY_REPORT_ONLY_ERROR", "true"),
            ("KAFKA_TRANSACTIONAL_ID", "t"),
            ("KAFKA_FETCH_WAIT_MAX_MS", "7"),
            ("KAFKA_ISOLATION_LEVEL", "read_uncommitted"),
            ("KAFKA_SESSION_TIMEOUT_MS", "6000"),
            ("KAFKA_STATISTICS_INTERVAL_MS", "10"),
        ]);
        let owned = [
            ("request.required.acks", Some("all")),
            ("enable.idempotence", Some("true")),
            ("message.max.bytes", Some(MOST_BYTES)),
            ("message.timeout.ms", Some("4000")),
            ("queue.buffering.max.ms", Some("0")),
        ];
        let left_out = [
            "max.in.flight.requests.per.connection",
            "message.send.max.retries",
            "delivery.report.only.error",
            "transactional.id",
            "fetch.wait.max.ms",
            "isolation.level",
            "session.timeout.ms",
            "statistics.interval.ms",
        ];
        for (name, value) in owned.into_iter().chain(left_out.map(|name| (name, None))) {
            assert_eq!(settings.get(name), value, "{name}");
        }
    }

    #[tokio::test]
    async fn the_settings_make_a_producer() {
        let pairs = [("KAFKA_BOOTSTRAP_SERVERS".to_owned(), "127.0.0.1:1".to_owned())];
        let config = Config::from_lookup(pairs).expect("these are settings");
        let security = Arc::new(Security::new(&config));
        let access = security
            .access(Duration::from_secs(1))
            .await
            .expect("there is no secret");
        assert!(Client::new(&config, access, &security, Duration::from_secs(1)).is_ok());
    }
}
