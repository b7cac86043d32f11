//! The steps that `reset`, `undo`, `import` and `export` share: inspect every
//! partition, plan a move for it, and with `--execute` move it, if its item is
//! unchanged since it was read.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use futures::StreamExt as _;

use super::at;
use super::change::{ChangeOutcome, CursorChange, CursorChanges};
use super::target::{Log, Target, resolve};
use crate::claim::{self, CommandId, Cursor, Failures, ObservedItem};
use crate::cli::parts::CliParts;
use crate::cli::selection::Partitions;
use crate::clock::{Clock as _, Deadline};
use crate::config::StartPosition;
use crate::error::Error;
use crate::invoke::{self, Pins, WRITES_AT_ONCE};
use crate::plan::{Decision, PartitionPlan};
use crate::record::{NextOffset, TopicPartition};
use crate::source::{ListedOffset, OffsetSpec, Source as _};
use crate::store::{self, Consumer};

/// A partition that can be moved.
#[derive(Debug, Clone)]
pub(super) struct Position {
    pub(super) partition: TopicPartition,
    pub(super) seen: ObservedItem,
    pub(super) log: Log,
    held_until_ms: Option<i64>,
}

impl Position {
    /// The item, if there is one.
    pub(super) fn item(&self) -> Option<&Cursor> {
        match &self.seen {
            ObservedItem::Present(cursor) => Some(cursor),
            ObservedItem::Missing { .. } => None,
        }
    }
}

/// What a command plans for a partition.
#[derive(Debug, Clone)]
pub(super) enum PlannedMove {
    /// Move to `next`, with a remark.
    Move { next: NextOffset, note: Option<String> },
    /// No change, and why.
    Keep { outcome: ChangeOutcome, note: String },
}

impl PlannedMove {
    /// The move of one cursor to a target.
    pub(super) fn to(log: Log, target: Target) -> Self {
        let (next, clamped) = resolve(target, log);
        Self::Move {
            next,
            note: clamped.map(|clamped| clamped.to_string()),
        }
    }
}

/// One partition with its plan, or the change that shows why it cannot be moved.
type Planned = Result<(Position, PlannedMove), CursorChange>;

/// A unique id of one change of one item.
pub(super) fn command_id() -> CommandId {
    CommandId::new(uuid::Uuid::new_v4().to_string())
}

/// The deadline of the command.
pub(super) fn deadline(parts: &CliParts) -> Deadline {
    Deadline::after(parts.config.time_limit, &parts.clock)
}

/// The live cursors of a topic.
pub(super) fn consumer(parts: &CliParts, topic: &Arc<str>) -> Consumer {
    Consumer {
        group_id: parts.config.group_id.clone(),
        topic: topic.clone(),
        backfill: None,
    }
}

/// The changes of a dry run, or of moved cursors. `known` are partitions that may
/// be selected although neither topic nor table has them.
///
/// Where a cursor would be created and `START_POSITION` is not the earliest, all
/// start positions are stored first, as by a run: otherwise the partitions above
/// the new cursor would count as added later.
pub(super) async fn move_cursors(
    parts: &CliParts,
    selection: &Partitions,
    known: &[TopicPartition],
    execute: bool,
    plan: impl AsyncFn(&[Position]) -> Result<Vec<PlannedMove>, Error>,
) -> Result<CursorChanges, Error> {
    let mut planned = plan_all(parts, selection, known, Pins::Leave, &plan).await?;
    let creates = |planned: &Planned| matches!(planned, Ok((it, PlannedMove::Move { .. })) if it.item().is_none());
    if execute && parts.config.start_position != StartPosition::Earliest && planned.iter().any(creates) {
        planned = plan_all(parts, selection, known, Pins::Store, &plan).await?;
    }
    let rows = planned.into_iter().map(async |planned| match planned {
        Ok((position, PlannedMove::Move { next, note })) => {
            let mut row = change(&position, next, note);
            if execute && row.outcome == ChangeOutcome::WouldMove {
                move_cursor(parts, &position, next, &mut row).await;
            }
            row
        }
        Ok((position, PlannedMove::Keep { outcome, note })) => unchanged(&position, outcome, note),
        Err(row) => row,
    });
    Ok(CursorChanges {
        executed: execute,
        partitions: futures::stream::iter(rows).buffered(WRITES_AT_ONCE).collect().await,
    })
}

