//! What a run passed over and has not reported yet, as its item notes it.

use serde::{Deserialize, Serialize};

use crate::text;

/// A note holds this many ranges of each kind; what comes later widens the
/// last one. An item stays far below the 400 KB that `DynamoDB` takes.
const MOST_RANGES: usize = 20;

/// Longer reasons are cut: the log has them whole.
const LONGEST_REASON_BYTES: usize = 200;

/// What a run passed over in one partition: written with the cursor that moves
/// past it, removed when the run's report is written.
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

/// Offsets that were passed over, both inclusive, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// The first one.
    pub first: i64,
    /// The last one.
    pub last: i64,
    /// Why. Never a record's value.
    pub reason: String,
}

impl Unreported {
    /// This note, with what `later` passed over after it; `None` where neither
    /// passed over anything. Both are in ascending order of offset.
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

    /// The note of an item; `None` if the text is none.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let note: Self = serde_json::from_str(text).ok()?;
        let is_range = |range: &PassedOver| 0 <= range.first && range.first <= range.last;
        (note.skipped.iter().all(is_range) && note.lost.iter().all(is_range)).then_some(note)
    }
}

fn bounded(earlier: &[PassedOver], later: &[PassedOver]) -> Vec<PassedOver> {
    let mut ranges: Vec<PassedOver> = vec![];
    for range in earlier.iter().chain(later) {
        if ranges.len() == MOST_RANGES
            && let Some(last) = ranges.last_mut()
        {
            last.last = last.last.max(range.last);
            continue;
        }
        ranges.push(PassedOver {
            reason: text::cut(range.reason.as_str(), LONGEST_REASON_BYTES).into_owned(),
            ..range.clone()
        });
    }
    ranges
}
