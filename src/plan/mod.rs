//! Stored cursors + log offsets + policy -> which offsets to read, and which
//! are lost.
//!
//! For each partition, the first row that fits decides:
//!
//! | item | log | decision |
//! |---|---|---|
//! | cannot be read | any | [`Invalid`](Decision::Invalid) |
//! | `paused` | any | [`Paused`](Decision::Paused) |
//! | any | partition gone | [`Truncated`](Decision::Truncated) |
//! | any | no broker responds | [`Unavailable`](Decision::Unavailable) |
//! | live claim | any | [`Held`](Decision::Held) |
//! | failed, next attempt not due | any | [`BackingOff`](Decision::BackingOff) |
//! | next > end | next <= high watermark: an open transaction | [`Idle`](Decision::Idle) |
//! | next > end | | [`Truncated`](Decision::Truncated), or a jump by `ON_TRUNCATION` |
//! | next < earliest | | [`RetentionLoss`](Decision::RetentionLoss), or a jump by `ON_RETENTION_LOSS` |
//! | next = end | | [`Idle`](Decision::Idle) |
//! | next < end | | [`Read`](Decision::Read) |
//! | none, above all cursors of the topic | any | read from the earliest |
//! | none | any | read from `START_POSITION` |

mod describe;
mod shares;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::claim::{Cursor, InvalidCursor, ObservedItem};
use crate::config::{OnRetentionLoss, OnTruncation, StartPosition};
use crate::record::{ListedOffset, NextOffset, OffsetRange, TopicPartition};

pub use describe::{NO_REASON, PlanReason, blocked};
pub use shares::{Demand, fair_shares, runs_to_catch_up};

/// The state of one partition before a run: its log, and its cursor.
#[derive(Debug, Clone)]
pub struct PartitionState {
    /// The partition.
    pub partition: TopicPartition,
    /// The end of its log; `None`: the topic has no such partition.
    pub end: Option<ListedOffset>,
    /// The high watermark, if it was listed. Between the end (the last stable
    /// offset) and it lie records of open transactions.
    pub high_watermark: Option<ListedOffset>,
    /// The log start offset. Listed only where a decision depends on it:
    /// [`needs_earliest`].
    pub earliest: Option<ListedOffset>,
    /// The item of the table, if there is one.
    pub cursor: Option<Result<Cursor, InvalidCursor>>,
    /// Where `START_POSITION` lies in this partition, if it was looked up.
    pub start: Option<ListedOffset>,
}

impl PartitionState {
    /// The state of which only the end of the log and the item are read.
    #[must_use]
    pub fn new(
        partition: TopicPartition,
        end: Option<ListedOffset>,
        cursor: Option<Result<Cursor, InvalidCursor>>,
    ) -> Self {
        Self {
            partition,
            end,
            high_watermark: None,
            earliest: None,
            cursor,
            start: None,
        }
    }
}

/// The settings that the decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// The start of a topic without cursors.
    pub start_position: StartPosition,
    /// For records deleted before they were read.
    pub on_retention_loss: OnRetentionLoss,
    /// For a cursor past the end.
    pub on_truncation: OnTruncation,
    /// The wall clock, in milliseconds since the epoch.
    pub now_ms: i64,
}

/// What to do with one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Read it.
    Read(Reading),
    /// Nothing new.
    Idle,
    /// Set aside by an operator.
    Paused,
    /// Another run's claim is live until this time (milliseconds since the epoch).
    Held(i64),
    /// A record failed, and its next attempt is not due.
    BackingOff,
    /// The cursor lies past the end, or its partition is gone.
    Truncated(String),
    /// Records after the cursor were deleted, and the policy is to halt.
    RetentionLoss(OffsetRange),
    /// No broker serves it.
    Unavailable(String),
    /// Its item cannot be read.
    Invalid(InvalidCursor),
}

/// The state of one partition, and what to do with it.
#[derive(Debug, Clone)]
pub struct PartitionPlan {
    /// The state before the run.
    pub state: PartitionState,
    /// What to do with it.
    pub decision: Decision,
}

