//! The reports of several passes as one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::Serialize;

use crate::cli::output;
use crate::record::TopicPartition;
use crate::report::{PartitionReport, RunReport};

/// The sum of all passes.
///
/// | field | |
/// |---|---|
/// | `messages_processed`, `filtered`, `dead_lettered`, `bytes`, `duration_ms` | the sum |
/// | `skipped`, `lost` | of all passes, in order |
/// | `last_offsets`, `partitions` | of each partition: the first `first_offset`, the sum of `messages`, the rest of the last pass |
/// | the others | of the last pass |
#[derive(Debug, Default, Serialize)]
pub(super) struct Total {
    #[serde(flatten)]
    pub(super) report: RunReport,
    /// The number of passes.
    passes: u64,
}

impl Total {
    pub(super) fn add(&mut self, pass: RunReport) {
        let before = std::mem::replace(&mut self.report, pass);
        self.passes += 1;
        let report = &mut self.report;
        let has_ends = report.stop_reason.is_some();
        report.messages_processed += before.messages_processed;
        report.filtered += before.filtered;
        report.dead_lettered += before.dead_lettered;
        report.bytes += before.bytes;
        report.duration_ms += before.duration_ms;
        report.skipped.splice(0..0, before.skipped);
        report.lost.splice(0..0, before.lost);
        let entries = &mut report.last_offsets.entries;
        let mut stored: BTreeMap<_, _> = before.last_offsets.entries.into_iter().collect();
        stored.extend(std::mem::take(entries));
        entries.extend(stored);
        let rows = std::mem::take(&mut report.partitions).into_iter();
        let mut rows: BTreeMap<TopicPartition, _> = rows.map(|row| (row.place.clone(), row)).collect();
        for row in before.partitions {
            add_row(&mut rows, row, has_ends);
        }
        report.partitions = rows.into_values().collect();
    }

    pub(super) fn table(&self) -> String {
        output::run_table(&self.report)
    }
}

fn add_row(rows: &mut BTreeMap<TopicPartition, PartitionReport>, before: PartitionReport, has_ends: bool) {
    match rows.entry(before.place.clone()) {
        Entry::Occupied(row) => {
            let row = row.into_mut();
            row.first_offset = before.first_offset.or(row.first_offset);
            row.last_offset = row.last_offset.or(before.last_offset);
            row.messages += before.messages;
        }
        Entry::Vacant(row) => {
            row.insert(PartitionReport {
                // A pass that read the ends and does not list it has found it at its end.
                lag: if has_ends { Some(0) } else { before.lag },
                ..before
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{LastOffsets, StopReason};

    fn row(partition: i32, first: Option<i64>, last: Option<i64>, messages: u64, lag: u64) -> PartitionReport {
        PartitionReport {
            place: TopicPartition {
                topic: "t".into(),
                partition,
            },
            first_offset: first,
            last_offset: last,
            messages,
            end_offset: Some(9),
            lag: Some(lag),
            quarantine: None,
        }
    }

    fn pass(rows: Vec<PartitionReport>, stop_reason: StopReason) -> RunReport {
        let entries = rows
            .iter()
            .filter_map(|row| Some((TopicPartition::new("t", row.place.partition), row.last_offset?)));
        RunReport {
            messages_processed: rows.iter().map(|row| row.messages).sum(),
            duration_ms: 5,
            last_offsets: LastOffsets {
                entries: entries.collect(),
                with_topic: false,
            },
            stop_reason: Some(stop_reason),
            partitions: rows,
            ..RunReport::default()
        }
    }

    #[test]
    fn passes_add_up_and_the_last_one_has_the_state() {
        let mut total = Total::default();
        total.add(pass(
            vec![row(0, Some(0), Some(4), 5, 4), row(1, Some(0), Some(8), 9, 0)],
            StopReason::Deadline,
        ));
        total.add(pass(vec![row(0, Some(5), Some(8), 4, 0)], StopReason::CaughtUp));
        let report = &total.report;
        assert_eq!(
            (total.passes, report.messages_processed, report.duration_ms),
            (2, 18, 10)
        );
        assert_eq!(report.stop_reason, Some(StopReason::CaughtUp));
        assert_eq!(
            report.partitions,
            [row(0, Some(0), Some(8), 9, 0), row(1, Some(0), Some(8), 9, 0)]
        );
        let json = serde_json::to_value(&total).expect("JSON");
        assert_eq!(json["last_offsets"], serde_json::json!({"0": 8, "1": 8}));
        assert_eq!(json["passes"], 2);
    }

    #[test]
    fn a_pass_without_progress_changes_only_the_duration() {
        let mut total = Total::default();
        total.add(pass(vec![row(0, Some(0), Some(4), 5, 4)], StopReason::Deadline));
        total.add(pass(vec![row(0, None, None, 0, 4)], StopReason::Held));
        assert_eq!(total.report.partitions, [row(0, Some(0), Some(4), 5, 4)]);
        assert_eq!(total.report.stop_reason, Some(StopReason::Held));
    }

    #[test]
    fn a_pass_without_end_offsets_does_not_mark_partitions_as_done() {
        let mut total = Total::default();
        total.add(pass(vec![row(0, Some(0), Some(4), 5, 4)], StopReason::Deadline));
        total.add(RunReport::default());
        assert_eq!(total.report.partitions, [row(0, Some(0), Some(4), 5, 4)]);
    }
}
