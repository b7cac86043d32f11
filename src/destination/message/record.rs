//! A record -> its message.

use std::collections::HashSet;

use bytes::Bytes;

use super::id::{Grouping, deduplication, group};
use super::{Attribute, AttributeValue, MAX_ATTRIBUTES, Message, allowed_json, is_allowed};
use crate::config::MessageEnvelope;
use crate::destination::batched::{Encoder, Unfit};
use crate::kafka_event::base64;
use crate::kafka_event::write::record_json;
use crate::record::{Header, Record};

/// The longest name of an attribute, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// The attributes of the record itself. A header of such a name is left out.
const OWN: [&str; 6] = ["topic", "partition", "offset", "timestamp", "key", "value"];

/// Makes the messages of records.
///
/// | the value | body | attribute `value` |
/// |---|---|---|
/// | text of characters that SQS and SNS take | as it is | none |
/// | other bytes | base64 | `base64` |
/// | none (a tombstone) | `null` | `null` |
/// | empty | a space | `empty` |
///
/// With [`MessageEnvelope::Record`] the body is the record as JSON, as in AWS's Kafka event.
///
/// Attributes are `topic`, `partition`, `offset`, `timestamp` and `key`, then headers in the
/// producer's order, 10 in all. Of a header's name that repeats, the last value counts, as in
/// Kafka's own `lastHeader`. A key or a header's value that is not text is `Binary`. Left out
/// are empty keys and values, and names that SQS refuses.
pub(crate) struct RecordMessages {
    /// What the body holds.
    pub(crate) envelope: MessageEnvelope,
    /// What a FIFO group is.
    pub(crate) grouping: Grouping,
}

impl Encoder<Message> for RecordMessages {
    fn encode(&self, record: &Record) -> Result<Message, Unfit> {
        let mut attributes = vec![
            Attribute::text("topic", &*record.partition.topic),
            Attribute::number("partition", record.partition.partition),
            Attribute::number("offset", record.offset),
        ];
        let body = match self.envelope {
            MessageEnvelope::Record => {
                allowed_json(record_json(record).map_err(|error| Unfit::Invalid(error.to_string()))?)
            }
            MessageEnvelope::Value => {
                attributes.extend(record.timestamp_ms().map(|ms| Attribute::number("timestamp", ms)));
                attributes.extend(attribute("key", record.key.as_ref()));
                let (body, form) = body(record.value.as_deref());
                attributes.extend(form.map(|form| Attribute::text("value", form)));
                add_headers(&mut attributes, &record.headers);
                body
            }
        };
        Ok(Message {
            body,
            attributes,
            group: group(record, self.grouping),
            deduplication: deduplication(record),
        })
    }
}

/// The body for a value, and the name of its form if it is not the value itself.
fn body(value: Option<&[u8]>) -> (String, Option<&'static str>) {
    match value {
        None => ("null".to_owned(), Some("null")),
        Some([]) => (" ".to_owned(), Some("empty")),
        Some(bytes) => match text(bytes) {
            Some(text) => (text.to_owned(), None),
            None => (base64(bytes), Some("base64")),
        },
    }
}

/// The bytes as text, if SQS and SNS take each of its characters.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes)
        .ok()
        .filter(|text| text.chars().all(is_allowed))
}

fn attribute(name: &str, value: Option<&Bytes>) -> Option<Attribute> {
    let bytes = value.filter(|bytes| !bytes.is_empty())?;
    Some(Attribute {
        name: name.to_owned(),
        value: match text(bytes) {
            Some(text) => AttributeValue::Text(text.to_owned()),
            None => AttributeValue::Bytes(bytes.clone()),
        },
    })
}

fn add_headers(attributes: &mut Vec<Attribute>, headers: &[Header]) {
    let mut seen = HashSet::new();
    for header in headers {
        if attributes.len() == MAX_ATTRIBUTES {
            return;
        }
        let Some(name) = text(header.name_bytes()).filter(|name| is_name(name)) else {
            continue;
        };
        if seen.insert(name) {
            let last = headers.iter().rfind(|it| it.is_named(name)).unwrap_or(header);
            attributes.extend(attribute(name, last.value.as_ref()));
        }
    }
}

