//! The records in hand: decode -> process -> settle.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures::FutureExt;

use super::{End, Lane, Tries};
use crate::clock::Clock;
use crate::decode::{self, DecodeError};
use crate::error::{Error, ErrorType};
use crate::invoke::{Interrupt, Run, Seams};
use crate::processor::{Failure, Processor, Progress, RunContext, panic_words};
use crate::record::{Chunk, Record};

/// From how many records on a check of their values is worth the way to another
/// thread and back: JSON of 1 KB takes up to a microsecond.
const WORTH_A_THREAD: usize = 256;

impl Lane {
    pub(super) async fn process<D: Seams>(&mut self, run: &Run<'_, D>, count: usize) {
        let Some(count) = self.selected(run, count) else { return };
        if let Some(why) = self.condemnation() {
            return self.give_up(run, why).await;
        }
        let (decodable, undecodable) = self.decodable(run, count).await;
        // The check may have waited for others'.
        if run.must_stop(self.expected()) {
            return self.take_back(decodable);
        }
        let Some(chunk) = Chunk::new(decodable) else {
            if let Some(error) = undecodable {
                self.undecodable(run, error.to_string()).await;
            }
            return;
        };
        let context = RunContext {
            stop_at: run.begin_until,
            attempt: self.attempts() + 1,
        };
        let started = run.clock.now();
        let work = AssertUnwindSafe(run.processor.process(&chunk, &context)).catch_unwind();
        let ended = tokio::select! {
            biased;
            ended = work => ended,
            () = tokio::time::sleep_until(run.cut_at.into()) => {
                let took = run.clock.now().saturating_duration_since(started);
                self.unfinished(run, &chunk, took);
                return self.take_back(chunk.into_records());
            }
            // Dropped by will: the chunk comes again in the next run.
            () = run.halted(Interrupt::Now) => {
                self.ledger.fail();
                return self.take_back(chunk.into_records());
            }
        };
        let took = took_ms(started, run.clock.now());
        match ended {
            Ok(progress) => self.come_to(run, chunk, progress, took).await,
            Err(panic) => {
                let what = format!("the handler panicked: {}", panic_words(&*panic));
                let records = chunk.len();
                self.take_back(chunk.into_records());
                self.may_have_been_applied(run, records, what).await;
            }
        }
    }

    /// What a chunk came to.
    async fn come_to<D: Seams>(&mut self, run: &Run<'_, D>, chunk: Chunk, progress: Progress, took: u64) {
        let records = chunk.len();
        let settled = progress.settled.min(records);
        self.settle(chunk, settled);
        if settled > 0 {
            self.record_ms = took / settled as u64;
            self.ledger.measured(settled, took);
        }
        match progress.stop {
            // It concerns no record of this chunk, and no other may take the blame.
            Some(failure) if settled == records => {
                if matches!(failure, Failure::Fatal(_)) {
                    run.abort();
                }
                let partition = &self.partition;
                let words =
                    format!("the handler settled a whole chunk of {partition} and failed all the same: {failure}");
                self.end(End::Failed(Error::new(ErrorType::DestinationFailed, words)));
            }
            Some(failure) => self.failed(run, failure).await,
            // As the contract of a processor says: it had too little time to begin.
            None if settled == 0 && run.is_nearly_over() => self.end(End::OutOfTime),
            None if settled == 0 && !run.must_stop(Duration::ZERO) => {
                let silent = "the handler settled nothing and gave no reason".to_owned();
                self.may_have_been_applied(run, records, silent).await;
            }
            None => {}
        }
    }

    /// The handler failed without a word on which record it was: no innocent
    /// one may take the blame, so they are handed over one at a time.
    async fn may_have_been_applied<D: Seams>(&mut self, run: &Run<'_, D>, records: usize, what: String) {
        if records == 1 {
            return self.failed(run, Failure::Retry(what)).await;
        }
        let offset = self.in_hand.front().map(|first| first.offset);
        tracing::warn!(partition = %self.partition, offset, records, error = what, "trying one by one");
        self.outcome.failed_tries += 1;
        self.ledger.measured(1, u64::MAX);
    }

    /// Those of the first `count` records that can be decoded, and what is wrong
    /// with the one after them. Many are checked on a thread of their own, while
    /// this one goes on with other partitions.
    async fn decodable<D: Seams>(&mut self, run: &Run<'_, D>, count: usize) -> (Vec<Record>, Option<DecodeError>) {
        let mut records: Vec<Record> = self.in_hand.drain(..count).collect();
        if run.processor.decodes() {
            return (records, None);
        }
        let format = run.config.message_format;
        let (good, undecodable) = if count < WORTH_A_THREAD {
            decode::check(format, &records)
        } else {
            let checking = tokio::task::spawn_blocking(move || (decode::check(format, &records), records));
            let checked;
            (checked, records) = match checking.await {
                Ok(checked) => checked,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The process is about to end: nothing of these is settled any more.
                    Err(_) => return std::future::pending().await,
                },
            };
            checked
        };
        self.take_back(records.split_off(good));
        (records, undecodable)
    }

    /// The first `count` records of the chunk are settled; the others are in hand again.
    fn settle(&mut self, chunk: Chunk, count: usize) {
        let mut settled = chunk.into_records();
        let others = settled.split_off(count);
        self.take_back(others);
        let (Some(first), Some(last)) = (settled.first(), settled.last()) else {
            return;
        };
        self.ledger.settled(count, last);
        self.outcome.first_offset = self.outcome.first_offset.or(Some(first.offset));
        self.outcome.messages += count as u64;
        self.outcome.bytes += settled.iter().map(|record| record.size_bytes() as u64).sum::<u64>();
        self.on_to_the_next();
    }

    /// Records that were handed over, and are not settled.
    fn take_back(&mut self, records: Vec<Record>) {
        for record in records.into_iter().rev() {
            self.in_hand.push_front(record);
        }
    }

    /// The first record in hand is settled or passed over.
    pub(super) fn on_to_the_next(&mut self) {
        self.tries = Tries::default();
        if let Some(first) = self.in_hand.front() {
            self.ledger.stand_at(first);
        }
    }
}

fn took_ms(started: Instant, ended: Instant) -> u64 {
    u64::try_from(ended.saturating_duration_since(started).as_millis()).unwrap_or(u64::MAX)
}
