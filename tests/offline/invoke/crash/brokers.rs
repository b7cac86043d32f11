//! Brokers in memory: fixed logs, no threads, no waiting. What a run reads is
//! the same each time, on every machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use kafka_consumer_lambda::Record;
use kafka_consumer_lambda::error::{Error, ErrorType};
use kafka_consumer_lambda::record::{NextOffset, Timestamp, TopicPartition};
use kafka_consumer_lambda::source::{EndOffsets, Limit, ListedOffset, OffsetSpec, Polled, Source, Unavailable};

/// Few, so that a partition takes several polls.
const RECORDS_IN_A_POLL: usize = 2;

/// One partition's log. Its offsets may have gaps, and its end may be past
/// control records.
#[derive(Debug, Clone)]
pub(super) struct Log {
    pub(super) earliest: i64,
    pub(super) offsets: Vec<i64>,
    pub(super) end: i64,
    /// Records whose value is no JSON.
    pub(super) broken: Vec<i64>,
}

impl Log {
    pub(super) fn of(offsets: impl IntoIterator<Item = i64>) -> Self {
        let offsets: Vec<i64> = offsets.into_iter().collect();
        Self {
            earliest: 0,
            end: offsets.last().map_or(0, |last| last + 1),
            offsets,
            broken: vec![],
        }
    }

    /// Control records up to `end`, or records that compaction removed.
    pub(super) fn ending_at(self, end: i64) -> Self {
        Self { end, ..self }
    }

    /// Retention has deleted the offsets below.
    pub(super) fn kept_from(mut self, earliest: i64) -> Self {
        self.offsets.retain(|offset| *offset >= earliest);
        Self { earliest, ..self }
    }

    pub(super) fn with_broken(self, offset: i64) -> Self {
        Self {
            broken: vec![offset],
            ..self
        }
    }

    /// Produces another record.
    pub(super) fn grow(&mut self) {
        self.offsets.push(self.end);
        self.end += 1;
    }

    /// The records with offsets `from <= offset < to`.
    pub(super) fn between(&self, from: i64, to: i64) -> impl Iterator<Item = i64> + '_ {
        self.offsets
            .iter()
            .copied()
            .filter(move |offset| (from..to).contains(offset))
    }
}

/// The logs of topic `t`, and one client's positions in them.
#[derive(Debug)]
pub(super) struct Brokers {
    logs: Arc<Mutex<Vec<Log>>>,
    reading: Mutex<BTreeMap<i32, Reading>>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    next: i64,
    /// The end of the partition is reported once, as librdkafka does, until it moves.
    end_was_reported: bool,
}

impl Brokers {
    /// A new client of the same cluster.
    pub(super) fn new(logs: &Arc<Mutex<Vec<Log>>>) -> Self {
        Self {
            logs: logs.clone(),
            reading: Mutex::default(),
        }
    }

    fn logs(&self) -> MutexGuard<'_, Vec<Log>> {
        self.logs.lock().expect("no panic with the lock held")
    }

    fn reading(&self) -> MutexGuard<'_, BTreeMap<i32, Reading>> {
        self.reading.lock().expect("no panic with the lock held")
    }

    fn partitions(&self) -> Vec<TopicPartition> {
        (0..self.logs().len())
            .map(|i| TopicPartition::new("t", i32::try_from(i).expect("a few")))
            .collect()
    }

    fn list_offset(&self, partition: &TopicPartition, what: OffsetSpec) -> ListedOffset {
        let logs = self.logs();
        let log = usize::try_from(partition.partition).ok().and_then(|i| logs.get(i));
        let log = log.ok_or_else(|| Unavailable("there is no such partition".into()))?;
        let offset = match what {
            OffsetSpec::Earliest => log.earliest,
            OffsetSpec::Latest | OffsetSpec::HighWatermark => log.end,
            // Each record was written at the millisecond that is its offset.
            OffsetSpec::ForTimestamp(ms) => log.between(ms, i64::MAX).next().unwrap_or(i64::MAX),
        };
        Ok(NextOffset::new(offset).expect("an offset"))
    }

    /// What a poll of this client returns now; `None`: it would wait for ever.
    fn fetch(&self, partition: &TopicPartition, limit: Limit) -> Option<Polled> {
        let mut reading = self.reading();
        let Some(position) = reading.get_mut(&partition.partition) else {
            return Some(Polled::Unavailable(Unavailable("it is not being read".into())));
        };
        let logs = self.logs();
        let log = &logs[usize::try_from(partition.partition).expect("it is being read")];
        if !(log.earliest..=log.end).contains(&position.next) {
            return Some(Polled::OutOfRange);
        }
        let count = limit.records.min(RECORDS_IN_A_POLL);
        let records: Vec<Record> = log
            .between(position.next, log.end)
            .take(count)
            .map(|offset| record(partition, offset, log.broken.contains(&offset)))
            .collect();
        if let Some(last) = records.last() {
            position.next = last.offset + 1;
            return Some(Polled::Records(records));
        }
        (!std::mem::replace(&mut position.end_was_reported, true)).then_some(Polled::End)
    }
}

/// The key of the record at this offset: one of three, or none.
pub(super) fn key(offset: i64) -> Option<i64> {
    Some(offset % 4).filter(|key| *key > 0)
}

fn record(partition: &TopicPartition, offset: i64, is_broken: bool) -> Record {
    let value: &'static [u8] = if is_broken { b"{" } else { b"{}" };
    Record {
        timestamp: Some(Timestamp::create_time(offset)),
        key: key(offset).map(|key| key.to_string().into()),
        value: Some(bytes::Bytes::from_static(value)),
        ..Record::new(partition.clone(), offset)
    }
}

impl Source for &Brokers {
    async fn end_offsets(&self, _: &[Arc<str>], _: Instant) -> Result<EndOffsets, Error> {
        let with_end = |partition| {
            let end = self.list_offset(&partition, OffsetSpec::Latest);
            (partition, end)
        };
        Ok(EndOffsets {
            partitions: self.partitions().into_iter().map(with_end).collect(),
            ..EndOffsets::default()
        })
    }

    async fn list_offsets(
        &self,
        partitions: &[TopicPartition],
        what: OffsetSpec,
        _: Instant,
    ) -> Result<Vec<ListedOffset>, Error> {
        Ok(partitions
            .iter()
            .map(|partition| self.list_offset(partition, what))
            .collect())
    }

    fn assign(&self, positions: &[(TopicPartition, NextOffset)]) -> Result<(), Error> {
        for (partition, next) in positions {
            let position = Reading {
                next: next.get(),
                end_was_reported: false,
            };
            // As librdkafka: what is assigned cannot be assigned again.
            if self.reading().insert(partition.partition, position).is_some() {
                return Err(Error::new(
                    ErrorType::BrokerUnreachable,
                    format!("{partition} is read already"),
                ));
            }
        }
        Ok(())
    }

    async fn poll(&self, partition: &TopicPartition, limit: Limit) -> Polled {
        // Beside other partitions, not before them.
        tokio::task::yield_now().await;
        match self.fetch(partition, limit) {
            Some(polled) => polled,
            None => std::future::pending().await,
        }
    }

    fn unassign(&self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.reading().remove(&partition.partition);
        }
    }
}
