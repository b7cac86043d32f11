//! Records for the services' Kafka, with or without transactions.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kafka_consumer_lambda::kafka::headers;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::kafka::{LIMIT, client, config, unique};
use super::process::eventually;

/// What to produce. The default has neither key nor value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    /// Names are bytes, as on the wire.
    pub(crate) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Milliseconds since 1970.
    pub(crate) timestamp: Option<i64>,
}

impl Message {
    /// A value without a key.
    pub(crate) fn value(value: impl AsRef<[u8]>) -> Self {
        Self {
            value: Some(value.as_ref().to_vec()),
            ..Self::default()
        }
    }

    /// A key with no value.
    pub(crate) fn tombstone(key: impl AsRef<[u8]>) -> Self {
        Self::default().key(key)
    }

    pub(crate) fn key(self, key: impl AsRef<[u8]>) -> Self {
        Self {
            key: Some(key.as_ref().to_vec()),
            ..self
        }
    }

    pub(crate) fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        let name = name.as_ref().to_vec();
        self.headers.push((name, Some(value.as_ref().to_vec())));
        self
    }

    pub(crate) fn timestamp(self, milliseconds: i64) -> Self {
        Self {
            timestamp: Some(milliseconds),
            ..self
        }
    }
}

/// Messages of these values, without keys.
pub(crate) fn values<V: AsRef<[u8]>>(values: impl IntoIterator<Item = V>) -> Vec<Message> {
    values.into_iter().map(Message::value).collect()
}

/// Produces to one partition, in order, and waits until all are acknowledged.
///
/// `properties` are the producer's, such as `compression.type`. Returns the offsets.
pub(crate) fn produce(
    bootstrap: &str,
    topic: &str,
    partition: i32,
    messages: &[Message],
    properties: &[(&str, &str)],
) -> Vec<i64> {
    send_to_each(&producer(bootstrap, properties), topic, &[partition], messages)
}

/// As [`produce`], the same records to each of these partitions.
pub(crate) fn produce_to_each(bootstrap: &str, topic: &str, partitions: Range<i32>, messages: &[Message]) {
    let partitions: Vec<i32> = partitions.collect();
    send_to_each(&producer(bootstrap, &[]), topic, &partitions, messages);
}

/// Produces within a transaction and leaves it open.
///
/// The records are in the log, and hidden from `read_committed` consumers until
/// [`commit`](Transaction::commit).
pub(crate) fn begin_transaction(bootstrap: &str, topic: &str, partition: i32, messages: &[Message]) -> Transaction {
    begin_transaction_on(bootstrap, topic, partition..partition + 1, messages)
}

/// As [`begin_transaction`], the same records to each of these partitions.
pub(crate) fn begin_transaction_on(
    bootstrap: &str,
    topic: &str,
    partitions: Range<i32>,
    messages: &[Message],
) -> Transaction {
    let id = unique("transaction");
    let producer = producer(bootstrap, &[("transactional.id", &id)]);
    producer
        .init_transactions(LIMIT)
        .expect("the broker has room for a transaction");
    producer.begin_transaction().expect("no transaction is open");
    let partitions: Vec<i32> = partitions.collect();
    let offsets = send_to_each(&producer, topic, &partitions, messages);
    Transaction {
        offsets,
        producer,
        bootstrap: bootstrap.to_owned(),
        topic: topic.to_owned(),
        partitions,
    }
}

/// An open transaction. Dropping it leaves it open until the broker's time-out, a minute.
pub(crate) struct Transaction {
    /// Where the records are.
    pub(crate) offsets: Vec<i64>,
    producer: BaseProducer<Acks>,
    bootstrap: String,
    topic: String,
    partitions: Vec<i32>,
}

impl Transaction {
    /// Makes the records visible. The partition may have no other open transaction.
    pub(crate) fn commit(self) {
        self.producer
            .commit_transaction(LIMIT)
            .expect("the transaction can be committed");
        self.wait_for_the_stable_end();
    }