impl PartitionPlan {
    /// The next offset to read before the run, from which the lag is counted.
    /// `None` if it is unknown.
    #[must_use]
    pub fn next_offset(&self) -> Option<NextOffset> {
        match (&self.decision, &self.state.cursor) {
            (Decision::Read(reading), _) => Some(reading.from),
            (_, Some(Ok(cursor))) => Some(cursor.next),
            (Decision::Idle, None) => self.state.end.clone().and_then(Result::ok),
            _ => None,
        }
    }

    /// How much of the budget the partition could use.
    #[must_use]
    pub fn demand(&self) -> Demand {
        let records = match &self.decision {
            Decision::Read(reading) => reading.from.distance_to(reading.to),
            _ => 0,
        };
        let cursor = self.state.cursor.as_ref().and_then(|cursor| cursor.as_ref().ok());
        Demand {
            records,
            updated_at_ms: cursor.and_then(|cursor| cursor.updated_at_ms),
        }
    }
}

/// The offsets to read of one partition. `from` and `to` are equal if only the
/// cursor is to be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The first offset to read.
    pub from: NextOffset,
    /// The end as it was before the run; exclusive.
    pub to: NextOffset,
    /// Why it begins there.
    pub why: Why,
    /// The item that the claim is conditional on.
    pub observed: ObservedItem,
}

/// Why a partition is read from its `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It resumes at its cursor.
    Resumed,
    /// It has no cursor and starts at `START_POSITION`.
    StartPosition,
    /// It appeared after the topic's other cursors and starts at its earliest record.
    AppearedLater,
    /// Retention deleted these records before they were read.
    Lost(OffsetRange),
    /// The topic was truncated or recreated, and the cursor moved by `ON_TRUNCATION`.
    Truncated {
        /// Where the cursor stood.
        stored: NextOffset,
        /// What `ON_TRUNCATION=latest` passes over in the log as it is now.
        passed_over: Option<OffsetRange>,
    },
}

impl Why {
    /// The reason as `plan` shows it.
    #[must_use]
    pub fn reason(self) -> PlanReason {
        match self {
            Self::Resumed => PlanReason::Resumed,
            Self::StartPosition => PlanReason::StartPosition,
            Self::AppearedLater => PlanReason::NewPartition,
            Self::Lost(_) => PlanReason::LostToRetention,
            Self::Truncated { .. } => PlanReason::Truncated,
        }
    }
}

/// Whether the decision for this partition depends on the log start offset. A
/// partition that is up to date needs no further request.
#[must_use]
pub fn needs_earliest(state: &PartitionState) -> bool {
    match (&state.cursor, &state.end) {
        (Some(Ok(cursor)), Some(Ok(end))) => !cursor.paused && cursor.next != *end,
        (None, Some(Ok(_))) => true,
        _ => false,
    }
}

/// The highest partition of each topic that has an item, readable or not.
#[must_use]
pub fn highest_cursors(states: &[PartitionState]) -> BTreeMap<Arc<str>, i32> {
    let mut highest = BTreeMap::new();
    for state in states.iter().filter(|state| state.cursor.is_some()) {
        let entry = highest
            .entry(state.partition.topic.clone())
            .or_insert(state.partition.partition);
        *entry = (*entry).max(state.partition.partition);
    }
    highest
}

/// Whether a partition without an item appeared after the topic's cursors were
/// made: its number is above all of theirs.
#[must_use]
pub fn appeared_later(partition: &TopicPartition, highest: &BTreeMap<Arc<str>, i32>) -> bool {
    highest
        .get(&partition.topic)
        .is_some_and(|highest| partition.partition > *highest)
}

/// The plan of each partition, in the order of `states`.
///
/// `states` are all partitions of the topics, including those that are not in
/// the request: "appeared later" depends on all of them.
#[must_use]
pub fn decide_all(states: Vec<PartitionState>, policy: &Policy) -> Vec<PartitionPlan> {
    let highest = highest_cursors(&states);
    let plan = |state: PartitionState| PartitionPlan {
        decision: decide(&state, appeared_later(&state.partition, &highest), policy),
        state,
    };
    states.into_iter().map(plan).collect()
}

