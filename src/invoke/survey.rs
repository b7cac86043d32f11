//! What is known before a run: one query of the table and one question to the
//! brokers, side by side; more only where it decides something.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;

use super::{Run, Seams, WRITES_AT_ONCE};
use crate::claim::{self, Cursor, Verdict};
use crate::config::StartPosition;
use crate::error::{Error, ErrorType};
use crate::plan::{self, Facts};
use crate::record::{NextOffset, TopicPartition};
use crate::source::{LookUp, Looked, Source, Unavailable};
use crate::store::{self, InvalidCursor, Store};

/// Whether start positions are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pins {
    /// A run: `latest` and a time are stored before anything is read.
    Store,
    /// A plan writes nothing.
    Leave,
}

/// The facts of every partition of all topics, in ascending order.
pub(super) async fn survey<D: Seams>(run: &Run<'_, D>, pins: Pins) -> Result<Vec<Facts>, Error> {
    let topics = &run.config.topics;
    let (cursors, ends) = futures::join!(cursors(run), run.source.ends(topics, run.ask_until()));
    // A table that cannot be read never means "start from the beginning".
    let cursors = cursors?;
    let mut facts = facts(cursors, ends?);
    ask_again(run, &mut facts).await?;
    let starts = starts(run, &facts);
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
    if pins == Pins::Store && !starts.is_empty() {
        pin(run, &mut facts, &starts).await?;
    }
    Ok(facts)
}

/// The partitions that begin at a `START_POSITION` which must be looked up.
pub(super) fn starts<D: Seams>(run: &Run<'_, D>, facts: &[Facts]) -> Vec<usize> {
    let highest = plan::highest_cursors(facts);
    let later = |fact: &Facts| plan::appeared_later(&fact.partition, &highest);
    let pinned = run.config.start_position != StartPosition::Earliest;
    (0..facts.len())
        .filter(|&i| pinned && facts[i].cursor.is_none() && !later(&facts[i]))
        .collect()
}

/// Table and brokers are asked side by side, so another run may have read on
/// in between: a cursor past the end is believed only against an end that was
/// asked for after the cursor was read.
pub(super) async fn ask_again<D: Seams>(run: &Run<'_, D>, facts: &mut [Facts]) -> Result<(), Error> {
    let doubtful: Vec<usize> = (0..facts.len()).filter(|&i| past_the_end(&facts[i])).collect();
    if doubtful.is_empty() {
        return Ok(());
    }
    let partitions: Vec<TopicPartition> = doubtful.iter().map(|&i| facts[i].partition.clone()).collect();
    let ends = run.source.look_up(&partitions, LookUp::End, run.ask_until()).await?;
    for (i, end) in doubtful.into_iter().zip(ends) {
        facts[i].end = Some(end);
    }
    Ok(())
}

