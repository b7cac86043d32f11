//! Bytes -> value, by `MESSAGE_FORMAT`. Values are borrowed, never copied.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::config::MessageFormat;
use crate::record::{Record, TopicPartition};

/// A record's value, once it is known to be what `MESSAGE_FORMAT` says.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// No value: the key was deleted. Legal in each format.
    Tombstone,
    /// Valid JSON, as it was written.
    Json(&'a RawValue),
    /// Valid UTF-8.
    Text(&'a str),
    /// Anything.
    Bytes(&'a [u8]),
}

/// Why a value cannot be decoded. It names the record and the place in its
/// value, and shows nothing of the value itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record at offset {offset} of {partition} is not {expected}: {problem}")]
pub struct DecodeError {
    /// Where the record lies.
    pub partition: TopicPartition,
    /// The record's offset.
    pub offset: i64,
    expected: &'static str,
    problem: String,
}

/// The value of `record` in `format`.
///
/// # Errors
/// When the bytes are not of that format. An empty value is text and bytes,
/// but not JSON.
pub fn decode(format: MessageFormat, record: &Record) -> Result<Value<'_>, DecodeError> {
    let Some(bytes) = record.value.as_deref() else {
        return Ok(Value::Tombstone);
    };
    match format {
        MessageFormat::Json => serde_json::from_slice(bytes)
            .map(Value::Json)
            .map_err(|error| undecodable(record, "valid JSON", json_problem(&error))),
        MessageFormat::Text => std::str::from_utf8(bytes)
            .map(Value::Text)
            .map_err(|error| undecodable(record, "valid UTF-8", error.to_string())),
        MessageFormat::Bytes => Ok(Value::Bytes(bytes)),
    }
}

/// How many of `records`, from the first on, are of that format, and what is
/// wrong with the one after them.
#[must_use]
pub fn check(format: MessageFormat, records: &[Record]) -> (usize, Option<DecodeError>) {
    for (good, record) in records.iter().enumerate() {
        if let Err(error) = decode(format, record) {
            return (good, Some(error));
        }
    }
    (records.len(), None)
}

/// The JSON value of `record` as a `T`; `None` for a tombstone.
///
/// # Errors
/// When the value is not JSON, or not a `T`.
pub fn json<T: DeserializeOwned>(record: &Record) -> Result<Option<T>, DecodeError> {
    let Some(bytes) = record.value.as_deref() else {
        return Ok(None);
    };
    serde_json::from_slice(bytes)
        .map(Some)
        .map_err(|error| undecodable(record, "JSON of the expected shape", json_problem(&error)))
}

/// What a [`DecodeError`] says, without the places: neither where the record
/// lies nor where in its value the problem is. Another text is returned as it is.
#[must_use]
pub fn without_place(text: &str) -> &str {
    let rest = text.strip_prefix("the record at offset ");
    let Some((_, problem)) = rest.and_then(|rest| rest.split_once(" is ")) else {
        return text;
    };
    let places = [" at line ", " from index "];
    let end = places.into_iter().filter_map(|place| problem.rfind(place)).min();
    &problem[..end.unwrap_or(problem.len())]
}

fn undecodable(record: &Record, expected: &'static str, problem: String) -> DecodeError {
    DecodeError {
        partition: record.partition.clone(),
        offset: record.offset,
        expected,
        problem,
    }
}

/// What is wrong and where, in words of our own: a message of serde's may
/// quote the value.
fn json_problem(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Syntax => "a syntax error",
        Category::Eof => "it ends too early",
        Category::Data => "a value of another type, or a missing field",
        Category::Io => "it could not be read",
    };
    format!("{what} at line {}, column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn record(value: Option<&'static [u8]>) -> Record {
        Record {
            partition: TopicPartition::new("orders", 2),
            offset: 41,
            timestamp_ms: None,
            key: None,
            value: value.map(Bytes::from_static),
            headers: vec![],
        }
    }

    #[test]
    fn a_tombstone_is_a_value_in_each_format() {
        for format in [MessageFormat::Json, MessageFormat::Text, MessageFormat::Bytes] {
            assert!(matches!(decode(format, &record(None)), Ok(Value::Tombstone)));
        }
        assert_eq!(json::<u32>(&record(None)), Ok(None));
    }

    #[test]
    fn json_is_checked_as_a_whole_and_handed_on_as_written() {
        for good in [&b"{\"a\": 1}"[..], b"null", b" [1 , 2] ", b"\"x\"", b"1e400"] {
            let record = record(Some(good));
            let Ok(Value::Json(raw)) = decode(MessageFormat::Json, &record) else {
                panic!("{good:?}")
            };
            assert_eq!(raw.get().as_bytes(), good.trim_ascii());
        }
        for bad in [&b""[..], b"{", b"{\"a\":1} x", b"{'a':1}", b"\"\xff\"", b"nul"] {
            assert!(decode(MessageFormat::Json, &record(Some(bad))).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn deeply_nested_json_is_no_danger() {
        let deep: &'static [u8] = "[".repeat(200_000).leak().as_bytes();
        assert!(decode(MessageFormat::Json, &record(Some(deep))).is_err());
    }

    #[test]
    fn text_is_utf_8_and_bytes_are_anything() {
        assert!(matches!(
            decode(MessageFormat::Text, &record(Some(b""))),
            Ok(Value::Text(""))
        ));
        assert!(decode(MessageFormat::Text, &record(Some(b"\xc3\x28"))).is_err());
        assert!(matches!(
            decode(MessageFormat::Bytes, &record(Some(b"\xc3\x28"))),
            Ok(Value::Bytes(_))
        ));
    }

    #[test]
    fn errors_that_differ_by_place_are_the_same_without_it() {
        for (format, bad, expected) in [
            (
                MessageFormat::Json,
                &b"{\"a\":\n x}"[..],
                "not valid JSON: a syntax error",
            ),
            (MessageFormat::Json, b"[1,", "not valid JSON: it ends too early"),
            (
                MessageFormat::Text,
                b"ab\xff",
                "not valid UTF-8: invalid utf-8 sequence of 1 bytes",
            ),
        ] {
            let error = decode(format, &record(Some(bad))).map(|_| ()).unwrap_err();
            assert_eq!(without_place(&error.to_string()), expected);
        }
        for other in ["customer 7 is gone at line 2", ""] {
            assert_eq!(without_place(other), other);
        }
    }

    #[test]
    fn an_error_names_topic_partition_and_offset_and_nothing_of_the_value() {
        let error = decode(MessageFormat::Json, &record(Some(b"planted")))
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "the record at offset 41 of orders-2 is not valid JSON: a syntax error at line 1, column 1"
        );
        let error = json::<u32>(&record(Some(b"\"planted\""))).unwrap_err().to_string();
        assert!(!error.contains("planted"), "{error}");
    }
}
