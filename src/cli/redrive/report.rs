//! The outcome of each record.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::Offsets;
use crate::cli::output::table;
use crate::error::{Error, ErrorType};
use crate::invoke::Interrupt;
use crate::record::{OffsetRange, Record, TopicPartition};
use crate::words::words;

/// More ranges than this are named in the result only, and not in the error.
const MAX_NAMED_RANGES: usize = 20;

words! {
    /// The outcome of a record.
    pub(super) enum RecordOutcome {
        /// The processor settled it.
        Processed = "processed",
        /// The processor or the decoder failed.
        Failed = "failed",
        /// Retention deleted it.
        Gone = "gone",
        /// This offset has no record.
        NoRecord = "no_record",
        /// It was not processed: the command failed or was interrupted before.
        NotTried = "not_tried",
    }
}

impl RecordOutcome {
    fn text(self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::Failed => "failed",
            Self::Gone => "deleted by retention",
            Self::NoRecord => "no record",
            Self::NotTried => "not tried",
        }
    }
}

/// Adjacent offsets with the same outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Row {
    #[serde(flatten)]
    place: TopicPartition,
    #[serde(flatten, serialize_with = "OffsetRange::serialize_as_fields")]
    range: OffsetRange,
    outcome: RecordOutcome,
    detail: Option<String>,
}

impl Row {
    /// As in `--offsets`: `17`, `20-25`.
    fn offsets(&self) -> String {
        let OffsetRange { first, last } = self.range;
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    }
}

/// The outcomes of all records, in the order of processing.
#[derive(Debug, Default)]
pub(super) struct RedriveReport {
    rows: Vec<Row>,
    /// Records of the dead-letter topic that are not dead letters.
    pub(super) not_dead_letters: u64,
    /// Dead letters of other groups or topics.
    pub(super) of_other_groups: u64,
    /// Whether an interrupt stopped the read of the dead letters.
    pub(super) letters_unread: bool,
    /// The failure after which no further record is processed.
    pub(super) fatal: Option<String>,
}

impl RedriveReport {
    pub(super) fn record(&mut self, record: &Record, outcome: RecordOutcome, detail: Option<&str>) {
        self.add(&record.partition, OffsetRange::of_one(record.offset), outcome, detail);
    }

    pub(super) fn ranges(
        &mut self,
        partition: &TopicPartition,
        offsets: &Offsets,
        outcome: RecordOutcome,
        detail: Option<&str>,
    ) {
        for range in offsets.ranges() {
            self.add(partition, *range, outcome, detail);
        }
    }

    fn add(&mut self, partition: &TopicPartition, range: OffsetRange, outcome: RecordOutcome, detail: Option<&str>) {
        let place = partition.clone();
        if let Some(before) = self.rows.last_mut()
            && (&before.place, before.outcome, before.detail.as_deref()) == (&place, outcome, detail)
            && before.range.is_followed_by(range.first)
        {
            before.range.last = range.last;
            return;
        }
        self.rows.push(Row {
            place,
            range,
            outcome,
            detail: detail.map(str::to_owned),
        });
    }

    /// Those of `offsets` that are not reported yet; offsets are reported in ascending order.
    pub(super) fn unreported(&self, partition: &TopicPartition, offsets: &Offsets) -> Offsets {
        let place = partition.clone();
        let of_it = self.rows.iter().filter(|row| row.place == place);
        let last = of_it.map(|row| row.range.last).max();
        offsets.between(last.map_or(0, |last| last.saturating_add(1)), i64::MAX)
    }

    fn count(&self, outcome: RecordOutcome) -> u64 {
        let of_it = self.rows.iter().filter(|row| row.outcome == outcome);
        of_it.map(|row| row.range.count()).sum()
    }

    /// Why not all records were processed. An offset without a record is no failure.
    ///
    /// | outcome | type |
    /// |---|---|
    /// | a handler's `Fatal`, or a record failed | `DestinationFailed` |
    /// | records were deleted by retention | `RetentionLoss` |
    /// | interrupted before all records were processed | `Timeout` |
    pub(super) fn error(&self, interrupt: Interrupt) -> Option<Error> {
        let (failed, gone) = (self.count(RecordOutcome::Failed), self.count(RecordOutcome::Gone));
        let first = |outcome| self.rows.iter().find(|row| row.outcome == outcome);
        let at = |row: &Row| format!("{} offset {}", row.place, row.range.first);
        if let Some(fatal) = &self.fatal {
            let what = format!("{fatal}; no further record was processed");
            let next = "Correct the cause, and repeat the command for the remaining records";
            return Some(Error::new(ErrorType::DestinationFailed, what).next(next));
        }
        if let Some(row) = first(RecordOutcome::Failed) {
            let detail = row.detail.as_deref().unwrap_or_default();
            let what = format!("{failed} of the records failed, the first at {}: {detail}", at(row));
            let next = "Correct the cause, and repeat the command for these records";
            return Some(Error::new(ErrorType::DestinationFailed, what).next(next));
        }
        if let Some(row) = first(RecordOutcome::Gone) {
            let what = format!("{gone} offsets were deleted by retention, the first at {}", at(row));
            let next = "They can no longer be read: use their dead letters, or send them again from their source";
            return Some(Error::new(ErrorType::RetentionLoss, what).next(next));
        }
        if interrupt > Interrupt::No && (self.letters_unread || self.count(RecordOutcome::NotTried) > 0) {
            return Some(self.interrupted());
        }
        None
    }

