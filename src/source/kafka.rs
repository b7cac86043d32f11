//! Records from Kafka: partitions are assigned, polled and unassigned, each
//! with a queue of its own.
//!
//! Partitions are assigned at absolute offsets; nothing is committed to Kafka,
//! and no group is joined.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::Offset;

use super::partition_queue::PartitionQueue;
use super::{EndOffsets, Limit, ListedOffset, OffsetSpec, Polled, Source, Unavailable};
use crate::config::Config;
use crate::error::{Error, ErrorType};
use crate::kafka::{KafkaClient, now};
use crate::record::{NextOffset, TopicPartition};
use crate::security::Security;

/// How long a poll waits before it serves the client's events, such as the
/// statistics that show a long stretch of aborted transactions.
const EVENT_PAUSE: Duration = Duration::from_millis(50);

type Queues = Mutex<BTreeMap<TopicPartition, Arc<PartitionQueue>>>;

/// Kafka as a source of records.
pub struct KafkaSource {
    client: KafkaClient,
    poll_timeout: Duration,
    /// The assigned partitions.
    queues: Arc<Queues>,
    end_offsets: Mutex<LastEndOffsets>,
}

/// The end offsets of the last request, and which of them differ from the
/// request before.
#[derive(Default)]
struct LastEndOffsets {
    ends: Vec<(TopicPartition, ListedOffset)>,
    changed: Vec<TopicPartition>,
}

impl LastEndOffsets {
    fn update(&mut self, ends: &[(TopicPartition, ListedOffset)]) {
        let same_partitions = self.ends.len() == ends.len();
        self.changed = ends
            .iter()
            .enumerate()
            .filter(|(i, end)| end.1.is_ok() && !(same_partitions && self.ends[*i] == **end))
            .map(|(_, (partition, _))| partition.clone())
            .collect();
        self.ends = ends.to_vec();
    }
}

impl KafkaSource {
    /// The brokers of `config`. Nothing is connected, and no secret is read,
    /// before the first request.
    #[must_use]
    pub fn new(config: &Config, security: Arc<Security>) -> Self {
        let queues = Arc::<Queues>::default();
        let of_stray = Arc::clone(&queues);
        let client = KafkaClient::new(config, security).on_stray_record(move |partition| {
            if let Some(queue) = lock(&of_stray).get(partition) {
                queue.mark_out_of_order();
            }
        });
        Self {
            client,
            poll_timeout: config.poll_timeout,
            queues,
            end_offsets: Mutex::default(),
        }
    }

    /// Its client, for requests besides those for records.
    #[must_use]
    pub fn client(&self) -> &KafkaClient {
        &self.client
    }

    fn queues(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, Arc<PartitionQueue>>> {
        lock(&self.queues)
    }

    fn last_end_offsets(&self) -> MutexGuard<'_, LastEndOffsets> {
        self.end_offsets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Unassigns what an earlier run left assigned, because it was interrupted.
    /// The client would refuse to assign such a partition again.
    fn unassign_leftovers(&self) {
        let leftovers = std::mem::take(&mut *self.queues());
        if leftovers.is_empty() {
            return;
        }
        tracing::warn!(
            partitions = leftovers.len(),
            "an earlier run left partitions assigned: unassigning them"
        );
        if let Some(consumer) = self.client.consumer()
            && let Err(error) = consumer.unassign()
        {
            tracing::warn!(%error, "the client could not unassign partitions");
        }
    }
}

impl Source for KafkaSource {
    async fn end_offsets(&self, topics: &[Arc<str>], until: Instant) -> Result<EndOffsets, Error> {
        self.unassign_leftovers();
        // Boxed: the compiler has a limit for how deep futures are nested.
        let ends = Box::pin(self.client.end_offsets(topics, until)).await?;
        self.last_end_offsets().update(&ends.partitions);
        Ok(ends)
    }

    fn changed_partitions(&self) -> Vec<TopicPartition> {
        self.last_end_offsets().changed.clone()
    }

    async fn prefetch_earliest_offsets(&self, partitions: &[TopicPartition], until: Instant) -> Vec<ListedOffset> {
        self.client.prefetch_earliest_offsets(partitions, until).await
    }

    async fn list_offsets(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
        until: Instant,
    ) -> Result<Vec<ListedOffset>, Error> {
        self.client.list_offsets(partitions, spec, until).await
    }

    fn assign(&self, positions: &[(TopicPartition, NextOffset)]) -> Result<(), Error> {
        let refused = |error: &dyn std::fmt::Display| {
            Error::new(
                ErrorType::BrokerUnreachable,
                format!("the Kafka client could not assign partitions: {error}"),
            )
        };
        let Some(consumer) = self.client.consumer() else {
            return Err(refused(&"it is not connected"));
        };
        let mut list = TopicPartitionList::with_capacity(positions.len());
        let mut queues = Vec::with_capacity(positions.len());
        for (partition, next) in positions {
            // The queue is split off before the partition is assigned: no
            // record can then reach the client's own queue in between.
            let queue = consumer
                .split_partition_queue(&partition.topic, partition.partition)
                .ok_or_else(|| refused(&format!("{partition} has no queue")))?;
            queues.push((
                partition.clone(),
                Arc::new(PartitionQueue::new(partition.clone(), queue)),
            ));
            list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(next.get()))
                .map_err(|error| refused(&error).caused_by(error))?;
        }
        // All of them, or none.
        consumer
            .incremental_assign(&list)
            .map_err(|error| refused(&error).caused_by(error))?;
        self.queues().extend(queues);
        Ok(())
    }

    async fn poll(&self, partition: &TopicPartition, limit: Limit) -> Polled {
        let Some(queue) = self.queues().get(partition).cloned() else {
            return Polled::Unavailable(Unavailable("it is not assigned".into()));
        };
        let since = now();
        loop {
            let ready = queue.ready();
            if let Some(polled) = queue.drain(limit) {
                return polled;
            }
            self.client.serve_events();
            let silent = self
                .client
                .context()
                .map_or(self.poll_timeout, |context| context.silence(partition, since));
            if silent >= self.poll_timeout {
                return Polled::Unavailable(Unavailable(format!(
                    "its broker sent nothing new for {:.1} s",
                    silent.as_secs_f64()
                )));
            }
            let pause = self.poll_timeout.saturating_sub(silent).min(EVENT_PAUSE);
            let _ = tokio::time::timeout(pause, ready).await;
        }
    }

    fn unassign(&self, partitions: &[TopicPartition]) {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            if self.queues().remove(partition).is_some() {
                list.add_partition(&partition.topic, partition.partition);
            }
        }
        if list.count() > 0
            && let Some(consumer) = self.client.consumer()
            && let Err(error) = consumer.incremental_unassign(&list)
        {
            tracing::warn!(%error, "the client could not unassign partitions");
        }
        self.client.serve_events();
    }
}

fn lock(queues: &Queues) -> MutexGuard<'_, BTreeMap<TopicPartition, Arc<PartitionQueue>>> {
    queues.lock().unwrap_or_else(PoisonError::into_inner)
}
