//! Bytes -> value, by `MESSAGE_FORMAT`. Values are borrowed, never copied.

use std::str::Utf8Error;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::config::MessageFormat;
use crate::record::{Record, TopicPartition};

/// A record's value, validated by `MESSAGE_FORMAT`.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// No value: the key was deleted. Valid in each format.
    Tombstone,
    /// Valid JSON, as it was written.
    Json(&'a RawValue),
    /// Valid UTF-8.
    Text(&'a str),
    /// Anything.
    Bytes(&'a [u8]),
}

/// Why a value cannot be decoded. It names the record and the position in its
/// value, and shows nothing of the value itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record at offset {offset} of {partition} is {reason}{position}")]
pub struct DecodeError {
    /// The record's partition.
    pub partition: TopicPartition,
    /// The record's offset.
    pub offset: i64,
    /// The expected format and the problem: the same for all records with this
    /// problem, wherever it is in their values.
    pub reason: String,
    position: String,
}

/// A problem in a value, and its position where it has one.
struct Problem {
    what: String,
    /// Behind `what`, or empty.
    position: String,
}

impl Problem {
    fn of_the_whole(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            position: String::new(),
        }
    }
}

/// The value of `record` in `format`.
///
/// # Errors
/// When the bytes are not of that format. An empty value is text and bytes,
/// but not JSON. A UTF-8 byte order mark before JSON is not part of it.
pub fn decode(format: MessageFormat, record: &Record) -> Result<Value<'_>, DecodeError> {
    let Some(bytes) = record.value.as_deref() else {
        return Ok(Value::Tombstone);
    };
    match format {
        MessageFormat::Json => parse(bytes)
            .map(Value::Json)
            .map_err(|problem| undecodable(record, "valid JSON", problem)),
        MessageFormat::Text => std::str::from_utf8(bytes).map(Value::Text).map_err(|error| {
            let problem = beginning(bytes).unwrap_or_else(|| text_problem(error));
            undecodable(record, "valid UTF-8", problem)
        }),
        MessageFormat::Bytes => Ok(Value::Bytes(bytes)),
    }
}

/// How many of `records`, from the first on, are of that format, and the error
/// of the one after them.
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
    parse(bytes)
        .map(Some)
        .map_err(|problem| undecodable(record, "JSON of the expected shape", problem))
}

/// What begins a text in UTF-8 that some editors and programs on Windows write.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    let json = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    serde_json::from_slice(json).map_err(|error| {
        beginning(bytes).unwrap_or_else(|| {
            let mut problem = json_problem(&error, json);
            if json.len() < bytes.len() {
                problem.position += ", behind a UTF-8 byte order mark";
            }
            problem
        })
    })
}

/// The format that an undecodable value begins as; `None` if it is not recognised.
///
/// | bytes | |
/// |---|---|
/// | `FF FE`, `FE FF` | UTF-16 |
/// | `00` and four bytes | a schema registry's framing: the id of the schema |
/// | `1F 8B`; `28 B5 2F FD`; `04 22 4D 18` | gzip, zstd, LZ4: compressed by the application |
/// | `Obj` `01` | an Avro file |
fn beginning(bytes: &[u8]) -> Option<Problem> {
    let what = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16",
        [0, id @ ..] if id.len() >= 4 => {
            let id = id.first_chunk().map(|id| u32::from_be_bytes(*id))?;
            let what = format!("it begins with the framing of a schema registry, schema id {id}");
            return Some(Problem::of_the_whole(what));
        }
        [0x1f, 0x8b, ..] => "gzip",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        [0x04, 0x22, 0x4d, 0x18, ..] => "LZ4",
        [b'O', b'b', b'j', 1, ..] => "an Avro file",
        _ => return None,
    };
    Some(Problem::of_the_whole(format!("it begins as {what} does")))
}

fn undecodable(record: &Record, expected: &str, problem: Problem) -> DecodeError {
    DecodeError {
        partition: record.partition.clone(),
        offset: record.offset,
        reason: format!("not {expected}: {}", problem.what),
        position: problem.position,
    }
}

/// As `std` words it.
fn text_problem(error: Utf8Error) -> Problem {
    let what = match error.error_len() {
        Some(length) => format!("invalid utf-8 sequence of {length} bytes"),
        None => "incomplete utf-8 byte sequence".to_owned(),
    };
    Problem {
        what,
        position: format!(" from index {}", error.valid_up_to()),
    }
}

