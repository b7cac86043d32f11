//! Invocation JSON -> [`Request`].
//!
//! A schedule starts a run, so most events have no fields of ours: `{}`, or an envelope of
//! `EventBridge` or its Scheduler without a detail. Other requests have the fields below, on their
//! own or as the envelope's `detail`. An unknown field is an error: a misspelt field that was
//! ignored would start a full run.

mod backfill_request;
mod invalid;
mod json;
mod shard;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::config::{MessageLimit, whole_number};
use crate::text;

use self::shard::SHARD_ALLOWED;

pub use self::backfill_request::{BackfillName, BackfillRequest, Bound, short};
pub use self::invalid::InvalidEvent;
pub use self::shard::Shard;

/// The fields of an envelope: `EventBridge`'s, its Scheduler's, and that of a replayed archive.
const ENVELOPE_FIELDS: [&str; 10] = [
    "version",
    "id",
    "detail-type",
    "source",
    "account",
    "time",
    "region",
    "resources",
    "detail",
    "replay-name",
];

/// Sources whose events are envelopes even when a test event leaves out the other fields.
const ENVELOPE_SOURCES: [&str; 2] = ["aws.events", "aws.scheduler"];

/// The fields of a run, for messages.
const FIELDS: &str = "`action`, `max_messages`, `partitions` and `shard`";

/// The longest part of a value or a field's name in a message, in bytes.
const MAX_SHOWN_BYTES: usize = 80;

/// What an invocation requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Process the records after the cursors.
    Run(RunRequest),
    /// Return what such a run would do; change nothing.
    Plan(RunRequest),
    /// Process a range of offsets again, with cursors of its own.
    Backfill(BackfillRequest),
}

/// The fields of a run. By default a run reads all partitions, within the configured limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunRequest {
    /// The limit of this run; `None`: `MAX_MESSAGES`.
    pub max_messages: Option<MessageLimit>,
    /// The partitions of every topic to read: ascending, none twice, none negative, at least one.
    /// `None`: all.
    pub partitions: Option<Vec<i32>>,
    /// The shard to read; `None`: all partitions. With `partitions`, the run reads those that are in
    /// both, at least one.
    pub shard: Option<Shard>,
}

impl RunRequest {
    /// Whether the run reads this partition.
    #[must_use]
    pub fn includes(&self, partition: i32) -> bool {
        self.partitions
            .as_ref()
            .is_none_or(|partitions| partitions.binary_search(&partition).is_ok())
            && self.shard.is_none_or(|shard| shard.contains(partition))
    }
}

impl Request {
    /// Reads the text of an invocation's payload.
    ///
    /// # Errors
    ///
    /// The text is not JSON, or a key stands twice in one object; else as [`from_event`](Self::from_event).
    pub fn from_json(text: &[u8]) -> Result<Self, InvalidEvent> {
        Self::from_event(&json::read(text, "the event")?)
    }

    /// Reads an invocation's payload; null is the same as `{}`. A field that is null is not set.
    /// Whole numbers are taken however they are written: `5`, `5.0`, `5e0`, `"5"`.
    ///
    /// # Errors
    ///
    /// The first field or value in the event that is not valid.
    pub fn from_event(event: &Value) -> Result<Self, InvalidEvent> {
        let event = match event {
            Value::Null => return Ok(Self::Run(RunRequest::default())),
            Value::Object(event) => event,
            other => return Err(InvalidEvent::NotAnObject { found: kind(other) }),
        };
        if let (Some(source), Some(_)) = (event.get("eventSource"), event.get("records")) {
            return Err(InvalidEvent::NativeKafkaEvent {
                event_source: shown(source),
            });
        }
        if is_envelope(event) {
            Self::from_envelope(event)
        } else {
            Self::from_fields(&fields(event, ""))
        }
    }

    fn from_envelope(event: &Map<String, Value>) -> Result<Self, InvalidEvent> {
        let beside = event
            .iter()
            .filter(|(name, _)| !ENVELOPE_FIELDS.contains(&name.as_str()));
        let mut all: Fields<'_> = beside
            .map(|(name, value)| {
                (
                    name.as_str(),
                    Field {
                        path: name.clone(),
                        value,
                    },
                )
            })
            .collect();
        let detail = parse_detail(event.get("detail"))?;
        for (name, field) in fields(&detail, "detail.") {
            if all.insert(name, field).is_some() {
                return Err(InvalidEvent::GivenTwice { field: cut(name) });
            }
        }
        Self::from_fields(&all)
    }

