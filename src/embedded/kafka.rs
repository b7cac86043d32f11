//! librdkafka's mock cluster, and a producer for it.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::mpsc;

use crate::error::{Error, ErrorType};

/// How long the cluster may take to answer: it is in this process.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pause before a full queue of the producer is tried again.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

/// A Kafka cluster on 127.0.0.1: produce, fetch, the start and end offsets.
///
/// It keeps 5 MiB or 100,000 batches a partition, and knows no look-up by
/// time, no rights and no TLS.
pub struct EmbeddedKafka {
    // A mock cluster is part of a client and ends with it. Made by a property
    // of this producer, it has an owner that can be moved between threads.
    producer: ThreadedProducer<Acks>,
    bootstrap_servers: String,
}

impl EmbeddedKafka {
    /// Starts `brokers` brokers, 1 to 3, on free ports.
    ///
    /// # Errors
    /// When librdkafka cannot start them.
    pub fn start(brokers: u8) -> Result<Self, Error> {
        let producer: ThreadedProducer<Acks> = ClientConfig::new()
            .set("test.mock.num.brokers", brokers.clamp(1, 3).to_string())
            .set("client.id", "embedded")
            // Records are sent in the order they are given, and without delay.
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("message.timeout.ms", PATIENCE.as_millis().to_string())
            .create_with_context(Acks)
            .map_err(|error| failed("the embedded Kafka cannot be started", &error))?;
        let bootstrap_servers = producer
            .client()
            .mock_cluster()
            .ok_or_else(|| failed("the embedded Kafka cannot be started", &"librdkafka made no cluster"))?
            .bootstrap_servers();
        Ok(Self {
            producer,
            bootstrap_servers,
        })
    }

    /// `host:port` of the brokers, comma-separated.
    #[must_use]
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// The cluster itself: to stop and start brokers, to move leaders, to
    /// answer with errors.
    #[must_use]
    pub fn cluster(&self) -> Option<MockCluster<'_, impl ClientContext>> {
        self.producer.client().mock_cluster()
    }

    /// Makes an empty topic. One that nobody made would come to be at its
    /// first use, with 4 partitions.
    ///
    /// # Errors
    /// When there is a topic of that name, or the name is none.
    pub async fn create_topic(&self, topic: &str, partitions: u16) -> Result<(), Error> {
        let refused = |error: KafkaError| failed(&format!("the topic {topic} cannot be made"), &error);
        let cluster = self
            .cluster()
            .ok_or_else(|| failed("the embedded Kafka is gone", &"no cluster"))?;
        cluster.create_topic(topic, i32::from(partitions), 1).map_err(refused)?;
        drop(cluster);
        // The first record to a topic that the producer has not asked for
        // waits for a timer of half a second.
        let (producer, name) = (self.producer.clone(), topic.to_owned());
        let asked =
            tokio::task::spawn_blocking(move || producer.client().fetch_metadata(Some(&name), PATIENCE).map(|_| ()));
        asked.await.unwrap_or(Err(KafkaError::Canceled)).map_err(refused)
    }

    /// Writes `values` to one partition, in this order, and waits until all
    /// are acknowledged. The answer is their offsets.
    ///
    /// # Errors
    /// When a record is refused, or not acknowledged within 10 seconds. Those
    /// before it may be written.
    pub async fn produce<V: AsRef<[u8]>>(
        &self,
        topic: &str,
        partition: i32,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Vec<i64>, Error> {
        let refused = |error: KafkaError| failed(&format!("{topic}-{partition} took not all records"), &error);
        let (ack, mut acks) = mpsc::unbounded_channel();
        let mut sent = 0;
        for value in values {
            while !self.send(topic, partition, value.as_ref(), &ack).map_err(refused)? {
                tokio::time::sleep(QUEUE_PAUSE).await;
            }
            sent += 1;
        }
        let mut offsets = Vec::with_capacity(sent);
        for _ in 0..sent {
            // Each record is answered, at the latest when its time is over.
            offsets.push(
                acks.recv()
                    .await
                    .unwrap_or(Err(KafkaError::Canceled))
                    .map_err(refused)?,
            );
        }
        Ok(offsets)
    }

    /// Queues one record; false if the queue is full.
    fn send(&self, topic: &str, partition: i32, value: &[u8], ack: &AckTo) -> KafkaResult<bool> {
        let record: BaseRecord<'_, [u8], [u8], Box<AckTo>> = BaseRecord::with_opaque_to(topic, Box::new(ack.clone()))
            .partition(partition)
            .payload(value);
        match self.producer.send(record) {
            Ok(()) => Ok(true),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(false),
            Err((error, _)) => Err(error),
        }
    }
}

fn failed(what: &str, why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorType::BrokerUnreachable, format!("{what}: {why}"))
}

/// Where the answer to a record goes: its offset, or why it was refused.
type AckTo = mpsc::UnboundedSender<KafkaResult<i64>>;

/// Hands the brokers' answers on.
struct Acks;

impl ClientContext for Acks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", ?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason, "client error");
    }
}

impl ProducerContext for Acks {
    type DeliveryOpaque = Box<AckTo>;

    fn delivery(&self, result: &DeliveryResult<'_>, ack: Box<AckTo>) {
        let answer = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.clone()),
        };
        // Whoever asked may have stopped waiting.
        let _ = ack.send(answer);
    }
}
