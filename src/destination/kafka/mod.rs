//! A Kafka topic: of records, or of dead letters.
//!
//! The topic is one of the brokers that records are read from, and is reached
//! with the same connection settings. The user needs `Write` on it; brokers
//! before 2.8 also want `IdempotentWrite` on the cluster.
//!
//! **Timestamp.** An entry has the time at which it was written, not the time
//! of its record. With the record's time, the topic's retention would delete
//! an old record at once.
//!
//! **Partition.** By the key, with the hash of Kafka's Java client, so that a
//! topic with as many partitions keeps a key where its records
//! were. A record without a key goes anywhere.
//!
//! **Delivery.** Acknowledged by all replicas in sync (`acks=all`). A write
//! that was not acknowledged in time is repeated: an entry
//! may be there twice, and is never missing.
//!
//! **Size.** The topic's `max.message.bytes` decides.
//!
//! **Time.** A call has `POLL_TIMEOUT` (1 to 30 s) to be acknowledged. What was queued and not
//! acknowledged is discarded with the producer, also where the run ends before that, so that it is
//! not written during a later run.
//!
//! **Connections.** They are kept between runs. Lambda freezes the process
//! there, and they may die unnoticed, so the first write of a run waits
//! for one round trip to each broker that was written to before. One that does
//! not respond costs half a second and a new producer.

mod record;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::time::{Instant, sleep, timeout_at};

use super::batched::{CallFailure, EntryOutcome, Limits, Sender};
use crate::config::{Config, TopicName};
use crate::kafka::context::EVENT_INTERVAL;
use crate::kafka::errors::create::client_not_created;
use crate::kafka::producer::{KafkaProducer, acknowledged};
use crate::record::Record;
use crate::security::Security;
pub(crate) use record::Copies;

/// Entries of one call: more would only wait in the producer's queue.
const MAX_ENTRIES: usize = 1_000;

/// Bytes of one call, for the memory that the producer's queue takes.
const MAX_CALL_BYTES: usize = 4 * 1024 * 1024;

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

/// A topic. The producer is created for the first entry, kept between runs, and discarded after
/// a failure.
pub(crate) struct TopicSender {
    topic: TopicName,
    /// The setting that names the topic, for messages.
    setting: &'static str,
    config: Config,
    security: Arc<Security>,
    timeout: Duration,
    producer: Mutex<Option<Arc<KafkaProducer>>>,
    /// Held while the producer is checked or created: other chunks wait.
    checking: tokio::sync::Mutex<()>,
}

