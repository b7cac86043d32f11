//! The cursors of each topic: what keeps runs from moving them, and how far
//! they are behind.

use std::sync::Arc;

use super::Answer;
use super::check::Check;
use crate::cli::look::Look;
use crate::error::{Error, ErrorType};
use crate::invoke::BestEffortSnapshot;
use crate::plan::{self, Decision, PartitionState, Reading, Why};

pub(super) async fn checks(glance: Answer<'_, Result<BestEffortSnapshot, Error>>, topics: &[Arc<str>]) -> Vec<Check> {
    let glance = glance.await;
    let Ok(glance) = &*glance else {
        return vec![Check::skipped("cursors", "nobody answers")];
    };
    if glance.table.is_some() {
        return vec![Check::skipped("cursors", "the table cannot be read")];
    }
    let of_topic = |topic: &Arc<str>| {
        let both = glance.states.iter().zip(&glance.decisions);
        let (facts, decisions) = both
            .filter(|(fact, _)| fact.partition.topic == *topic)
            .map(|(fact, decision)| (fact.clone(), decision.clone()))
            .unzip();
        judge(&BestEffortSnapshot {
            states: facts,
            decisions,
            ..glance.clone()
        })
        .on(topic)
    };
    topics.iter().map(of_topic).collect()
}

/// What is wrong with a cursor for the next run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    /// Nothing, or somebody's decision: paused, claimed.
    None,
    /// The run jumps over what is gone, and reports it.
    Jump,
    Blocked,
    Lost,
    Truncated,
    Invalid,
}

/// What the next run meets.
///
/// | it would | trouble |
/// |---|---|
/// | read, idle, or leave alone what is paused or claimed | none |
/// | leave alone what no broker answers for | none: that is the topic's |
/// | jump, by `ON_RETENTION_LOSS` or `ON_TRUNCATION` | a warning |
/// | try a failed record again, now or later | `PartitionBlocked` |
/// | halt, because records are gone | `RetentionLoss` |
/// | halt, because the cursor lies past the end | `Truncated` |
/// | halt, because the item is no cursor | `InvalidCursor` |
fn trouble(facts: &PartitionState, decision: &Decision) -> Trouble {
    match decision {
        Decision::Invalid(_) => Trouble::Invalid,
        Decision::Truncated(_) => Trouble::Truncated,
        Decision::RetentionLoss(_) => Trouble::Lost,
        Decision::BackingOff => Trouble::Blocked,
        Decision::Read(Reading {
            why: Why::Lost(_) | Why::Truncated { .. },
            ..
        }) => Trouble::Jump,
        Decision::Read(_) | Decision::Idle if plan::blocked(facts).is_some() => Trouble::Blocked,
        Decision::Read(_) | Decision::Idle | Decision::Paused | Decision::Held(_) | Decision::Unavailable(_) => {
            Trouble::None
        }
    }
}

/// The cursors of one topic, by the worst of them.
fn judge(glance: &BestEffortSnapshot) -> Check {
    let both = glance.states.iter().zip(&glance.decisions);
    let worst = both.map(|(facts, decision)| trouble(facts, decision)).max();
    let stored = glance.states.iter().filter(|fact| fact.cursor.is_some()).count();
    let look = Look::from(glance.clone());
    let lag = look
        .lag
        .map_or_else(|| "lag unknown".into(), |lag| format!("lag {lag}"));
    let cursors = if stored == 1 { "cursor" } else { "cursors" };
    let what = format!("{stored} {cursors}; {}; {lag}", look.states());
    let failed = |error_type, next| Check::failed("cursors", error_type, what.clone(), next);
    let check = match worst.unwrap_or(Trouble::None) {
        Trouble::None => Check::ok("cursors", what),
        Trouble::Jump => Check::warning(
            "cursors",
            what,
            "The next run jumps over what is gone, and reports it; look at the topic's retention and at the lag",
        ),
        Trouble::Blocked => failed(
            ErrorType::PartitionBlocked,
            "Mend what the error names, and the next run tries again; `kafka-consumer offsets reset` moves past it",
        ),
        Trouble::Lost => failed(
            ErrorType::RetentionLoss,
            "Go on from the earliest by ON_RETENTION_LOSS=continue, or `kafka-consumer offsets reset --to-earliest`",
        ),
        Trouble::Truncated => failed(
            ErrorType::Truncated,
            "Choose with ON_TRUNCATION where to go on, or by `kafka-consumer offsets reset`; of a partition that is \
             gone, `kafka-consumer offsets delete`",
        ),
        Trouble::Invalid => failed(
            ErrorType::InvalidCursor,
            "Correct the item in the table, or delete it with `kafka-consumer offsets delete`, which says where a run \
              begins then",
        ),
    };
    check.with(look.remarks())
}

#[cfg(test)]
mod tests;