    /// The command stores no position: the error names what is left.
    fn interrupted(&self) -> Error {
        if self.letters_unread {
            let what = "interrupted while the dead letters were read; no record was processed";
            return Error::new(ErrorType::Timeout, what).next("Repeat the command");
        }
        let left = self.rows.iter().filter(|row| row.outcome == RecordOutcome::NotTried);
        let what = format!(
            "interrupted; {} records were not processed",
            self.count(RecordOutcome::NotTried)
        );
        let next = if left.clone().count() > MAX_NAMED_RANGES {
            "Process those that the result lists as not tried".to_owned()
        } else {
            let mut offsets = BTreeMap::<&TopicPartition, Vec<String>>::new();
            for row in left {
                offsets.entry(&row.place).or_default().push(row.offsets());
            }
            let commands = offsets.into_iter().map(|(partition, offsets)| {
                let (topic, number, offsets) = (&partition.topic, partition.partition, offsets.join(","));
                format!("`kafka-consumer redrive --topic {topic} --partition {number} --offsets {offsets}`")
            });
            format!("Continue with {}", commands.collect::<Vec<_>>().join(" and "))
        };
        Error::new(ErrorType::Timeout, what).next(next)
    }

    pub(super) fn table(&self) -> String {
        let mut text = self.summary();
        if self.rows.is_empty() {
            return text;
        }
        let mut rows = table(&["partition", "offsets", "outcome", "detail"], [1]);
        for row in &self.rows {
            rows.add_row([
                row.place.to_string(),
                row.offsets(),
                row.outcome.text().to_owned(),
                row.detail.clone().unwrap_or_default(),
            ]);
        }
        text = format!("{text}\n{rows}");
        text
    }

    /// The counts of all outcomes that occurred, in one line.
    fn summary(&self) -> String {
        let counts = [
            RecordOutcome::Failed,
            RecordOutcome::Gone,
            RecordOutcome::NoRecord,
            RecordOutcome::NotTried,
        ]
        .map(|outcome| (self.count(outcome), outcome.text()));
        let others = [
            (self.of_other_groups, "dead letters of other groups or topics"),
            (self.not_dead_letters, "not dead letters"),
        ];
        let mut text = format!("{} processed again", self.count(RecordOutcome::Processed));
        for (count, outcome) in counts.into_iter().chain(others).filter(|(count, _)| *count > 0) {
            text = format!("{text} · {count} {outcome}");
        }
        if self.letters_unread {
            text.push_str(" · interrupted: not all dead letters were read");
        }
        format!("{text} · no cursor was moved")
    }

    pub(super) fn json(&self, error: Option<&Error>) -> Value {
        let mut json = json!({
            "records": self.rows,
            "processed": self.count(RecordOutcome::Processed),
            "failed": self.count(RecordOutcome::Failed),
            "gone": self.count(RecordOutcome::Gone),
            "no_record": self.count(RecordOutcome::NoRecord),
            "not_tried": self.count(RecordOutcome::NotTried),
            "dead_letters_of_others": self.of_other_groups,
            "no_dead_letters": self.not_dead_letters,
            "dead_letters_unread": self.letters_unread,
        });
        if let Some(error) = error {
            json["error"] = json!(error);
        }
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;
    use crate::words::documented;

    #[test]
    fn adjacent_offsets_with_the_same_outcome_are_one_entry() {
        let mut report = RedriveReport::default();
        let partition = TopicPartition::new("t", 3);
        report.add(&partition, OffsetRange { first: 5, last: 7 }, RecordOutcome::Gone, None);
        report.add(&partition, OffsetRange { first: 8, last: 9 }, RecordOutcome::Gone, None);
        report.add(&partition, OffsetRange::of_one(10), RecordOutcome::Failed, Some("odd"));
        assert_eq!(
            serde_json::to_string(&report.rows).expect("JSON"),
            r#"[{"topic":"t","partition":3,"first_offset":5,"last_offset":9,"outcome":"gone","detail":null},{"topic":"t","partition":3,"first_offset":10,"last_offset":10,"outcome":"failed","detail":"odd"}]"#
        );
    }

    fn interrupted_after(ranges: &[(i32, i64, i64)]) -> Error {
        let mut report = RedriveReport::default();
        for (partition, first, last) in ranges {
            let offsets = Offsets::of([(*first, *last)]);
            report.ranges(
                &TopicPartition::new("t", *partition),
                &offsets,
                RecordOutcome::NotTried,
                None,
            );
        }
        report.error(Interrupt::Finish).expect("not all were processed")
    }

    #[test]
    fn an_interrupted_redrive_fails_and_names_the_command_that_continues_it() {
        let error = interrupted_after(&[(0, 17, 17), (0, 20, 25), (3, 1, 1)]);
        assert_eq!(
            error.to_string(),
            "Timeout: interrupted; 8 records were not processed. Continue with `kafka-consumer redrive --topic t \
             --partition 0 --offsets 17,20-25` and `kafka-consumer redrive --topic t --partition 3 --offsets 1`"
        );
        assert_eq!(Exit::from(&error), Exit::Failed);
        let many: Vec<(i32, i64, i64)> = (0..500).map(|n| (0, 2 * n, 2 * n)).collect();
        assert!(interrupted_after(&many).to_string().len() < 200);
    }

    #[test]
    fn a_redrive_that_processed_everything_before_an_interrupt_is_no_failure() {
        let mut report = RedriveReport::default();
        let (partition, all) = (TopicPartition::new("t", 0), Offsets::of([(1, 2)]));
        report.ranges(&partition, &all, RecordOutcome::Processed, None);
        assert_eq!(report.error(Interrupt::Finish), None);
    }

    #[test]
    fn every_outcome_of_a_record_is_documented() {
        assert_eq!(documented("### `outcome` of `redrive`"), RecordOutcome::WORDS);
    }
}
