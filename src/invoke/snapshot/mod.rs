//! The state of every partition before a run: one query of the table and one
//! request to the brokers, side by side; more requests only where a decision
//! depends on them.

pub(super) mod best_effort;
mod offsets;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::run::Run;
use super::{Backend, pins};
use crate::claim::{Bounds, Cursor};
use crate::config::StartPosition;
use crate::error::Error;
use crate::plan::{self, PartitionState};
use crate::record::TopicPartition;
use crate::source::{ListedOffset, OffsetSpec};
use crate::store::{InvalidCursor, Store};
use offsets::{
    OffsetsByIndex, end_offsets, high_watermarks, is_of_one_log, list_earliest, list_matching, list_start_positions,
};

/// Whether start positions are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pins {
    /// Store `latest` and a time for each partition without a cursor: a run does
    /// so before it reads anything.
    Store,
    /// Write nothing: a plan.
    Leave,
}

/// The state of the partitions before a run.
pub(super) struct Snapshot {
    /// Every partition of the topics that can be read, and every partition that
    /// only the table has, in ascending order.
    pub(super) states: Vec<PartitionState>,
    /// Which topics cannot be read, and why. Their partitions are unknown, not deleted.
    pub(super) unreadable: Option<Error>,
}

impl Snapshot {
    /// The snapshot where nothing is known, because of `error`.
    pub(super) fn failed(error: Error) -> Self {
        Self {
            states: vec![],
            unreadable: Some(error),
        }
    }

    /// The states, if all topics can be read.
    pub(super) fn all(self) -> Result<Vec<PartitionState>, Error> {
        self.unreadable.map_or(Ok(self.states), Err)
    }
}

/// The state of every partition of all topics that can be read.
pub(super) async fn snapshot<B: Backend>(run: &Run<'_, B>, pins: Pins) -> Result<Snapshot, Error> {
    let Snapshot { mut states, unreadable } = cursors_and_ends(run).await?;
    let (starts, later) = starts(run, &states);
    let (earliest, start_positions) = futures::join!(
        list_earliest(run, &states, plan::needs_earliest),
        list_start_positions(run, &states, &starts)
    );
    set(&mut states, earliest?, |state| &mut state.earliest);
    set(&mut states, start_positions?, |state| &mut state.start);
    if pins == Pins::Store {
        pins::pin(run, &mut states, &starts).await?;
        pins::pin_later(run, &mut states, &later).await?;
    } else {
        let high_watermarks = high_watermarks(run, &states, |_| true).await;
        set(&mut states, high_watermarks, |state| &mut state.high_watermark);
    }
    Ok(Snapshot { states, unreadable })
}

/// Sets one field of the states to the offsets that were listed for it.
fn set(
    states: &mut [PartitionState],
    offsets: OffsetsByIndex,
    field: impl Fn(&mut PartitionState) -> &mut Option<ListedOffset>,
) {
    for (i, offset) in offsets {
        *field(&mut states[i]) = Some(offset);
    }
}

/// Every partition that the topics or the table have, with its cursor and its
/// end offset.
pub(super) async fn cursors_and_ends<B: Backend>(run: &Run<'_, B>) -> Result<Snapshot, Error> {
    // The brokers first: their request is sent while the table's is still being signed.
    let (brokers, cursors) = futures::join!(end_offsets(run), cursors(run));
    // A table that cannot be read never means "start from the beginning".
    let mut cursors = cursors?;
    let (ends, earliest) = brokers?;
    cursors.retain(|partition, _| !ends.refused.contains_key(&partition.topic));
    let mut states = states(cursors, ends.partitions);
    for (partition, offset) in earliest {
        if let Ok(i) = states.binary_search_by(|state| state.partition.cmp(&partition))
            && is_of_one_log(&offset, states[i].end.as_ref())
        {
            states[i].earliest = Some(offset);
        }
    }
    relist_ends(run, &mut states).await?;
    let unreadable = together(ends.refused.into_values());
    Ok(Snapshot { states, unreadable })
}

/// One error that names all topics; its type is that of the first.
fn together(mut errors: impl Iterator<Item = Error>) -> Option<Error> {
    let first = errors.next()?;
    Some(errors.fold(first, |all, next| {
        Error::new(all.kind, format!("{}. Besides, {}", all.message(), next.message()))
    }))
}

/// The partitions without a cursor whose start must be stored, by index: those
/// that begin at `START_POSITION`, and those that appeared later.
pub(super) fn starts<B: Backend>(run: &Run<'_, B>, states: &[PartitionState]) -> (Vec<usize>, Vec<usize>) {
    let highest = plan::highest_cursors(states);
    let pinned = run.config.start_position != StartPosition::Earliest;
    (0..states.len())
        .filter(|&i| pinned && states[i].cursor.is_none())
        .partition(|&i| !plan::appeared_later(&states[i].partition, &highest))
}

/// Lists the end offset again where the cursor lies past it. The table and the
/// brokers are read side by side, so another run may have moved the cursor after
/// the end was listed: only an end listed after the cursor was read counts.
pub(super) async fn relist_ends<B: Backend>(run: &Run<'_, B>, states: &mut [PartitionState]) -> Result<(), Error> {
    for (i, end) in list_matching(run, states, OffsetSpec::Latest, is_past_the_end).await? {
        states[i].end = Some(end);
        // It may be of a log that was deleted meanwhile.
        states[i].earliest = None;
    }
    // With `read_committed` the end may be before an open transaction.
    let high_watermarks = high_watermarks(run, states, is_past_the_end).await;
    set(states, high_watermarks, |state| &mut state.high_watermark);
    Ok(())
}

pub(super) fn is_past_the_end(state: &PartitionState) -> bool {
    match (&state.cursor, &state.end) {
        (Some(Ok(cursor)), Some(Ok(end))) => {
            let ends_after = |bounds: &Arc<Bounds>| bounds.to > *end;
            cursor.next > *end || cursor.backfill.as_ref().is_some_and(ends_after)
        }
        _ => false,
    }
}

pub(super) type Cursors = BTreeMap<TopicPartition, Result<Cursor, InvalidCursor>>;

pub(super) async fn cursors<B: Backend>(run: &Run<'_, B>) -> Result<Cursors, Error> {
    let load = |topic: Arc<str>| async move {
        let consumer = run.consumer(&topic);
        let items = run.with_time_limit(run.stop.at, run.store.load(&consumer)).await?;
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
pub(super) fn states(mut cursors: Cursors, ends: Vec<(TopicPartition, ListedOffset)>) -> Vec<PartitionState> {
    let mut states: Vec<PartitionState> = ends
        .into_iter()
        .map(|(partition, end)| {
            let cursor = cursors.remove(&partition);
            PartitionState::new(partition, Some(end), cursor)
        })
        .collect();
    states.extend(
        cursors
            .into_iter()
            .map(|(partition, cursor)| PartitionState::new(partition, None, Some(cursor))),
    );
    states.sort_by(|a, b| a.partition.cmp(&b.partition));
    states
}

/// Lists and sets the earliest offset of the partitions that need it.
pub(super) async fn fill_earliest<B: Backend>(
    run: &Run<'_, B>,
    states: &mut [PartitionState],
    is_needed: impl Fn(&PartitionState) -> bool,
) -> Result<(), Error> {
    let earliest = list_earliest(run, states, is_needed).await?;
    set(states, earliest, |state| &mut state.earliest);
    Ok(())
}