/// Not serde's own message, which may quote the value.
fn json_problem(error: &serde_json::Error, json: &[u8]) -> Problem {
    use serde_json::error::Category;
    if json.trim_ascii().is_empty() {
        return Problem::of_the_whole("it is empty");
    }
    let what = match error.classify() {
        Category::Syntax => "a syntax error",
        Category::Eof => "it ends too early",
        Category::Data => "a value of another type, or a missing field",
        Category::Io => "it could not be read",
    };
    Problem {
        what: what.to_owned(),
        position: format!(" at line {}, column {}", error.line(), error.column()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn record(value: Option<&'static [u8]>) -> Record {
        Record {
            value: value.map(Bytes::from_static),
            ..Record::new(TopicPartition::new("orders", 2), 41)
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
    fn a_byte_order_mark_before_json_is_not_part_of_it() {
        let marked = record(Some(b"\xef\xbb\xbf {\"a\": 1}"));
        let Ok(Value::Json(raw)) = decode(MessageFormat::Json, &marked) else {
            panic!("it is JSON")
        };
        assert_eq!(raw.get(), "{\"a\": 1}");
        assert_eq!(check(MessageFormat::Json, std::slice::from_ref(&marked)), (1, None));
        assert_eq!(json::<u32>(&record(Some(b"\xef\xbb\xbf7"))), Ok(Some(7)));
    }

    #[test]
    fn a_value_that_is_recognisably_no_json_is_named_by_what_it_is() {
        let rows: [(&[u8], &str); 11] = [
            (b"", "it is empty"),
            (b" \n", "it is empty"),
            (b"\xef\xbb\xbf", "it is empty, behind a UTF-8 byte order mark"),
            (
                b"\0\0\0\0\x07{\"a\":1}",
                "it begins with the framing of a schema registry, schema id 7",
            ),
            (b"\xff\xfe{\0}\0", "it begins as UTF-16 does"),
            (b"\xfe\xff\0{\0}", "it begins as UTF-16 does"),
            (b"\x1f\x8bplanted", "it begins as gzip does"),
            (b"\x28\xb5\x2f\xfdplanted", "it begins as zstd does"),
            (b"Obj\x01planted", "it begins as an Avro file does"),
            (b"\0\0\0\0", "a syntax error at line 1, column 1"),
            (
                b"\xef\xbb\xbfplanted",
                "a syntax error at line 1, column 1, behind a UTF-8 byte order mark",
            ),
        ];
        for (value, expected) in rows {
            let value: &'static [u8] = value.to_vec().leak();
            let error = decode(MessageFormat::Json, &record(Some(value))).expect_err(expected);
            assert_eq!(
                error.to_string(),
                format!("the record at offset 41 of orders-2 is not valid JSON: {expected}")
            );
            let error = json::<u32>(&record(Some(value))).expect_err(expected).to_string();
            assert!(error.ends_with(expected), "{error}");
        }
        let utf_16 = decode(MessageFormat::Text, &record(Some(b"\xff\xfe{\0}\0"))).expect_err("no UTF-8");
        assert!(utf_16.to_string().ends_with("it begins as UTF-16 does"), "{utf_16}");
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
    fn errors_that_differ_by_position_have_the_same_reason() {
        for (format, bad, expected, position) in [
            (
                MessageFormat::Json,
                &b"{\"a\":\n x}"[..],
                "not valid JSON: a syntax error",
                " at line 2, column 2",
            ),
            (
                MessageFormat::Json,
                b"[1,",
                "not valid JSON: it ends too early",
                " at line 1, column 3",
            ),
            (
                MessageFormat::Text,
                b"ab\xff",
                "not valid UTF-8: invalid utf-8 sequence of 1 bytes",
                " from index 2",
            ),
            (
                MessageFormat::Text,
                b"a\xc3",
                "not valid UTF-8: incomplete utf-8 byte sequence",
                " from index 1",
            ),
        ] {
            let error = decode(format, &record(Some(bad))).map(|_| ()).unwrap_err();
            assert_eq!(error.reason, expected);
            assert_eq!(
                error.to_string(),
                format!("the record at offset 41 of orders-2 is {expected}{position}")
            );
        }
    }

    #[test]
    fn invalid_utf_8_is_described_as_by_the_standard_library() {
        for bad in [&b"\xff"[..], b"ab\xe2\x82", b"a\xe2\x28\xa1", b"\xf0\x9f\x98"] {
            let error = std::str::from_utf8(bad).expect_err("not UTF-8");
            let problem = text_problem(error);
            assert_eq!(problem.what + &problem.position, error.to_string());
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
