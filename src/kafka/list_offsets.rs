//! Earliest and end offsets, and offsets by time: `ListOffsets` requests.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{Either, select};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionListElem};

use super::metadata::{Leader, NO_LEADER, Partitions, RETRY_PAUSE, is_authorization, topic_error};
use super::{KafkaClient, now, time_left};
use crate::error::Error;
use crate::record::{NextOffset, TopicPartition};
use crate::source::{EndOffsets, ListedOffset, OffsetSpec, Unavailable};

/// How long the request for a partition without a leader is repeated before the
/// partition counts as unavailable: a new topic or an election takes some 10
/// milliseconds.
const ELECTION_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the metadata is waited for after the end offsets. The table mostly
/// takes longer than both; and a request that is in flight when Lambda freezes
/// the process has timed out when it continues, which costs its connection.
const METADATA_GRACE: Duration = Duration::from_millis(10);

/// The share of the time that one request to all brokers may take, before each
/// broker gets one of its own: a silent one must not hide the others.
const ONE_REQUEST_SHARE: u32 = 2;

impl KafkaClient {
    /// The end offsets of all partitions of `topics`, requested once.
    pub(super) async fn list_end_offsets(&self, topics: &[Arc<str>], until: Instant) -> Result<EndOffsets, Error> {
        let partitions = match self.stored_partitions(topics) {
            // The metadata is refreshed at the same time.
            Some(stored) => match self.end_offsets_unless_changed(&stored, topics, until).await? {
                Ok(found) => return Ok(with_partitions(stored, found)),
                Err(changed) => changed,
            },
            None => self.refresh_metadata(topics, until).await?,
        };
        let found = self
            .list_offsets_with_retries(&partitions.all, OffsetSpec::Latest, until)
            .await?;
        Ok(with_partitions(partitions, found))
    }

    /// The end offsets of `stored`; or, as an error, the partitions as they are
    /// now, if they changed. The metadata is waited for where an end offset is
    /// missing, for then the reason matters. Else it gets little more time than
    /// the end offsets, and is stored whenever it comes: for this run or a later one.
    async fn end_offsets_unless_changed(
        &self,
        stored: &Partitions,
        topics: &[Arc<str>],
        until: Instant,
    ) -> Result<Result<Vec<ListedOffset>, Partitions>, Error> {
        let listing = pin!(self.list_offsets_with_retries(&stored.all, OffsetSpec::Latest, until));
        let refreshing = pin!(self.refresh_metadata(topics, until));
        let (found, refreshed) = match select(listing, refreshing).await {
            Either::Left((Ok(found), refreshing)) if found.iter().all(Result::is_ok) => {
                (Ok(found), tokio::time::timeout(METADATA_GRACE, refreshing).await.ok())
            }
            Either::Left((found, refreshing)) => (found, Some(refreshing.await)),
            // A deleted partition has no end offset.
            Either::Right((Ok(refreshed), _)) if refreshed != *stored => return Ok(Err(refreshed)),
            Either::Right((refreshed, listing)) => (listing.await, Some(refreshed)),
        };
        match refreshed.transpose()? {
            Some(refreshed) if refreshed != *stored => Ok(Err(refreshed)),
            _ => found.map(Ok),
        }
    }

    /// The earliest offsets of `partitions`, in the same order, or nothing.
    /// Errors of it have no effect on [`end_offsets`](Self::end_offsets).
    pub(crate) async fn prefetch_earliest_offsets(
        &self,
        partitions: &[TopicPartition],
        until: Instant,
    ) -> Vec<ListedOffset> {
        let response = self.offsets(partitions.to_vec(), OffsetSpec::Earliest, until).await;
        let found = response.unwrap_or_default().into_iter();
        found.map(|(offset, _)| offset).collect()
    }

    /// One offset for each of `partitions`, in the same order.
    ///
    /// # Errors
    /// When no broker responds before `until`, or the user may not describe the
    /// topic of all of them.
    pub async fn list_offsets(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
        until: Instant,
    ) -> Result<Vec<ListedOffset>, Error> {
        if spec == OffsetSpec::HighWatermark {
            return self.high_watermarks(partitions, until).await;
        }
        self.connection.open(time_left(until)).await?;
        self.list_offsets_with_retries(partitions, spec, until).await
    }

