//! Which partitions a topic has, and who leads them.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::topic_partition_list::Offset;

use super::connection::PendingRequest;
use super::{KafkaSource, left, now};
use crate::error::{Error, ErrorType};
use crate::record::TopicPartition;

/// The pause before a question that one broker did not answer is asked again.
pub(super) const ELECTION_PAUSE: Duration = Duration::from_millis(50);

/// The partitions of each topic, as they were told last.
pub(super) type Topics = BTreeMap<Arc<str>, BTreeMap<i32, Leader>>;

/// The broker that leads a partition.
pub(super) type Leader = i32;

/// How Kafka's metadata says that nobody leads.
pub(super) const NO_LEADER: Leader = -1;

/// A topic's partitions and their leaders, or why they are not told.
pub(super) type TopicAnswer = Result<BTreeMap<i32, Leader>, Option<RDKafkaErrorCode>>;

impl KafkaSource {
    /// Connects, and asks for the partitions of `topics`, beside other work.
    /// Waits for secrets at most: the first question of a run waits for the brokers.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn prefetch_metadata(&self, topics: &[Arc<str>]) -> Result<(), Error> {
        self.connect().await?;
        for topic in topics {
            if let Some(asked) = self.ask_metadata(topic, self.poll_timeout) {
                self.asked_ahead().insert(Arc::clone(topic), asked);
            }
            self.connect_to_leader(topic);
        }
        Ok(())
    }

    /// librdkafka gives up its bootstrap broker, and every question that it was
    /// sent, with the first answer: that of a question of its own. It waits
    /// before it asks another broker, unless something is meant for that one
    /// alone, as the end of a partition is. Nobody waits for this answer: it is
    /// the question that connects.
    fn connect_to_leader(&self, topic: &Arc<str>) {
        let (topic, timeout) = (Arc::clone(topic), self.poll_timeout / 4);
        let _ = self.connection.ask(move |consumer| {
            let mut first = TopicPartitionList::new();
            first.add_partition_offset(&topic, 0, Offset::End)?;
            consumer.offsets_for_times(first, timeout)
        });
    }

    fn asked_ahead(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, PendingRequest<TopicAnswer>>> {
        self.asked_ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the topic's partitions and their leaders, and remembers them.
    async fn refresh(&self, topic: &Arc<str>, until: Instant) -> Result<TopicAnswer, KafkaError> {
        loop {
            match self.metadata(topic, until).await {
                // One broker closed the connection: another may answer.
                Err(error) if is_transport(&error) && now() + ELECTION_PAUSE < until => {
                    tokio::time::sleep(ELECTION_PAUSE).await;
                }
                asked => return asked,
            }
        }
    }

    /// The topic's partitions and their leaders, or the broker's refusal.
    async fn metadata(&self, topic: &Arc<str>, until: Instant) -> Result<TopicAnswer, KafkaError> {
        let ahead = self.asked_ahead().remove(topic);
        // What is answered already may be long ago: Lambda may start a process before it is needed.
        if let Some(asked) = ahead.filter(|asked| !asked.is_answered())
            && let Ok(answer) = tokio::time::timeout(left(until), self.answer(asked)).await
            && !answer.as_ref().is_err_and(is_too_late)
        {
            return answer;
        }
        let asked = self.ask_metadata(topic, left(until)).ok_or(KafkaError::Canceled)?;
        self.answer(asked).await
    }

    async fn answer<T>(&self, asked: PendingRequest<T>) -> Result<T, KafkaError> {
        self.connection.answer(asked, || self.serve_events()).await
    }

    /// Begins to ask for the topic's partitions. They are remembered even if
    /// nobody waits for them any more.
    fn ask_metadata(&self, topic: &Arc<str>, timeout: Duration) -> Option<PendingRequest<TopicAnswer>> {
        let (name, known) = (Arc::clone(topic), Arc::clone(&self.known));
        self.connection.ask(move |consumer| {
            let metadata = consumer
                .fetch_metadata(Some(&name), timeout)
                .inspect_err(|error| tracing::debug!(topic = %name, %error, "its partitions were not told"))?;
            let answer = read_topic(&metadata);
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            match &answer {
                Ok(partitions) => known.insert(name, partitions.clone()),
                // What is remembered of it is of a topic that was deleted, or was allowed.
                Err(code) if code.is_none_or(is_lasting) => known.remove(&name),
                Err(_) => None,
            };
            Ok(answer)
        })
    }

    /// Asks for the partitions of all topics, and remembers them.
    ///
    /// # Errors
    /// When no broker answers for any of them.
    pub(super) async fn refresh_all(&self, topics: &[Arc<str>], until: Instant) -> Result<Partitions, Error> {
        let since = now();
        let asked = topics.iter().map(|topic| self.refresh(topic, until));
        let answers = futures::future::join_all(asked).await;
        let mut told = Partitions::default();
        let mut unanswered = Vec::new();
        for (topic, answer) in topics.iter().zip(answers) {
            match answer {
                Ok(Ok(partitions)) => told.all.extend(of_topic(topic, &partitions)),
                Ok(Err(code)) => {
                    told.refused.insert(topic.clone(), topic_error(topic, code));
                }
                Err(error) => unanswered.push((topic, error)),
            }
        }
        if let Some((_, error)) = unanswered.first() {
            let why = self.unreachable(error, since).await;
            if unanswered.len() == topics.len() {
                return Err(why);
            }
            self.unanswered.store(true, Ordering::Relaxed);
            told.refused.extend(unanswered.into_iter().map(|(topic, _)| {
                let message = format!("the partitions of the topic {topic} are not known: {}", why.message());
                (topic.clone(), Error::new(why.kind, message))
            }));
        }
        told.all.sort();
        Ok(told)
    }

    /// The partitions of all topics, if each was told before.
    pub(super) fn remembered(&self, topics: &[Arc<str>]) -> Option<Partitions> {
        let known = self.known();
        let mut all = Vec::new();
        for topic in topics {
            all.extend(of_topic(topic, known.get(topic)?));
        }
        all.sort();
        let refused = BTreeMap::new();
        Some(Partitions { all, refused })
    }
}

/// The partitions of several topics.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Partitions {
    /// In ascending order of topic and partition.
    pub(super) all: Vec<TopicPartition>,
    /// Why those of the other topics are not known.
    pub(super) refused: BTreeMap<Arc<str>, Error>,
}

