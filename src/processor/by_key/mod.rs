//! Parallel work within a partition: records of one key in order, different keys at once.

mod schedule;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use super::run_memory::RunMemory;
use super::{Failure, Processor, Progress, RunContext, panic_message};
use crate::record::{Chunk, Record};
use schedule::{Known, Schedule};

/// A processor that hands the records of a partition to `handler` in up to `n` calls at once.
///
/// Records with the same key are handled in the order of their offsets, and never
/// at once. Keys are compared by their bytes. Different keys are handled side by
/// side, and records without a key have no order among themselves. With an `n` of 1, `handler` gets
/// the chunks as they are.
///
/// - **Calls.** A call has up to [`batch_size`](Processor::batch_size) records of the
///   handler, or one where it has none. The calls of a partition share a thread: a
///   handler that blocks its thread, or that computes, does not become faster.
/// - **Settled** is a prefix as ever, and so is the cursor: up to the first record that is not handled.
/// - **Failures.** A record that fails holds back the records of its key. Other keys go
///   on to the end of the chunk. The failure of the first record that is not handled is then that of the chunk.
///   What was handled behind it is not handled again in this run. The next run does, because only the
///   cursor is stored. A failure further behind is kept until its record is the first, so
///   that each attempt counts once.
/// - **A panic** is a failed attempt of its call alone: what the others did is kept. Of a call with several
///   records, each is then handed over alone, so that it counts against the record that causes it.
/// - **Time.** When [`stop_at`](RunContext::stop_at) is reached, calls in flight are dropped if a record
///   before them is settled, so that this is stored.
///
/// ```
/// use kafka_consumer_lambda::processor::Processor;
/// use kafka_consumer_lambda::{Failure, Record, by_key, each};
///
/// async fn store(record: Record) -> Result<(), Failure> {
///     # let _ = record;
///     Ok(()) // 20 ms of waiting for a database
/// }
///
/// // Up to 16 records of each partition at once.
/// let handler = by_key(16, each(store));
/// assert_eq!(handler.parallelization_factor("orders").get(), 16);
/// ```
///
/// # Panics
///
/// If `n` is 0.
pub fn by_key<P: Processor>(n: usize, handler: P) -> ByKey<P> {
    let Some(n) = NonZeroUsize::new(n) else {
        panic!("by_key(0, ...) would handle no record; the least is 1");
    };
    ByKey {
        most: n,
        handler,
        memory: RunMemory::default(),
    }
}

/// A processor that [`by_key`] returns.
#[derive(Debug)]
pub struct ByKey<P> {
    /// The most calls of one partition at once.
    most: NonZeroUsize,
    handler: P,
    memory: RunMemory<Beyond>,
}

/// What calls of one run have shown of the records of one partition beyond those that
/// the run has as settled.
#[derive(Debug, Default)]
struct Beyond {
    done: BTreeSet<i64>,
    /// Failures that the run does not have yet.
    failed: BTreeMap<i64, Failure>,
}

impl Beyond {
    fn known(&self, offset: i64) -> Known {
        if self.done.contains(&offset) {
            return Known::Done;
        }
        self.failed.get(&offset).cloned().map_or(Known::Open, Known::Failed)
    }

    /// `progress` of `chunk`, the schedule's outcome, is returned to the run.
    fn report(&mut self, chunk: &Chunk, progress: &Progress, schedule: &Schedule) {
        let records = chunk.records();
        for record in &records[..progress.settled] {
            self.done.remove(&record.offset);
        }
        for record in records {
            self.failed.remove(&record.offset);
        }
        let behind = schedule.failures_behind();
        self.failed
            .extend(behind.map(|(index, failure)| (records[index].offset, failure.clone().cut())));
    }
}

/// A call that ended.
struct Ended {
    /// The indexes of its records in the chunk.
    batch: Vec<usize>,
    /// What it returned, or the message of its panic.
    result: Result<Progress, String>,
    took: Duration,
}

