//! Records to send as dead letters, and the dead letters in a topic.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_consumer_lambda::Record;
use kafka_consumer_lambda::config::Config;
use kafka_consumer_lambda::dead_letter::target::DeadLetters;
use kafka_consumer_lambda::dead_letter::{Reason, Stage, dead_letter, header};
use kafka_consumer_lambda::kafka::headers;
use kafka_consumer_lambda::processor::{Failure, Processor, Progress, RunContext};
use kafka_consumer_lambda::record::{Chunk, Header, Timestamp, TopicPartition};
use kafka_consumer_lambda::security::Security;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// 2001-09-09: older than any retention.
pub(crate) const LONG_AGO_MS: i64 = 1_000_000_000_000;

/// A name in Latin-1, as clients write that send bytes.
pub(crate) const NOT_TEXT: &[u8] = b"caf\xE9";

/// The dead letter of a record of `orders-3`.
pub(crate) fn letter(offset: i64, key: Option<&str>, value: Option<&[u8]>) -> Record {
    let record = Record {
        timestamp: Some(Timestamp::create_time(LONG_AGO_MS)),
        key: key.map(|key| Bytes::copy_from_slice(key.as_bytes())),
        value: value.map(Bytes::copy_from_slice),
        headers: vec![
            Header::new("trace", Some(Bytes::from_static(b"2"))),
            Header::new("trace", Some(Bytes::from_static(b"1"))),
            Header::new("null", None),
        ],
        ..Record::new(TopicPartition::new("orders", 3), offset)
    };
    let reason = Reason {
        stage: Stage::Handle,
        error: "no room",
        attempts: 3,
        group_id: "billing",
    };
    dead_letter(&record, &reason)
}

/// The target of dead letters for these settings.
pub(crate) fn target(settings: &[(&str, &str)]) -> DeadLetters {
    let pairs = settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let config = Config::from_lookup(pairs).expect("these are settings");
    DeadLetters::new(&config, &Arc::new(Security::new(&config)))
}

/// Sends `letters` to `target` as one chunk in a run with `left` before its deadline.
pub(crate) async fn give(target: &impl Processor, letters: &[Record], left: Duration) -> Progress {
    let chunk = Chunk::new(letters.to_vec()).expect("not empty");
    let run = RunContext {
        stop_at: Instant::now() + left,
        attempt: 1,
        run_id: "run".into(),
        group_id: "group".into(),
        lag: None,
    };
    target.process(&chunk, &run).await
}

/// The text of a retryable failure.
#[track_caller]
pub(crate) fn retry(progress: Progress) -> String {
    match progress.stop {
        Some(Failure::Retry(text)) => text,
        other => panic!("{other:?} instead of a failure that may pass"),
    }
}

/// The last header of this name, as text.
pub(crate) fn last<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    let header = record.headers.iter().rfind(|header| header.is_named(name))?;
    std::str::from_utf8(header.value.as_ref()?).ok()
}

/// Whether it is a pointer to a record that was too large.
pub(crate) fn is_pointer(record: &Record) -> bool {
    last(record, header::OMITTED_BYTES).is_some()
}

/// The first `count` records of a partition. Blocks.
pub(crate) fn read(bootstrap: &str, topic: &str, partition: i32, count: usize) -> Vec<Record> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "reads dead letters")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Beginning)
        .expect("an offset");
    consumer.assign(&list).expect("an assignment");
    let mut records = vec![];
    let since = Instant::now();
    while records.len() < count {
        let seen = records.len();
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "{seen} of {count} records are there"
        );
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            records.push(owned(message.expect("the broker responds")));
        }
    }
    records
}

fn owned(mut message: BorrowedMessage<'_>) -> Record {
    let headers = headers::read(&mut message).expect("its headers can be read");
    Record {
        timestamp: message.timestamp().to_millis().map(Timestamp::create_time),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers,
        ..Record::new(
            TopicPartition::new(message.topic(), message.partition()),
            message.offset(),
        )
    }
}
