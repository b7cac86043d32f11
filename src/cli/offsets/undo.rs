//! `offsets undo`: swaps each cursor with what the last move replaced, and brings back deleted ones.

use futures::StreamExt as _;

use super::delete::{self, Copy};
use super::moves::{self, Position, Wanted};
use super::row::{Moves, Outcome, Row};
use crate::cli::parts::CliParts;
use crate::cli::selection::Partitions;
use crate::error::Error;
use crate::invoke::WRITES_AT_ONCE;
use crate::record::TopicPartition;

#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct UndoArgs {
    #[command(flatten)]
    partitions: Partitions,

    /// Move the cursors; without it nothing is changed
    #[arg(long)]
    execute: bool,
}

pub(super) async fn undo(parts: &CliParts, arguments: &UndoArgs) -> Result<Moves, Error> {
    let UndoArgs { partitions, execute } = arguments;
    let copies = delete::copies(parts).await?;
    let known: Vec<TopicPartition> = copies.iter().map(|(partition, _)| partition.clone()).collect();
    let copy_of = |position: &Position| copies.iter().find(|(partition, _)| *partition == position.partition);
    let wanted = async |positions: &[Position]| Ok(positions.iter().map(|it| back(it, copy_of(it))).collect());
    let mut moves = moves::carry_out(parts, partitions, &known, *execute, wanted).await?;
    let stays = |partition: &TopicPartition| {
        let place = partition.clone();
        let mut rows = moves.partitions.iter();
        rows.any(|row| row.place == place && row.outcome != Outcome::WouldRestore)
    };
    let gone = copies
        .iter()
        .filter(|(partition, _)| partitions.includes(partition) && !stays(partition));
    let restored = gone.map(|(partition, copy)| delete::restore(parts, partition, copy, *execute));
    let restored: Vec<Row> = futures::stream::iter(restored).buffered(WRITES_AT_ONCE).collect().await;
    moves.partitions.retain(|row| row.outcome != Outcome::WouldRestore);
    moves.partitions.extend(restored);
    moves.partitions.sort_by_key(|row| row.place.clone());
    Ok(moves)
}

/// The move of one cursor to where it stood: exactly there, also where the log
/// has changed meanwhile. One that was deleted comes back; where a run has made
/// another one since, it moves to where the deleted one stood.
fn back(position: &Position, copy: Option<&Copy>) -> Wanted {
    let item = position.item();
    if let (None, Some(_)) = (item, copy) {
        return Wanted::Leave {
            outcome: Outcome::WouldRestore,
            note: String::new(),
        };
    }
    let deleted = copy.and_then(|(_, cursor)| Some(cursor.as_ref().ok()?.next));
    let previous = item.and_then(|item| item.previous);
    let Some(next) = previous.or(deleted) else {
        return Wanted::Leave {
            outcome: Outcome::NothingToUndo,
            note: "nothing to undo: it was not moved".into(),
        };
    };
    let (earliest, end) = (position.log.earliest, position.log.end);
    let from_copy = previous.is_none().then(|| "where the deleted cursor stood".to_owned());
    let outside = if next > end {
        Some(format!("past the end ({end}): ON_TRUNCATION decides in the next run"))
    } else if next < earliest {
        Some(format!(
            "below the earliest offset ({earliest}): ON_RETENTION_LOSS decides in the next run"
        ))
    } else {
        None
    };
    let notes: Vec<String> = from_copy.into_iter().chain(outside).collect();
    Wanted::Move {
        next,
        note: (!notes.is_empty()).then(|| notes.join("; ")),
    }
}
