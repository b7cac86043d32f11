//! Where the logs of partitions begin and end.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::future::{Either, select};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionListElem};

use super::topics::{ELECTION_PAUSE, Leader, NO_LEADER, Partitions, is_refusal, topic_error};
use super::{KafkaSource, left, now};
use crate::error::Error;
use crate::record::{NextOffset, TopicPartition};
use crate::source::{EndOffsets, ListedOffset, OffsetSpec, Unavailable};

/// How long a partition without a leader is asked again before it counts as
/// unavailable: a new topic or an election settles in some 10 milliseconds.
const ELECTION_PATIENCE: Duration = Duration::from_secs(1);

/// How much later than the ends the partitions are waited for. The table
/// mostly takes longer than both; and a question that is on its way when Lambda
/// freezes the process is too old when it wakes up, which costs its connection.
const TOGETHER: Duration = Duration::from_millis(10);

/// The share of the time that one request to all brokers may take, before each
/// broker is asked by itself: one that is silent must not hide the others.
const ALL_AT_ONCE_SHARE: u32 = 2;

impl KafkaSource {
    pub(super) async fn all_ends(&self, topics: &[Arc<str>], until: Instant) -> Result<EndOffsets, Error> {
        let partitions = match self.remembered(topics) {
            // Known already: what is new of the topics is asked side by side.
            Some(remembered) => match self.ends_unless_changed(&remembered, topics, until).await? {
                Ok(found) => return Ok(ends(remembered, found)),
                Err(changed) => changed,
            },
            None => self.refresh_all(topics, until).await?,
        };
        let found = self
            .list_offsets_patiently(&partitions.all, OffsetSpec::Latest, until)
            .await?;
        Ok(ends(partitions, found))
    }

    /// The ends of `remembered`; or, as an error, the partitions as they are
    /// now, if they changed. They are waited for where an end is missing, for
    /// then it matters why. Else they get little more time than the ends, and
    /// are remembered whenever they come: they count in this run or in a later one.
    async fn ends_unless_changed(
        &self,
        remembered: &Partitions,
        topics: &[Arc<str>],
        until: Instant,
    ) -> Result<Result<Vec<ListedOffset>, Partitions>, Error> {
        let asked = pin!(self.list_offsets_patiently(&remembered.all, OffsetSpec::Latest, until));
        let refreshing = pin!(self.refresh_all(topics, until));
        let (found, refreshed) = match select(asked, refreshing).await {
            Either::Left((Ok(found), refreshing)) if found.iter().all(Result::is_ok) => {
                (Ok(found), tokio::time::timeout(TOGETHER, refreshing).await.ok())
            }
            Either::Left((found, refreshing)) => (found, Some(refreshing.await)),
            // Of what is gone nobody tells an end.
            Either::Right((Ok(refreshed), _)) if refreshed != *remembered => return Ok(Err(refreshed)),
            Either::Right((refreshed, asked)) => (asked.await, Some(refreshed)),
        };
        match refreshed.transpose()? {
            Some(refreshed) if refreshed != *remembered => Ok(Err(refreshed)),
            _ => found.map(Ok),
        }
    }

    /// By a client of its own, which ends with the answer: this is rarely asked.
    pub(super) async fn high_watermarks(
        &self,
        partitions: &[TopicPartition],
        until: Instant,
    ) -> Result<Vec<ListedOffset>, Error> {
        let Some(connection) = self.connection.uncommitted() else {
            self.connection.open(left(until)).await?;
            return self.list_offsets_patiently(partitions, OffsetSpec::Latest, until).await;
        };
        let other = Self {
            known: Arc::clone(&self.known),
            ..Self::with(connection, self.bootstrap_servers.clone(), self.poll_timeout)
        };
        other.connection.open(left(until)).await?;
        let found = other
            .list_offsets_patiently(partitions, OffsetSpec::Latest, until)
            .await;
        other.connection.close();
        found
    }

