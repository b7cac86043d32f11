//! Handles records: the [`Processor`] seam, the processors made from functions, and routes to several of them.

pub(crate) mod any;
pub mod by_key;
pub mod closure;
pub mod routes;
pub(crate) mod run_memory;

use std::any::Any;
use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[doc(inline)]
pub use crate::decode::DecodeError;
use crate::record::Chunk;
use crate::text::cut;
pub(crate) use run_memory::RunMemory;

/// Handles records. Implement it for work on whole chunks (one
/// database transaction, one batch request); for work on single records use
/// [`each`](closure::each) or [`json`](closure::json).
///
/// The contract between a run and a processor:
///
/// - A chunk is never empty, holds records of one partition in ascending order
///   of offset, and begins at the first record that is not settled yet.
/// - Never two calls at once for one partition; several at once for different
///   partitions, so `&self` is shared. Only [`by_key`](by_key::by_key) makes several calls at once for one
///   partition: their records then have different keys, or none, and each call's are consecutive among those of
///   their keys.
/// - **At least once.** If the process ends between a call and the write of the
///   cursor, the next run repeats the call. Make the work idempotent with
///   [`Record::id`](crate::record::Record::id).
/// - The future may be dropped at any `.await`, at the deadline or by an
///   interrupt. The next run reads the whole chunk again.
/// - The run retries: return a [`Failure::Retry`], do not loop.
/// - A panic is a failed attempt. The records of the chunk are then handed over
///   one at a time, so that it counts against the record that causes it alone.
///
/// ```
/// use kafka_consumer_lambda::Failure;
/// use kafka_consumer_lambda::processor::{Processor, Progress, RunContext};
/// use kafka_consumer_lambda::record::Chunk;
///
/// /// Stores each chunk in one transaction.
/// struct Orders {
///     database: Database,
/// }
///
/// impl Processor for Orders {
///     async fn process(&self, chunk: &Chunk, _run: &RunContext) -> Progress {
///         let rows = chunk.records().iter().map(|record| (record.id(), record.value.clone()));
///         match self.database.insert_all(rows.collect()).await {
///             Ok(()) => Progress::all(chunk),
///             Err(error) => Progress {
///                 settled: 0,
///                 stop: Some(Failure::Retry(error.to_string())),
///             },
///         }
///     }
/// }
/// # struct Database;
/// # impl Database {
/// #     async fn insert_all<T>(&self, _: Vec<T>) -> Result<(), std::io::Error> { Ok(()) }
/// # }
/// # fn is_a_processor(orders: Orders) -> impl Processor { orders }
/// ```
pub trait Processor: Send + Sync {
    /// Handles a chunk, and returns how many of its records are settled.
    fn process(&self, chunk: &Chunk, run: &RunContext) -> impl Future<Output = Progress> + Send;

    /// Whether the processor decodes the values of `topic` itself. If so, the run does
    /// not check them against `MESSAGE_FORMAT` before the call.
    fn decodes(&self, topic: &str) -> bool {
        let _ = topic;
        false
    }

    /// How many records of `topic` a call takes at best, because each call costs the
    /// same. The run then fills chunks up to this number where it can. `None`: the run
    /// finds a number by the time that calls take.
    fn batch_size(&self, topic: &str) -> Option<NonZeroUsize> {
        let _ = topic;
        None
    }

    /// How many batches of one partition of `topic` are handled at once.
    /// [`by_key`](by_key::by_key) sets it. Above 1, the run hands over chunks of several
    /// times as many, so that all of them have work.
    fn parallelization_factor(&self, topic: &str) -> NonZeroUsize {
        let _ = topic;
        NonZeroUsize::MIN
    }

    /// Whether the records of `topic` may be handed over. If not, a run fails at its start with
    /// `InvalidConfiguration`, and a pushed batch with `InvalidEvent`, before any record is handed over.
    fn takes(&self, topic: &str) -> bool {
        let _ = topic;
        true
    }
}

/// How much of a chunk was processed.
///
/// `settled` counts from the front: a hole cannot be expressed. Fewer than the
/// chunk holds and no `stop` means that the time ran out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// How many records, from the first on, are processed and need no retry.
    pub settled: usize,
    /// The failure of the record after those.
    pub stop: Option<Failure>,
}

impl Progress {
    /// Every record of `chunk` is settled.
    #[must_use]
    pub fn all(chunk: &Chunk) -> Self {
        Self {
            settled: chunk.len(),
            stop: None,
        }
    }

