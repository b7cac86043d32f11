//! Where the partitions stand, for `lag` and `offsets list`.
//!
//! Both write the same JSON document:
//!
//! | field | meaning |
//! |---|---|
//! | `at` | when this was so, in milliseconds since the epoch |
//! | `lag` | the sum of all lags that are known; null if none is |
//! | `errors` | `{"type","message"}` of what did not answer: the table, the brokers, or both; empty if all did |
//! | `partitions` | one object a partition, in ascending order of topic and partition, also for items whose partition is gone |
//!
//! and of each partition, null where it is not known:
//!
//! | field | meaning |
//! |---|---|
//! | `topic`, `partition` | where |
//! | `next_offset` | the next offset to read as stored; without an item (`new`), where a run would begin |
//! | `end_offset` | the end of the log: the next offset to be written; with `read_committed` the last stable offset |
//! | `high_watermark` | the end with what an open transaction holds back; with none it is `end_offset` |
//! | `lag` | offsets that are still to be read: end minus next, or minus the place to which a run would jump |
//! | `earliest_offset` | the first offset that retention has left |
//! | `state` | see [`State`] |
//! | `detail` | why it is so, in words |
//! | `last_offset` | the last processed offset as it stands in the table, -1: nothing yet; null without an item |
//! | `previous_offset` | the next offset before an operator moved the cursor last |
//! | `paused` | whether an operator set it aside |
//! | `claim_until` | when the claim on it ends or ended, in milliseconds since the epoch |
//! | `run` | the run that wrote the item last |
//! | `updated_at` | when a run wrote the item last, in milliseconds since the epoch |
//! | `blocked` | `{"offset","attempts","next_try_at","error"}` of the record that holds it up |

use comfy_table::Cell;
use serde::Serialize;

use super::Exit;
use super::output::{self, Tone};
use super::parts::CliParts;
use super::selection::Selection;
use crate::claim::Cursor;
use crate::clock::Deadline;
use crate::error::Error;
use crate::event::RunRequest;
use crate::invoke::{self, BestEffortSnapshot};
use crate::plan::{self, Decision, PartitionState, Reading, Why};
use crate::record::{NextOffset, TopicPartition};

/// How a partition is, in one word: the first row that fits.
///
/// | state | the next run would | because |
/// |---|---|---|
/// | `unknown` | leave it alone | its item, or its log, could not be read |
/// | `paused` | leave it alone | an operator said so |
/// | `truncated` | halt, or jump by `ON_TRUNCATION` | the cursor lies past the end, or its partition is gone |
/// | `claimed` | leave it alone | another run is at work, until `claim_until` |
/// | `lost` | halt, or jump by `ON_RETENTION_LOSS` | records after the cursor were deleted |
/// | `blocked` | try the record again, at its time | a record failed |
/// | `new` | begin at `START_POSITION` | it has no item |
/// | `ok` | read what is new, if there is something | |
///
/// It follows from what a run would do ([`plan::decide_all`]), so that it
/// never says anything else than `plan`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Ok,
    Blocked,
    Paused,
    Claimed,
    New,
    Truncated,
    Lost,
    Unknown,
}

impl State {
    fn of(facts: &PartitionState, decision: &Decision) -> Self {
        match decision {
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
            Decision::Read(_) | Decision::Idle if plan::blocked(facts).is_some() => Self::Blocked,
            Decision::Read(_) | Decision::Idle if facts.cursor.is_none() => Self::New,
            Decision::Read(_) | Decision::Idle => Self::Ok,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Blocked => "blocked",
            Self::Paused => "paused",
            Self::Claimed => "claimed",
            Self::New => "new",
            Self::Truncated => "truncated",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
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
pub(super) struct Row {
    #[serde(flatten)]
    pub(super) place: TopicPartition,
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
    pub(super) blocked: Option<Failed>,
}

/// The record that holds up a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Failed {
    pub(super) offset: i64,
    pub(super) attempts: u32,
    pub(super) next_try_at: Option<i64>,
    pub(super) error: Option<String>,
}

/// What `lag` and `offsets list` write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Look {
    pub(super) at: i64,
    pub(super) lag: Option<u64>,
    pub(super) partitions: Vec<Row>,
    pub(super) errors: Vec<Error>,
}

/// Asks the table and the brokers, each for itself.
pub(super) async fn look(parts: &CliParts, selection: &Selection) -> Result<Look, Error> {
    let deadline = Deadline::after(parts.config.time_limit, &parts.clock);
    let request = RunRequest::from(selection);
    Ok(invoke::snapshot_best_effort(parts, &request, deadline).await?.into())
}

impl From<BestEffortSnapshot> for Look {
    fn from(glance: BestEffortSnapshot) -> Self {
        let partitions = rows(&glance.states, &glance.decisions);
        let known = partitions.iter().filter_map(|row| row.lag);
        Self {
            at: glance.at_ms,
            lag: known.reduce(u64::saturating_add),
            partitions,
            errors: glance.errors,
        }
    }
}

/// A row for each partition.
fn rows(facts: &[PartitionState], decisions: &[Decision]) -> Vec<Row> {
    facts
        .iter()
        .zip(decisions)
        .map(|(facts, decision)| row(facts, decision))
        .collect()
}

fn row(facts: &PartitionState, decision: &Decision) -> Row {
    let no_cursor = Cursor::default();
    let (item, is_readable) = match &facts.cursor {
        Some(Ok(cursor)) => (Some(cursor), true),
        Some(Err(_)) => (None, false),
        None => (None, true),
    };
    let cursor = item.unwrap_or(&no_cursor);
    let begins_at = plan::next_offset(facts, decision);
    let known = |looked: &Option<crate::source::ListedOffset>| looked.clone().and_then(Result::ok);
    let end = known(&facts.end);
    Row {
        place: facts.partition.clone(),
        next_offset: item.map(|cursor| cursor.next).or(begins_at).map(NextOffset::get),
        end_offset: end.map(NextOffset::get),
        high_watermark: known(&facts.high_watermark).map(NextOffset::get),
        lag: begins_at.zip(end).map(|(next, end)| next.distance_to(end)),
        earliest_offset: known(&facts.earliest).map(NextOffset::get),
        state: State::of(facts, decision),
        detail: plan::describe(facts, decision).1,
        last_offset: item.map(|cursor| cursor.next.last_processed()),
        previous_offset: cursor.previous.map(NextOffset::get),
        paused: is_readable.then_some(cursor.paused),
        claim_until: cursor.claim_until_ms,
        run: cursor.run.as_ref().map(ToString::to_string),
        updated_at: cursor.updated_at_ms,
        blocked: plan::blocked(facts).map(|failures| Failed {
            offset: failures.offset.get(),
            attempts: failures.all_attempts(),
            next_try_at: failures.next_try_at_ms,
            error: failures.error.clone(),
        }),
    }
}

impl Row {
    pub(super) fn at(&self) -> String {
        format!("{}-{}", self.place.topic, self.place.partition)
    }
}

impl Look {
    /// What is to be said of single partitions, below their table.
    pub(super) fn remarks(&self) -> Vec<String> {
        let said = |row: &Row| Some((row.at(), format!("{}: {}", row.state.as_str(), row.detail.as_ref()?)));
        output::grouped(self.partitions.iter().filter_map(said))
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
            0 => "no partition is known".into(),
            1 => format!("1 partition: {}", counts.join(", ")),
            many => format!("{many} partitions: {}", counts.join(", ")),
        }
    }

    /// What did not answer is said last, on stderr.
    pub(super) fn complain(&self) -> Exit {
        for error in &self.errors {
            output::complain(&error.to_string());
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
