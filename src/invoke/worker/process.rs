//! The buffered records: decode -> process -> settle.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures::FutureExt;

use super::failed::MAX_ERROR_BYTES;
use super::filtered::{is_long_work, run_blocking};
use super::{EndReason, PartitionWorker, Tries, back_off};
use crate::claim::Ending;
use crate::clock::Clock;
use crate::decode::{self, DecodeError};
use crate::error::{Error, ErrorType};
use crate::invoke::run::Run;
use crate::invoke::{Backend, Interrupt};
use crate::processor::{Failure, Processor, Progress, RunContext, panic_message};
use crate::record::{Chunk, NextOffset, Record};
use crate::text::cut;

/// How often a destination is tried in a row if other partitions wait for this one to
/// end: for about 6 seconds, by [`back_off::throttled_pause`].
const MAX_REFUSALS_IF_OTHERS_WAIT: u32 = 6;

impl PartitionWorker {
    pub(super) async fn process<B: Backend>(&mut self, run: &Run<'_, B>, count: usize) {
        self.fill_until_ms = None;
        let Some(count) = self.selected(run, count) else { return };
        if self.settle_filtered() {
            return;
        }
        if let Some(why) = self.crash_give_up() {
            return self.give_up(run, why).await;
        }
        if self.filter_buffer(run).await {
            return;
        }
        let (decodable, undecodable) = self.decodable(run, count).await;
        // Decoding may have waited for other partitions'.
        if run.must_stop(self.expected()) {
            return self.return_to_buffer(decodable);
        }
        let Some(chunk) = Chunk::new(decodable) else {
            if let Some(error) = undecodable {
                self.undecodable(run, error).await;
            }
            return;
        };
        let context = self.context(run, &chunk, self.attempts() + 1);
        let started = run.clock.now();
        let work = AssertUnwindSafe(run.processor.process(&chunk, &context)).catch_unwind();
        let ended = tokio::select! {
            biased;
            ended = work => ended,
            () = tokio::time::sleep_until(run.cut_at.into()) => {
                let took = run.clock.now().saturating_duration_since(started);
                self.unfinished(run, &chunk, took);
                return self.return_to_buffer(chunk.into_records());
            }
            // Interrupted: the next run reads the chunk again.
            () = run.halted(Interrupt::Now) => {
                self.ledger.fail();
                return self.return_to_buffer(chunk.into_records());
            }
        };
        let took = took_ms(started, run.clock.now());
        match ended {
            Ok(progress) => self.handle_progress(run, chunk, progress, took).await,
            Err(panic) => {
                let what = format!("the handler panicked: {}", panic_message(&*panic));
                let records = chunk.len();
                self.return_to_buffer(chunk.into_records());
                self.blame_none(run, records, what).await;
            }
        }
    }

    pub(super) fn context<B: Backend>(&self, run: &Run<'_, B>, chunk: &Chunk, attempt: u32) -> RunContext {
        let last = chunk.records().last().map(|last| last.offset);
        let next = last.and_then(NextOffset::after).unwrap_or(self.ledger.settled_at());
        RunContext {
            stop_at: run.begin_until,
            attempt,
            run_id: run.id.shared(),
            group_id: run.config.group_id.clone(),
            lag: Some(next.distance_to(self.ledger.to())),
        }
    }

    /// Settles what the processor settled, and acts on its failure.
    async fn handle_progress<B: Backend>(&mut self, run: &Run<'_, B>, chunk: Chunk, progress: Progress, took: u64) {
        let records = chunk.len();
        let settled = progress.settled.min(records);
        self.settle(chunk, settled);
        if settled > 0 {
            self.record_ms = if self.ledger.batch().is_some() {
                took
            } else {
                took / settled as u64
            };
            self.ledger.measured(settled, took);
        }
        match progress.stop {
            // It concerns no record of this chunk, and counts against no other.
            Some(failure) if settled == records => {
                let failure = failure.cut();
                if matches!(failure, Failure::Fatal(_)) {
                    run.stop_topic(&self.partition.topic);
                }
                let partition = &self.partition;
                let what =
                    format!("the handler settled a whole chunk of {partition} and returned a failure: {failure}");
                let error = Error::new(ErrorType::DestinationFailed, what);
                self.end(EndReason::Failed(error.next(
                    "Correct the handler, or what it needs; the next run starts after this chunk",
                )));
            }
            Some(failure) => self.failed(run, failure).await,
            // The processor had too little time to start.
            None if settled == 0 && run.is_nearly_out_of_time() => match self.tries.last_refusal.take() {
                Some(text) => self.end_refused(&text),
                None => self.end(EndReason::OutOfTime),
            },
            None if settled == 0 && !run.must_stop(Duration::ZERO) => {
                let no_reason = "the handler settled nothing and gave no reason".to_owned();
                self.blame_none(run, records, no_reason).await;
            }
            None => {}
        }
    }

