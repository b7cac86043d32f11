//! The partitions of topics and their leaders, and the brokers of the cluster.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataBroker};
use rdkafka::topic_partition_list::Offset;

use super::client::connection::PendingRequest;
use super::{KafkaClient, now, time_left};
use crate::error::{Error, ErrorType};
use crate::record::TopicPartition;

/// The pause before a request that one broker did not respond to is sent again.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The partitions of each topic, as of the last metadata.
pub(super) type Topics = BTreeMap<Arc<str>, BTreeMap<i32, Leader>>;

/// The id of the broker that leads a partition.
pub(super) type Leader = i32;

/// The leader in Kafka's metadata of a partition that has none.
pub(super) const NO_LEADER: Leader = -1;

/// A topic's partitions and their leaders, or the error in the metadata: `None`
/// where the topic is missing from it.
pub(super) type TopicMetadata = Result<BTreeMap<i32, Leader>, Option<RDKafkaErrorCode>>;

/// A broker, at the address that it advertises to clients.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Broker {
    /// Its `node.id`.
    pub id: i32,
    /// The host of its `advertised.listeners`.
    pub host: String,
    /// The port of its `advertised.listeners`.
    pub port: u16,
}

impl KafkaClient {
    /// Connects, and requests the metadata of `topics` in the background. Waits
    /// for secrets at most: the first request of a run waits for the brokers.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn prefetch_metadata(&self, topics: &[Arc<str>]) -> Result<(), Error> {
        self.connect().await?;
        for topic in topics {
            if let Some(request) = self.request_metadata(topic, self.poll_timeout) {
                self.prefetched().insert(Arc::clone(topic), request);
            }
            self.connect_to_leader(topic);
        }
        Ok(())
    }

    /// All brokers of the cluster, in ascending order, from the metadata of
    /// `topic`, which need not exist.
    ///
    /// # Errors
    /// When no broker responds before `until`.
    pub async fn brokers(&self, topic: &Arc<str>, until: Instant) -> Result<Vec<Broker>, Error> {
        self.connect().await?;
        let (topic, timeout, sent) = (topic.clone(), time_left(until), now());
        let response = self
            .blocking(move |consumer| {
                let metadata = consumer.fetch_metadata(Some(&topic), timeout)?;
                let broker = |it: &MetadataBroker| Broker {
                    id: it.id(),
                    host: it.host().to_owned(),
                    port: u16::try_from(it.port()).unwrap_or_default(),
                };
                Ok(metadata.brokers().iter().map(broker).collect::<Vec<_>>())
            })
            .await;
        let mut brokers = match response {
            Ok(brokers) => brokers,
            Err(error) => return Err(self.explain(&error, sent).await),
        };
        brokers.sort();
        Ok(brokers)
    }

    /// librdkafka closes its bootstrap connection, and fails every request on
    /// it, after the first metadata that it requested itself. It waits before it
    /// connects to a broker of that metadata, unless a request is for that
    /// broker alone, as one for an end offset is. The response is not used: the
    /// request makes it connect.
    fn connect_to_leader(&self, topic: &Arc<str>) {
        let (topic, timeout) = (Arc::clone(topic), self.poll_timeout / 4);
        let _ = self.connection.send(move |consumer| {
            let mut first = TopicPartitionList::new();
            first.add_partition_offset(&topic, 0, Offset::End)?;
            consumer.offsets_for_times(first, timeout)
        });
    }

    /// Requests the topic's metadata, and stores it.
    async fn refresh_topic(&self, topic: &Arc<str>, until: Instant) -> Result<TopicMetadata, KafkaError> {
        loop {
            match self.metadata(topic, until).await {
                // One broker closed the connection: another may respond.
                Err(error) if is_transport(&error) && now() + RETRY_PAUSE < until => {
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                response => return response,
            }
        }
    }

    /// The topic's metadata, from the prefetched request if it is in flight.
    async fn metadata(&self, topic: &Arc<str>, until: Instant) -> Result<TopicMetadata, KafkaError> {
        let prefetched = self.prefetched().remove(topic);
        // A finished one may be outdated: Lambda may start a process before it is needed.
        if let Some(request) = prefetched.filter(|request| !request.is_finished())
            && let Ok(response) = tokio::time::timeout(time_left(until), self.response(request)).await
            && !response.as_ref().is_err_and(is_timeout)
        {
            return response;
        }
        let request = self
            .request_metadata(topic, time_left(until))
            .ok_or(KafkaError::Canceled)?;
        self.response(request).await
    }

    /// Sends a request for the topic's metadata, which is stored when it comes,
    /// even if nothing waits for it any more.
    fn request_metadata(&self, topic: &Arc<str>, timeout: Duration) -> Option<PendingRequest<TopicMetadata>> {
        let (name, topics) = (Arc::clone(topic), self.shared_topics());
        self.connection.send(move |consumer| {
            let metadata = consumer
                .fetch_metadata(Some(&name), timeout)
                .inspect_err(|error| tracing::debug!(topic = %name, %error, "no metadata"))?;
            let partitions = read_topic(&metadata);
            let mut topics = topics.lock().unwrap_or_else(PoisonError::into_inner);
            match &partitions {
                Ok(partitions) => topics.insert(name, partitions.clone()),
                // The stored partitions are of a topic that was deleted, or that this user could see before.
                Err(code) if code.is_none_or(is_permanent) => topics.remove(&name),
                Err(_) => None,
            };
            Ok(partitions)
        })
    }

    /// Requests the metadata of all topics, and stores it.
    ///
    /// # Errors
    /// When no broker responds for any of them.
    pub(super) async fn refresh_metadata(&self, topics: &[Arc<str>], until: Instant) -> Result<Partitions, Error> {
        let sent = now();
        let requests = topics.iter().map(|topic| self.refresh_topic(topic, until));
        let responses = futures::future::join_all(requests).await;
        let mut found = Partitions::default();
        let mut failed = Vec::new();
        for (topic, response) in topics.iter().zip(responses) {
            match response {
                Ok(Ok(partitions)) => found.all.extend(of_topic(topic, &partitions)),
                Ok(Err(code)) => {
                    found.refused.insert(topic.clone(), topic_error(topic, code));
                }
                Err(error) => failed.push((topic, error)),
            }
        }
        if let Some((_, error)) = failed.first() {
            let why = self.explain(error, sent).await;
            if failed.len() == topics.len() {
                return Err(why);
            }
            self.response_is_missing();
            found.refused.extend(failed.into_iter().map(|(topic, error)| {
                let what = format!("the partitions of the topic {topic} are unknown: {}", why.what);
                let error = Error::new(why.kind, what).next(why.next.clone()).caused_by(error);
                (topic.clone(), error)
            }));
        }
        found.all.sort();
        Ok(found)
    }

    /// The partitions of all topics, if the metadata of each is stored.
    pub(super) fn stored_partitions(&self, topics: &[Arc<str>]) -> Option<Partitions> {
        let stored = self.topics();
        let mut all = Vec::new();
        for topic in topics {
            all.extend(of_topic(topic, stored.get(topic)?));
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
    /// Why those of the other topics are unknown.
    pub(super) refused: BTreeMap<Arc<str>, Error>,
}

fn of_topic(topic: &Arc<str>, partitions: &BTreeMap<i32, Leader>) -> impl Iterator<Item = TopicPartition> {
    partitions
        .keys()
        .map(|partition| TopicPartition::new(Arc::clone(topic), *partition))
}

/// The metadata of the one topic that it was requested for.
fn read_topic(metadata: &Metadata) -> TopicMetadata {
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

/// A prefetched request has a timeout of its own, which may end while Lambda
/// has the process frozen.
fn is_timeout(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::OperationTimedOut)
}

pub(super) fn is_authorization(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed
    )
}

/// Whether a topic is unknown or refused, and not just without leaders.
fn is_permanent(code: RDKafkaErrorCode) -> bool {
    let unknown = [
        RDKafkaErrorCode::UnknownTopicOrPartition,
        RDKafkaErrorCode::UnknownTopic,
    ];
    is_authorization(code) || unknown.contains(&code)
}

pub(super) fn topic_error(topic: &str, code: Option<RDKafkaErrorCode>) -> Error {
    let error = match code {
        None | Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Error::new(
            ErrorType::UnknownTopic,
            format!("the topic {topic} does not exist on this cluster, or this user may not describe it"),
        )
        .next("Correct KAFKA_TOPIC, create the topic, or allow Describe on it"),
        Some(code) if is_authorization(code) => Error::new(
            ErrorType::NotAuthorized,
            format!("this user may not describe the topic {topic}, or there is no such topic"),
        )
        .next("Allow Read and Describe on it, or correct KAFKA_TOPIC"),
        Some(code) => Error::new(
            ErrorType::BrokerUnreachable,
            format!("the brokers returned {code} for the metadata of the topic {topic}"),
        )
        .next("The next run requests it again"),
    };
    match code {
        Some(code) => error.caused_by(KafkaError::MetadataFetch(code)),
        None => error,
    }
}
