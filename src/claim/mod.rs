//! Claims on partitions, and the meaning of a refused write.
//!
//! A **claim** (elsewhere called a lease) is one run's exclusive permission to
//! move one cursor until a time. It is stored on the cursor's own item, so that
//! an operator's edit of one cursor never affects another. Every change of an item is one conditional write, made
//! here as data ([`CursorWrite`]) and carried out by a
//! [`Store`](crate::store::Store):
//!
//! | step | sets | condition |
//! |---|---|---|
//! | [`pin`] | the start, topic, group | no item |
//! | [`pin_bounds`], a backfill's | the same, and its bounds | no item |
//! | [`claim`], item there | `run`, `claim_until`, `claim_to`; `claim_chunk` and `crashes` after a crashed run; removes `handed_over` | `offset` and `claim_until` exactly as read, not `paused` |
//! | [`claim`], no item | the same, and the start, topic, group | no item |
//! | [`flush`], interim | `offset`, `handed_over`, `unreported` | `run` is ours, `offset` and `updated_at` as we left them, `claim_until` there |
//! | [`flush`], final | the same; removes the claim and what no longer applies | the same |
//! | [`release`] | removes the claim | `run` is ours |
//! | [`acknowledge`] | removes `unreported` | `updated_at` as read or as we left it |
//! | [`move_to`], an operator's | `offset`, `previous_offset`, `command_id`; removes what runs have stored | `offset`, `claim_until` and `command_id` exactly as read |
//! | [`pause`], [`resume`], an operator's | sets or removes `paused` | an item |
//!
//! Each write of a run has a time of its own (`updated_at`), and each flush is
//! conditional on that of the write before it: a flush whose response was lost
//! cannot be applied again over an operator's edit, even one that restores the
//! offset. The end of a claim removes `claim_until` and leaves `run`, so that
//! an applied write is recognised although its response was lost
//! ([`judge_flush`]).
//!
//! # Records that crash the process
//!
//! A crashed process cannot count its own crash, so the item does. A run that
//! crashes leaves its claim behind. That alone counts against no record: the
//! run may have crashed before it fetched anything. It only puts the next run
//! in quarantine up to the end that the crashed one had planned
//! ([`Cursor::crash_history`]): first with small chunks, then record by record.
//! Before each hand-over in quarantine the run writes a mark, `handed_over`, with the
//! offset at which the handler begins. Only a claim that expires with a mark at
//! its own cursor shows that the process crashed while the handler had these
//! records: it makes the chunks smaller, and a single record's crash is
//! counted. A move of the cursor by an operator invalidates the mark, and
//! nothing is counted.
//!
//! A crash between the mark and the hand-over cannot be distinguished from one
//! in the handler, and is counted in the same way.
//!
//! # Skipped and lost offsets that are not reported yet
//!
//! A flush may move the cursor past skipped or lost records long before the
//! run's report is written. The same write notes them on the item
//! (`unreported`). The run removes the note after its report is written; if it
//! crashes before, the next run reports the note.

mod cursor;
mod operator;
mod unreported;
mod verdict;
mod write;

use std::fmt;
use std::sync::Arc;

pub use cursor::{
    Bounds, ChunkLimit, ClaimStatus, CrashHistory, Cursor, Failures, InvalidCursor, Quarantine, SMALL_CHUNK,
};
pub use operator::{CommandId, judge_move, judge_pause, judge_resume, move_to, pause, resume};
pub use unreported::{PassedOver, Unreported};
pub use verdict::{Verdict, judge_claim, judge_flush};
pub use write::{Attribute, Clause, CursorWrite, Set};

use crate::record::NextOffset;

/// How long after its run's deadline a claim ends: time for the last write to
/// arrive, and for two clocks to differ.
pub const MARGIN_MS: i64 = 10_000;

/// A claim that ends later than this from now is ignored. A function runs for
/// 30 minutes at most, and for 90 on managed instances; two more are for clocks
/// that differ.
pub const MAX_CLAIM_MS: i64 = 92 * 60 * 1000;

/// The name of one run, unique for each invocation and each try of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(Arc<str>);

impl RunId {
    /// A run's name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name, shared.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
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

/// What a claim writes to the item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The claiming run.
    pub run: RunId,
    /// The claim's end, in milliseconds since the epoch: deadline plus [`MARGIN_MS`].
    pub until_ms: i64,
    /// The planned end of the run; exclusive.
    pub to: NextOffset,
    /// The wall clock, in milliseconds since the epoch.
    pub now_ms: i64,
}

/// The item as it was read: what a claim, a move or a pause is conditional on.
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

    /// What earlier, crashed runs imply for a run at `now_ms`.
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