/// The decision for one partition: the table at the top of this module.
#[must_use]
pub fn decide(state: &PartitionState, appeared_later: bool, policy: &Policy) -> Decision {
    let cursor = match &state.cursor {
        Some(Err(invalid)) => return Decision::Invalid(invalid.clone()),
        Some(Ok(cursor)) if cursor.paused => return Decision::Paused,
        Some(Ok(cursor)) => Some(cursor),
        None => None,
    };
    let end = match &state.end {
        None => return Decision::Truncated("the topic has no such partition any more".into()),
        Some(Err(unavailable)) => return Decision::Unavailable(unavailable.to_string()),
        Some(Ok(end)) => *end,
    };
    match cursor {
        Some(cursor) => resume(cursor, end, state, policy),
        None => begin(state, end, appeared_later, policy),
    }
}

fn resume(cursor: &Cursor, end: NextOffset, state: &PartitionState, policy: &Policy) -> Decision {
    if let Some(until_ms) = cursor.held_until_ms(policy.now_ms) {
        return Decision::Held(until_ms);
    }
    let too_early = |try_at: i64| try_at > policy.now_ms;
    if cursor
        .failures()
        .and_then(|failure| failure.next_try_at_ms)
        .is_some_and(too_early)
    {
        return Decision::BackingOff;
    }
    let read = |from, why| {
        Decision::Read(Reading {
            from,
            to: end,
            why,
            observed: ObservedItem::Present(cursor.clone()),
        })
    };
    let stored = cursor.next;
    if stored == end {
        return Decision::Idle;
    }
    if stored > end {
        match &state.high_watermark {
            // The cursor was moved under `read_uncommitted` before.
            Some(Ok(high)) if stored <= *high => return Decision::Idle,
            Some(Err(unavailable)) => return Decision::Unavailable(unavailable.to_string()),
            _ => {}
        }
    }
    let earliest = match &state.earliest {
        Some(Ok(earliest)) => *earliest,
        Some(Err(unavailable)) => return Decision::Unavailable(unavailable.to_string()),
        None => return Decision::Unavailable("its first offset is not known".into()),
    };
    if stored > end {
        return match policy.on_truncation {
            OnTruncation::Halt => Decision::Truncated(format!(
                "the stored position (next offset {stored}) lies past the end of the log ({end}): \
                 the topic was recreated or truncated"
            )),
            OnTruncation::Earliest => read(
                earliest.min(end),
                Why::Truncated {
                    stored,
                    passed_over: None,
                },
            ),
            OnTruncation::Latest => {
                let range = OffsetRange {
                    first: earliest.get(),
                    last: end.last_processed(),
                };
                let passed_over = (earliest < end).then_some(range);
                read(end, Why::Truncated { stored, passed_over })
            }
        };
    }
    if stored < earliest {
        let lost = OffsetRange {
            first: stored.get(),
            last: earliest.last_processed(),
        };
        return match policy.on_retention_loss {
            OnRetentionLoss::Halt => Decision::RetentionLoss(lost),
            OnRetentionLoss::Continue => read(earliest, Why::Lost(lost)),
        };
    }
    read(stored, Why::Resumed)
}

fn begin(state: &PartitionState, end: NextOffset, appeared_later: bool, policy: &Policy) -> Decision {
    let (start, why) = match policy.start_position {
        _ if appeared_later => (state.earliest.as_ref(), Why::AppearedLater),
        StartPosition::Earliest => (state.earliest.as_ref(), Why::StartPosition),
        StartPosition::Latest | StartPosition::At { .. } => (state.start.as_ref(), Why::StartPosition),
    };
    match start {
        Some(Ok(start)) if *start >= end => Decision::Idle,
        Some(Ok(start)) => Decision::Read(Reading {
            from: *start,
            to: end,
            why,
            observed: ObservedItem::Missing { start: *start },
        }),
        Some(Err(unavailable)) => Decision::Unavailable(unavailable.to_string()),
        None => Decision::Unavailable("its start position is not known".into()),
    }
}

/// The offsets above the last stable offset, which wait for an open
/// transaction: the first one and their number. Some may be control records.
/// `None` if there are none, or if the high watermark is unknown.
#[must_use]
pub fn uncommitted(state: &PartitionState) -> Option<(NextOffset, u64)> {
    let (Some(Ok(end)), Some(Ok(high))) = (&state.end, &state.high_watermark) else {
        return None;
    };
    (end < high).then(|| (*end, end.distance_to(*high)))
}
