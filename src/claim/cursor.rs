//! The cursor of one partition as the table stores it, and the crash history
//! that follows from it.

use std::fmt;
use std::sync::Arc;

use crate::claim::{CommandId, MAX_CLAIM_MS, RunId, Unreported};
use crate::error::{Error, ErrorType};
use crate::record::NextOffset;

/// An item of the table, read and validated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cursor {
    /// The next offset to read.
    pub next: NextOffset,
    /// The run that wrote the item last, if a run did.
    pub run: Option<RunId>,
    /// Until when the claim holds, in milliseconds since the epoch; `None`: no claim.
    pub claim_until_ms: Option<i64>,
    /// The end that the claim's run had planned to reach.
    pub claim_to: Option<NextOffset>,
    /// The chunk limit of the claim's run; `None`: it had no quarantine.
    pub claim_chunk: Option<ChunkLimit>,
    /// The mark: the offset at which a run in quarantine handed records to
    /// the handler. Valid only while it equals the next offset.
    pub handed_over: Option<NextOffset>,
    /// What failed at `fail_offset`; valid only while that is the next offset.
    pub failure: Option<Failures>,
    /// Whether runs must leave this partition alone.
    pub paused: bool,
    /// When a run wrote the item last, in milliseconds since the epoch.
    pub updated_at_ms: Option<i64>,
    /// Where the cursor stood before an operator moved it last.
    pub previous: Option<NextOffset>,
    /// The operator's command that moved it last.
    pub command: Option<CommandId>,
    /// The bounds of the backfill that the cursor belongs to, if it belongs to one.
    pub backfill: Option<Arc<Bounds>>,
    /// Offsets that a run skipped or lost and had not reported when it crashed.
    pub unreported: Option<Arc<Unreported>>,
}

/// Why an item cannot be read as a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidCursor {
    /// The item, the attribute, its value, and what is expected. Without a full
    /// stop at its end.
    pub what: String,
    /// What to do next, as a sentence without its full stop. Empty where there
    /// is nothing to do.
    pub next: String,
}

impl InvalidCursor {
    /// An item that is invalid for the reason `what`.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            next: String::new(),
        }
    }

    /// The same, with what to do next.
    #[must_use]
    pub fn next(self, next: impl Into<String>) -> Self {
        Self {
            next: next.into(),
            ..self
        }
    }
}

impl From<InvalidCursor> for Error {
    fn from(invalid: InvalidCursor) -> Self {
        Self::new(ErrorType::InvalidCursor, invalid.what).next(invalid.next)
    }
}

/// As the message of its [`Error`].
impl fmt::Display for InvalidCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Error::from(self.clone()).message())
    }
}

impl std::error::Error for InvalidCursor {}

/// What a backfill reads of one partition, fixed when it is started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bounds {
    /// The first offset to read.
    pub from: NextOffset,
    /// The end, exclusive.
    pub to: NextOffset,
    /// The request as text: a backfill of the same name resumes only with the
    /// same request.
    pub requested: String,
}

/// The failures at one offset. Valid only while it is the next offset to read,
/// so moving a cursor resets them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failures {
    /// The record that failed.
    pub offset: NextOffset,
    /// How often that record was tried, over all runs.
    pub attempts: u32,
    /// How many runs crashed while the handler had that record alone.
    pub crashes: u32,
    /// The earliest time of the next attempt, in milliseconds since the epoch.
    pub next_try_at_ms: Option<i64>,
    /// The error of the last attempt. Never a record's value.
    pub error: Option<String>,
}

impl Failures {
    /// Failed attempts and crashes together.
    #[must_use]
    pub fn all_attempts(&self) -> u32 {
        self.attempts.saturating_add(self.crashes)
    }
}

/// How many records a run in quarantine hands to the handler at once. It
/// writes the cursor and a mark before each hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChunkLimit {
    /// Up to [`SMALL_CHUNK`], which bounds what a crash repeats.
    Small,
    /// One record: a crash is attributed to it.
    Single,
}

/// A 32nd of the largest chunk.
pub const SMALL_CHUNK: usize = 128;

impl ChunkLimit {
    /// How many records that is at most.
    #[must_use]
    pub fn records(self) -> usize {
        match self {
            Self::Small => SMALL_CHUNK,
            Self::Single => 1,
        }
    }

