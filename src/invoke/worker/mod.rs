//! The work on one partition in a run: claim -> fetch -> filter -> decode ->
//! process -> settle -> flush, in the order of the steps of its [`Ledger`].

mod back_off;
mod crash;
mod cursor;
mod dead_letter;
mod end;
mod failed;
mod filtered;
mod poll;
mod process;
mod unreported;
mod window;

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use super::Backend;
use super::run::Run;
use crate::claim::{ChunkLimit, CrashHistory, Ending, LastWrite, ObservedItem, Unreported};
use crate::clock::Clock;
use crate::error::Error;
use crate::ledger::{Ledger, Step};
use crate::plan::{Demand, Reading, Why};
use crate::processor::panic_message;
use crate::record::{NextOffset, OffsetRange, Record, TopicPartition};
use crate::report::SkippedRecords;
use crate::source::{Polled, Source};
use crate::store::Consumer;
use crate::text;
pub(crate) use back_off::{pause as pause_after, throttled_pause};
pub(super) use end::{CHECK_BROKERS, EndReason, ReadFailure, Stored};

/// The text of a panic is cut to this length for errors and logs.
pub(super) const MAX_PANIC_BYTES: usize = 500;

/// Works on one partition of a run.
pub(super) struct PartitionWorker {
    pub(super) partition: TopicPartition,
    pub(super) ledger: Ledger,
    pub(super) outcome: PartitionOutcome,
    consumer: Consumer,
    seen: ObservedItem,
    why: Why,
    from: NextOffset,
    /// Fetched, and not settled.
    buffered: VecDeque<Record>,
    /// The offsets of those of `buffered` and `filtered_in_flight` that match no filter
    /// pattern, in ascending order.
    filtered: VecDeque<i64>,
    /// How many of the last buffered records are not matched with the filter yet.
    unfiltered: usize,
    /// The filtered records between those that the handler has now.
    filtered_in_flight: Vec<Record>,
    claim: ClaimState,
    /// `updated_at` of this run's last write of the item, in milliseconds since
    /// the epoch.
    stamp_ms: i64,
    /// Where a flush would have left the item, if it is unknown whether it was
    /// applied.
    unknown: Option<LastWrite>,
    /// The crashes of earlier runs, as the item has them.
    crash_history: CrashHistory,
    /// What earlier runs passed over and did not report, as the item has it.
    unreported: Option<Arc<Unreported>>,
    /// The record at the cursor has crashed too many runs: `ON_FAILURE` applies
    /// without another try.
    skip_without_retry: bool,
    /// This run's failed tries of the record at the cursor.
    tries: Tries,
    /// How long one record took in the last chunk, in milliseconds; of batches, the call.
    record_ms: u64,
    is_fetching: bool,
    /// Until when buffered records wait for others of their batch, by
    /// [`Run::now_ms`]; `None`: they do not wait yet.
    fill_until_ms: Option<u64>,
    /// The result of a poll that is acted on once the buffered records are settled.
    put_off: Option<Polled>,
    /// The end was listed after the last record, and the partition was assigned
    /// again since: the next end that is reached counts.
    end_is_known: bool,
}

/// Whether the partition's claim is this run's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClaimState {
    /// Not written yet.
    NotClaimed,
    /// Written, and not ended.
    Active,
    /// Ended by the last write, or lost.
    Ended,
}

/// The failed tries of one record in one run.
#[derive(Debug, Default)]
struct Tries {
    /// How many there were.
    failed: u32,
    /// The error of the last one.
    last_error: Option<String>,
    /// How often the destination was throttled or not ready, since the last progress.
    throttled: u32,
    /// The text of the last of these refusals.
    last_refusal: Option<String>,
    /// The run's time ended while the handler had the record alone, and had had
    /// it for a third of the working time: it counts as a crash.
    ran_out_of_time: bool,
}

impl Tries {
    /// Whether they must be stored on the item.
    fn must_be_stored(&self) -> bool {
        self.failed > 0 || self.ran_out_of_time
    }
}

