//! Cursors, logs and states of the partitions, for `lag`, `offsets list` and `doctor`.
//!
//! Both write the same JSON document:
//!
//! | field | meaning |
//! |---|---|
//! | `at` | the time of the inspection, in milliseconds since the epoch |
//! | `lag` | the sum of all known lags; null if none is known |
//! | `errors` | `{"type","message"}` of the table, the brokers, or both, where they failed; empty if none did |
//! | `partitions` | one object a partition, in ascending order of topic and partition, also for items whose partition no longer exists |
//!
//! and for each partition, null where unknown:
//!
//! | field | meaning |
//! |---|---|
//! | `topic`, `partition` | where |
//! | `next_offset` | the next offset to read as stored; without an item (`new`), where a run would start |
//! | `end_offset` | the end offset of the log; with `read_committed` the last stable offset |
//! | `high_watermark` | the high watermark; without an open transaction it is `end_offset` |
//! | `lag` | end minus next, or minus the offset to which a run would jump |
//! | `earliest_offset` | the log start offset |
//! | `state` | see [`State`] |
//! | `detail` | the reason for the state |
//! | `last_offset` | the last processed offset as stored in the table, -1: nothing yet; null without an item |
//! | `previous_offset` | the next offset before the last move by an operator |
//! | `paused` | whether it is paused |
//! | `claim_until` | when the claim on it expires or expired, in milliseconds since the epoch |
//! | `run` | the run that wrote the item last |
//! | `updated_at` | when a run wrote the item last, in milliseconds since the epoch |
//! | `blocked` | `{"offset","attempts","next_try_at","error"}` of the record that blocks it |

use comfy_table::Cell;
use serde::Serialize;

use super::exit::Exit;
use super::output::{self, Tone};
use super::parts::CliParts;
use super::selection::Selection;
use crate::claim::Cursor;
use crate::clock::Deadline;
use crate::error::Error;
use crate::event::RunRequest;
use crate::invoke::{self, BestEffortSnapshot};
use crate::plan::{self, Decision, PartitionPlan, Reading, Why};
use crate::record::{ListedOffset, NextOffset, TopicPartition};
use crate::words::words;

words! {
    /// The state of a partition: the first row that fits.
    ///
    /// | state | the next run would | because |
    /// |---|---|---|
    /// | `unknown` | skip it | its item, or its log, could not be read |
    /// | `paused` | skip it | an operator paused it |
    /// | `truncated` | halt, or jump by `ON_TRUNCATION` | the cursor lies past the end, or its partition no longer exists |
    /// | `claimed` | skip it | another run has claimed it until `claim_until` |
    /// | `lost` | halt, or jump by `ON_RETENTION_LOSS` | records after the cursor were deleted |
    /// | `blocked` | retry the record when it is due | a record failed |
    /// | `new` | start at `START_POSITION` | it has no item |
    /// | `ok` | read new records, if there are any | |
    ///
    /// It is derived from the decisions of the next run ([`plan::decide_all`]), so
    /// that it agrees with `plan`.
    pub(super) enum State {
        Ok = "ok",
        New = "new",
        Claimed = "claimed",
        Paused = "paused",
        Blocked = "blocked",
        Lost = "lost",
        Truncated = "truncated",
        Unknown = "unknown",
    }
}

impl State {
    fn of(plan: &PartitionPlan) -> Self {
        let state = &plan.state;
        match &plan.decision {
            Decision::Invalid(_) | Decision::Unavailable(_) => Self::Unknown,
            Decision::Paused => Self::Paused,
            Decision::Truncated(_)
            | Decision::Read(Reading {
                why: Why::Truncated { .. },
                ..
            }) => Self::Truncated,
            Decision::Held(_) => Self::Claimed,
            Decision::RetentionLoss(_) | Decision::Read(Reading { why: Why::Lost(_), .. }) => Self::Lost,
            Decision::BackingOff => Self::Blocked,
            Decision::Read(_) | Decision::Idle if plan::blocked(state).is_some() => Self::Blocked,
            Decision::Read(_) | Decision::Idle if state.cursor.is_none() => Self::New,
            Decision::Read(_) | Decision::Idle => Self::Ok,
        }
    }

    pub(super) fn cell(self) -> Cell {
        let tone = match self {
            Self::Ok => Tone::Plain,
            Self::Paused | Self::Claimed | Self::New => Tone::Notice,
            Self::Blocked | Self::Truncated | Self::Lost | Self::Unknown => Tone::Alarm,
        };
        tone.cell(self.as_str())
    }
}