/// Whether it may be the name of an attribute of a header: as SQS allows, and not the
/// record's own.
fn is_name(name: &str) -> bool {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let lower = name.to_ascii_lowercase();
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(valid)
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !lower.starts_with("aws.")
        && !lower.starts_with("amazon.")
        && !OWN.contains(&name)
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

    fn message(envelope: MessageEnvelope, record: &Record) -> Message {
        let grouping = Grouping::Partition;
        RecordMessages { envelope, grouping }.encode(record).expect("a message")
    }

    fn value_of(record: &Record) -> Message {
        message(MessageEnvelope::Value, record)
    }

    /// Name, type and value of each attribute.
    fn attributes(message: &Message) -> Vec<(&str, &str, String)> {
        let shown = |value: &AttributeValue| match value {
            AttributeValue::Text(text) | AttributeValue::Number(text) => text.clone(),
            AttributeValue::Bytes(bytes) => format!("{bytes:?}"),
        };
        let all = message.attributes.iter();
        all.map(|it| (&*it.name, it.value.data_type(), shown(&it.value)))
            .collect()
    }

    #[test]
    fn a_text_is_the_body_as_it_is_with_the_record_s_place_time_and_key_beside_it() {
        let message = value_of(&record());
        assert_eq!(message.body, "{\"a\": 1}");
        assert_eq!(
            attributes(&message),
            [
                ("topic", "String", "orders".to_owned()),
                ("partition", "Number", "3".to_owned()),
                ("offset", "Number", "17".to_owned()),
                ("timestamp", "Number", "1762000000123".to_owned()),
                ("key", "String", "k".to_owned()),
            ]
        );
        assert_eq!((&*message.group, &*message.deduplication), ("orders-3", "orders-3-17"));
    }

    #[test]
    fn a_body_that_is_not_the_value_itself_has_an_attribute_that_names_its_form() {
        type Row = (Option<&'static [u8]>, &'static str, Option<&'static str>);
        let rows: [Row; 8] = [
            (None, "null", Some("null")),
            (Some(b""), " ", Some("empty")),
            (Some(b"null"), "null", None),
            (Some(b" "), " ", None),
            (Some(b"\xff\x00"), "/wA=", Some("base64")),
            (Some(b"a\0b"), "YQBi", Some("base64")),
            (Some("\u{FFFF}".as_bytes()), "77+/", Some("base64")),
            (Some("\u{10FFFF}\t\r\n".as_bytes()), "\u{10FFFF}\t\r\n", None),
        ];
        for (value, body, form) in rows {
            let value = value.map(Bytes::from_static);
            let message = value_of(&Record { value, ..record() });
            assert_eq!(message.body, body);
            let attributes = attributes(&message);
            let found = attributes.iter().find(|(name, ..)| *name == "value");
            assert_eq!(found.map(|(_, _, value)| &**value), form, "{body}");
        }
    }

    #[test]
    fn of_many_headers_the_first_ten_attributes_are_sent_and_of_a_repeated_name_the_last_value() {
        let header = |name: &str, value: &str| Header::new(name.to_owned(), Some(value.to_owned().into()));
        let mut headers = vec![header("trace", "1"), header("topic", "forged"), header("trace", "2")];
        headers.extend((0..10).map(|n| header(&format!("h{n}"), "x")));
        let message = value_of(&Record { headers, ..record() });
        let names: Vec<_> = attributes(&message)
            .into_iter()
            .map(|(name, _, value)| (name, value))
            .collect();
        assert_eq!(names.len(), MAX_ATTRIBUTES);
        assert_eq!(names[0], ("topic", "orders".to_owned()));
        assert_eq!(names[5], ("trace", "2".to_owned()));
        assert_eq!(names[9].0, "h3");
    }

    #[test]
    fn headers_and_keys_that_sqs_would_refuse_are_left_out_or_sent_as_bytes() {
        let headers = [
            &b"AWS.x"[..],
            b"amazon.x",
            b".a",
            b"a.",
            b"a..b",
            b"a b",
            b"caf\xE9",
            b"",
            b"key",
        ]
        .map(|name| Header::new(name, Some("v".into())));
        let mut headers = headers.to_vec();
        headers.push(Header::new("none", None));
        headers.push(Header::new("empty", Some(Bytes::new())));
        headers.push(Header::new("bytes", Some(Bytes::from_static(b"\xff"))));
        let key = Some(Bytes::from_static(b"\0"));
        let message = value_of(&Record {
            key,
            headers,
            ..record()
        });
        let attributes = attributes(&message);
        assert_eq!(attributes[4], ("key", "Binary", "b\"\\0\"".to_owned()));
        assert_eq!(attributes[5], ("bytes", "Binary", "b\"\\xff\"".to_owned()));
        assert_eq!(attributes.len(), 6);
        let empty = value_of(&Record {
            key: Some(Bytes::new()),
            ..record()
        });
        assert_eq!(self::attributes(&empty).len(), 4);
    }

    #[test]
    fn the_envelope_of_the_record_is_json_of_its_bytes() {
        let headers = vec![Header::new("a\u{FFFF}", Some("v".into()))];
        let message = message(MessageEnvelope::Record, &Record { headers, ..record() });
        assert_eq!(
            message.body,
            r#"{"topic":"orders","partition":3,"offset":17,"timestamp":1762000000123,"timestampType":"CREATE_TIME","key":"aw==","value":"eyJhIjogMX0=","headers":[{"a\uFFFF":[118]}]}"#
        );
        assert_eq!(attributes(&message).len(), 3);
    }

    #[test]
    fn the_size_counts_names_types_and_values_of_attributes() {
        let record = Record::new(TopicPartition::new("orders", 3), 17);
        let message = message(MessageEnvelope::Record, &record);
        assert_eq!(message.bytes(), message.body.len() + 17 + 16 + 14);
    }
}
