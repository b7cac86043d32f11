//! `offsets delete`: deletes cursors from the table. `offsets undo` restores them.

use futures::StreamExt as _;

use super::at;
use super::change::{ChangeOutcome, CursorChange, CursorChanges};
use super::moves::{command_id, consumer, deadline, list_offsets};
use crate::cli::parts::CliParts;
use crate::cli::selection::Partitions;
use crate::clock::Clock as _;
use crate::config::StartPosition;
use crate::error::Error;
use crate::invoke::{self, Pins, WRITES_AT_ONCE};
use crate::plan::{self, Decision, PartitionPlan, PartitionState, Policy, Why};
use crate::record::{NextOffset, TopicPartition};
use crate::source::OffsetSpec;

#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct DeleteArgs {
    #[command(flatten)]
    partitions: Partitions,

    /// Delete the cursors of all partitions, including those that no longer exist
    #[arg(long, conflicts_with = "numbers", required_unless_present = "numbers")]
    all: bool,

    /// Delete the cursors; without it nothing is changed
    #[arg(long)]
    execute: bool,
}

pub(super) async fn delete(parts: &CliParts, arguments: &DeleteArgs) -> Result<CursorChanges, Error> {
    let inspected = invoke::inspect(parts, deadline(parts), Pins::Leave).await?;
    let before: Vec<PartitionState> = inspected.into_iter().map(|plan| plan.state).collect();
    arguments
        .partitions
        .check(before.iter().map(|state| &state.partition))?;
    let now_ms = parts.clock.wall_ms();
    let after = without_cursors(parts, &before, |state| {
        is_chosen(arguments, state) && held_until(state, now_ms).is_none()
    });
    let after = after.await?;
    let after = plan::decide_all(after, &policy(parts, now_ms));
    let rows = before.iter().zip(&after);
    let rows = rows.filter(|(state, _)| is_chosen(arguments, state));
    let rows = rows.map(async |(state, after)| {
        let mut row = change(state, held_until(state, now_ms), after);
        if let (true, ChangeOutcome::WouldDelete, Some(shown)) = (arguments.execute, row.outcome, &state.cursor) {
            let (consumer, number) = (consumer(parts, &state.partition.topic), state.partition.partition);
            let written = parts.store.delete(&consumer, number, shown, &command_id()).await;
            row.settle(ChangeOutcome::Deleted, written);
        }
        row
    });
    Ok(CursorChanges {
        executed: arguments.execute,
        partitions: futures::stream::iter(rows).buffered(WRITES_AT_ONCE).collect().await,
    })
}

/// With `--all` those that have a cursor; otherwise the named ones.
fn is_chosen(arguments: &DeleteArgs, state: &PartitionState) -> bool {
    if arguments.all {
        state.cursor.is_some()
    } else {
        arguments.partitions.includes(&state.partition)
    }
}

fn held_until(state: &PartitionState, now_ms: i64) -> Option<i64> {
    state.cursor.as_ref()?.as_ref().ok()?.held_until_ms(now_ms)
}

fn policy(parts: &CliParts, now_ms: i64) -> Policy {
    Policy {
        start_position: parts.config.start_position,
        on_retention_loss: parts.config.on_retention_loss,
        on_truncation: parts.config.on_truncation,
        now_ms,
    }
}

/// The partitions as the next run finds them after the delete.
async fn without_cursors(
    parts: &CliParts,
    before: &[PartitionState],
    is_deleted: impl Fn(&PartitionState) -> bool,
) -> Result<Vec<PartitionState>, Error> {
    let mut states = before.to_vec();
    let mut existing = vec![];
    for (i, state) in states.iter_mut().enumerate().filter(|(_, state)| is_deleted(state)) {
        state.cursor = None;
        if matches!(state.end, Some(Ok(_))) {
            existing.push(i);
        }
    }
    let names: Vec<TopicPartition> = existing.iter().map(|&i| states[i].partition.clone()).collect();
    for (&i, earliest) in existing
        .iter()
        .zip(list_offsets(parts, &names, OffsetSpec::Earliest).await?)
    {
        states[i].earliest = Some(earliest);
        let end = states[i].end.clone();
        states[i].start = end;
    }
    if let StartPosition::At { unix_ms } = parts.config.start_position {
        for (&i, found) in existing
            .iter()
            .zip(list_offsets(parts, &names, OffsetSpec::ForTimestamp(unix_ms)).await?)
        {
            let end = states[i].end.clone();
            states[i].start = Some(found.and_then(|found| end.map_or(Ok(found), |end| Ok(found.min(end?)))));
        }
    }
    Ok(states)
}

/// The change of a partition whose cursor is to be deleted, with the next run's
/// start.
///
/// | item | outcome |
/// |---|---|
/// | none | no cursor |
/// | under a live claim | held |
/// | any other, also an invalid one | would delete |
fn change(before: &PartitionState, held_until_ms: Option<i64>, after: &PartitionPlan) -> CursorChange {
    let current = before
        .cursor
        .as_ref()
        .and_then(|cursor| Some(cursor.as_ref().ok()?.next));
    let unmovable = |outcome, note| CursorChange::without_move(&before.partition, current, outcome, note);
    let Some(cursor) = &before.cursor else {
        return unmovable(ChangeOutcome::NoCursor, "no cursor: nothing to delete".into());
    };
    if let Some(until) = held_until_ms {
        return CursorChange {
            until: Some(until),
            ..unmovable(ChangeOutcome::Held, format!("claimed by a run until {}", at(until)))
        };
    }
    let end = after.state.end.clone().and_then(Result::ok);
    let (next, start) = next_start(&after.decision, end);
    let notes = [
        Some(start),
        cursor.is_err().then(|| "its item is not a valid cursor".to_owned()),
        (cursor.as_ref().is_ok_and(|cursor| cursor.paused)).then(|| "its pause is deleted with it".to_owned()),
    ];
    CursorChange {
        new_offset: next,
        lag: next.zip(end).map(|(next, end)| next.distance_to(end)),
        earliest_offset: after.state.earliest.clone().and_then(Result::ok),
        end_offset: end,
        ..unmovable(
            ChangeOutcome::WouldDelete,
            notes.into_iter().flatten().collect::<Vec<_>>().join("; "),
        )
    }
}

/// Where the next run starts in a partition without a cursor.
fn next_start(decision: &Decision, end: Option<NextOffset>) -> (Option<NextOffset>, String) {
    match decision {
        Decision::Read(reading) if reading.why == Why::AppearedLater => (
            Some(reading.from),
            format!(
                "the next run treats it as a new partition and starts at the earliest offset, {}, regardless of \
                 START_POSITION",
                reading.from
            ),
        ),
        Decision::Read(reading) => (
            Some(reading.from),
            format!("the next run starts at {}, by START_POSITION", reading.from),
        ),
        Decision::Idle => (end, "the next run starts at the end".into()),
        Decision::Truncated(_) => (None, "the topic no longer has this partition: no run reads it".into()),
        Decision::Unavailable(why) => (
            None,
            format!("where the next run starts is unknown: the partition is unavailable: {why}"),
        ),
        _ => (None, String::new()),
    }
}