    /// One request to each leader; asked again for those whose leader is just
    /// being elected.
    pub(super) async fn list_offsets_patiently(
        &self,
        partitions: &[TopicPartition],
        what: OffsetSpec,
        until: Instant,
    ) -> Result<Vec<ListedOffset>, Error> {
        let patient_until = (now() + ELECTION_PATIENCE).min(until);
        let mut found = self.list_offsets_once(partitions, what, until).await?;
        while found.iter().any(Result::is_err) && now() + ELECTION_PAUSE < patient_until {
            tokio::time::sleep(ELECTION_PAUSE).await;
            let missing: Vec<usize> = (0..found.len()).filter(|&i| found[i].is_err()).collect();
            let mut topics: Vec<Arc<str>> = missing.iter().map(|&i| partitions[i].topic.clone()).collect();
            topics.dedup();
            // What is known already is never given up for a question that failed.
            let _ = self.refresh_all(&topics, patient_until).await;
            let again: Vec<TopicPartition> = missing.iter().map(|&i| partitions[i].clone()).collect();
            let Ok(answers) = self.list_offsets_once(&again, what, patient_until).await else {
                break;
            };
            for (i, looked) in missing.into_iter().zip(answers) {
                found[i] = looked;
            }
        }
        Ok(found)
    }

    async fn list_offsets_once(
        &self,
        partitions: &[TopicPartition],
        what: OffsetSpec,
        until: Instant,
    ) -> Result<Vec<ListedOffset>, Error> {
        if partitions.is_empty() {
            return Ok(vec![]);
        }
        let since = now();
        let share = if self.has_one_leader() { 1 } else { ALL_AT_ONCE_SHARE };
        let first_until = since + left(until) / share;
        match self.offsets(partitions.to_vec(), what, first_until).await {
            Ok(found) => self.unless_refused(partitions, found),
            Err(KafkaError::OffsetFetch(code)) if is_refusal(code) && is_of_one_topic(partitions) => {
                Err(topic_error(&partitions[0].topic, Some(code)))
            }
            Err(error) => self.list_offsets_apart(partitions, what, until, (&error, since)).await,
        }
    }

    /// One silent broker fails the whole request, and so does one partition
    /// that a broker does not have, or refuses. So each topic is asked for at
    /// each of its leaders.
    async fn list_offsets_apart(
        &self,
        partitions: &[TopicPartition],
        what: OffsetSpec,
        until: Instant,
        (first_error, since): (&KafkaError, Instant),
    ) -> Result<Vec<ListedOffset>, Error> {
        let mut apart: BTreeMap<(Leader, &Arc<str>), Vec<usize>> = BTreeMap::new();
        let mut leaderless = false;
        for (i, partition) in partitions.iter().enumerate() {
            let leader = self
                .known()
                .get(&partition.topic)
                .and_then(|p| p.get(&partition.partition).copied());
            match leader {
                None | Some(NO_LEADER) => leaderless = true,
                Some(leader) => apart.entry((leader, &partition.topic)).or_default().push(i),
            }
        }
        if !leaderless && apart.len() == 1 {
            return Err(self.unreachable(first_error, since).await);
        }
        let groups: Vec<Vec<usize>> = apart.into_values().collect();
        let answers = futures::future::join_all(
            groups
                .iter()
                .map(|group| self.offsets(group.iter().map(|&i| partitions[i].clone()).collect(), what, until)),
        )
        .await;
        let mut found: Vec<ListedOffset> = vec![Err(Unavailable("it has no leader".into())); partitions.len()];
        for (group, answer) in groups.into_iter().zip(answers) {
            match answer {
                Ok(answer) => group
                    .into_iter()
                    .zip(answer)
                    .for_each(|(i, (looked, _))| found[i] = looked),
                Err(error) => {
                    let why = self.why_unavailable(&error);
                    for i in group {
                        found[i] = Err(why.clone());
                    }
                }
            }
        }
        if !leaderless && found.iter().all(Result::is_err) {
            return Err(self.unreachable(first_error, since).await);
        }
        Ok(found)
    }

    fn why_unavailable(&self, error: &KafkaError) -> Unavailable {
        match error {
            KafkaError::OffsetFetch(code)
                if is_refusal(*code) || *code == RDKafkaErrorCode::UnknownTopicOrPartition =>
            {
                Unavailable(code.to_string())
            }
            _ => {
                self.unanswered.store(true, Ordering::Relaxed);
                Unavailable(format!("its broker did not answer: {error}"))
            }
        }
    }

