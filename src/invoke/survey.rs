//! What is known before a run: one query of the table and one question to the
//! brokers, side by side; more only where it decides something.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Run, Seams, pins};
use crate::claim::{Bounds, Cursor};
use crate::clock::Clock;
use crate::config::StartPosition;
use crate::error::Error;
use crate::plan::{self, PartitionState};
use crate::record::TopicPartition;
use crate::source::{EndOffsets, ListedOffset, OffsetSpec, Source, Unavailable};
use crate::store::{InvalidCursor, Store};

/// Whether start positions are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pins {
    /// A run: `latest` and a time are stored before anything is read.
    Store,
    /// A plan writes nothing.
    Leave,
}

/// What is known before a run.
pub(super) struct Survey {
    /// The facts of every partition of the topics that can be read, in ascending order.
    pub(super) facts: Vec<PartitionState>,
    /// Which topics cannot be read, and why. Nothing is known of their
    /// partitions: they are not gone.
    pub(super) refused: Option<Error>,
}

impl Survey {
    /// The facts, if all topics can be read.
    pub(super) fn all(self) -> Result<Vec<PartitionState>, Error> {
        self.refused.map_or(Ok(self.facts), Err)
    }
}

/// The facts of every partition of all topics that can be read.
pub(super) async fn survey<D: Seams>(run: &Run<'_, D>, pins: Pins) -> Result<Survey, Error> {
    let Survey { mut facts, refused } = cursors_and_ends(run).await?;
    let (starts, later) = starts(run, &facts);
    let (earliest, found) = futures::join!(
        earliest(run, &facts, plan::needs_earliest),
        start_positions(run, &facts, &starts)
    );
    for (i, looked) in earliest? {
        facts[i].earliest = Some(looked);
    }
    for (i, looked) in starts.iter().zip(found?) {
        facts[*i].start = Some(looked);
    }
    if pins == Pins::Store {
        pins::pin(run, &mut facts, &starts).await?;
        pins::pin_later(run, &mut facts, &later).await?;
    } else {
        for (i, high) in high_watermarks(run, &facts, |_| true).await {
            facts[i].high_watermark = Some(high);
        }
    }
    Ok(Survey { facts, refused })
}

/// Every partition that the topics or the table have, with its cursor and its end.
pub(super) async fn cursors_and_ends<D: Seams>(run: &Run<'_, D>) -> Result<Survey, Error> {
    // The brokers first: their question is on its way while the table's is still being signed.
    let (brokers, cursors) = futures::join!(ends_and_news(run), cursors(run));
    // A table that cannot be read never means "start from the beginning".
    let mut cursors = cursors?;
    let (ends, earliest) = brokers?;
    cursors.retain(|partition, _| !ends.refused.contains_key(&partition.topic));
    let mut facts = facts(cursors, ends.partitions);
    for (partition, looked) in earliest {
        if let Ok(i) = facts.binary_search_by(|fact| fact.partition.cmp(&partition))
            && is_of_one_log(&looked, facts[i].end.as_ref())
        {
            facts[i].earliest = Some(looked);
        }
    }
    ask_again(run, &mut facts).await?;
    let refused = together(ends.refused.into_values());
    Ok(Survey { facts, refused })
}

/// One error that names all topics; its type is that of the first.
fn together(mut refused: impl Iterator<Item = Error>) -> Option<Error> {
    let first = refused.next()?;
    Some(refused.fold(first, |all, next| {
        Error::new(all.kind, format!("{}. Besides, {}", all.message(), next.message()))
    }))
}

type Offsets = Vec<(TopicPartition, ListedOffset)>;

/// How long an answer is waited for that is asked for on suspicion. A client
/// whose connections died meanwhile gives none.
const HINT_PATIENCE: Duration = Duration::from_millis(500);

/// The ends, and the earliest offsets of those partitions that will most likely
/// be read, so that they are known when the table answers. Where the last run
/// found news, this one most likely does: there they are asked side by side.
async fn ends_and_news<D: Seams>(run: &Run<'_, D>) -> Result<(EndOffsets, Offsets), Error> {
    let expected = run.source.changed_partitions();
    let (ends, mut earliest) = futures::join!(
        run.source.end_offsets(run.topics, run.ask_until()),
        likely_earliest(run, &expected)
    );
    let ends = ends?;
    let mut news = run.source.changed_partitions();
    news.retain(|partition| expected.binary_search(partition).is_err());
    earliest.extend(likely_earliest(run, &news).await);
    Ok((ends, earliest))
}

