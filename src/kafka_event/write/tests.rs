//! Events byte for byte as AWS writes them.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::kafka_event::MAX_PAYLOAD_BYTES;
use crate::kafka_event::read::read;
use crate::record::{Header, Schemas, Timestamp, TopicPartition};

fn self_managed() -> Envelope {
    Envelope {
        source: EventSource::SelfManaged,
        bootstrap_servers: "b1:9092,b2:9092".to_owned(),
    }
}

fn record(offset: i64) -> Record {
    Record {
        timestamp: Some(Timestamp::create_time(1_545_084_650_987)),
        key: Some("K".into()),
        value: Some(r#"{"id":1}"#.into()),
        headers: vec![Header::new("h", Some("hë".into())), Header::new("h", Some("".into()))],
        ..Record::new(TopicPartition::new("orders", 0), offset)
    }
}

fn encoded(records: Vec<Record>) -> Encoded {
    self_managed().encode(&Chunk::new(records).unwrap()).unwrap()
}

fn event(record: Record) -> String {
    String::from_utf8(encoded(vec![record]).event(0..1)).unwrap()
}

fn value(record: Record) -> Value {
    let event: Value = serde_json::from_str(&event(record)).unwrap();
    event["records"]["orders-0"][0].clone()
}

#[test]
fn the_event_is_awss_byte_for_byte() {
    let expected = concat!(
        r#"{"eventSource":"SelfManagedKafka","bootstrapServers":"b1:9092,b2:9092","records":{"orders-0":[{"#,
        r#""topic":"orders","partition":0,"offset":7,"timestamp":1545084650987,"timestampType":"CREATE_TIME","#,
        r#""key":"Sw==","value":"eyJpZCI6MX0=","headers":[{"h":[104,-61,-85]},{"h":[]}]}]}}"#
    );
    assert_eq!(event(record(7)), expected);
    assert_eq!(expected.len(), 273);
}

#[test]
fn the_event_of_msk_names_the_cluster() {
    let arn = "arn:aws:kafka:eu-central-1:111122223333:cluster/c/11111111-2222-3333-4444-555555555555-1".to_owned();
    let envelope = Envelope {
        source: EventSource::Msk { arn: arn.clone() },
        ..self_managed()
    };
    let encoded = envelope.encode(&Chunk::new(vec![record(7)]).unwrap()).unwrap();
    let start = format!(r#"{{"eventSource":"aws:kafka","eventSourceArn":"{arn}","bootstrapServers":"#);
    assert!(encoded.event(0..1).starts_with(start.as_bytes()));
}

#[test]
fn what_a_record_lacks_is_left_out() {
    let bare = value(Record::new(TopicPartition::new("orders", 0), 7));
    let expected = json!({"topic": "orders", "partition": 0, "offset": 7, "timestamp": -1,
        "timestampType": "NO_TIMESTAMP_TYPE", "headers": []});
    assert_eq!(bare, expected);
}

#[test]
fn an_empty_key_and_value_are_written_and_a_null_one_is_not() {
    let empty = value(Record {
        key: Some("".into()),
        value: Some("".into()),
        ..record(7)
    });
    assert_eq!((&empty["key"], &empty["value"]), (&json!(""), &json!("")));
    let null = value(Record {
        key: None,
        value: None,
        ..record(7)
    });
    assert_eq!((null.get("key"), null.get("value")), (None, None));
}

#[test]
fn bytes_of_headers_are_signed_and_a_null_header_is_null() {
    let headers = vec![
        Header::new("bytes", Some(vec![0, 0x7F, 0x80, 0xFF].into())),
        Header::new("null", None),
        Header::new(vec![0xFF], Some("x".into())),
    ];
    let written = value(Record { headers, ..record(7) });
    assert_eq!(
        written["headers"],
        json!([{"bytes": [0, 127, -128, -1]}, {"null": null}, {"\u{FFFD}": [120]}])
    );
}

#[test]
fn log_append_time_and_schemas_are_written() {
    let schema = Schema {
        data_format: "AVRO".to_owned(),
        schema_id: "1".to_owned(),
    };
    let kind = TimestampType::LogAppendTime;
    let written = value(Record {
        timestamp: Some(Timestamp { ms: 5, kind }),
        schemas: Schemas {
            key: None,
            value: Some(schema),
        },
        ..record(7)
    });
    assert_eq!(written["timestampType"], "LOG_APPEND_TIME");
    assert_eq!(
        written["valueSchemaMetadata"],
        json!({"dataFormat": "AVRO", "schemaId": "1"})
    );
    assert_eq!(written.get("keySchemaMetadata"), None);
}

/// 6,291,456 bytes: the value of 4,718,427 bytes fits, three more bytes do not.
#[test]
fn a_record_fits_up_to_the_last_byte_of_the_limit() {
    let batch = |value_bytes: usize| {
        let record = Record {
            key: None,
            value: Some(vec![b'x'; value_bytes].into()),
            headers: Vec::new(),
            ..record(7)
        };
        encoded(vec![record])
            .batch(0, NonZeroUsize::MIN, MAX_PAYLOAD_BYTES)
            .unwrap()
            .payload
    };
    let Payload::Fits(largest) = batch(4_718_427) else {
        panic!("the largest record does not fit");
    };
    assert!(
        largest.len() <= MAX_PAYLOAD_BYTES && largest.len() + 4 > MAX_PAYLOAD_BYTES,
        "{}",
        largest.len()
    );
    let Payload::TooLarge { bytes } = batch(4_718_428) else {
        panic!("one more byte of the value fits");
    };
    assert_eq!(bytes, largest.len() + 4);
}

#[test]
fn a_batch_ends_before_the_record_that_would_exceed_its_limits() {
    let encoded = encoded((5..9).map(record).collect());
    let batch = |first, most, bytes| {
        let most = NonZeroUsize::new(most).unwrap();
        encoded.batch(first, most, bytes).map(|batch| batch.records)
    };
    let two = encoded.size(0..2);
    assert_eq!(batch(0, 100, usize::MAX), Some(0..4));
    assert_eq!(batch(0, 3, usize::MAX), Some(0..3));
    assert_eq!(batch(1, 100, two), Some(1..3));
    assert_eq!(batch(1, 100, two - 1), Some(1..2));
    assert_eq!(batch(3, 100, usize::MAX), Some(3..4));
    assert_eq!(batch(4, 100, usize::MAX), None);
}

fn any_header() -> impl Strategy<Value = Header> {
    let value = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..6));
    ("[a-zé\"\\\\]{0,4}", value).prop_map(|(name, value)| Header::new(name, value.map(Into::into)))
}

fn any_record() -> impl Strategy<Value = Record> {
    let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..12));
    let kind = prop_oneof![Just(TimestampType::CreateTime), Just(TimestampType::LogAppendTime)];
    let timestamp = proptest::option::of((0..i64::MAX, kind).prop_map(|(ms, kind)| Timestamp { ms, kind }));
    let headers = proptest::collection::vec(any_header(), 0..4);
    (timestamp, bytes(), bytes(), headers).prop_map(|(timestamp, key, value, headers)| Record {
        timestamp,
        key: key.map(Into::into),
        value: value.map(Into::into),
        headers,
        ..Record::new(TopicPartition::new("a \"topic\"", 3), 0)
    })
}

proptest! {
    #[test]
    fn every_record_is_read_as_it_was_written(records in proptest::collection::vec(any_record(), 1..5)) {
        let records: Vec<Record> = (10..).zip(records).map(|(offset, record)| Record { offset, ..record }).collect();
        let encoded = encoded(records.clone());
        let json = encoded.event(0..records.len());
        prop_assert_eq!(json.len(), encoded.size(0..records.len()));
        let read = read(std::str::from_utf8(&json).unwrap()).unwrap().unwrap();
        prop_assert_eq!(read[0].records(), records);
    }
}
