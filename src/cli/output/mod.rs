//! Results on stdout, as tables or as JSON.

mod plan;
mod run;
mod screen;

use std::io::{ErrorKind, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use comfy_table::Table;
use serde::Serialize;

use super::exit::Exit;
use crate::invoke::{Invoked, Response};
use crate::report::{PlanReport, RunReport};

pub(super) use run::tick_line;
pub(super) use screen::{Screen, Tone};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Format {
    /// Text and tables
    #[default]
    Table,
    /// One JSON document
    Json,
}

/// Prints results to stdout in the format of `--output`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Out {
    pub(super) format: Format,
}

impl Out {
    /// Prints what an invocation returned.
    pub(super) fn print_result(self, response: &Response) {
        let screen = Screen::of_stdout();
        match response {
            Response::Run(report) => self.print(&run::table(screen, report), response),
            Response::Plan(plan) => self.print(&plan::table(screen, plan), response),
        }
    }

    /// Prints `text`, or `value` where the format is JSON.
    pub(super) fn print(self, text: &str, value: &impl Serialize) {
        match self.format {
            Format::Table => write_line(text),
            Format::Json => write_line(&serde_json::to_string(value).unwrap_or_default()),
        }
    }
}

/// The reader of stdout closed it (`| head`): not a failure.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// A result could not be written, for example to a full disk.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Whether the reader of stdout has closed it.
pub(super) fn stdout_is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// Whether a result could not be written.
pub(super) fn stdout_has_failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

/// Prints a line to stdout.
pub(super) fn write_line(line: &str) {
    write_bytes(format!("{line}\n").as_bytes());
}

/// Prints text that ends its own lines to stdout.
pub(super) fn write_bytes(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => CLOSED.store(true, Ordering::Relaxed),
        Err(error) => {
            FAILED.store(true, Ordering::Relaxed);
            print_error(&format!("Failed: stdout cannot be written: {error}"));
        }
    }
}

/// Prints a line to stderr. Unlike `eprintln!` it does not panic where stderr is closed.
pub(super) fn print_error(line: &str) {
    let _ = std::io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// A table of the width of the terminal on stdout, if there is one.
pub(super) fn table(headings: &[&str], right_aligned: impl IntoIterator<Item = usize>) -> Table {
    Screen::of_stdout().table(headings, right_aligned)
}

/// Prints what an invocation returned; a failure to stderr, last.
pub(super) fn print_invoked(invoked: &Invoked, out: Out) -> Exit {
    out.print_result(&invoked.response);
    exit_of(invoked)
}

/// Prints the failure of an invocation to stderr, if there is one, and returns
/// the exit code.
pub(super) fn exit_of(invoked: &Invoked) -> Exit {
    match invoked.error() {
        None => Exit::Done,
        Some(error) => {
            print_error(&error.to_string());
            Exit::from(error)
        }
    }
}

/// A plan as text and a table.
pub(super) fn plan_table(plan: &PlanReport) -> String {
    plan::table(Screen::of_stdout(), plan)
}

/// The report of a run as a table.
pub(super) fn run_table(report: &RunReport) -> String {
    run::table(Screen::of_stdout(), report)
}

pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

pub(super) fn time(unix_ms: Option<i64>) -> String {
    or_dash(unix_ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()))
}

/// In UTC, as all other times, to the second: `2026-11-27T06:00:00Z`.
pub(super) fn time_to_the_second(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms)
        .unwrap_or_default()
        .strftime("%FT%TZ")
        .to_string()
}

/// Rounded to the largest unit, for estimates and narrow columns.
pub(super) fn coarse(time: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let seconds = (time + Duration::from_millis(500)).as_secs().max(1);
    let (unit, name) = match seconds {
        0..=119 => (1, "s"),
        120..7_200 => (MINUTE, "min"),
        7_200..172_800 => (HOUR, "h"),
        _ => (DAY, "days"),
    };
    format!("{} {name}", (seconds + unit / 2) / unit)
}

/// Lines on partitions; partitions with the same text share a line.
pub(super) fn grouped(remarks: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
    /// So many partitions are named; the table has all of them.
    const NAMED: usize = 5;
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (place, text) in remarks {
        match groups.iter_mut().find(|(known, _)| *known == text) {
            Some((_, places)) => places.push(place),
            None => groups.push((text, vec![place])),
        }
    }
    let line = |(text, places): (String, Vec<String>)| {
        let named = places[..places.len().min(NAMED)].join(", ");
        let more = places.len().saturating_sub(NAMED);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        format!("{named}{more}: {text}")
    };
    groups.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::{grouped, time_to_the_second};

    #[test]
    fn the_time_of_a_line_is_in_utc_and_names_it() {
        assert_eq!(time_to_the_second(1_800_000_060_123), "2027-01-15T08:01:00Z");
    }

    #[test]
    fn partitions_with_the_same_remark_share_a_line_in_the_order_of_the_first() {
        let remark = |place: i32, text: &str| (format!("t-{place}"), text.to_owned());
        assert_eq!(
            grouped([remark(0, "down"), remark(1, "paused"), remark(2, "down")]),
            ["t-0, t-2: down", "t-1: paused"]
        );
        assert_eq!(
            grouped((0..300).map(|place| remark(place, "down"))),
            ["t-0, t-1, t-2, t-3, t-4 and 295 more: down"]
        );
        assert!(grouped([]).is_empty());
    }
}
