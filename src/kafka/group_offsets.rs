//! The committed offsets of a consumer group, read and written without joining it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::client::connection::KafkaConsumer;
use super::context::EVENT_INTERVAL;
use super::{KafkaClient, now};
use crate::config::Config;
use crate::error::{Error, ErrorType};
use crate::record::{NextOffset, TopicPartition};
use crate::security::Security;

/// The pause before a request to a coordinator that is just moving is repeated:
/// a first group, or one whose broker went down, has one after some 100
/// milliseconds.
const COORDINATOR_PAUSE: Duration = Duration::from_millis(100);

/// Whether the group's coordinator is just moving, or is loading.
fn is_moving(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::NotCoordinator
            | RDKafkaErrorCode::CoordinatorNotAvailable
            | RDKafkaErrorCode::CoordinatorLoadInProgress
    )
}

/// A consumer group of Kafka's.
pub struct KafkaGroup {
    client: KafkaClient,
    name: String,
}

impl KafkaGroup {
    /// The group `name` on the brokers of `config`. It never becomes a member.
    #[must_use]
    pub fn new(config: &Config, security: Arc<Security>, name: &str) -> Self {
        let properties = vec![("group.id", name.to_owned()), ("group.protocol", "classic".to_owned())];
        Self {
            client: KafkaClient::with_properties(config, security, properties),
            name: name.to_owned(),
        }
    }

    /// Its `group.id`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The committed offset of each of `partitions`, the next to read; `None`:
    /// the group has none. A group that does not exist has none at all.
    ///
    /// # Errors
    /// When the group's coordinator sends no response, or refuses.
    pub async fn committed(&self, partitions: &[TopicPartition]) -> Result<Vec<Option<NextOffset>>, Error> {
        let (list, timeout) = (partitions.to_vec(), self.client.poll_timeout);
        self.request("read", move |consumer| {
            let mut requested = TopicPartitionList::with_capacity(list.len());
            for partition in &list {
                requested.add_partition(&partition.topic, partition.partition);
            }
            let found = consumer.committed_offsets(requested, timeout)?;
            let offset = |partition: &TopicPartition| {
                let Some(element) = found.find_partition(&partition.topic, partition.partition) else {
                    return Ok(None);
                };
                element.error()?;
                match element.offset() {
                    Offset::Offset(offset) => Ok(NextOffset::new(offset)),
                    _ => Ok(None),
                }
            };
            list.iter().map(offset).collect()
        })
        .await
    }

    /// Commits these offsets, each the next to read.
    ///
    /// # Errors
    /// When the group has members, or its coordinator sends no response, or refuses.
    pub async fn commit(&self, offsets: Vec<(TopicPartition, NextOffset)>) -> Result<(), Error> {
        self.request("written", move |consumer| {
            let mut list = TopicPartitionList::with_capacity(offsets.len());
            for (partition, next) in &offsets {
                list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(next.get()))?;
            }
            consumer.commit(&list, CommitMode::Sync)
        })
        .await
    }

    /// Sends a request to the coordinator. librdkafka repeats it to one that
    /// refuses the user until it times out; its events hold the refusal at once.
    async fn request<T: Send + 'static>(
        &self,
        what: &str,
        call: impl FnOnce(&KafkaConsumer) -> Result<T, KafkaError> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        self.client.connect().await?;
        let sent = now();
        let response = async {
            loop {
                match self.client.blocking(call.clone()).await {
                    Err(error) if error.rdkafka_error_code().is_some_and(is_moving) => {
                        tokio::time::sleep(COORDINATOR_PAUSE).await;
                    }
                    response => return response,
                }
            }
        };
        let refusal = async {
            loop {
                tokio::time::sleep(EVENT_INTERVAL).await;
                self.client.serve_events();
                if self.is_refused() {
                    return KafkaError::Global(RDKafkaErrorCode::GroupAuthorizationFailed);
                }
            }
        };
        // A commit waits for the coordinator first, and then for its response.
        let timeout = tokio::time::sleep(self.client.poll_timeout * 2);
        let error = tokio::select! {
            response = response => match response {
                Ok(response) => return Ok(response),
                Err(error) => error,
            },
            error = refusal => error,
            () = timeout => KafkaError::Global(RDKafkaErrorCode::OperationTimedOut),
        };
        Err(self.explain(what, error, sent).await)
    }

    fn is_refused(&self) -> bool {
        self.client.context().is_some_and(|context| context.group_refused())
    }

    async fn explain(&self, done: &str, error: KafkaError, sent: Instant) -> Error {
        use RDKafkaErrorCode::{
            FencedInstanceId, GroupAuthorizationFailed, IllegalGeneration, RebalanceInProgress, StaleMemberEpoch,
            TopicAuthorizationFailed, UnknownMemberId,
        };
        let name = &self.name;
        let refused = self.is_refused();
        match error.rdkafka_error_code() {
            Some(UnknownMemberId | IllegalGeneration | RebalanceInProgress | StaleMemberEpoch | FencedInstanceId) => {
                Error::new(
                    ErrorType::Held,
                    format!("the group {name} has active members, which commit its offsets"),
                )
                .next("Stop them first")
                .caused_by(error)
            }
            Some(TopicAuthorizationFailed) => Error::new(
                ErrorType::NotAuthorized,
                format!("this user may not read the topic whose offsets the group {name} has"),
            )
            .next("Allow Read on the topic")
            .caused_by(error),
            code if refused || code == Some(GroupAuthorizationFailed) => Error::new(
                ErrorType::NotAuthorized,
                format!("the committed offsets of the group {name} cannot be {done}: the broker refuses this user"),
            )
            .next("Allow Describe on the group to read them, and Read on it to write them")
            .caused_by(error),
            _ => self.client.explain(&error, sent).await,
        }
    }
}
