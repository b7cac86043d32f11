//! Dead letters into a Kafka topic: `ON_FAILURE=kafka://topic`.
//!
//! The topic is one of the brokers that records are read from, and is reached
//! with the same connection settings. The user needs `Write` on it; brokers
//! before 2.8 also want `IdempotentWrite` on the cluster.
//!
//! **Timestamp.** A dead letter has the time at which it was written, not the time
//! of its record, which is in a header. With the record's time, the topic's
//! retention would delete the dead letter of an old record at once.
//!
//! **Partition.** By the key, with the hash of Kafka's Java client, so that a
//! topic with as many partitions keeps a key's dead letters where its records
//! were. A record without a key goes anywhere.
//!
//! **Delivery.** Acknowledged by all replicas in sync (`acks=all`). A write
//! that was not acknowledged in time is repeated by the next run: a dead letter
//! may be there twice, and is never missing.
//!
//! **Size.** The topic's `max.message.bytes` decides. A record that it refuses
//! is written as a [`pointer()`].
//!
//! **Time.** A write has `POLL_TIMEOUT` (1 to 30 s) to be acknowledged. Where
//! the run ends before that, the target reports that it is out of time, which is
//! no failure: the record comes again in the next run. What was queued and not
//! acknowledged is discarded with the producer, so that it is not written during
//! a later run.
//!
//! **Connections.** They are kept between runs. Lambda freezes the process
//! there, and they may die unnoticed, so the first dead letter of a run waits
//! for one round trip to each broker that was written to before. One that does
//! not respond costs half a second and a new producer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::time::{Instant, sleep, timeout_at};

use super::pointer;
use crate::config::{Config, TopicName};
use crate::kafka::context::EVENT_INTERVAL;
use crate::kafka::errors::create::client_not_created;
use crate::kafka::producer::{KafkaProducer, acknowledged};
use crate::processor::{Failure, Processor, Progress, RunContext};
use crate::record::Chunk;
use crate::security::Security;

/// With less time than this a new connection with TLS is not even tried.
const MIN_TIME: Duration = Duration::from_millis(500);

/// How long the connections of a kept producer may take for their first
/// response before they count as dead. Brokers of one region respond in
/// milliseconds, and a needless reconnect costs little more than that.
const STALE_TIMEOUT: Duration = Duration::from_millis(500);

/// The time for an acknowledgement is `POLL_TIMEOUT` within these bounds: below, a
/// connection with TLS and SASL to another region cannot be made; above, a dead
/// target would use up the runs of a function.
const MIN_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a topic may be unknown: brokers with `auto.create.topics.enable`
/// take some 100 ms to create it.
const CREATION: Duration = Duration::from_secs(1);

/// The pause between two requests for a topic that is being created.
const CREATION_PAUSE: Duration = Duration::from_millis(100);

/// A topic that takes dead letters.
///
/// A chunk's records are sent in order and without waiting for each other;
/// pointers come behind. The producer is created for the first dead letter, kept
/// between runs, and discarded after a failure.
pub struct KafkaTopic {
    topic: TopicName,
    config: Config,
    security: Arc<Security>,
    timeout: Duration,
    producer: Mutex<Option<Arc<KafkaProducer>>>,
    /// Held while the producer is checked or created: other chunks wait.
    checking: tokio::sync::Mutex<()>,
}

