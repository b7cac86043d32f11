//! The report of a run, as people read it.

use super::{Screen, grouped, or_dash, time};
use crate::report::{Place, RunReport, StopReason};

/// All of it: one line of sums, a table of partitions, and what needs saying of some.
pub(super) fn table(screen: Screen, report: &RunReport) -> String {
    let mut text = sums(report);
    if !report.partitions.is_empty() {
        let mut partitions = screen.table(&["partition", "first", "last stored", "records", "end", "lag"], 1..=5);
        for row in &report.partitions {
            partitions.add_row([
                at(&row.place),
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

/// One line for one run of many: sums, and a word for all that needs a look.
pub(in crate::cli) fn tick_line(local_time: &str, report: &RunReport) -> String {
    let mut line = format!("{local_time}  {}", sums(report));
    let offsets = |ranges: &[crate::report::OffsetRange]| ranges.iter().map(|range| range.count()).sum::<u64>();
    let counts = [
        ("skipped", offsets(&report.skipped)),
        ("lost", offsets(&report.lost)),
        ("dead letters", report.dead_lettered),
        ("held", report.held.len() as u64),
        ("paused", report.paused.len() as u64),
        ("blocked", report.blocked.len() as u64),
        ("unavailable", report.unavailable.len() as u64),
    ];
    for (word, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        line = format!("{line} · {word} {count}");
    }
    match &report.error {
        Some(error) => format!("{line} · {}", error.error_type),
        None => line,
    }
}

fn sums(report: &RunReport) -> String {
    format!(
        "{} records in {} ms · {} · lag {}",
        report.messages_processed,
        report.duration_ms,
        report.stop_reason.map_or("failed", stop_words),
        or_dash(report.lag),
    )
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

fn at(place: &Place) -> String {
    format!("{}-{}", place.topic, place.partition)
}

fn remarks(report: &RunReport) -> Vec<String> {
    let mut lines = Vec::new();
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
    let unavailable = report.unavailable.iter();
    let silent = grouped(unavailable.map(|partition| (at(&partition.place), partition.error.clone())));
    lines.extend(silent.into_iter().map(|line| format!("unavailable: {line}")));
    lines
}
