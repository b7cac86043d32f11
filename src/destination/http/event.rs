//! A record -> its event, of CloudEvents 1.0.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::IgnoredAny;

use super::message::encoded;
use crate::config::MessageEnvelope;
use crate::kafka_event::base64;
use crate::kafka_event::write::record_json;
use crate::record::{Header, Record};

/// The type of every event.
const TYPE: &str = "kafka.record";

/// What the attribute of a Kafka header begins with.
const HEADER_PREFIX: &str = "kafkaheader";

/// The size of the attributes of Kafka headers, in bytes: servers take 8 KiB or more of HTTP
/// headers, and the event's own attributes need a part of it.
const MAX_HEADER_BYTES: usize = 6 * 1024;

/// An event of CloudEvents 1.0. Its attributes and its data are set by the record alone, so a
/// repetition is the same event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// Each name once: lower-case letters and digits.
    pub(super) attributes: Vec<Attribute>,
    pub(super) data: Data,
}

/// A name and its value.
pub(super) type Attribute = (Cow<'static, str>, AttributeValue);

/// The value of an attribute, by its CloudEvents type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum AttributeValue {
    Text(String),
    Integer(i32),
    Boolean(bool),
}

/// The data of an event, by its content type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Data {
    /// There is none: the record is a tombstone.
    None,
    /// `application/json`
    Json(Bytes),
    /// `text/plain; charset=utf-8`
    Text(Bytes),
    /// `application/octet-stream`
    Binary(Bytes),
}

impl Data {
    /// By the content, which is not changed.
    fn of_value(value: &Bytes) -> Self {
        // JSON is UTF-8, which the parser does not check in what it ignores.
        match std::str::from_utf8(value) {
            Ok(text) if serde_json::from_str::<IgnoredAny>(text).is_ok() => Self::Json(value.clone()),
            Ok(text) if !text.is_empty() => Self::Text(value.clone()),
            Ok(_) | Err(_) => Self::Binary(value.clone()),
        }
    }

    /// The value of `Content-Type`, and of the attribute `datacontenttype`.
    pub(super) const fn content_type(&self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Json(_) => Some("application/json"),
            Self::Text(_) => Some("text/plain; charset=utf-8"),
            Self::Binary(_) => Some("application/octet-stream"),
        }
    }
}

impl Event {
    /// The event of a record.
    ///
    /// | attribute | value |
    /// |---|---|
    /// | `specversion` | `1.0` |
    /// | `id` | `<topic>/<partition>/<offset>` |
    /// | `source` | `source` |
    /// | `type` | `kafka.record` |
    /// | `time` | the record's timestamp; absent if it has none |
    /// | `topic`, `partition`, `offset` | of the record; the offset is text, because it may be above the largest integer of CloudEvents |
    /// | `key` | the key, if it is text |
    /// | `keybase64` | a key that is not |
    /// | `tombstone` | `true` if the record has no value |
    /// | `kafkaheader<name>` | the header's value, if it is text |
    ///
    /// # Errors
    /// The JSON writer's, which needs memory alone.
    pub(super) fn of(record: &Record, source: &str, envelope: MessageEnvelope) -> serde_json::Result<Self> {
        let (topic, partition, offset) = (&record.partition.topic, record.partition.partition, record.offset);
        let mut attributes = vec![
            text("specversion", "1.0"),
            text("id", format!("{topic}/{partition}/{offset}")),
            text("source", source),
            text("type", TYPE),
        ];
        attributes.extend(time(record).map(|time| text("time", time)));
        attributes.push(text("topic", &**topic));
        attributes.push(("partition".into(), AttributeValue::Integer(partition)));
        attributes.push(text("offset", offset.to_string()));
        attributes.extend(record.key.as_deref().map(|key| match attribute_text(key) {
            Some(key) => text("key", key),
            None => text("keybase64", base64(key)),
        }));
        if record.is_tombstone() {
            attributes.push(("tombstone".into(), AttributeValue::Boolean(true)));
        }
        attributes.extend(headers(&record.headers));
        let data = match (envelope, &record.value) {
            (MessageEnvelope::Record, _) => Data::Json(record_json(record)?.into()),
            (MessageEnvelope::Value, None) => Data::None,
            (MessageEnvelope::Value, Some(value)) => Data::of_value(value),
        };
        Ok(Self { attributes, data })
    }
}

