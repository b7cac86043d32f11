//! The committed offsets of a consumer group, read and written without joining it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::context::LOOK_EVERY;
use super::{KafkaConsumer, KafkaSource};
use crate::config::Config;
use crate::error::{Error, ErrorType};
use crate::record::{NextOffset, TopicPartition};
use crate::security::Security;

/// The pause before a coordinator that is just moving is asked again: a first
/// group, or one whose broker went down, has one after some 100 milliseconds.
const MOVING_PAUSE: Duration = Duration::from_millis(100);

/// Whether the group's coordinator is just moving, or reads what it has to know.
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
    source: KafkaSource,
    name: String,
}

impl KafkaGroup {
    /// The group `name` on the brokers of `config`. It never becomes a member.
    #[must_use]
    pub fn new(config: &Config, security: Arc<Security>, name: &str) -> Self {
        let otherwise = vec![("group.id", name.to_owned()), ("group.protocol", "classic".to_owned())];
        Self {
            source: KafkaSource::of(config, security, otherwise),
            name: name.to_owned(),
        }
    }

    /// The group's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The committed offset of each of `partitions`, the next to read; `None`:
    /// the group has none. A group that does not exist has none at all.
    ///
    /// # Errors
    /// When the group's coordinator cannot be asked, or refuses.
    pub async fn committed(&self, partitions: &[TopicPartition]) -> Result<Vec<Option<NextOffset>>, Error> {
        let (list, timeout) = (partitions.to_vec(), self.source.poll_timeout);
        self.ask("read", move |consumer| {
            let mut wanted = TopicPartitionList::with_capacity(list.len());
            for partition in &list {
                wanted.add_partition(&partition.topic, partition.partition);
            }
            let found = consumer.committed_offsets(wanted, timeout)?;
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
    /// When the group has members, or its coordinator cannot be asked, or refuses.
    pub async fn commit(&self, offsets: Vec<(TopicPartition, NextOffset)>) -> Result<(), Error> {
        self.ask("written", move |consumer| {
            let mut list = TopicPartitionList::with_capacity(offsets.len());
            for (partition, next) in &offsets {
                list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(next.get()))?;
            }
            consumer.commit(&list, CommitMode::Sync)
        })
        .await
    }

    /// Asks the coordinator. librdkafka goes on asking one that refuses the
    /// user, until the time is over; its events tell at once.
    async fn ask<T: Send + 'static>(
        &self,
        what: &str,
        call: impl FnOnce(&KafkaConsumer) -> Result<T, KafkaError> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        self.source.connect().await?;
        let since = super::now();
        let answer = async {
            loop {
                match self.source.blocking(call.clone()).await {
                    Err(error) if error.rdkafka_error_code().is_some_and(is_moving) => {
                        tokio::time::sleep(MOVING_PAUSE).await;
                    }
                    answer => return answer,
                }
            }
        };
        let watch = async {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                self.source.serve_events();
                if self.is_refused() {
                    return KafkaError::Global(RDKafkaErrorCode::GroupAuthorizationFailed);
                }
            }
        };
        // A commit waits for the coordinator first, and then for its answer.
        let patience = tokio::time::sleep(self.source.poll_timeout * 2);
        let error = tokio::select! {
            answer = answer => match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            },
            error = watch => error,
            () = patience => KafkaError::Global(RDKafkaErrorCode::OperationTimedOut),
        };
        Err(self.explain(what, &error, since).await)
    }

    fn is_refused(&self) -> bool {
        self.source.context().is_some_and(|context| context.group_refused())
    }

    async fn explain(&self, what: &str, error: &KafkaError, since: Instant) -> Error {
        use RDKafkaErrorCode::{
            FencedInstanceId, GroupAuthorizationFailed, IllegalGeneration, RebalanceInProgress, StaleMemberEpoch,
            TopicAuthorizationFailed, UnknownMemberId,
        };
        let name = &self.name;
        let refused = self.is_refused();
        match error.rdkafka_error_code() {
            Some(UnknownMemberId | IllegalGeneration | RebalanceInProgress | StaleMemberEpoch | FencedInstanceId) => {
                let why = "has active members, which commit for themselves: stop them first";
                Error::new(ErrorType::Held, format!("the group {name} {why}"))
            }
            Some(TopicAuthorizationFailed) => Error::new(
                ErrorType::NotAuthorized,
                format!("the broker does not let this user see the topic in the group {name}. Allow Read on the topic"),
            ),
            code if refused || code == Some(GroupAuthorizationFailed) => Error::new(
                ErrorType::NotAuthorized,
                format!(
                    "the committed offsets of the group {name} cannot be {what}: the broker refuses this user. Allow \
                     Describe on the group to read them, and Read on it to write them"
                ),
            ),
            _ => self.source.unreachable(error, since).await,
        }
    }
}
