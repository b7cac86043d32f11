//! Results on stdout: tables for people, JSON for programs.

mod plan;
mod run;
mod screen;

use std::io::{ErrorKind, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use comfy_table::Table;
use serde::Serialize;

use crate::invoke::Response;
use crate::report::RunReport;

pub(super) use run::tick_line;
pub(super) use screen::{Screen, Tone};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Table,
    /// One JSON document
    Json,
}

/// Where results go, and in which form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Out {
    pub(super) format: Format,
}

impl Out {
    /// Writes an answer.
    pub(super) fn answer(self, answer: &Response) {
        let screen = Screen::of_stdout();
        match answer {
            Response::Run(report) => self.say(&run::table(screen, report), answer),
            Response::Plan(plan) => self.say(&plan::table(screen, plan), answer),
        }
    }

    /// Writes `words` for people, or `value` for programs.
    pub(super) fn say(self, words: &str, value: &impl Serialize) {
        match self.format {
            Format::Table => write_line(words),
            Format::Json => write_line(&serde_json::to_string(value).unwrap_or_default()),
        }
    }
}

/// The reader went away (`| head`): no failure of ours.
static UNREAD: AtomicBool = AtomicBool::new(false);

/// A full disk, for example: a result did not get out.
static LOST: AtomicBool = AtomicBool::new(false);

/// Whether nobody reads the results any more, so that further ones are in vain.
pub(super) fn is_unread() -> bool {
    UNREAD.load(Ordering::Relaxed)
}

/// Whether a result did not get out.
pub(super) fn is_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// A line on stdout.
pub(super) fn write_line(line: &str) {
    write_bytes(format!("{line}\n").as_bytes());
}

/// Something on stdout that has line ends of its own.
pub(super) fn write_bytes(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => UNREAD.store(true, Ordering::Relaxed),
        Err(error) => {
            LOST.store(true, Ordering::Relaxed);
            complain(&format!("Failed: stdout cannot be written: {error}"));
        }
    }
}

/// A line on stderr. Unlike `eprintln!` it does not mind that nobody reads it.
pub(super) fn complain(line: &str) {
    let _ = std::io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// A table as wide as the terminal that stdout is, if it is one.
pub(super) fn table(headings: &[&str], right_aligned: impl IntoIterator<Item = usize>) -> Table {
    Screen::of_stdout().table(headings, right_aligned)
}

/// The report of a run, as people read it.
pub(super) fn run_table(report: &RunReport) -> String {
    run::table(Screen::of_stdout(), report)
}

pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

pub(super) fn time(unix_ms: Option<i64>) -> String {
    or_dash(unix_ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()))
}

/// By the operator's clock on the wall.
pub(super) fn local_time(unix_ms: i64) -> String {
    let zone = jiff::tz::TimeZone::system();
    jiff::Timestamp::from_millisecond(unix_ms)
        .unwrap_or_default()
        .to_zoned(zone)
        .strftime("%F %T")
        .to_string()
}

/// Its largest unit alone, for what is a guess, or not worth a wide column.
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

/// Lines on partitions, those that say the same as one: of many partitions
/// with one cause, the cause is worth one line.
pub(super) fn grouped(said: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
    /// So many are named; the table above has them all.
    const NAMED: usize = 5;
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (place, words) in said {
        match groups.iter_mut().find(|(known, _)| *known == words) {
            Some((_, places)) => places.push(place),
            None => groups.push((words, vec![place])),
        }
    }
    let line = |(words, places): (String, Vec<String>)| {
        let named = places[..places.len().min(NAMED)].join(", ");
        let more = places.len().saturating_sub(NAMED);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        format!("{named}{more}: {words}")
    };
    groups.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn partitions_with_the_same_to_say_share_a_line_in_the_order_they_came() {
        let said = |place: i32, words: &str| (format!("t-{place}"), words.to_owned());
        assert_eq!(
            grouped([said(0, "down"), said(1, "paused"), said(2, "down")]),
            ["t-0, t-2: down", "t-1: paused"]
        );
        assert_eq!(
            grouped((0..300).map(|place| said(place, "down"))),
            ["t-0, t-1, t-2, t-3, t-4 and 295 more: down"]
        );
        assert!(grouped([]).is_empty());
    }
}
