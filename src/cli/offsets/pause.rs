//! `offsets pause` and `resume`: without `--execute`, as they are urgent and easy to revert.

use std::collections::BTreeMap;

use futures::StreamExt as _;

use super::at;
use super::change::{ChangeOutcome, CursorChange, CursorChanges};
use super::moves::{consumer, deadline};
use crate::claim::{self, Cursor, ObservedItem, Verdict};
use crate::cli::parts::CliParts;
use crate::cli::selection::Partitions;
use crate::clock::Clock as _;
use crate::config::StartPosition;
use crate::error::{Error, ErrorType};
use crate::invoke::{self, Pins, WRITES_AT_ONCE};
use crate::plan::PartitionPlan;
use crate::record::TopicPartition;
use crate::store::{self, InvalidCursor, Store as _, WriteError};

type Items = BTreeMap<TopicPartition, Result<Cursor, InvalidCursor>>;

/// The item of a partition, or why it cannot be changed.
type Known = Result<ObservedItem, (ChangeOutcome, String)>;

/// Partitions in order, each with its item.
type Chosen = Vec<(TopicPartition, Known)>;

pub(super) async fn pause(parts: &CliParts, selection: &Partitions) -> Result<CursorChanges, Error> {
    let items = items(parts).await?;
    // Partitions with an item need no broker; the brokers have the others.
    let all_there = parts.config.topics.iter().all(|topic| {
        let is_there = |number: &i32| items.contains_key(&TopicPartition::new(topic.clone(), *number));
        !selection.numbers.is_empty() && selection.numbers.iter().all(is_there)
    });
    let chosen = if all_there {
        items
            .into_iter()
            .map(|(partition, item)| (partition, known(item)))
            .collect()
    } else {
        all_partitions(parts, selection).await?
    };
    let pause = async |partition: &TopicPartition, seen: &ObservedItem| {
        let row = |outcome, note| CursorChange::without_move(partition, Some(seen.stored()), outcome, note);
        if matches!(seen, ObservedItem::Present(cursor) if cursor.paused) {
            return Ok(row(ChangeOutcome::WasPaused, "already paused".into()));
        }
        let verdict = match pause_one(parts, partition, seen).await? {
            // An item was created concurrently: it can be paused like any other.
            Verdict::Edited { .. } if matches!(seen, ObservedItem::Missing { .. }) => {
                pause_one(parts, partition, &ObservedItem::Present(Cursor::default())).await?
            }
            verdict => verdict,
        };
        Ok(match verdict {
            Verdict::Applied => CursorChange {
                until: held_until(parts, seen),
                ..row(ChangeOutcome::Paused, paused_note(parts, seen))
            },
            _ => row(
                ChangeOutcome::Changed,
                "its item was deleted concurrently: run the command again".into(),
            ),
        })
    };
    Ok(each(chosen, selection, pause).await)
}

pub(super) async fn resume(parts: &CliParts, selection: &Partitions) -> Result<CursorChanges, Error> {
    let items = items(parts).await?;
    let has_item = |number: &&i32| items.keys().any(|partition| partition.partition == **number);
    if let Some(without) = selection.numbers.iter().find(|number| !has_item(number)) {
        return Err(Error::new(
            ErrorType::InvalidConfiguration,
            format!("partition {without} has no cursor, so it is not paused"),
        )
        .next("Correct --partition"));
    }
    let chosen = items
        .into_iter()
        .map(|(partition, item)| (partition, known(item)))
        .collect();
    let resume = async |partition: &TopicPartition, seen: &ObservedItem| {
        let row =
            |outcome, note: &str| CursorChange::without_move(partition, Some(seen.stored()), outcome, note.to_owned());
        if !matches!(seen, ObservedItem::Present(cursor) if cursor.paused) {
            return Ok(row(ChangeOutcome::WasNotPaused, "was not paused"));
        }
        let (consumer, write) = (consumer(parts, &partition.topic), claim::resume());
        store::resolve_write(
            &parts.store,
            &consumer,
            partition.partition,
            &write,
            claim::judge_resume,
        )
        .await?;
        Ok(row(ChangeOutcome::Resumed, "resumed"))
    };
    Ok(each(chosen, selection, resume).await)
}

