//! `offsets list`: the cursors as they are stored.

use std::time::Duration;

use comfy_table::Cell;

use crate::cli::Exit;
use crate::cli::look::{self, Look, Row};
use crate::cli::output::{Out, Screen, coarse, or_dash};
use crate::cli::parts::CliParts;
use crate::cli::selection::Selection;
use crate::error::Error;

#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    selection: Selection,
}

pub(super) async fn list(parts: &CliParts, arguments: &ListArgs, out: Out) -> Result<Exit, Error> {
    let look = look::look(parts, &arguments.selection).await?;
    out.say(&table(Screen::of_stdout(), &look), &look);
    Ok(look.complain())
}

/// With fewer columns two are left out: the last processed offset, which is
/// the next one less one, and the run.
const WIDE: u16 = 100;

/// A run's name is long; its beginning tells runs apart.
const RUN_LETTERS: usize = 8;

/// The sums, a table, and what needs saying of single partitions.
fn table(screen: Screen, look: &Look) -> String {
    let mut lines = vec![look.states()];
    if !look.partitions.is_empty() {
        let is_wide = screen.width.is_none_or(|width| width >= WIDE);
        let mut cursors = if is_wide {
            let headings = [
                "partition",
                "next",
                "last stored",
                "previous",
                "updated",
                "by run",
                "state",
            ];
            screen.table(&headings, 1..=4)
        } else {
            screen.table(&["partition", "next", "previous", "updated", "state"], 1..=3)
        };
        for row in &look.partitions {
            let mut cells = vec![Cell::new(row.at()), Cell::new(or_dash(stored_next(row)))];
            cells.extend(is_wide.then(|| Cell::new(or_dash(row.last_offset))));
            cells.push(Cell::new(or_dash(row.previous_offset)));
            cells.push(Cell::new(age(look.at, row.updated_at)));
            cells.extend(is_wide.then(|| Cell::new(or_dash(row.run.as_deref().map(shortened)))));
            cells.push(row.state.cell());
            cursors.add_row(cells);
        }
        lines.push(cursors.to_string());
    }
    lines.extend(look.remarks());
    lines.join("\n")
}

/// Where a run would begin is not stored yet.
fn stored_next(row: &Row) -> Option<i64> {
    row.next_offset.filter(|_| row.last_offset.is_some())
}

fn shortened(run: &str) -> String {
    run.chars().take(RUN_LETTERS).collect()
}

/// How long ago; the exact time is in the JSON form.
fn age(now_ms: i64, updated_at_ms: Option<i64>) -> String {
    let ago = |then: i64| {
        let ms = now_ms.saturating_sub(then).max(0).unsigned_abs();
        format!("{} ago", coarse(Duration::from_millis(ms)))
    };
    updated_at_ms.map_or_else(|| "-".into(), ago)
}

#[cfg(test)]
mod tests;
