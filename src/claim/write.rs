//! Conditional writes as data: conditions, attributes to set and to remove.

use std::sync::Arc;

use crate::claim::{Bounds, ChunkLimit, CommandId, Failures, RunId, Unreported};
use crate::record::NextOffset;

/// One conditional write of one item: it is applied if all clauses hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorWrite {
    /// The clauses that must hold.
    pub conditions: Vec<Clause>,
    /// The attributes to set.
    pub sets: Vec<Set>,
    /// The attributes to remove.
    pub removes: Vec<Attribute>,
}

/// One clause of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clause {
    /// There is no item.
    ItemMissing,
    /// There is an item.
    ItemExists,
    /// The cursor has this offset.
    NextIs(NextOffset),
    /// `claim_until` is exactly this; `None`: there is none.
    ClaimUntilIs(Option<i64>),
    /// The item was last written by this run.
    RunIs(RunId),
    /// There is a claim.
    ClaimExists,
    /// The item's last write by a run has this time.
    UpdatedAtIs(i64),
    /// Runs may work on the partition.
    NotPaused,
    /// The operator's command that moved the cursor last; `None`: none did.
    CommandIs(Option<CommandId>),
}

/// One attribute with its new value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Set {
    /// The cursor.
    Next(NextOffset),
    /// `topic` and `group_id`, which resolve an ambiguous key.
    Identity,
    /// The run that writes.
    Run(RunId),
    /// The claim's end, in milliseconds since the epoch.
    ClaimUntil(i64),
    /// The planned end of the run, or the end of the quarantine.
    ClaimTo(NextOffset),
    /// The chunk limit of the quarantine.
    ClaimChunk(ChunkLimit),
    /// The mark: the offset from which records are handed over next under a
    /// quarantine.
    HandedOver(NextOffset),
    /// What failed, where and how often.
    Failures(Failures),
    /// When this was written, in milliseconds since the epoch.
    UpdatedAt(i64),
    /// Runs skip the partition.
    Paused,
    /// The position before an operator's move.
    Previous(NextOffset),
    /// The operator's command that moved it.
    Command(CommandId),
    /// The bounds of the backfill that the cursor belongs to.
    Backfill(Arc<Bounds>),
    /// Skipped and lost offsets that are not reported yet.
    Unreported(Arc<Unreported>),
}

/// What can be removed from an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// The run that wrote the item last: its later writes are refused.
    Run,
    /// The claim's end: the claim itself.
    ClaimUntil,
    /// The planned end.
    ClaimTo,
    /// The chunk limit: the quarantine ends.
    ClaimChunk,
    /// The mark of a hand-over.
    HandedOver,
    /// All attributes of failures.
    Failures,
    /// The pause.
    Paused,
    /// The note of unreported offsets.
    Unreported,
}
