//! A record that failed: try it again, pass it over, or stop here.

use std::time::Duration;

use super::{End, Lane};
use crate::claim::{Failures, ObservedItem};
use crate::clock::Clock;
use crate::config::OnFailure;
use crate::dead_letter::Stage;
use crate::error::{Error, ErrorType};
use crate::invoke::{Run, Seams};
use crate::processor::Failure;
use crate::text::cut;

/// How often a failure that may pass is tried within one run.
const TRIES_IN_A_RUN: u32 = 3;

/// The pause before the second try; each later one is four times as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The first pause between runs for a record that failed; each is twice the
/// one before, up to [`LONGEST_BACK_OFF_MS`].
const FIRST_BACK_OFF_MS: i64 = 60_000;
const LONGEST_BACK_OFF_MS: i64 = 15 * 60_000;

/// A stored error is for people to read; longer ones are cut.
const LONGEST_ERROR_BYTES: usize = 500;

/// Why a record is not tried any more.
pub(super) struct GivenUp {
    pub(super) stage: Stage,
    /// What was wrong. Never a record's value.
    pub(super) text: String,
    /// Whether `ON_FAILURE` applies, or a later run must try again first.
    pub(super) policy_applies: bool,
}

impl GivenUp {
    fn handler(text: String, policy_applies: bool) -> Self {
        Self {
            stage: Stage::Handle,
            text,
            policy_applies,
        }
    }
}

impl Lane {
    /// How often the record at the cursor was tried, over all runs.
    pub(super) fn attempts(&self) -> u32 {
        self.failures_so_far().all_attempts()
    }

    /// What is known of the record at the cursor, this run's tries included.
    pub(super) fn failures_so_far(&self) -> Failures {
        let here = self.ledger.settled_at();
        let stored = match &self.seen {
            ObservedItem::Present(cursor) => cursor.failures().filter(|failure| failure.offset == here),
            ObservedItem::Missing { .. } => None,
        };
        let attempts = stored.map_or(0, |failure| failure.attempts);
        Failures {
            offset: here,
            attempts: attempts.saturating_add(self.tries.failed),
            crashes: self.crashes(),
            error: self
                .tries
                .last_error
                .clone()
                .or_else(|| stored.and_then(|failure| failure.error.clone())),
            next_try_at_ms: stored.and_then(|failure| failure.next_try_at_ms),
        }
    }

    /// One more failed try of the record at the cursor. It counts however the run ends.
    fn count_try(&mut self, text: &str) {
        self.tries.failed += 1;
        self.outcome.failed_tries += 1;
        self.tries.last_error = Some(cut(text, LONGEST_ERROR_BYTES).into_owned());
    }

    /// The first record in hand is not what `MESSAGE_FORMAT` says, and never will be.
    pub(super) async fn undecodable<D: Seams>(&mut self, run: &Run<'_, D>, text: String) {
        self.count_try(&text);
        let why = GivenUp {
            stage: Stage::Decode,
            text,
            policy_applies: true,
        };
        self.give_up(run, why).await;
    }

    /// The first record in hand failed: try again, pass it over, or stop here.
    pub(super) async fn failed<D: Seams>(&mut self, run: &Run<'_, D>, failure: Failure) {
        self.count_try(&failure.to_string());
        let offset = self.ledger.settled_at();
        let exhausted = self.attempts() >= run.config.max_attempts.get();
        match failure.cut() {
            Failure::Fatal(text) => {
                let error = format!("the handler gave up at offset {offset} of {}: {text}", self.partition);
                run.abort();
                self.end(End::Failed(Error::new(ErrorType::DestinationFailed, error)));
            }
            Failure::Retry(text) => {
                if self.tries.failed < TRIES_IN_A_RUN && !exhausted {
                    tracing::warn!(partition = %self.partition, offset = offset.get(), tries = self.tries.failed, error = text, "trying again");
                    run.pause(FIRST_PAUSE * 4_u32.pow(self.tries.failed - 1)).await;
                } else {
                    self.give_up(run, GivenUp::handler(text, exhausted)).await;
                }
            }
            Failure::Poison(text) => self.give_up(run, GivenUp::handler(text, true)).await,
        }
    }

    /// No further try in this run: what `ON_FAILURE` says, or a later run.
    pub(super) async fn give_up<D: Seams>(&mut self, run: &Run<'_, D>, why: GivenUp) {
        match &run.config.on_failure {
            OnFailure::Skip if why.policy_applies => self.pass_over(why.text),
            OnFailure::DeadLetter(_) if why.policy_applies => self.bury(run, why).await,
            OnFailure::Halt | OnFailure::Skip | OnFailure::DeadLetter(_) => self.block(run, why.text),
        }
    }

    /// What comes next cannot even be fetched. Where it ends is unknown, so no
    /// policy can pass over it: that is for an operator, who moves the cursor.
    pub(super) fn unreadable<D: Seams>(&mut self, run: &Run<'_, D>, what: String) {
        self.count_try(&what);
        self.block(run, what);
    }

    fn pass_over(&mut self, text: String) {
        let Some(record) = self.in_hand.pop_front() else { return };
        tracing::warn!(partition = %self.partition, offset = record.offset, error = text, "record skipped (ON_FAILURE=skip)");
        self.ledger.settled(1, &record);
        self.on_to_the_next();
        self.outcome.skipped.add(record.offset, text);
    }

    /// Nothing is read here any more until the record can be tried again.
    pub(super) fn block<D: Seams>(&mut self, run: &Run<'_, D>, text: String) {
        let offset = self.ledger.settled_at();
        tracing::error!(partition = %self.partition, offset = offset.get(), error = text, "partition blocked");
        let failures = Failures {
            next_try_at_ms: Some(run.clock.wall_ms().saturating_add(self.back_off_ms(run))),
            error: Some(cut(text, LONGEST_ERROR_BYTES).into_owned()),
            ..self.failures_so_far()
        };
        self.end(End::Blocked(failures));
    }

    fn back_off_ms<D: Seams>(&self, run: &Run<'_, D>) -> i64 {
        // Each run that died wrote the item when it took it over: the times on it say nothing.
        let deaths = self.crashes().saturating_sub(run.config.max_attempts.get());
        let ObservedItem::Present(cursor) = &self.seen else {
            return FIRST_BACK_OFF_MS;
        };
        let still_there = cursor
            .failures()
            .filter(|failure| failure.offset == self.ledger.settled_at());
        next_back_off_ms(
            still_there.and_then(|failure| failure.next_try_at_ms),
            cursor.updated_at_ms,
        )
        .max(doubled(FIRST_BACK_OFF_MS, deaths))
    }
}

fn doubled(ms: i64, times: u32) -> i64 {
    ms.saturating_mul(1 << times.min(10)).min(LONGEST_BACK_OFF_MS)
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
}
