//! Who may work on a partition, and what a refused write means.
//!
//! A **claim** is one run's right to move one cursor until a time. It lives on
//! the cursor's own item, so that an operator's edit of one cursor never
//! disturbs another. Every change of an item is one conditional write, made
//! here as data ([`CursorWrite`]) and carried out by a
//! [`Store`](crate::store::Store):
//!
//! | step | sets | condition |
//! |---|---|---|
//! | [`pin`] | the start, topic, group | no item |
//! | [`claim`], item there | `run`, `claim_until`, `claim_to`; `crashes` after a run that died | `offset` and `claim_until` exactly as read |
//! | [`claim`], no item | the same, and the start, topic, group | no item |
//! | [`flush`], interim | `offset` | `run` is ours, `offset` as we left it, `claim_until` there |
//! | [`flush`], final | the same; removes the claim and what no longer applies | the same |
//! | [`release`] | removes the claim | `run` is ours |
//!
//! The end of a claim removes `claim_until` and leaves `run`: so a write that
//! was applied although its answer was lost is recognised ([`judge_flush`]).

use std::fmt;
use std::sync::Arc;

use crate::record::NextOffset;

/// How long after its run's deadline a claim ends: time for the last write to
/// arrive, and for two clocks to differ.
pub const MARGIN_MS: i64 = 10_000;

/// A claim that ends later than this from now is not believed. Lambda ends
/// every run after 15 minutes; one more is for clocks that differ.
pub const LONGEST_BELIEVED_MS: i64 = 16 * 60 * 1000;

/// The name of one run, unique for each invocation and each try of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(Arc<str>);

impl RunId {
    /// A run's name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name as stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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
    /// What failed at `fail_offset`; counts only while that is the next offset.
    pub failure: Option<Failures>,
    /// Whether runs must leave this partition alone.
    pub paused: bool,
    /// When a run wrote the item last, in milliseconds since the epoch.
    pub updated_at_ms: Option<i64>,
}

/// What is remembered of failures at one offset. It counts only while it names
/// the next offset to read, so moving a cursor resets it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failures {
    /// The record that failed, or the first of the chunk that killed its run.
    pub offset: NextOffset,
    /// How often that record was tried, over all runs.
    pub attempts: u32,
    /// How many runs died with that offset as their next.
    pub crashes: u32,
    /// Not before this time may it be tried again, in milliseconds since the epoch.
    pub next_try_at_ms: Option<i64>,
    /// What was wrong at the last attempt. Never a record's value.
    pub error: Option<String>,
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
    /// | more than 16 minutes ahead | free: no run lasts that long |
    /// | ahead | held |
    /// | now or before | expired: its run died, or was frozen |
    #[must_use]
    pub fn standing(&self, now_ms: i64) -> Standing {
        match self.claim_until_ms {
            None => Standing::Free,
            Some(until) if until > now_ms.saturating_add(LONGEST_BELIEVED_MS) => Standing::Free,
            Some(until_ms) if until_ms > now_ms => Standing::Held { until_ms },
            Some(_) => Standing::Expired,
        }
    }
}

impl Default for NextOffset {
    fn default() -> Self {
        Self::ZERO
    }
}

/// Who holds a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
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

/// One conditional write of one item: all clauses hold, or nothing changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorWrite {
    /// What must be so.
    pub conditions: Vec<Clause>,
    /// What is set.
    pub sets: Vec<Set>,
    /// What is removed.
    pub removes: Vec<Attribute>,
}

/// One clause of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clause {
    /// There is no item.
    ItemMissing,
    /// The cursor stands here.
    NextIs(NextOffset),
    /// `claim_until` is exactly this; `None`: there is none.
    ClaimUntilIs(Option<i64>),
    /// The item was last written by this run.
    RunIs(RunId),
    /// There is a claim.
    ClaimExists,
}

/// One attribute with its new value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Set {
    /// The cursor, and with it `topic` and `group_id` where the item is new.
    Next(NextOffset),
    /// `topic` and `group_id`, which settle what an ambiguous key means.
    Identity,
    /// The run that writes.
    Run(RunId),
    /// The claim's end, in milliseconds since the epoch.
    ClaimUntil(i64),
    /// The end that the run plans to reach.
    ClaimTo(NextOffset),
    /// What failed, where and how often.
    Failures(Failures),
    /// When this was written, in milliseconds since the epoch.
    UpdatedAt(i64),
}