/// What a run did with one partition.
#[derive(Debug, Default)]
pub(super) struct PartitionOutcome {
    /// The first record handled.
    pub(super) first_offset: Option<i64>,
    pub(super) stored: Stored,
    /// Records handled by the processor.
    pub(super) messages: u64,
    /// Bytes of keys, values and headers of these.
    pub(super) bytes: u64,
    pub(super) polled: u64,
    pub(super) failed_tries: u64,
    /// Of these, how many failed before the handler: the record could not be decoded.
    pub(super) undecodable: u64,
    pub(super) skipped: SkippedRecords,
    pub(super) dead_lettered: u64,
    /// Records that match no filter pattern, and are settled.
    pub(super) filtered: u64,
    /// The lost offsets, and why they are lost.
    pub(super) lost: Option<(OffsetRange, &'static str)>,
    pub(super) end: Option<EndReason>,
    /// Why it is unknown whether the last write was made, or why it was too late.
    pub(super) write_error: Option<Error>,
}

impl PartitionOutcome {
    /// The errors of the run because of this partition, in addition to those that
    /// follow from the report's entries.
    pub(super) fn errors(&self) -> impl Iterator<Item = &Error> {
        let of_the_end = self.end.as_ref().and_then(EndReason::error);
        of_the_end.into_iter().chain(&self.write_error)
    }
}

impl PartitionWorker {
    pub(super) fn new(
        consumer: Consumer,
        partition: TopicPartition,
        reading: Reading,
        share: u64,
        run_ms: (u64, i64),
        batch_size: Option<NonZeroUsize>,
    ) -> Self {
        let Reading {
            from,
            to,
            why,
            observed: seen,
        } = reading;
        let crash_history = seen.crash_history(run_ms.1);
        let unreported = match &seen {
            ObservedItem::Present(cursor) => cursor.unreported.clone(),
            ObservedItem::Missing { .. } => None,
        };
        Self {
            unreported,
            ledger: Ledger::new(seen.stored(), (from, to), share, crash_history.quarantine, run_ms.0)
                .in_batches(batch_size.map(NonZeroUsize::get)),
            outcome: PartitionOutcome::default(),
            consumer,
            partition,
            seen,
            why,
            from,
            buffered: VecDeque::new(),
            filtered: VecDeque::new(),
            unfiltered: 0,
            filtered_in_flight: Vec::new(),
            claim: ClaimState::NotClaimed,
            stamp_ms: run_ms.1,
            unknown: None,
            crash_history,
            skip_without_retry: false,
            tries: Tries::default(),
            record_ms: 0,
            is_fetching: false,
            fill_until_ms: None,
            put_off: None,
            end_is_known: false,
        }
    }

    /// Whether this run has claimed the partition, now or before.
    pub(super) fn was_claimed(&self) -> bool {
        self.claim != ClaimState::NotClaimed || self.outcome.stored != Stored::Nothing
    }

    /// The limit of chunks, because a run crashed here.
    pub(super) fn quarantine(&self) -> Option<ChunkLimit> {
        Some(self.crash_history.quarantine?.limit)
    }

    /// The order of quarantined partitions: the fewest crashes first, so that a
    /// crash of this run comes after the others are stored; among equals the one
    /// that was written the longest ago.
    pub(super) fn precedence(&self) -> (u32, Option<i64>) {
        (self.crash_history.crashes, self.demand().updated_at_ms)
    }

    /// What this worker could still use of the limit.
    pub(super) fn demand(&self) -> Demand {
        let updated_at_ms = match &self.seen {
            ObservedItem::Present(cursor) => cursor.updated_at_ms,
            ObservedItem::Missing { .. } => None,
        };
        Demand {
            records: self.ledger.remaining(),
            updated_at_ms,
        }
    }

    /// Where to fetch from before the claim; `None` where there is nothing to
    /// fetch, or where a quarantine forbids it.
    pub(super) fn position(&self) -> Option<(TopicPartition, NextOffset)> {
        let fetches = self.ledger.remaining() > 0 && self.ledger.quarantine().is_none();
        fetches.then(|| (self.partition.clone(), self.from))
    }