fn text(name: &'static str, value: impl Into<String>) -> Attribute {
    (name.into(), AttributeValue::Text(value.into()))
}

/// RFC 3339, with milliseconds where there are some.
fn time(record: &Record) -> Option<String> {
    let time = Timestamp::from_millisecond(record.timestamp_ms()?).ok()?;
    Some(time.to_string())
}

/// The bytes as text of an attribute. CloudEvents allows no control characters and no noncharacters.
fn attribute_text(bytes: &[u8]) -> Option<&str> {
    let is_noncharacter = |c: char| u32::from(c) & 0xFFFE == 0xFFFE || ('\u{FDD0}'..='\u{FDEF}').contains(&c);
    let is_allowed = |c: char| !c.is_control() && !is_noncharacter(c);
    let text = std::str::from_utf8(bytes).ok()?;
    text.chars().all(is_allowed).then_some(text)
}

/// The attributes of Kafka headers, in the producer's order, up to [`MAX_HEADER_BYTES`].
///
/// A name is in lower case and without all but letters and digits, as CloudEvents demands. Of
/// names that are the same then, the last value counts, as in Kafka's own `lastHeader`. Headers
/// without a name, and with a value that is null or not text, are left out.
fn headers(headers: &[Header]) -> Vec<Attribute> {
    let mut found: Vec<(String, &str)> = vec![];
    let mut places = HashMap::new();
    for header in headers {
        let name = attribute_name(header);
        let value = header.value.as_deref().and_then(attribute_text);
        let (false, Some(value)) = (name.is_empty(), value) else {
            continue;
        };
        let at = *places.entry(name.clone()).or_insert(found.len());
        if at == found.len() {
            found.push((name, value));
        } else {
            found[at] = (name, value);
        }
    }
    let mut bytes = 0;
    let fits = |(name, value): &(String, &str)| {
        bytes += HEADER_PREFIX.len() + name.len() + encoded(value).len();
        bytes <= MAX_HEADER_BYTES
    };
    let attribute = |(name, value): (String, &str)| {
        let name = format!("{HEADER_PREFIX}{name}");
        (name.into(), AttributeValue::Text(value.to_owned()))
    };
    found.into_iter().take_while(fits).map(attribute).collect()
}

