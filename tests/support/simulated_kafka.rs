//! A Kafka in memory with any number of partitions, to run without a broker.

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use kafka_consumer_lambda::error::Error;
use kafka_consumer_lambda::record::{NextOffset, Record, Timestamp, TopicPartition};
use kafka_consumer_lambda::source::{EndOffsets, Limit, ListedOffset, OffsetSpec, Polled, Source};

/// One topic; each partition has as many records, and all of them the same value.
#[derive(Debug)]
pub(crate) struct SimulatedKafka {
    topic: Arc<str>,
    partitions: i32,
    end: NextOffset,
    value: Bytes,
    /// The records' timestamps, in the order of their offsets; empty: they have none.
    times: Vec<i64>,
    /// Where each started partition is read next.
    positions: Mutex<BTreeMap<i32, NextOffset>>,
}

impl SimulatedKafka {
    pub(crate) fn new(topic: &str, partitions: i32, records: i64, value: &'static str) -> Self {
        Self {
            topic: topic.into(),
            partitions,
            end: NextOffset::new(records).expect("a number of records is not negative"),
            value: Bytes::from_static(value.as_bytes()),
            times: vec![],
            positions: Mutex::default(),
        }
    }

    /// One partition with a record of each of these timestamps, in this order.
    pub(crate) fn with_times(topic: &str, times: &[i64]) -> Self {
        let records = i64::try_from(times.len()).expect("few");
        Self {
            times: times.to_vec(),
            ..Self::new(topic, 1, records, "1")
        }
    }

    fn record(&self, partition: i32, offset: i64) -> Record {
        Record {
            timestamp: usize::try_from(offset)
                .ok()
                .and_then(|at| self.times.get(at).copied())
                .map(Timestamp::create_time),
            value: Some(self.value.clone()),
            ..Record::new(TopicPartition::new(self.topic.clone(), partition), offset)
        }
    }
}

impl Source for SimulatedKafka {
    async fn end_offsets(&self, _: &[Arc<str>], _: Instant) -> Result<EndOffsets, Error> {
        let end = |partition| (TopicPartition::new(self.topic.clone(), partition), Ok(self.end));
        Ok(EndOffsets {
            partitions: (0..self.partitions).map(end).collect(),
            refused: BTreeMap::new(),
        })
    }

    async fn list_offsets(
        &self,
        partitions: &[TopicPartition],
        what: OffsetSpec,
        _: Instant,
    ) -> Result<Vec<ListedOffset>, Error> {
        let found = match what {
            OffsetSpec::Earliest => NextOffset::ZERO,
            OffsetSpec::Latest | OffsetSpec::HighWatermark => self.end,
            OffsetSpec::ForTimestamp(time) => {
                let first = self.times.iter().zip(0..).find(|(at, _)| **at >= time);
                first
                    .and_then(|(_, offset)| NextOffset::new(offset))
                    .unwrap_or(self.end)
            }
        };
        Ok(vec![Ok(found); partitions.len()])
    }

    fn assign(&self, positions: &[(TopicPartition, NextOffset)]) -> Result<(), Error> {
        let started = positions.iter().map(|(partition, next)| (partition.partition, *next));
        self.positions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(started);
        Ok(())
    }

    fn poll(&self, partition: &TopicPartition, limit: Limit) -> impl Future<Output = Polled> + Send {
        let mut positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        let next = positions.get_mut(&partition.partition).expect("it is started");
        let most = i64::try_from(limit.records.max(1)).unwrap_or(i64::MAX);
        let to = next.get().saturating_add(most).min(self.end.get());
        let records: Vec<Record> = (next.get()..to)
            .map(|offset| self.record(partition.partition, offset))
            .collect();
        if records.is_empty() {
            return ready(Polled::End);
        }
        *next = NextOffset::new(to).expect("between two offsets");
        ready(Polled::Records(records))
    }

    fn unassign(&self, partitions: &[TopicPartition]) {
        let mut positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        for partition in partitions {
            positions.remove(&partition.partition);
        }
    }
}
