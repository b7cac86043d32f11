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
//! whose answer was lost in time is made again by the next run: a dead letter
//! may be there twice, and is never missing.
//!
//! **Size.** The topic's `max.message.bytes` decides. A record that it refuses
//! is written as a [`pointer()`].
//!
//! **Time.** A write has `POLL_TIMEOUT` (1 to 30 s) to be acknowledged. Where
//! the run ends before that, the target says that the time was over, which is
//! no failure: the record comes again in the next run. What was handed to the
//! producer and not acknowledged goes with the producer, so that it is not
//! written during a later run.
//!
//! **Connections.** They are kept between runs. Lambda freezes the process
//! there, and they may die unnoticed, so the first dead letter of a run waits
//! for one round trip to each broker that was written to before. One that does
//! not answer costs half a second and a new producer.
//!
//! | file | |
//! |---|---|
//! | `client.rs` | the producer: its settings, one record -> one answer |

mod client;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::time::{Instant, sleep, timeout_at};

use crate::config::{Config, TopicName};
use crate::dead_letter::pointer;
use crate::processor::{Failure, Processor, Progress, RunContext};
use crate::record::Chunk;
use crate::security::Security;
use crate::source::kafka::context::LOOK_EVERY;
use crate::source::kafka::trouble::cannot_be_made;
use client::Client;

/// With less time than this a new connection with TLS is not even tried.
const LEAST_TIME: Duration = Duration::from_millis(500);

/// How long the connections of a client that is kept have for their first
/// answer, until they count as dead. Brokers of one region answer in
/// milliseconds, and a needless reconnect costs little more than they.
const STALE_PATIENCE: Duration = Duration::from_millis(500);

/// For the brokers to answer, `POLL_TIMEOUT` within these bounds: below, a
/// connection with TLS and SASL to another region cannot be made; above, a dead
/// target would use up the runs of a function.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(1);
const LONGEST_PATIENCE: Duration = Duration::from_secs(30);

/// How long a topic may be unknown: brokers that make topics by themselves
/// take some 100 ms.
const CREATION: Duration = Duration::from_secs(1);

/// The pause between two questions for a topic that is being made.
const CREATION_PAUSE: Duration = Duration::from_millis(100);

/// A topic that takes dead letters.
///
/// A chunk's records are sent in order and without waiting for each other;
/// pointers come behind. The client is made for the first dead letter, kept
/// between runs, and thrown away after a failure.
pub struct KafkaTopic {
    topic: TopicName,
    config: Config,
    security: Arc<Security>,
    patience: Duration,
    client: Mutex<Option<Arc<Client>>>,
    /// Held while the client is checked or made: others wait for the outcome.
    turn: tokio::sync::Mutex<()>,
}