    /// The client was assigned the partition at its [`position`](Self::position).
    pub(super) fn set_assigned(&mut self) {
        self.is_fetching = true;
    }

    /// Works until there is nothing more to do, and stores the cursor. Nothing of
    /// the partition is fetched afterwards, however the work ends.
    ///
    /// A panic in the handler is a failed try of its record. One anywhere else
    /// ends the work on this partition, and counts against no record.
    pub(super) async fn work<B: Backend>(mut self, run: &Run<'_, B>) -> Self {
        let assignment = Assignment(run.source, self.partition.clone());
        let worked = AssertUnwindSafe(self.claim_and_work(run)).catch_unwind().await;
        if let Err(panic) = worked {
            let what = panic_message(&*panic);
            let offset = self.ledger.settled_at();
            tracing::error!(partition = %self.partition, offset = offset.get(), panic = what, "panic outside the handler");
            let failure = ReadFailure::Panicked(offset, text::cut(what, MAX_PANIC_BYTES).into_owned());
            self.outcome.end = Some(EndReason::ReadFailed(failure));
        }
        drop(assignment);
        self.is_fetching = false;
        let closed = AssertUnwindSafe(self.close(run)).catch_unwind().await;
        if let Err(panic) = closed {
            tracing::error!(partition = %self.partition, panic = panic_message(&*panic), "panic at the last write");
            self.outcome.stored = Stored::Unknown;
        }
        self
    }

    async fn claim_and_work<B: Backend>(&mut self, run: &Run<'_, B>) {
        let prefetched = self.claim(run).await;
        if self.claim != ClaimState::Active || self.outcome.end.is_some() {
            return;
        }
        self.apply_crash_policy(run);
        if let Some(polled) = prefetched
            && !matches!(self.step(run), Step::Stop(_))
        {
            let polled = polled.unwrap_or_else(|panic| resume_unwind(panic));
            self.handle_poll(run, polled).await;
        }
        let stop = loop {
            match self.step(run) {
                Step::Poll(records) => self.poll(run, records).await,
                Step::Process(_) if self.awaits_full_batch(run) => self.fill_batch(run).await,
                Step::Process(count) => {
                    self.process(run, count).await;
                    // A handler that never yields would delay an interrupt.
                    tokio::task::yield_now().await;
                }
                Step::Flush => self.flush(run, &Ending::Interim).await,
                Step::Stop(stop) => break stop,
            }
        };
        self.outcome.end.get_or_insert_with(|| EndReason::of(stop));
    }

    fn step<B: Backend>(&self, run: &Run<'_, B>) -> Step {
        let stop = run.must_stop(self.expected()) || run.is_stopped(&self.partition.topic);
        self.ledger.step(stop, run.now_ms())
    }

    /// How long the next record will take, once one is settled: a record that
    /// cannot be finished in time is left to the next run.
    fn expected(&self) -> Duration {
        if self.outcome.messages == 0 {
            Duration::ZERO
        } else {
            Duration::from_millis(self.record_ms)
        }
    }

    /// Ends the work here. The first reason counts.
    fn end(&mut self, end: EndReason) {
        self.outcome.end.get_or_insert(end);
        self.ledger.fail();
    }

    /// Prepares the worker to run again, from where its last write left the item.
    pub(super) fn reopen<B: Backend>(&mut self, run: &Run<'_, B>, share: u64) {
        self.outcome.end = None;
        self.put_off = None;
        self.skip_without_retry = false;
        self.claim = ClaimState::NotClaimed;
        self.why = Why::Resumed;
        self.from = self.ledger.settled_at();
        self.crash_history = self.seen.crash_history(run.clock.wall_ms());
        self.ledger.grant(share);
    }
}

/// An assigned partition. Dropping this unassigns it, also after a panic, or
/// where the run's future is dropped.
struct Assignment<'a, K: Source>(&'a K, TopicPartition);

impl<K: Source> Drop for Assignment<'_, K> {
    fn drop(&mut self) {
        self.0.unassign(std::slice::from_ref(&self.1));
    }
}