/// One partition: the table at the top of this module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct InspectedPartition {
    #[serde(flatten)]
    pub(super) partition: TopicPartition,
    pub(super) next_offset: Option<i64>,
    pub(super) end_offset: Option<i64>,
    pub(super) high_watermark: Option<i64>,
    pub(super) lag: Option<u64>,
    pub(super) earliest_offset: Option<i64>,
    pub(super) state: State,
    pub(super) detail: Option<String>,
    pub(super) last_offset: Option<i64>,
    pub(super) previous_offset: Option<i64>,
    pub(super) paused: Option<bool>,
    pub(super) claim_until: Option<i64>,
    pub(super) run: Option<String>,
    pub(super) updated_at: Option<i64>,
    pub(super) blocked: Option<BlockingRecord>,
}

/// The record that blocks a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct BlockingRecord {
    pub(super) offset: i64,
    pub(super) attempts: u32,
    pub(super) next_try_at: Option<i64>,
    pub(super) error: Option<String>,
}

/// The JSON document of `lag` and `offsets list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Inspection {
    pub(super) at: i64,
    pub(super) lag: Option<u64>,
    pub(super) partitions: Vec<InspectedPartition>,
    pub(super) errors: Vec<Error>,
}

/// Reads the table and the brokers; a failure of one does not hide the other.
pub(super) async fn inspect(parts: &CliParts, selection: &Selection) -> Result<Inspection, Error> {
    let deadline = Deadline::after(parts.config.time_limit, &parts.clock);
    let request = RunRequest::from(selection);
    Ok(invoke::snapshot_best_effort(parts, &request, deadline).await?.into())
}

impl From<BestEffortSnapshot> for Inspection {
    fn from(snapshot: BestEffortSnapshot) -> Self {
        let partitions: Vec<_> = snapshot.partitions.iter().map(inspected).collect();
        let known = partitions.iter().filter_map(|row| row.lag);
        Self {
            at: snapshot.at_ms,
            lag: known.reduce(u64::saturating_add),
            partitions,
            errors: snapshot.errors,
        }
    }
}

fn inspected(plan: &PartitionPlan) -> InspectedPartition {
    let state = &plan.state;
    let no_cursor = Cursor::default();
    let (item, is_readable) = match &state.cursor {
        Some(Ok(cursor)) => (Some(cursor), true),
        Some(Err(_)) => (None, false),
        None => (None, true),
    };
    let cursor = item.unwrap_or(&no_cursor);
    let begins_at = plan.next_offset();
    let known = |listed: &Option<ListedOffset>| listed.clone().and_then(Result::ok);
    let end = known(&state.end);
    InspectedPartition {
        partition: state.partition.clone(),
        next_offset: item.map(|cursor| cursor.next).or(begins_at).map(NextOffset::get),
        end_offset: end.map(NextOffset::get),
        high_watermark: known(&state.high_watermark).map(NextOffset::get),
        lag: begins_at.zip(end).map(|(next, end)| next.distance_to(end)),
        earliest_offset: known(&state.earliest).map(NextOffset::get),
        state: State::of(plan),
        detail: plan.describe().1,
        last_offset: item.map(|cursor| cursor.next.last_processed()),
        previous_offset: cursor.previous.map(NextOffset::get),
        paused: is_readable.then_some(cursor.paused),
        claim_until: cursor.claim_until_ms,
        run: cursor.run.as_ref().map(ToString::to_string),
        updated_at: cursor.updated_at_ms,
        blocked: plan::blocked(state).map(|failures| BlockingRecord {
            offset: failures.offset.get(),
            attempts: failures.all_attempts(),
            next_try_at: failures.next_try_at_ms,
            error: failures.error.clone(),
        }),
    }
}

impl Inspection {
    /// Remarks on single partitions, below the table.
    pub(super) fn remarks(&self) -> Vec<String> {
        let remark = |row: &InspectedPartition| {
            Some((
                row.partition.to_string(),
                format!("{}: {}", row.state.as_str(), row.detail.as_ref()?),
            ))
        };
        output::grouped(self.partitions.iter().filter_map(remark))
    }

    /// `3 partitions: 2 ok, 1 blocked`.
    pub(super) fn states(&self) -> String {
        use State::{Blocked, Claimed, Lost, New, Ok, Paused, Truncated, Unknown};
        let count = |state: State| self.partitions.iter().filter(|row| row.state == state).count();
        let counts: Vec<String> = [Ok, New, Claimed, Paused, Blocked, Lost, Truncated, Unknown]
            .into_iter()
            .filter(|state| count(*state) > 0)
            .map(|state| format!("{} {}", count(state), state.as_str()))
            .collect();
        match self.partitions.len() {
            0 => "no partitions".into(),
            1 => format!("1 partition: {}", counts.join(", ")),
            many => format!("{many} partitions: {}", counts.join(", ")),
        }
    }

    /// Prints the errors to stderr, last.
    pub(super) fn print_errors(&self) -> Exit {
        for error in &self.errors {
            output::print_error(&error.to_string());
        }
        if self.errors.is_empty() {
            Exit::Done
        } else {
            Exit::Failed
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
