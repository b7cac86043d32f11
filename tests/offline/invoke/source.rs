//! The embedded Kafka, with a will of its own where a test gives it one.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use kafka_consumer_lambda::config::Config;
use kafka_consumer_lambda::error::Error;
use kafka_consumer_lambda::record::{NextOffset, TopicPartition};
use kafka_consumer_lambda::source::kafka::KafkaSource;
use kafka_consumer_lambda::source::{EndOffsets, Limit, ListedOffset, OffsetSpec, Polled, Source};

use super::security;

pub(super) struct Brokers {
    source: KafkaSource,
    first: Mutex<Option<Polled>>,
    old_end: Option<NextOffset>,
    tell: Box<dyn Fn(&'static str) + Send + Sync>,
    panics_at: Option<i32>,
    panics_at_the_start: bool,
}

impl Brokers {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            source: KafkaSource::new(config, security(config)),
            first: Mutex::default(),
            old_end: None,
            tell: Box::new(|_| ()),
            panics_at: None,
            panics_at_the_start: false,
        }
    }

    /// The first poll is answered so, and none is made.
    pub(super) fn that_first_answer(self, polled: Polled) -> Self {
        Self {
            first: Mutex::new(Some(polled)),
            ..self
        }
    }

    /// Their first answer is older than the table's: another run was at work between the two.
    pub(super) fn that_tell_an_old_end(self, end: i64) -> Self {
        Self {
            old_end: NextOffset::new(end),
            ..self
        }
    }

    /// The client panics where records of this partition are read.
    pub(super) fn that_panic_at(self, partition: i32) -> Self {
        Self {
            panics_at: Some(partition),
            ..self
        }
    }

    /// The client panics at its first request.
    pub(super) fn that_panic_at_the_start(self) -> Self {
        Self {
            panics_at_the_start: true,
            ..self
        }
    }

    /// Tell when records come, and when no more are wanted.
    pub(super) fn that_tell(self, tell: impl Fn(&'static str) + Send + Sync + 'static) -> Self {
        Self {
            tell: Box::new(tell),
            ..self
        }
    }
}

impl Source for &Brokers {
    async fn end_offsets(&self, topics: &[Arc<str>], until: Instant) -> Result<EndOffsets, Error> {
        assert!(!self.panics_at_the_start, "a defect of the client");
        let mut ends = self.source.end_offsets(topics, until).await?;
        if let Some(old) = self.old_end {
            for (_, end) in ends.partitions.iter_mut().filter(|(_, end)| end.is_ok()) {
                *end = Ok(old);
            }
        }
        Ok(ends)
    }

    async fn list_offsets(
        &self,
        partitions: &[TopicPartition],
        what: OffsetSpec,
        until: Instant,
    ) -> Result<Vec<ListedOffset>, Error> {
        self.source.list_offsets(partitions, what, until).await
    }

    fn assign(&self, positions: &[(TopicPartition, NextOffset)]) -> Result<(), Error> {
        self.source.assign(positions)
    }

    async fn poll(&self, partition: &TopicPartition, limit: Limit) -> Polled {
        assert!(self.panics_at != Some(partition.partition), "a defect of the client");
        let first = self.first.lock().expect("nobody panicked").take();
        let polled = match first {
            Some(answer) => answer,
            None => self.source.poll(partition, limit).await,
        };
        if matches!(polled, Polled::Records(_)) {
            (self.tell)("records came");
        }
        polled
    }

    fn unassign(&self, partitions: &[TopicPartition]) {
        (self.tell)("fetching ended");
        self.source.unassign(partitions);
    }
}