async fn plan_all(
    parts: &CliParts,
    selection: &Partitions,
    known: &[TopicPartition],
    pins: Pins,
    plan: &impl AsyncFn(&[Position]) -> Result<Vec<PlannedMove>, Error>,
) -> Result<Vec<Planned>, Error> {
    let (positions, unmovable) = positions(parts, selection, known, pins).await?;
    let moves = plan(&positions).await?;
    let mut planned: Vec<Planned> = positions.into_iter().zip(moves).map(Ok).collect();
    planned.extend(unmovable.into_iter().map(Err));
    planned.sort_by_key(|planned| match planned {
        Ok((position, _)) => position.partition.clone(),
        Err(row) => row.partition.clone(),
    });
    Ok(planned)
}

/// The positions of the selected partitions, and changes for those that cannot be moved.
/// `known`: see [`move_cursors`].
pub(super) async fn positions(
    parts: &CliParts,
    selection: &Partitions,
    known: &[TopicPartition],
    pins: Pins,
) -> Result<(Vec<Position>, Vec<CursorChange>), Error> {
    let mut plans = invoke::inspect(parts, deadline(parts), pins).await?;
    selection.check(plans.iter().map(|plan| &plan.state.partition).chain(known))?;
    plans.retain(|plan| selection.includes(&plan.state.partition));
    let states = plans.iter().map(|plan| &plan.state);
    let available: Vec<TopicPartition> = states
        .filter(|state| matches!(state.end, Some(Ok(_))))
        .map(|state| state.partition.clone())
        .collect();
    let earliest = list_offsets(parts, &available, OffsetSpec::Earliest).await?;
    let earliest: BTreeMap<TopicPartition, ListedOffset> = available.into_iter().zip(earliest).collect();
    let now_ms = parts.clock.wall_ms();
    let (mut positions, mut unmovable) = (vec![], vec![]);
    for plan in &plans {
        let state = &plan.state;
        match position(plan, earliest.get(&state.partition), now_ms) {
            Ok(position) => positions.push(position),
            Err(Unmovable(outcome, why)) => {
                let current = state
                    .cursor
                    .as_ref()
                    .and_then(|cursor| Some(cursor.as_ref().ok()?.next));
                unmovable.push(CursorChange::without_move(&state.partition, current, outcome, why));
            }
        }
    }
    Ok((positions, unmovable))
}

/// One offset of each partition.
pub(super) async fn list_offsets(
    parts: &CliParts,
    partitions: &[TopicPartition],
    what: OffsetSpec,
) -> Result<Vec<ListedOffset>, Error> {
    let until = parts.clock.now() + parts.config.poll_timeout;
    parts.source.list_offsets(partitions, what, until).await
}

/// Why a partition cannot be moved.
struct Unmovable(ChangeOutcome, String);

