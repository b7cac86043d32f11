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
use crate::invoke::next_step;
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

/// What to do about brokers that do not serve a partition.
pub(in crate::invoke) const CHECK_BROKERS: &str =
    "If the next run fails here too, check the brokers with `kafka-consumer doctor`";

/// Why a partition could not be read on. It counts against no record.
#[derive(Debug, Clone)]
pub(in crate::invoke) enum ReadFailure {
    /// No broker served it from this offset on: what was tried, and the error.
    Unavailable(NextOffset, String),
    /// Its log does not have this offset any more: it was truncated meanwhile.
    OutOfRange(NextOffset),
    /// Its records from this offset on were not in ascending order.
    OutOfOrder(NextOffset),
    /// This program panicked at this offset, outside the handler.
    Panicked(NextOffset, String),
}

/// As in the report's `unavailable`.
impl fmt::Display for ReadFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(_, error) => f.write_str(error),
            Self::OutOfRange(offset) => write!(f, "the log no longer has offset {offset}"),
            Self::OutOfOrder(_) => f.write_str("its records arrived out of order"),
            Self::Panicked(offset, panic) => write!(f, "this program panicked at offset {offset}: {panic}"),
        }
    }
}

impl ReadFailure {
    /// The error of a run that could not read the partition on.
    pub(in crate::invoke) fn error(&self, partition: &TopicPartition, is_backfill: bool) -> Error {
        let unreachable = |what| Error::new(ErrorType::BrokerUnreachable, what);
        match self {
            Self::Unavailable(offset, error) => unreachable(format!(
                "{partition} could not be read from offset {offset} on: {error}. What was processed before is stored, \
                 and the next run reads on from there"
            ))
            .next(CHECK_BROKERS),
            Self::OutOfRange(offset) => unreachable(format!(
                "the log of {partition} no longer has offset {offset}: retention or a truncation overtook this run. \
                 What was processed before is stored; the next run decides by ON_RETENTION_LOSS or ON_TRUNCATION"
            )),
            Self::OutOfOrder(offset) => unreachable(format!(
                "the records of {partition} from offset {offset} on arrived out of order. What was processed before \
                 is stored, and the next run reads on from there"
            ))
            .next("If this repeats, report it, with the log of the run"),
            Self::Panicked(offset, panic) => {
                let what = format!(
                    "this program panicked while it read {partition} from offset {offset} on, outside the handler's \
                     calls: {panic}. This is a defect of this program or its handler, not of a record: no record \
                     counts as failed. What was processed before is stored, and the next run tries again"
                );
                let skip = next_step::skip(partition, *offset, is_backfill);
                Error::new(ErrorType::PartitionBlocked, what).next(format!(
                    "Report this, with the log of the run. If each run panics here, skip offset {offset}, which is \
                     then not processed: {skip}"
                ))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_failed_midway_names_its_offset_and_keeps_what_was_processed() {
        let at = NextOffset::ZERO;
        for failure in [
            ReadFailure::Unavailable(at, "it has no leader".into()),
            ReadFailure::OutOfRange(at),
            ReadFailure::OutOfOrder(at),
            ReadFailure::Panicked(at, "x".into()),
        ] {
            let message = failure.error(&TopicPartition::new("t", 1), false).message();
            for part in ["t-1", "offset 0", "What was processed before is stored"] {
                assert!(message.contains(part), "{message}");
            }
        }
    }
}
