//! The outcome of each record.

use serde::Serialize;
use serde_json::{Value, json};

use super::Offsets;
use crate::cli::output::table;
use crate::error::{Error, ErrorType};
use crate::invoke::Interrupt;
use crate::record::{Record, TopicPartition};
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

/// Adjacent offsets with the same outcome; both ends inclusive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct OffsetRange {
    #[serde(flatten)]
    place: TopicPartition,
    first_offset: i64,
    last_offset: i64,
    outcome: RecordOutcome,
    detail: Option<String>,
}

/// The outcomes of all records, in the order of processing.
#[derive(Debug, Default)]
pub(super) struct RedriveReport {
    rows: Vec<OffsetRange>,
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
        self.add(&record.partition, (record.offset, record.offset), outcome, detail);
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

    fn add(
        &mut self,
        partition: &TopicPartition,
        (first, last): (i64, i64),
        outcome: RecordOutcome,
        detail: Option<&str>,
    ) {
        let place = partition.clone();
        if let Some(before) = self.rows.last_mut()
            && (&before.place, before.outcome, before.detail.as_deref()) == (&place, outcome, detail)
            && before.last_offset.checked_add(1) == Some(first)
        {
            before.last_offset = last;
            return;
        }
        self.rows.push(OffsetRange {
            place,
            first_offset: first,
            last_offset: last,
            outcome,
            detail: detail.map(str::to_owned),
        });
    }

    /// Those of `offsets` that are not reported yet; offsets are reported in ascending order.
    pub(super) fn unreported(&self, partition: &TopicPartition, offsets: &Offsets) -> Offsets {
        let place = partition.clone();
        let of_it = self.rows.iter().filter(|row| row.place == place);
        let last = of_it.map(|row| row.last_offset).max();
        offsets.between(last.map_or(0, |last| last.saturating_add(1)), i64::MAX)
    }

    fn count(&self, outcome: RecordOutcome) -> u64 {
        let of_it = self.rows.iter().filter(|row| row.outcome == outcome);
        of_it.map(|row| row.last_offset.abs_diff(row.first_offset) + 1).sum()
    }

    /// Why not all records were processed. An offset without a record is no failure.
    ///
    /// | outcome | type |
    /// |---|---|
    /// | a handler's `Fatal`, or a record failed | `DestinationFailed` |
    /// | records were deleted by retention | `RetentionLoss` |
    /// | interrupted | none |
    pub(super) fn error(&self, interrupt: Interrupt) -> Option<Error> {
        let (failed, gone) = (self.count(RecordOutcome::Failed), self.count(RecordOutcome::Gone));
        let first = |outcome| self.rows.iter().find(|row| row.outcome == outcome);
        let at = |row: &OffsetRange| format!("{} offset {}", row.place, row.first_offset);
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
            return Some(Error::new(ErrorType::RetentionLoss, what));
        }
        if interrupt > Interrupt::No && (self.letters_unread || self.count(RecordOutcome::NotTried) > 0) {
            tracing::warn!(
                dead_letters_unread = self.letters_unread,
                "interrupted; the result lists the offsets that were not processed"
            );
        }
        None
    }

    pub(super) fn table(&self) -> String {
        let mut text = self.summary();
        if self.rows.is_empty() {
            return text;
        }
        let mut rows = table(&["partition", "offsets", "outcome", "detail"], [1]);
        for row in &self.rows {
            let offsets = if row.first_offset == row.last_offset {
                row.first_offset.to_string()
            } else {
                format!("{}-{}", row.first_offset, row.last_offset)
            };
            rows.add_row([
                format!("{}-{}", row.place.topic, row.place.partition),
                offsets,
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