impl<P: Processor> ByKey<P> {
    async fn side_by_side(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        let mut schedule = self.schedule(chunk, run);
        let mut calls = FuturesUnordered::new();
        let mut slowest = Duration::ZERO;
        loop {
            // A call that would not be finished in time, by the slowest so far, is not begun.
            while calls.len() < self.most.get()
                && run.time_left() > slowest
                && let Some(batch) = schedule.next()
            {
                calls.push(self.call(chunk, batch, run));
            }
            let ended = tokio::select! {
                biased;
                ended = calls.next() => ended,
                // Without an outcome, the run ends the wait, and notes which records were unfinished.
                () = tokio::time::sleep_until(run.stop_at.into()), if !schedule.has_no_outcome() => None,
            };
            let Some(Ended { batch, result, took }) = ended else {
                break;
            };
            slowest = slowest.max(took);
            match result {
                Ok(progress @ Progress { settled: 0, stop: None }) => {
                    // It had too little time, or has another reason that it does not name: the run decides.
                    slowest = Duration::MAX;
                    schedule.ended(&batch, progress);
                }
                Ok(progress) => {
                    self.remember(chunk, &batch[..progress.settled], run);
                    schedule.ended(&batch, progress);
                }
                Err(panic) => {
                    schedule.failed_without_a_record(&batch, format!("the handler panicked: {panic}"));
                }
            }
        }
        let progress = schedule.outcome();
        self.memory.with(chunk.partition(), run, |beyond| {
            beyond.report(chunk, &progress, &schedule);
        });
        progress
    }

    /// The schedule of `chunk`, after what earlier calls of this run have shown.
    fn schedule(&self, chunk: &Chunk, run: &RunContext) -> Schedule {
        let partition = chunk.partition();
        let batch_size = self.handler.batch_size(&partition.topic);
        let known: Vec<Known> = self.memory.with(partition, run, |beyond| {
            let known = chunk.records().iter().map(|record| beyond.known(record.offset));
            known.collect()
        });
        let keys = chunk.records().iter().map(|record| record.key.as_deref());
        Schedule::new(keys.zip(known), batch_size.map_or(1, NonZeroUsize::get))
    }

    /// These records are done. Noted at once: this call may be dropped.
    fn remember(&self, chunk: &Chunk, done: &[usize], run: &RunContext) {
        let offsets = done.iter().map(|index| chunk.records()[*index].offset);
        self.memory
            .with(chunk.partition(), run, |beyond| beyond.done.extend(offsets));
    }

    /// Hands over the records `batch` of `chunk`.
    async fn call(&self, chunk: &Chunk, batch: Vec<usize>, run: &RunContext) -> Ended {
        let left = run.time_left();
        let records: Vec<Record> = batch.iter().map(|index| chunk.records()[*index].clone()).collect();
        let result = match Chunk::new(records) {
            Some(part) => {
                let context = run.of_part(&part, chunk);
                let work = AssertUnwindSafe(self.handler.process(&part, &context)).catch_unwind();
                match work.await {
                    Ok(progress) => Ok(progress.checked(&part)),
                    Err(panic) => Err(panic_message(&*panic).to_owned()),
                }
            }
            None => Ok(Progress { settled: 0, stop: None }),
        };
        let took = left.saturating_sub(run.time_left());
        Ended { batch, result, took }
    }
}

impl<P: Processor> Processor for ByKey<P> {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        if self.most == NonZeroUsize::MIN {
            return self.handler.process(chunk, run).await;
        }
        self.side_by_side(chunk, run).await
    }

    fn decodes(&self, topic: &str) -> bool {
        self.handler.decodes(topic)
    }

    fn batch_size(&self, topic: &str) -> Option<NonZeroUsize> {
        let batch_size = self.handler.batch_size(topic)?;
        Some(batch_size.saturating_mul(self.most))
    }

    fn parallelization_factor(&self, topic: &str) -> NonZeroUsize {
        self.handler.parallelization_factor(topic).saturating_mul(self.most)
    }

    fn takes(&self, topic: &str) -> bool {
        self.handler.takes(topic)
    }
}
