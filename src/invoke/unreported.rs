//! What earlier runs passed over and did not report, because their process died
//! before: this run reports it, and then removes it from the items.

use futures::StreamExt;

use super::run::{PartitionRun, Run};
use super::worker::EndReason;
use super::{Backend, WRITES_AT_ONCE};
use crate::claim::{self, Cursor, Unreported};
use crate::plan::Decision;
use crate::store::Store;

impl PartitionRun {
    fn cursor(&self) -> Option<&Cursor> {
        self.plan.state.cursor.as_ref()?.as_ref().ok()
    }

    /// What this run reports for an earlier one. `None` also where another run
    /// has the claim: that one reports it.
    pub(super) fn unreported_by_earlier_run(&self) -> Option<&Unreported> {
        let end = self.worker.as_ref().and_then(|worker| worker.outcome.end.as_ref());
        let is_of_another = matches!(self.plan.decision, Decision::Held(_))
            || matches!(end, Some(EndReason::Held { .. } | EndReason::NotClaimed(_)));
        let unreported = self.cursor()?.unreported.as_deref();
        unreported.filter(|_| !is_of_another)
    }

    /// The `updated_at` of an item whose `unreported` this run has reported.
    fn reported_at_ms(&self) -> Option<i64> {
        match &self.worker {
            Some(worker) if worker.was_claimed() => worker.unreported_written_at_ms(),
            _ => self
                .unreported_by_earlier_run()
                .and_then(|_| self.cursor()?.updated_at_ms),
        }
    }
}

impl<B: Backend> Run<'_, B> {
    /// Removes `unreported` from the items where the report names it. The next
    /// run reports again what is not removed in time.
    pub(super) async fn acknowledge_reported(&self, partitions: &[PartitionRun]) {
        let reported = partitions
            .iter()
            .filter_map(|it| Some((&it.plan.state.partition, it.reported_at_ms()?)));
        let removals = reported.map(|(partition, updated_at_ms)| async move {
            let consumer = self.consumer(&partition.topic);
            let write = claim::acknowledge(updated_at_ms);
            let written = self.store.write(&consumer, partition.partition, &write);
            if let Err(error) = self.with_time_limit(self.last_write_at(), written).await {
                tracing::warn!(%partition, %error, "skipped or lost offsets will be reported again by the next run");
            }
        });
        let () = futures::stream::iter(removals)
            .buffer_unordered(WRITES_AT_ONCE)
            .collect()
            .await;
    }
}
