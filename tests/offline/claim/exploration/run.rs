//! One run of one partition.

use std::fmt;
use std::rc::Rc;

use kafka_consumer_lambda::claim::{Claim, CursorWrite, Flush, LastWrite, ObservedItem, RunId};
use kafka_consumer_lambda::ledger::Ledger;

use super::super::next;

/// A set of offsets, as bits.
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

/// A write, and how often it may be repeated.
pub(super) struct Attempt {
    pub(super) what: What,
    pub(super) write: CursorWrite,
    pub(super) retries: u8,
}

/// Without the write, which follows from the rest.
impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.what, self.retries)
    }
}

#[derive(Debug, Clone)]
pub(super) enum Doing {
    Begin,
    Write(Rc<Attempt>),
    /// The write got no response; a read shows its result.
    Verify(Rc<Attempt>),
    Work,
    Ended,
}

#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) id: RunId,
    pub(super) doing: Doing,
    pub(super) ledger: Ledger,
    /// The timestamp of its last write.
    pub(super) stamp_ms: i64,
    /// The item as left by a flush of which it is unknown whether it was applied.
    pub(super) unknown: Option<LastWrite>,
    pub(super) settled: Offsets,
    pub(super) flushed: bool,
    /// Another run has claimed the partition since, or the operator removed the claim.
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

    /// Discards the history of a run that has ended, unless a write of it is still in flight: fewer
    /// worlds to distinguish.
    pub(super) fn discard_history(&mut self, is_in_flight: bool) {
        *self = Self {
            doing: Doing::Ended,
            settled: if is_in_flight { self.settled } else { 0 },
            lost: is_in_flight && self.lost,
            ..Self::new(self.id.as_str())
        };
    }
}
