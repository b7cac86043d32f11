//! Records from Kafka: one `BaseConsumer`, kept between runs, and a queue for
//! each partition that is being read.
//!
//! Offsets are ours: partitions are assigned at absolute offsets, nothing is
//! committed to Kafka, and no group is joined.

pub mod brokers;
#[cfg(feature = "broker-certificates")]
pub(crate) mod certificate;
mod connection;
pub mod context;
pub mod fetch;
pub mod group;
pub mod headers;
mod lane;
pub(crate) mod linked;
mod offsets;
mod topics;
pub(crate) mod trouble;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::Offset;
use rdkafka::{Message as _, TopicPartitionList};

use crate::config::Config;
use crate::error::{Error, ErrorType};
use crate::record::{NextOffset, TopicPartition};
use crate::security::Security;
use crate::source::{EndOffsets, Limit, ListedOffset, OffsetSpec, Polled, Source, Unavailable};
pub(crate) use connection::close;
use connection::{Connection, Cure, Cures, KafkaConsumer, Outcome, PendingRequest};
use context::Context;
use lane::Lane;
use topics::{TopicAnswer, Topics};
#[cfg(feature = "cli")]
pub(crate) use trouble::is_about_certificate;

/// Kafka as a source of records.
pub struct KafkaSource {
    connection: Connection,
    bootstrap_servers: String,
    poll_timeout: Duration,
    lanes: Mutex<BTreeMap<TopicPartition, Arc<Lane>>>,
    known: Arc<Mutex<Topics>>,
    /// Questions for partitions that were sent before anybody needed the answer.
    asked_ahead: Mutex<BTreeMap<Arc<str>, PendingRequest<TopicAnswer>>>,
    told: Mutex<Ends>,
    /// Whether a broker left a question unanswered while others did not.
    unanswered: AtomicBool,
}

/// The ends that were told last.
#[derive(Default)]
struct Ends {
    ends: Vec<(TopicPartition, ListedOffset)>,
    news: Vec<TopicPartition>,
}

impl Ends {
    fn hear(&mut self, ends: &[(TopicPartition, ListedOffset)]) {
        let same_places = self.ends.len() == ends.len();
        self.news = ends
            .iter()
            .enumerate()
            .filter(|(i, told)| told.1.is_ok() && !(same_places && self.ends[*i] == **told))
            .map(|(_, (partition, _))| partition.clone())
            .collect();
        self.ends = ends.to_vec();
    }
}

/// How long secrets may take to be read while a process starts: Lambda gives
/// it 10 seconds.
const START_PATIENCE: Duration = Duration::from_secs(5);

impl KafkaSource {
    /// The brokers of `config`. Nothing is connected, and no secret is read,
    /// before the first question.
    #[must_use]
    pub fn new(config: &Config, security: Arc<Security>) -> Self {
        Self::of(config, security, vec![])
    }

