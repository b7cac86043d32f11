//! One partition's way through a run: claim -> poll -> decode -> process ->
//! settle -> commit, as its [`Ledger`] says.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures::FutureExt;

use super::{Interrupt, Run};
use crate::claim::{self, Claim, Ending, Failures, Seen, Verdict};
use crate::clock::Clock;
use crate::config::OnFailure;
use crate::decode;
use crate::error::{Error, ErrorType};
use crate::ledger::{Ledger, Step, Stop};
use crate::plan::{Why, Wish};
use crate::processor::{Failure, Processor, Progress, RunContext};
use crate::record::{Chunk, NextOffset, Record, TopicPartition};
use crate::source::{Limit, LookUp, Polled, Source};
use crate::store::{self, Consumer, Store};

/// How often a failure that may pass is tried within one run.
const TRIES_IN_A_RUN: u32 = 3;

/// The pause before the second try; each later one is four times as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The first pause between runs for a record that failed; each is twice the
/// one before, up to [`LONGEST_BACK_OFF_MS`].
const FIRST_BACK_OFF_MS: i64 = 60_000;
const LONGEST_BACK_OFF_MS: i64 = 15 * 60_000;

/// A stored error is for people to read; longer ones are cut.
const LONGEST_ERROR: usize = 500;

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
    tries: u32,
    record_ms: u64,
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
    pub(super) skipped: Vec<(i64, String)>,
    pub(super) lost: Option<(i64, i64, &'static str)>,
    pub(super) held: Option<Elsewhere>,
    pub(super) blocked: Option<(i64, Failures)>,
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
        let care = crate::plan::care(&seen, run_ms.1);
        Self {
            ledger: Ledger::new(seen.stored(), (from, to), share, care, run_ms.0),
            outcome: Outcome::default(),
            consumer,
            partition,
            seen,
            why,
            from,
            in_hand: VecDeque::new(),
            claimed: false,
            tries: 0,
            record_ms: 0,
        }
    }

    pub(super) fn is_claimed(&self) -> bool {
        self.claimed
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

    /// Works until there is nothing more to do here, and stores where it came
    /// to. A lane that used its share keeps its claim: more may come.
    pub(super) async fn work<S: Store, K: Source, P: Processor, C: Clock>(mut self, run: &Run<'_, S, K, P, C>) -> Self {
        if !self.claimed && !self.claim(run).await {
            run.source.finish(std::slice::from_ref(&self.partition));
            self.outcome.stop = Some(Stop::Failed);
            return self;
        }
        let stop = loop {
            match self.ledger.step(run.must_stop(self.expected()), run.now_ms()) {
                Step::Poll(records) => self.poll(run, records).await,
                Step::Process(count) => self.process(run, count).await,
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

    async fn claim<S: Store, K: Source, P: Processor, C: Clock>(&mut self, run: &Run<'_, S, K, P, C>) -> bool {
        let claim = Claim {
            run: run.id.clone(),
            until_ms: run.deadline.wall_ms.saturating_add(claim::MARGIN_MS),
            to: self.ledger.to(),
            now_ms: run.clock.wall_ms(),
        };
        let write = claim::claim(&self.seen, &claim);
        let judged = store::write_and_judge(run.store, &self.consumer, self.partition.partition, &write, |item| {
            claim::judge_claim(&self.seen, &claim, item)
        })
        .await;
        match judged {
            Ok(Verdict::Applied) => {
                self.claimed = true;
                self.note_jump();
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

    async fn poll<S: Store, K: Source, P: Processor, C: Clock>(&mut self, run: &Run<'_, S, K, P, C>, records: usize) {
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
            Polled::Records(mut records) => {
                let taken = self.ledger.polled(&records);
                records.truncate(taken);
                self.outcome.polled += taken as u64;
                self.in_hand.extend(records);
            }
            Polled::End => self.check_end(run).await,
            Polled::OutOfRange => {
                tracing::warn!(partition = %self.partition, "its records were deleted on the way; the next run decides");
                self.ledger.fail();
            }
            Polled::Unavailable(unavailable) => {
                self.outcome.unavailable = Some(unavailable.to_string());
                self.ledger.fail();
            }
            Polled::Failed(error) => self.fail(error),
        }
    }

    /// The end came before the end seen at the start: only control records lie
    /// between, or the log was cut.
    async fn check_end<S: Store, K: Source, P: Processor, C: Clock>(&mut self, run: &Run<'_, S, K, P, C>) {
        let asked = run
            .source
            .look_up(std::slice::from_ref(&self.partition), LookUp::End, run.ask_until())
            .await;
        match asked.map(|mut ends| ends.pop()) {
            Ok(Some(Ok(end))) if end >= self.ledger.to() => self.ledger.reached_end(),
            Ok(Some(Ok(end))) => self.fail(Error::new(
                ErrorType::Truncated,
                format!(
                    "the end of {} moved back from {} to {end} while it was read (an unclean leader election, or a \
                     recreated topic). What was processed is stored; ON_TRUNCATION decides in the next run",
                    self.partition,
                    self.ledger.to()
                ),
            )),
            Ok(Some(Err(unavailable))) => {
                self.outcome.unavailable = Some(unavailable.to_string());
                self.ledger.fail();
            }
            Ok(None) => self.ledger.fail(),
            Err(error) => self.fail(error),
        }
    }

    async fn process<S: Store, K: Source, P: Processor, C: Clock>(&mut self, run: &Run<'_, S, K, P, C>, count: usize) {
        let (good, undecodable) = self.decodable(run, count);
        let records: Vec<Record> = self.in_hand.iter().take(good).cloned().collect();
        let Some(chunk) = Chunk::new(records) else {
            if let Some(error) = undecodable {
                self.failed(run, Failure::Poison(error.to_string())).await;
            }
            return;
        };
        let context = RunContext {
            stop_at: run.stop.at,
            attempt: self.attempts() + 1,
        };
        let started = run.clock.now();
        let work = AssertUnwindSafe(run.processor.process(&chunk, &context)).catch_unwind();
        let ended = tokio::select! {
            biased;
            ended = work => ended,
            () = tokio::time::sleep_until(run.stop.at.into()) => return self.unfinished(&chunk),
            // Dropped by will: the chunk comes again in the next run.
            () = run.halted(Interrupt::Now) => return self.ledger.fail(),
        };
        let took = took_ms(started, run.clock.now());
        let progress = match ended {
            Ok(progress) => progress,
            Err(panic) => {
                // Which record it was is unknown: from here on, one at a time.
                self.ledger.measured(1, u64::MAX / 2);
                Progress {
                    settled: 0,
                    stop: Some(Failure::Retry(format!("the handler panicked: {}", words(&*panic)))),
                }
            }
        };
        let settled = progress.settled.min(chunk.len());
        self.settle(settled);
        if settled > 0 {
            self.record_ms = took / settled as u64;
            self.ledger.measured(settled, took);
        }
        match progress.stop {
            Some(failure) => self.failed(run, failure).await,
            None if settled == 0 && !run.must_stop(Duration::ZERO) => {
                let silent = "the handler settled nothing and gave no reason".to_owned();
                self.failed(run, Failure::Retry(silent)).await;
            }
            None => {}
        }
    }

    /// How many of the first `count` records can be decoded, and what is wrong
    /// with the one after them.
    fn decodable<S: Store, K: Source, P: Processor, C: Clock>(
        &self,
        run: &Run<'_, S, K, P, C>,
        count: usize,
    ) -> (usize, Option<decode::DecodeError>) {
        if run.processor.decodes() {
            return (count, None);
        }
        for (good, record) in self.in_hand.iter().take(count).enumerate() {
            if let Err(error) = decode::decode(run.config.message_format, record) {
                return (good, Some(error));
            }
        }
        (count, None)
    }

    fn settle(&mut self, count: usize) {
        let Some(last) = count.checked_sub(1).and_then(|last| self.in_hand.get(last)) else {
            return;
        };
        self.ledger.settled(count, last);
        self.outcome.first_offset = self
            .outcome
            .first_offset
            .or(self.in_hand.front().map(|first| first.offset));
        self.outcome.messages += count as u64;
        self.outcome.bytes += self
            .in_hand
            .drain(..count)
            .map(|record| record.size_bytes() as u64)
            .sum::<u64>();
        self.tries = 0;
    }

    /// How often the record at the cursor was tried, over all runs.
    fn attempts(&self) -> u32 {
        let Seen::Item(cursor) = &self.seen else {
            return self.tries;
        };
        let before = cursor
            .failures()
            .filter(|failure| failure.offset == self.ledger.settled_at());
        before.map_or(0, |failure| failure.attempts).saturating_add(self.tries)
    }

    /// The first record in hand failed: try again, pass it over, or stop here.
    async fn failed<S: Store, K: Source, P: Processor, C: Clock>(
        &mut self,
        run: &Run<'_, S, K, P, C>,
        failure: Failure,
    ) {
        self.tries += 1;
        self.outcome.failed_tries += 1;
        let Some(offset) = self.in_hand.front().map(|record| record.offset) else {
            return self.fail(Error::new(
                ErrorType::DestinationFailed,
                format!("{}: {failure}", self.partition),
            ));
        };
        let exhausted = self.attempts() >= run.config.max_attempts.get();
        match failure {
            Failure::Fatal(text) => {
                let error = format!("the handler gave up at offset {offset} of {}: {text}", self.partition);
                run.abort();
                self.fail(Error::new(ErrorType::DestinationFailed, error));
            }
            Failure::Retry(text) => {
                if self.tries < TRIES_IN_A_RUN && !exhausted {
                    tracing::warn!(partition = %self.partition, offset, tries = self.tries, error = text, "trying again");
                    run.pause(FIRST_PAUSE * 4_u32.pow(self.tries - 1)).await;
                } else {
                    self.give_up(run, offset, text, exhausted);
                }
            }
            Failure::Poison(text) => self.give_up(run, offset, text, true),
        }
    }

    fn give_up<S: Store, K: Source, P: Processor, C: Clock>(
        &mut self,
        run: &Run<'_, S, K, P, C>,
        offset: i64,
        text: String,
        policy_applies: bool,
    ) {
        if run.config.on_failure == OnFailure::Skip && policy_applies {
            tracing::warn!(partition = %self.partition, offset, error = text, "record skipped (ON_FAILURE=skip)");
            if let Some(record) = self.in_hand.pop_front() {
                self.ledger.settled(1, &record);
            }
            self.tries = 0;
            self.outcome.skipped.push((offset, text));
            return;
        }
        tracing::error!(partition = %self.partition, offset, error = text, "partition blocked");
        let now_ms = run.clock.wall_ms();
        let failures = Failures {
            offset: self.ledger.settled_at(),
            attempts: self.attempts(),
            crashes: 0,
            next_try_at_ms: Some(now_ms.saturating_add(self.back_off_ms())),
            error: Some(cut(text)),
        };
        self.outcome.blocked = Some((offset, failures));
        self.ledger.fail();
    }

    fn back_off_ms(&self) -> i64 {
        let Seen::Item(cursor) = &self.seen else {
            return FIRST_BACK_OFF_MS;
        };
        let still_there = cursor
            .failures()
            .filter(|failure| failure.offset == self.ledger.settled_at());
        next_back_off_ms(
            still_there.and_then(|failure| failure.next_try_at_ms),
            cursor.updated_at_ms,
        )
    }

    fn unfinished(&mut self, chunk: &Chunk) {
        let records = chunk.records();
        let (first, last) = (records[0].offset, records[records.len() - 1].offset);
        self.fail(Error::new(
            ErrorType::Timeout,
            format!(
                "the handler was not finished at the deadline with offsets {first} to {last} of {}. What was settled \
                 before is stored, and these come again. Give the function more time, or make the handler faster",
                self.partition
            ),
        ));
    }

    fn fail(&mut self, error: Error) {
        self.outcome.error = Some(error);
        self.ledger.fail();
    }

    /// Moves the stored cursor to what is settled.
    pub(super) async fn flush<S: Store, K: Source, P: Processor, C: Clock>(
        &mut self,
        run: &Run<'_, S, K, P, C>,
        ending: &Ending,
    ) {
        let (expected, next) = (self.ledger.stored_at(), self.ledger.settled_at());
        let write = claim::flush(&run.id, expected, next, ending, run.clock.wall_ms());
        let judged = store::write_and_judge(run.store, &self.consumer, self.partition.partition, &write, |item| {
            claim::judge_flush(&run.id, expected, next, ending, item)
        })
        .await;
        match judged {
            Ok(Verdict::Applied) => {
                self.ledger.flushed(run.now_ms());
                self.outcome.stored = Some(next);
            }
            Ok(Verdict::TakenOver { by }) => self.fail(self.claim_lost(&by)),
            Ok(Verdict::Edited { .. } | Verdict::NotApplied) => {
                tracing::warn!(partition = %self.partition, "the cursor was edited meanwhile; the next run obeys");
                self.outcome.held = Some(Elsewhere { until_ms: None });
                self.ledger.fail();
                self.release(run).await;
            }
            Err(error) => self.fail(error),
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

    async fn release<S: Store, K: Source, P: Processor, C: Clock>(&mut self, run: &Run<'_, S, K, P, C>) {
        let write = claim::release(&run.id);
        if let Err(error) = run.store.write(&self.consumer, self.partition.partition, &write).await {
            // The claim ends by itself; nothing depends on this write.
            tracing::warn!(partition = %self.partition, %error, "the claim could not be released");
        }
    }

    /// The last write: the cursor without its claim, or the claim alone.
    pub(super) async fn close<S: Store, K: Source, P: Processor, C: Clock>(&mut self, run: &Run<'_, S, K, P, C>) {
        let lost = self
            .outcome
            .error
            .as_ref()
            .is_some_and(|error| error.error_type == ErrorType::ClaimLost);
        if lost || self.outcome.held.is_some() {
            return;
        }
        let ending = match &self.outcome.blocked {
            Some((_, failures)) => Ending::Blocked(failures.clone()),
            None => Ending::Final,
        };
        if self.ledger.settled_at() != self.ledger.stored_at()
            || ending != Ending::Final
            || self.outcome.stored.is_some()
        {
            self.flush(run, &ending).await;
        } else {
            self.release(run).await;
        }
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

/// 1, 2, 4, 8, at most 15 minutes: twice what it was, which lies between the
/// last failure's write and its next try.
fn next_back_off_ms(next_try_at_ms: Option<i64>, written_at_ms: Option<i64>) -> i64 {
    let before = next_try_at_ms
        .zip(written_at_ms)
        .map(|(next, written)| next.saturating_sub(written));
    before.map_or(FIRST_BACK_OFF_MS, |before| {
        before.saturating_mul(2).clamp(FIRST_BACK_OFF_MS, LONGEST_BACK_OFF_MS)
    })
}

fn cut(mut text: String) -> String {
    if text.len() > LONGEST_ERROR {
        let end = (0..=LONGEST_ERROR)
            .rev()
            .find(|&i| text.is_char_boundary(i))
            .unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

fn took_ms(started: Instant, ended: Instant) -> u64 {
    u64::try_from(ended.saturating_duration_since(started).as_millis()).unwrap_or(u64::MAX)
}

fn words(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_fails_again_and_again_waits_1_2_4_8_and_then_15_minutes() {
        let mut delays = vec![next_back_off_ms(None, None)];
        for _ in 0..5 {
            let written = 1_000_000;
            delays.push(next_back_off_ms(
                delays.last().map(|delay| written + delay),
                Some(written),
            ));
        }
        assert_eq!(
            delays.iter().map(|ms| ms / 60_000).collect::<Vec<_>>(),
            [1, 2, 4, 8, 15, 15]
        );
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        let text = cut("é".repeat(400));
        assert!(text.len() <= LONGEST_ERROR + '…'.len_utf8() && text.ends_with('…'));
    }
}
