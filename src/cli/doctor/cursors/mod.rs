//! The cursors of each topic: what blocks them, and their lag.

use std::sync::Arc;

use super::check::Check;
use super::{Shared, plural};
use crate::cli::inspect::Inspection;
use crate::error::{Error, ErrorType};
use crate::invoke::BestEffortSnapshot;
use crate::plan::{self, Decision, PartitionState, Reading, Why};

pub(super) async fn checks(snapshot: Shared<'_, Result<BestEffortSnapshot, Error>>, topics: &[Arc<str>]) -> Vec<Check> {
    let snapshot = snapshot.await;
    let Ok(snapshot) = &*snapshot else {
        return vec![Check::skipped("cursors", "neither the table nor the brokers responded")];
    };
    if snapshot.table.is_some() {
        return vec![Check::skipped("cursors", "the table cannot be read")];
    }
    let of_topic = |topic: &Arc<str>| {
        let both = snapshot.states.iter().zip(&snapshot.decisions);
        let (facts, decisions) = both
            .filter(|(fact, _)| fact.partition.topic == *topic)
            .map(|(fact, decision)| (fact.clone(), decision.clone()))
            .unzip();
        judge(&BestEffortSnapshot {
            states: facts,
            decisions,
            ..snapshot.clone()
        })
        .on(topic)
    };
    topics.iter().map(of_topic).collect()
}

/// What the next run meets at a cursor, the least serious first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum CursorStatus {
    /// Nothing wrong, also paused or claimed.
    Fine,
    /// The run skips deleted offsets, and reports them.
    Jump,
    Blocked,
    Lost,
    Truncated,
    Invalid,
}

/// What the next run meets.
///
/// | it would | status |
/// |---|---|
/// | read, idle, or skip what is paused or claimed | fine |
/// | skip an unavailable partition | fine: the check of the topic fails |
/// | jump, by `ON_RETENTION_LOSS` or `ON_TRUNCATION` | a warning |
/// | retry a failed record, now or later | `PartitionBlocked` |
/// | halt, because records were deleted | `RetentionLoss` |
/// | halt, because the cursor lies past the end | `Truncated` |
/// | halt, because the item is invalid | `InvalidCursor` |
fn status(facts: &PartitionState, decision: &Decision) -> CursorStatus {
    match decision {
        Decision::Invalid(_) => CursorStatus::Invalid,
        Decision::Truncated(_) => CursorStatus::Truncated,
        Decision::RetentionLoss(_) => CursorStatus::Lost,
        Decision::BackingOff => CursorStatus::Blocked,
        Decision::Read(Reading {
            why: Why::Lost(_) | Why::Truncated { .. },
            ..
        }) => CursorStatus::Jump,
        Decision::Read(_) | Decision::Idle if plan::blocked(facts).is_some() => CursorStatus::Blocked,
        Decision::Read(_) | Decision::Idle | Decision::Paused | Decision::Held(_) | Decision::Unavailable(_) => {
            CursorStatus::Fine
        }
    }
}

/// The check of one topic's cursors, by the most serious status.
fn judge(snapshot: &BestEffortSnapshot) -> Check {
    let both = snapshot.states.iter().zip(&snapshot.decisions);
    let worst = both.map(|(facts, decision)| status(facts, decision)).max();
    let stored = snapshot.states.iter().filter(|fact| fact.cursor.is_some()).count();
    let inspection = Inspection::from(snapshot.clone());
    let lag = inspection
        .lag
        .map_or_else(|| "lag unknown".into(), |lag| format!("lag {lag}"));
    let what = format!("{}; {}; {lag}", plural(stored, "cursor"), inspection.states());
    let failed = |error_type, next| Check::failed("cursors", error_type, what.clone(), next);
    let check = match worst.unwrap_or(CursorStatus::Fine) {
        CursorStatus::Fine => Check::ok("cursors", what),
        CursorStatus::Jump => Check::warning(
            "cursors",
            what,
            "The next run skips the deleted offsets and reports them; check the topic's retention and the lag",
        ),
        CursorStatus::Blocked => failed(
            ErrorType::PartitionBlocked,
            "Correct what the error names, and the next run tries again; `kafka-consumer offsets reset` moves past it",
        ),
        CursorStatus::Lost => failed(
            ErrorType::RetentionLoss,
            "Continue from the earliest offset with ON_RETENTION_LOSS=continue, or `kafka-consumer offsets reset --to-earliest`",
        ),
        CursorStatus::Truncated => failed(
            ErrorType::Truncated,
            "Set ON_TRUNCATION, or move the cursor with `kafka-consumer offsets reset`; for a partition that no longer \
             exists, use `kafka-consumer offsets delete`",
        ),
        CursorStatus::Invalid => failed(
            ErrorType::InvalidCursor,
            "Correct the item in the table, or delete it with `kafka-consumer offsets delete`, which shows where the \
             next run starts",
        ),
    };
    check.with(inspection.remarks())
}

#[cfg(test)]
mod tests;
