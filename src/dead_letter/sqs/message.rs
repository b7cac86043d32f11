//! A dead letter -> the parts of its message.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::MAX_BYTES;
use crate::dead_letter::{header, split};
use crate::kafka_event::{OneHeader, base64};
use crate::record::{Header, Record};

/// The longest id of a group, and of a message for its deduplication.
const MAX_ID_CHARS: usize = 128;

/// Name, type and value of the message's attributes.
pub(super) fn attributes(letter: &Record) -> [(&'static str, &'static str, String); 3] {
    [
        ("topic", "String", letter.partition.topic.to_string()),
        ("partition", "Number", letter.partition.partition.to_string()),
        ("offset", "Number", letter.offset.to_string()),
    ]
}

/// The size limit of the body: names, types and values of the attributes count.
pub(super) fn max_body_bytes(letter: &Record) -> usize {
    let bytes = |(name, kind, value): (&str, &str, String)| name.len() + kind.len() + value.len();
    MAX_BYTES - attributes(letter).map(bytes).iter().sum::<usize>()
}

/// The body as JSON; `None` if the record alone is above the size limit.
pub(super) fn body(letter: &Record) -> Option<String> {
    if letter.size_bytes() > MAX_BYTES {
        return None;
    }
    let (own, ours) = split(letter);
    let body = Body {
        topic: &letter.partition.topic,
        partition: letter.partition.partition,
        offset: letter.offset,
        timestamp: letter.timestamp_ms(),
        key: letter.key.as_deref().map(base64),
        value: letter.value.as_deref().map(base64),
        headers: own.iter().map(OneHeader).collect(),
        error: Cause::read(ours),
    };
    let json = serde_json::to_string(&body).ok()?;
    // The two characters that SQS replaces or refuses and JSON allows. They can
    // only be inside of strings.
    Some(json.replace('\u{FFFE}', "\\uFFFE").replace('\u{FFFF}', "\\uFFFF"))
}

/// The message group of a FIFO queue: the partition.
pub(super) fn group(letter: &Record) -> String {
    shortened(letter.partition.to_string())
}

/// What makes two messages of a FIFO queue the same: the record's id.
pub(super) fn deduplication(letter: &Record) -> String {
    shortened(letter.id())
}

/// An id within SQS's limit. One that is too long, of a topic with a name of
/// over 100 characters, becomes its end behind a hash of all of it.
fn shortened(id: String) -> String {
    if id.len() <= MAX_ID_CHARS {
        return id;
    }
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    let hash = format!("{:016x}-", hasher.finish());
    let end = id.ceil_char_boundary(id.len() + hash.len() - MAX_ID_CHARS);
    hash + &id[end..]
}

#[derive(serde::Serialize)]
struct Body<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<OneHeader<'a>>,
    error: Cause<'a>,
}

/// Why the record failed, from the dead letter's headers.
#[derive(serde::Serialize)]
struct Cause<'a> {
    message: Option<&'a str>,
    r#type: Option<&'a str>,
    stage: Option<&'a str>,
    attempts: Option<u32>,
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    omitted_bytes: Option<u64>,
}

