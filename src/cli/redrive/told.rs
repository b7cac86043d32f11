//! What became of each record.

use serde::Serialize;
use serde_json::{Value, json};

use super::Offsets;
use crate::cli::output::table;
use crate::error::{Error, ErrorType};
use crate::invoke::Interrupt;
use crate::record::{Record, TopicPartition};

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// The processor settled it.
    Processed,
    /// The processor did not.
    Failed,
    /// Retention deleted it.
    Gone,
    /// There is none at this offset.
    NoRecord,
    /// It was not read: something came in between.
    NotTried,
}

impl Outcome {
    fn words(self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::Failed => "failed",
            Self::Gone => "gone",
            Self::NoRecord => "no record",
            Self::NotTried => "not tried",
        }
    }
}

/// Neighbours with one outcome; both ends inclusive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    place: TopicPartition,
    first_offset: i64,
    last_offset: i64,
    outcome: Outcome,
    detail: Option<String>,
}

/// What became of all records, in the order in which it happened.
#[derive(Debug, Default)]
pub(super) struct Told {
    rows: Vec<Row>,
    /// Records of the dead-letter topic that are no dead letters.
    pub(super) no_letters: u64,
    /// Dead letters of other groups or topics.
    pub(super) of_others: u64,
    /// Whether an interrupt kept dead letters from being read.
    pub(super) letters_unread: bool,
    /// Why nothing more can be processed.
    pub(super) fatal: Option<String>,
}

impl Told {
    pub(super) fn record(&mut self, record: &Record, outcome: Outcome, detail: Option<&str>) {
        self.add(&record.partition, (record.offset, record.offset), outcome, detail);
    }

    pub(super) fn ranges(
        &mut self,
        partition: &TopicPartition,
        offsets: &Offsets,
        outcome: Outcome,
        detail: Option<&str>,
    ) {
        for range in offsets.ranges() {
            self.add(partition, *range, outcome, detail);
        }
    }

    fn add(&mut self, partition: &TopicPartition, (first, last): (i64, i64), outcome: Outcome, detail: Option<&str>) {
        let place = partition.clone();
        if let Some(before) = self.rows.last_mut()
            && (&before.place, before.outcome, before.detail.as_deref()) == (&place, outcome, detail)
            && before.last_offset.checked_add(1) == Some(first)
        {
            before.last_offset = last;
            return;
        }
        self.rows.push(Row {
            place,
            first_offset: first,
            last_offset: last,
            outcome,
            detail: detail.map(str::to_owned),
        });
    }

    /// Those of `offsets` that nothing was said of; they are told in ascending order.
    pub(super) fn untold(&self, partition: &TopicPartition, offsets: &Offsets) -> Offsets {
        let place = partition.clone();
        let of_it = self.rows.iter().filter(|row| row.place == place);
        let last = of_it.map(|row| row.last_offset).max();
        offsets.between(last.map_or(0, |last| last.saturating_add(1)), i64::MAX)
    }

    fn count(&self, outcome: Outcome) -> u64 {
        let of_it = self.rows.iter().filter(|row| row.outcome == outcome);
        of_it.map(|row| row.last_offset.abs_diff(row.first_offset) + 1).sum()
    }

    /// Why not all that was asked for was processed. What has no record is no
    /// failure: there is nothing to process.
    ///
    /// | what happened | type |
    /// |---|---|
    /// | a handler's `Fatal`, or a record failed | `DestinationFailed` |
    /// | records were deleted by retention | `RetentionLoss` |
    /// | interrupted | none |
    pub(super) fn error(&self, interrupt: Interrupt) -> Option<Error> {
        let (failed, gone) = (self.count(Outcome::Failed), self.count(Outcome::Gone));
        let first = |outcome| self.rows.iter().find(|row| row.outcome == outcome);
        let at = |row: &Row| {
            format!(
                "{}-{} offset {}",
                row.place.topic, row.place.partition, row.first_offset
            )
        };
        if let Some(fatal) = &self.fatal {
            let words = format!("{fatal}. Nothing more was tried: correct the cause and repeat the rest");
            return Some(Error::new(ErrorType::DestinationFailed, words));
        }
        if let Some(row) = first(Outcome::Failed) {
            let detail = row.detail.as_deref().unwrap_or_default();
            let words = format!(
                "{failed} of the records failed, the first at {}: {detail}. Repeat those",
                at(row)
            );
            return Some(Error::new(ErrorType::DestinationFailed, words));
        }
        if let Some(row) = first(Outcome::Gone) {
            let words = format!(
                "{gone} offsets are gone, the first at {}: retention deleted them",
                at(row)
            );
            return Some(Error::new(ErrorType::RetentionLoss, words));
        }
        if interrupt > Interrupt::No && (self.letters_unread || self.count(Outcome::NotTried) > 0) {
            tracing::warn!(
                dead_letters_unread = self.letters_unread,
                "interrupted; the offsets that were not tried are in the result"
            );
        }
        None
    }

    pub(super) fn table(&self) -> String {
        let mut text = self.summary();
        if self.rows.is_empty() {
            return text;
        }
        let mut rows = table(&["partition", "offsets", "what happened", "detail"], [1]);
        for row in &self.rows {
            let offsets = if row.first_offset == row.last_offset {
                row.first_offset.to_string()
            } else {
                format!("{}-{}", row.first_offset, row.last_offset)
            };
            rows.add_row([
                format!("{}-{}", row.place.topic, row.place.partition),
                offsets,
                row.outcome.words().to_owned(),
                row.detail.clone().unwrap_or_default(),
            ]);
        }
        text = format!("{text}\n{rows}");
        text
    }

    /// What happened, in one line; what did not happen is left out.
    fn summary(&self) -> String {
        let counts = [Outcome::Failed, Outcome::Gone, Outcome::NoRecord, Outcome::NotTried]
            .map(|outcome| (self.count(outcome), outcome.words()));
        let others = [
            (self.of_others, "dead letters of others"),
            (self.no_letters, "no dead letters"),
        ];
        let mut text = format!("{} processed again", self.count(Outcome::Processed));
        for (count, words) in counts.into_iter().chain(others).filter(|(count, _)| *count > 0) {
            text = format!("{text} · {count} {words}");
        }
        if self.letters_unread {
            text.push_str(" · interrupted: not all dead letters were read");
        }
        format!("{text} · no cursor was moved")
    }

    pub(super) fn json(&self, error: Option<&Error>) -> Value {
        let mut json = json!({
            "records": self.rows,
            "processed": self.count(Outcome::Processed),
            "failed": self.count(Outcome::Failed),
            "gone": self.count(Outcome::Gone),
            "no_record": self.count(Outcome::NoRecord),
            "not_tried": self.count(Outcome::NotTried),
            "dead_letters_of_others": self.of_others,
            "no_dead_letters": self.no_letters,
            "dead_letters_unread": self.letters_unread,
        });
        if let Some(error) = error {
            json["error"] = json!(error);
        }
        json
    }
}
