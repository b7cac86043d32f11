//! A record -> its event. Pure.

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::value::RawValue;

use crate::destination::batched::{Encoder, Unfit};
use crate::kafka_event::base64;
use crate::record::{Header, Record, TimestampType};

/// The longest `source` and the longest `detail-type`, in characters.
const MAX_SOURCE: usize = 256;
const MAX_DETAIL_TYPE: usize = 128;

/// An event, as `PutEvents` takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::destination) struct Event {
    /// Whose it is: `kafka-consumer.<group>`.
    pub(super) source: String,
    /// The topic, cut at 128 characters.
    pub(super) detail_type: String,
    /// A JSON object.
    pub(super) detail: String,
    /// The record's time, in milliseconds since the Unix epoch.
    pub(super) time_ms: Option<i64>,
}

impl Event {
    /// The size as EventBridge counts it: a time has 14 bytes.
    pub(super) fn bytes(&self) -> usize {
        let time = self.time_ms.map_or(0, |_| 14);
        time + self.source.len() + self.detail_type.len() + self.detail.len()
    }
}

/// Makes the events of records, in the shape of AWS's
/// [Kafka connector for EventBridge](https://github.com/awslabs/eventbridge-kafka-connector).
///
/// | in `detail` | |
/// |---|---|
/// | `topic`, `partition`, `offset` | the record's place: the same each time it is sent |
/// | `timestamp`, `timestampType` | milliseconds, and `CreateTime` or `LogAppendTime`; `null` without a time |
/// | `headers` | objects of one name, in the producer's order |
/// | `key` | text, or `null`; bytes that are not UTF-8 as `{"base64": ...}`, as in headers |
/// | `value` | the value's JSON as it was written, or `null` for a tombstone |
pub(in crate::destination) struct RecordEvents {
    source: String,
}

impl RecordEvents {
    pub(in crate::destination) fn new(group_id: &str) -> Self {
        Self {
            source: first_chars(&format!("kafka-consumer.{group_id}"), MAX_SOURCE),
        }
    }
}

impl Encoder<Event> for RecordEvents {
    fn encode(&self, record: &Record) -> Result<Event, Unfit> {
        let value = record.value.as_deref().map(serde_json::from_slice::<&RawValue>);
        let value = value.transpose().map_err(|_| {
            Unfit::Invalid(
                "the value is not JSON, and EventBridge takes nothing else. Correct its producer, or let a filter pass \
                 only records whose value is JSON"
                    .to_owned(),
            )
        })?;
        let detail = Detail {
            topic: &record.partition.topic,
            partition: record.partition.partition,
            offset: record.offset,
            timestamp: record.timestamp_ms(),
            timestamp_type: record.timestamp.map(|timestamp| match timestamp.kind {
                TimestampType::CreateTime => "CreateTime",
                TimestampType::LogAppendTime => "LogAppendTime",
            }),
            headers: record.headers.iter().map(OneHeader).collect(),
            key: record.key.as_deref().map(Bytes),
            value,
        };
        Ok(Event {
            source: self.source.clone(),
            detail_type: first_chars(&record.partition.topic, MAX_DETAIL_TYPE),
            detail: serde_json::to_string(&detail).map_err(|error| Unfit::Invalid(error.to_string()))?,
            time_ms: record.timestamp_ms(),
        })
    }
}

fn first_chars(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Detail<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    timestamp_type: Option<&'static str>,
    headers: Vec<OneHeader<'a>>,
    key: Option<Bytes<'a>>,
    value: Option<&'a RawValue>,
}

/// An object of one name.
struct OneHeader<'a>(&'a Header);

impl Serialize for OneHeader<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(&self.0.name(), &self.0.value.as_deref().map(Bytes))?;
        map.end()
    }
}

/// A text; bytes that are none as `{"base64": ...}`.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = std::str::from_utf8(self.0) {
            return serializer.serialize_str(text);
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("base64", &base64(self.0))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, TopicPartition};

    fn record(topic: &str, value: Option<&'static [u8]>) -> Record {
        Record {
            timestamp: Some(Timestamp::create_time(1_762_000_000_123)),
            key: Some("k".into()),
            value: value.map(bytes::Bytes::from_static),
            headers: vec![
                Header::new("h", Some("v".into())),
                Header::new("h", None),
                Header::new("b", Some(bytes::Bytes::from_static(b"\xff"))),
            ],
            ..Record::new(TopicPartition::new(topic, 3), 17)
        }
    }

    fn event(record: &Record) -> Result<Event, Unfit> {
        RecordEvents::new("billing").encode(record)
    }

    #[test]
    fn an_event_has_the_shape_of_aws_s_connector() {
        let event = event(&record("orders", Some(b"{\"a\": 1.50}"))).expect("an event");
        assert_eq!(
            (&*event.source, &*event.detail_type),
            ("kafka-consumer.billing", "orders")
        );
        assert_eq!(
            event.detail,
            r#"{"topic":"orders","partition":3,"offset":17,"timestamp":1762000000123,"timestampType":"CreateTime","headers":[{"h":"v"},{"h":null},{"b":{"base64":"/w=="}}],"key":"k","value":{"a": 1.50}}"#
        );
        assert_eq!(event.time_ms, Some(1_762_000_000_123));
        assert_eq!(event.bytes(), 14 + 22 + 6 + event.detail.len());
    }

    #[test]
    fn a_tombstone_has_the_value_null_and_a_record_without_key_and_time_says_so() {
        let bare = Record::new(TopicPartition::new("orders", 3), 17);
        assert_eq!(
            event(&bare).expect("an event").detail,
            r#"{"topic":"orders","partition":3,"offset":17,"timestamp":null,"timestampType":null,"headers":[],"key":null,"value":null}"#
        );
    }

    #[test]
    fn a_value_that_is_not_json_has_no_event_and_is_not_quoted() {
        for value in [&b"planted"[..], b"", b"{", b"\xff", b"{} {}"] {
            let Err(Unfit::Invalid(text)) = event(&record("orders", Some(value))) else {
                panic!("{value:?}");
            };
            assert!(
                text.starts_with("the value is not JSON") && !text.contains("planted"),
                "{text}"
            );
        }
        for value in [&b"7"[..], b"\"x\"", b"[]", b"null", b" {} "] {
            assert!(event(&record("orders", Some(value))).is_ok());
        }
    }

    #[test]
    fn a_long_topic_and_a_long_group_are_cut_and_the_topic_is_whole_in_the_detail() {
        let topic = "t".repeat(249);
        let event = RecordEvents::new(&"ä".repeat(300))
            .encode(&record(&topic, None))
            .expect("an event");
        assert_eq!((event.source.chars().count(), event.detail_type.len()), (256, 128));
        assert!(event.detail.contains(&topic));
    }
}
