//! The report of a run as text and a table.

use super::{Screen, grouped, or_dash, time};
use crate::record::OffsetRange;
use crate::report::{RunReport, StopReason, UnprocessedRange};

/// One line of sums, a table of partitions, and remarks on single partitions.
pub(super) fn table(screen: Screen, report: &RunReport) -> String {
    let mut text = sums(report);
    if !report.partitions.is_empty() {
        let mut partitions = screen.table(
            &["partition", "first", "last processed", "records", "end", "lag"],
            1..=5,
        );
        for row in &report.partitions {
            partitions.add_row([
                row.place.to_string(),
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

/// One line for one of many runs: the sums, and counts of what needs attention.
pub(in crate::cli) fn tick_line(started_at: &str, report: &RunReport) -> String {
    let mut line = format!("{started_at}  {}", sums(report));
    let offsets = |all: &[UnprocessedRange]| all.iter().map(|it| it.range.count()).sum::<u64>();
    let counts = [
        ("skipped", offsets(&report.skipped)),
        ("lost", offsets(&report.lost)),
        ("filtered", report.filtered),
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
        Some(error) => format!("{line} · {}", error.kind),
        None => line,
    }
}

fn sums(report: &RunReport) -> String {
    format!(
        "{} records in {} ms · {} · lag {}",
        report.messages_processed,
        report.duration_ms,
        report.stop_reason.map_or("failed", stop_reason),
        or_dash(report.lag),
    )
}

fn stop_reason(reason: StopReason) -> &'static str {
    match reason {
        StopReason::CaughtUp => "caught up",
        StopReason::MaxMessages => "limit reached",
        StopReason::Deadline => "deadline reached",
        StopReason::Held => "held by other runs",
        StopReason::Interrupted => "interrupted",
    }
}

fn remarks(report: &RunReport) -> Vec<String> {
    let mut lines = Vec::new();
    for held in &report.held {
        let place = &held.place;
        lines.push(match held.until {
            Some(_) => format!("held: {place} until {}", time(held.until)),
            None => format!("held: {place}: its item changed during this run; the next run reads from what is stored"),
        });
    }
    for place in &report.paused {
        lines.push(format!("paused: {place}"));
    }
    let ranges = [("skipped", &report.skipped), ("lost", &report.lost)];
    for (word, range) in ranges
        .into_iter()
        .flat_map(|(word, all)| all.iter().map(move |range| (word, range)))
    {
        let OffsetRange { first, last } = range.range;
        lines.push(format!(
            "{word}: {} offsets {first} to {last}: {}",
            range.place, range.reason
        ));
    }
    for blocked in &report.blocked {
        lines.push(format!(
            "blocked: {} at offset {} after {} attempt{}, next try {}: {}",
            blocked.place,
            blocked.offset,
            blocked.attempts,
            if blocked.attempts == 1 { "" } else { "s" },
            time(blocked.next_try_at),
            blocked.error
        ));
    }
    let unavailable = report.unavailable.iter();
    let silent = grouped(unavailable.map(|partition| (partition.place.to_string(), partition.error.clone())));
    lines.extend(silent.into_iter().map(|line| format!("unavailable: {line}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorType};
    use crate::record::TopicPartition;
    use crate::report::{Blocked, Held, PartitionReport, UnavailablePartition};

    fn place(partition: i32) -> TopicPartition {
        TopicPartition {
            topic: "orders".into(),
            partition,
        }
    }

    fn a_run() -> RunReport {
        let read = |partition, messages: u64, lag| PartitionReport {
            place: place(partition),
            first_offset: Some(1_000),
            last_offset: Some(1_499),
            messages,
            end_offset: Some(5_000),
            lag: Some(lag),
            quarantine: None,
        };
        let silent = |partition| UnavailablePartition {
            place: place(partition),
            error: "it has no leader".into(),
        };
        RunReport {
            messages_processed: 500,
            duration_ms: 34,
            stop_reason: Some(StopReason::MaxMessages),
            lag: Some(3_510),
            partitions: vec![read(0, 500, 3_500), read(12, 0, 10)],
            lost: vec![UnprocessedRange {
                place: place(0),
                range: OffsetRange { first: 40, last: 99 },
                reason: "deleted by retention".into(),
            }],
            dead_lettered: 2,
            held: vec![
                Held {
                    place: place(1),
                    until: Some(1_800_000_060_000),
                },
                Held {
                    place: place(5),
                    until: None,
                },
            ],
            paused: vec![place(2)],
            blocked: vec![Blocked {
                place: place(12),
                offset: 4_990,
                error: "the payment service returned 503".into(),
                attempts: 3,
                next_try_at: Some(1_800_000_240_000),
            }],
            unavailable: vec![silent(3), silent(4)],
            error: Some(Error::new(ErrorType::PartitionBlocked, "orders-12 is blocked")),
            ..RunReport::default()
        }
    }

    fn shown(width: u16) -> String {
        let screen = Screen {
            width: Some(width),
            ..Screen::default()
        };
        table(screen, &a_run())
    }

    #[test]
    fn the_table_at_60_columns() {
        insta::assert_snapshot!(shown(60), @r"
        500 records in 34 ms · limit reached · lag 3510
        ┌───────────┬───────┬───────────┬─────────┬──────┬──────┐
        │ partition ┆ first ┆      last ┆ records ┆  end ┆  lag │
        │           ┆       ┆ processed ┆         ┆      ┆      │
        ╞═══════════╪═══════╪═══════════╪═════════╪══════╪══════╡
        │ orders-0  ┆  1000 ┆      1499 ┆     500 ┆ 5000 ┆ 3500 │
        │ orders-12 ┆  1000 ┆      1499 ┆       0 ┆ 5000 ┆   10 │
        └───────────┴───────┴───────────┴─────────┴──────┴──────┘
        held: orders-1 until 2027-01-15T08:01:00Z
        held: orders-5: its item changed during this run; the next run reads from what is stored
        paused: orders-2
        lost: orders-0 offsets 40 to 99: deleted by retention
        blocked: orders-12 at offset 4990 after 3 attempts, next try 2027-01-15T08:04:00Z: the payment service returned 503
        unavailable: orders-3, orders-4: it has no leader
        ");
    }

    #[test]
    fn the_table_at_100_columns() {
        insta::assert_snapshot!(shown(100), @r"
        500 records in 34 ms · limit reached · lag 3510
        ┌───────────┬───────┬────────────────┬─────────┬──────┬──────┐
        │ partition ┆ first ┆ last processed ┆ records ┆  end ┆  lag │
        ╞═══════════╪═══════╪════════════════╪═════════╪══════╪══════╡
        │ orders-0  ┆  1000 ┆           1499 ┆     500 ┆ 5000 ┆ 3500 │
        │ orders-12 ┆  1000 ┆           1499 ┆       0 ┆ 5000 ┆   10 │
        └───────────┴───────┴────────────────┴─────────┴──────┴──────┘
        held: orders-1 until 2027-01-15T08:01:00Z
        held: orders-5: its item changed during this run; the next run reads from what is stored
        paused: orders-2
        lost: orders-0 offsets 40 to 99: deleted by retention
        blocked: orders-12 at offset 4990 after 3 attempts, next try 2027-01-15T08:04:00Z: the payment service returned 503
        unavailable: orders-3, orders-4: it has no leader
        ");
    }

    #[test]
    fn a_tick_is_one_line_with_counts_of_what_needs_attention() {
        insta::assert_snapshot!(tick_line("2027-01-15T08:00:00Z", &a_run()), @r"2027-01-15T08:00:00Z  500 records in 34 ms · limit reached · lag 3510 · lost 60 · dead letters 2 · held 2 · paused 1 · blocked 1 · unavailable 2 · PartitionBlocked");
        let idle = RunReport {
            duration_ms: 3,
            stop_reason: Some(StopReason::CaughtUp),
            lag: Some(0),
            ..RunReport::default()
        };
        insta::assert_snapshot!(tick_line("2027-01-15T08:01:00Z", &idle), @r"2027-01-15T08:01:00Z  0 records in 3 ms · caught up · lag 0");
    }
}