impl KafkaTopic {
    /// The topic `topic` of the brokers of `config`. Nothing is connected yet.
    #[must_use]
    pub fn new(config: &Config, security: Arc<Security>, topic: &TopicName) -> Self {
        let timeout = config.poll_timeout.clamp(MIN_TIMEOUT, MAX_TIMEOUT);
        Self {
            topic: topic.clone(),
            config: config.clone(),
            security,
            timeout,
            producer: Mutex::default(),
            checking: tokio::sync::Mutex::default(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Arc<KafkaProducer>>> {
        self.producer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kept producer, if its connections are alive; else another one.
    async fn producer(&self) -> Result<Arc<KafkaProducer>, String> {
        let _checking = self.checking.lock().await;
        let kept = self.kept().clone();
        if let Some(producer) = kept {
            let limit = STALE_TIMEOUT.min(self.timeout / 3);
            if producer.is_alive(self.topic.as_str(), limit).await {
                return Ok(producer);
            }
            tracing::info!(
                topic = %self.topic,
                "no response on the kept connections for dead letters: reconnecting"
            );
            self.discard(&producer);
        }
        let producer = Arc::new(self.connect().await?);
        *self.kept() = Some(Arc::clone(&producer));
        Ok(producer)
    }

    async fn connect(&self) -> Result<KafkaProducer, String> {
        let access = self.security.access(self.timeout).await;
        let access = access.map_err(|error| error.message())?;
        match KafkaProducer::new(&self.config, Arc::clone(&access), &self.security, self.timeout) {
            Ok(producer) => Ok(producer),
            Err(error) => {
                self.security.forget(&access).await;
                Err(client_not_created(&error.to_string()).to_string())
            }
        }
    }

    /// Discards a producer that failed: its connections may be stale, its
    /// metadata outdated, and what it has not sent must not be sent later.
    fn discard(&self, producer: &Arc<KafkaProducer>) {
        let mut kept = self.kept();
        if kept.as_ref().is_some_and(|it| Arc::ptr_eq(it, producer)) {
            *kept = None;
        }
    }

    /// Resolves when other credentials might help, and may be read.
    async fn credentials_suspect(&self, producer: &KafkaProducer, since: Instant) {
        let suspect = || producer.needs_other_credentials(since);
        while !(self.security.may_change() && suspect()) {
            sleep(EVENT_INTERVAL).await;
        }
    }

    /// Writes what is not settled of a chunk, and counts what is acknowledged.
    async fn deliver(
        &self,
        producer: &Arc<KafkaProducer>,
        chunk: &Chunk,
        settled: &mut usize,
    ) -> Result<(), KafkaError> {
        self.find_topic(producer).await?;
        let (topic, left) = (self.topic.as_str(), &chunk.records()[*settled..]);
        let sent: Vec<_> = left.iter().map(|it| producer.send(topic, it)).collect();
        for (record, sent) in left.iter().zip(sent) {
            match acknowledged(sent).await {
                Err(error) if is_too_large(&error) => {
                    acknowledged(producer.send(topic, &pointer(record))).await?;
                }
                result => result?,
            }
            *settled += 1;
        }
        Ok(())
    }

    /// Waits until the topic is in the metadata. Otherwise the producer's error
    /// for a topic that is missing or forbidden would be a timeout.
    async fn find_topic(&self, producer: &Arc<KafkaProducer>) -> Result<(), KafkaError> {
        let since = Instant::now();
        while !producer.has_topic() {
            let (producer, topic, limit) = (Arc::clone(producer), self.topic.clone(), self.timeout);
            let request = tokio::task::spawn_blocking(move || producer.find_topic(topic.as_str(), limit));
            match request.await.unwrap_or(Err(KafkaError::Canceled)) {
                Err(error) if is_new(&error) && since.elapsed() < CREATION => sleep(CREATION_PAUSE).await,
                result => return result,
            }
        }
        Ok(())
    }

    /// Writes what is not settled until `limit`. With `refreshable`, it ends when
    /// other credentials might help.
    async fn attempt(
        &self,
        chunk: &Chunk,
        settled: &mut usize,
        limit: Limit,
        refreshable: bool,
    ) -> Result<(), Undelivered> {
        let producer = match timeout_at(limit.run_ends, self.producer()).await {
            Ok(producer) => producer.map_err(Undelivered::Failed)?,
            Err(_) => return Err(Undelivered::OutOfTime),
        };
        let mut using = Using {
            target: self,
            producer: &producer,
            keep: false,
        };
        let since = Instant::now();
        let limit = limit.started(since);
        let error = tokio::select! {
            delivered = timeout_at(limit.at(), self.deliver(&producer, chunk, settled)) => match delivered {
                Ok(Ok(())) => {
                    using.keep = true;
                    return Ok(());
                }
                Ok(Err(error)) => error,
                Err(_) if limit.is_end_of_run() => {
                    let what = producer.not_acknowledged(since.elapsed());
                    tracing::warn!(topic = %self.topic, %what, "the run ended before a dead letter was acknowledged");
                    return Err(Undelivered::OutOfTime);
                }
                Err(_) => KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut),
            },
            () = self.credentials_suspect(&producer, since), if refreshable => {
                return Err(Undelivered::CredentialsSuspect { producer: Arc::clone(&producer), limit });
            }
        };
        let why = producer.explain(&error, &self.config.bootstrap_servers, since.elapsed());
        Err(Undelivered::Failed(why.to_string()))
    }

    /// Writes a chunk, with the secret's current credentials where those of the
    /// kept producer are outdated.
    async fn write(&self, chunk: &Chunk, settled: &mut usize, limit: Limit) -> Result<(), Undelivered> {
        let (producer, limit) = match self.attempt(chunk, settled, limit, true).await {
            Err(Undelivered::CredentialsSuspect { producer, limit }) => (producer, limit),
            done => return done,
        };
        let half = limit.at().saturating_duration_since(Instant::now()) / 2;
        if let Err(error) = self.security.renewed(producer.access(), half).await {
            tracing::warn!(%error, "the credentials could not be read again");
        }
        self.attempt(chunk, settled, limit, false).await
    }
}

/// Until when an attempt may wait for the brokers.
///
/// | what comes first | |
/// |---|---|
/// | the end of the run | out of time: no failure of the target |
/// | the timeout | a failure, which is retried |
///
/// The timeout starts with the first attempt, once there is a producer: secrets
/// have a timeout of their own.
#[derive(Debug, Clone, Copy)]
struct Limit {
    run_ends: Instant,
    timeout: Duration,
    times_out_at: Option<Instant>,
}

impl Limit {
    fn started(self, now: Instant) -> Self {
        let times_out_at = self.times_out_at.unwrap_or(now + self.timeout);
        Self {
            times_out_at: Some(times_out_at),
            ..self
        }
    }

    fn at(self) -> Instant {
        self.times_out_at
            .map_or(self.run_ends, |until| until.min(self.run_ends))
    }

    fn is_end_of_run(self) -> bool {
        self.at() == self.run_ends
    }
}

/// A producer with records in flight. Unless all of them are acknowledged it is
/// discarded, also where the future is dropped.
struct Using<'a> {
    target: &'a KafkaTopic,
    producer: &'a Arc<KafkaProducer>,
    keep: bool,
}

impl Drop for Using<'_> {
    fn drop(&mut self) {
        if !self.keep {
            self.target.discard(self.producer);
        }
    }
}

/// Why an attempt did not settle all.
enum Undelivered {
    /// The run ended first.
    OutOfTime,
    /// Other credentials might help this producer.
    CredentialsSuspect { producer: Arc<KafkaProducer>, limit: Limit },
    /// What happened, and what to do next.
    Failed(String),
}

impl Processor for KafkaTopic {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        let left = run.time_left();
        let mut settled = 0;
        if left < MIN_TIME {
            return Progress { settled, stop: None };
        }
        let limit = Limit {
            run_ends: Instant::now() + left,
            timeout: self.timeout,
            times_out_at: None,
        };
        let stop = match self.write(chunk, &mut settled, limit).await {
            Ok(()) | Err(Undelivered::OutOfTime | Undelivered::CredentialsSuspect { .. }) => None,
            Err(Undelivered::Failed(what)) => Some(Failure::Retry(format!(
                "dead letters cannot be written to kafka://{}: {what}",
                self.topic
            ))),
        };
        Progress { settled, stop }
    }

    fn decodes(&self, _topic: &str) -> bool {
        true
    }
}

/// The record alone is refused: each is in a batch of its own.
fn is_too_large(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge)
    )
}

/// The topic may just be being created.
fn is_new(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::LeaderNotAvailable
        )
    )
}
