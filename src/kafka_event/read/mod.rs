//! An event -> the records of each partition, in the order of their offsets.
//!
//! Read are the event of an event source mapping, of MSK or of other clusters,
//! and the list of records that an `EventBridge` pipe sends. What senders differ in
//! is accepted: `key`, `value` and `headers` may be missing or `null`, the bytes
//! of headers signed or not, a header may be `{"key": name, "value": text}`.
//! Fields that are not named here are ignored.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{MSK, SELF_MANAGED};
use crate::record::{Chunk, Header, Record, Schema, Schemas, Timestamp, TimestampType, TopicPartition};

/// `eventSource` as some test events spell it.
const SELF_MANAGED_WITH_PREFIX: &str = "aws:SelfManagedKafka";

/// Why an event of a mapping cannot be read. No value of a record is named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// An event of another service.
    #[error(
        "the event is from {0:?}: this function reads events of Kafka (`{MSK}`, `{SELF_MANAGED}`) and schedules. Remove \
         the other trigger from the function"
    )]
    Source(String),
    /// A part of the event that is not as AWS writes it.
    #[error("{place}: {problem}. Records are read as AWS's event source mapping for Kafka sends them")]
    Shape {
        /// The path in the event, as `records.orders-0[3].value`.
        place: String,
        /// What is wrong there.
        problem: &'static str,
    },
}

/// The records of `json`, a chunk for each partition, in ascending order of
/// topic and partition; `None` if it is no event of a mapping or a pipe.
///
/// A record is known by its fields `topic`, `partition` and `offset`. Records
/// of a partition are sorted by offset; of two with the same one, the first is
/// kept.
///
/// # Errors
///
/// An event of another service's mapping, and one that is not as AWS writes it.
pub fn read(json: &str) -> Result<Option<Vec<Chunk>>, ReadError> {
    let records = if json.trim_start().starts_with('[') {
        match serde_json::from_str::<Vec<&RawValue>>(json) {
            Ok(elements) if !elements.is_empty() => of_pipe(&elements)?,
            // A pipe sends no empty list.
            _ => None,
        }
    } else {
        let Ok(event) = serde_json::from_str::<Probe<'_>>(json) else {
            return Ok(None);
        };
        of_mapping(&event)?
    };
    Ok(records.map(by_partition))
}

/// The fields that identify the source.
#[derive(Deserialize)]
struct Probe<'j> {
    #[serde(borrow, rename = "eventSource")]
    event_source: Option<&'j RawValue>,
    #[serde(borrow)]
    records: Option<&'j RawValue>,
    /// As other services name their records.
    #[serde(borrow, rename = "Records")]
    other_records: Option<&'j RawValue>,
}

/// The source of one record: `EventSource` is how SNS spells it.
#[derive(Deserialize)]
struct RecordProbe<'j> {
    #[serde(borrow, rename = "eventSource", alias = "EventSource")]
    event_source: Option<Cow<'j, str>>,
}

fn of_mapping(event: &Probe<'_>) -> Result<Option<Vec<Record>>, ReadError> {
    let Some(source) = event.event_source else {
        return match event.other_records.and_then(first_source) {
            Some(source) => Err(ReadError::Source(source)),
            None => Ok(None),
        };
    };
    let source: String = serde_json::from_str(source.get()).map_err(|_| ReadError::Shape {
        place: "eventSource".to_owned(),
        problem: "is not a text",
    })?;
    check_source(&source)?;
    let Some(records) = event.records else {
        return Ok(Some(Vec::new()));
    };
    let partitions: BTreeMap<String, Vec<EventRecord<'_>>> = shaped(records, "records")?;
    let places = partitions.into_iter().flat_map(|(partition, records)| {
        let place = move |index: usize| format!("records.{partition}[{index}]");
        records
            .into_iter()
            .enumerate()
            .map(move |(index, record)| (place(index), record))
    });
    places
        .map(|(place, record)| record.read(&place))
        .collect::<Result<_, _>>()
        .map(Some)
}

fn of_pipe(elements: &[&RawValue]) -> Result<Option<Vec<Record>>, ReadError> {
    let mut records = Vec::new();
    for (index, element) in elements.iter().enumerate() {
        let Some(source) = source(element) else {
            return Ok(None);
        };
        check_source(&source)?;
        let place = format!("[{index}]");
        records.push(shaped::<EventRecord<'_>>(element, &place)?.read(&place)?);
    }
    Ok(Some(records))
}

/// The source of the first of `records`.
fn first_source(records: &RawValue) -> Option<String> {
    let records: Vec<&RawValue> = serde_json::from_str(records.get()).ok()?;
    source(records.first()?)
}

fn source(record: &RawValue) -> Option<String> {
    let probe: RecordProbe<'_> = serde_json::from_str(record.get()).ok()?;
    probe.event_source.map(Cow::into_owned)
}

fn check_source(source: &str) -> Result<(), ReadError> {
    if [MSK, SELF_MANAGED, SELF_MANAGED_WITH_PREFIX].contains(&source) {
        Ok(())
    } else {
        Err(ReadError::Source(source.to_owned()))
    }
}

/// `json` as a `T`. The text of serde's error is left out: it may quote a value
/// of a record.
fn shaped<'j, T: Deserialize<'j>>(json: &'j RawValue, place: &str) -> Result<T, ReadError> {
    let mut json = serde_json::Deserializer::from_str(json.get());
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let below = error.path().to_string();
        let separator = if below.starts_with('[') || below == "." {
            ""
        } else {
            "."
        };
        ReadError::Shape {
            place: format!("{place}{separator}{}", if below == "." { "" } else { &below }),
            problem: "is missing or of another type",
        }
    })
}