    /// The destination accepts no record for now: waits, and counts no attempt. If it accepts
    /// none of this partition in the whole run, the run fails, so that it is seen. So
    /// that others are not kept waiting, the partition is left to the next run earlier.
    pub(super) async fn throttled<B: Backend>(&mut self, run: &Run<'_, B>, text: &str) {
        self.tries.throttled += 1;
        self.tries.last_refusal = Some(text.to_owned());
        let offset = self.ledger.settled_at();
        tracing::warn!(partition = %self.partition, offset = offset.get(), refusals = self.tries.throttled, error = text, "the destination is throttled or not ready, waiting");
        let pause = back_off::throttled_pause(self.tries.throttled);
        let is_due = |due: u64| Duration::from_millis(due.saturating_sub(run.now_ms())) <= pause;
        if self.ledger.hands_over() || self.ledger.due_at_ms().is_some_and(is_due) {
            // Without the mark: a crash while the run waits does not count against the record.
            self.ledger.set_waiting(true);
            self.flush(run, &Ending::Interim).await;
            self.ledger.set_waiting(false);
            if self.outcome.end.is_some() {
                return;
            }
        }
        run.pause(pause).await;
        if run.halting() {
            return;
        }
        let others_first = self.tries.throttled >= MAX_REFUSALS_IF_OTHERS_WAIT && run.another_waits();
        if others_first || run.must_stop(Duration::ZERO) {
            self.end_refused(text);
        }
    }

    /// The destination accepted no record before the partition's time ended.
    fn end_refused(&mut self, text: &str) {
        if self.has_progress() {
            self.end(EndReason::OutOfTime);
        } else {
            let what = format!(
                "the destination accepted no record of {} from offset {} on in this run: {}. No attempt is counted, \
                 and the next run starts there",
                self.partition,
                self.ledger.settled_at(),
                cut(text, MAX_ERROR_BYTES)
            );
            let error = Error::new(ErrorType::Timeout, what);
            self.end(EndReason::Failed(error.next(
                "Increase the limit that the message names, or correct the connection",
            )));
        }
    }

    /// The handler failed without naming the record: none of several is blamed,
    /// and from here on they are handed over one at a time.
    async fn blame_none<B: Backend>(&mut self, run: &Run<'_, B>, records: usize, what: String) {
        if records == 1 {
            return self.failed(run, Failure::Retry(what)).await;
        }
        let offset = self.buffered.front().map(|first| first.offset);
        tracing::warn!(partition = %self.partition, offset, records, error = what, "the handler failed, retrying one record at a time");
        self.outcome.failed_tries += 1;
        self.ledger.hand_over_one();
    }

    /// Takes `count` buffered records. Returns those that match the filter and can
    /// be decoded, and the error of the one after them. Many are decoded on a
    /// thread of their own, while this one goes on with other partitions.
    async fn decodable<B: Backend>(&mut self, run: &Run<'_, B>, count: usize) -> (Vec<Record>, Option<DecodeError>) {
        let mut records = self.take_batch(count);
        if run.processor.decodes(&self.partition.topic) {
            return (records, None);
        }
        let format = run.config.message_format(&self.partition.topic);
        let good;
        let undecodable;
        if is_long_work(&records) {
            let checked;
            (checked, records) = run_blocking(move || (decode::check(format, &records), records)).await;
            (good, undecodable) = checked;
        } else {
            (good, undecodable) = decode::check(format, &records);
        }
        self.return_to_buffer(records.split_off(good));
        (records, undecodable)
    }

    /// The first `count` records of the chunk are settled; the others are buffered again.
    fn settle(&mut self, chunk: Chunk, count: usize) {
        let mut settled = chunk.into_records();
        let others = settled.split_off(count);
        let filtered = self.filtered_before(others.first().map(|next| next.offset));
        self.return_to_buffer(others);
        self.outcome.first_offset = self.outcome.first_offset.or(settled.first().map(|first| first.offset));
        self.outcome.messages += count as u64;
        self.outcome.bytes += settled.iter().map(|record| record.size_bytes() as u64).sum::<u64>();
        let last = settled
            .last()
            .into_iter()
            .chain(filtered.last())
            .max_by_key(|record| record.offset);
        if let Some(last) = last {
            self.ledger.settled(settled.len() + filtered.len(), last);
            self.advance();
        }
    }

    /// The first buffered record was settled or passed over.
    pub(super) fn advance(&mut self) {
        self.tries = Tries::default();
        if let Some(first) = self.buffered.front() {
            self.ledger.stand_at(first);
        }
    }
}

fn took_ms(started: Instant, ended: Instant) -> u64 {
    u64::try_from(ended.saturating_duration_since(started).as_millis()).unwrap_or(u64::MAX)
}