    /// Hides the records for good; they keep their offsets. The partition may have no other
    /// open transaction.
    pub(crate) fn abort(self) {
        self.producer
            .abort_transaction(LIMIT)
            .expect("the transaction can be aborted");
        self.wait_for_the_stable_end();
    }

    /// The last stable offset is updated some milliseconds after the response.
    fn wait_for_the_stable_end(&self) {
        let end = |isolation, partition| {
            let (_, high) = client(&self.bootstrap, isolation)
                .inner()
                .fetch_watermarks(&self.topic, partition, LIMIT)
                .expect("a partition that took records has an end");
            high
        };
        for &partition in &self.partitions {
            let settled = eventually(LIMIT, || {
                end("read_committed", partition) == end("read_uncommitted", partition)
            });
            assert!(settled, "{}-{partition} has another open transaction", self.topic);
        }
    }
}

/// Collects the acknowledgements.
#[derive(Default)]
struct Acks(Mutex<Vec<KafkaResult<i64>>>);

impl Acks {
    fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let result = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.clone()),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(result);
    }
}

fn producer(bootstrap: &str, properties: &[(&str, &str)]) -> BaseProducer<Acks> {
    let mut config = config(bootstrap, properties);
    // One partition in order, also where the broker is slow.
    config.set("max.in.flight", "1");
    config
        .create_with_context(Acks::default())
        .expect("producer properties that exist")
}

fn send_to_each(producer: &BaseProducer<Acks>, topic: &str, partitions: &[i32], messages: &[Message]) -> Vec<i64> {
    // Without it the first record waits half a second for a timer inside librdkafka.
    let metadata = producer.client().fetch_metadata(Some(topic), LIMIT);
    metadata.unwrap_or_else(|error| panic!("{topic} is unknown: {error}"));
    for &partition in partitions {
        for message in messages {
            send(producer, topic, partition, message);
        }
    }
    // Not `flush`, which checks ten times a second.
    let done = eventually(LIMIT, || {
        // A poll serves the acknowledgement of one batch.
        let acknowledged = || producer.context().count();
        let mut before = None;
        while before.replace(acknowledged()) != Some(acknowledged()) {
            producer.poll(Duration::ZERO);
        }
        producer.in_flight_count() == 0
    });
    assert!(done, "{topic} does not acknowledge");
    let acks = std::mem::take(&mut *producer.context().0.lock().unwrap_or_else(PoisonError::into_inner));
    assert_eq!(
        acks.len(),
        messages.len() * partitions.len(),
        "one acknowledgement per message"
    );
    acks.into_iter()
        .map(|ack| ack.unwrap_or_else(|error| panic!("{topic}: {error}")))
        .collect()
}

/// Hands a message to the client, which may have to make room first.
fn send(producer: &BaseProducer<Acks>, topic: &str, partition: i32, message: &Message) {
    let mut record = record(topic, partition, message);
    while let Err((error, back)) = producer.send(record) {
        let full = RDKafkaErrorCode::QueueFull;
        assert_eq!(error, KafkaError::MessageProduction(full), "{topic}-{partition}");
        producer.poll(Duration::from_millis(100));
        record = back;
    }
}

fn record<'a>(topic: &'a str, partition: i32, message: &'a Message) -> BaseRecord<'a, [u8], [u8]> {
    let mut record = BaseRecord::to(topic).partition(partition);
    if let Some(key) = &message.key {
        record = record.key(key.as_slice());
    }
    if let Some(value) = &message.value {
        record = record.payload(value.as_slice());
    }
    if let Some(timestamp) = message.timestamp {
        record = record.timestamp(timestamp);
    }
    if message.headers.is_empty() {
        return record;
    }
    let add = |all, (name, value): &(Vec<u8>, Option<Vec<u8>>)| headers::add(all, name, value.as_deref());
    record.headers(message.headers.iter().fold(OwnedHeaders::new(), add))
}
