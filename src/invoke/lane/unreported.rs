//! What was passed over, noted on the item until a report has named it.

use std::sync::Arc;

use super::{Lane, Stored};
use crate::claim::{PassedOver, Unreported};
use crate::record::OffsetRange;

impl Lane {
    /// What the next flush notes; `None`: the item's note stays as it is.
    pub(super) fn to_note(&self) -> Option<Arc<Unreported>> {
        let own = Unreported {
            skipped: self
                .outcome
                .skipped
                .ranges(&self.partition.clone())
                .map(|range| passed_over(range.first_offset, range.last_offset, range.reason))
                .collect(),
            skipped_records: self.outcome.skipped.count(),
            lost: self
                .outcome
                .lost
                .iter()
                .map(|(first, last, reason)| passed_over(*first, *last, (*reason).to_owned()))
                .collect(),
        };
        if own == Unreported::default() {
            return None;
        }
        let earlier = self.earlier.as_deref().cloned().unwrap_or_default();
        earlier.then(&own).map(Arc::new)
    }

    /// The time that the item bears whose note is reported now; `None`: it has
    /// none, or how the item was left is not known.
    pub(in crate::invoke) fn noted_at_ms(&self) -> Option<i64> {
        let has_note = self.earlier.is_some() || self.to_note().is_some();
        let is_known = self.was_claimed() && self.outcome.stored != Stored::Unknown;
        (has_note && is_known).then_some(self.stamp_ms)
    }
}

fn passed_over(first: i64, last: i64, reason: String) -> PassedOver {
    PassedOver {
        range: OffsetRange { first, last },
        reason,
    }
}
