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

/// The time-out of requests to the cluster, which is in this process.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause before a full queue of the producer is tried again.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

/// A Kafka cluster on 127.0.0.1: Produce, Fetch, and `ListOffsets` for the log
/// start and the end offset.
///
/// It keeps 5 MiB or 100,000 batches a partition, and supports no look-up by
/// timestamp, no ACLs and no TLS.
pub struct EmbeddedKafka {
    // A mock cluster belongs to a client. Created by a property of this
    // producer, it can be moved between threads with it.
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
            .set("message.timeout.ms", REQUEST_TIMEOUT.as_millis().to_string())
            .create_with_context(Acks)
            .map_err(|error| failed("the embedded Kafka cannot be started", &error))?;
        let bootstrap_servers = producer
            .client()
            .mock_cluster()
            .ok_or_else(|| failed("the embedded Kafka cannot be started", &"librdkafka created no cluster"))?
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
    /// return errors.
    #[must_use]
    pub fn cluster(&self) -> Option<MockCluster<'_, impl ClientContext>> {
        self.producer.client().mock_cluster()
    }

    /// Creates an empty topic. Other topics are created at their first use,
    /// with 4 partitions.
    ///
    /// # Errors
    /// When the topic exists, or its name is not valid.
    pub async fn create_topic(&self, topic: &str, partitions: u16) -> Result<(), Error> {
        let refused = |error: KafkaError| failed(&format!("the topic {topic} cannot be created"), &error);
        let cluster = self
            .cluster()
            .ok_or_else(|| failed("the embedded Kafka has stopped", &"no cluster"))?;
        cluster.create_topic(topic, i32::from(partitions), 1).map_err(refused)?;
        drop(cluster);
        // Without its metadata the first record to a topic would wait for a
        // timer of half a second.
        let (producer, name) = (self.producer.clone(), topic.to_owned());
        let metadata = tokio::task::spawn_blocking(move || {
            producer
                .client()
                .fetch_metadata(Some(&name), REQUEST_TIMEOUT)
                .map(|_| ())
        });
        metadata.await.unwrap_or(Err(KafkaError::Canceled)).map_err(refused)
    }

    /// Produces `values` to one partition, in this order, waits until all are
    /// acknowledged, and returns their offsets.
    ///
    /// # Errors
    /// When a record is refused, or not acknowledged within 10 seconds. Those
    /// before it may have been written.
    pub async fn produce<V: AsRef<[u8]>>(
        &self,
        topic: &str,
        partition: i32,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Vec<i64>, Error> {
        let refused = |error: KafkaError| failed(&format!("records cannot be produced to {topic}-{partition}"), &error);
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
            // Every record has a delivery report, at the latest when it times out.
            offsets.push(
                acks.recv()
                    .await
                    .unwrap_or(Err(KafkaError::Canceled))
                    .map_err(refused)?,
            );
        }
        Ok(offsets)
    }

    /// Queues one record; `false` if the producer's queue is full.
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

/// The receiver of a record's delivery report: its offset, or an error.
type AckTo = mpsc::UnboundedSender<KafkaResult<i64>>;

/// Passes the delivery reports on.
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
        let report = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.clone()),
        };
        // `produce` may have been cancelled.
        let _ = ack.send(report);
    }
}
