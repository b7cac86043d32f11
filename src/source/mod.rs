//! Records from partitions: the [`Source`] seam.

pub mod kafka;
mod partition_queue;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use crate::error::Error;
use crate::record::{NextOffset, Record, TopicPartition};

pub use crate::record::{ListedOffset, Unavailable};

/// The end offsets of several topics. A topic that cannot be read is an error of
/// its own, and hides no other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndOffsets {
    /// The end offset of every partition of the topics that can be read, in ascending
    /// order of topic and partition.
    pub partitions: Vec<(TopicPartition, ListedOffset)>,
    /// Why the partitions of the other topics are unknown: `UnknownTopic`,
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

/// The result of a poll of one partition.
#[derive(Debug)]
pub enum Polled {
    /// Records in ascending order of offset, at least one.
    Records(Vec<Record>),
    /// The end of the partition was reached; all records before it were returned.
    End,
    /// The broker has no record at the assigned offset.
    OutOfRange,
    /// Records arrived out of order: reading on would skip some.
    OutOfOrder,
    /// No broker responds for this partition.
    Unavailable(Unavailable),
    /// The next batch is damaged, or of a format that this client cannot read.
    /// Reading on would skip it.
    Unreadable(String),
    /// The partition cannot be read on.
    Failed(Error),
}

/// Records from partitions that are read concurrently, each with errors of its
/// own.
///
/// A run first requests offsets, then [`assign`](Self::assign)s partitions,
/// polls each until it has enough, and [`unassign`](Self::unassign)s it. After
/// the last one nothing is fetched any more, and the source can be kept for the
/// next run. A source retries within the limits of a call; everything else is
/// left to the next run.
pub trait Source: Send + Sync {
    /// The end offset (the next to be written; with `read_committed` the last
    /// stable offset) of every partition of `topics`. It is the first request of a run: partitions that
    /// an earlier run left assigned are unassigned now.
    ///
    /// # Errors
    /// When no broker responds before `until`. Neither a topic that does not
    /// exist, or may not be read, is an error of the call, nor a partition
    /// without a leader.
    fn end_offsets(
        &self,
        topics: &[Arc<str>],
        until: Instant,
    ) -> impl Future<Output = Result<EndOffsets, Error>> + Send;

    /// The partitions whose end offsets changed between the last two results of
    /// [`end_offsets`](Self::end_offsets), or are new: there is most likely
    /// something to read. A hint, in ascending order: it may name too many, or
    /// none.
    fn changed_partitions(&self) -> Vec<TopicPartition> {
        vec![]
    }

    /// The earliest offsets of `partitions`, in the same order, or nothing: a
    /// hint, from one request that is not repeated.
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
    /// When no broker responds before `until`, or the topic of all of them may
    /// not be read.
    fn list_offsets(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
        until: Instant,
    ) -> impl Future<Output = Result<Vec<ListedOffset>, Error>> + Send;

    /// Starts to fetch these partitions at these offsets, besides those that
    /// are assigned already: all of them, or with an error none.
    ///
    /// # Errors
    /// When the client rejects it: a bug, not a state of the cluster.
    fn assign(&self, positions: &[(TopicPartition, NextOffset)]) -> Result<(), Error>;

    /// Waits for records or an event of an assigned partition, `POLL_TIMEOUT` at
    /// most without a byte from the brokers. May be dropped at any time without
    /// losing a record.
    fn poll(&self, partition: &TopicPartition, limit: Limit) -> impl Future<Output = Polled> + Send;

    /// Stops fetching these partitions. Those that are not assigned are ignored.
    fn unassign(&self, partitions: &[TopicPartition]);
}

/// Which offset of a partition to list, as in Kafka's `ListOffsets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The log start offset: the first that retention has left.
    Earliest,
    /// The end offset: with `read_committed` the last stable offset.
    Latest,
    /// The high watermark, whatever the isolation level: the end offset with the
    /// records of open transactions and those behind them.
    HighWatermark,
    /// The first record with this timestamp or a later one (milliseconds since
    /// the epoch). If there is none, an offset past every record: the caller
    /// takes the end offset.
    ForTimestamp(i64),
}