fn of_topic(topic: &Arc<str>, partitions: &BTreeMap<i32, Leader>) -> impl Iterator<Item = TopicPartition> {
    partitions
        .keys()
        .map(|partition| TopicPartition::new(Arc::clone(topic), *partition))
}

/// What the brokers say of the one topic that they were asked for.
fn read_topic(metadata: &Metadata) -> TopicAnswer {
    let found = metadata.topics().first().ok_or(None)?;
    if let Some(error) = found.error() {
        return Err(Some(RDKafkaErrorCode::from(error)));
    }
    let partitions: BTreeMap<_, _> = found.partitions().iter().map(|p| (p.id(), p.leader())).collect();
    if partitions.is_empty() {
        Err(None)
    } else {
        Ok(partitions)
    }
}

fn is_transport(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::BrokerTransportFailure)
}

/// A question that was sent ahead has a time of its own, which a process may
/// have spent asleep.
fn is_too_late(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::OperationTimedOut)
}

pub(super) fn is_refusal(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed
    )
}

/// Whether a topic is unknown or refused, and not just about to have leaders.
fn is_lasting(code: RDKafkaErrorCode) -> bool {
    let unknown = [
        RDKafkaErrorCode::UnknownTopicOrPartition,
        RDKafkaErrorCode::UnknownTopic,
    ];
    is_refusal(code) || unknown.contains(&code)
}

fn unknown_topic(topic: &str) -> Error {
    Error::new(
        ErrorType::UnknownTopic,
        format!(
            "the topic {topic} does not exist on this cluster, or this user may not see it. \
             Correct KAFKA_TOPIC, create the topic, or allow Describe on it"
        ),
    )
}

pub(super) fn topic_error(topic: &str, code: Option<RDKafkaErrorCode>) -> Error {
    match code {
        None | Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => unknown_topic(topic),
        Some(code) if is_refusal(code) => Error::new(
            ErrorType::NotAuthorized,
            format!(
                "the broker does not let this user see the topic {topic}, or there is no such topic. Allow Read and \
                 Describe on it, or correct KAFKA_TOPIC"
            ),
        ),
        Some(code) => Error::new(
            ErrorType::BrokerUnreachable,
            format!("the brokers cannot tell the partitions of the topic {topic}: {code}. The next run asks again"),
        ),
    }
}
