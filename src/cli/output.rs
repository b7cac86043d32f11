//! Results on stdout: tables for people, JSON for programs.

use std::io::{ErrorKind, Write as _};

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde::Serialize;

use super::args::Format;
use crate::invoke::Answer;
use crate::report::{PlanReport, RunReport, StopReason};

/// Below this many columns a table is not wrapped.
const NARROWEST: u16 = 40;

/// Where results go, and in which form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Out {
    pub(super) format: Format,
}

impl Out {
    /// Writes an answer.
    pub(super) fn answer(self, answer: &Answer) {
        match answer {
            Answer::Run(report) => self.say(&run_table(report), answer),
            Answer::Plan(plan) => self.say(&plan_table(plan), answer),
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

/// A reader that went away (`| head`) is no failure of ours.
pub(super) fn write_line(line: &str) {
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = writeln!(stdout, "{line}").and_then(|()| stdout.flush())
        && error.kind() != ErrorKind::BrokenPipe
    {
        tracing::error!(%error, "stdout cannot be written");
    }
}

pub(super) fn table(headings: &[&str], right_aligned: impl IntoIterator<Item = usize>) -> Table {
    let mut table = Table::new();
    // A terminal that does not know its width, or one too narrow for any table, gets whole lines.
    let arrangement = match table.width() {
        Some(width) if width >= NARROWEST => ContentArrangement::Dynamic,
        _ => ContentArrangement::Disabled,
    };
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(arrangement)
        .set_header(headings);
    for column in right_aligned {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

pub(super) fn time(unix_ms: Option<i64>) -> String {
    or_dash(unix_ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()))
}

/// The report of a run, as people read it.
pub(super) fn run_table(report: &RunReport) -> String {
    let mut text = format!(
        "{} records in {} ms · {} · lag {}",
        report.messages_processed,
        report.duration_ms,
        report.stop_reason.map_or("failed", stop_words),
        or_dash(report.lag),
    );
    if !report.partitions.is_empty() {
        let mut partitions = table(&["partition", "first", "last stored", "records", "end", "lag"], 1..=5);
        for row in &report.partitions {
            partitions.add_row([
                format!("{}-{}", row.place.topic, row.place.partition),
                or_dash(row.first_offset),
                or_dash(row.last_offset),
                row.messages.to_string(),
                or_dash(row.end_offset),
                or_dash(row.lag),
            ]);
        }
        text = format!("{text}\n{partitions}");
    }
    for line in remarks(report) {
        text = format!("{text}\n{line}");
    }
    text
}

fn stop_words(reason: StopReason) -> &'static str {
    match reason {
        StopReason::CaughtUp => "caught up",
        StopReason::MaxMessages => "limit reached",
        StopReason::Deadline => "time over",
        StopReason::Held => "held by other runs",
        StopReason::Interrupted => "interrupted",
    }
}

fn remarks(report: &RunReport) -> Vec<String> {
    let mut lines = Vec::new();
    let at = |place: &crate::report::Place| format!("{}-{}", place.topic, place.partition);
    for held in &report.held {
        lines.push(format!("held: {} until {}", at(&held.place), time(held.until)));
    }
    for place in &report.paused {
        lines.push(format!("paused: {}", at(place)));
    }
    let ranges = [("skipped", &report.skipped), ("lost", &report.lost)];
    for (word, range) in ranges
        .into_iter()
        .flat_map(|(word, all)| all.iter().map(move |range| (word, range)))
    {
        let (first, last) = (range.first_offset, range.last_offset);
        lines.push(format!(
            "{word}: {} offsets {first} to {last}: {}",
            at(&range.place),
            range.reason
        ));
    }
    for blocked in &report.blocked {
        lines.push(format!(
            "blocked: {} at offset {} after {} attempts, next try {}: {}",
            at(&blocked.place),
            blocked.offset,
            blocked.attempts,
            time(blocked.next_try_at),
            blocked.error
        ));
    }
    for partition in &report.unavailable {
        lines.push(format!("unavailable: {}: {}", at(&partition.place), partition.error));
    }
    lines
}

fn plan_table(plan: &PlanReport) -> String {
    let mut partitions = table(&["partition", "from", "to", "records", "lag", "why"], 1..=4);
    for row in &plan.partitions {
        let why = match &row.detail {
            Some(detail) => format!("{}: {detail}", row.why),
            None => row.why.to_owned(),
        };
        partitions.add_row([
            format!("{}-{}", row.place.topic, row.place.partition),
            or_dash(row.from),
            or_dash(row.to),
            row.messages.to_string(),
            row.lag.to_string(),
            why,
        ]);
    }
    let total: u64 = plan.partitions.iter().map(|row| row.messages).sum();
    format!("a run would read up to {total} records\n{partitions}")
}
