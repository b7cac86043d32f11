//! Events byte for byte as AWS writes them, and read as each sender writes them.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::read::{ReadError, read};
use super::write::{Encoded, Envelope, Payload};
use super::*;
use crate::record::{Chunk, Header, Record, Schema, Schemas, Timestamp, TimestampType, TopicPartition};

fn self_managed() -> Envelope {
    Envelope {
        source: Source::SelfManaged,
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

fn records_of(json: &str) -> Vec<Record> {
    let chunks = read(json).unwrap().unwrap();
    chunks.iter().flat_map(|chunk| chunk.records().to_vec()).collect()
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
        source: Source::Msk { arn: arn.clone() },
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

/// The event of AWS's guide for MSK, with what senders differ in.
#[test]
fn an_event_of_aws_is_read() {
    let json = json!({
        "eventSource": "aws:kafka", "eventSourceArn": "arn:aws:kafka:us-east-1:123456789012:cluster/c/1",
        "bootstrapServers": "b-2.demo:9092,b-1.demo:9092", "unknown": {"a": 1},
        "records": {"mytopic-0": [{
            "topic": "mytopic", "partition": 0, "offset": 15, "timestamp": 1_545_084_650_987_i64,
            "timestampType": "CREATE_TIME", "key": "SGVsbG8=", "value": "V29ybGQ=", "unknown": 1,
            "headers": [{"headerKey": [104, 101, 97, 100, 101, 114, 86, 97, 108, 117, 101]}]
        }]}
    });
    let expected = Record {
        timestamp: Some(Timestamp::create_time(1_545_084_650_987)),
        key: Some("Hello".into()),
        value: Some("World".into()),
        headers: vec![Header::new("headerKey", Some("headerValue".into()))],
        ..Record::new(TopicPartition::new("mytopic", 0), 15)
    };
    assert_eq!(records_of(&json.to_string()), [expected]);
}

/// One record with these fields beside its position.
fn read_with(fields: &str) -> Record {
    let json = format!(
        r#"{{"eventSource":"SelfManagedKafka","records":{{"t-0":[{{"topic":"t","partition":0,"offset":1{fields}}}]}}}}"#
    );
    records_of(&json).remove(0)
}

#[test]
fn a_missing_or_null_key_or_value_is_none_and_an_empty_one_is_empty() {
    let bare = Record::new(TopicPartition::new("t", 0), 1);
    assert_eq!(read_with(""), bare);
    assert_eq!(
        read_with(r#","key":null,"value":null,"headers":null,"timestamp":null"#),
        bare
    );
    assert_eq!(
        read_with(r#","timestamp":-1,"timestampType":"NO_TIMESTAMP_TYPE""#),
        bare
    );
    let empty = read_with(r#","key":"","value":"AP8=""#);
    assert_eq!(
        (empty.key.as_deref(), empty.value.as_deref()),
        (Some(&b""[..]), Some(&[0, 0xFF][..]))
    );
}

#[test]
fn headers_are_read_in_each_spelling_and_in_their_order() {
    let rows: [(&str, Vec<Header>); 6] = [
        (r#"[{"h":[104,-61,-85]}]"#, vec![Header::new("h", Some("hë".into()))]),
        (r#"[{"h":[104,195,171]}]"#, vec![Header::new("h", Some("hë".into()))]),
        (
            r#"[{"foo":[50]},{"bar":null},{"foo":[49]}]"#,
            vec![
                Header::new("foo", Some("2".into())),
                Header::new("bar", None),
                Header::new("foo", Some("1".into())),
            ],
        ),
        (
            r#"[{"key":"message-type","value":"standard"}]"#,
            vec![Header::new("message-type", Some("standard".into()))],
        ),
        (
            r#"[{"key":[107],"value":[118]}]"#,
            vec![
                Header::new("key", Some("k".into())),
                Header::new("value", Some("v".into())),
            ],
        ),
        (r#"[{"key":[107]}]"#, vec![Header::new("key", Some("k".into()))]),
    ];
    for (headers, expected) in rows {
        assert_eq!(
            read_with(&format!(r#","headers":{headers}"#)).headers,
            expected,
            "{headers}"
        );
    }
}

#[test]
fn log_append_time_and_schemas_are_read() {
    let fields = r#","timestamp":5,"timestampType":"LOG_APPEND_TIME","valueSchemaMetadata":{"dataFormat":"JSON","schemaId":"7"}"#;
    let record = read_with(fields);
    let kind = TimestampType::LogAppendTime;
    assert_eq!(record.timestamp, Some(Timestamp { ms: 5, kind }));
    let schema = record.schemas.value.unwrap();
    assert_eq!((&*schema.data_format, &*schema.schema_id), ("JSON", "7"));
}

#[test]
fn the_records_of_a_partition_are_known_by_their_fields_and_sorted() {
    let record = |offset: i64| json!({"topic": "my-topic-2", "partition": 1, "offset": offset});
    let other = json!({"topic": "a", "partition": 0, "offset": 9});
    let event = json!({"eventSource": "SelfManagedKafka", "records": {
        "my-topic-2-1": [record(8), record(6), record(8)], "odd": [other, record(7)]
    }});
    let chunks = read(&event.to_string()).unwrap().unwrap();
    let shown: Vec<(String, Vec<i64>)> = chunks
        .iter()
        .map(|chunk| {
            (
                chunk.partition().to_string(),
                chunk.records().iter().map(|record| record.offset).collect(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [("a-0".to_owned(), vec![9]), ("my-topic-2-1".to_owned(), vec![6, 7, 8])]
    );
}

#[test]
fn the_list_of_an_eventbridge_pipe_is_read() {
    let record = json!({"eventSource": "SelfManagedKafka", "eventSourceKey": "t-5", "topic": "t", "partition": 5,
        "bootstrapServers": "smk://b:9092", "offset": 3, "value": "eA==", "headers": [{"h": [1]}]});
    let records = records_of(&json!([record]).to_string());
    assert_eq!(
        (records[0].id().as_str(), records[0].value.as_deref()),
        ("t-5-3", Some(&b"x"[..]))
    );
}

#[test]
fn an_event_without_records_has_none() {
    for event in [
        r#"{"eventSource":"aws:kafka","records":{}}"#,
        r#"{"eventSource":"aws:kafka","records":{"t-0":[]}}"#,
        r#"{"eventSource":"aws:kafka","records":null}"#,
        r#"{"eventSource":"aws:SelfManagedKafka"}"#,
        "[]",
    ] {
        assert_eq!(read(event), Ok(Some(Vec::new())), "{event}");
    }
}

#[test]
fn an_event_of_no_mapping_is_not_read() {
    for event in [
        "{}",
        r#"{"action":"run"}"#,
        "5",
        "",
        "{",
        "[1]",
        r#"{"source":"aws.events"}"#,
        r#"{"Records":[]}"#,
    ] {
        assert_eq!(read(event), Ok(None), "{event}");
    }
}

#[test]
fn the_event_of_another_service_is_refused_with_its_name() {
    for event in [
        r#"{"Records":[{"eventSource":"aws:sqs","body":"secret"}]}"#,
        r#"{"eventSource":"aws:sqs"}"#,
        r#"[{"eventSource":"aws:sqs","body":"secret"}]"#,
        r#"{"Records":[{"EventSource":"aws:sqs","Sns":{}}]}"#,
    ] {
        assert_eq!(read(event), Err(ReadError::Source("aws:sqs".to_owned())), "{event}");
    }
}

#[test]
fn a_wrong_part_of_an_event_is_named_without_its_value() {
    let rows = [
        (r#""records":5"#, "records: is missing or of another type"),
        (
            r#""records":{"t-0":[{"topic":"t","partition":0}]}"#,
            "records.t-0[0]: is missing or of another type",
        ),
        (
            r#""records":{"t-0":[{"topic":"t","partition":"secret","offset":1}]}"#,
            "records.t-0[0].partition: is missing or of another type",
        ),
        (
            r#""records":{"t-0":[{"topic":"t","partition":-1,"offset":1}]}"#,
            "records.t-0[0].partition: is below 0",
        ),
        (
            r#""records":{"t-0":[{"topic":"t","partition":0,"offset":-1}]}"#,
            "records.t-0[0].offset: is below 0",
        ),
        (
            r#""records":{"t-0":[{"topic":"t","partition":0,"offset":1,"value":"*secret*"}]}"#,
            "records.t-0[0].value: is not base64",
        ),
        (
            r#""records":{"t-0":[{"topic":"t","partition":0,"offset":1,"headers":[{"h":[256]}]}]}"#,
            "records.t-0[0].headers: hold a number that is no byte",
        ),
    ];
    for (records, problem) in rows {
        let error = read(&format!(r#"{{"eventSource":"aws:kafka",{records}}}"#))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(problem), "{records}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
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
        prop_assert_eq!(records_of(std::str::from_utf8(&json).unwrap()), records);
    }

    #[test]
    fn no_event_makes_reading_panic(json in "[\\[\\]{}\":,a0-9e.\\\\u-]{0,60}") {
        let _ = read(&json);
        let _ = read(&format!(r#"{{"eventSource":"aws:kafka","records":{json}}}"#));
    }
}
