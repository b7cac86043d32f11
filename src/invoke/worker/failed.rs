//! A record that failed: retry it, give it up by `ON_FAILURE`, or block the
//! partition.

use super::{EndReason, PartitionWorker, back_off};
use crate::claim::{Failures, ObservedItem};
use crate::clock::Clock;
use crate::config::OnFailure;
use crate::dead_letter::Stage;
use crate::decode::DecodeError;
use crate::error::{Error, ErrorType};
use crate::invoke::Backend;
use crate::invoke::run::Run;
use crate::processor::Failure;
use crate::report::SkipReason;
use crate::text::cut;

/// How often one run tries a record whose failure may pass.
const TRIES_IN_A_RUN: u32 = 3;

/// An error is cut to this length on the item.
pub(super) const MAX_ERROR_BYTES: usize = 500;

/// Why a record is not tried again in this run.
pub(super) struct GivenUp {
    pub(super) stage: Stage,
    /// The error. Never a record's value.
    pub(super) text: String,
    /// The same without the record's offset and the position in its value, if it
    /// is known.
    pub(super) without_place: Option<String>,
    /// Whether `ON_FAILURE` applies, or a later run must retry first.
    pub(super) policy_applies: bool,
}

impl GivenUp {
    fn handler(text: String, policy_applies: bool) -> Self {
        Self {
            stage: Stage::Handle,
            text,
            without_place: None,
            policy_applies,
        }
    }

    /// A value of another format never changes: `ON_FAILURE` applies.
    fn undecodable(stage: Stage, error: DecodeError) -> Self {
        Self {
            stage,
            text: error.to_string(),
            without_place: Some(error.reason),
            policy_applies: true,
        }
    }
}

impl PartitionWorker {
    /// How often the record at the cursor was tried, over all runs.
    pub(super) fn attempts(&self) -> u32 {
        self.failures_so_far().all_attempts()
    }

    /// The failures of the record at the cursor, over all runs.
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

    /// Counts a failed try of the record at the cursor, however the run ends.
    fn count_try(&mut self, text: &str) {
        self.tries.failed += 1;
        self.outcome.failed_tries += 1;
        self.tries.last_error = Some(cut(text, MAX_ERROR_BYTES).into_owned());
    }

    /// The first buffered record cannot be decoded as `MESSAGE_FORMAT`, and never will be.
    pub(super) async fn undecodable<B: Backend>(&mut self, run: &Run<'_, B>, error: DecodeError) {
        let why = GivenUp::undecodable(Stage::Decode, error);
        self.outcome.undecodable += 1;
        self.count_try(&why.text);
        self.give_up(run, why).await;
    }

    /// The first buffered record failed: retry it, give it up, or block the partition.
    pub(super) async fn failed<B: Backend>(&mut self, run: &Run<'_, B>, failure: Failure) {
        let failure = failure.cut();
        if let Failure::Throttled(text) = &failure {
            return self.throttled(run, text).await;
        }
        if matches!(failure, Failure::Fatal(_)) {
            // The record is not the cause: no attempt is stored.
            self.outcome.failed_tries += 1;
        } else {
            self.count_try(&failure.to_string());
        }
        let offset = self.ledger.settled_at();
        let exhausted = self.attempts() >= run.config.max_attempts.get();
        match failure {
            Failure::Fatal(text) => {
                let what = format!(
                    "the handler failed fatally at offset {offset} of {}: {text}",
                    self.partition
                );
                run.stop_topic(&self.partition.topic);
                let error = Error::new(ErrorType::DestinationFailed, what);
                self.end(EndReason::Failed(error.next(
                    "Correct the handler, or what it needs; the next run starts with this record",
                )));
            }
            Failure::Retry(text) | Failure::Throttled(text) => {
                if self.tries.failed < TRIES_IN_A_RUN && !exhausted {
                    tracing::warn!(partition = %self.partition, offset = offset.get(), tries = self.tries.failed, error = text, "record failed, retrying");
                    run.pause(back_off::pause(self.tries.failed)).await;
                } else {
                    self.give_up(run, GivenUp::handler(text, exhausted)).await;
                }
            }
            Failure::Poison(text) => self.give_up(run, GivenUp::handler(text, true)).await,
            Failure::Undecodable(error) => self.give_up(run, GivenUp::undecodable(Stage::Handle, error)).await,
        }
    }

    /// Applies `ON_FAILURE`, or leaves the record to a later run.
    pub(super) async fn give_up<B: Backend>(&mut self, run: &Run<'_, B>, why: GivenUp) {
        match &run.config.on_failure {
            OnFailure::Skip if why.policy_applies => self.pass_over(&why),
            OnFailure::DeadLetter(_) if why.policy_applies => self.send_to_dead_letter(run, why).await,
            OnFailure::Halt | OnFailure::Skip | OnFailure::DeadLetter(_) => self.block(run, why.text),
        }
    }

    /// The next batch cannot be read. Where it ends is unknown, so `ON_FAILURE`
    /// does not apply: an operator has to move the cursor.
    pub(super) fn unreadable<B: Backend>(&mut self, run: &Run<'_, B>, what: String) {
        self.count_try(&what);
        self.block(run, what);
    }

    fn pass_over(&mut self, why: &GivenUp) {
        let Some(record) = self.buffered.pop_front() else {
            return;
        };
        tracing::warn!(partition = %self.partition, offset = record.offset, error = why.text, "record skipped (ON_FAILURE=skip)");
        self.ledger.settled(1, &record);
        self.advance();
        let reason = SkipReason::new(&why.text, why.without_place.as_deref());
        self.outcome.skipped.add(record.offset, reason);
    }

    /// Ends the work here until the record is due to be tried again.
    pub(super) fn block<B: Backend>(&mut self, run: &Run<'_, B>, text: String) {
        let offset = self.ledger.settled_at();
        tracing::error!(partition = %self.partition, offset = offset.get(), error = text, "partition blocked");
        let failures = Failures {
            next_try_at_ms: Some(run.clock.wall_ms().saturating_add(self.back_off_ms(run))),
            error: Some(cut(text, MAX_ERROR_BYTES).into_owned()),
            ..self.failures_so_far()
        };
        self.end(EndReason::Blocked(failures));
    }

    fn back_off_ms<B: Backend>(&self, run: &Run<'_, B>) -> i64 {
        // Each run that crashed wrote the item at its claim: its times are not those of failures.
        let crashes = self.crashes().saturating_sub(run.config.max_attempts.get());
        back_off::after_ms(self.last_back_off_ms()).max(back_off::delay_ms(crashes))
    }

    /// The back-off that an earlier run stored for the record at the cursor: what
    /// lies between its write and the next try.
    fn last_back_off_ms(&self) -> Option<i64> {
        let ObservedItem::Present(cursor) = &self.seen else {
            return None;
        };
        let here = self.ledger.settled_at();
        let failure = cursor.failures().filter(|failure| failure.offset == here)?;
        Some(failure.next_try_at_ms?.saturating_sub(cursor.updated_at_ms?))
    }
}
