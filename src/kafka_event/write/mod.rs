//! Records -> events, each within a number of records and of bytes.

use std::num::NonZeroUsize;
use std::ops::Range;

use serde::Serialize;

use super::parts::append_base64;
use super::{EventSource, MSK, OneHeader, SELF_MANAGED};
use crate::record::{Chunk, Record, Schema, TimestampType};

/// The fields of an event other than its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The kind of cluster.
    pub source: EventSource,
    /// The brokers, comma-separated.
    pub bootstrap_servers: String,
}

/// Consecutive records of a chunk as one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Which records of the chunk: indexes, at least one.
    pub records: Range<usize>,
    /// The event as JSON.
    pub payload: Payload,
}

/// The JSON of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Within the limit.
    Fits(Vec<u8>),
    /// The record alone makes an event of this many bytes, which is above it.
    TooLarge {
        /// The size of the event.
        bytes: usize,
    },
}

/// The records of one chunk, each written once. Events are put together from them.
#[derive(Debug)]
pub struct Encoded {
    before: Vec<u8>,
    /// The records, with a comma between two.
    records: Vec<u8>,
    /// Where each record ends in `records`.
    ends: Vec<usize>,
}

/// What closes the list, the object of partitions and the event.
const AFTER: &[u8] = b"]}}";

impl Envelope {
    /// The records of `chunk`, written.
    ///
    /// # Errors
    ///
    /// None that a record can cause: the writer's, which needs memory alone.
    pub fn encode(&self, chunk: &Chunk) -> serde_json::Result<Encoded> {
        // Base64 has four characters for three bytes; the names of the fields and the place take about 150.
        let bytes = chunk.records().iter().map(|record| record.size_bytes() / 3 * 4 + 200);
        let mut records = Vec::with_capacity(bytes.sum());
        let mut ends = Vec::with_capacity(chunk.len());
        for record in chunk.records() {
            if !ends.is_empty() {
                records.push(b',');
            }
            write_record(&mut records, record)?;
            ends.push(records.len());
        }
        Ok(Encoded {
            before: self.before(&chunk.partition().to_string())?,
            records,
            ends,
        })
    }

    /// The event up to its first record.
    fn before(&self, partition: &str) -> serde_json::Result<Vec<u8>> {
        let (source, arn) = match &self.source {
            EventSource::SelfManaged => (SELF_MANAGED, None),
            EventSource::Msk { arn } => (MSK, Some(&**arn)),
        };
        let head = Head {
            source,
            arn,
            bootstrap_servers: &self.bootstrap_servers,
        };
        let mut json = serde_json::to_vec(&head)?;
        json.pop();
        json.extend_from_slice(b",\"records\":{");
        serde_json::to_writer(&mut json, partition)?;
        json.extend_from_slice(b":[");
        Ok(json)
    }
}

/// One record as JSON, as in an event.
///
/// # Errors
///
/// None that a record can cause: the writer's, which needs memory alone.
pub(crate) fn record_json(record: &Record) -> serde_json::Result<String> {
    let mut json = Vec::new();
    write_record(&mut json, record)?;
    String::from_utf8(json).map_err(serde::ser::Error::custom)
}

impl Encoded {
    /// The size of the event of these records, in bytes.
    #[must_use]
    pub fn size(&self, records: Range<usize>) -> usize {
        self.before.len() + self.bytes(records).len() + AFTER.len()
    }

    /// The event of these records.
    #[must_use]
    pub fn event(&self, records: Range<usize>) -> Vec<u8> {
        let mut json = Vec::with_capacity(self.size(records.clone()));
        json.extend_from_slice(&self.before);
        json.extend_from_slice(self.bytes(records));
        json.extend_from_slice(AFTER);
        json
    }

    /// These records, with a comma between two.
    fn bytes(&self, records: Range<usize>) -> &[u8] {
        if records.is_empty() {
            return &[];
        }
        let start = match records.start.checked_sub(1) {
            Some(before) => self.ends[before] + 1,
            None => 0,
        };
        &self.records[start..self.ends[records.end - 1]]
    }

    /// The longest batch that starts at the record `first`: at most `most`
    /// records, at most `max_bytes`; `None` behind the last record.
    #[must_use]
    pub fn batch(&self, first: usize, most: NonZeroUsize, max_bytes: usize) -> Option<Batch> {
        if first >= self.ends.len() {
            return None;
        }
        let last = self.ends.len().min(first.saturating_add(most.get()));
        let bytes = self.size(first..first + 1);
        if bytes > max_bytes {
            return Some(Batch {
                records: first..first + 1,
                payload: Payload::TooLarge { bytes },
            });
        }
        let fits = |end: &usize| self.size(first..*end) <= max_bytes;
        let end = (first + 1..=last).take_while(fits).last().unwrap_or(first + 1);
        Some(Batch {
            records: first..end,
            payload: Payload::Fits(self.event(first..end)),
        })
    }
}

/// The members of an event before its records.
#[derive(Serialize)]
struct Head<'a> {
    #[serde(rename = "eventSource")]
    source: &'a str,
    #[serde(rename = "eventSourceArn", skip_serializing_if = "Option::is_none")]
    arn: Option<&'a str>,
    #[serde(rename = "bootstrapServers")]
    bootstrap_servers: &'a str,
}

/// Writes a record as AWS does: no `key` for a record without one, no `value` for a tombstone,
/// `headers` always.
///
/// By hand, because key and value are most of an event, and a serializer would copy their base64
/// and search it for characters to escape.
fn write_record(json: &mut Vec<u8>, record: &Record) -> serde_json::Result<()> {
    json.extend_from_slice(b"{\"topic\":");
    serde_json::to_writer(&mut *json, &*record.partition.topic)?;
    let timestamp = record.timestamp;
    let timestamp_type = match timestamp.map(|timestamp| timestamp.kind) {
        Some(TimestampType::CreateTime) => "CREATE_TIME",
        Some(TimestampType::LogAppendTime) => "LOG_APPEND_TIME",
        // The name of Kafka's Java client; such records are older than Kafka 0.10.
        None => "NO_TIMESTAMP_TYPE",
    };
    let place = format!(
        ",\"partition\":{},\"offset\":{},\"timestamp\":{},\"timestampType\":\"{timestamp_type}\"",
        record.partition.partition,
        record.offset,
        timestamp.map_or(-1, |timestamp| timestamp.ms),
    );
    json.extend_from_slice(place.as_bytes());
    write_base64(json, "key", record.key.as_deref());
    write_base64(json, "value", record.value.as_deref());
    json.extend_from_slice(b",\"headers\":");
    let headers: Vec<OneHeader<'_>> = record.headers.iter().map(OneHeader).collect();
    serde_json::to_writer(&mut *json, &headers)?;
    write_schema(json, "keySchemaMetadata", record.schemas.key.as_ref())?;
    write_schema(json, "valueSchemaMetadata", record.schemas.value.as_ref())?;
    json.push(b'}');
    Ok(())
}

/// Writes a member of base64, if there are bytes.
fn write_base64(json: &mut Vec<u8>, name: &str, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else { return };
    json.extend_from_slice(format!(",\"{name}\":\"").as_bytes());
    append_base64(json, bytes);
    json.push(b'"');
}

/// Writes a member of a schema, if there is one.
fn write_schema(json: &mut Vec<u8>, name: &str, schema: Option<&Schema>) -> serde_json::Result<()> {
    let Some(schema) = schema else { return Ok(()) };
    json.extend_from_slice(format!(",\"{name}\":").as_bytes());
    serde_json::to_writer(&mut *json, schema)
}

#[cfg(test)]
mod tests;
