//! Why the work on a partition ended: it decides the last write, and what the
//! report says.
//!
//! | end | last write | in the report |
//! |---|---|---|
//! | [`CaughtUp`](End::CaughtUp), [`ShareUsed`](End::ShareUsed), [`OutOfTime`](End::OutOfTime) | the cursor, with the failed tries of the record at it; or the release | |
//! | [`Blocked`](End::Blocked) | the cursor, with what failed there | `blocked` |
//! | [`Unread`](End::Unread) | as for `OutOfTime` | `unavailable` |
//! | [`Failed`](End::Failed) | as for `OutOfTime` | an error |
//! | [`NotClaimed`](End::NotClaimed) | the release: the claim may have been applied | an error |
//! | [`Held`](End::Held) | none: another run's or an operator's word counts | `held` |
//! | [`Paused`](End::Paused) | none | `paused` |
//! | [`ClaimLost`](End::ClaimLost) | none | an error |

use crate::claim::Failures;
use crate::error::{Error, ErrorType};
use crate::ledger::Stop;
use crate::record::NextOffset;

/// Why the work on a partition ended.
#[derive(Debug, Clone)]
pub(in crate::invoke) enum End {
    /// Settled up to the end seen at the start.
    CaughtUp,
    /// Its share of the limit is used.
    ShareUsed,
    /// The time is over, or the run was interrupted.
    OutOfTime,
    /// A record failed, and is not tried before its time.
    Blocked(Failures),
    /// It cannot be read on.
    Unread(Unread),
    /// The handler, the client or a write failed.
    Failed(Error),
    /// It is not known that the claim was written.
    NotClaimed(Error),
    /// Another run has the partition, or an operator edited its cursor.
    Held {
        /// Until when another run holds it, in milliseconds since the epoch.
        until_ms: Option<i64>,
    },
    /// An operator paused it.
    Paused,
    /// The claim expired, or another run took it over.
    ClaimLost(Error),
}

impl End {
    /// How a ledger's stop is an end, where nothing else is said.
    pub(super) fn of(stop: Stop) -> Self {
        match stop {
            Stop::CaughtUp => Self::CaughtUp,
            Stop::ShareUsed => Self::ShareUsed,
            // A ledger that failed without a reason: its record comes again.
            Stop::OutOfTime | Stop::Failed => Self::OutOfTime,
        }
    }

    /// Whether the cursor or the release is still to be written.
    pub(super) fn writes(&self) -> bool {
        match self {
            Self::CaughtUp
            | Self::ShareUsed
            | Self::OutOfTime
            | Self::Blocked(_)
            | Self::Unread(_)
            | Self::Failed(_)
            | Self::NotClaimed(_) => true,
            Self::Held { .. } | Self::Paused | Self::ClaimLost(_) => false,
        }
    }

    /// The error that the run fails with, where it is not made from the report's entry.
    pub(in crate::invoke) fn error(&self) -> Option<&Error> {
        match self {
            Self::Failed(error) | Self::NotClaimed(error) | Self::ClaimLost(error) => Some(error),
            Self::CaughtUp
            | Self::ShareUsed
            | Self::OutOfTime
            | Self::Blocked(_)
            | Self::Unread(_)
            | Self::Held { .. }
            | Self::Paused => None,
        }
    }
}

/// Why a partition could not be read on. It is no record's fault.
#[derive(Debug, Clone)]
pub(in crate::invoke) enum Unread {
    /// No broker answered for it: what was tried and came back.
    NoAnswer(String),
    /// Its log does not have this offset any more: it was cut while it was read.
    Gone(NextOffset),
    /// Its records came out of order.
    OutOfOrder,
    /// This program failed at this offset: a panic outside the handler.
    Defect(NextOffset, String),
}

impl Unread {
    /// The error type of a run that could not read the partition on.
    pub(in crate::invoke) fn error_type(&self) -> ErrorType {
        match self {
            Self::NoAnswer(_) | Self::Gone(_) | Self::OutOfOrder => ErrorType::BrokerUnreachable,
            Self::Defect(..) => ErrorType::PartitionBlocked,
        }
    }
}

/// What the table holds of this run's writes of one cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::invoke) enum Stored {
    /// This run moved nothing.
    #[default]
    Nothing,
    /// The cursor, as this run's last write left it.
    At(NextOffset),
    /// Whether the last write was applied is not known.
    Unknown,
}

impl Stored {
    /// The cursor, where it is known.
    pub(in crate::invoke) fn at(self) -> Option<NextOffset> {
        match self {
            Self::At(next) => Some(next),
            Self::Nothing | Self::Unknown => None,
        }
    }
}
