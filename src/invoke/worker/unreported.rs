//! What was passed over, stored on the item until it is reported.

use std::sync::Arc;

use super::{PartitionWorker, Stored};
use crate::claim::{PassedOver, Unreported};

impl PartitionWorker {
    /// What the next flush stores as `unreported`; `None`: the item's stays as it is.
    pub(super) fn to_report_later(&self) -> Option<Arc<Unreported>> {
        let own = Unreported {
            skipped: self
                .outcome
                .skipped
                .ranges(&self.partition.clone())
                .map(|skipped| PassedOver {
                    range: skipped.range,
                    reason: skipped.reason,
                })
                .collect(),
            skipped_records: self.outcome.skipped.count(),
            lost: self
                .outcome
                .lost
                .iter()
                .map(|(range, reason)| PassedOver {
                    range: *range,
                    reason: (*reason).to_owned(),
                })
                .collect(),
        };
        if own == Unreported::default() {
            return None;
        }
        let earlier = self.unreported.as_deref().cloned().unwrap_or_default();
        earlier.then(&own).map(Arc::new)
    }

    /// The `updated_at` of the item whose `unreported` this run's report names;
    /// `None`: it has none, or it is unknown how the item was left.
    pub(in crate::invoke) fn unreported_written_at_ms(&self) -> Option<i64> {
        let has_unreported = self.unreported.is_some() || self.to_report_later().is_some();
        let is_known = self.was_claimed() && self.outcome.stored != Stored::Unknown;
        (has_unreported && is_known).then_some(self.stamp_ms)
    }
}
