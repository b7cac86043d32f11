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
//! | [`pin_bounds`], a backfill's | the same, and its bounds | no item |
//! | [`claim`], item there | `run`, `claim_until`, `claim_to`; `claim_chunk` and `crashes` after a run that died; removes `handed_over` | `offset` and `claim_until` exactly as read, not `paused` |
//! | [`claim`], no item | the same, and the start, topic, group | no item |
//! | [`flush`], interim | `offset`, `handed_over`, `unreported` | `run` is ours, `offset` and `updated_at` as we left them, `claim_until` there |
//! | [`flush`], final | the same; removes the claim and what no longer applies | the same |
//! | [`release`] | removes the claim | `run` is ours |
//! | [`acknowledge`] | removes `unreported` | `updated_at` as read or as we left it |
//! | [`move_to`], an operator's | `offset`, `previous_offset`, `command_id`; removes all that runs left | `offset`, `claim_until` and `command_id` exactly as read |
//! | [`pause`], [`resume`], an operator's | sets or removes `paused` | an item |
//!
//! Each write of a run bears a time of its own (`updated_at`), and each flush
//! is conditional on that of the write before it: a flush that was applied
//! without an answer cannot be applied again over an operator's edit, even one
//! that puts the offset back to where it was. The end of a claim removes
//! `claim_until` and leaves `run`: so a write that was applied although its
//! answer was lost is recognised ([`judge_flush`]).
//!
//! # A record that kills the process
//!
//! It never gets to count itself: the item does. A run that dies leaves its
//! claim behind. That alone counts against no record: the run may have died
//! before it fetched anything. It only makes the next run careful, up to the
//! end that the dead one had planned ([`Cursor::crash_history`]): first with small
//! chunks, then record by record. Before each careful hand-over the run writes
//! a mark, `handed_over`, which names the offset at which the handler begins.
//! Only a claim that expires with a mark at its own cursor shows that the
//! process died while the handler had these records: it makes the chunks
//! smaller, and where it was one record, it counts as a crash of that record.
//! An operator who moves the cursor leaves the mark behind, and nothing counts.
//!
//! A process that dies between the mark and the hand-over cannot be told from
//! one that died in the handler, and counts alike.
//!
//! # What was passed over, and not reported yet
//!
//! A flush may move the cursor past records that were skipped or lost, long
//! before the run's report is written. They are noted on the item
//! (`unreported`) by the same write. The run removes the note once its report
//! is written; the next run reports the note of a run that died before.

mod cursor;
mod operator;
mod unreported;
mod verdict;
mod write;

use std::fmt;
use std::sync::Arc;

pub use cursor::{BatchLimit, Bounds, ClaimStatus, CrashGuard, CrashHistory, Cursor, Failures, SMALL_CHUNK};
pub use operator::{CommandId, judge_move, judge_pause, judge_resume, move_to, pause, resume};
pub use unreported::{PassedOver, Unreported};
pub use verdict::{Verdict, judge_claim, judge_flush};
pub use write::{Attribute, Clause, CursorWrite, Set};

use crate::record::NextOffset;

/// How long after its run's deadline a claim ends: time for the last write to
/// arrive, and for two clocks to differ.
pub const MARGIN_MS: i64 = 10_000;

/// A claim that ends later than this from now is not believed. A function runs
/// for 30 minutes at most, and for 90 on managed instances; two more are for
/// clocks that differ.
pub const LONGEST_BELIEVED_MS: i64 = 92 * 60 * 1000;

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
pub enum ObservedItem {
    /// No item; the partition starts here.
    Missing {
        /// The first offset to read.
        start: NextOffset,
    },
    /// This item.
    Present(Cursor),
}

impl ObservedItem {
    /// Where the stored cursor stands once the claim is written.
    #[must_use]
    pub fn stored(&self) -> NextOffset {
        match self {
            Self::Missing { start } => *start,
            Self::Present(cursor) => cursor.next,
        }
    }

