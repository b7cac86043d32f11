//! Handles records: the [`Processor`] seam, one file per processor.

pub mod closure;
pub mod discard;
pub mod log;

use std::any::Any;
use std::future::Future;
use std::time::{Duration, Instant};

use crate::config::{Config, Destination};
use crate::record::Chunk;
use crate::text::cut;
use discard::Discard;
use log::Log;

/// Handles records. Implement it for work on whole chunks (one database
/// transaction, one batch request); for work on single records use
/// [`each`](closure::each) or [`json`](closure::json).
///
/// The contract between a run and a processor:
///
/// - A chunk is never empty, holds records of one partition in ascending order
///   of offset, and starts at the first record that is not settled.
/// - Calls for one partition are never concurrent; calls for different partitions
///   are, so `&self` is shared.
/// - **At least once.** If the process ends between a call and the write of the
///   cursor, the next run repeats the call. Make the work idempotent with
///   [`Record::id`](crate::record::Record::id).
/// - The future may be dropped at any `.await`, at the deadline or by an
///   interrupt. The next run reads the whole chunk again.
/// - The run retries: return a [`Failure::Retry`], do not loop.
pub trait Processor: Send + Sync {
    /// Handles a chunk, and returns how many of its records are settled.
    fn process(&self, chunk: &Chunk, run: &RunContext) -> impl Future<Output = Progress> + Send;

    /// Whether the processor decodes values itself. If so, the run does not check
    /// them against `MESSAGE_FORMAT` before the call.
    fn decodes(&self) -> bool {
        false
    }
}

/// How much of a chunk a processor has settled.
///
/// `settled` counts from the front: a hole cannot be expressed. Fewer than the
/// chunk holds and no `stop` means that the time ended.
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
}

/// Why a record is not settled. The text says what failed and what to do. It is
/// part of logs, reports and the cursor's item, so it must not hold a record's
/// value or a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The failure may pass: the record is tried again, in this run and in later
    /// ones, up to `MAX_ATTEMPTS` before `ON_FAILURE` applies.
    #[error("{0}")]
    Retry(String),
    /// This record can never be processed: `ON_FAILURE` applies without a retry.
    #[error("{0}")]
    Poison(String),
    /// No record can be processed, because of wrong credentials or a bug. The run
    /// stops and fails with `DestinationFailed`.
    #[error("{0}")]
    Fatal(String),
}

/// A failure's text is logged for each try of each record, cut to this length.
const LONGEST_FAILURE_BYTES: usize = 1_000;

impl Failure {
    /// The same, with a text of a bounded length.
    pub(crate) fn cut(self) -> Self {
        let cut = |text: String| cut(text, LONGEST_FAILURE_BYTES).into_owned();
        match self {
            Self::Retry(text) => Self::Retry(cut(text)),
            Self::Poison(text) => Self::Poison(cut(text)),
            Self::Fatal(text) => Self::Fatal(cut(text)),
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
}

impl RunContext {
    /// The time left for processing; zero once it has ended.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        #[expect(clippy::disallowed_methods, reason = "called by handlers, in real time")]
        self.stop_at.saturating_duration_since(Instant::now())
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

/// The processor that `DESTINATION` names.
#[derive(Debug, Clone, Copy)]
pub enum Configured {
    /// `log`.
    Log(Log),
    /// `discard`.
    Discard(Discard),
}

impl Configured {
    /// The processor for these settings.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        match config.destination {
            Destination::Log { values } => Self::Log(Log {
                format: config.message_format,
                values,
            }),
            Destination::Discard => Self::Discard(Discard),
        }
    }
}

impl Processor for Configured {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        match self {
            Self::Log(log) => log.process(chunk, run).await,
            Self::Discard(discard) => discard.process(chunk, run).await,
        }
    }
}
