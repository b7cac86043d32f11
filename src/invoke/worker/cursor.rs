//! The writes of one partition: the claim, the cursor, and the end of the claim.

use std::time::Instant;

use super::{ClaimState, EndReason, PartitionWorker, Stored};
use crate::claim::{self, Claim, Cursor, Ending, Failures, Flush, LastWrite, ObservedItem, Quarantine, Verdict};
use crate::clock::Clock;
use crate::error::{Error, ErrorType};
use crate::invoke::Backend;
use crate::invoke::run::Run;
use crate::plan::Why;
use crate::record::OffsetRange;
use crate::source::Polled;
use crate::store::{self, Store, WriteResult};

/// What to do where a run outlived its claim.
const NOT_FROZEN: &str = "If this repeats, increase the function's timeout or memory";

impl PartitionWorker {
    /// Claims the partition, and polls its first records meanwhile. Returns the
    /// result of that poll, or the client's panic, if it was there before the
    /// response to the claim.
    pub(super) async fn claim<B: Backend>(&mut self, run: &Run<'_, B>) -> Option<std::thread::Result<Polled>> {
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
        let mut prefetched = None;
        let judged = tokio::select! {
            biased;
            judged = run.with_time_limit(run.claim_response_until(), written) => judged,
            never = self.prefetch(run, &mut prefetched) => match never {},
        };
        self.handle_claim(run, &claim, judged).await;
        prefetched
    }

    async fn handle_claim<B: Backend>(&mut self, run: &Run<'_, B>, claim: &Claim, judged: Result<Verdict, Error>) {
        match judged {
            Ok(Verdict::Applied) => {
                self.claim = ClaimState::Active;
                self.stamp_ms = claim.now_ms;
                self.note_jump();
                if self.from != self.seen.stored() && self.ledger.remaining() > 0 {
                    // If this run crashes, the next one must not decide on the jump again.
                    self.flush(run, &Ending::Interim).await;
                }
            }
            Ok(Verdict::Paused) => self.end(EndReason::Paused),
            Ok(Verdict::Edited { until_ms }) => self.end(EndReason::Held { until_ms }),
            Ok(Verdict::TakenOver { .. } | Verdict::NotApplied | Verdict::AppliedBefore(_)) => {
                self.end(EndReason::Held { until_ms: None });
            }
            Err(error) => self.end(EndReason::NotClaimed(error)),
        }
    }

    fn note_jump(&mut self) {
        let lost = match self.why {
            Why::Lost(range) => Some((range, "deleted by retention before it was read")),
            Why::Truncated { stored, passed_over } => {
                tracing::warn!(partition = %self.partition, stored = stored.get(), next = self.from.get(), "truncated");
                passed_over.map(|range| (range, "passed over by ON_TRUNCATION=latest"))
            }
            Why::Resumed | Why::StartPosition | Why::AppearedLater => None,
        };
        if let Some((OffsetRange { first, last }, reason)) = lost {
            tracing::warn!(partition = %self.partition, first, last, next = self.from.get(), reason, "offsets lost");
        }
        self.outcome.lost = self.outcome.lost.or(lost);
    }

    /// Moves the stored cursor to what is settled.
    pub(in crate::invoke) async fn flush<B: Backend>(&mut self, run: &Run<'_, B>, ending: &Ending) {
        let mut flush = self.next_flush(run, ending);
        let mut judged = self.write_flush(run, &flush).await;
        if let Ok(Verdict::AppliedBefore(left)) = judged {
            // Its response was lost. The next write is conditional on it.
            self.ledger.found_at(left.next);
            self.stamp_ms = left.updated_at_ms;
            self.unknown = None;
            flush = self.next_flush(run, ending);
            judged = self.write_flush(run, &flush).await;
        }
        match judged {
            Ok(Verdict::Applied) => self.flushed(run, &flush),
            Ok(Verdict::TakenOver { by }) => {
                self.claim = ClaimState::Ended;
                self.ledger.fail();
                self.outcome.end = Some(EndReason::ClaimLost(self.claim_lost(&by)));
            }
            Ok(Verdict::Edited { .. } | Verdict::NotApplied | Verdict::Paused | Verdict::AppliedBefore(_)) => {
                tracing::warn!(partition = %self.partition, "the cursor was edited during the run, and is left as it is");
                self.ledger.fail();
                self.outcome.end = Some(EndReason::Held { until_ms: None });
                self.release(run, None).await;
            }
            Err(error) => {
                self.unknown = Some(flush.as_last_write());
                self.outcome.stored = Stored::Unknown;
                match ending {
                    Ending::Interim => self.end(EndReason::Failed(error)),
                    Ending::Final(_) => self.outcome.write_error = Some(error),
                }
            }
        }
    }

    fn next_flush<B: Backend>(&self, run: &Run<'_, B>, ending: &Ending) -> Flush {
        Flush {
            run: run.id.clone(),
            last_write: LastWrite {
                next: self.ledger.stored_at(),
                updated_at_ms: self.stamp_ms,
            },
            next: self.ledger.settled_at(),
            quarantine: self.ledger.quarantine(),
            hands_over: *ending == Ending::Interim && self.ledger.hands_over(),
            unreported: self.to_report_later(),
            unknown: self.unknown,
            ending: ending.clone(),
            now_ms: run.clock.wall_ms(),
        }
    }

