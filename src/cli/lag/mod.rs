//! `lag`: how far behind, and why.

mod pace;

use std::time::Duration;

use comfy_table::Cell;
use tokio::time::MissedTickBehavior;

use super::Exit;
use super::look::{self, Look};
use super::output::{self, Format, Out, Screen, or_dash};
use super::parts::{CliParts, parts};
use super::selection::Selection;
use super::signals;
use crate::config::Config;
use crate::error::Error;
use pace::Pace;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct LagArgs {
    #[command(flatten)]
    selection: Selection,

    /// Look again every so many seconds, until ctrl-c
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", require_equals = false,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    watch: Option<u64>,
}

pub(super) async fn lag(config: Config, arguments: LagArgs, out: Out) -> Result<Exit, Error> {
    let parts = parts(config).await?;
    match arguments.watch {
        None => {
            let look = look::look(parts, &arguments.selection).await?;
            out.say(&table(Screen::of_stdout(), &look, None), &look);
            Ok(look.complain())
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

/// Looks at a fixed pace until nobody reads it. A look that fails is told, and
/// does not end the watch: the trouble is what people watch for.
async fn watch(parts: &CliParts, selection: &Selection, every: Duration, out: Out) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before: Option<Look> = None;
    while !output::is_unread() {
        ticks.tick().await;
        match look::look(parts, selection).await {
            Ok(look) => {
                let pace = before.as_ref().and_then(|before| Pace::between(before, &look));
                show(&look, pace, out);
                look.complain();
                before = Some(look);
            }
            Err(error) => output::complain(&error.to_string()),
        }
    }
}

/// In place on a terminal; one after the other elsewhere.
fn show(look: &Look, pace: Option<Pace>, out: Out) {
    let screen = Screen::of_stdout();
    let terminal = console::Term::stdout();
    if out.format == Format::Table && screen.redraws {
        // If it cannot be cleared, the tables stand one below the other.
        let _ = terminal.clear_screen();
    }
    let words = format!("{}  {}", output::local_time(look.at), table(screen, look, pace));
    out.say(&words, look);
}

/// The sums, a table, and what needs saying of single partitions.
fn table(screen: Screen, look: &Look, pace: Option<Pace>) -> String {
    let mut lines = vec![sums(look, pace)];
    if !look.partitions.is_empty() {
        let mut partitions = screen.table(&["partition", "next", "end", "lag", "state"], 1..=3);
        for row in &look.partitions {
            partitions.add_row([
                Cell::new(row.at()),
                Cell::new(or_dash(row.next_offset)),
                Cell::new(or_dash(row.end_offset)),
                Cell::new(or_dash(row.lag)),
                row.state.cell(),
            ]);
        }
        lines.push(partitions.to_string());
    }
    lines.extend(look.remarks());
    lines.join("\n")
}

fn sums(look: &Look, pace: Option<Pace>) -> String {
    let is_unknown = look.partitions.iter().any(|row| row.lag.is_none()) || !look.errors.is_empty();
    let lag = match look.lag {
        None => "unknown".to_owned(),
        Some(lag) if is_unknown => format!("{lag} or more"),
        Some(lag) => lag.to_string(),
    };
    let pace = pace.map_or_else(String::new, |pace| format!(" ({pace})"));
    format!("lag {lag}{pace} · {}", look.states())
}

#[cfg(test)]
mod tests;