    fn of(config: &Config, security: Arc<Security>, otherwise: Vec<(&'static str, String)>) -> Self {
        Self::with(
            Connection::new(config, security, otherwise),
            config.bootstrap_servers.clone(),
            config.poll_timeout,
        )
    }

    fn with(connection: Connection, bootstrap_servers: String, poll_timeout: Duration) -> Self {
        Self {
            connection,
            bootstrap_servers,
            poll_timeout,
            lanes: Mutex::default(),
            known: Arc::default(),
            asked_ahead: Mutex::default(),
            told: Mutex::default(),
            unanswered: AtomicBool::new(false),
        }
    }

    /// Begins to connect, so that it is done beside other work.
    ///
    /// # Errors
    /// `InvalidConfiguration` when a secret cannot be read, or librdkafka
    /// refuses a property. The first question tries again.
    pub async fn connect(&self) -> Result<(), Error> {
        self.connection.open(START_PATIENCE).await.map(|_| ())
    }

    fn lanes(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, Arc<Lane>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, Topics> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, Ends> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&KafkaConsumer) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, KafkaError> {
        self.connection.blocking(call, || self.serve_events()).await
    }

    /// Serves the client's own queue. No record may arrive there, for each
    /// partition has a queue of its own.
    fn serve_events(&self) {
        if let Some(consumer) = self.connection.consumer() {
            connection::serve(&consumer, |stray| self.stray(stray));
        }
    }

    /// The listener of the client, if there is one.
    fn context(&self) -> Option<Arc<Context>> {
        self.connection
            .consumer()
            .map(|consumer| Arc::clone(consumer.context()))
    }

    fn stray(&self, record: &BorrowedMessage<'_>) {
        let partition = TopicPartition::new(record.topic(), record.partition());
        tracing::error!(%partition, offset = record.offset(), "a record arrived outside its queue");
        if let Some(lane) = self.lanes().get(&partition) {
            lane.lost_order();
        }
    }

    /// Stops fetching what an earlier run never finished, because it was broken
    /// off. The client would refuse to start such a partition again.
    fn drop_leftovers(&self) {
        let leftovers = std::mem::take(&mut *self.lanes());
        if leftovers.is_empty() {
            return;
        }
        tracing::warn!(
            partitions = leftovers.len(),
            "an earlier run did not end its reading: it is ended now"
        );
        if let Some(consumer) = self.connection.consumer()
            && let Err(error) = consumer.unassign()
        {
            tracing::warn!(%error, "partitions could not be released by the client");
        }
    }

    /// Why what was requested at `since` got no response.
    async fn unreachable(&self, error: &KafkaError, since: Instant) -> Error {
        let waited = now().saturating_duration_since(since);
        self.serve_events();
        match self.context() {
            Some(context) => {
                #[cfg(feature = "broker-certificates")]
                if let Some((address, checks_host)) = context.doubted_certificate()
                    && let Some(flaw) = certificate::look(&address, checks_host).await
                {
                    context.learn(address, flaw);
                }
                context.explain(&self.bootstrap_servers, waited, error)
            }
            None => Error::new(
                ErrorType::BrokerUnreachable,
                format!("there is no Kafka client: {error}. Try again"),
            ),
        }
    }

    fn is_doubted(&self) -> bool {
        self.context().is_some_and(|context| context.is_doubted())
    }

    fn outcome(&self, answer: &Result<EndOffsets, Error>) -> Outcome {
        match answer {
            Err(error) => match error.kind {
                ErrorType::AuthenticationFailed => Outcome::Refused,
                ErrorType::BrokerUnreachable if self.is_doubted() => Outcome::Doubted,
                ErrorType::BrokerUnreachable => Outcome::Unanswered,
                _ => Outcome::Final,
            },
            Ok(ends) if is_complete(ends) => Outcome::Answered,
            Ok(_) if self.unanswered.load(Ordering::Relaxed) => Outcome::Unanswered,
            Ok(_) => Outcome::Leaderless,
        }
    }
}

/// Whether brokers told all there is to tell.
fn is_complete(ends: &EndOffsets) -> bool {
    let is_told = |error: &Error| error.kind != ErrorType::BrokerUnreachable;
    ends.partitions.iter().all(|(_, looked)| looked.is_ok()) && ends.refused.values().all(is_told)
}

impl Source for KafkaSource {
    /// The first question of a run: what died since the last one, or was
    /// changed, is found out here.
    async fn end_offsets(&self, topics: &[Arc<str>], until: Instant) -> Result<EndOffsets, Error> {
        let proven = self.connection.open(left(until)).await?;
        self.drop_leftovers();
        let mut cures = Cures {
            reopen: proven,
            renew: self.connection.may_change(),
        };
        let mut unread = None;
        loop {
            self.connection.set_renewable(cures.renew);
            self.unanswered.store(false, Ordering::Relaxed);
            let patient_until = connection::patient_until(cures, self.poll_timeout, now(), until);
            let answer = self.all_ends(topics, patient_until).await;
            match cures.next(self.outcome(&answer)) {
                Cure::None => {
                    self.connection.set_renewable(false);
                    if let Ok(ends) = &answer {
                        self.connection.prove();
                        self.told().hear(&ends.partitions);
                    }
                    return answer.map_err(|error| and_unread(error, unread));
                }
                Cure::AskAgain => {}
                Cure::Reopen => {
                    tracing::info!("the brokers do not answer on the connections that were kept: connecting again");
                    self.connection.reopen(left(until)).await?;
                }
                // Half of the time, so that the other half is for the brokers.
                Cure::Renew => unread = self.connection.renew(left(until) / 2).await.err(),
            }
        }
    }