    /// With a single broker there is nobody else to ask, so it gets all the time.
    fn has_one_leader(&self) -> bool {
        let known = self.known();
        let mut leaders = known.values().flat_map(BTreeMap::values);
        let first = leaders.next();
        leaders.all(|leader| Some(leader) == first)
    }

    fn unless_refused(
        &self,
        partitions: &[TopicPartition],
        found: Vec<(ListedOffset, Option<RDKafkaErrorCode>)>,
    ) -> Result<Vec<ListedOffset>, Error> {
        if let Some(context) = self.context() {
            context.answered();
        }
        let refused = found
            .iter()
            .zip(partitions)
            .find(|((_, code), _)| code.is_some_and(is_refusal));
        if let Some(((_, code), partition)) = refused
            && is_of_one_topic(partitions)
        {
            return Err(topic_error(&partition.topic, *code));
        }
        Ok(found.into_iter().map(|(looked, _)| looked).collect())
    }

    /// The offsets in one round trip, in the order of `partitions`.
    pub(super) async fn offsets(
        &self,
        partitions: Vec<TopicPartition>,
        what: OffsetSpec,
        until: Instant,
    ) -> Result<Vec<(ListedOffset, Option<RDKafkaErrorCode>)>, KafkaError> {
        let timeout = left(until);
        self.blocking(move |consumer| {
            let mut list = TopicPartitionList::with_capacity(partitions.len());
            let wanted = match what {
                OffsetSpec::Earliest => Offset::Beginning,
                OffsetSpec::Latest | OffsetSpec::HighWatermark => Offset::End,
                OffsetSpec::ForTimestamp(unix_ms) => Offset::Offset(unix_ms.max(0)),
            };
            for partition in &partitions {
                list.add_partition(&partition.topic, partition.partition);
            }
            // Not one by one: each would be looked for in the whole list.
            list.set_all_offsets(wanted)?;
            let answer = consumer.offsets_for_times(list, timeout)?;
            Ok(read_offsets(&answer, &partitions, what))
        })
        .await
    }
}

fn ends(partitions: Partitions, found: Vec<ListedOffset>) -> EndOffsets {
    EndOffsets {
        partitions: partitions.all.into_iter().zip(found).collect(),
        refused: partitions.refused,
    }
}

/// A refusal is an error of the whole call only then: it must not hide other topics.
fn is_of_one_topic(partitions: &[TopicPartition]) -> bool {
    partitions.iter().all(|it| it.topic == partitions[0].topic)
}

/// The answers in the order of `partitions`, which is the list's own as long as nothing is wrong.
fn read_offsets(
    answer: &TopicPartitionList,
    partitions: &[TopicPartition],
    what: OffsetSpec,
) -> Vec<(ListedOffset, Option<RDKafkaErrorCode>)> {
    let elements = answer.elements();
    let is_of = |element: &TopicPartitionListElem<'_>, partition: &TopicPartition| {
        element.partition() == partition.partition && element.topic() == &*partition.topic
    };
    let missing = || (Err(Unavailable("the broker did not answer for it".into())), None);
    partitions
        .iter()
        .enumerate()
        .map(|(i, partition)| {
            let here = elements.get(i).filter(|element| is_of(element, partition));
            let element = here.or_else(|| elements.iter().find(|element| is_of(element, partition)));
            element.map_or_else(missing, |element| read_offset(element, what))
        })
        .collect()
}

fn read_offset(element: &TopicPartitionListElem<'_>, what: OffsetSpec) -> (ListedOffset, Option<RDKafkaErrorCode>) {
    // The error first: a leaderless partition shows an end as if all were well.
    if let Err(error) = element.error() {
        let code = error.rdkafka_error_code();
        return (Err(Unavailable(error.to_string())), code);
    }
    let looked = match element.offset() {
        Offset::Offset(offset) => NextOffset::new(offset).ok_or_else(|| Unavailable(format!("offset {offset}"))),
        // A time past the last record: the caller takes the end.
        Offset::End if matches!(what, OffsetSpec::ForTimestamp(_)) => {
            NextOffset::new(i64::MAX).ok_or_else(|| Unavailable("no offset".into()))
        }
        other => Err(Unavailable(format!("the broker answered {other:?}"))),
    };
    (looked, None)
}
