//! A decision as text, the same in each output.

use super::{Decision, PartitionPlan, PartitionState, Reading, Why, uncommitted};
use crate::claim::Failures;
use crate::words::words;

words! {
    /// What a plan shows for a partition: why the next run reads it, or does not.
    pub enum PlanReason {
        /// It is read from its cursor on.
        Resumed = "resumed",
        /// It has no cursor, and is read from `START_POSITION` on.
        StartPosition = "start position",
        /// It was added after the topic's other cursors, and is read from its earliest record on.
        NewPartition = "new partition",
        /// Retention deleted records after the cursor: by `ON_RETENTION_LOSS` it is
        /// read from the earliest record on, or not read.
        LostToRetention = "lost to retention",
        /// The cursor lies past the end, or its partition no longer exists: read by
        /// `ON_TRUNCATION`, or not read.
        Truncated = "truncated",
        /// It has no new records.
        UpToDate = "up to date",
        /// It has new records, and `MAX_MESSAGES` is used up by other partitions.
        NoShare = "no share of the limit",
        /// An operator paused it.
        Paused = "paused",
        /// Another run has claimed it.
        Claimed = "claimed",
        /// A record failed, and its next attempt is not due.
        BackingOff = "backing off",
        /// No broker serves it.
        Unavailable = "unavailable",
        /// Its item is not a valid cursor.
        InvalidCursor = "invalid cursor",
    }
}

/// For a failure without an error text, such as one that an operator wrote.
pub const NO_REASON: &str = "no reason was stored";

impl PartitionPlan {
    /// Why the partition is read from its `from`, or not read; and details, if any.
    #[must_use]
    pub fn describe(&self) -> (PlanReason, Option<String>) {
        let state = &self.state;
        match &self.decision {
            Decision::Read(Reading {
                why: Why::Lost(range), ..
            })
            | Decision::RetentionLoss(range) => (
                PlanReason::LostToRetention,
                Some(format!("offsets {} to {}", range.first, range.last)),
            ),
            Decision::Read(Reading {
                why: why @ Why::Truncated { stored, .. },
                from,
                to,
                ..
            }) => (
                why.reason(),
                Some(format!(
                    "the stored position (next offset {stored}) lies past the end of the log ({to}); it goes on at {from}"
                )),
            ),
            Decision::Read(Reading { why, .. }) => {
                (why.reason(), blocked(state).map(tried).or_else(|| held_back(state)))
            }
            Decision::Idle => (PlanReason::UpToDate, held_back(state)),
            Decision::Paused => (PlanReason::Paused, None),
            Decision::Held(until_ms) => (PlanReason::Claimed, Some(format!("until {}", at(*until_ms)))),
            Decision::BackingOff => (PlanReason::BackingOff, blocked(state).map(tried)),
            Decision::Truncated(what) => (PlanReason::Truncated, Some(what.clone())),
            Decision::Unavailable(error) => (PlanReason::Unavailable, Some(error.clone())),
            Decision::Invalid(invalid) => (PlanReason::InvalidCursor, Some(invalid.to_string())),
        }
    }
}

/// The failures that block a partition, if its record failed.
#[must_use]
pub fn blocked(state: &PartitionState) -> Option<&Failures> {
    let cursor = state.cursor.as_ref()?.as_ref().ok()?;
    cursor.failures().filter(|failures| failures.next_try_at_ms.is_some())
}

/// The first unstable offset is where the oldest open transaction began.
fn held_back(state: &PartitionState) -> Option<String> {
    let (from, count) = uncommitted(state)?;
    let records = if count == 1 { "record waits" } else { "records wait" };
    Some(format!(
        "{count} {records} for a transaction that began at offset {from}"
    ))
}

fn tried(failures: &Failures) -> String {
    let attempts = failures.all_attempts();
    let times = if attempts == 1 { "time" } else { "times" };
    let next = failures.next_try_at_ms.map_or_else(String::new, at);
    let error = failures.error.as_deref().unwrap_or(NO_REASON);
    format!(
        "offset {} failed {attempts} {times}, tried again after {next}: {error}",
        failures.offset
    )
}

fn at(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms)
        .unwrap_or_default()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::documented;

    #[test]
    fn every_reason_of_a_plan_is_documented() {
        assert_eq!(documented("### `why` of `plan`"), PlanReason::WORDS);
    }
}