fn by_partition(records: Vec<Record>) -> Vec<Chunk> {
    let mut partitions: BTreeMap<TopicPartition, Vec<Record>> = BTreeMap::new();
    for record in records {
        partitions.entry(record.partition.clone()).or_default().push(record);
    }
    let chunk = |mut records: Vec<Record>| {
        records.sort_by_key(|record| record.offset);
        records.dedup_by_key(|record| record.offset);
        Chunk::new(records)
    };
    partitions.into_values().filter_map(chunk).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventRecord<'j> {
    #[serde(borrow)]
    topic: Cow<'j, str>,
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    #[serde(borrow)]
    timestamp_type: Option<Cow<'j, str>>,
    #[serde(borrow)]
    key: Option<Cow<'j, str>>,
    #[serde(borrow)]
    value: Option<Cow<'j, str>>,
    headers: Option<Vec<BTreeMap<String, Option<HeaderValue>>>>,
    key_schema_metadata: Option<Schema>,
    value_schema_metadata: Option<Schema>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum HeaderValue {
    Bytes(Vec<i16>),
    Text(String),
}

impl EventRecord<'_> {
    fn read(self, place: &str) -> Result<Record, ReadError> {
        let wrong = |field: &str, problem: &'static str| ReadError::Shape {
            place: format!("{place}.{field}"),
            problem,
        };
        if self.partition < 0 {
            return Err(wrong("partition", "is below 0"));
        }
        if self.offset < 0 {
            return Err(wrong("offset", "is below 0"));
        }
        let decode = |field: &str, text: Option<Cow<'_, str>>| match text.map(|text| STANDARD.decode(&*text)) {
            None => Ok(None),
            Some(Ok(bytes)) => Ok(Some(Bytes::from(bytes))),
            Some(Err(_)) => Err(wrong(field, "is not base64")),
        };
        let headers = self
            .headers
            .unwrap_or_default()
            .into_iter()
            .map(headers_of)
            .collect::<Option<Vec<_>>>();
        Ok(Record {
            timestamp: timestamp(self.timestamp, self.timestamp_type.as_deref()),
            key: decode("key", self.key)?,
            value: decode("value", self.value)?,
            headers: headers
                .ok_or_else(|| wrong("headers", "hold a number that is no byte"))?
                .concat(),
            schemas: Schemas {
                key: self.key_schema_metadata,
                value: self.value_schema_metadata,
            },
            ..Record::new(TopicPartition::new(&*self.topic, self.partition), self.offset)
        })
    }
}

/// -1 is how Kafka writes that a record has none.
fn timestamp(ms: Option<i64>, kind: Option<&str>) -> Option<Timestamp> {
    let kind = match kind {
        Some("LOG_APPEND_TIME") => TimestampType::LogAppendTime,
        _ => TimestampType::CreateTime,
    };
    ms.filter(|ms| *ms >= 0).map(|ms| Timestamp { ms, kind })
}

/// The headers of one element of the list; `None` if a number is no byte.
fn headers_of(mut element: BTreeMap<String, Option<HeaderValue>>) -> Option<Vec<Header>> {
    if let (2, Some(Some(HeaderValue::Text(_))), true) =
        (element.len(), element.get("key"), element.contains_key("value"))
    {
        let value = element.remove("value").flatten();
        if let Some(Some(HeaderValue::Text(name))) = element.remove("key") {
            return Some(vec![header(name, value)?]);
        }
    }
    element.into_iter().map(|(name, value)| header(name, value)).collect()
}

fn header(name: String, value: Option<HeaderValue>) -> Option<Header> {
    let value = match value {
        None => None,
        Some(HeaderValue::Text(text)) => Some(Bytes::from(text)),
        Some(HeaderValue::Bytes(numbers)) => Some(numbers.into_iter().map(byte).collect::<Option<Bytes>>()?),
    };
    Some(Header::new(name, value))
}

/// A byte, written signed as Java does or unsigned.
fn byte(number: i16) -> Option<u8> {
    match i8::try_from(number) {
        Ok(signed) => Some(signed.cast_unsigned()),
        Err(_) => u8::try_from(number).ok(),
    }
}

#[cfg(test)]
mod tests;
