//! One partition's way through a run: claim -> poll -> decode -> process ->
//! settle -> commit, as its [`Ledger`] says.

mod crash;
mod dead_letter;
mod failed;
mod process;

use std::collections::VecDeque;
use std::time::Duration;

use super::{Interrupt, Run, Seams};
use crate::claim::{self, Care, Claim, Ending, Failures, Flush, Left, Legacy, Pace, Seen, Verdict};
use crate::clock::Clock;
use crate::error::{Error, ErrorType};
use crate::ledger::{Ledger, Step, Stop};
use crate::plan::{Why, Wish};
use crate::record::{NextOffset, Record, TopicPartition};
use crate::report::Skips;
use crate::source::{Limit, LookUp, Polled, Source};
use crate::store::{self, Consumer, Store, Written};

/// One partition at work.
pub(super) struct Lane {
    pub(super) partition: TopicPartition,
    pub(super) ledger: Ledger,
    pub(super) outcome: Outcome,
    consumer: Consumer,
    seen: Seen,
    why: Why,
    from: NextOffset,
    in_hand: VecDeque<Record>,
    claimed: bool,
    /// What runs that died have left.
    legacy: Legacy,
    /// The time that this run's last write of the item bears.
    stamp_ms: i64,
    /// What the last write is to remember of failures at the cursor.
    remember: Option<Failures>,
    /// The record at the cursor has killed too many runs: it is not handed over again.
    condemned: bool,
    tries: u32,
    record_ms: u64,
    /// The end was looked up after the last record, and the partition is read
    /// again since: the next end that is reached counts.
    end_is_known: bool,
}

/// What became of one partition.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) first_offset: Option<i64>,
    pub(super) stored: Option<NextOffset>,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) polled: u64,
    pub(super) failed_tries: u64,
    pub(super) skipped: Skips,
    pub(super) dead_lettered: u64,
    pub(super) lost: Option<(i64, i64, &'static str)>,
    pub(super) held: Option<Elsewhere>,
    /// Nobody knows whether the last write was made.
    pub(super) in_doubt: bool,
    pub(super) blocked: Option<Failures>,
    pub(super) unavailable: Option<String>,
    pub(super) error: Option<Error>,
    pub(super) stop: Option<Stop>,
}

impl Lane {
    pub(super) fn new(
        consumer: Consumer,
        partition: TopicPartition,
        work: Work,
        share: u64,
        run_ms: (u64, i64),
    ) -> Self {
        let Work { from, to, why, seen } = work;
        let legacy = seen.legacy(run_ms.1);
        Self {
            ledger: Ledger::new(seen.stored(), (from, to), share, legacy.care, run_ms.0),
            outcome: Outcome::default(),
            consumer,
            partition,
            seen,
            why,
            from,
            in_hand: VecDeque::new(),
            claimed: false,
            legacy,
            stamp_ms: run_ms.1,
            remember: None,
            condemned: false,
            tries: 0,
            record_ms: 0,
            end_is_known: false,
        }
    }

    pub(super) fn is_claimed(&self) -> bool {
        self.claimed
    }

    /// Whether a run has died here: then this one works on it alone, after all
    /// others. `None` where nobody has; else what comes first is the least suspect.
    pub(super) fn suspicion(&self) -> Option<(bool, u32)> {
        let care = self.legacy.care?;
        Some((care.pace == Pace::Single, self.legacy.crashes))
    }

    /// What this lane could still use of the budget.
    pub(super) fn wish(&self) -> Wish {
        let Seen::Item(cursor) = &self.seen else {
            return Wish {
                records: self.ledger.wish(),
                updated_at_ms: None,
            };
        };
        Wish {
            records: self.ledger.wish(),
            updated_at_ms: cursor.updated_at_ms,
        }
    }

    /// Where to fetch from; `None` where there is nothing to fetch.
    pub(super) fn position(&self) -> Option<(TopicPartition, NextOffset)> {
        let next = if self.claimed {
            self.ledger.settled_at()
        } else {
            self.from
        };
        (self.ledger.wish() > 0).then(|| (self.partition.clone(), next))
    }

    /// Whether its settled records wait for a write, at `now_ms`.
    pub(super) fn is_due(&self, now_ms: u64) -> bool {
        self.claimed && self.ledger.due_at_ms().is_some_and(|due| due <= now_ms)
    }

    /// Writes what is settled, and waits on for a share.
    pub(super) async fn keep<D: Seams>(mut self, run: &Run<'_, D>) -> Self {
        self.flush(run, &Ending::Interim).await;
        self
    }

