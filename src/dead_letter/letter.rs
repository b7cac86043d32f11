//! A failed record -> its dead letter. Pure: no clock, no environment, no I/O.
//!
//! A dead letter is the record as it was, key, value and headers in their
//! order, the headers' names byte for byte, with headers behind them that hold
//! its origin and its error. They are those that Kafka Connect writes for its sink connectors, so
//! that tools which read Connect's dead letter queues read these. All values
//! are UTF-8 text, numbers too.
//!
//! | header | value | Connect |
//! |---|---|---|
//! | `__connect.errors.topic` | the topic that the record was read from | same |
//! | `__connect.errors.partition` | its partition | same |
//! | `__connect.errors.offset` | its offset | same |
//! | `__connect.errors.connector.name` | the group id, `KAFKA_GROUP_ID` | the connector's name |
//! | `__connect.errors.stage` | `VALUE_CONVERTER`: decoding; `TASK_PUT`: the handler | same |
//! | `__connect.errors.exception.class.name` | `DecodeError`, `HandlerError` or `ProcessDied` | a Java class |
//! | `__connect.errors.exception.message` | the error, 1,000 bytes at most | same |
//! | `__connect.errors.timestamp` | the record's own time, in ms since 1970, if it has one | none |
//! | `__connect.errors.attempts` | how often it was tried, over all runs | none |
//! | `__connect.errors.omitted.bytes` | on a pointer alone: how large the record was | none |
//!
//! What Connect writes besides has no counterpart here: `task.id`,
//! `class.name` and `exception.stacktrace`.
//!
//! **A record that fails again** after it was sent back carries the
//! headers of its first failure. They stay where they are, and the new ones
//! come last, as with Connect: nothing of a record is ever taken away, and the
//! history can be read from top to bottom. Of two headers of one name **the
//! last counts**, which is what Kafka's own `lastHeader` returns.
//!
//! **A pointer** stands for a record that is too large for its target: the
//! same headers and `omitted.bytes`, without the record's own headers, with
//! its key if that is small, and with an empty value. Not a null one: that is a
//! tombstone, and whoever sends it back to a compacted topic would delete the
//! key. The record itself is where topic, partition and offset say, for as long
//! as retention leaves it there.

use bytes::Bytes;

use crate::record::{Header, Record};
use crate::text::cut;

/// Names of the headers of a dead letter.
pub mod header {
    /// The topic that the record was read from.
    pub const TOPIC: &str = "__connect.errors.topic";
    /// The partition that the record was read from.
    pub const PARTITION: &str = "__connect.errors.partition";
    /// The record's offset in that partition.
    pub const OFFSET: &str = "__connect.errors.offset";
    /// The group id.
    pub const GROUP: &str = "__connect.errors.connector.name";
    /// What was done when it failed, in Connect's words.
    pub const STAGE: &str = "__connect.errors.stage";
    /// What kind of failure it was.
    pub const ERROR_TYPE: &str = "__connect.errors.exception.class.name";
    /// The error's text.
    pub const ERROR_MESSAGE: &str = "__connect.errors.exception.message";
    /// The record's own time, in milliseconds since the Unix epoch.
    pub const TIMESTAMP: &str = "__connect.errors.timestamp";
    /// How often the record was tried, over all runs.
    pub const ATTEMPTS: &str = "__connect.errors.attempts";
    /// How large the record was that a pointer stands for, in bytes.
    pub const OMITTED_BYTES: &str = "__connect.errors.omitted.bytes";
}

/// Longer error texts are cut: brokers, queues and people want small headers.
const MAX_ERROR_BYTES: usize = 1_000;

/// Keys are names of things. One that is longer would make the pointer too
/// large for the smallest limit that a queue can have, 1 KiB.
const MAX_POINTER_KEY_BYTES: usize = 256;

/// What was done with the record when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It could not be decoded as `MESSAGE_FORMAT`.
    Decode,
    /// The handler refused it, or panicked.
    Handle,
    /// The process died with it: out of memory, aborted, timed out.
    Died,
}

impl Stage {
    /// Connect's name for the stage. Connect knows no death of the process: a
    /// worker that dies starts over.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decode => "VALUE_CONVERTER",
            Self::Handle | Self::Died => "TASK_PUT",
        }
    }

    /// The kind of failure, in the place of Connect's Java class.
    #[must_use]
    pub const fn error_type(self) -> &'static str {
        match self {
            Self::Decode => "DecodeError",
            Self::Handle => "HandlerError",
            Self::Died => "ProcessDied",
        }
    }
}

/// Why a record becomes a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason<'a> {
    /// What was done when it failed.
    pub stage: Stage,
    /// The error's text, which holds no value of the record. Cut at 1,000 bytes.
    pub error: &'a str,
    /// How often the record was tried, over all runs.
    pub attempts: u32,
    /// The group whose run gave up.
    pub group_id: &'a str,
}

/// The dead letter of `record`: the record with our headers behind its own.
///
/// It keeps the record's place and time, so that [`Record::id`] names the
/// record that failed.
#[must_use]
pub fn dead_letter(record: &Record, reason: &Reason<'_>) -> Record {
    let text = |name: &'static str, value: String| Header::new(name, Some(Bytes::from(value)));
    let mut letter = record.clone();
    letter.headers.extend([
        text(header::TOPIC, record.partition.topic.to_string()),
        text(header::PARTITION, record.partition.partition.to_string()),
        text(header::OFFSET, record.offset.to_string()),
        text(header::GROUP, reason.group_id.to_owned()),
        text(header::STAGE, reason.stage.name().to_owned()),
        text(header::ERROR_TYPE, reason.stage.error_type().to_owned()),
        text(header::ERROR_MESSAGE, cut(reason.error, MAX_ERROR_BYTES).into_owned()),
    ]);
    letter
        .headers
        .extend(record.timestamp_ms().map(|ms| text(header::TIMESTAMP, ms.to_string())));
    letter.headers.push(text(header::ATTEMPTS, reason.attempts.to_string()));
    letter
}

/// What stands for a [`dead_letter`] that is too large for its target.
#[must_use]
pub fn pointer(letter: &Record) -> Record {
    let (_, ours) = split(letter);
    let omitted_bytes = letter.size_bytes() - ours.iter().map(Header::size_bytes).sum::<usize>();
    let mut headers = ours.to_vec();
    let omitted_bytes = Bytes::from(omitted_bytes.to_string());
    headers.push(Header::new(header::OMITTED_BYTES, Some(omitted_bytes)));
    Record {
        timestamp: letter.timestamp,
        key: letter.key.clone().filter(|key| key.len() <= MAX_POINTER_KEY_BYTES),
        value: Some(Bytes::new()),
        headers,
        ..Record::new(letter.partition.clone(), letter.offset)
    }
}

/// A dead letter's headers: the record's own, and ours behind them, of which
/// there are none if `letter` is no dead letter.
#[must_use]
pub fn split(letter: &Record) -> (&[Header], &[Header]) {
    let headers = letter.headers.as_slice();
    // The last one: the record may have been a dead letter before.
    let first = headers.iter().rposition(|header| header.is_named(header::TOPIC));
    headers.split_at(first.unwrap_or(headers.len()))
}
