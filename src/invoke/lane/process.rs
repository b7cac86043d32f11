//! The records in hand: decode -> process -> settle, or try again, pass over,
//! block.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures::FutureExt;

use super::Lane;
use crate::claim::{Failures, Seen};
use crate::clock::Clock;
use crate::config::OnFailure;
use crate::decode;
use crate::error::{Error, ErrorType};
use crate::invoke::{Interrupt, Run, Seams};
use crate::processor::{Failure, Processor, Progress, RunContext};
use crate::record::{Chunk, Record};

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

impl Lane {
    pub(super) async fn process<D: Seams>(&mut self, run: &Run<'_, D>, count: usize) {
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
            // It concerns no record of this chunk, and no other may take the blame.
            Some(failure) if settled == chunk.len() => {
                if matches!(failure, Failure::Fatal(_)) {
                    run.abort();
                }
                let partition = &self.partition;
                let words =
                    format!("the handler settled a whole chunk of {partition} and failed all the same: {failure}");
                self.fail(Error::new(ErrorType::DestinationFailed, words));
            }
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
    fn decodable<D: Seams>(&self, run: &Run<'_, D>, count: usize) -> (usize, Option<decode::DecodeError>) {
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
    async fn failed<D: Seams>(&mut self, run: &Run<'_, D>, failure: Failure) {
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

    fn give_up<D: Seams>(&mut self, run: &Run<'_, D>, offset: i64, text: String, policy_applies: bool) {
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