/// What can be removed from an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// The claim's end: the claim itself.
    ClaimUntil,
    /// The planned end.
    ClaimTo,
    /// All that is remembered of failures.
    Failures,
}

/// What a run puts on an item that it claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The claiming run.
    pub run: RunId,
    /// The claim's end, in milliseconds since the epoch: deadline plus [`MARGIN_MS`].
    pub until_ms: i64,
    /// The end that the run plans to reach.
    pub to: NextOffset,
    /// The wall clock, in milliseconds since the epoch.
    pub now_ms: i64,
}

/// What a run knows of a partition when it claims it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// No item; the partition starts here.
    Nothing {
        /// The first offset to read.
        start: NextOffset,
    },
    /// This item.
    Item(Cursor),
}

impl Seen {
    /// Where the stored cursor stands once the claim is written.
    #[must_use]
    pub fn stored(&self) -> NextOffset {
        match self {
            Self::Nothing { start } => *start,
            Self::Item(cursor) => cursor.next,
        }
    }
}

/// Stores a start position without a claim, so that it is the same for every
/// later run.
#[must_use]
pub fn pin(start: NextOffset, now_ms: i64) -> CursorWrite {
    CursorWrite {
        conditions: vec![Clause::ItemMissing],
        sets: vec![Set::Next(start), Set::Identity, Set::UpdatedAt(now_ms)],
        removes: vec![],
    }
}

/// Claims a partition for a run.
///
/// Taking over a claim that expired counts a crash at the offset where the
/// dead run left the cursor, and keeps the end which that run had planned if
/// it lies further on than ours: until there, care is due.
#[must_use]
pub fn claim(seen: &Seen, claim: &Claim) -> CursorWrite {
    let mut sets = vec![
        Set::Run(claim.run.clone()),
        Set::ClaimUntil(claim.until_ms),
        Set::UpdatedAt(claim.now_ms),
    ];
    match seen {
        Seen::Nothing { start } => {
            sets.extend([Set::Next(*start), Set::Identity, Set::ClaimTo(claim.to)]);
            CursorWrite {
                conditions: vec![Clause::ItemMissing],
                sets,
                removes: vec![],
            }
        }
        Seen::Item(cursor) => {
            sets.push(Set::ClaimTo(
                careful_until(cursor, claim.now_ms).map_or(claim.to, |end| end.max(claim.to)),
            ));
            if let Some(failures) = failures_after_takeover(cursor, claim.now_ms) {
                sets.push(Set::Failures(failures));
            }
            CursorWrite {
                conditions: vec![Clause::NextIs(cursor.next), Clause::ClaimUntilIs(cursor.claim_until_ms)],
                sets,
                removes: vec![],
            }
        }
    }
}

/// Up to where a run must go carefully because an earlier one died on the way;
/// `None` where none did.
#[must_use]
pub fn careful_until(cursor: &Cursor, now_ms: i64) -> Option<NextOffset> {
    let died = cursor.standing(now_ms) == Standing::Expired;
    let dying = cursor.failure.as_ref().is_some_and(|failure| failure.crashes > 0);
    cursor.claim_to.filter(|end| (died || dying) && *end > cursor.next)
}

/// How often runs have died at the cursor's offset, the one being taken over included.
#[must_use]
pub fn crashes_at_next(cursor: &Cursor, now_ms: i64) -> u32 {
    let before = cursor.failures().map_or(0, |failure| failure.crashes);
    before.saturating_add(u32::from(cursor.standing(now_ms) == Standing::Expired))
}

fn failures_after_takeover(cursor: &Cursor, now_ms: i64) -> Option<Failures> {
    if cursor.standing(now_ms) != Standing::Expired {
        return None;
    }
    let mut failures = cursor.failures().cloned().unwrap_or_default();
    failures.offset = cursor.next;
    failures.crashes = crashes_at_next(cursor, now_ms);
    Some(failures)
}

