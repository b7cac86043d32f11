//! The cursors of each topic: what blocks them, and their lag.

use std::sync::Arc;

use super::check::Check;
use super::{Shared, plural};
use crate::cli::inspect::Inspection;
use crate::error::{Error, ErrorType};
use crate::invoke::BestEffortSnapshot;
use crate::plan::{self, Decision, PartitionPlan, Reading, Why};

pub(super) async fn checks(snapshot: Shared<'_, Result<BestEffortSnapshot, Error>>, topics: &[Arc<str>]) -> Vec<Check> {
    let snapshot = snapshot.await;
    let Ok(snapshot) = &*snapshot else {
        return vec![Check::skipped("cursors", "neither the table nor the brokers responded")];
    };
    if snapshot.table.is_some() {
        return vec![Check::skipped("cursors", "the table cannot be read")];
    }
    let of_topic = |topic: &Arc<str>| {
        let mut snapshot = snapshot.clone();
        snapshot.partitions.retain(|plan| plan.state.partition.topic == *topic);
        judge(&snapshot).on(topic)
    };
    topics.iter().map(of_topic).collect()
}

/// Why the next run fails because of a cursor, and the next step.
///
/// | it would | |
/// |---|---|
/// | read, idle, or skip what is paused or claimed | none |
/// | skip an unavailable partition | none: the check of the topic fails |
/// | jump, by `ON_RETENTION_LOSS` or `ON_TRUNCATION` | none: a [warning](jumps) |
/// | retry a failed record, now or later | `PartitionBlocked` |
/// | halt, because records were deleted | `RetentionLoss` |
/// | halt, because the cursor lies past the end | `Truncated` |
/// | halt, because the item is invalid | `InvalidCursor` |
fn failure(plan: &PartitionPlan) -> Option<(ErrorType, &'static str)> {
    let blocked = (
        ErrorType::PartitionBlocked,
        "Correct what the error names, and the next run tries again; `kafka-consumer offsets reset` moves past it",
    );
    let PartitionPlan { state, decision } = plan;
    Some(match decision {
        Decision::Invalid(_) => (
            ErrorType::InvalidCursor,
            "Correct the item in the table, or delete it with `kafka-consumer offsets delete`, which shows where the \
             next run starts",
        ),
        Decision::Truncated(_) => (
            ErrorType::Truncated,
            "Set ON_TRUNCATION, or move the cursor with `kafka-consumer offsets reset`; for a partition that no longer \
             exists, use `kafka-consumer offsets delete`",
        ),
        Decision::RetentionLoss(_) => (
            ErrorType::RetentionLoss,
            "Continue from the earliest offset with ON_RETENTION_LOSS=continue, or `kafka-consumer offsets reset \
             --to-earliest`",
        ),
        Decision::BackingOff => blocked,
        Decision::Read(_) | Decision::Idle if plan::blocked(state).is_some() && !jumps(decision) => blocked,
        Decision::Read(_) | Decision::Idle | Decision::Paused | Decision::Held(_) | Decision::Unavailable(_) => {
            return None;
        }
    })
}

/// Whether the next run skips deleted offsets, and reports them.
fn jumps(decision: &Decision) -> bool {
    matches!(
        decision,
        Decision::Read(Reading {
            why: Why::Lost(_) | Why::Truncated { .. },
            ..
        })
    )
}

/// The check of one topic's cursors, by the most severe failure.
fn judge(snapshot: &BestEffortSnapshot) -> Check {
    let name = "cursors";
    let partitions = &snapshot.partitions;
    let worst = partitions
        .iter()
        .filter_map(failure)
        .max_by_key(|(error_type, _)| error_type.severity());
    let stored = partitions.iter().filter(|plan| plan.state.cursor.is_some()).count();
    let inspection = Inspection::from(snapshot.clone());
    let lag = inspection.lag.map_or("unknown".into(), |lag| lag.to_string());
    let what = format!("{}; {}; lag {lag}", plural(stored, "cursor"), inspection.states());
    let check = match worst {
        Some((error_type, next)) => Check::failed(name, error_type, what, next),
        None if partitions.iter().any(|plan| jumps(&plan.decision)) => Check::warning(
            name,
            what,
            "The next run skips the deleted offsets and reports them; check the topic's retention and the lag",
        ),
        None => Check::ok(name, what),
    };
    check.with(inspection.remarks())
}

#[cfg(test)]
mod tests;
