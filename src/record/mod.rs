//! Plain types that all modules share: [`TopicPartition`], [`NextOffset`],
//! [`Consumer`], [`Record`], [`Chunk`].

mod consumer;
mod offset;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

pub use consumer::Consumer;
pub use offset::{ListedOffset, NextOffset, OffsetRange, Unavailable};

/// One partition of one topic. Shown as `topic-partition`, as Kafka's own tools do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number, 0 or more.
    pub partition: i32,
}

impl TopicPartition {
    /// The partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self {
            topic: topic.into(),
            partition,
        }
    }
}

/// As `{"topic", "partition"}`.
impl Serialize for TopicPartition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut partition = serializer.serialize_struct("TopicPartition", 2)?;
        partition.serialize_field("topic", &*self.topic)?;
        partition.serialize_field("partition", &self.partition)?;
        partition.end()
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// One header of a record. Names may repeat; the order is the producer's.
///
/// Kafka's protocol calls a name text, and its Java client writes UTF-8; other
/// clients write any bytes. So the bytes are what is kept and compared, and
/// [`name`](Self::name) is a view of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    name: Bytes,
    /// The header's value, if it has one.
    pub value: Option<Bytes>,
}

impl Header {
    /// A header of this name.
    pub fn new(name: impl Into<Bytes>, value: Option<Bytes>) -> Self {
        Self {
            name: name.into(),
            value,
        }
    }

    /// The name as text. Bytes that are not UTF-8 are shown as `U+FFFD`, so
    /// that two different names may look the same.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.name)
    }

    /// The name as it was written.
    #[must_use]
    pub fn name_bytes(&self) -> &[u8] {
        &self.name
    }

    /// Whether this is the name.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        self.name == name.as_bytes()
    }

    /// Bytes of name and value.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.name.len() + self.value.as_ref().map_or(0, Bytes::len)
    }
}

/// One record as it came from Kafka.
///
/// `Debug` shows where the record is and how large, never its key or value:
/// records must not reach a log by accident.
///
/// ```
/// use kafka_consumer_lambda::Record;
///
/// /// The tenant from a header, if the record has a key.
/// fn tenant(record: &Record) -> Option<String> {
///     record.key.as_ref()?;
///     let header = record.headers.iter().find(|header| header.is_named("tenant"))?;
///     String::from_utf8(header.value.as_ref()?.to_vec()).ok()
/// }
///
/// // A test of a handler can make a record.
/// # use kafka_consumer_lambda::record::{Header, TopicPartition};
/// let record = Record {
///     key: Some("order-7".into()),
///     headers: vec![Header::new("tenant", Some("shop".into()))],
///     ..Record::new(TopicPartition::new("orders", 3), 17)
/// };
/// assert_eq!(record.id(), "orders-3-17");
/// assert_eq!(tenant(&record).as_deref(), Some("shop"));
/// assert!(record.is_tombstone());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Where the record lies.
    pub partition: TopicPartition,
    /// The record's offset in its partition.
    pub offset: i64,
    /// When the record was written; `None` for records older than Kafka 0.10.
    pub timestamp: Option<Timestamp>,
    /// The key, if there is one. A key of no bytes is a key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers in the producer's order.
    pub headers: Vec<Header>,
    /// What a schema registry has for key and value. Only records that AWS's
    /// mapping pushed have it, and only if the mapping names a registry.
    pub schemas: Schemas,
}

/// The time of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    /// Milliseconds since the Unix epoch.
    pub ms: i64,
    /// Whose clock it is, by the topic's `message.timestamp.type`.
    pub kind: TimestampType,
}

impl Timestamp {
    /// A time by the producer's clock.
    #[must_use]
    pub const fn create_time(ms: i64) -> Self {
        let kind = TimestampType::CreateTime;
        Self { ms, kind }
    }
}

/// Whose clock a record's time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's, when the record was made.
    CreateTime,
    /// The broker's, when the record was appended.
    LogAppendTime,
}

/// The schemas of a record's key and value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schemas {
    /// The schema of the key.
    pub key: Option<Schema>,
    /// The schema of the value.
    pub value: Option<Schema>,
}

/// A schema in a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schema {
    /// `AVRO`, `JSON` or `PROTOBUF`: the format in the registry. AWS's mapping
    /// may have turned the value into JSON.
    pub data_format: String,
    /// The registry's name of the schema: a number or a UUID.
    pub schema_id: String,
}

impl Record {
    /// The record at this offset: without key, value, headers and time.
    ///
    /// All other fields are public, so that a test of a handler can make a record.
    #[must_use]
    pub fn new(partition: TopicPartition, offset: i64) -> Self {
        Self {
            partition,
            offset,
            timestamp: None,
            key: None,
            value: None,
            headers: Vec::new(),
            schemas: Schemas::default(),
        }
    }

    /// Milliseconds since the Unix epoch, if the record has a time.
    #[must_use]
    pub fn timestamp_ms(&self) -> Option<i64> {
        self.timestamp.map(|timestamp| timestamp.ms)
    }

    /// A name for this record that is the same each time it is read:
    /// `topic-partition-offset`. What makes a handler's work idempotent.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}-{}", self.partition, self.offset)
    }

    /// Whether the value is null: in a compacted topic, the key was deleted.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }

    /// Bytes of key, value and headers.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(Header::size_bytes).sum();
        self.key.as_ref().map_or(0, Bytes::len) + self.value.as_ref().map_or(0, Bytes::len) + headers
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("id", &self.id())
            .field("timestamp_ms", &self.timestamp_ms())
            .field("size_bytes", &self.size_bytes())
            .finish_non_exhaustive()
    }
}

/// Consecutive records of one partition, in ascending order of offset; never
/// empty. Offsets may have gaps: compaction and transactions leave them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    records: Vec<Record>,
}

impl Chunk {
    /// `records` as a chunk; `None` if there are none.
    ///
    /// The caller hands over records of one partition in ascending order.
    #[must_use]
    pub fn new(records: Vec<Record>) -> Option<Self> {
        debug_assert!(records.is_sorted_by(|a, b| a.offset < b.offset && a.partition == b.partition));
        if records.is_empty() {
            None
        } else {
            Some(Self { records })
        }
    }

    /// The partition that all records are from.
    #[must_use]
    pub fn partition(&self) -> &TopicPartition {
        &self.records[0].partition
    }

    /// The records, in ascending order of offset.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The records of the chunk.
    pub(crate) fn into_records(self) -> Vec<Record> {
        self.records
    }

    /// How many records there are: at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a chunk is never empty")]
    pub fn len(&self) -> usize {
        self.records.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_keeps_the_bytes_of_its_name_and_shows_them_as_text() {
        let header = Header::new(&b"caf\xE9"[..], Some(Bytes::from_static(b"12")));
        assert_eq!(header.name_bytes(), b"caf\xE9");
        assert_eq!(header.name(), "caf\u{FFFD}");
        assert_eq!(header.size_bytes(), 6);
        assert_ne!(header, Header::new(&b"caf\xE8"[..], header.value.clone()));
        assert!(Header::new("café", None).is_named("café") && !header.is_named("caf\u{FFFD}"));
    }

    #[test]
    fn the_debug_form_of_a_record_shows_neither_key_nor_value() {
        let record = Record {
            key: Some(Bytes::from_static(b"planted-key")),
            value: Some(Bytes::from_static(b"planted-value")),
            ..Record::new(TopicPartition::new("t", 3), 7)
        };
        let shown = format!("{record:?}");
        assert!(shown.contains("t-3-7"), "{shown}");
        assert!(!shown.contains("planted"), "{shown}");
    }
}
