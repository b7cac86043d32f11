//! What `reset`, `undo`, `import` and `export` share: every partition is looked
//! at, a target is found for it, and on `--execute` it is moved, if it still
//! is as it was shown.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use futures::StreamExt as _;

use super::at;
use super::row::{Moves, Outcome, Row};
use super::target::Log;
use crate::claim::{self, CommandId, Cursor, Failures, ObservedItem};
use crate::cli::parts::CliParts;
use crate::cli::selection::Partitions;
use crate::clock::{Clock as _, Deadline};
use crate::config::StartPosition;
use crate::error::Error;
use crate::invoke::{self, Pins, WRITES_AT_ONCE};
use crate::plan::{self, Decision, PartitionState};
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

/// What a command wants of a partition.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    /// To stand at `next`. What there is to say of it.
    Move { next: NextOffset, note: Option<String> },
    /// To be left alone.
    Leave { outcome: Outcome, note: String },
}

/// One partition: what is wanted of it, or why it cannot be moved, as a row.
type Planned = Result<(Position, Wanted), Row>;

/// A name for one change of one item.
pub(super) fn command_id() -> CommandId {
    CommandId::new(uuid::Uuid::new_v4().to_string())
}

/// How long a command may take.
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

/// The rows of a dry run, or of cursors that were moved. `known` are partitions
/// that may be chosen although neither topic nor table has them.
///
/// Where a cursor would be made and `START_POSITION` is not the earliest, all
/// start positions are stored first, as a run does: otherwise the partitions
/// above the new cursor would count as ones that appeared later.
pub(super) async fn carry_out(
    parts: &CliParts,
    selection: &Partitions,
    known: &[TopicPartition],
    execute: bool,
    wanted: impl AsyncFn(&[Position]) -> Result<Vec<Wanted>, Error>,
) -> Result<Moves, Error> {
    let mut planned = plan_all(parts, selection, known, Pins::Leave, &wanted).await?;
    let creates = |planned: &Planned| matches!(planned, Ok((it, Wanted::Move { .. })) if it.item().is_none());
    if execute && parts.config.start_position != StartPosition::Earliest && planned.iter().any(creates) {
        planned = plan_all(parts, selection, known, Pins::Store, &wanted).await?;
    }
    let rows = planned.into_iter().map(async |planned| match planned {
        Ok((position, Wanted::Move { next, note })) => {
            let mut row = row(&position, next, note);
            if execute && row.outcome == Outcome::WouldMove {
                carry_out_one(parts, &position, next, &mut row).await;
            }
            row
        }
        Ok((position, Wanted::Leave { outcome, note })) => left(&position, outcome, note),
        Err(row) => row,
    });
    Ok(Moves {
        executed: execute,
        partitions: futures::stream::iter(rows).buffered(WRITES_AT_ONCE).collect().await,
    })
}

async fn plan_all(
    parts: &CliParts,
    selection: &Partitions,
    known: &[TopicPartition],
    pins: Pins,
    wanted: &impl AsyncFn(&[Position]) -> Result<Vec<Wanted>, Error>,
) -> Result<Vec<Planned>, Error> {
    let (positions, stuck) = positions(parts, selection, known, pins).await?;
    let wanted = wanted(&positions).await?;
    let mut planned: Vec<Planned> = positions.into_iter().zip(wanted).map(Ok).collect();
    planned.extend(stuck.into_iter().map(Err));
    planned.sort_by_key(|planned| match planned {
        Ok((position, _)) => position.partition.clone(),
        Err(row) => row.place.clone(),
    });
    Ok(planned)
}

/// The chosen partitions as they stand, `known` being others that may be chosen, and rows for those that cannot be moved.
pub(super) async fn positions(
    parts: &CliParts,
    selection: &Partitions,
    known: &[TopicPartition],
    pins: Pins,
) -> Result<(Vec<Position>, Vec<Row>), Error> {
    let (facts, decisions) = invoke::inspect(parts, deadline(parts), pins).await?;
    selection.check(facts.iter().map(|fact| &fact.partition).chain(known))?;
    let chosen = facts.into_iter().zip(decisions);
    let chosen: Vec<(PartitionState, Decision)> =
        chosen.filter(|(fact, _)| selection.includes(&fact.partition)).collect();
    let there = chosen.iter().filter(|(fact, _)| matches!(fact.end, Some(Ok(_))));
    let there: Vec<TopicPartition> = there.map(|(fact, _)| fact.partition.clone()).collect();
    let earliest = list_offsets(parts, &there, OffsetSpec::Earliest).await?;
    let earliest: BTreeMap<TopicPartition, ListedOffset> = there.into_iter().zip(earliest).collect();
    let now_ms = parts.clock.wall_ms();
    let (mut positions, mut stuck) = (vec![], vec![]);
    for (fact, decision) in &chosen {
        match position(fact, decision, earliest.get(&fact.partition), now_ms) {
            Ok(position) => positions.push(position),
            Err(Stuck(outcome, why)) => {
                let current = fact.cursor.as_ref().and_then(|cursor| Some(cursor.as_ref().ok()?.next));
                stuck.push(Row::stuck(&fact.partition, current, outcome, why));
            }
        }
    }
    Ok((positions, stuck))
}

