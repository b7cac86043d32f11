//! `offsets undo`: swaps each cursor with what the last move replaced.

use super::moves::{self, Position, Wanted};
use super::row::{Moves, Outcome};
use crate::cli::parts::CliParts;
use crate::cli::selection::Partitions;
use crate::error::Error;

#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct UndoArgs {
    #[command(flatten)]
    partitions: Partitions,

    /// Move the cursors; without it nothing is changed
    #[arg(long)]
    execute: bool,
}

pub(super) async fn undo(parts: &CliParts, arguments: &UndoArgs) -> Result<Moves, Error> {
    let wanted = async |positions: &[Position]| Ok(positions.iter().map(back).collect());
    moves::carry_out(parts, &arguments.partitions, &[], arguments.execute, wanted).await
}

/// The move of one cursor to where it stood: exactly there, also where the log
/// has changed meanwhile.
fn back(position: &Position) -> Wanted {
    let Some(next) = position.item().and_then(|item| item.previous) else {
        return Wanted::Leave {
            outcome: Outcome::NothingToUndo,
            note: "nothing to undo: it was not moved".into(),
        };
    };
    let (earliest, end) = (position.log.earliest, position.log.end);
    let note = if next > end {
        Some(format!("past the end ({end}): ON_TRUNCATION decides in the next run"))
    } else if next < earliest {
        Some(format!(
            "below the earliest offset ({earliest}): ON_RETENTION_LOSS decides in the next run"
        ))
    } else {
        None
    };
    Wanted::Move { next, note }
}
