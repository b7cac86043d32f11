//! A dead letter -> the parts of its message.

use crate::dead_letter::{header, pointer, split};
use crate::destination::batched::{Encoder, Limits, Unfit};
use crate::destination::message::id::{self, Grouping};
use crate::destination::message::{Attribute, Message, allowed_json};
use crate::destination::sqs::MAX_BYTES;
use crate::kafka_event::{OneHeader, base64};
use crate::record::{Header, Record};

/// Makes the messages of dead letters.
pub(super) struct LetterMessages;

impl Encoder<Message> for LetterMessages {
    fn encode(&self, letter: &Record) -> Result<Message, Unfit> {
        if letter.size_bytes() > MAX_BYTES {
            return Err(Unfit::TooLarge);
        }
        let body = body(letter).map_err(|error| Unfit::Invalid(error.to_string()))?;
        Ok(Message {
            body,
            attributes: vec![
                Attribute::text("topic", &*letter.partition.topic),
                Attribute::number("partition", letter.partition.partition),
                Attribute::number("offset", letter.offset),
            ],
            group: id::group(letter, Grouping::Partition),
            deduplication: id::deduplication(letter),
        })
    }

    /// The [`pointer`] to the record.
    fn reduced(&self, letter: &Record) -> Option<Message> {
        self.encode(&pointer(letter)).ok()
    }

    fn too_large(&self, _: Limits) -> String {
        "not even a pointer to the record fits. Raise the queue's MaximumMessageSize".to_owned()
    }
}

/// The body as JSON.
fn body(letter: &Record) -> serde_json::Result<String> {
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
    serde_json::to_string(&body).map(allowed_json)
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
    use crate::dead_letter::{Reason, Stage, dead_letter};
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
    fn a_record_above_the_limit_of_sqs_is_not_encoded_and_its_pointer_is_sent() {
        let with = |bytes: usize| Record {
            value: Some(Bytes::from(vec![0; bytes])),
            ..record()
        };
        assert_eq!(LetterMessages.encode(&with(MAX_BYTES)), Err(Unfit::TooLarge));
        assert!(LetterMessages.encode(&with(MAX_BYTES / 2)).is_ok());
        let reduced = LetterMessages.reduced(&letter(&with(MAX_BYTES))).expect("a pointer");
        assert!(reduced.body.contains("\"omitted_bytes\":1048610"), "{}", reduced.body);
    }
}
