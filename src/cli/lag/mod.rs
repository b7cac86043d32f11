//! `lag`: the lag and the state of each partition.

mod rate;

use std::time::Duration;

use comfy_table::Cell;
use tokio::time::MissedTickBehavior;

use super::exit::Exit;
use super::inspect::{Inspection, inspect};
use super::output::{self, Format, Out, Screen, or_dash};
use super::parts::{CliParts, parts};
use super::selection::Selection;
use super::signals;
use crate::config::Config;
use crate::error::Error;
use rate::LagRate;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct LagArgs {
    #[command(flatten)]
    selection: Selection,

    /// Refresh every SECONDS, until ctrl-c
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", require_equals = false,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    watch: Option<u64>,
}

pub(super) async fn lag(config: Config, arguments: LagArgs, out: Out) -> Result<Exit, Error> {
    let parts = parts(config).await?;
    match arguments.watch {
        None => {
            let inspection = inspect(parts, &arguments.selection).await?;
            out.print(&table(Screen::of_stdout(), &inspection, None), &inspection);
            Ok(inspection.print_errors())
        }
        Some(seconds) => {
            let stop = signals::first()?;
            tokio::select! {
                () = watch(parts, &arguments.selection, Duration::from_secs(seconds), out) => {}
                () = stop => {}
            }
            Ok(Exit::Done)
        }
    }
}

/// Inspects at a fixed interval until stdout is closed. A failure is printed and
/// does not end the watch.
async fn watch(parts: &CliParts, selection: &Selection, every: Duration, out: Out) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before: Option<Inspection> = None;
    while !output::stdout_is_closed() {
        ticks.tick().await;
        match inspect(parts, selection).await {
            Ok(inspection) => {
                let rate = before.as_ref().and_then(|before| LagRate::between(before, &inspection));
                show(&inspection, rate, out);
                inspection.print_errors();
                before = Some(inspection);
            }
            Err(error) => output::print_error(&error.to_string()),
        }
    }
}

/// ANSI: cursor to the top left, clear from there.
const CLEAR_SCREEN: &[u8] = b"\x1b[H\x1b[2J";

/// Redraws in place on a terminal; appends elsewhere.
fn show(inspection: &Inspection, rate: Option<LagRate>, out: Out) {
    let screen = Screen::of_stdout();
    if out.format == Format::Table && screen.redraws {
        output::write_bytes(CLEAR_SCREEN);
    }
    let text = format!(
        "{}  {}",
        output::time_to_the_second(inspection.at),
        table(screen, inspection, rate)
    );
    out.print(&text, inspection);
}

/// The sums, a table, and remarks on single partitions.
fn table(screen: Screen, inspection: &Inspection, rate: Option<LagRate>) -> String {
    let mut lines = vec![sums(inspection, rate)];
    if !inspection.partitions.is_empty() {
        let mut partitions = screen.table(&["partition", "next", "end", "lag", "state"], 1..=3);
        for row in &inspection.partitions {
            partitions.add_row([
                Cell::new(&row.partition),
                Cell::new(or_dash(row.next_offset)),
                Cell::new(or_dash(row.end_offset)),
                Cell::new(or_dash(row.lag)),
                row.state.cell(),
            ]);
        }
        lines.push(partitions.to_string());
    }
    lines.extend(inspection.remarks());
    lines.join("\n")
}

fn sums(inspection: &Inspection, rate: Option<LagRate>) -> String {
    let is_unknown = inspection.partitions.iter().any(|row| row.lag.is_none()) || !inspection.errors.is_empty();
    let lag = match inspection.lag {
        None => "unknown".to_owned(),
        Some(lag) if is_unknown => format!("{lag} or more"),
        Some(lag) => lag.to_string(),
    };
    let rate = rate.map_or_else(String::new, |rate| format!(" ({rate})"));
    format!("lag {lag}{rate} · {}", inspection.states())
}

#[cfg(test)]
mod tests;
