//! The embedded Kafka, with faults that a test chooses.

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
    listener: Box<dyn Fn(&'static str) + Send + Sync>,
    panics_at: Option<i32>,
    panics_at_the_first_request: bool,
}

impl Brokers {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            source: KafkaSource::new(config, security(config)),
            first: Mutex::default(),
            old_end: None,
            listener: Box::new(|_| ()),
            panics_at: None,
            panics_at_the_first_request: false,
        }
    }

    /// The first poll returns `polled` without a request.
    pub(super) fn with_first_poll(self, polled: Polled) -> Self {
        Self {
            first: Mutex::new(Some(polled)),
            ..self
        }
    }

    /// The end offsets at the start are `end`: another run moved the cursor past it before the table
    /// was read.
    pub(super) fn with_old_end(self, end: i64) -> Self {
        Self {
            old_end: NextOffset::new(end),
            ..self
        }
    }

    /// The client panics at each poll of this partition.
    pub(super) fn panicking_at(self, partition: i32) -> Self {
        Self {
            panics_at: Some(partition),
            ..self
        }
    }

    /// The client panics at its first request.
    pub(super) fn panicking_at_the_first_request(self) -> Self {
        Self {
            panics_at_the_first_request: true,
            ..self
        }
    }

    /// Calls `listener` when records are returned, and when a partition is unassigned.
    pub(super) fn with_listener(self, listener: impl Fn(&'static str) + Send + Sync + 'static) -> Self {
        Self {
            listener: Box::new(listener),
            ..self
        }
    }
}

impl Source for &Brokers {
    async fn end_offsets(&self, topics: &[Arc<str>], until: Instant) -> Result<EndOffsets, Error> {
        assert!(!self.panics_at_the_first_request, "a defect of the client");
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
        let first = self.first.lock().expect("no panic with the lock held").take();
        let polled = match first {
            Some(polled) => polled,
            None => self.source.poll(partition, limit).await,
        };
        if matches!(polled, Polled::Records(_)) {
            (self.listener)("records came");
        }
        polled
    }

    fn unassign(&self, partitions: &[TopicPartition]) {
        (self.listener)("fetching ended");
        self.source.unassign(partitions);
    }
}
