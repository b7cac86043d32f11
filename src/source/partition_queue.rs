//! The queue of one partition: its records and its errors, and no others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rdkafka::Message;
use rdkafka::consumer::base_consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{self, BorrowedMessage};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::{Limit, Polled, Unavailable};
use crate::error::{Error, ErrorType};
use crate::kafka::context::Context;
use crate::kafka::headers;
use crate::record::{Record, Timestamp, TimestampType, TopicPartition};

/// The queue of an assigned partition.
pub(super) struct PartitionQueue {
    partition: TopicPartition,
    queue: base_consumer::PartitionQueue<Context>,
    ready: Arc<Notify>,
    /// The event behind the records that were returned last.
    pending: Mutex<Option<Polled>>,
    out_of_order: AtomicBool,
}

impl PartitionQueue {
    pub(super) fn new(partition: TopicPartition, mut queue: base_consumer::PartitionQueue<Context>) -> Self {
        let ready = Arc::new(Notify::new());
        let wake = ready.clone();
        queue.set_nonempty_callback(move || wake.notify_one());
        Self {
            partition,
            queue,
            ready,
            pending: Mutex::new(None),
            out_of_order: AtomicBool::new(false),
        }
    }

    /// Resolves when something may have arrived since the last drain.
    pub(super) fn ready(&self) -> Notified<'_> {
        self.ready.notified()
    }

    /// A record of this partition arrived outside this queue: reading on would skip it.
    pub(super) fn mark_out_of_order(&self) {
        self.out_of_order.store(true, Ordering::SeqCst);
        self.ready.notify_one();
    }

    /// What has arrived, without waiting; `None`: nothing.
    pub(super) fn drain(&self, limit: Limit) -> Option<Polled> {
        if self.out_of_order.load(Ordering::SeqCst) {
            return Some(Polled::OutOfOrder);
        }
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(polled) = pending.take() {
            return Some(polled);
        }
        let (mut records, mut bytes) = (Vec::new(), 0);
        while records.len() < limit.records && (bytes < limit.bytes || records.is_empty()) {
            match self.queue.poll(Duration::ZERO) {
                Some(Ok(message)) => match self.record(message) {
                    Ok(record) => {
                        bytes += record.size_bytes();
                        records.push(record);
                    }
                    Err(unreadable) => {
                        *pending = Some(unreadable);
                        break;
                    }
                },
                Some(Err(error)) => {
                    let Some(event) = self.event(&error) else { continue };
                    *pending = Some(event);
                    break;
                }
                None => break,
            }
        }
        if records.is_empty() {
            pending.take()
        } else {
            Some(Polled::Records(records))
        }
    }

    /// The message as a record, or why its headers cannot be read.
    fn record(&self, mut message: BorrowedMessage<'_>) -> Result<Record, Polled> {
        let headers = headers::read(&mut message).map_err(|code| {
            let offset = message.offset();
            Polled::Unreadable(format!(
                "the headers of offset {offset} cannot be read ({code}): they are damaged, or more than {}. Check \
                 what its producer writes",
                headers::MAX_HEADERS
            ))
        })?;
        Ok(Record {
            timestamp: time(message.timestamp()),
            key: message.key().map(Bytes::copy_from_slice),
            value: message.payload().map(Bytes::copy_from_slice),
            headers,
            ..Record::new(self.partition.clone(), message.offset())
        })
    }

    /// What an error of this queue means. `None`: librdkafka retries, and the
    /// poll times out if that does not help.
    fn event(&self, error: &KafkaError) -> Option<Polled> {
        if let KafkaError::PartitionEOF(_) = *error {
            return Some(Polled::End);
        }
        let partition = &self.partition;
        Some(match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut,
            ) => return None,
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => Polled::OutOfRange,
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => Polled::Failed(
                Error::new(ErrorType::NotAuthorized, format!("this user may not read {partition}"))
                    .next("Allow Read on the topic")
                    .caused_by(error.clone()),
            ),
            Some(
                code @ (RDKafkaErrorCode::BadMessage
                | RDKafkaErrorCode::InvalidMessage
                | RDKafkaErrorCode::BadCompression
                | RDKafkaErrorCode::UnsupportedCompressionType
                | RDKafkaErrorCode::NotImplemented),
            ) => Polled::Unreadable(format!(
                "the batch at this offset cannot be read ({code}): check the broker's disk and the producer's \
                 compression. Each offset of the batch fails: to skip it, use the offset after its last record, which \
                 `kafka-dump-log` shows"
            )),
            _ => Polled::Unavailable(Unavailable(error.to_string())),
        })
    }
}

/// The time of a message, if it has one.
fn time(timestamp: message::Timestamp) -> Option<Timestamp> {
    let kind = match timestamp {
        message::Timestamp::LogAppendTime(_) => TimestampType::LogAppendTime,
        message::Timestamp::CreateTime(_) | message::Timestamp::NotAvailable => TimestampType::CreateTime,
    };
    timestamp.to_millis().map(|ms| Timestamp { ms, kind })
}