pub(super) fn past_the_end(fact: &Facts) -> bool {
    match (&fact.cursor, &fact.end) {
        (Some(Ok(cursor)), Some(Ok(end))) => cursor.next > *end,
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
    let loaded = futures::future::try_join_all(run.config.topics.iter().cloned().map(load)).await?;
    let mut cursors = Cursors::new();
    for (topic, items) in loaded {
        for item in items {
            cursors.insert(TopicPartition::new(topic.clone(), item.partition), item.cursor);
        }
    }
    Ok(cursors)
}

/// Every partition that the topics have, and every one that only the table has.
pub(super) fn facts(mut cursors: Cursors, ends: Vec<(TopicPartition, Looked)>) -> Vec<Facts> {
    let fact = |partition, end, cursor| Facts {
        partition,
        end,
        earliest: None,
        cursor,
        start: None,
    };
    let mut facts: Vec<Facts> = ends
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

/// The first offsets of the partitions that are `needed`.
pub(super) async fn earliest<D: Seams>(
    run: &Run<'_, D>,
    facts: &[Facts],
    needed: impl Fn(&Facts) -> bool,
) -> Result<Vec<(usize, Looked)>, Error> {
    let wanted: Vec<usize> = (0..facts.len()).filter(|&i| needed(&facts[i])).collect();
    if wanted.is_empty() {
        return Ok(vec![]);
    }
    let partitions: Vec<TopicPartition> = wanted.iter().map(|&i| facts[i].partition.clone()).collect();
    let found = run
        .source
        .look_up(&partitions, LookUp::Earliest, run.ask_until())
        .await?;
    Ok(wanted.into_iter().zip(found).collect())
}

/// Where `START_POSITION` lies in the partitions `starts`.
pub(super) async fn start_positions<D: Seams>(
    run: &Run<'_, D>,
    facts: &[Facts],
    starts: &[usize],
) -> Result<Vec<Looked>, Error> {
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
        .look_up(&partitions, LookUp::AtTime(unix_ms), run.ask_until())
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
fn at_most(found: Looked, end: Option<Looked>) -> Looked {
    match (found, end) {
        (Ok(found), Some(Ok(end))) => Ok(found.min(end)),
        (Err(unavailable), _) | (_, Some(Err(unavailable))) => Err(unavailable),
        (Ok(_), None) => Err(Unavailable("its end is not known".into())),
    }
}

/// Stores the start of each partition that has no cursor, the highest first:
/// once it is there, no partition below counts as one that appeared later.
async fn pin<D: Seams>(run: &Run<'_, D>, facts: &mut [Facts], starts: &[usize]) -> Result<(), Error> {
    let mut wanted = Vec::with_capacity(starts.len());
    for &i in starts {
        match &facts[i].start {
            Some(Ok(start)) => wanted.push((i, *start)),
            Some(Err(unavailable)) => return Err(unpinnable(&facts[i].partition, &unavailable.0)),
            None => return Err(unpinnable(&facts[i].partition, "it was not looked up")),
        }
    }
    for topic in &run.config.topics {
        let mut of_topic: Vec<_> = wanted
            .iter()
            .filter(|(i, _)| facts[*i].partition.topic == *topic)
            .copied()
            .collect();
        of_topic.sort_by_key(|(i, _)| std::cmp::Reverse(facts[*i].partition.partition));
        let Some((highest, rest)) = of_topic.split_first() else {
            continue;
        };
        let first = pin_one(run, &facts[highest.0].partition, highest.1).await?;
        facts[highest.0].cursor = Some(Ok(first));
        let written: Vec<_> = futures::stream::iter(rest.iter().map(|(i, start)| {
            let partition = facts[*i].partition.clone();
            async move { (*i, pin_one(run, &partition, *start).await) }
        }))
        .buffer_unordered(WRITES_AT_ONCE)
        .collect()
        .await;
        for (i, cursor) in written {
            facts[i].cursor = Some(Ok(cursor?));
        }
    }
    Ok(())
}

/// Stores one start position; where another run was faster, its word counts.
async fn pin_one<D: Seams>(run: &Run<'_, D>, partition: &TopicPartition, start: NextOffset) -> Result<Cursor, Error> {
    let consumer = run.consumer(&partition.topic);
    let write = claim::pin(start, run.started_wall_ms);
    let is_there = |item: Option<&Cursor>| match item {
        Some(_) => Verdict::Applied,
        None => Verdict::NotApplied,
    };
    let written = store::write_and_judge(run.store, &consumer, partition.partition, &write, is_there);
    run.in_time(run.stop.at, written).await?;
    // Ours, or that of a run or an operator who was faster.
    let item = run.store.load_one(&consumer, partition.partition);
    run.in_time(run.stop.at, item).await?.ok_or_else(|| {
        Error::new(
            ErrorType::InvalidCursor,
            format!(
                "the item of {partition} was deleted as soon as its start position was stored. The next run pins it"
            ),
        )
    })
}

fn unpinnable(partition: &TopicPartition, why: &str) -> Error {
    Error::new(
        ErrorType::BrokerUnreachable,
        format!(
            "the start position of {partition} cannot be looked up: {why}. Nothing was read: START_POSITION is stored \
             for every partition before the first record"
        ),
    )
}
