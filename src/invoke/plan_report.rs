//! The report of a plan: what a run would do, and what it would read.

use super::Backend;
use super::run::Run;
use super::snapshot::Snapshot;
use crate::error::Error;
use crate::event::RunRequest;
use crate::plan::{self, Decision, PartitionPlan, PlanReason, Reading};
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
    let mut plans = plan::decide_all(states, &run.policy());
    plans.retain(|plan| request.includes(plan.state.partition.partition));
    let demands: Vec<_> = plans.iter().map(PartitionPlan::demand).collect();
    let budget = run.budget(request.max_messages);
    let shares = plan::fair_shares(&demands, budget);
    Ok(PlanReport {
        partitions: plans
            .iter()
            .zip(shares)
            .map(|(plan, share)| planned_partition(plan, share))
            .collect(),
        runs_to_catch_up: plan::runs_to_catch_up(&demands, budget),
        error: unreadable,
    })
}

fn planned_partition(plan: &PartitionPlan, share: u64) -> PlannedPartition {
    let end = plan.state.end.clone().and_then(Result::ok);
    let next = plan.next_offset();
    let (why, detail) = match &plan.decision {
        Decision::Read(Reading { why, from, to, .. }) if share == 0 && from != to => {
            (PlanReason::NoShare, Some(why.reason().as_str().to_owned()))
        }
        _ => plan.describe(),
    };
    PlannedPartition {
        place: plan.state.partition.clone(),
        from: next.map(NextOffset::get),
        to: end.map(NextOffset::get),
        messages: share,
        lag: next.zip(end).map_or(0, |(next, end)| next.distance_to(end)),
        why,
        detail,
    }
}
