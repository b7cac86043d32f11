//! A decision as text, the same in each output.

use super::{Decision, PartitionPlan, PartitionState, Reading, Why, uncommitted};
use crate::claim::Failures;

/// For a failure without an error text, such as one that an operator wrote.
pub const NO_REASON: &str = "no reason was stored";

impl PartitionPlan {
    /// Why the partition is read from its `from`, or not read; and details, if any.
    #[must_use]
    pub fn describe(&self) -> (&'static str, Option<String>) {
        let state = &self.state;
        match &self.decision {
            Decision::Read(Reading {
                why: Why::Lost(range), ..
            })
            | Decision::RetentionLoss(range) => (
                "lost to retention",
                Some(format!("offsets {} to {}", range.first, range.last)),
            ),
            Decision::Read(Reading {
                why: why @ Why::Truncated { stored, .. },
                from,
                to,
                ..
            }) => (
                why.as_str(),
                Some(format!(
                    "the stored position (next offset {stored}) lies past the end of the log ({to}); it goes on at {from}"
                )),
            ),
            Decision::Read(Reading { why, .. }) => {
                (why.as_str(), blocked(state).map(tried).or_else(|| held_back(state)))
            }
            Decision::Idle => ("up to date", held_back(state)),
            Decision::Paused => ("paused", None),
            Decision::Held(until_ms) => ("claimed", Some(format!("until {}", at(*until_ms)))),
            Decision::BackingOff => ("backing off", blocked(state).map(tried)),
            Decision::Truncated(what) => ("truncated", Some(what.clone())),
            Decision::Unavailable(error) => ("unavailable", Some(error.clone())),
            Decision::Invalid(invalid) => ("invalid cursor", Some(invalid.to_string())),
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
