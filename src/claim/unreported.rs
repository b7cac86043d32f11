//! Skipped and lost offsets that are not reported yet, as the item stores them.

use serde::{Deserialize, Serialize};

use crate::record::OffsetRange;
use crate::text;

/// A note holds this many ranges of each kind; later ones widen the last one. An item stays far below the 400 KB that `DynamoDB` takes.
const MAX_RANGES: usize = 20;

/// Longer reasons are cut: the log has them whole.
const MAX_REASON_BYTES: usize = 200;

/// What a run skipped or lost in one partition: written with the cursor that
/// moves past it, removed after the run's report is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreported {
    /// Records skipped by `ON_FAILURE=skip`.
    #[serde(default)]
    pub skipped: Vec<PassedOver>,
    /// How many records those are.
    #[serde(default)]
    pub skipped_records: u64,
    /// Offsets lost to retention or to `ON_TRUNCATION`.
    #[serde(default)]
    pub lost: Vec<PassedOver>,
}

/// Skipped or lost offsets, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// The offsets.
    #[serde(flatten)]
    pub range: OffsetRange,
    /// The reason. Never a record's value.
    pub reason: String,
}

impl Unreported {
    /// This note with that of `later` appended; `None` if both are empty. Both are in ascending order of offset.
    #[must_use]
    pub fn then(&self, later: &Self) -> Option<Self> {
        let joined = Self {
            skipped: bounded(&self.skipped, &later.skipped),
            skipped_records: self.skipped_records.saturating_add(later.skipped_records),
            lost: bounded(&self.lost, &later.lost),
        };
        (joined != Self::default()).then_some(joined)
    }

    /// The note as the item stores it.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Texts and numbers: this cannot fail, and an empty note is a legal one.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Parses the note of an item; `None` if the text is not a valid note.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let note: Self = serde_json::from_str(text).ok()?;
        let is_range = |passed: &PassedOver| 0 <= passed.range.first && passed.range.first <= passed.range.last;
        (note.skipped.iter().all(is_range) && note.lost.iter().all(is_range)).then_some(note)
    }
}

fn bounded(earlier: &[PassedOver], later: &[PassedOver]) -> Vec<PassedOver> {
    let mut ranges: Vec<PassedOver> = vec![];
    for range in earlier.iter().chain(later) {
        if ranges.len() == MAX_RANGES
            && let Some(last) = ranges.last_mut()
        {
            last.range.last = last.range.last.max(range.range.last);
            continue;
        }
        ranges.push(PassedOver {
            reason: text::cut(range.reason.as_str(), MAX_REASON_BYTES).into_owned(),
            ..range.clone()
        });
    }
    ranges
}