    fn changed_partitions(&self) -> Vec<TopicPartition> {
        self.told().news.clone()
    }

    /// Whatever comes of it says nothing about the brokers to [`ends`](Self::ends).
    async fn prefetch_earliest_offsets(&self, partitions: &[TopicPartition], until: Instant) -> Vec<ListedOffset> {
        let asked = self.offsets(partitions.to_vec(), OffsetSpec::Earliest, until).await;
        let found = asked.unwrap_or_default().into_iter();
        found.map(|(looked, _)| looked).collect()
    }

    async fn list_offsets(
        &self,
        partitions: &[TopicPartition],
        what: OffsetSpec,
        until: Instant,
    ) -> Result<Vec<ListedOffset>, Error> {
        if what == OffsetSpec::HighWatermark {
            return self.high_watermarks(partitions, until).await;
        }
        self.connection.open(left(until)).await?;
        self.list_offsets_patiently(partitions, what, until).await
    }

    fn assign(&self, positions: &[(TopicPartition, NextOffset)]) -> Result<(), Error> {
        let refused = |error: &dyn std::fmt::Display| {
            Error::new(
                ErrorType::BrokerUnreachable,
                format!("the Kafka client refused to read: {error}"),
            )
        };
        let Some(consumer) = self.connection.consumer() else {
            return Err(refused(&"it is not connected"));
        };
        let mut list = TopicPartitionList::with_capacity(positions.len());
        let mut lanes = Vec::with_capacity(positions.len());
        for (partition, next) in positions {
            // The queue is split off before the partition is assigned: no
            // record can then reach the common queue in between.
            let queue = consumer
                .split_partition_queue(&partition.topic, partition.partition)
                .ok_or_else(|| refused(&format!("{partition} has no queue")))?;
            lanes.push((partition.clone(), Arc::new(Lane::new(partition.clone(), queue))));
            list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(next.get()))
                .map_err(|error| refused(&error))?;
        }
        // All of them, or none.
        consumer.incremental_assign(&list).map_err(|error| refused(&error))?;
        self.lanes().extend(lanes);
        Ok(())
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
            let silent = self
                .context()
                .map_or(self.poll_timeout, |context| context.silence(partition, since));
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

    fn unassign(&self, partitions: &[TopicPartition]) {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            if self.lanes().remove(partition).is_some() {
                list.add_partition(&partition.topic, partition.partition);
            }
        }
        if list.count() > 0
            && let Some(consumer) = self.connection.consumer()
            && let Err(error) = consumer.incremental_unassign(&list)
        {
            tracing::warn!(%error, "partitions could not be released by the client");
        }
        self.serve_events();
    }
}

/// The brokers refused the credentials, and others could not be read: both are
/// said.
fn and_unread(error: Error, unread: Option<Error>) -> Error {
    match unread {
        Some(unread) if error.kind == ErrorType::AuthenticationFailed => Error::new(
            error.kind,
            format!("{}. Besides, {}", error.message(), unread.message()),
        ),
        _ => error,
    }
}

fn left(until: Instant) -> Duration {
    // Never zero: librdkafka takes a timeout of 0 for "do not wait at all".
    until.saturating_duration_since(now()).max(Duration::from_millis(1))
}

#[expect(clippy::disallowed_methods, reason = "this stage talks to brokers, in real time")]
fn now() -> Instant {
    Instant::now()
}