/// How a flush leaves the item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The claim stays; more will follow.
    Interim,
    /// The claim ends and all went well up to the cursor.
    Final,
    /// The claim ends because this failed at the cursor.
    Blocked(Failures),
}

/// Moves the cursor from `expected` to `next`.
///
/// Failures are removed once the cursor has passed them, and the planned end
/// once no crash is remembered: neither may speak of an offset that is gone.
#[must_use]
pub fn flush(run: &RunId, expected: NextOffset, next: NextOffset, ending: &Ending, now_ms: i64) -> CursorWrite {
    let mut sets = vec![Set::Next(next), Set::UpdatedAt(now_ms)];
    let mut removes = vec![];
    match ending {
        Ending::Interim => {}
        Ending::Final => removes.extend([Attribute::ClaimUntil, Attribute::ClaimTo, Attribute::Failures]),
        Ending::Blocked(failures) => {
            sets.push(Set::Failures(failures.clone()));
            removes.extend([Attribute::ClaimUntil, Attribute::ClaimTo]);
        }
    }
    CursorWrite {
        conditions: vec![
            Clause::RunIs(run.clone()),
            Clause::NextIs(expected),
            Clause::ClaimExists,
        ],
        sets,
        removes,
    }
}

/// Ends a claim without moving the cursor.
#[must_use]
pub fn release(run: &RunId) -> CursorWrite {
    CursorWrite {
        conditions: vec![Clause::RunIs(run.clone())],
        sets: vec![],
        removes: vec![Attribute::ClaimUntil, Attribute::ClaimTo],
    }
}

/// What became of a write, seen from the item that was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The item holds what was written: an earlier try had been applied.
    Applied,
    /// The item is still as it was before the write, so the write can be made again.
    NotApplied,
    /// The item was changed or deleted by hand, or another run was faster.
    Edited {
        /// Until when another run holds it, in milliseconds since the epoch.
        until_ms: Option<i64>,
    },
    /// Another run took the claim over.
    TakenOver {
        /// The other run.
        by: RunId,
    },
}

/// What a refused or unanswered [`claim`] means, by the item that is there now.
///
/// | item | verdict |
/// |---|---|
/// | our run and our `claim_until` | applied |
/// | exactly as it was seen | not applied |
/// | anything else | edited: a lost race, or an operator's change |
#[must_use]
pub fn judge_claim(seen: &Seen, claim: &Claim, now: Option<&Cursor>) -> Verdict {
    match (now, seen) {
        (Some(item), _) if item.run.as_ref() == Some(&claim.run) && item.claim_until_ms == Some(claim.until_ms) => {
            Verdict::Applied
        }
        (None, Seen::Nothing { .. }) => Verdict::NotApplied,
        (Some(item), Seen::Item(seen)) if item.next == seen.next && item.claim_until_ms == seen.claim_until_ms => {
            Verdict::NotApplied
        }
        (item, _) => Verdict::Edited {
            until_ms: item.and_then(|item| item.claim_until_ms),
        },
    }
}

/// What a refused or unanswered [`flush`] means, by the item that is there now.
///
/// | item | verdict |
/// |---|---|
/// | none | edited: deleted, and never brought back |
/// | our run, our new offset, and the claim as the flush leaves it | applied |
/// | our run, the old offset, the claim still there | not applied |
/// | another run | taken over |
/// | anything else | edited |
///
/// Where a flush leaves the offset as it was (a blocked record), only the
/// claim tells the two apart: the order of the rows is the order of the rules.
#[must_use]
pub fn judge_flush(
    run: &RunId,
    expected: NextOffset,
    next: NextOffset,
    ending: &Ending,
    now: Option<&Cursor>,
) -> Verdict {
    let Some(item) = now else {
        return Verdict::Edited { until_ms: None };
    };
    let claim_stays = *ending == Ending::Interim;
    match &item.run {
        Some(by) if by != run => Verdict::TakenOver { by: by.clone() },
        None => Verdict::Edited {
            until_ms: item.claim_until_ms,
        },
        Some(_) if item.next == next && item.claim_until_ms.is_some() == claim_stays => Verdict::Applied,
        Some(_) if item.next == expected && item.claim_until_ms.is_some() => Verdict::NotApplied,
        Some(_) => Verdict::Edited { until_ms: None },
    }
}