/// The position of a partition.
///
/// | item | log | |
/// |---|---|---|
/// | invalid | any | cannot be moved: invalid |
/// | any | partition no longer exists | cannot be moved: gone |
/// | any | unavailable | cannot be moved: unavailable |
/// | one | known | at its cursor; not to be moved under a live claim |
/// | none | known | where a run would start |
fn position(plan: &PartitionPlan, earliest: Option<&ListedOffset>, now_ms: i64) -> Result<Position, Unmovable> {
    let state = &plan.state;
    let cursor = match &state.cursor {
        Some(Err(invalid)) => return Err(Unmovable(ChangeOutcome::Invalid, invalid.to_string())),
        Some(Ok(cursor)) => Some(cursor),
        None => None,
    };
    let unavailable = |why: &dyn Display| {
        Unmovable(
            ChangeOutcome::Unavailable,
            format!("the partition is unavailable: {why}"),
        )
    };
    let (end, earliest) = match (&state.end, earliest) {
        (None, _) => {
            let why = "the topic no longer has this partition: delete its cursor with `kafka-consumer offsets delete`";
            return Err(Unmovable(ChangeOutcome::Gone, why.into()));
        }
        (Some(Ok(end)), Some(Ok(earliest))) => (*end, *earliest),
        (Some(Err(why)), _) | (_, Some(Err(why))) => return Err(unavailable(why)),
        (Some(Ok(_)), None) => return Err(unavailable(&"its log start offset is unknown")),
    };
    let start = || match (plan.next_offset(), &plan.decision) {
        (Some(start), _) => Ok(start),
        (None, Decision::Unavailable(why)) => Err(unavailable(&why)),
        (None, _) => Err(unavailable(&"its start position is unknown")),
    };
    let seen = match cursor {
        Some(cursor) => ObservedItem::Present(cursor.clone()),
        None => ObservedItem::Missing { start: start()? },
    };
    let held_until_ms = cursor.and_then(|cursor| cursor.held_until_ms(now_ms));
    Ok(Position {
        partition: state.partition.clone(),
        log: Log {
            standing: seen.stored(),
            earliest,
            // The end was read first: the log start offset may have passed it since.
            end: end.max(earliest),
        },
        seen,
        held_until_ms,
    })
}

/// The change of a partition that moves to `next`.
///
/// A cursor that is there already is not written, unless its item has failed
/// attempts or a claim: a move clears them, and the record is retried.
fn change(position: &Position, next: NextOffset, note: Option<String>) -> CursorChange {
    let item = position.item();
    let attempts = item.and_then(Cursor::failures).map(Failures::all_attempts);
    let is_clean = item.is_some_and(|item| item.failure.is_none() && item.claim_until_ms.is_none());
    let outcome = match position.held_until_ms {
        Some(_) => ChangeOutcome::Held,
        None if is_clean && next == position.log.standing => ChangeOutcome::Unchanged,
        None => ChangeOutcome::WouldMove,
    };
    let notes = [
        position
            .held_until_ms
            .map(|until| format!("claimed by a run until {}", at(until))),
        note,
        item.is_none()
            .then(|| "no cursor yet: a run would start at the current offset".to_owned()),
        attempts.map(|attempts| format!("clears failed attempts: {attempts}")),
        item.is_some_and(|item| item.paused).then(|| "stays paused".to_owned()),
        (outcome == ChangeOutcome::Unchanged).then(|| "already at this offset".to_owned()),
    ];
    CursorChange {
        partition: position.partition.clone(),
        current_offset: Some(position.log.standing),
        new_offset: Some(next),
        lag: Some(next.distance_to(position.log.end)),
        earliest_offset: Some(position.log.earliest),
        end_offset: Some(position.log.end),
        outcome,
        until: position.held_until_ms,
        note: notes.into_iter().flatten().collect::<Vec<_>>().join("; "),
    }
}

/// The change of a partition that is not moved.
fn unchanged(position: &Position, outcome: ChangeOutcome, note: String) -> CursorChange {
    CursorChange {
        outcome,
        note,
        new_offset: None,
        lag: None,
        ..change(position, position.log.standing, None)
    }
}

/// Moves one cursor, if its item is unchanged since it was read.
async fn move_cursor(parts: &CliParts, position: &Position, next: NextOffset, row: &mut CursorChange) {
    let consumer = consumer(parts, &position.partition.topic);
    let command = command_id();
    let write = claim::move_to(&position.seen, next, &command);
    let judge = |item: Option<&Cursor>| claim::judge_move(&position.seen, &command, item);
    let number = position.partition.partition;
    let written = store::resolve_write(&parts.store, &consumer, number, &write, judge).await;
    row.settle(ChangeOutcome::Moved, written);
}
