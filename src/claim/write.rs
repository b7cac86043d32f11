//! Conditional writes as data: what must be so, what is set, what is removed.

use std::sync::Arc;

use crate::claim::{BatchLimit, Bounds, CommandId, Failures, RunId, Unreported};
use crate::record::NextOffset;

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
    /// There is an item.
    ItemExists,
    /// The cursor stands here.
    NextIs(NextOffset),
    /// `claim_until` is exactly this; `None`: there is none.
    ClaimUntilIs(Option<i64>),
    /// The item was last written by this run.
    RunIs(RunId),
    /// There is a claim.
    ClaimExists,
    /// The item's last write by a run bears this time.
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
    /// `topic` and `group_id`, which settle what an ambiguous key means.
    Identity,
    /// The run that writes.
    Run(RunId),
    /// The claim's end, in milliseconds since the epoch.
    ClaimUntil(i64),
    /// The end that the run plans to reach, or up to which care is due.
    ClaimTo(NextOffset),
    /// How many records are handed over at once.
    ClaimChunk(BatchLimit),
    /// The offset from which records are handed over next, with care.
    HandedOver(NextOffset),
    /// What failed, where and how often.
    Failures(Failures),
    /// When this was written, in milliseconds since the epoch.
    UpdatedAt(i64),
    /// Runs leave the partition alone.
    Paused,
    /// Where the cursor stood before an operator moved it.
    Previous(NextOffset),
    /// The operator's command that moved it.
    Command(CommandId),
    /// The bounds of the backfill that the cursor belongs to.
    Backfill(Arc<Bounds>),
    /// What was passed over, and not reported yet.
    Unreported(Arc<Unreported>),
}

/// What can be removed from an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// The run that wrote the item last: it has no right to write again.
    Run,
    /// The claim's end: the claim itself.
    ClaimUntil,
    /// The planned end.
    ClaimTo,
    /// The size of chunks: no care is due.
    ClaimChunk,
    /// The mark of a hand-over.
    HandedOver,
    /// All that is remembered of failures.
    Failures,
    /// That runs leave the partition alone.
    Paused,
    /// What was passed over: it is reported.
    Unreported,
}