/// The items of all topics.
async fn items(parts: &CliParts) -> Result<Items, Error> {
    let mut items = Items::new();
    for topic in &parts.config.topics {
        for item in parts.store.load(&consumer(parts, topic)).await? {
            items.insert(TopicPartition::new(topic.clone(), item.partition), item.cursor);
        }
    }
    Ok(items)
}

fn known(item: Result<Cursor, InvalidCursor>) -> Known {
    item.map(ObservedItem::Present)
        .map_err(|invalid| (ChangeOutcome::Invalid, format!("runs do not read it: {invalid}")))
}

/// All partitions, also those without an item: a pause creates one where a run
/// would start, and for that all start positions must be stored.
async fn all_partitions(parts: &CliParts, selection: &Partitions) -> Result<Chosen, Error> {
    let mut plans = invoke::inspect(parts, deadline(parts), Pins::Leave).await?;
    let mut states = plans.iter().map(|plan| &plan.state);
    selection.check(states.clone().map(|state| &state.partition))?;
    let creates = states.any(|state| state.cursor.is_none() && selection.includes(&state.partition));
    if creates && parts.config.start_position != StartPosition::Earliest {
        plans = invoke::inspect(parts, deadline(parts), Pins::Store).await?;
    }
    let known = |plan: PartitionPlan| {
        let start = || match plan.next_offset() {
            Some(start) => Ok(ObservedItem::Missing { start }),
            None => Err((
                ChangeOutcome::Unavailable,
                "it has no cursor yet, and the partition is unavailable".to_owned(),
            )),
        };
        let known = plan.state.cursor.clone().map_or_else(start, known);
        (plan.state.partition, known)
    };
    Ok(plans.into_iter().map(known).collect())
}

async fn pause_one(parts: &CliParts, partition: &TopicPartition, seen: &ObservedItem) -> Result<Verdict, WriteError> {
    let consumer = consumer(parts, &partition.topic);
    let judge = |item: Option<&Cursor>| claim::judge_pause(seen, item);
    store::resolve_write(&parts.store, &consumer, partition.partition, &claim::pause(seen), judge).await
}

fn held_until(parts: &CliParts, seen: &ObservedItem) -> Option<i64> {
    match seen {
        ObservedItem::Present(cursor) => cursor.held_until_ms(parts.clock.wall_ms()),
        ObservedItem::Missing { .. } => None,
    }
}

fn paused_note(parts: &CliParts, seen: &ObservedItem) -> String {
    match held_until(parts, seen) {
        Some(until) => format!(
            "paused from the next run on: the run that has claimed it until {} finishes first",
            at(until)
        ),
        None => "paused".into(),
    }
}

/// Changes each selected partition, several at once. A failure does not stop the others.
async fn each(
    chosen: Chosen,
    selection: &Partitions,
    act: impl AsyncFn(&TopicPartition, &ObservedItem) -> Result<CursorChange, WriteError>,
) -> CursorChanges {
    let chosen = chosen.iter().filter(|(partition, _)| selection.includes(partition));
    let rows = chosen.map(async |(partition, known)| match known {
        Ok(seen) => act(partition, seen).await.unwrap_or_else(|unwritten| {
            let (outcome, why) = CursorChange::unwritten(unwritten);
            CursorChange::without_move(partition, Some(seen.stored()), outcome, why)
        }),
        Err((outcome, why)) => CursorChange::without_move(partition, None, *outcome, why.clone()),
    });
    CursorChanges {
        executed: true,
        partitions: futures::stream::iter(rows).buffered(WRITES_AT_ONCE).collect().await,
    }
}
