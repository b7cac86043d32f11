//! `offsets undo`: swaps each cursor with its previous offset, and restores deleted cursors.

use futures::StreamExt as _;

use super::change::{ChangeOutcome, CursorChange, CursorChanges};
use super::deleted::{self, Copy};
use super::moves::{self, PlannedMove, Position};
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

pub(super) async fn undo(parts: &CliParts, arguments: &UndoArgs) -> Result<CursorChanges, Error> {
    let UndoArgs { partitions, execute } = arguments;
    let copies = deleted::copies(parts).await?;
    let known: Vec<TopicPartition> = copies.iter().map(|(partition, _)| partition.clone()).collect();
    let copy_of = |position: &Position| copies.iter().find(|(partition, _)| *partition == position.partition);
    let plan = async |positions: &[Position]| Ok(positions.iter().map(|it| back(it, copy_of(it))).collect());
    let mut moves = moves::move_cursors(parts, partitions, &known, *execute, plan).await?;
    let stays = |partition: &TopicPartition| {
        let mut rows = moves.partitions.iter();
        rows.any(|row| row.partition == *partition && row.outcome != ChangeOutcome::WouldRestore)
    };
    let restorable = copies
        .iter()
        .filter(|(partition, _)| partitions.includes(partition) && !stays(partition));
    let restored = restorable.map(|(partition, copy)| deleted::restore(parts, partition, copy, *execute));
    let restored: Vec<CursorChange> = futures::stream::iter(restored).buffered(WRITES_AT_ONCE).collect().await;
    moves
        .partitions
        .retain(|row| row.outcome != ChangeOutcome::WouldRestore);
    moves.partitions.extend(restored);
    moves.partitions.sort_by_key(|row| row.partition.clone());
    Ok(moves)
}

/// The move of one cursor to its previous offset, not clamped. A deleted cursor
/// is restored; where a run has created another since, that one moves to the
/// offset of the deleted one.
fn back(position: &Position, copy: Option<&Copy>) -> PlannedMove {
    let item = position.item();
    if let (None, Some(_)) = (item, copy) {
        return PlannedMove::Keep {
            outcome: ChangeOutcome::WouldRestore,
            note: String::new(),
        };
    }
    let deleted = copy.and_then(|(_, cursor)| Some(cursor.as_ref().ok()?.next));
    let previous = item.and_then(|item| item.previous);
    let Some(next) = previous.or(deleted) else {
        return PlannedMove::Keep {
            outcome: ChangeOutcome::NothingToUndo,
            note: "nothing to undo: it was not moved".into(),
        };
    };
    let (earliest, end) = (position.log.earliest, position.log.end);
    let from_copy = previous
        .is_none()
        .then(|| "the offset of the deleted cursor".to_owned());
    let outside = if next > end {
        Some(format!("past the end ({end}): the next run applies ON_TRUNCATION"))
    } else if next < earliest {
        Some(format!(
            "below the earliest offset ({earliest}): the next run applies ON_RETENTION_LOSS"
        ))
    } else {
        None
    };
    let notes: Vec<String> = from_copy.into_iter().chain(outside).collect();
    PlannedMove::Move {
        next,
        note: (!notes.is_empty()).then(|| notes.join("; ")),
    }
}