impl KafkaTopic {
    /// The topic `topic` of the brokers of `config`. Nothing is connected yet.
    #[must_use]
    pub fn new(config: &Config, security: Arc<Security>, topic: &TopicName) -> Self {
        let patience = config.poll_timeout.clamp(SHORTEST_PATIENCE, LONGEST_PATIENCE);
        Self {
            topic: topic.clone(),
            config: config.clone(),
            security,
            patience,
            client: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Arc<Client>>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client that is kept, if its connections live; else another one.
    async fn client(&self) -> Result<Arc<Client>, String> {
        let _turn = self.turn.lock().await;
        let kept = self.kept().clone();
        if let Some(client) = kept {
            let limit = STALE_PATIENCE.min(self.patience / 3);
            if client.is_alive(self.topic.as_str(), limit).await {
                return Ok(client);
            }
            tracing::info!(
                topic = %self.topic,
                "the brokers do not answer on the connections that were kept for dead letters: connecting again"
            );
            self.discard(&client);
        }
        let client = Arc::new(self.connect().await?);
        *self.kept() = Some(Arc::clone(&client));
        Ok(client)
    }

    async fn connect(&self) -> Result<Client, String> {
        let access = self.security.access(self.patience).await;
        let access = access.map_err(|error| error.message())?;
        match Client::new(&self.config, Arc::clone(&access), &self.security, self.patience) {
            Ok(client) => Ok(client),
            Err(error) => {
                self.security.forget(&access).await;
                Err(cannot_be_made(&error.to_string()))
            }
        }
    }

    /// Throws a client away that failed: its connections may be stale, what it
    /// knows of the topic may be wrong, and what it has not sent must not be
    /// sent at another time.
    fn discard(&self, client: &Arc<Client>) {
        let mut kept = self.kept();
        if kept.as_ref().is_some_and(|it| Arc::ptr_eq(it, client)) {
            *kept = None;
        }
    }

    /// Resolves when other credentials might help, and may be had.
    async fn doubted(&self, client: &Client, since: Instant) {
        let is_curable = || client.is_curable(since);
        while !(self.security.may_change() && is_curable()) {
            sleep(LOOK_EVERY).await;
        }
    }

    /// Writes what is not settled of a chunk, and counts what is acknowledged.
    async fn deliver(&self, client: &Arc<Client>, chunk: &Chunk, settled: &mut usize) -> Result<(), KafkaError> {
        self.find_topic(client).await?;
        let (topic, left) = (self.topic.as_str(), &chunk.records()[*settled..]);
        let sent: Vec<_> = left.iter().map(|it| client.send(topic, it)).collect();
        for (record, answer) in left.iter().zip(sent) {
            match client::answer(answer).await {
                Err(error) if is_too_large(&error) => {
                    client::answer(client.send(topic, &pointer(record))).await?;
                }
                answered => answered?,
            }
            *settled += 1;
        }
        Ok(())
    }

    /// Waits until the brokers know the topic. Otherwise the producer would say
    /// of a topic that is missing or forbidden only that the time was over.
    async fn find_topic(&self, client: &Arc<Client>) -> Result<(), KafkaError> {
        let since = Instant::now();
        while !client.knows_topic() {
            let (asking, topic, limit) = (Arc::clone(client), self.topic.clone(), self.patience);
            let asked = tokio::task::spawn_blocking(move || asking.find(topic.as_str(), limit)).await;
            match asked.unwrap_or(Err(KafkaError::Canceled)) {
                Err(error) if is_new(&error) && since.elapsed() < CREATION => sleep(CREATION_PAUSE).await,
                answered => return answered,
            }
        }
        Ok(())
    }

    /// Writes what is not settled until `limit`. With `curable`, no longer than
    /// until it is known that other credentials might help.
    async fn attempt(
        &self,
        chunk: &Chunk,
        settled: &mut usize,
        limit: Limit,
        curable: bool,
    ) -> Result<(), Undelivered> {
        let client = match timeout_at(limit.run_ends, self.client()).await {
            Ok(client) => client.map_err(Undelivered::Failed)?,
            Err(_) => return Err(Undelivered::OutOfTime),
        };
        let mut using = Using {
            target: self,
            client: &client,
            keep: false,
        };
        let since = Instant::now();
        let limit = limit.begun(since);
        let error = tokio::select! {
            delivered = timeout_at(limit.at(), self.deliver(&client, chunk, settled)) => match delivered {
                Ok(Ok(())) => {
                    using.keep = true;
                    return Ok(());
                }
                Ok(Err(error)) => error,
                Err(_) if limit.is_end_of_run() => {
                    let what = client.unacknowledged(since.elapsed());
                    tracing::warn!(topic = %self.topic, what, "the run ended before a dead letter was acknowledged");
                    return Err(Undelivered::OutOfTime);
                }
                Err(_) => KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut),
            },
            () = self.doubted(&client, since), if curable => {
                return Err(Undelivered::Doubted { client: Arc::clone(&client), limit });
            }
        };
        Err(Undelivered::Failed(client.explain(
            &error,
            &self.config.bootstrap_servers,
            since.elapsed(),
        )))
    }

    /// Writes a chunk; with the credentials that count now, where those of the
    /// client that is kept do not count any more.
    async fn write(&self, chunk: &Chunk, settled: &mut usize, limit: Limit) -> Result<(), Undelivered> {
        let (client, limit) = match self.attempt(chunk, settled, limit, true).await {
            Err(Undelivered::Doubted { client, limit }) => (client, limit),
            done => return done,
        };
        let half = limit.at().saturating_duration_since(Instant::now()) / 2;
        if let Err(error) = self.security.renewed(client.access(), half).await {
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
/// | the end of patience | a failure, which may pass |
///
/// Patience begins with the first attempt, once there is a client: secrets
/// have a time of their own, and say themselves when it was not enough.
#[derive(Debug, Clone, Copy)]
struct Limit {
    run_ends: Instant,
    patience: Duration,
    patient_until: Option<Instant>,
}

impl Limit {
    fn begun(self, now: Instant) -> Self {
        let patient_until = self.patient_until.unwrap_or(now + self.patience);
        Self {
            patient_until: Some(patient_until),
            ..self
        }
    }

    fn at(self) -> Instant {
        self.patient_until
            .map_or(self.run_ends, |until| until.min(self.run_ends))
    }

    fn is_end_of_run(self) -> bool {
        self.at() == self.run_ends
    }
}

/// A client while records are on their way through it. Unless all of them were
/// acknowledged it is thrown away, also where the future is dropped.
struct Using<'a> {
    target: &'a KafkaTopic,
    client: &'a Arc<Client>,
    keep: bool,
}

impl Drop for Using<'_> {
    fn drop(&mut self) {
        if !self.keep {
            self.target.discard(self.client);
        }
    }
}

/// Why an attempt did not settle all.
enum Undelivered {
    /// The run ended first.
    OutOfTime,
    /// Other credentials might help this client.
    Doubted { client: Arc<Client>, limit: Limit },
    /// In words that say what to do next.
    Failed(String),
}

impl Processor for KafkaTopic {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        let left = run.time_left();
        let mut settled = 0;
        if left < LEAST_TIME {
            return Progress { settled, stop: None };
        }
        let limit = Limit {
            run_ends: Instant::now() + left,
            patience: self.patience,
            patient_until: None,
        };
        let stop = match self.write(chunk, &mut settled, limit).await {
            Ok(()) | Err(Undelivered::OutOfTime | Undelivered::Doubted { .. }) => None,
            Err(Undelivered::Failed(what)) => Some(Failure::Retry(format!(
                "dead letters cannot be written to kafka://{}: {what}",
                self.topic
            ))),
        };
        Progress { settled, stop }
    }

    fn decodes(&self) -> bool {
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

/// The topic may just be coming to be.
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
