//! Where records come from: the [`Source`] seam.

pub mod kafka;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use crate::error::Error;
use crate::record::{NextOffset, Record, TopicPartition};

pub use crate::record::{ListedOffset, Unavailable};

/// The ends of several topics. A topic that cannot be read is an error of its
/// own, and hides no other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndOffsets {
    /// The end of every partition of the topics that can be read, in ascending
    /// order of topic and partition.
    pub partitions: Vec<(TopicPartition, ListedOffset)>,
    /// Why the partitions of the others are not known: `UnknownTopic`,
    /// `NotAuthorized`, or `BrokerUnreachable`.
    pub refused: BTreeMap<Arc<str>, Error>,
}

impl EndOffsets {
    /// The partitions, if all topics can be read.
    ///
    /// # Errors
    /// That of the first topic that cannot.
    pub fn all(self) -> Result<Vec<(TopicPartition, ListedOffset)>, Error> {
        self.refused.into_values().next().map_or(Ok(self.partitions), Err)
    }
}

/// How much one poll may return. At least one record is returned if there is
/// one, however large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Records at most.
    pub records: usize,
    /// Bytes of keys, values and headers at most.
    pub bytes: usize,
}

/// What a poll of one partition brought.
#[derive(Debug)]
pub enum Polled {
    /// Records in ascending order of offset, at least one.
    Records(Vec<Record>),
    /// The end of the partition was reached; all records before it were returned.
    End,
    /// The broker has no record at the offset asked for.
    OutOfRange,
    /// Nobody answers for this partition.
    Unavailable(Unavailable),
    /// What comes next is damaged, or of a kind that this client cannot read.
    /// Going on would pass over it.
    Unreadable(String),
    /// The partition cannot be read on.
    Failed(Error),
}

/// Records from partitions that are read side by side, each with errors of its
/// own.
///
/// A run first asks for offsets, then [`start`](Self::start)s partitions,
/// polls each until it has enough, and [`finish`](Self::finish)es it. After
/// the last partition is finished nothing is fetched any more, and the source
/// can be kept for the next run.
pub trait Source: Send + Sync {
    /// The end offset (the next to be written; with `read_committed` the last
    /// stable offset) of every partition of `topics`. It is the first request of a run: partitions that
    /// an earlier run has not finished are finished now.
    ///
    /// # Errors
    /// When no broker answers before `until`. Neither a topic that does not
    /// exist, or may not be read, is an error of the call, nor a partition
    /// without a leader.
    fn end_offsets(
        &self,
        topics: &[Arc<str>],
        until: Instant,
    ) -> impl Future<Output = Result<EndOffsets, Error>> + Send;

    /// The partitions whose ends have changed between the last two answers of
    /// [`ends`](Self::ends), or were told for the first time: there is most
    /// likely something to read. A hint, in ascending order: it may name too
    /// many, or none.
    fn changed_partitions(&self) -> Vec<TopicPartition> {
        vec![]
    }

    /// The earliest offsets of `partitions`, in the same order, or nothing: a
    /// hint, from one question that is not asked again.
    fn prefetch_earliest_offsets(
        &self,
        partitions: &[TopicPartition],
        until: Instant,
    ) -> impl Future<Output = Vec<ListedOffset>> + Send {
        let _ = (partitions, until);
        std::future::ready(vec![])
    }

    /// One offset for each of `partitions`, in the same order.
    ///
    /// # Errors
    /// When no broker answers before `until`, or the topic of all of them may
    /// not be read.
    fn list_offsets(
        &self,
        partitions: &[TopicPartition],
        what: OffsetSpec,
        until: Instant,
    ) -> impl Future<Output = Result<Vec<ListedOffset>, Error>> + Send;

    /// Starts to fetch these partitions at these offsets, beside those that
    /// are being read: all of them, or with an error none.
    ///
    /// # Errors
    /// When the client refuses: a bug, not a state of the cluster.
    fn assign(&self, positions: &[(TopicPartition, NextOffset)]) -> Result<(), Error>;

    /// Waits for something of a started partition. Ends by itself when the
    /// brokers are silent for longer than `POLL_TIMEOUT`. May be dropped at any
    /// time without losing a record.
    fn poll(&self, partition: &TopicPartition, limit: Limit) -> impl Future<Output = Polled> + Send;

    /// Stops fetching these partitions. Unknown ones are ignored.
    fn unassign(&self, partitions: &[TopicPartition]);
}

/// Which offset of a log to look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first offset that retention has left.
    Earliest,
    /// The end offset.
    Latest,
    /// The high watermark: the end with the records of open transactions, and
    /// what lies behind them, whatever the isolation level.
    HighWatermark,
    /// The first record with this timestamp or a later one (milliseconds since
    /// the epoch). If there is none, an offset past every record: the caller
    /// takes the end that it knows.
    ForTimestamp(i64),
}