    /// The progress of `part`, which has records behind it in its chunk. A failure behind the whole
    /// part would count as that of the next record, which another call gets.
    pub(crate) fn checked(self, part: &Chunk) -> Self {
        let settled = self.settled.min(part.len());
        let stop = self.stop.map(|failure| {
            if settled < part.len() {
                return failure;
            }
            let (partition, first) = (part.partition(), part.records()[0].offset);
            Failure::Fatal(format!(
                "the handler settled all records of {partition} that it was given, from offset {first} on, and \
                 returned a failure: {failure}"
            ))
        });
        Self { settled, stop }
    }
}

/// Why a record is not settled. The text names what is wrong and what to do; it
/// is logged, shown in reports and stored on the cursor's item, so it must hold
/// no value of a record and no secret. It is cut at 1,000 bytes.
///
/// ```
/// use kafka_consumer_lambda::Failure;
///
/// fn failure_of(status: u16) -> Failure {
///     match status {
///         400 => Failure::Poison("the service rejected the order".into()),
///         401 | 403 => Failure::Fatal("the service rejected the credentials: renew API_TOKEN".into()),
///         _ => Failure::Retry(format!("the service returned {status}")),
///     }
/// }
/// # assert_eq!(failure_of(503), Failure::Retry("the service returned 503".into()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Temporary. The record is tried again a few times in this run, then in later runs after a back-off of 1 to 15
    /// minutes. Where `ON_FAILURE` is not `halt`, it applies after `MAX_ATTEMPTS` attempts.
    #[error("{0}")]
    Retry(String),
    /// This record can never be processed. It is not tried again before `ON_FAILURE` applies.
    #[error("{0}")]
    Poison(String),
    /// As [`Poison`](Self::Poison), because the record's value cannot be decoded. [`json`](closure::json) returns it.
    /// Neighbouring records that are skipped for the same reason are one entry of the report.
    #[error(transparent)]
    Undecodable(DecodeError),
    /// The destination is throttled, or not ready. The record is not the cause, and no
    /// attempt is counted: the run waits, and tries again until its time ends, or until it
    /// has been refused six times in a row while other partitions wait to be read.
    #[error("{0}")]
    Throttled(String),
    /// No record can be processed: wrong credentials, a bug. The partitions of the topic stop, and the run fails with
    /// `DestinationFailed`. No attempt is counted.
    #[error("{0}")]
    Fatal(String),
}

/// A failure's text is logged for each try of each record, cut to this length.
const MAX_FAILURE_BYTES: usize = 1_000;

impl Failure {
    /// The same, with a text of a bounded length.
    pub(crate) fn cut(self) -> Self {
        self.map_text(|text| cut(text, MAX_FAILURE_BYTES).into_owned())
    }

    /// The same, with another text; an undecodable record keeps its own.
    pub(crate) fn map_text(self, map: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Retry(text) => Self::Retry(map(text)),
            Self::Poison(text) => Self::Poison(map(text)),
            Self::Undecodable(error) => Self::Undecodable(error),
            Self::Throttled(text) => Self::Throttled(map(text)),
            Self::Fatal(text) => Self::Fatal(map(text)),
        }
    }
}

/// The call's context, for a processor.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// When the time for processing ends. What is settled by then is stored.
    pub stop_at: Instant,
    /// The number of this attempt for the first record of the chunk, over all runs: 1 for the first.
    pub attempt: u32,
    /// Identifies the run: two calls with the same text are of one run.
    pub run_id: Arc<str>,
    /// The name of the cursors, `KAFKA_GROUP_ID`.
    pub group_id: Arc<str>,
    /// How many offsets of the partition lie behind the chunk, up to the end seen at
    /// the start of the run; `None` for a pushed batch or a redrive.
    pub lag: Option<u64>,
}

impl RunContext {
    /// The time left for processing; zero once it has ended.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        #[expect(clippy::disallowed_methods, reason = "called by handlers, in real time")]
        self.stop_at.saturating_duration_since(Instant::now())
    }

    /// The context of a call with `part` of `chunk`.
    pub(crate) fn of_part(&self, part: &Chunk, chunk: &Chunk) -> Self {
        let begins_at = |chunk: &Chunk| chunk.records().first().map(|first| first.offset);
        let last_offset = |chunk: &Chunk| chunk.records().last().map_or(0, |last| last.offset);
        let behind = u64::try_from(last_offset(chunk) - last_offset(part)).unwrap_or(0);
        Self {
            attempt: if begins_at(part) == begins_at(chunk) {
                self.attempt
            } else {
                1
            },
            lag: self.lag.map(|lag| lag + behind),
            ..self.clone()
        }
    }
}

/// The message of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
