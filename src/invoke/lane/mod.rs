//! One partition's way through a run: claim -> poll -> decode -> process ->
//! settle -> commit, as its [`Ledger`] says.

mod crash;
mod cursor;
mod dead_letter;
mod end;
mod failed;
mod poll;
mod process;
mod unreported;
mod window;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use super::{Run, Seams};
use crate::claim::{BatchLimit, CrashHistory, Ending, LastWrite, ObservedItem, Unreported};
use crate::clock::Clock;
use crate::error::Error;
use crate::ledger::{Ledger, Step};
use crate::plan::{Demand, Reading, Why};
use crate::processor::panic_words;
use crate::record::{NextOffset, Record, TopicPartition};
use crate::report::SkippedRecords;
use crate::source::Source;
use crate::store::Consumer;
use crate::text;
pub(super) use end::{End, Stored, Unread};

/// The text of a panic is for people to read; longer ones are cut.
pub(super) const LONGEST_PANIC_BYTES: usize = 500;

/// One partition at work.
pub(super) struct Lane {
    pub(super) partition: TopicPartition,
    pub(super) ledger: Ledger,
    pub(super) outcome: Outcome,
    consumer: Consumer,
    seen: ObservedItem,
    why: Why,
    from: NextOffset,
    in_hand: VecDeque<Record>,
    claim: ClaimState,
    /// The time that this run's last write of the item bears.
    stamp_ms: i64,
    /// Where a flush would have left the item of which it is not known whether
    /// it was applied.
    unknown: Option<LastWrite>,
    /// What runs that died have left.
    legacy: CrashHistory,
    /// What an earlier run passed over and did not report.
    earlier: Option<Arc<Unreported>>,
    /// The record at the cursor has killed too many runs: it is not handed over again.
    condemned: bool,
    /// This run's tries of the record at the cursor.
    tries: Tries,
    record_ms: u64,
    is_fetching: bool,
    /// The end was looked up after the last record, and the partition is read
    /// again since: the next end that is reached counts.
    end_is_known: bool,
}

/// Whether the partition's claim is this run's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClaimState {
    /// Not written yet.
    NotMade,
    /// Written.
    Ours,
    /// Ended by the last write, or lost.
    Ended,
}

/// A run's tries of one record.
#[derive(Debug, Default)]
struct Tries {
    /// How many failed.
    failed: u32,
    /// What was wrong with the last of them.
    last_error: Option<String>,
    /// Whether the time ended while the handler had the record alone, and had
    /// had it for long: it counts as a crash.
    ran_out_of_time: bool,
}

impl Tries {
    /// Whether the item must remember them.
    fn count(&self) -> bool {
        self.failed > 0 || self.ran_out_of_time
    }
}

/// What a run did with one partition.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) first_offset: Option<i64>,
    pub(super) stored: Stored,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) polled: u64,
    pub(super) failed_tries: u64,
    pub(super) skipped: SkippedRecords,
    pub(super) dead_lettered: u64,
    pub(super) lost: Option<(i64, i64, &'static str)>,
    pub(super) end: Option<End>,
    /// Why the last write is not known to be made, or came too late.
    pub(super) write_error: Option<Error>,
}

impl Outcome {
    /// What the run fails with because of this partition, beside what its
    /// report's entries say.
    pub(super) fn errors(&self) -> impl Iterator<Item = &Error> {
        let of_the_end = self.end.as_ref().and_then(End::error);
        of_the_end.into_iter().chain(&self.write_error)
    }
}

impl Lane {
    pub(super) fn new(
        consumer: Consumer,
        partition: TopicPartition,
        reading: Reading,
        share: u64,
        run_ms: (u64, i64),
    ) -> Self {
        let Reading {
            from,
            to,
            why,
            observed: seen,
        } = reading;
        let legacy = seen.crash_history(run_ms.1);
        let earlier = match &seen {
            ObservedItem::Present(cursor) => cursor.unreported.clone(),
            ObservedItem::Missing { .. } => None,
        };
        Self {
            earlier,
            ledger: Ledger::new(seen.stored(), (from, to), share, legacy.guard, run_ms.0),
            outcome: Outcome::default(),
            consumer,
            partition,
            seen,
            why,
            from,
            in_hand: VecDeque::new(),
            claim: ClaimState::NotMade,
            stamp_ms: run_ms.1,
            unknown: None,
            legacy,
            condemned: false,
            tries: Tries::default(),
            record_ms: 0,
            is_fetching: false,
            end_is_known: false,
        }
    }

    /// Whether this run has claimed the partition, now or before.
    pub(super) fn was_claimed(&self) -> bool {
        self.claim != ClaimState::NotMade || self.outcome.stored != Stored::Nothing
    }

    /// How carefully the partition is worked on, because a run has died here.
    pub(super) fn quarantine(&self) -> Option<BatchLimit> {
        Some(self.legacy.guard?.limit)
    }

