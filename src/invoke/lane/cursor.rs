//! A partition's writes: the claim at the start, the cursor on the way, and
//! the end of the claim.

use super::{Elsewhere, Lane};
use crate::claim::{self, Care, Claim, Ending, Flush, Left, Verdict};
use crate::clock::Clock;
use crate::error::{Error, ErrorType};
use crate::invoke::{Run, Seams};
use crate::plan::Why;
use crate::source::Polled;
use crate::store::{self, Store, Written};

impl Lane {
    /// Claims the partition, while its first records come: they are returned,
    /// unseen, if they came before the claim.
    pub(super) async fn claim<D: Seams>(&mut self, run: &Run<'_, D>) -> Option<Polled> {
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
        let mut came = None;
        let judged = tokio::select! {
            biased;
            judged = run.in_time(run.stop.at, written) => judged,
            never = self.fetch_meanwhile(run, &mut came) => match never {},
        };
        self.claim_judged(run, &claim, judged).await;
        came
    }

    async fn claim_judged<D: Seams>(&mut self, run: &Run<'_, D>, claim: &Claim, judged: Result<Verdict, Error>) {
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

    /// Moves the stored cursor to what is settled.
    pub(in crate::invoke) async fn flush<D: Seams>(&mut self, run: &Run<'_, D>, ending: &Ending) {
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
    pub(in crate::invoke) async fn close<D: Seams>(&mut self, run: &Run<'_, D>) {
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
                "the claim on {} ended while this run was at work: it was frozen, or slower than its deadline. Its \
                 cursor stands at next offset {}; what this run handled from there on comes again",
                self.partition,
                self.ledger.stored_at()
            ),
        )
    }
}