    /// Works until there is nothing more to do here, and stores where it came
    /// to. A lane that used its share keeps its claim: more may come.
    pub(super) async fn work<D: Seams>(mut self, run: &Run<'_, D>) -> Self {
        if !self.claimed && !self.claim(run).await {
            run.source.finish(std::slice::from_ref(&self.partition));
            self.outcome.stop = Some(Stop::Failed);
            return self;
        }
        self.judge_crashes(run);
        let stop = loop {
            match self.ledger.step(run.must_stop(self.expected()), run.now_ms()) {
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
        self.outcome.stop = Some(stop);
        run.source.finish(std::slice::from_ref(&self.partition));
        if stop != Stop::ShareUsed {
            self.close(run).await;
        }
        self
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

    async fn claim<D: Seams>(&mut self, run: &Run<'_, D>) -> bool {
        let claim = Claim {
            run: run.id.clone(),
            until_ms: run.claim_until_ms(),
            to: self.ledger.to(),
            now_ms: run.clock.wall_ms(),
        };
        let write = claim::claim(&self.seen, &claim);
        let written = store::write_and_judge(run.store, &self.consumer, self.partition.partition, &write, |item| {
            claim::judge_claim(&self.seen, &claim, item)
        });
        let judged = run.in_time(run.stop.at, written).await;
        match judged {
            Ok(Verdict::Applied) => {
                self.claimed = true;
                self.stamp_ms = claim.now_ms;
                self.note_jump();
                if self.from != self.seen.stored() && self.ledger.wish() > 0 {
                    // A run that dies on the way must not decide again, nor forget where it was.
                    self.flush(run, &Ending::Interim).await;
                }
            }
            Ok(Verdict::Edited { until_ms }) => self.outcome.held = Some(Elsewhere { until_ms }),
            Ok(Verdict::TakenOver { .. } | Verdict::NotApplied) => {
                self.outcome.held = Some(Elsewhere { until_ms: None });
            }
            Err(error) => self.fail(error),
        }
        self.claimed
    }

    fn note_jump(&mut self) {
        self.outcome.lost = match self.why {
            Why::Lost(range) => Some((range.first, range.last, "deleted by retention before it was read")),
            Why::Truncated { stored, passed_over } => {
                tracing::warn!(partition = %self.partition, stored = stored.get(), next = self.from.get(), "truncated");
                passed_over.map(|range| (range.first, range.last, "passed over by ON_TRUNCATION=latest"))
            }
            Why::Resumed | Why::StartPosition | Why::AppearedLater => None,
        };
        if let Some((first, last, reason)) = self.outcome.lost {
            tracing::warn!(partition = %self.partition, first, last, next = self.from.get(), reason, "offsets lost");
        }
    }

    async fn poll<D: Seams>(&mut self, run: &Run<'_, D>, records: usize) {
        let limit = Limit {
            records,
            bytes: run.sizes.chunk_bytes,
        };
        let wake = run.wake_at(self.ledger.due_at_ms());
        let polled = tokio::select! {
            biased;
            polled = run.source.poll(&self.partition, limit) => polled,
            () = tokio::time::sleep_until(wake.into()) => return,
            () = run.halted(Interrupt::Finish) => return,
        };
        match polled {
            Polled::Records(records) => self.take(run, records),
            Polled::End => self.check_end(run).await,
            Polled::OutOfRange => {
                let next = self.ledger.settled_at();
                self.unavailable(format!(
                    "there is no record at offset {next} any more; the next run decides by ON_RETENTION_LOSS and \
                     ON_TRUNCATION"
                ));
            }
            Polled::Unavailable(unavailable) => self.unavailable(unavailable.0),
            Polled::Unreadable(what) => self.unreadable(run, what),
            Polled::Failed(error) => self.fail(error),
        }
    }

    fn take<D: Seams>(&mut self, run: &Run<'_, D>, mut records: Vec<Record>) {
        self.end_is_known = false;
        if records
            .first()
            .is_some_and(|first| first.offset < self.ledger.settled_at().get())
        {
            return self.unavailable("its records came out of order".into());
        }
        let taken = self.ledger.polled(&records);
        records.truncate(taken);
        self.outcome.polled += taken as u64;
        self.in_hand.extend(records);
        if self.ledger.has_all() {
            // What would be fetched from here on belongs to a later run.
            run.source.finish(std::slice::from_ref(&self.partition));
        }
    }

    fn unavailable(&mut self, why: String) {
        self.outcome.unavailable = Some(why);
        self.ledger.fail();
    }

    /// The end came before the end seen at the start: only control records lie
    /// between, or the log was cut, or the broker that answered lags behind.
    ///
    /// An end that is reached says how far the log went for that fetch, not
    /// for a question asked later. So the end is looked up, the partition is
    /// read again from here, and only an end reached after that counts.
    async fn check_end<D: Seams>(&mut self, run: &Run<'_, D>) {
        if self.end_is_known {
            return self.ledger.reached_end();
        }
        let asked = run
            .source
            .look_up(std::slice::from_ref(&self.partition), LookUp::End, run.ask_until())
            .await;
        match asked.map(|mut ends| ends.pop()) {
            Ok(Some(Ok(end))) if end >= self.ledger.to() => {
                self.end_is_known = true;
                let here = (self.partition.clone(), self.ledger.settled_at());
                run.source.finish(std::slice::from_ref(&self.partition));
                if let Err(error) = run.source.start(&[here]) {
                    self.fail(error);
                }
            }
            Ok(Some(Ok(end))) => self.fail(Error::new(
                ErrorType::Truncated,
                format!(
                    "the end of {} moved back from {} to {end} while it was read (an unclean leader election, or a \
                     recreated topic). What was processed is stored; the next run looks again",
                    self.partition,
                    self.ledger.to()
                ),
            )),
            Ok(Some(Err(unavailable))) => self.unavailable(unavailable.0),
            Ok(None) => self.ledger.fail(),
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: Error) {
        self.outcome.error = Some(error);
        self.ledger.fail();
    }

    /// Moves the stored cursor to what is settled.
    pub(super) async fn flush<D: Seams>(&mut self, run: &Run<'_, D>, ending: &Ending) {
        let flush = Flush {
            run: run.id.clone(),
            left: Left {
                next: self.ledger.stored_at(),
                updated_at_ms: self.stamp_ms,
            },
            next: self.ledger.settled_at(),
            care: self.ledger.care(),
            ending: ending.clone(),
            now_ms: run.clock.wall_ms(),
        };
        let write = claim::flush(&flush);
        let written = store::write_and_judge(run.store, &self.consumer, self.partition.partition, &write, |item| {
            claim::judge_flush(&flush, item)
        });
        let judged = run.in_time(run.last_write_at(), written).await;
        match judged {
            Ok(Verdict::Applied) => {
                self.stamp_ms = flush.stamp_ms();
                self.ledger.flushed(run.now_ms());
                self.outcome.stored = Some(flush.next);
            }
            Ok(Verdict::TakenOver { by }) => self.fail(self.claim_lost(&by)),
            Ok(Verdict::Edited { .. } | Verdict::NotApplied) => {
                tracing::warn!(partition = %self.partition, "the cursor was edited meanwhile; the next run obeys");
                self.outcome.held = Some(Elsewhere { until_ms: None });
                self.ledger.fail();
                self.release(run, None).await;
            }
            Err(error) => {
                self.outcome.in_doubt = true;
                self.fail(error);
            }
        }
    }

    fn claim_lost(&self, by: &claim::RunId) -> Error {
        Error::new(
            ErrorType::ClaimLost,
            format!(
                "the claim on {} was taken over by run {by}: this run was frozen, or slower than its deadline. It \
                 stored nothing more there; records from offset {} on may have been processed twice",
                self.partition,
                self.ledger.stored_at()
            ),
        )
    }

    async fn release<D: Seams>(&mut self, run: &Run<'_, D>, care: Option<Care>) {
        let write = claim::release(&run.id, care);
        let written = run.store.write(&self.consumer, self.partition.partition, &write);
        let trouble = match run.in_time(run.last_write_at(), written).await {
            Ok(Written::Applied | Written::Refused(_)) => return,
            Ok(Written::Unanswered(trouble)) => trouble,
            Err(error) => error.to_string(),
        };
        // The claim ends by itself; nothing depends on this write.
        tracing::warn!(partition = %self.partition, error = trouble, "the claim could not be released");
    }

    /// The last write: the cursor without its claim, or the claim alone.
    pub(super) async fn close<D: Seams>(&mut self, run: &Run<'_, D>) {
        let lost = self
            .outcome
            .error
            .as_ref()
            .is_some_and(|error| error.error_type == ErrorType::ClaimLost);
        if lost || self.outcome.held.is_some() {
            return;
        }
        let failures = self.remember.take();
        let moved = self.ledger.settled_at() != self.ledger.stored_at() || self.outcome.stored.is_some();
        if moved || failures.is_some() {
            self.flush(run, &Ending::Final(failures)).await;
        } else {
            self.release(run, self.ledger.care()).await;
        }
        if run.clock.wall_ms() >= run.claim_until_ms() && self.outcome.error.is_none() {
            self.fail(self.claim_expired());
        }
    }

    fn claim_expired(&self) -> Error {
        Error::new(
            ErrorType::ClaimLost,
            format!(
                "the claim on {} ended while this run was at work: it was frozen, or slower than its deadline. Its                  cursor stands at next offset {}; what this run handled from there on comes again",
                self.partition,
                self.ledger.stored_at()
            ),
        )
    }
}

/// The partition is in other hands: another run's, or an operator's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elsewhere {
    pub(super) until_ms: Option<i64>,
}

/// What a lane is to do: the [`Read`](crate::plan::Decision::Read) of a plan.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) from: NextOffset,
    pub(super) to: NextOffset,
    pub(super) why: Why,
    pub(super) seen: Seen,
}