    /// Which of several quarantined partitions comes first: the least suspect,
    /// so that one that kills the run does so when the others are stored; and
    /// of these the one that has waited the longest.
    pub(super) fn precedence(&self) -> (u32, Option<i64>) {
        (self.legacy.crashes, self.wish().updated_at_ms)
    }

    /// What this lane could still use of the budget.
    pub(super) fn wish(&self) -> Demand {
        let updated_at_ms = match &self.seen {
            ObservedItem::Present(cursor) => cursor.updated_at_ms,
            ObservedItem::Missing { .. } => None,
        };
        Demand {
            records: self.ledger.remaining(),
            updated_at_ms,
        }
    }

    /// Where to fetch from at once; `None` where there is nothing to fetch, or
    /// where nothing may be before it is claimed.
    pub(super) fn position(&self) -> Option<(TopicPartition, NextOffset)> {
        let fetches = self.ledger.remaining() > 0 && self.ledger.crash_guard().is_none();
        fetches.then(|| (self.partition.clone(), self.from))
    }

    /// The client fetches the partition from its [`position`](Self::position).
    pub(super) fn is_assigned(&mut self) {
        self.is_fetching = true;
    }

    /// Works until there is nothing more to do here, and stores where it came
    /// to. Whatever happens, nothing of the partition is fetched afterwards.
    ///
    /// A panic in the handler is a failed try of its record. One anywhere else
    /// ends the work on this partition, and counts against no record.
    pub(super) async fn work<D: Seams>(mut self, run: &Run<'_, D>) -> Self {
        let fetching = Fetching(run.source, self.partition.clone());
        let worked = AssertUnwindSafe(self.claim_and_work(run)).catch_unwind().await;
        if let Err(panic) = worked {
            let what = panic_words(&*panic);
            let offset = self.ledger.settled_at();
            tracing::error!(partition = %self.partition, offset = offset.get(), panic = what, "panic outside the handler");
            let unread = Unread::Defect(offset, text::cut(what, LONGEST_PANIC_BYTES).into_owned());
            self.outcome.end = Some(End::Unread(unread));
        }
        drop(fetching);
        self.is_fetching = false;
        let closed = AssertUnwindSafe(self.close(run)).catch_unwind().await;
        if let Err(panic) = closed {
            tracing::error!(partition = %self.partition, panic = panic_words(&*panic), "panic at the last write");
            self.outcome.stored = Stored::Unknown;
        }
        self
    }

    async fn claim_and_work<D: Seams>(&mut self, run: &Run<'_, D>) {
        let came = self.claim(run).await;
        if self.claim != ClaimState::Ours || self.outcome.end.is_some() {
            return;
        }
        self.judge_crashes(run);
        if let Some(polled) = came
            && !matches!(self.step(run), Step::Stop(_))
        {
            let polled = polled.unwrap_or_else(|panic| resume_unwind(panic));
            self.come(run, polled).await;
        }
        let stop = loop {
            match self.step(run) {
                Step::Poll(records) => self.poll(run, records).await,
                Step::Process(count) => {
                    self.process(run, count).await;
                    // A handler that never waits would keep an interrupt from being seen.
                    tokio::task::yield_now().await;
                }
                Step::Flush => self.flush(run, &Ending::Interim).await,
                Step::Stop(stop) => break stop,
            }
        };
        self.outcome.end.get_or_insert_with(|| End::of(stop));
    }

    fn step<D: Seams>(&self, run: &Run<'_, D>) -> Step {
        self.ledger.step(run.must_stop(self.expected()), run.now_ms())
    }

    /// How long the next record will take, once something is settled: a record
    /// that cannot be finished in time is better left to the next run.
    fn expected(&self) -> Duration {
        if self.outcome.messages == 0 {
            Duration::ZERO
        } else {
            Duration::from_millis(self.record_ms)
        }
    }

    /// Ends the work here. The first reason counts.
    fn end(&mut self, end: End) {
        self.outcome.end.get_or_insert(end);
        self.ledger.fail();
    }

    /// Makes the lane ready to be worked on again, from where its last write
    /// left the item.
    pub(super) fn reopen<D: Seams>(&mut self, run: &Run<'_, D>, share: u64) {
        self.outcome.end = None;
        self.condemned = false;
        self.claim = ClaimState::NotMade;
        self.why = Why::Resumed;
        self.from = self.ledger.settled_at();
        self.legacy = self.seen.crash_history(run.clock.wall_ms());
        self.ledger.grant(share);
    }
}

/// A partition that the client fetches: no longer once this is dropped, also
/// by a panic, or by a run that is given up.
struct Fetching<'a, K: Source>(&'a K, TopicPartition);

impl<K: Source> Drop for Fetching<'_, K> {
    fn drop(&mut self) {
        self.0.unassign(std::slice::from_ref(&self.1));
    }
}
