//! The report of a plan: what a run would do, and what it would read.

use super::Backend;
use super::run::Run;
use super::snapshot::Snapshot;
use crate::error::Error;
use crate::event::RunRequest;
use crate::plan::{self, Decision, PartitionState, PlanReason, Reading};
use crate::record::NextOffset;
use crate::report::{PlanReport, PlannedPartition};

/// What a run would do with each partition of the request.
///
/// # Errors
/// When no topic can be read, or the request names a partition that no topic has.
pub(super) fn plan_report<B: Backend>(
    run: &Run<'_, B>,
    request: &RunRequest,
    snapshot: Snapshot,
) -> Result<PlanReport, Error> {
    let Snapshot { states, unreadable } = snapshot;
    match &unreadable {
        Some(error) if states.is_empty() => return Err(error.clone()),
        Some(_) => {}
        None => request.unknown_partition(&states).map_or(Ok(()), Err)?,
    }
    let decisions = plan::decide_all(&states, &run.policy());
    let planned: Vec<_> = states
        .iter()
        .zip(&decisions)
        .filter(|(state, _)| request.includes(state.partition.partition))
        .collect();
    let demands: Vec<_> = planned
        .iter()
        .map(|(state, decision)| plan::demand(state, decision))
        .collect();
    let budget = run.budget(request.max_messages);
    let shares = plan::fair_shares(&demands, budget);
    Ok(PlanReport {
        partitions: planned
            .into_iter()
            .zip(shares)
            .map(|((state, decision), share)| planned_partition(state, decision, share))
            .collect(),
        runs_to_catch_up: plan::runs_to_catch_up(&demands, budget),
        error: unreadable,
    })
}

fn planned_partition(state: &PartitionState, decision: &Decision, share: u64) -> PlannedPartition {
    let end = state.end.clone().and_then(Result::ok);
    let next = plan::next_offset(state, decision);
    let (why, detail) = match decision {
        Decision::Read(Reading { why, from, to, .. }) if share == 0 && from != to => {
            (PlanReason::NoShare, Some(why.reason().as_str().to_owned()))
        }
        _ => plan::describe(state, decision),
    };
    PlannedPartition {
        place: state.partition.clone(),
        from: next.map(NextOffset::get),
        to: end.map(NextOffset::get),
        messages: share,
        lag: next.zip(end).map_or(0, |(next, end)| next.distance_to(end)),
        why,
        detail,
    }
}