    /// With a connection of its own, which is closed after the response: this is
    /// rarely needed.
    async fn high_watermarks(&self, partitions: &[TopicPartition], until: Instant) -> Result<Vec<ListedOffset>, Error> {
        let Some(connection) = self.connection.read_uncommitted() else {
            self.connection.open(time_left(until)).await?;
            return self
                .list_offsets_with_retries(partitions, OffsetSpec::Latest, until)
                .await;
        };
        let other = self.on_connection(connection);
        other.connection.open(time_left(until)).await?;
        let found = other
            .list_offsets_with_retries(partitions, OffsetSpec::Latest, until)
            .await;
        other.connection.close();
        found
    }

    /// One request to each leader, repeated for partitions whose leader is just
    /// being elected.
    async fn list_offsets_with_retries(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
        until: Instant,
    ) -> Result<Vec<ListedOffset>, Error> {
        let election_until = (now() + ELECTION_TIMEOUT).min(until);
        let mut found = self.list_offsets_once(partitions, spec, until).await?;
        while found.iter().any(Result::is_err) && now() + RETRY_PAUSE < election_until {
            tokio::time::sleep(RETRY_PAUSE).await;
            let missing: Vec<usize> = (0..found.len()).filter(|&i| found[i].is_err()).collect();
            let mut topics: Vec<Arc<str>> = missing.iter().map(|&i| partitions[i].topic.clone()).collect();
            topics.dedup();
            // A failed refresh keeps the stored metadata.
            let _ = self.refresh_metadata(&topics, election_until).await;
            let again: Vec<TopicPartition> = missing.iter().map(|&i| partitions[i].clone()).collect();
            let Ok(offsets) = self.list_offsets_once(&again, spec, election_until).await else {
                break;
            };
            for (i, offset) in missing.into_iter().zip(offsets) {
                found[i] = offset;
            }
        }
        Ok(found)
    }

    async fn list_offsets_once(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
        until: Instant,
    ) -> Result<Vec<ListedOffset>, Error> {
        if partitions.is_empty() {
            return Ok(vec![]);
        }
        let sent = now();
        let share = if self.has_one_leader() { 1 } else { ONE_REQUEST_SHARE };
        let first_until = sent + time_left(until) / share;
        match self.offsets(partitions.to_vec(), spec, first_until).await {
            Ok(found) => self.unless_unauthorized(partitions, found),
            Err(KafkaError::OffsetFetch(code)) if is_authorization(code) && is_of_one_topic(partitions) => {
                Err(topic_error(&partitions[0].topic, Some(code)))
            }
            Err(error) => {
                self.list_offsets_by_leader(partitions, spec, until, (&error, sent))
                    .await
            }
        }
    }

    /// One silent broker fails the whole request, and so does one partition
    /// that a broker does not have, or refuses. So each topic gets a request to
    /// each of its leaders.
    async fn list_offsets_by_leader(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
        until: Instant,
        (first_error, sent): (&KafkaError, Instant),
    ) -> Result<Vec<ListedOffset>, Error> {
        let mut by_leader: BTreeMap<(Leader, &Arc<str>), Vec<usize>> = BTreeMap::new();
        let mut leaderless = false;
        for (i, partition) in partitions.iter().enumerate() {
            let leader = self
                .topics()
                .get(&partition.topic)
                .and_then(|p| p.get(&partition.partition).copied());
            match leader {
                None | Some(NO_LEADER) => leaderless = true,
                Some(leader) => by_leader.entry((leader, &partition.topic)).or_default().push(i),
            }
        }
        if !leaderless && by_leader.len() == 1 {
            return Err(self.explain(first_error, sent).await);
        }
        let groups: Vec<Vec<usize>> = by_leader.into_values().collect();
        let responses = futures::future::join_all(
            groups
                .iter()
                .map(|group| self.offsets(group.iter().map(|&i| partitions[i].clone()).collect(), spec, until)),
        )
        .await;
        let mut found: Vec<ListedOffset> = vec![Err(Unavailable("it has no leader".into())); partitions.len()];
        for (group, response) in groups.into_iter().zip(responses) {
            match response {
                Ok(offsets) => group
                    .into_iter()
                    .zip(offsets)
                    .for_each(|(i, (offset, _))| found[i] = offset),
                Err(error) => {
                    let why = self.why_unavailable(&error);
                    for i in group {
                        found[i] = Err(why.clone());
                    }
                }
            }
        }
        if !leaderless && found.iter().all(Result::is_err) {
            return Err(self.explain(first_error, sent).await);
        }
        Ok(found)
    }