/// One offset of each of these logs.
pub(super) async fn list_offsets(
    parts: &CliParts,
    partitions: &[TopicPartition],
    what: OffsetSpec,
) -> Result<Vec<ListedOffset>, Error> {
    let until = parts.clock.now() + parts.config.poll_timeout;
    parts.source.list_offsets(partitions, what, until).await
}

/// Why a partition cannot be moved.
struct Stuck(Outcome, String);

/// Where a partition stands.
///
/// | item | log | |
/// |---|---|---|
/// | cannot be read | any | stuck: invalid |
/// | any | partition gone | stuck: its item is all there is of it |
/// | any | no broker answers | stuck: unavailable |
/// | one | known | at its cursor; not to be moved under a live claim |
/// | none | known | where a run would start |
fn position(
    fact: &PartitionState,
    decision: &Decision,
    earliest: Option<&ListedOffset>,
    now_ms: i64,
) -> Result<Position, Stuck> {
    let cursor = match &fact.cursor {
        Some(Err(invalid)) => return Err(Stuck(Outcome::Invalid, invalid.to_string())),
        Some(Ok(cursor)) => Some(cursor),
        None => None,
    };
    let unavailable = |why: &dyn Display| Stuck(Outcome::Unavailable, format!("no broker answers for it: {why}"));
    let (end, earliest) = match (&fact.end, earliest) {
        (None, _) => {
            let why =
                "the topic has no such partition any more: delete its cursor with `kafka-consumer offsets delete`";
            return Err(Stuck(Outcome::Gone, why.into()));
        }
        (Some(Ok(end)), Some(Ok(earliest))) => (*end, *earliest),
        (Some(Err(why)), _) | (_, Some(Err(why))) => return Err(unavailable(why)),
        (Some(Ok(_)), None) => return Err(unavailable(&"its first offset is not known")),
    };
    let start = || match (plan::next_offset(fact, decision), decision) {
        (Some(start), _) => Ok(start),
        (None, Decision::Unavailable(why)) => Err(unavailable(&why)),
        (None, _) => Err(unavailable(&"its start position is not known")),
    };
    let seen = match cursor {
        Some(cursor) => ObservedItem::Present(cursor.clone()),
        None => ObservedItem::Missing { start: start()? },
    };
    let held_until_ms = cursor.and_then(|cursor| cursor.held_until_ms(now_ms));
    Ok(Position {
        partition: fact.partition.clone(),
        log: Log {
            standing: seen.stored(),
            earliest,
            // The end was asked for first: retention may have passed it meanwhile.
            end: end.max(earliest),
        },
        seen,
        held_until_ms,
    })
}

/// The row of a partition that is wanted at `next`.
///
/// One that stands there is left as it is, unless runs have left something on
/// its item: a move clears it, and the record there is tried afresh.
fn row(position: &Position, next: NextOffset, note: Option<String>) -> Row {
    let item = position.item();
    let tried = item.and_then(Cursor::failures).map(Failures::all_attempts);
    let afresh = item.is_some_and(|item| item.failure.is_none() && item.claim_until_ms.is_none());
    let outcome = match position.held_until_ms {
        Some(_) => Outcome::Held,
        None if afresh && next == position.log.standing => Outcome::Unchanged,
        None => Outcome::WouldMove,
    };
    let notes = [
        position
            .held_until_ms
            .map(|until| format!("claimed by a run until {}", at(until))),
        note,
        item.is_none()
            .then(|| "no cursor yet: a run would start at the current offset".to_owned()),
        tried.map(|tried| format!("failed attempts are forgotten: {tried}")),
        item.is_some_and(|item| item.paused).then(|| "stays paused".to_owned()),
        (outcome == Outcome::Unchanged).then(|| "stands there already".to_owned()),
    ];
    Row {
        place: position.partition.clone(),
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

/// The row of a partition that is left alone.
fn left(position: &Position, outcome: Outcome, note: String) -> Row {
    Row {
        outcome,
        note,
        new_offset: None,
        lag: None,
        ..row(position, position.log.standing, None)
    }
}

/// Moves one cursor, if it still is as it was shown.
async fn carry_out_one(parts: &CliParts, position: &Position, next: NextOffset, row: &mut Row) {
    let consumer = consumer(parts, &position.partition.topic);
    let command = command_id();
    let write = claim::move_to(&position.seen, next, &command);
    let judge = |item: Option<&Cursor>| claim::judge_move(&position.seen, &command, item);
    let number = position.partition.partition;
    let written = store::resolve_write(&parts.store, &consumer, number, &write, judge).await;
    row.settle(Outcome::Moved, written);
}