/// Claims a partition for a run, and stores what follows from a crashed run: the
/// quarantine, and a crash if the handler had a single record. The write is
/// refused if an operator has paused the partition since the item was read.
#[must_use]
pub fn claim(observed: &ObservedItem, claim: &Claim) -> CursorWrite {
    let history = observed.crash_history(claim.now_ms);
    let to = history
        .quarantine
        .map_or(claim.to, |quarantine| quarantine.until.max(claim.to));
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
            sets.extend(history.quarantine.map(|quarantine| Set::ClaimChunk(quarantine.limit)));
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
                    unless(history.quarantine.is_some(), &[Attribute::ClaimChunk]),
                ]
                .concat(),
            }
        }
    }
}

fn unless(there: bool, attributes: &[Attribute]) -> Vec<Attribute> {
    if there { vec![] } else { attributes.to_vec() }
}

/// What a run's last write stored: the condition of its next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastWrite {
    /// The cursor.
    pub next: NextOffset,
    /// The write's `updated_at`, in milliseconds since the epoch.
    pub updated_at_ms: i64,
}

/// How a flush leaves the claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It stays; more will follow.
    Interim,
    /// It ends. The failures to store for the cursor, if any.
    Final(Option<Failures>),
}

/// A move of the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flush {
    /// The run whose claim it is.
    pub run: RunId,
    /// What the run's last write stored.
    pub last_write: LastWrite,
    /// Where the cursor goes.
    pub next: NextOffset,
    /// The quarantine that applies from there on.
    pub quarantine: Option<Quarantine>,
    /// Whether records are handed to the handler from there on, under the
    /// quarantine, once the write is acknowledged.
    pub hands_over: bool,
    /// What this run skipped or lost in this partition and has not reported yet.
    pub unreported: Option<Arc<Unreported>>,
    /// What an earlier flush of this run wrote, if it is unknown whether it was
    /// applied.
    pub unknown: Option<LastWrite>,
    /// Whether the claim ends.
    pub ending: Ending,
    /// The wall clock, in milliseconds since the epoch.
    pub now_ms: i64,
}

impl Flush {
    /// This write's `updated_at`: always later than that of the write before it.
    #[must_use]
    pub fn stamp_ms(&self) -> i64 {
        self.now_ms.max(self.last_write.updated_at_ms.saturating_add(1))
    }

    /// This write, as the condition of the next one.
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
/// The final write removes failures and the quarantine unless they still
/// apply: neither may refer to an offset that is passed.
#[must_use]
pub fn flush(flush: &Flush) -> CursorWrite {
    let mut sets = vec![Set::Next(flush.next), Set::UpdatedAt(flush.stamp_ms())];
    let mut removes = unless(flush.quarantine.is_some(), &[Attribute::ClaimChunk]);
    removes.extend(unless(flush.hands_over, &[Attribute::HandedOver]));
    sets.extend(flush.hands_over.then_some(Set::HandedOver(flush.next)));
    sets.extend(flush.quarantine.map(|quarantine| Set::ClaimChunk(quarantine.limit)));
    sets.extend(flush.unreported.clone().map(Set::Unreported));
    if let Ending::Final(failures) = &flush.ending {
        removes.push(Attribute::ClaimUntil);
        removes.extend(unless(flush.quarantine.is_some(), &[Attribute::ClaimTo]));
        removes.extend(unless(failures.is_some(), &[Attribute::Failures]));
        sets.extend(flush.quarantine.map(|quarantine| Set::ClaimTo(quarantine.until)));
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

/// Ends a claim without moving the cursor. The quarantine stays.
#[must_use]
pub fn release(run: &RunId, quarantine: Option<Quarantine>) -> CursorWrite {
    let mut removes = vec![Attribute::ClaimUntil, Attribute::HandedOver];
    removes.extend(unless(
        quarantine.is_some(),
        &[Attribute::ClaimTo, Attribute::ClaimChunk],
    ));
    CursorWrite {
        conditions: vec![Clause::RunIs(run.clone())],
        sets: quarantine.map_or_else(Vec::new, |quarantine| {
            vec![Set::ClaimTo(quarantine.until), Set::ClaimChunk(quarantine.limit)]
        }),
        removes,
    }
}

/// Removes the note of unreported offsets after the report is written, if the
/// item is as it was read or as this run's last write stored it. A run that has
/// written the item since has read the note, and reports it once more.
#[must_use]
pub fn acknowledge(updated_at_ms: i64) -> CursorWrite {
    CursorWrite {
        conditions: vec![Clause::UpdatedAtIs(updated_at_ms)],
        sets: vec![],
        removes: vec![Attribute::Unreported],
    }
}
