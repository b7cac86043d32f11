//! One partition's way through a run: claim -> poll -> decode -> process ->
//! settle -> commit, as its [`Ledger`] says.

mod crash;
mod cursor;
mod dead_letter;
mod failed;
mod poll;
mod process;
mod window;

use std::collections::VecDeque;
use std::time::Duration;

use super::{Run, Seams};
use crate::claim::{Ending, Failures, Legacy, Pace, Seen};
use crate::error::Error;
use crate::ledger::{Ledger, Step, Stop};
use crate::plan::{Reading, Why, Wish};
use crate::record::{NextOffset, Record, TopicPartition};
use crate::report::Skips;
use crate::source::Source;
use crate::store::Consumer;

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
    pub(super) unread: Option<Unread>,
    pub(super) error: Option<Error>,
    pub(super) stop: Option<Stop>,
}

impl Lane {
    pub(super) fn new(
        consumer: Consumer,
        partition: TopicPartition,
        reading: Reading,
        share: u64,
        run_ms: (u64, i64),
    ) -> Self {
        let Reading { from, to, why, seen } = reading;
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
        let came = if self.claimed { None } else { self.claim(run).await };
        if !self.claimed {
            run.source.finish(std::slice::from_ref(&self.partition));
            self.outcome.stop = Some(Stop::Failed);
            return self;
        }
        self.judge_crashes(run);
        let stop = if let Step::Stop(stop) = self.step(run) {
            stop
        } else {
            if let Some(polled) = came {
                self.come(run, polled).await;
            }
            self.go_on(run).await
        };
        self.outcome.stop = Some(stop);
        run.source.finish(std::slice::from_ref(&self.partition));
        if stop != Stop::ShareUsed {
            self.close(run).await;
        }
        self
    }

    async fn go_on<D: Seams>(&mut self, run: &Run<'_, D>) -> Stop {
        loop {
            match self.step(run) {
                Step::Poll(records) => self.poll(run, records).await,
                Step::Process(count) => {
                    self.process(run, count).await;
                    // A handler that never waits would keep an interrupt from being seen.
                    tokio::task::yield_now().await;
                }
                Step::Flush => self.flush(run, &Ending::Interim).await,
                Step::Stop(stop) => return stop,
            }
        }
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

    fn fail(&mut self, error: Error) {
        self.outcome.error = Some(error);
        self.ledger.fail();
    }
}

/// Why a partition could not be read on. It is no record's fault.
#[derive(Debug, Clone)]
pub(super) enum Unread {
    /// No broker answered for it: what was tried and came back.
    NoAnswer(String),
    /// Its log does not have this offset any more: it was cut while it was read.
    Gone(NextOffset),
    /// Its records came out of order.
    OutOfOrder,
}

/// The partition is in other hands: another run's, or an operator's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elsewhere {
    pub(super) until_ms: Option<i64>,
}