impl TopicSender {
    /// The topic `topic` of the brokers of `config`, named by `setting`. Nothing is connected yet.
    pub(crate) fn new(config: &Config, security: Arc<Security>, topic: &TopicName, setting: &'static str) -> Self {
        let timeout = config.poll_timeout.clamp(MIN_TIMEOUT, MAX_TIMEOUT);
        Self {
            topic: topic.clone(),
            setting,
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
                "no response on the kept connections of a producer: reconnecting"
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

    /// Writes entries in order and without waiting for each other, and adds an outcome for each
    /// that is acknowledged or too large.
    async fn deliver(
        &self,
        producer: &Arc<KafkaProducer>,
        entries: &[Record],
        outcomes: &mut Vec<EntryOutcome>,
    ) -> Result<(), KafkaError> {
        self.find_topic(producer).await?;
        let topic = self.topic.as_str();
        let left = &entries[outcomes.len()..];
        let sent: Vec<_> = left.iter().map(|it| producer.send(topic, it)).collect();
        for sent in sent {
            match acknowledged(sent).await {
                Err(error) if is_too_large(&error) => outcomes.push(EntryOutcome::TooLarge),
                result => {
                    result?;
                    outcomes.push(EntryOutcome::Accepted);
                }
            }
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

    /// Writes the entries that have no outcome. With `refreshable`, it ends when other credentials
    /// might help.
    async fn attempt(
        &self,
        entries: &[Record],
        outcomes: &mut Vec<EntryOutcome>,
        times_out_at: Option<Instant>,
        refreshable: bool,
    ) -> Result<(), Undelivered> {
        let producer = self
            .producer()
            .await
            .map_err(|what| Undelivered::Failed(Failed::for_now(what)))?;
        let mut using = Using {
            target: self,
            producer: &producer,
            keep: false,
        };
        let since = Instant::now();
        // From the first attempt on: secrets have a timeout of their own.
        let until = times_out_at.unwrap_or(since + self.timeout);
        let error = tokio::select! {
            delivered = timeout_at(until, self.deliver(&producer, entries, outcomes)) => match delivered {
                Ok(Ok(())) => {
                    using.keep = true;
                    return Ok(());
                }
                Ok(Err(error)) => error,
                Err(_) => KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut),
            },
            () = self.credentials_suspect(&producer, since), if refreshable => {
                return Err(Undelivered::CredentialsSuspect { producer: Arc::clone(&producer), until });
            }
        };
        let why = producer.explain(&error, &self.config.bootstrap_servers, since.elapsed(), self.setting);
        Err(Undelivered::Failed(Failed {
            is_permanent: is_permanent(&error),
            what: why.to_string(),
        }))
    }

    /// Writes entries, with the secret's current credentials where those of the
    /// kept producer are outdated.
    async fn write(&self, entries: &[Record], outcomes: &mut Vec<EntryOutcome>) -> Result<(), Failed> {
        let (producer, until) = match self.attempt(entries, outcomes, None, true).await {
            Ok(()) => return Ok(()),
            Err(Undelivered::Failed(failed)) => return Err(failed),
            Err(Undelivered::CredentialsSuspect { producer, until }) => (producer, until),
        };
        let half = until.saturating_duration_since(Instant::now()) / 2;
        if let Err(error) = self.security.renewed(producer.access(), half).await {
            tracing::warn!(%error, "the credentials could not be read again");
        }
        match self.attempt(entries, outcomes, Some(until), false).await {
            Err(Undelivered::Failed(failed)) => Err(failed),
            Ok(()) | Err(Undelivered::CredentialsSuspect { .. }) => Ok(()),
        }
    }
}

/// A producer with records in flight. Unless all of them are acknowledged it is
/// discarded, also where the future is dropped.
struct Using<'a> {
    target: &'a TopicSender,
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

/// Why an attempt did not write all.
enum Undelivered {
    /// Other credentials might help this producer until then.
    CredentialsSuspect {
        producer: Arc<KafkaProducer>,
        until: Instant,
    },
    Failed(Failed),
}

/// Why entries were not acknowledged.
struct Failed {
    /// No entry is acknowledged before something is corrected.
    is_permanent: bool,
    /// What happened, and what to do next.
    what: String,
}

impl Failed {
    fn for_now(what: String) -> Self {
        Self {
            is_permanent: false,
            what,
        }
    }
}

impl Sender for TopicSender {
    type Entry = Record;

    fn limits(&self) -> Limits {
        Limits {
            entries: MAX_ENTRIES,
            call_bytes: MAX_CALL_BYTES,
            // The topic decides.
            entry_bytes: usize::MAX,
        }
    }

    fn bytes(&self, entry: &Record) -> usize {
        entry.size_bytes()
    }

    async fn send(&self, entries: &[Record]) -> Result<Vec<EntryOutcome>, CallFailure> {
        let mut outcomes = vec![];
        let Err(Failed { is_permanent, what }) = self.write(entries, &mut outcomes).await else {
            return Ok(outcomes);
        };
        // Those behind it are sent again: whether they were written is unknown.
        let (failure, outcome) = if is_permanent {
            (CallFailure::Fatal(what.clone()), EntryOutcome::Fatal(what))
        } else {
            (CallFailure::Throttled(what.clone()), EntryOutcome::Throttled(what))
        };
        if outcomes.is_empty() {
            return Err(failure);
        }
        outcomes.push(outcome);
        Ok(outcomes)
    }
}

/// The user or the topic must be corrected first.
fn is_permanent(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
        )
    )
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
