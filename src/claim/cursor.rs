//! What an item of the table says, and what it says of the runs before.

use std::sync::Arc;

use crate::claim::{CommandId, LONGEST_BELIEVED_MS, RunId, Unreported};
use crate::record::NextOffset;

/// What an item of the table says, once read and checked.
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
    /// How many records the claim's run handed over at once, where it was careful.
    pub claim_chunk: Option<BatchLimit>,
    /// The offset at which a careful run handed records over: it counts only
    /// while that is the next offset.
    pub handed_over: Option<NextOffset>,
    /// What failed at `fail_offset`; counts only while that is the next offset.
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
    /// What a run passed over and did not report before it died.
    pub unreported: Option<Arc<Unreported>>,
}

/// What a backfill reads of one partition, fixed when it is started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bounds {
    /// The first offset to read.
    pub from: NextOffset,
    /// The end, exclusive.
    pub to: NextOffset,
    /// What was asked for, as text: a backfill of the same name goes on only if it is the same.
    pub asked: String,
}

/// What is remembered of failures at one offset. It counts only while it names
/// the next offset to read, so moving a cursor resets it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failures {
    /// The record that failed.
    pub offset: NextOffset,
    /// How often that record was tried, over all runs.
    pub attempts: u32,
    /// How many runs died with that record alone in their hands.
    pub crashes: u32,
    /// Not before this time may it be tried again, in milliseconds since the epoch.
    pub next_try_at_ms: Option<i64>,
    /// What was wrong at the last attempt. Never a record's value.
    pub error: Option<String>,
}

impl Failures {
    /// How often the record was tried, with and without an end.
    #[must_use]
    pub fn all_attempts(&self) -> u32 {
        self.attempts.saturating_add(self.crashes)
    }
}

/// How many records a careful run hands over at once; it writes the cursor and
/// a mark before each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BatchLimit {
    /// Up to [`SMALL_CHUNK`]: how much it must be repeated is bounded.
    Small,
    /// One: if the run dies, that record was in its hands and no other.
    Single,
}

/// A 32nd of the largest chunk.
pub const SMALL_CHUNK: usize = 128;

impl BatchLimit {
    /// How many records that is at most.
    #[must_use]
    pub fn records(self) -> usize {
        match self {
            Self::Small => SMALL_CHUNK,
            Self::Single => 1,
        }
    }

    /// The pace that a stored number stands for.
    #[must_use]
    pub fn of(records: u64) -> Self {
        if records <= 1 { Self::Single } else { Self::Small }
    }
}

/// Care is due up to an offset, because an earlier run died before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashGuard {
    /// The end that the dead run had planned to reach; exclusive.
    pub until: NextOffset,
    /// How many records are handed over at once.
    pub limit: BatchLimit,
}

/// What a run takes over from those that died before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CrashHistory {
    /// The care that is due.
    pub guard: Option<CrashGuard>,
    /// How many runs died with the record at the cursor alone in their hands.
    pub crashes: u32,
    /// Whether the last of them was the run whose claim is taken over.
    pub just_died: bool,
}

/// Who holds a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimStatus {
    /// Nobody.
    Free,
    /// A live run, until `until_ms` (since the epoch).
    Held {
        /// The claim's end, in milliseconds since the epoch.
        until_ms: i64,
    },
    /// A run that ended without a last write.
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

    /// Who holds the partition at `now_ms`.
    ///
    /// | `claim_until` | standing |
    /// |---|---|
    /// | none | free |
    /// | more than 92 minutes ahead | free: no run lasts that long |
    /// | ahead | held |
    /// | now or before | expired: its run died, or was frozen |
    #[must_use]
    pub fn claim_status(&self, now_ms: i64) -> ClaimStatus {
        match self.claim_until_ms {
            None => ClaimStatus::Free,
            Some(until) if until > now_ms.saturating_add(LONGEST_BELIEVED_MS) => ClaimStatus::Free,
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

    /// What a run that claims the partition at `now_ms` takes over.
    ///
    /// | the claim | its chunk | `handed_over` | care until `claim_to` | crashes at the cursor |
    /// |---|---|---|---|---|
    /// | none | any | any | as its chunk says | as counted |
    /// | expired | any size | any | small | as counted |
    /// | expired | small | not the next offset | small | as counted |
    /// | expired | small | the next offset | single | as counted |
    /// | expired | single | not the next offset | single | as counted |
    /// | expired | single | the next offset | single | one more |
    ///
    /// Without a mark at the cursor the handler had no record of this
    /// partition: the run died, or stopped without an answer, before it handed
    /// one over.
    #[must_use]
    pub fn crash_history(&self, now_ms: i64) -> CrashHistory {
        let died = self.claim_status(now_ms) == ClaimStatus::Expired;
        let in_handler = died && self.handed_over == Some(self.next);
        let limit = match (died, self.claim_chunk) {
            (true, None) => Some(BatchLimit::Small),
            (true, Some(_)) if in_handler => Some(BatchLimit::Single),
            (_, limit) => limit,
        };
        let until = self.claim_to.filter(|until| *until > self.next);
        let counted = self.failures().map_or(0, |failure| failure.crashes);
        let just_died = in_handler && self.claim_chunk == Some(BatchLimit::Single);
        CrashHistory {
            guard: until.zip(limit).map(|(until, limit)| CrashGuard { until, limit }),
            crashes: counted.saturating_add(u32::from(just_died)),
            just_died,
        }
    }
}