    fn from_fields(fields: &Fields<'_>) -> Result<Self, InvalidEvent> {
        // First: it decides which fields there are.
        let action = match fields.get("action").map(|field| field.value) {
            None | Some(Value::Null) => "run",
            Some(Value::String(action)) if action == "backfill" => {
                return BackfillRequest::from_fields(fields).map(Self::Backfill);
            }
            Some(Value::String(action)) if ["run", "plan"].contains(&action.as_str()) => action,
            Some(other) => {
                return Err(InvalidEvent::UnknownAction { value: shown(other) });
            }
        };
        let mut run = RunRequest::default();
        for (name, field) in fields {
            match *name {
                "action" => {}
                "max_messages" | "partitions" | "shard" if field.value.is_null() => {}
                "max_messages" => run.max_messages = Some(field.max_messages()?),
                "partitions" => run.partitions = Some(field.partitions()?),
                "shard" => run.shard = Some(field.shard()?),
                _ => {
                    return Err(InvalidEvent::UnknownField {
                        field: cut(&field.path),
                        allowed: FIELDS,
                    });
                }
            }
        }
        if let (Some(partitions), Some(shard)) = (&run.partitions, run.shard)
            && !partitions.iter().any(|partition| shard.contains(*partition))
        {
            return Err(InvalidEvent::NothingSelected { shard });
        }
        Ok(if action == "plan" {
            Self::Plan(run)
        } else {
            Self::Run(run)
        })
    }
}

/// A field, with its path in the event.
struct Field<'a> {
    path: String,
    value: &'a Value,
}

/// Fields by name, so that of several errors always the same is reported.
type Fields<'a> = BTreeMap<&'a str, Field<'a>>;

fn fields<'a>(object: &'a Map<String, Value>, prefix: &str) -> Fields<'a> {
    object
        .iter()
        .map(|(name, value)| {
            (
                name.as_str(),
                Field {
                    path: format!("{prefix}{name}"),
                    value,
                },
            )
        })
        .collect()
}

impl Field<'_> {
    fn text(&self) -> Option<&str> {
        self.value.as_str()
    }

    fn max_messages(&self) -> Result<MessageLimit, InvalidEvent> {
        let limit = match (whole::<u64>(self.value), self.text()) {
            (Some(number), _) => number.to_string().parse().ok(),
            (None, text) => text.and_then(|text| text.parse().ok()),
        };
        limit.ok_or_else(|| self.invalid(MessageLimit::ALLOWED))
    }

    fn partitions(&self) -> Result<Vec<i32>, InvalidEvent> {
        let allowed = "must be an array of partition numbers, at least one; for all partitions leave it out";
        let numbers = self.value.as_array().filter(|numbers| !numbers.is_empty());
        let mut partitions = numbers
            .ok_or_else(|| self.invalid(allowed))?
            .iter()
            .enumerate()
            .map(|(index, value)| {
                whole(value)
                    .filter(|partition: &i32| *partition >= 0)
                    .ok_or_else(|| InvalidEvent::InvalidValue {
                        field: format!("{}[{index}]", cut(&self.path)),
                        value: shown(value),
                        allowed: "must be a partition number, 0 to 2147483647",
                    })
            })
            .collect::<Result<Vec<i32>, _>>()?;
        partitions.sort_unstable();
        partitions.dedup();
        Ok(partitions)
    }

    fn shard(&self) -> Result<Shard, InvalidEvent> {
        self.value
            .as_str()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| self.invalid(SHARD_ALLOWED))
    }

    fn invalid(&self, allowed: &'static str) -> InvalidEvent {
        InvalidEvent::InvalidValue {
            field: cut(&self.path),
            value: shown(self.value),
            allowed,
        }
    }
}

/// From here on (2^53) a float does not represent every whole number.
const MIN_INEXACT: f64 = 9_007_199_254_740_992.0;

/// A whole number, as a number or as text: templates often have text only. `None` for anything else,
/// for a number that does not fit, and for a float that is not exact.
fn whole<T: TryFrom<i128>>(value: &Value) -> Option<T> {
    match value {
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => T::try_from(number.into()).ok(),
            (None, Some(number), _) => T::try_from(number.into()).ok(),
            (None, None, Some(float)) if float.abs() < MIN_INEXACT => whole_number(&float.to_string()),
            _ => None,
        },
        Value::String(text) => whole_number(text),
        _ => None,
    }
}

/// Every envelope has a `detail-type`. A `source` alone marks an envelope only if it is one of AWS's
/// schedulers; any other `source` is an unknown field.
fn is_envelope(event: &Map<String, Value>) -> bool {
    event.contains_key("detail-type")
        || event
            .get("source")
            .and_then(Value::as_str)
            .is_some_and(|source| ENVELOPE_SOURCES.contains(&source))
}

/// The Scheduler sends its detail as text.
fn parse_detail(detail: Option<&Value>) -> Result<Map<String, Value>, InvalidEvent> {
    let parsed = match detail {
        None => Value::Null,
        Some(Value::String(text)) if text.trim().is_empty() => Value::Null,
        Some(Value::String(text)) => json::read(text.as_bytes(), "the text in `detail`")?,
        Some(other) => other.clone(),
    };
    match (parsed, detail) {
        (Value::Object(object), _) => Ok(object),
        (Value::Null, _) | (_, None) => Ok(Map::new()),
        (_, Some(detail)) => Err(InvalidEvent::InvalidValue {
            field: "detail".to_owned(),
            value: shown(detail),
            allowed: "must be a JSON object, or text that holds one",
        }),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The value as JSON, cut.
fn shown(value: &Value) -> String {
    cut(&value.to_string())
}

/// The text, cut, on one line.
fn cut(text: &str) -> String {
    // A field's name may hold line breaks.
    text::cut(text, MAX_SHOWN_BYTES).replace(char::is_control, " ")
}