/// The two were not told at the same moment: between them the topic may have been made again.
fn is_of_one_log(earliest: &ListedOffset, end: Option<&ListedOffset>) -> bool {
    matches!((earliest, end), (Ok(earliest), Some(Ok(end))) if earliest <= end)
}

/// What could not be told here is asked again where it decides something.
async fn likely_earliest<D: Seams>(run: &Run<'_, D>, partitions: &[TopicPartition]) -> Offsets {
    if partitions.is_empty() {
        return vec![];
    }
    let until = run.ask_until().min(run.clock.now() + HINT_PATIENCE);
    let looked = run.source.prefetch_earliest_offsets(partitions, until).await;
    partitions.iter().cloned().zip(looked).collect()
}

/// The partitions without a cursor where `START_POSITION` must be looked up:
/// those that begin there, and those that appeared later.
pub(super) fn starts<D: Seams>(run: &Run<'_, D>, facts: &[PartitionState]) -> (Vec<usize>, Vec<usize>) {
    let highest = plan::highest_cursors(facts);
    let pinned = run.config.start_position != StartPosition::Earliest;
    (0..facts.len())
        .filter(|&i| pinned && facts[i].cursor.is_none())
        .partition(|&i| !plan::appeared_later(&facts[i].partition, &highest))
}

/// Table and brokers are asked side by side, so another run may have read on
/// in between: a cursor past the end is believed only against an end that was
/// asked for after the cursor was read.
pub(super) async fn ask_again<D: Seams>(run: &Run<'_, D>, facts: &mut [PartitionState]) -> Result<(), Error> {
    let doubtful: Vec<usize> = (0..facts.len()).filter(|&i| past_the_end(&facts[i])).collect();
    if doubtful.is_empty() {
        return Ok(());
    }
    let partitions: Vec<TopicPartition> = doubtful.iter().map(|&i| facts[i].partition.clone()).collect();
    let ends = run
        .source
        .list_offsets(&partitions, OffsetSpec::Latest, run.ask_until())
        .await?;
    for (i, end) in doubtful.into_iter().zip(ends) {
        facts[i].end = Some(end);
        // It may be of a log that is gone.
        facts[i].earliest = None;
    }
    // With `read_committed` the end may be before an open transaction.
    for (i, high) in high_watermarks(run, facts, past_the_end).await {
        facts[i].high_watermark = Some(high);
    }
    Ok(())
}

/// The high watermarks of the partitions that are `wanted` and have an end.
/// One that cannot be told is an error in its place.
pub(super) async fn high_watermarks<D: Seams>(
    run: &Run<'_, D>,
    facts: &[PartitionState],
    wanted: impl Fn(&PartitionState) -> bool,
) -> Vec<(usize, ListedOffset)> {
    let has_end = |fact: &PartitionState| matches!(fact.end, Some(Ok(_)));
    let wanted: Vec<usize> = (0..facts.len())
        .filter(|&i| has_end(&facts[i]) && wanted(&facts[i]))
        .collect();
    if wanted.is_empty() {
        return vec![];
    }
    let partitions: Vec<TopicPartition> = wanted.iter().map(|&i| facts[i].partition.clone()).collect();
    let asked = run
        .source
        .list_offsets(&partitions, OffsetSpec::HighWatermark, run.ask_until());
    let found = asked.await.unwrap_or_else(|error| {
        let unknown = Unavailable(format!("its high watermark is not known: {}", error.message()));
        vec![Err(unknown); wanted.len()]
    });
    wanted.into_iter().zip(found).collect()
}

pub(super) fn past_the_end(fact: &PartitionState) -> bool {
    match (&fact.cursor, &fact.end) {
        (Some(Ok(cursor)), Some(Ok(end))) => {
            let ends_behind = |bounds: &Arc<Bounds>| bounds.to > *end;
            cursor.next > *end || cursor.backfill.as_ref().is_some_and(ends_behind)
        }
        _ => false,
    }
}

pub(super) type Cursors = BTreeMap<TopicPartition, Result<Cursor, InvalidCursor>>;

