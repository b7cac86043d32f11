//! A record that is given up: sent to the dead-letter target, and passed once
//! that acknowledged it.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use super::failed::GivenUp;
use super::{EndReason, PartitionWorker};
use crate::dead_letter::{self, Reason};
use crate::error::{Error, ErrorType};
use crate::invoke::run::Run;
use crate::invoke::{Backend, Interrupt, MAX_DEAD_LETTERS};
use crate::processor::{Processor, Progress};
use crate::record::{Chunk, Record};

impl PartitionWorker {
    /// Sends the first buffered record to the dead-letter target. The cursor moves
    /// only once it is acknowledged: a failing target blocks the partition.
    pub(super) async fn send_to_dead_letter<B: Backend>(&mut self, run: &Run<'_, B>, why: GivenUp) {
        let Some(record) = self.buffered.front().cloned() else {
            return;
        };
        if !run.dead_letters_left.take() {
            let text = format!(
                "{}; and this run has sent {MAX_DEAD_LETTERS} dead letters, the limit of one run: correct what fails \
                 before the whole topic is sent there",
                why.text
            );
            return self.block(run, text);
        }
        let reason = Reason {
            stage: why.stage,
            error: &why.text,
            attempts: self.attempts(),
            group_id: &run.config.group_id,
        };
        let Some(chunk) = Chunk::new(vec![dead_letter::dead_letter(&record, &reason)]) else {
            return;
        };
        let context = self.context(run, &chunk, self.attempts());
        let sending = AssertUnwindSafe(run.dead_letters.process(&chunk, &context)).catch_unwind();
        let sent = tokio::select! {
            biased;
            sent = sending => sent,
            () = tokio::time::sleep_until(run.cut_at.into()) => return self.not_delivered(run, &record),
            () = run.halted(Interrupt::Now) => return self.ledger.fail(),
        };
        match sent {
            Ok(Progress { settled: 1.., .. }) => self.delivered(&record, &why.text, &run.config.on_failure),
            // Too little time was left: the target did not refuse it.
            Ok(Progress { stop: None, .. }) => {
                run.dead_letters_left.give_back();
                run.pause(context.time_left()).await;
                if !self.has_progress() && !run.halting() {
                    // With so little time in each run it would never be sent.
                    self.not_delivered(run, &record);
                }
            }
            failed => {
                run.dead_letters_left.give_back();
                let error = match failed.ok().and_then(|progress| progress.stop) {
                    Some(failure) => failure.to_string(),
                    None => "the target panicked".to_owned(),
                };
                self.block(
                    run,
                    format!("{}; and its dead letter was not accepted: {error}", why.text),
                );
            }
        }
    }

    pub(super) fn has_progress(&self) -> bool {
        let outcome = &self.outcome;
        outcome.messages + outcome.filtered + outcome.dead_lettered + outcome.skipped.count() > 0
    }

    fn delivered(&mut self, record: &Record, error: &str, target: &impl std::fmt::Display) {
        let offset = record.offset;
        tracing::warn!(partition = %self.partition, offset, error, %target, "record sent as a dead letter");
        self.outcome.dead_lettered += 1;
        self.buffered.pop_front();
        self.ledger.settled(1, record);
        self.advance();
    }

    /// It may have been delivered. It is sent again: a duplicate is allowed, a loss is not.
    fn not_delivered<B: Backend>(&mut self, run: &Run<'_, B>, record: &Record) {
        let what = format!(
            "the dead letter of offset {} of {} was not acknowledged by {} before the deadline. The next run reads the \
             record again",
            record.offset, self.partition, run.config.on_failure
        );
        let error = Error::new(ErrorType::Timeout, what);
        self.end(EndReason::Failed(
            error.next("Check the target, or give the function more time"),
        ));
    }
}