impl<'a> Cause<'a> {
    fn read(ours: &'a [Header]) -> Self {
        let text = |name: &str| {
            let value = ours.iter().find(|it| it.is_named(name))?.value.as_ref()?;
            std::str::from_utf8(value).ok()
        };
        Self {
            message: text(header::ERROR_MESSAGE),
            r#type: text(header::ERROR_TYPE),
            stage: text(header::STAGE),
            attempts: text(header::ATTEMPTS).and_then(|it| it.parse().ok()),
            group: text(header::GROUP),
            omitted_bytes: text(header::OMITTED_BYTES).and_then(|it| it.parse().ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;
    use crate::dead_letter::{Reason, Stage, dead_letter, pointer};
    use crate::record::{Timestamp, TopicPartition};

    fn letter(record: &Record) -> Record {
        let reason = Reason {
            stage: Stage::Handle,
            error: "no \"room\"\u{1}\u{FFFF}",
            attempts: 3,
            group_id: "g",
        };
        dead_letter(record, &reason)
    }

    fn record() -> Record {
        let header = |name, value: Option<&'static [u8]>| Header::new(name, value.map(Bytes::from_static));
        Record {
            timestamp: Some(Timestamp::create_time(5)),
            key: Some(Bytes::from_static(b"k\xFF")),
            value: Some(Bytes::from_static(b"{}")),
            headers: vec![
                header("h", Some(b"a\xEB")),
                header("h", None),
                header("__connect.errors.topic", Some(b"before")),
            ],
            ..Record::new(TopicPartition::new("orders", 3), 17)
        }
    }

    fn json_of(letter: &Record) -> Value {
        serde_json::from_str(&body(letter).expect("it fits")).expect("it is JSON")
    }

    #[test]
    fn a_body_has_the_shape_of_lambda_s_own_event_and_the_error() {
        let expected = json!({
            "topic": "orders", "partition": 3, "offset": 17, "timestamp": 5, "key": "a/8=", "value": "e30=",
            "headers": [
                {"h": [97, -21]}, {"h": null}, {"__connect.errors.topic": [98, 101, 102, 111, 114, 101]},
            ],
            "error": {
                "message": "no \"room\"\u{1}\u{FFFF}", "type": "HandlerError", "stage": "TASK_PUT", "attempts": 3,
                "group": "g",
            },
        });
        assert_eq!(json_of(&letter(&record())), expected);
    }

    #[test]
    fn a_tombstone_is_null_and_an_empty_value_is_not() {
        let with = |value| json_of(&letter(&Record { value, ..record() }))["value"].clone();
        assert_eq!(with(None), Value::Null);
        assert_eq!(with(Some(Bytes::new())), json!(""));
        let bare = Record {
            key: None,
            timestamp: None,
            ..record()
        };
        let body = json_of(&letter(&bare));
        assert_eq!((&body["key"], &body["timestamp"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn a_pointer_has_the_size_of_the_record() {
        let body = json_of(&pointer(&letter(&record())));
        // Key 2, value 2, headers 3 + 1 + 28.
        assert_eq!(body["error"]["omitted_bytes"], 36);
        assert_eq!((&body["value"], &body["headers"]), (&json!(""), &json!([])));
        assert_eq!(body["offset"], 17);
    }

    #[test]
    fn a_body_holds_only_characters_that_sqs_accepts() {
        let name: String = (0..=0xFFFF).filter_map(char::from_u32).collect();
        let headers = vec![Header::new(name, None)];
        let body = body(&letter(&Record { headers, ..record() })).expect("it fits");
        let taken = |c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..);
        assert!(body.chars().all(taken));
        assert!(serde_json::from_str::<Value>(&body).is_ok());
    }

    #[test]
    fn a_header_name_that_is_not_text_is_shown_as_text() {
        let headers = vec![Header::new(&b"caf\xE9"[..], None)];
        let body = json_of(&letter(&Record { headers, ..record() }));
        assert_eq!(body["headers"], json!([{"caf\u{FFFD}": null}]));
    }

    #[test]
    fn a_record_above_the_limit_of_sqs_is_not_encoded() {
        let with = |bytes: usize| Record {
            value: Some(Bytes::from(vec![0; bytes])),
            ..record()
        };
        assert_eq!(body(&with(MAX_BYTES)), None);
        assert!(body(&with(MAX_BYTES / 2)).is_some());
        // `topic`, `String` and `orders`; `partition`, `Number` and `3`; `offset`, `Number` and `17`.
        assert_eq!(max_body_bytes(&record()), MAX_BYTES - 17 - 16 - 14);
    }

    #[test]
    fn ids_name_the_partition_and_the_record() {
        let letter = letter(&record());
        assert_eq!(group(&letter), "orders-3");
        assert_eq!(deduplication(&letter), "orders-3-17");
    }

    #[test]
    fn ids_of_long_topics_fit_and_stay_different() {
        let of = |topic: String, offset| {
            let record = Record {
                partition: TopicPartition::new(topic, 3),
                offset,
                ..record()
            };
            (group(&record), deduplication(&record))
        };
        let (long, other) = ("t".repeat(249), format!("x{}", "t".repeat(248)));
        let (group, id) = of(long.clone(), 17);
        assert_eq!((group.len(), id.len()), (128, 128));
        assert!(group.ends_with("t-3") && id.ends_with("t-3-17"), "{id}");
        assert_ne!(id, of(long, 18).1);
        assert_ne!(id, of(other, 17).1);
        assert_eq!(of("t".repeat(123), 17).1, format!("{}-3-17", "t".repeat(123)));
    }
}
