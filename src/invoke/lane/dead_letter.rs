//! A record that is given up: written as a dead letter, and only then passed.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use super::failed::GivenUp;
use super::{End, Lane};
use crate::dead_letter::{self, Reason};
use crate::error::{Error, ErrorType};
use crate::invoke::{Interrupt, MOST_DEAD_LETTERS, Run, Seams};
use crate::processor::{Processor, Progress, RunContext};
use crate::record::{Chunk, Record};

impl Lane {
    /// Sends the first record in hand to the target of dead letters. Until it
    /// is acknowledged the cursor stays: a failing target blocks the partition.
    pub(super) async fn bury<D: Seams>(&mut self, run: &Run<'_, D>, why: GivenUp) {
        let Some(record) = self.in_hand.front().cloned() else {
            return;
        };
        if !run.dead_letters_left.take() {
            let words = format!(
                "{}; and this run has written {MOST_DEAD_LETTERS} dead letters, the most that one run may: look at \
                 what fails before the topic is drained",
                why.text
            );
            return self.block(run, words);
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
        let context = RunContext {
            stop_at: run.begin_until,
            attempt: self.attempts(),
        };
        let sending = AssertUnwindSafe(run.dead_letters.process(&chunk, &context)).catch_unwind();
        let sent = tokio::select! {
            biased;
            sent = sending => sent,
            () = tokio::time::sleep_until(run.cut_at.into()) => return self.unburied(run, &record),
            () = run.halted(Interrupt::Now) => return self.ledger.fail(),
        };
        match sent {
            Ok(Progress { settled: 1.., .. }) => self.buried(&record, &why.text, &run.config.on_failure),
            // Too little time was left: no refusal.
            Ok(Progress { stop: None, .. }) => {
                run.dead_letters_left.give_back();
                run.pause(context.time_left()).await;
                if !self.has_progress() && !run.halting() {
                    // With so little time in each run it would never be written.
                    self.unburied(run, &record);
                }
            }
            failed => {
                run.dead_letters_left.give_back();
                let problem = match failed.ok().and_then(|progress| progress.stop) {
                    Some(failure) => failure.to_string(),
                    None => "the target panicked".to_owned(),
                };
                self.block(
                    run,
                    format!("{}; and its dead letter was not accepted: {problem}", why.text),
                );
            }
        }
    }

    fn has_progress(&self) -> bool {
        let outcome = &self.outcome;
        outcome.messages + outcome.dead_lettered + outcome.skipped.count() > 0
    }

    fn buried(&mut self, record: &Record, error: &str, target: &impl std::fmt::Display) {
        let offset = record.offset;
        tracing::warn!(partition = %self.partition, offset, error, %target, "record written as a dead letter");
        self.outcome.dead_lettered += 1;
        self.in_hand.pop_front();
        self.ledger.settled(1, record);
        self.on_to_the_next();
    }

    /// It may have been written: a second one is legal, a lost one is not.
    fn unburied<D: Seams>(&mut self, run: &Run<'_, D>, record: &Record) {
        self.end(End::Failed(Error::new(
            ErrorType::Timeout,
            format!(
                "the dead letter of offset {} of {} was not acknowledged by {} before the deadline. The record comes \
                 again. Look at the target, or give the function more time",
                record.offset, self.partition, run.config.on_failure
            ),
        )));
    }
}