    /// The limit for a stored number of records.
    #[must_use]
    pub fn of(records: u64) -> Self {
        if records <= 1 { Self::Single } else { Self::Small }
    }
}

/// Limits the batch size up to an offset, because an earlier run crashed before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quarantine {
    /// The planned end of the crashed run; exclusive.
    pub until: NextOffset,
    /// How many records are handed to the handler at once.
    pub limit: ChunkLimit,
}

/// What earlier, crashed runs imply for the next run of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CrashHistory {
    /// The quarantine that the next run must apply.
    pub quarantine: Option<Quarantine>,
    /// How many runs crashed while the handler had the record at the cursor alone.
    pub crashes: u32,
    /// Whether the last of these crashes is that of the claim that is taken over.
    pub just_died: bool,
}

/// The state of the claim on a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimStatus {
    /// Not claimed.
    Free,
    /// Claimed by a live run until `until_ms`.
    Held {
        /// The claim's end, in milliseconds since the epoch.
        until_ms: i64,
    },
    /// The claim's run ended without its final write.
    Expired,
}

impl Cursor {
    /// A cursor at `next` with nothing else on its item.
    #[must_use]
    pub fn at(next: NextOffset) -> Self {
        Self {
            next,
            ..Self::default()
        }
    }

    /// The failures that still count: those that name the next offset.
    #[must_use]
    pub fn failures(&self) -> Option<&Failures> {
        self.failure.as_ref().filter(|failure| failure.offset == self.next)
    }

    /// The state of the claim at `now_ms`.
    ///
    /// | `claim_until` | status |
    /// |---|---|
    /// | none | free |
    /// | more than 92 minutes ahead | free: no run lasts that long |
    /// | ahead | held |
    /// | now or before | expired: its run crashed, or was frozen |
    #[must_use]
    pub fn claim_status(&self, now_ms: i64) -> ClaimStatus {
        match self.claim_until_ms {
            None => ClaimStatus::Free,
            Some(until) if until > now_ms.saturating_add(MAX_CLAIM_MS) => ClaimStatus::Free,
            Some(until_ms) if until_ms > now_ms => ClaimStatus::Held { until_ms },
            Some(_) => ClaimStatus::Expired,
        }
    }

    /// Until when a live run holds the partition at `now_ms`, in milliseconds
    /// since the epoch; `None`: no run does.
    #[must_use]
    pub fn held_until_ms(&self, now_ms: i64) -> Option<i64> {
        match self.claim_status(now_ms) {
            ClaimStatus::Held { until_ms } => Some(until_ms),
            ClaimStatus::Free | ClaimStatus::Expired => None,
        }
    }

    /// The crash history for a run that claims the partition at `now_ms`.
    ///
    /// | claim | `claim_chunk` | `handed_over` | limit up to `claim_to` | crashes at the cursor |
    /// |---|---|---|---|---|
    /// | none | any | any | as `claim_chunk` | as counted |
    /// | expired | none | any | small | as counted |
    /// | expired | small | not the next offset | small | as counted |
    /// | expired | small | the next offset | single | as counted |
    /// | expired | single | not the next offset | single | as counted |
    /// | expired | single | the next offset | single | one more |
    ///
    /// Without a mark at the cursor the handler had no record of this
    /// partition: the run ended before it handed one over.
    #[must_use]
    pub fn crash_history(&self, now_ms: i64) -> CrashHistory {
        let died = self.claim_status(now_ms) == ClaimStatus::Expired;
        let in_handler = died && self.handed_over == Some(self.next);
        let limit = match (died, self.claim_chunk) {
            (true, None) => Some(ChunkLimit::Small),
            (true, Some(_)) if in_handler => Some(ChunkLimit::Single),
            (_, limit) => limit,
        };
        let until = self.claim_to.filter(|until| *until > self.next);
        let counted = self.failures().map_or(0, |failure| failure.crashes);
        let just_died = in_handler && self.claim_chunk == Some(ChunkLimit::Single);
        CrashHistory {
            quarantine: until.zip(limit).map(|(until, limit)| Quarantine { until, limit }),
            crashes: counted.saturating_add(u32::from(just_died)),
            just_died,
        }
    }
}
