//! One run at work on one partition.

use std::fmt;

use kafka_consumer_lambda::claim::{Claim, CursorWrite, Flush, LastWrite, ObservedItem, RunId};
use kafka_consumer_lambda::ledger::Ledger;

use super::super::next;

/// Offsets, as bits.
pub(super) type Offsets = u8;

pub(super) fn below(end: i64) -> Offsets {
    (1 << end) - 1
}

/// The kinds of writes, by their conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    ClaimItem,
    ClaimNothing,
    Flush,
    Release,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Claim(ObservedItem, Claim),
    Flush(Flush),
    Release,
}

impl What {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Claim(ObservedItem::Present(_), _) => Kind::ClaimItem,
            Self::Claim(ObservedItem::Missing { .. }, _) => Kind::ClaimNothing,
            Self::Flush(_) => Kind::Flush,
            Self::Release => Kind::Release,
        }
    }
}

/// A write on its way, and how often it may be made again.
#[derive(Clone)]
pub(super) struct Attempt {
    pub(super) what: What,
    pub(super) write: CursorWrite,
    pub(super) again: u8,
}

/// The write says nothing that the rest does not say.
impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.what, self.again)
    }
}

#[derive(Debug, Clone)]
pub(super) enum Doing {
    Begin,
    Write(Attempt),
    /// No answer came; a read will tell.
    Doubt(Attempt),
    Work,
    Ended,
}

#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) id: RunId,
    pub(super) doing: Doing,
    pub(super) ledger: Ledger,
    /// The time that its last write bears.
    pub(super) stamp_ms: i64,
    /// Where a flush would have left the item of which it is not known whether it was applied.
    pub(super) unknown: Option<LastWrite>,
    pub(super) settled: Offsets,
    pub(super) flushed: bool,
    /// Another run has claimed the partition since, or the operator ended the claim.
    pub(super) lost: bool,
}

impl Run {
    pub(super) fn new(name: &str) -> Self {
        Self {
            id: RunId::new(name),
            doing: Doing::Begin,
            ledger: Ledger::new(next(0), (next(0), next(0)), 0, None, 0),
            stamp_ms: 0,
            unknown: None,
            settled: 0,
            flushed: false,
            lost: false,
        }
    }

    /// Nothing depends any more on what a run has done that has ended, unless
    /// a write of it may still arrive: fewer worlds to tell apart.
    pub(super) fn forget(&mut self, is_flying: bool) {
        *self = Self {
            doing: Doing::Ended,
            settled: if is_flying { self.settled } else { 0 },
            lost: is_flying && self.lost,
            ..Self::new(self.id.as_str())
        };
    }
}
