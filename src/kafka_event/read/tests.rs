//! Events as each known sender writes them.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn records_of(json: &str) -> Vec<Record> {
    let chunks = read(json).unwrap().unwrap();
    chunks.iter().flat_map(|chunk| chunk.records().to_vec()).collect()
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
        "[]",
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

proptest! {
    #[test]
    fn no_event_makes_reading_panic(json in "[\\[\\]{}\":,a0-9e.\\\\u-]{0,60}") {
        let _ = read(&json);
        let _ = read(&format!(r#"{{"eventSource":"aws:kafka","records":{json}}}"#));
    }
}