    fn why_unavailable(&self, error: &KafkaError) -> Unavailable {
        match error {
            KafkaError::OffsetFetch(code)
                if is_authorization(*code) || *code == RDKafkaErrorCode::UnknownTopicOrPartition =>
            {
                Unavailable(code.to_string())
            }
            _ => {
                self.response_is_missing();
                Unavailable(format!("its broker sent no response: {error}"))
            }
        }
    }

    /// A single leader gets all the time.
    fn has_one_leader(&self) -> bool {
        let topics = self.topics();
        let mut leaders = topics.values().flat_map(BTreeMap::values);
        let first = leaders.next();
        leaders.all(|leader| Some(leader) == first)
    }

    fn unless_unauthorized(
        &self,
        partitions: &[TopicPartition],
        found: Vec<(ListedOffset, Option<RDKafkaErrorCode>)>,
    ) -> Result<Vec<ListedOffset>, Error> {
        if let Some(context) = self.context() {
            context.response_received();
        }
        let refused = found
            .iter()
            .zip(partitions)
            .find(|((_, code), _)| code.is_some_and(is_authorization));
        if let Some(((_, code), partition)) = refused
            && is_of_one_topic(partitions)
        {
            return Err(topic_error(&partition.topic, *code));
        }
        Ok(found.into_iter().map(|(offset, _)| offset).collect())
    }

    /// The offsets by one request, in the order of `partitions`.
    async fn offsets(
        &self,
        partitions: Vec<TopicPartition>,
        spec: OffsetSpec,
        until: Instant,
    ) -> Result<Vec<(ListedOffset, Option<RDKafkaErrorCode>)>, KafkaError> {
        let timeout = time_left(until);
        self.blocking(move |consumer| {
            let mut list = TopicPartitionList::with_capacity(partitions.len());
            let offset = match spec {
                OffsetSpec::Earliest => Offset::Beginning,
                OffsetSpec::Latest | OffsetSpec::HighWatermark => Offset::End,
                OffsetSpec::ForTimestamp(unix_ms) => Offset::Offset(unix_ms.max(0)),
            };
            for partition in &partitions {
                list.add_partition(&partition.topic, partition.partition);
            }
            // Not one by one: each call searches the whole list.
            list.set_all_offsets(offset)?;
            let response = consumer.offsets_for_times(list, timeout)?;
            Ok(read_offsets(&response, &partitions, spec))
        })
        .await
    }
}

fn with_partitions(partitions: Partitions, found: Vec<ListedOffset>) -> EndOffsets {
    EndOffsets {
        partitions: partitions.all.into_iter().zip(found).collect(),
        refused: partitions.refused,
    }
}

/// Only then an authorization error fails the whole call: it must not hide other topics.
fn is_of_one_topic(partitions: &[TopicPartition]) -> bool {
    partitions.iter().all(|it| it.topic == partitions[0].topic)
}

/// In the order of `partitions`, which mostly is the order of the response.
fn read_offsets(
    response: &TopicPartitionList,
    partitions: &[TopicPartition],
    spec: OffsetSpec,
) -> Vec<(ListedOffset, Option<RDKafkaErrorCode>)> {
    let elements = response.elements();
    let is_of = |element: &TopicPartitionListElem<'_>, partition: &TopicPartition| {
        element.partition() == partition.partition && element.topic() == &*partition.topic
    };
    let missing = || (Err(Unavailable("the broker sent no response for it".into())), None);
    partitions
        .iter()
        .enumerate()
        .map(|(i, partition)| {
            let here = elements.get(i).filter(|element| is_of(element, partition));
            let element = here.or_else(|| elements.iter().find(|element| is_of(element, partition)));
            element.map_or_else(missing, |element| read_offset(element, spec))
        })
        .collect()
}

fn read_offset(element: &TopicPartitionListElem<'_>, spec: OffsetSpec) -> (ListedOffset, Option<RDKafkaErrorCode>) {
    // The error first: a leaderless partition shows an end as if all were well.
    if let Err(error) = element.error() {
        let code = error.rdkafka_error_code();
        return (Err(Unavailable(error.to_string())), code);
    }
    let offset = match element.offset() {
        Offset::Offset(offset) => NextOffset::new(offset).ok_or_else(|| Unavailable(format!("offset {offset}"))),
        // A time past the last record: the caller takes the end offset.
        Offset::End if matches!(spec, OffsetSpec::ForTimestamp(_)) => {
            NextOffset::new(i64::MAX).ok_or_else(|| Unavailable("no offset".into()))
        }
        other => Err(Unavailable(format!("the broker returned {other:?}"))),
    };
    (offset, None)
}