fn attribute_name(header: &Header) -> String {
    let kept = header.name_bytes().iter().filter(|byte| byte.is_ascii_alphanumeric());
    kept.map(|byte| char::from(byte.to_ascii_lowercase())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, TopicPartition};

    fn record() -> Record {
        Record {
            timestamp: Some(Timestamp::create_time(1_762_000_000_123)),
            key: Some("k".into()),
            value: Some("{\"a\": 1}".into()),
            ..Record::new(TopicPartition::new("orders", 3), 17)
        }
    }

    fn event(record: &Record) -> Event {
        Event::of(record, "kafka-consumer/g", MessageEnvelope::Value).expect("an event")
    }

    fn shown(event: &Event) -> Vec<String> {
        let value = |value: &AttributeValue| serde_json::to_string(value).expect("JSON");
        event
            .attributes
            .iter()
            .map(|(name, it)| format!("{name}={}", value(it)))
            .collect()
    }

    /// The attributes behind `offset`.
    fn more(record: &Record) -> Vec<String> {
        let shown = shown(&event(record));
        let own = shown
            .iter()
            .position(|it| it.starts_with("offset="))
            .expect("an offset");
        shown[own + 1..].to_vec()
    }

    #[test]
    fn an_event_has_the_record_s_place_time_and_key() {
        assert_eq!(
            shown(&event(&record())),
            [
                r#"specversion="1.0""#,
                r#"id="orders/3/17""#,
                r#"source="kafka-consumer/g""#,
                r#"type="kafka.record""#,
                r#"time="2025-11-01T12:26:40.123Z""#,
                r#"topic="orders""#,
                "partition=3",
                r#"offset="17""#,
                r#"key="k""#,
            ]
        );
        let without_time = Record {
            timestamp: None,
            ..record()
        };
        assert!(!shown(&event(&without_time)).iter().any(|it| it.starts_with("time")));
    }

    #[test]
    fn the_content_type_is_found_by_the_content() {
        let rows: [(&[u8], &str); 9] = [
            (b"{\"a\": 1}", "application/json"),
            (b" [1]\n", "application/json"),
            (b"17", "application/json"),
            (b"{\"a\": 1} x", "text/plain; charset=utf-8"),
            ("h\u{e9}".as_bytes(), "text/plain; charset=utf-8"),
            (b" ", "text/plain; charset=utf-8"),
            (b"\xff", "application/octet-stream"),
            (b"\"\xff\"", "application/octet-stream"),
            (b"", "application/octet-stream"),
        ];
        for (value, expected) in rows {
            let data = Data::of_value(&Bytes::from_static(value));
            assert_eq!(data.content_type(), Some(expected), "{value:?}");
        }
    }

    #[test]
    fn a_tombstone_has_no_data_and_an_attribute_that_says_so() {
        let tombstone = Record {
            value: None,
            ..record()
        };
        let event = event(&tombstone);
        assert_eq!((&event.data, event.data.content_type()), (&Data::None, None));
        assert_eq!(more(&tombstone), [r#"key="k""#, "tombstone=true"]);
    }

    #[test]
    fn keys_are_absent_empty_text_or_base64() {
        let rows: [(Option<&'static [u8]>, &[&str]); 6] = [
            (None, &[]),
            (Some(b""), &[r#"key="""#]),
            (Some("k\u{e9} \"%".as_bytes()), &[r#"key="ké \"%""#]),
            (Some(b"\xff"), &[r#"keybase64="/w==""#]),
            (Some(b"a\nb"), &[r#"keybase64="YQpi""#]),
            (Some("\u{FFFF}".as_bytes()), &[r#"keybase64="77+/""#]),
        ];
        for (key, expected) in rows {
            let key = key.map(Bytes::from_static);
            assert_eq!(more(&Record { key, ..record() }), expected);
        }
    }

    fn of_headers(headers: &[(&'static str, Option<&'static [u8]>)]) -> Vec<String> {
        let header =
            |(name, value): &(&'static str, Option<&'static [u8]>)| Header::new(*name, value.map(Bytes::from_static));
        more(&Record {
            key: None,
            headers: headers.iter().map(header).collect(),
            ..record()
        })
    }

    #[test]
    fn header_names_are_lower_case_letters_and_digits_and_the_last_of_a_name_counts() {
        assert_eq!(
            of_headers(&[
                ("Trace-Id", Some(b"1")),
                ("b", Some(b"")),
                ("traceid", Some(b"2")),
                ("null", None),
                ("bytes", Some(b"\xff")),
                ("-_.", Some(b"x")),
                ("h\u{e9}2", Some("\u{e9}".as_bytes())),
            ]),
            [
                r#"kafkaheadertraceid="2""#,
                r#"kafkaheaderb="""#,
                r#"kafkaheaderh2="é""#
            ]
        );
    }

    #[test]
    fn headers_beyond_the_size_that_servers_take_are_left_out() {
        let large: &'static [u8] = Box::leak(vec![b'x'; 3_000].into_boxed_slice());
        let names: Vec<String> = of_headers(&[("a", Some(large)), ("b", Some(large)), ("c", Some(large))])
            .iter()
            .filter_map(|it| Some(it.split_once('=')?.0.to_owned()))
            .collect();
        assert_eq!(names, ["kafkaheadera", "kafkaheaderb"]);
    }

    #[test]
    fn the_envelope_of_the_record_has_the_same_attributes_and_the_record_as_data() {
        let record = record();
        let whole = Event::of(&record, "kafka-consumer/g", MessageEnvelope::Record).expect("an event");
        assert_eq!(whole.attributes, event(&record).attributes);
        let expected = r#"{"topic":"orders","partition":3,"offset":17,"timestamp":1762000000123,"timestampType":"CREATE_TIME","key":"aw==","value":"eyJhIjogMX0=","headers":[]}"#;
        assert_eq!(whole.data, Data::Json(expected.into()));
    }
}
