//! Records from Kafka: one `BaseConsumer`, kept between runs, and a queue for
//! each partition that is being read.
//!
//! Offsets are ours: partitions are assigned at absolute offsets, nothing is
//! committed to Kafka, and no group is joined.

pub mod context;
pub mod fetch;
pub mod group;
mod lane;
pub(crate) mod linked;
mod offsets;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::Offset;
use rdkafka::{ClientConfig, Message as _, TopicPartitionList};

use crate::config::{Config, canonical};
use crate::error::{Error, ErrorType};
use crate::record::{NextOffset, TopicPartition};
use crate::source::{Limit, LookUp, Looked, Polled, Source, Unavailable};
use context::Context;
use fetch::FetchSizes;
use lane::Lane;

type KafkaConsumer = BaseConsumer<Context>;

/// Kafka as a source of records.
pub struct KafkaSource {
    consumer: Arc<KafkaConsumer>,
    bootstrap_servers: String,
    poll_timeout: Duration,
    lanes: Mutex<BTreeMap<TopicPartition, Arc<Lane>>>,
    known: Mutex<BTreeMap<Arc<str>, BTreeMap<i32, Leader>>>,
}

/// The broker that leads a partition.
type Leader = i32;

/// How Kafka's metadata says that nobody leads.
const NO_LEADER: Leader = -1;

impl KafkaSource {
    /// A client for the brokers of `config`. It connects in the background;
    /// that it cannot is an error of the first question, not of this call.
    ///
    /// # Errors
    /// When librdkafka refuses a property.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let sizes = FetchSizes::new(config.max_memory_bytes, config.max_messages);
        Self::of(&client_config(config, &sizes), config)
    }

    fn of(client: &ClientConfig, config: &Config) -> Result<Self, Error> {
        let consumer: KafkaConsumer =
            client
                .create_with_context(Context::new(config.poll_timeout))
                .map_err(|error| {
                    Error::new(
                        ErrorType::InvalidConfiguration,
                        format!("the Kafka client cannot be made: {error}. Correct the KAFKA_* setting it names"),
                    )
                })?;
        Ok(Self {
            consumer: Arc::new(consumer),
            bootstrap_servers: config.bootstrap_servers.clone(),
            poll_timeout: config.poll_timeout,
            lanes: Mutex::default(),
            known: Mutex::default(),
        })
    }

    fn lanes(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, Arc<Lane>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, BTreeMap<i32, Leader>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a blocking call of the client beside the run, and serves the
    /// client's log and error events meanwhile.
    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&KafkaConsumer) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, KafkaError> {
        let consumer = self.consumer.clone();
        let answer = tokio::task::spawn_blocking(move || call(&consumer)).await;
        self.serve_events();
        answer.unwrap_or(Err(KafkaError::Canceled))
    }

    /// Serves the client's own queue: logs, errors, statistics. No record may
    /// arrive there, for each partition has a queue of its own.
    fn serve_events(&self) {
        loop {
            let served = self.consumer.context().served();
            match self.consumer.poll(Duration::ZERO) {
                Some(Ok(stray)) => self.stray(&stray),
                None if self.consumer.context().served() == served => return,
                // The context has heard it.
                Some(Err(_)) | None => {}
            }
        }
    }

    fn stray(&self, record: &BorrowedMessage<'_>) {
        let partition = TopicPartition::new(record.topic(), record.partition());
        tracing::error!(%partition, offset = record.offset(), "a record arrived outside its queue");
        if let Some(lane) = self.lanes().get(&partition) {
            lane.lost_order();
        }
    }

    fn unreachable(&self, error: &KafkaError) -> Error {
        self.serve_events();
        self.consumer
            .context()
            .explain(&self.bootstrap_servers, self.poll_timeout, error)
    }
}

impl Source for KafkaSource {
    async fn ends(&self, topics: &[Arc<str>], until: Instant) -> Result<Vec<(TopicPartition, Looked)>, Error> {
        self.all_ends(topics, until).await
    }

    async fn look_up(&self, partitions: &[TopicPartition], what: LookUp, until: Instant) -> Result<Vec<Looked>, Error> {
        self.offsets_of(partitions, what, until).await
    }

    fn start(&self, positions: &[(TopicPartition, NextOffset)]) -> Result<(), Error> {
        let refused = |error: &dyn std::fmt::Display| {
            Error::new(
                ErrorType::BrokerUnreachable,
                format!("the Kafka client refused to read: {error}"),
            )
        };
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for (partition, next) in positions {
            // The queue is split off before the partition is assigned: no
            // record can then reach the common queue in between.
            let queue = self
                .consumer
                .split_partition_queue(&partition.topic, partition.partition)
                .ok_or_else(|| refused(&format!("{partition} has no queue")))?;
            self.lanes()
                .insert(partition.clone(), Arc::new(Lane::new(partition.clone(), queue)));
            list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(next.get()))
                .map_err(|error| refused(&error))?;
        }
        self.consumer.incremental_assign(&list).map_err(|error| {
            let mut lanes = self.lanes();
            for (partition, _) in positions {
                lanes.remove(partition);
            }
            refused(&error)
        })
    }

    async fn poll(&self, partition: &TopicPartition, limit: Limit) -> Polled {
        let Some(lane) = self.lanes().get(partition).cloned() else {
            return Polled::Unavailable(Unavailable("it is not being read".into()));
        };
        let since = now();
        loop {
            let ready = lane.ready();
            if let Some(polled) = lane.drain(limit) {
                return polled;
            }
            self.serve_events();
            let silent = self.consumer.context().silence(partition, since);
            if silent >= self.poll_timeout {
                return Polled::Unavailable(Unavailable(format!(
                    "its broker sent nothing new for {:.1} s",
                    silent.as_secs_f64()
                )));
            }
            // The client's events must be served now and then, also for the
            // statistics that tell silence from a long stretch of aborted records.
            let pause = self.poll_timeout.saturating_sub(silent).min(Duration::from_millis(50));
            let _ = tokio::time::timeout(pause, ready).await;
        }
    }

    fn finish(&self, partitions: &[TopicPartition]) {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            if self.lanes().remove(partition).is_some() {
                list.add_partition(&partition.topic, partition.partition);
            }
        }
        if list.count() > 0
            && let Err(error) = self.consumer.incremental_unassign(&list)
        {
            tracing::warn!(%error, "partitions could not be released by the client");
        }
        self.serve_events();
    }
}

fn client_config(config: &Config, sizes: &FetchSizes) -> ClientConfig {
    let mut client = ClientConfig::new();
    // Ours first: the user's properties may override what is not owned.
    client
        .set("client.id", &*config.group_id)
        .set("ssl.ca.location", "probe")
        .set("topic.metadata.refresh.interval.ms", "60000")
        .set(
            "statistics.interval.ms",
            context::statistics_interval_ms(config.poll_timeout).to_string(),
        );
    sizes.apply(&mut client);
    for (name, value) in &config.kafka_properties {
        // By its own name, or ours would stand beside the user's in no certain order.
        client.set(canonical(name), value);
    }
    client
        .set("bootstrap.servers", &config.bootstrap_servers)
        .set("group.id", &*config.group_id)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true");
    client
}

fn left(until: Instant) -> Duration {
    // Never zero: librdkafka takes a timeout of 0 for "do not wait at all".
    until.saturating_duration_since(now()).max(Duration::from_millis(1))
}

#[expect(clippy::disallowed_methods, reason = "this stage talks to brokers, in real time")]
fn now() -> Instant {
    Instant::now()
}
