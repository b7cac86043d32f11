//! `DESTINATION=log`: one structured log line for each record.

use crate::config::MessageFormat;
use crate::decode::{self, Value};
use crate::processor::{Processor, Progress, RunContext};
use crate::record::{Chunk, Record};

/// Logs each record at level `info`: topic, partition, offset, timestamp and size;
/// the key and the value only with `LOG_VALUES=true`.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// How values are decoded.
    pub format: MessageFormat,
    /// Whether keys and values are logged.
    pub values: bool,
}

impl Processor for Log {
    async fn process(&self, chunk: &Chunk, _run: &RunContext) -> Progress {
        for record in chunk.records() {
            self.log(record);
        }
        Progress::all(chunk)
    }
}

impl Log {
    fn log(self, record: &Record) {
        let (key, value) = if self.values { self.shown(record) } else { (None, None) };
        tracing::info!(
            topic = &*record.partition.topic,
            partition = record.partition.partition,
            offset = record.offset,
            timestamp_ms = record.timestamp_ms(),
            bytes = record.size_bytes(),
            tombstone = record.is_tombstone(),
            key,
            value,
            "record"
        );
    }

    fn shown(self, record: &Record) -> (Option<String>, Option<String>) {
        let key = record.key.as_ref().map(|key| String::from_utf8_lossy(key).into_owned());
        let value = match decode::decode(self.format, record) {
            Ok(Value::Json(json)) => Some(json.get().to_owned()),
            Ok(Value::Text(text)) => Some(text.to_owned()),
            Ok(Value::Bytes(bytes)) => Some(bytes.escape_ascii().to_string()),
            Ok(Value::Tombstone) | Err(_) => None,
        };
        (key, value)
    }
}
