//! What runs passed over and did not report, because they died before: named in
//! this run's report, and then removed from the items.

use std::collections::BTreeMap;

use futures::StreamExt;

use super::lane::{End, Lane};
use super::{Lanes, Run, Seams, WRITES_AT_ONCE};
use crate::claim::{self, Unreported};
use crate::plan::{Decision, PartitionState};
use crate::record::TopicPartition;
use crate::store::Store;

/// The note that this run reports: that of an item that no live run has, and
/// that no other run was faster to claim.
pub(super) fn note_to_report<'a>(
    facts: &'a PartitionState,
    decision: &Decision,
    lane: Option<&Lane>,
) -> Option<&'a Unreported> {
    let is_elsewhere = |lane: &Lane| matches!(lane.outcome.end, Some(End::Held { .. } | End::NotClaimed(_)));
    if matches!(decision, Decision::Held(_)) || lane.is_some_and(is_elsewhere) {
        return None;
    }
    facts.cursor.as_ref()?.as_ref().ok()?.unreported.as_deref()
}

/// When the items were written whose notes the report names: they are removed
/// now. By place in `facts`.
pub(super) fn reported(
    facts: &[PartitionState],
    decisions: &[Decision],
    chosen: &[usize],
    lanes: &Lanes,
) -> Vec<(TopicPartition, i64)> {
    let done: BTreeMap<&TopicPartition, &Lane> = lanes.done.iter().map(|lane| (&lane.partition, lane)).collect();
    let noted_at = |&i: &usize| {
        let (facts, decision) = (&facts[i], &decisions[i]);
        let lane = done.get(&facts.partition).copied();
        let at_ms = match lane {
            Some(lane) if lane.was_claimed() => lane.noted_at_ms(),
            _ => {
                note_to_report(facts, decision, lane).and_then(|_| facts.cursor.as_ref()?.as_ref().ok()?.updated_at_ms)
            }
        };
        Some((facts.partition.clone(), at_ms?))
    };
    chosen.iter().filter_map(noted_at).collect()
}

impl<D: Seams> Run<'_, D> {
    /// Removes notes from the items that were written at these times. What is
    /// not removed in time is reported once more by the next run.
    pub(super) async fn remove_notes(&self, reported: Vec<(TopicPartition, i64)>) {
        let removed = reported.into_iter().map(|(partition, updated_at_ms)| async move {
            let consumer = self.consumer(&partition.topic);
            let write = claim::acknowledge(updated_at_ms);
            let written = self.store.write(&consumer, partition.partition, &write);
            if let Err(error) = self.in_time(self.last_write_at(), written).await {
                tracing::warn!(%partition, %error, "what was passed over will be reported once more");
            }
        });
        let () = futures::stream::iter(removed)
            .buffer_unordered(WRITES_AT_ONCE)
            .collect()
            .await;
    }
}