pub(super) async fn cursors<D: Seams>(run: &Run<'_, D>) -> Result<Cursors, Error> {
    let load = |topic: Arc<str>| async move {
        let consumer = run.consumer(&topic);
        let items = run.in_time(run.stop.at, run.store.load(&consumer)).await?;
        Ok::<_, Error>((topic, items))
    };
    let loaded = futures::future::try_join_all(run.topics.iter().cloned().map(load)).await?;
    let mut cursors = Cursors::new();
    for (topic, items) in loaded {
        for item in items {
            cursors.insert(TopicPartition::new(topic.clone(), item.partition), item.cursor);
        }
    }
    Ok(cursors)
}

/// Every partition that the topics have, and every one that only the table has.
pub(super) fn facts(mut cursors: Cursors, ends: Vec<(TopicPartition, ListedOffset)>) -> Vec<PartitionState> {
    let fact = |partition, end, cursor| PartitionState {
        partition,
        end,
        high_watermark: None,
        earliest: None,
        cursor,
        start: None,
    };
    let mut facts: Vec<PartitionState> = ends
        .into_iter()
        .map(|(partition, end)| {
            let cursor = cursors.remove(&partition);
            fact(partition, Some(end), cursor)
        })
        .collect();
    facts.extend(
        cursors
            .into_iter()
            .map(|(partition, cursor)| fact(partition, None, Some(cursor))),
    );
    facts.sort_by(|a, b| a.partition.cmp(&b.partition));
    facts
}

/// Asks for the earliest offset of those that need it.
pub(super) async fn ask_earliest<D: Seams>(
    run: &Run<'_, D>,
    facts: &mut [PartitionState],
    needed: impl Fn(&PartitionState) -> bool,
) -> Result<(), Error> {
    for (i, looked) in earliest(run, facts, needed).await? {
        facts[i].earliest = Some(looked);
    }
    Ok(())
}

/// The first offsets of the partitions that are `needed`.
pub(super) async fn earliest<D: Seams>(
    run: &Run<'_, D>,
    facts: &[PartitionState],
    needed: impl Fn(&PartitionState) -> bool,
) -> Result<Vec<(usize, ListedOffset)>, Error> {
    let unknown = |fact: &PartitionState| fact.earliest.is_none() && needed(fact);
    let wanted: Vec<usize> = (0..facts.len()).filter(|&i| unknown(&facts[i])).collect();
    if wanted.is_empty() {
        return Ok(vec![]);
    }
    let partitions: Vec<TopicPartition> = wanted.iter().map(|&i| facts[i].partition.clone()).collect();
    let found = run
        .source
        .list_offsets(&partitions, OffsetSpec::Earliest, run.ask_until())
        .await?;
    Ok(wanted.into_iter().zip(found).collect())
}

/// Where `START_POSITION` lies in the partitions `starts`.
pub(super) async fn start_positions<D: Seams>(
    run: &Run<'_, D>,
    facts: &[PartitionState],
    starts: &[usize],
) -> Result<Vec<ListedOffset>, Error> {
    let StartPosition::At { unix_ms } = run.config.start_position else {
        // `latest` is the end, which is known.
        return Ok(starts.iter().filter_map(|&i| facts[i].end.clone()).collect());
    };
    if starts.is_empty() {
        return Ok(vec![]);
    }
    let partitions: Vec<TopicPartition> = starts.iter().map(|&i| facts[i].partition.clone()).collect();
    let found = run
        .source
        .list_offsets(&partitions, OffsetSpec::ForTimestamp(unix_ms), run.ask_until())
        .await?;
    // The end was asked for before: a record that came in between is not passed over.
    let ends = starts.iter().map(|&i| facts[i].end.clone());
    Ok(found
        .into_iter()
        .zip(ends)
        .map(|(found, end)| at_most(found, end))
        .collect())
}

/// The smaller of the two: a time may lie past the last record.
fn at_most(found: ListedOffset, end: Option<ListedOffset>) -> ListedOffset {
    match (found, end) {
        (Ok(found), Some(Ok(end))) => Ok(found.min(end)),
        (Err(unavailable), _) | (_, Some(Err(unavailable))) => Err(unavailable),
        (Ok(_), None) => Err(Unavailable("its end is not known".into())),
    }
}
