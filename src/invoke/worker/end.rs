//! Why the work on a partition ended. It decides the last write and the entry
//! in the report.
//!
//! | end | last write | in the report |
//! |---|---|---|
//! | [`CaughtUp`](EndReason::CaughtUp), [`ShareUsed`](EndReason::ShareUsed), [`OutOfTime`](EndReason::OutOfTime) | the cursor, with the failed tries of the record at it; or the release | |
//! | [`Blocked`](EndReason::Blocked) | the cursor, with what failed there | `blocked` |
//! | [`ReadFailed`](EndReason::ReadFailed) | as for `OutOfTime` | `unavailable` |
//! | [`Failed`](EndReason::Failed) | as for `OutOfTime` | an error |
//! | [`NotClaimed`](EndReason::NotClaimed) | the release: the claim may have been applied | an error |
//! | [`Held`](EndReason::Held) | none: another run or an operator has changed the item | `held` |
//! | [`Paused`](EndReason::Paused) | none | `paused` |
//! | [`ClaimLost`](EndReason::ClaimLost) | none | an error |

use std::fmt;

use crate::claim::Failures;
use crate::error::{Error, ErrorType};
use crate::ledger::Stop;
use crate::record::{NextOffset, TopicPartition};

/// Why the work on a partition ended.
#[derive(Debug, Clone)]
pub(in crate::invoke) enum EndReason {
    /// Settled up to the end seen at the start.
    CaughtUp,
    /// Its share of the limit is used.
    ShareUsed,
    /// The run's time ended, or it was interrupted.
    OutOfTime,
    /// A record failed, and is tried again by a later run.
    Blocked(Failures),
    /// Its records could not be read.
    ReadFailed(ReadFailure),
    /// The handler, the client or a write failed.
    Failed(Error),
    /// The claim was not written, or that is unknown.
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

impl EndReason {
    /// The reason for a ledger's stop, where the worker has none of its own.
    pub(super) fn of(stop: Stop) -> Self {
        match stop {
            Stop::CaughtUp => Self::CaughtUp,
            Stop::ShareUsed => Self::ShareUsed,
            // A ledger that failed without a reason: the next run reads the record again.
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
            | Self::ReadFailed(_)
            | Self::Failed(_)
            | Self::NotClaimed(_) => true,
            Self::Held { .. } | Self::Paused | Self::ClaimLost(_) => false,
        }
    }

    /// The error of the run, where it does not follow from an entry of the report.
    pub(in crate::invoke) fn error(&self) -> Option<&Error> {
        match self {
            Self::Failed(error) | Self::NotClaimed(error) | Self::ClaimLost(error) => Some(error),
            Self::CaughtUp
            | Self::ShareUsed
            | Self::OutOfTime
            | Self::Blocked(_)
            | Self::ReadFailed(_)
            | Self::Held { .. }
            | Self::Paused => None,
        }
    }
}

/// Why a partition could not be read on. It counts against no record.
#[derive(Debug, Clone)]
pub(in crate::invoke) enum ReadFailure {
    /// No broker responded for it: what was tried, and the error.
    Unavailable(String),
    /// Its log does not have this offset any more: it was truncated meanwhile.
    OutOfRange(NextOffset),
    /// Its records were not in ascending order.
    OutOfOrder,
    /// This program panicked at this offset, outside the handler.
    Panicked(NextOffset, String),
}

/// As in the report's `unavailable`.
impl fmt::Display for ReadFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(error) => f.write_str(error),
            Self::OutOfRange(offset) => write!(f, "the log no longer has offset {offset}"),
            Self::OutOfOrder => f.write_str("its records came out of order"),
            Self::Panicked(offset, panic) => write!(f, "this program failed at offset {offset}: {panic}"),
        }
    }
}

impl ReadFailure {
    /// The error of a run that could not read the partition on.
    pub(in crate::invoke) fn error(&self, partition: &TopicPartition) -> Error {
        let unreachable = |what| Error::new(ErrorType::BrokerUnreachable, what);
        match self {
            Self::Unavailable(error) => unreachable(format!(
                "no broker responded for {partition}: {error}. Its cursor was not changed; the next run tries again"
            )),
            Self::OutOfRange(offset) => unreachable(format!(
                "the log of {partition} no longer has offset {offset}: retention or a truncation overtook this run. \
                 What was processed before is stored; the next run decides by ON_RETENTION_LOSS or ON_TRUNCATION"
            )),
            Self::OutOfOrder => unreachable(format!(
                "the records of {partition} came out of order. What was processed before is stored; the next run \
                 reads on from there"
            )),
            Self::Panicked(offset, panic) => {
                let what = format!(
                    "this program failed while it read {partition} from offset {offset} on, outside the handler: \
                     {panic}. No record counts as failed; what was processed before is stored, and the next run tries \
                     again"
                );
                Error::new(ErrorType::PartitionBlocked, what)
                    .next("Report this, with the log of the run; to go on meanwhile, move the cursor past the record")
            }
        }
    }
}

/// The cursor in the table, as far as this run has written it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::invoke) enum Stored {
    /// This run has not moved it.
    #[default]
    Nothing,
    /// Moved to this offset by this run's last write.
    At(NextOffset),
    /// It is unknown whether the last write was applied.
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