    /// What is taken over from runs that died.
    #[must_use]
    pub fn crash_history(&self, now_ms: i64) -> CrashHistory {
        match self {
            Self::Missing { .. } => CrashHistory::default(),
            Self::Present(cursor) => cursor.crash_history(now_ms),
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

/// Stores where a backfill begins and ends in a partition.
#[must_use]
pub fn pin_bounds(bounds: &Arc<Bounds>, now_ms: i64) -> CursorWrite {
    let mut write = pin(bounds.from, now_ms);
    write.sets.push(Set::Backfill(bounds.clone()));
    write
}

/// Claims a partition for a run, and notes what it takes over from a run that
/// died: the care that is due, and a crash if it died with one record alone.
/// An operator's pause that was stored since the item was read refuses it.
#[must_use]
pub fn claim(observed: &ObservedItem, claim: &Claim) -> CursorWrite {
    let history = observed.crash_history(claim.now_ms);
    let to = history.guard.map_or(claim.to, |guard| guard.until.max(claim.to));
    let mut sets = vec![
        Set::Run(claim.run.clone()),
        Set::ClaimUntil(claim.until_ms),
        Set::ClaimTo(to),
        Set::UpdatedAt(claim.now_ms),
    ];
    match observed {
        ObservedItem::Missing { start } => {
            sets.extend([Set::Next(*start), Set::Identity]);
            CursorWrite {
                conditions: vec![Clause::ItemMissing],
                sets,
                removes: vec![],
            }
        }
        ObservedItem::Present(cursor) => {
            sets.extend(history.guard.map(|guard| Set::ClaimChunk(guard.limit)));
            if history.just_died {
                sets.push(Set::Failures(Failures {
                    offset: cursor.next,
                    crashes: history.crashes,
                    ..cursor.failures().cloned().unwrap_or_default()
                }));
            }
            CursorWrite {
                conditions: vec![
                    Clause::NextIs(cursor.next),
                    Clause::ClaimUntilIs(cursor.claim_until_ms),
                    Clause::NotPaused,
                ],
                sets,
                removes: [
                    vec![Attribute::HandedOver],
                    unless(history.guard.is_some(), &[Attribute::ClaimChunk]),
                ]
                .concat(),
            }
        }
    }
}

fn unless(there: bool, attributes: &[Attribute]) -> Vec<Attribute> {
    if there { vec![] } else { attributes.to_vec() }
}

/// The item as a run's last write left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastWrite {
    /// The cursor.
    pub next: NextOffset,
    /// The time that the write bears, in milliseconds since the epoch.
    pub updated_at_ms: i64,
}

/// How a flush leaves the claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It stays; more will follow.
    Interim,
    /// It ends. What is remembered of failures at the cursor, if anything is.
    Final(Option<Failures>),
}

/// A move of the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flush {
    /// The run whose claim it is.
    pub run: RunId,
    /// The item as the run left it.
    pub last_write: LastWrite,
    /// Where the cursor goes.
    pub next: NextOffset,
    /// The care that is still due from there on.
    pub guard: Option<CrashGuard>,
    /// Whether records are handed to the handler from there on, with care,
    /// once the write is acknowledged.
    pub hands_over: bool,
    /// What this run passed over in this partition and has not reported yet.
    pub unreported: Option<Arc<Unreported>>,
    /// Where a flush of this run, made before, would have left the item, if it
    /// is unknown whether it was applied.
    pub unknown: Option<LastWrite>,
    /// Whether the claim ends.
    pub ending: Ending,
    /// The wall clock, in milliseconds since the epoch.
    pub now_ms: i64,
}

impl Flush {
    /// The time that this write bears: never that of the write before it.
    #[must_use]
    pub fn stamp_ms(&self) -> i64 {
        self.now_ms.max(self.last_write.updated_at_ms.saturating_add(1))
    }

    /// Where this write leaves the item.
    #[must_use]
    pub fn as_last_write(&self) -> LastWrite {
        LastWrite {
            next: self.next,
            updated_at_ms: self.stamp_ms(),
        }
    }
}

/// Moves the cursor.
///
/// What speaks of failures or of care goes with the last write, unless it
/// still applies: neither may speak of an offset that is passed.
#[must_use]
pub fn flush(flush: &Flush) -> CursorWrite {
    let mut sets = vec![Set::Next(flush.next), Set::UpdatedAt(flush.stamp_ms())];
    let mut removes = unless(flush.guard.is_some(), &[Attribute::ClaimChunk]);
    removes.extend(unless(flush.hands_over, &[Attribute::HandedOver]));
    sets.extend(flush.hands_over.then_some(Set::HandedOver(flush.next)));
    sets.extend(flush.guard.map(|guard| Set::ClaimChunk(guard.limit)));
    sets.extend(flush.unreported.clone().map(Set::Unreported));
    if let Ending::Final(failures) = &flush.ending {
        removes.push(Attribute::ClaimUntil);
        removes.extend(unless(flush.guard.is_some(), &[Attribute::ClaimTo]));
        removes.extend(unless(failures.is_some(), &[Attribute::Failures]));
        sets.extend(flush.guard.map(|guard| Set::ClaimTo(guard.until)));
        sets.extend(failures.clone().map(Set::Failures));
    }
    CursorWrite {
        conditions: vec![
            Clause::RunIs(flush.run.clone()),
            Clause::NextIs(flush.last_write.next),
            Clause::UpdatedAtIs(flush.last_write.updated_at_ms),
            Clause::ClaimExists,
        ],
        sets,
        removes,
    }
}

/// Ends a claim without moving the cursor. The care that is due stays due.
#[must_use]
pub fn release(run: &RunId, guard: Option<CrashGuard>) -> CursorWrite {
    let mut removes = vec![Attribute::ClaimUntil, Attribute::HandedOver];
    removes.extend(unless(guard.is_some(), &[Attribute::ClaimTo, Attribute::ClaimChunk]));
    CursorWrite {
        conditions: vec![Clause::RunIs(run.clone())],
        sets: guard.map_or_else(Vec::new, |guard| {
            vec![Set::ClaimTo(guard.until), Set::ClaimChunk(guard.limit)]
        }),
        removes,
    }
}

/// Removes the note of what was not reported yet, once it is: from the item as
/// it was read, or as this run's last write left it. A run that has written the
/// item since has read the note, and reports it once more.
#[must_use]
pub fn acknowledge(updated_at_ms: i64) -> CursorWrite {
    CursorWrite {
        conditions: vec![Clause::UpdatedAtIs(updated_at_ms)],
        sets: vec![],
        removes: vec![Attribute::Unreported],
    }
}
