//! What happens to records: the [`Processor`] seam, one file per processor.

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

/// What happens to records. Implement it for work on whole chunks (one
/// database transaction, one batch request); for work on single records use
/// [`each`](closure::each) or [`json`](closure::json).
///
/// The contract between a run and a processor:
///
/// - A chunk is never empty, holds records of one partition in ascending order
///   of offset, and begins at the first record that is not settled yet.
/// - Never two calls at once for one partition; several at once for different
///   partitions, so `&self` is shared.
/// - **At least once.** A run that dies between a call and the write of the
///   cursor repeats the call in the next run. Make the work idempotent with
///   [`Record::id`](crate::record::Record::id).
/// - The future may be dropped at any `.await`, when the time is over. What it
///   had not reported as settled comes again in the next run.
/// - Retries are the run's: report a [`Failure::Retry`], do not loop.
pub trait Processor: Send + Sync {
    /// Handles a chunk and says how many of its records are settled.
    fn process(&self, chunk: &Chunk, run: &RunContext) -> impl Future<Output = Progress> + Send;

    /// Whether the processor decodes values itself. Then the run hands over
    /// values without checking them against `MESSAGE_FORMAT` first.
    fn decodes(&self) -> bool {
        false
    }
}

/// How far a processor came with a chunk.
///
/// `settled` counts from the front: a hole cannot be expressed. Fewer than the
/// chunk holds and no `stop` means that the time was over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// How many records, from the first on, are done for good.
    pub settled: usize,
    /// What went wrong with the record after those.
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

/// Why a record is not settled. The text says what is wrong and what to do; it
/// is shown in reports and stored on the cursor's item, so it must hold no
/// value of a record and no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// This may pass: try again, in this run and in later ones.
    #[error("{0}")]
    Retry(String),
    /// This record can never be processed.
    #[error("{0}")]
    Poison(String),
    /// Nothing can be processed: wrong credentials, a bug. The run stops.
    #[error("{0}")]
    Fatal(String),
}

/// A failure's text is logged for each try of each record: longer ones are cut.
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

/// What a processor may know of the run it works for.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// When the time for processing is over. What is settled by then is saved.
    pub stop_at: Instant,
    /// Which attempt this is for the first record of the chunk: 1 for the first, over all runs.
    pub attempt: u32,
}

impl RunContext {
    /// The time left for processing; zero once it is over.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        #[expect(clippy::disallowed_methods, reason = "a handler asks while it works")]
        self.stop_at.saturating_duration_since(Instant::now())
    }
}

/// What a processor said that panicked.
pub(crate) fn panic_words(panic: &(dyn Any + Send)) -> &str {
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
