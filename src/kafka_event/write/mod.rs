//! Records -> events, each within a number of records and of bytes.

use std::num::NonZeroUsize;
use std::ops::Range;

use serde::Serialize;

use super::{EventSource, MSK, OneHeader, SELF_MANAGED, base64};
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
    records: Vec<Vec<u8>>,
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
        let records = chunk
            .records()
            .iter()
            .map(|record| serde_json::to_vec(&EventRecord::of(record)));
        Ok(Encoded {
            before: self.before(&chunk.partition().to_string())?,
            records: records.collect::<serde_json::Result<_>>()?,
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
    serde_json::to_string(&EventRecord::of(record))
}

impl Encoded {
    /// The size of the event of these records, in bytes.
    #[must_use]
    pub fn size(&self, records: Range<usize>) -> usize {
        let commas = records.len().saturating_sub(1);
        let records: usize = self.records[records].iter().map(Vec::len).sum();
        self.before.len() + records + commas + AFTER.len()
    }

    /// The event of these records.
    #[must_use]
    pub fn event(&self, records: Range<usize>) -> Vec<u8> {
        let mut json = Vec::with_capacity(self.size(records.clone()));
        json.extend_from_slice(&self.before);
        for (index, record) in self.records[records].iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            json.extend_from_slice(record);
        }
        json.extend_from_slice(AFTER);
        json
    }

    /// The longest batch that starts at the record `first`: at most `most`
    /// records, at most `max_bytes`; `None` behind the last record.
    #[must_use]
    pub fn batch(&self, first: usize, most: NonZeroUsize, max_bytes: usize) -> Option<Batch> {
        if first >= self.records.len() {
            return None;
        }
        let last = self.records.len().min(first.saturating_add(most.get()));
        let mut end = first + 1;
        let mut bytes = self.size(first..end);
        if bytes > max_bytes {
            return Some(Batch {
                records: first..end,
                payload: Payload::TooLarge { bytes },
            });
        }
        while end < last {
            bytes += 1 + self.records[end].len();
            if bytes > max_bytes {
                break;
            }
            end += 1;
        }
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

/// A record as AWS writes it: no `key` for a record without one, no `value` for
/// a tombstone, `headers` always.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventRecord<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: i64,
    timestamp_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    headers: Vec<OneHeader<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_schema_metadata: Option<&'a Schema>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_schema_metadata: Option<&'a Schema>,
}

impl<'a> EventRecord<'a> {
    fn of(record: &'a Record) -> Self {
        let timestamp = record.timestamp;
        Self {
            topic: &record.partition.topic,
            partition: record.partition.partition,
            offset: record.offset,
            timestamp: timestamp.map_or(-1, |timestamp| timestamp.ms),
            timestamp_type: match timestamp.map(|timestamp| timestamp.kind) {
                Some(TimestampType::CreateTime) => "CREATE_TIME",
                Some(TimestampType::LogAppendTime) => "LOG_APPEND_TIME",
                // The name of Kafka's Java client; such records are older than Kafka 0.10.
                None => "NO_TIMESTAMP_TYPE",
            },
            key: record.key.as_deref().map(base64),
            value: record.value.as_deref().map(base64),
            headers: record.headers.iter().map(OneHeader).collect(),
            key_schema_metadata: record.schemas.key.as_ref(),
            value_schema_metadata: record.schemas.value.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests;
