//! `offsets list`: the cursors as they are stored.

use comfy_table::Cell;

use crate::cli::Exit;
use crate::cli::args::Selection;
use crate::cli::look::{self, Look, Row};
use crate::cli::output::{Out, Screen, or_dash, time};
use crate::cli::parts::CliParts;
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

/// The sums, a table, and what needs saying of single partitions.
fn table(screen: Screen, look: &Look) -> String {
    let mut lines = vec![look.states()];
    if !look.partitions.is_empty() {
        let headings = ["partition", "next", "last stored", "previous", "updated", "state"];
        let mut cursors = screen.table(&headings, 1..=3);
        for row in &look.partitions {
            cursors.add_row([
                Cell::new(row.at()),
                Cell::new(or_dash(stored_next(row))),
                Cell::new(or_dash(row.last_offset)),
                Cell::new(or_dash(row.previous_offset)),
                Cell::new(seconds(row.updated_at)),
                row.state.cell(screen),
            ]);
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

/// To the second: the column is narrow, and nobody compares milliseconds by eye.
fn seconds(unix_ms: Option<i64>) -> String {
    time(unix_ms.map(|ms| ms - ms.rem_euclid(1000)))
}

#[cfg(test)]
mod tests;
