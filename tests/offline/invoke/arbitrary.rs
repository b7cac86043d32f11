//! Whole runs over records of arbitrary keys, values and headers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use kafka_consumer_lambda::kafka::headers;
use kafka_consumer_lambda::record::Header;
use kafka_consumer_lambda::{Record, each};
use proptest::prelude::*;
use rdkafka::ClientConfig;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};

use super::World;

type Field = Option<Vec<u8>>;

#[derive(Debug, Clone, PartialEq)]
struct Message {
    key: Field,
    value: Field,
    headers: Vec<(Vec<u8>, Field)>,
}

fn field() -> impl Strategy<Value = Field> {
    prop::option::of(prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        Just(b"{\"n\":1}".to_vec()),
        any::<String>().prop_map(String::into_bytes),
    ])
}

fn message() -> impl Strategy<Value = Message> {
    let name = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..10),
        any::<String>().prop_map(String::into_bytes),
        Just(b"__connect.errors.topic".to_vec()),
    ];
    let headers = prop::collection::vec((name, field()), 0..4);
    (field(), field(), headers).prop_map(|(key, value, headers)| Message { key, value, headers })
}

fn produce(bootstrap_servers: &str, partition: i32, messages: &[Message]) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap_servers);
    let producer: BaseProducer = config.create().expect("a producer");
    let metadata = producer.client().fetch_metadata(Some("t"), Duration::from_secs(10));
    metadata.expect("the topic is known");
    for message in messages {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to("t").partition(partition);
        record.key = message.key.as_deref();
        record.payload = message.value.as_deref();
        let add = |all, (name, value): &(Vec<u8>, Field)| headers::add(all, name, value.as_deref());
        record.headers = Some(message.headers.iter().fold(OwnedHeaders::new(), add));
        producer
            .send(record)
            .map_err(|(error, _)| error)
            .expect("there is room");
    }
    producer.flush(Duration::from_secs(10)).expect("they are acknowledged");
}

/// The record as a handler gets it. A header's name ends at a zero byte, as it does for librdkafka.
fn as_handled(message: &Message) -> Message {
    let name = |name: &[u8]| name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
    let headers = message.headers.iter();
    Message {
        headers: headers.map(|(it, value)| (name(it), value.clone())).collect(),
        ..message.clone()
    }
}

fn of(record: &Record) -> Message {
    let field = |bytes: &Option<Bytes>| bytes.as_ref().map(|it| it.to_vec());
    let header = |header: &Header| (header.name_bytes().to_vec(), field(&header.value));
    Message {
        key: field(&record.key),
        value: field(&record.value),
        headers: record.headers.iter().map(header).collect(),
    }
}

/// The offsets of a partition that the report names as skipped.
fn skipped(report: &Value, partition: i32) -> Vec<i64> {
    let ranges = report["skipped"].as_array().expect("a list").iter();
    let of_partition = ranges.filter(|range| range["partition"] == partition);
    let number = |range: &Value, name: &str| range[name].as_i64().expect("an offset");
    of_partition
        .flat_map(|range| number(range, "first_offset")..=number(range, "last_offset"))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// P1, P5: every record is handled as it was written, or named.
    #[test]
    fn records_of_any_bytes_are_handled_as_they_were_written_or_named_in_the_report(
        partitions in prop::collection::vec(prop::collection::vec(message(), 0..6), 2),
        format in prop::sample::select(vec!["json", "text", "bytes"]),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let world = World::new(1, 2, 0).await;
            for (partition, messages) in (0..).zip(&partitions) {
                produce(world.kafka.bootstrap_servers(), partition, messages);
            }
            let handled = Arc::new(Mutex::new(BTreeMap::new()));
            let notes = Arc::clone(&handled);
            let handler = each(move |record: Record| {
                let mut notes = notes.lock().expect("no panic with the lock held");
                notes.insert((record.partition.partition, record.offset), of(&record));
                async { Ok(()) }
            });
            let settings = [("MESSAGE_FORMAT", format), ("ON_FAILURE", "skip")];
            let (report, _) = world.run(&settings, handler, 20).await;
            assert_eq!((&report["status"], &report["lag"]), (&json!("success"), &json!(0)), "{report}");
            let handled = handled.lock().expect("no panic with the lock held");
            for (partition, messages) in (0..).zip(&partitions) {
                let skipped = skipped(&report, partition);
                for (offset, message) in (0..).zip(messages) {
                    match handled.get(&(partition, offset)) {
                        Some(record) => assert_eq!(*record, as_handled(message)),
                        None => assert!(skipped.contains(&offset), "{partition}-{offset} is in no list: {report}"),
                    }
                }
            }
        });
    }
}