    async fn write_flush<B: Backend>(&self, run: &Run<'_, B>, flush: &Flush) -> Result<Verdict, Error> {
        let write = claim::flush(flush);
        let partition = self.partition.partition;
        let judge = |item: Option<&Cursor>| claim::judge_flush(flush, item);
        let written = store::write_and_judge(run.store, &self.consumer, partition, &write, judge);
        let error = match run.with_time_limit(run.flush_response_until(), written).await {
            Err(error) => error,
            judged => return judged,
        };
        // One more read, in the time that is reserved for it: the report must not
        // name another offset than the table.
        let item = run.store.load_one(&self.consumer, partition);
        let item = run.with_time_limit(run.last_write_at(), item).await;
        match item.map(|item| judge(item.as_ref())) {
            Ok(Verdict::NotApplied) | Err(_) => Err(error),
            judged => judged,
        }
    }

    fn flushed<B: Backend>(&mut self, run: &Run<'_, B>, flush: &Flush) {
        self.stamp_ms = flush.stamp_ms();
        self.unknown = None;
        self.ledger.flushed(run.now_ms());
        self.outcome.stored = Stored::At(flush.next);
        if let Ending::Final(failures) = &flush.ending {
            self.claim = ClaimState::Ended;
            self.seen = ObservedItem::Present(left_by(flush, failures.clone(), &self.seen));
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
        .next(format!(
            "{NOT_FROZEN}; `kafka-consumer offsets list --topic {}` shows the run that wrote the cursor last",
            self.partition.topic
        ))
    }

    /// Releases the claim, if it is this run's. Without a response it is tried once
    /// more: the next run waits for a claim that is left behind, and then
    /// quarantines the partition.
    async fn release<B: Backend>(&mut self, run: &Run<'_, B>, quarantine: Option<Quarantine>) {
        self.claim = ClaimState::Ended;
        let write = claim::release(&run.id, quarantine);
        let mut problem = String::new();
        for until in [run.half_way_to(run.last_write_at()), run.last_write_at()] {
            match self.write_release(run, &write, until).await {
                Ok(()) => return,
                Err(error) => problem = error,
            }
        }
        tracing::warn!(
            partition = %self.partition,
            error = problem,
            until_ms = run.claim_until_ms(),
            "the claim could not be released, and expires"
        );
    }

    async fn write_release<B: Backend>(
        &self,
        run: &Run<'_, B>,
        write: &claim::CursorWrite,
        until: Instant,
    ) -> Result<(), String> {
        let written = run.store.write(&self.consumer, self.partition.partition, write);
        match run.with_time_limit(until, written).await {
            Ok(WriteResult::Applied | WriteResult::Refused(_)) => Ok(()),
            Ok(WriteResult::Unknown(problem)) => Err(problem),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The last write: the cursor without its claim, or the claim alone.
    pub(super) async fn close<B: Backend>(&mut self, run: &Run<'_, B>) {
        let may_write = self.outcome.end.as_ref().is_none_or(EndReason::writes);
        if self.claim == ClaimState::Ended || !may_write {
            return;
        }
        let failures = self.failures_to_store();
        let is_moved = self.ledger.settled_at() != self.ledger.stored_at() || self.outcome.stored != Stored::Nothing;
        if self.claim == ClaimState::Active && (is_moved || failures.is_some()) {
            self.flush(run, &Ending::Final(failures)).await;
        } else {
            self.release(run, self.ledger.quarantine()).await;
        }
        let is_expired = run.clock.wall_ms() >= run.claim_until_ms();
        if is_expired && self.outcome.errors().next().is_none() {
            self.outcome.write_error = Some(self.claim_expired());
        }
    }

    /// The failures that the last write stores for the record at the cursor: each
    /// failed try counts, however the run ended.
    fn failures_to_store(&self) -> Option<Failures> {
        match &self.outcome.end {
            Some(EndReason::Blocked(failures)) => Some(failures.clone()),
            _ if self.tries.must_be_stored() => Some(self.failures_so_far()),
            _ => None,
        }
    }

    fn claim_expired(&self) -> Error {
        Error::new(
            ErrorType::ClaimLost,
            format!(
                "the claim on {} expired during this run: it was frozen, or slower than its deadline. Its cursor is \
                 at next offset {}; the next run reads again from there",
                self.partition,
                self.ledger.stored_at()
            ),
        )
        .next(NOT_FROZEN)
    }
}

/// The item as the last write of this run left it.
fn left_by(flush: &Flush, failure: Option<Failures>, seen: &ObservedItem) -> Cursor {
    let before = match seen {
        ObservedItem::Present(cursor) => cursor.clone(),
        ObservedItem::Missing { .. } => Cursor::default(),
    };
    Cursor {
        next: flush.next,
        run: Some(flush.run.clone()),
        claim_until_ms: None,
        claim_to: flush.quarantine.map(|quarantine| quarantine.until),
        claim_chunk: flush.quarantine.map(|quarantine| quarantine.limit),
        handed_over: None,
        failure,
        updated_at_ms: Some(flush.stamp_ms()),
        unreported: flush.unreported.clone().or(before.unreported.clone()),
        ..before
    }
}
