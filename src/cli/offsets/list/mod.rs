//! `offsets list`: the stored cursors.

use std::time::Duration;

use comfy_table::Cell;

use crate::cli::exit::Exit;
use crate::cli::inspect::{InspectedPartition, Inspection, inspect};
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
    let inspection = inspect(parts, &arguments.selection).await?;
    out.print(&table(Screen::of_stdout(), &inspection), &inspection);
    Ok(inspection.print_errors())
}

/// On fewer columns the last processed offset (next minus one) and the run are
/// left out.
const WIDE: u16 = 100;

/// The first letters of a run's id identify it.
const RUN_LETTERS: usize = 8;

/// The sums, a table, and remarks on single partitions.
fn table(screen: Screen, inspection: &Inspection) -> String {
    let mut lines = vec![inspection.states()];
    if !inspection.partitions.is_empty() {
        let is_wide = screen.width.is_none_or(|width| width >= WIDE);
        let mut cursors = if is_wide {
            let headings = [
                "partition",
                "next",
                "last processed",
                "previous",
                "updated",
                "by run",
                "state",
            ];
            screen.table(&headings, 1..=4)
        } else {
            screen.table(&["partition", "next", "previous", "updated", "state"], 1..=3)
        };
        for row in &inspection.partitions {
            let mut cells = vec![Cell::new(&row.partition), Cell::new(or_dash(stored_next(row)))];
            cells.extend(is_wide.then(|| Cell::new(or_dash(row.last_offset))));
            cells.push(Cell::new(or_dash(row.previous_offset)));
            cells.push(Cell::new(age(inspection.at, row.updated_at)));
            cells.extend(is_wide.then(|| Cell::new(or_dash(row.run.as_deref().map(shortened)))));
            cells.push(row.state.cell());
            cursors.add_row(cells);
        }
        lines.push(cursors.to_string());
    }
    lines.extend(inspection.remarks());
    lines.join("\n")
}

/// Without an item, `next_offset` is where a run would start, and not stored.
fn stored_next(row: &InspectedPartition) -> Option<i64> {
    row.next_offset.filter(|_| row.last_offset.is_some())
}

fn shortened(run: &str) -> String {
    run.chars().take(RUN_LETTERS).collect()
}

/// How long ago, rounded; the exact time is in the JSON document.
fn age(now_ms: i64, updated_at_ms: Option<i64>) -> String {
    let ago = |then: i64| {
        let ms = now_ms.saturating_sub(then).max(0).unsigned_abs();
        format!("{} ago", coarse(Duration::from_millis(ms)))
    };
    updated_at_ms.map_or_else(|| "-".into(), ago)
}

#[cfg(test)]
mod tests;
