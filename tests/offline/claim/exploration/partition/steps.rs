//! The steps of a run: its writes, their responses, and the reads that replace a lost response.

use std::iter::successors;
use std::mem;
use std::rc::Rc;

use kafka_consumer_lambda::claim::{
    Attribute, Claim, CursorWrite, Ending, Failures, Flush, LastWrite, Verdict, claim, flush, judge_claim, judge_flush,
    release,
};
use kafka_consumer_lambda::config::{OnRetentionLoss, OnTruncation, StartPosition};
use kafka_consumer_lambda::ledger::{Ledger, Step};
use kafka_consumer_lambda::plan::{Decision, PartitionState, Policy, Reading, decide};
use kafka_consumer_lambda::record::{Record, TopicPartition};
use kafka_consumer_lambda::store::WriteResult;

use super::{Attempt, Doing, Kind, Partition, Run, Size, What, next};
use crate::support::states::record;

impl Partition {
    pub(super) fn begin(&mut self, r: usize, now_ms: i64) {
        let states = PartitionState {
            partition: TopicPartition::new("t", 0),
            end: Some(Ok(next(self.end))),
            high_watermark: None,
            earliest: Some(Ok(next(0))),
            cursor: self.item.clone().map(Ok),
            start: None,
        };
        let policy = Policy {
            start_position: StartPosition::Earliest,
            on_retention_loss: OnRetentionLoss::Halt,
            on_truncation: OnTruncation::Halt,
            now_ms,
        };
        let run = &mut self.runs[r];
        run.doing = Doing::Ended;
        if let Decision::Read(Reading { from, to, observed, .. }) = decide(&states, false, &policy) {
            let quarantine = observed.crash_history(now_ms).quarantine;
            run.ledger = Ledger::new(observed.stored(), (from, to), u64::MAX, quarantine, 0);
            run.stamp_ms = now_ms;
            let claimed = Claim {
                run: run.id.clone(),
                until_ms: now_ms + 1,
                to,
                now_ms,
            };
            let write = claim(&observed, &claimed);
            self.attempt(r, What::Claim(observed, claimed), write);
        }
    }

    /// A run that has settled any number of records, and its next write: only writes are visible to others.
    pub(super) fn worked(&self, r: usize, now_ms: i64) -> Vec<Self> {
        let settle = |here: &Self| match here.runs[r].ledger.step(false, 0) {
            Step::Process(_) => Some(here.after(|here| here.settle_one(r))),
            _ => None,
        };
        let mut found = vec![];
        for working in successors(Some(self.clone()), settle) {
            found.push(working.after(|here| here.close(r, now_ms)));
            let ledger = &working.runs[r].ledger;
            if ledger.settled_at() == ledger.stored_at() {
                // If the cursor moves, it is like any other last write.
                found.push(working.after(|here| here.block(r, now_ms)));
            }
            if ledger.settled_at() != ledger.stored_at() || ledger.step(false, 0) == Step::Flush {
                found.push(working.after(|here| here.flush(r, Ending::Interim, now_ms)));
            }
        }
        found
    }

    pub(super) fn settle_one(&mut self, r: usize) {
        let run = &mut self.runs[r];
        let offset = run.ledger.settled_at().get();
        run.ledger.settled(1, &record(offset));
        run.settled |= 1 << offset;
        self.done |= 1 << offset;
    }

    pub(super) fn flush(&mut self, r: usize, ending: Ending, now_ms: i64) {
        let run = &self.runs[r];
        let ours = Flush {
            run: run.id.clone(),
            last_write: LastWrite {
                next: run.ledger.stored_at(),
                updated_at_ms: run.stamp_ms,
            },
            next: run.ledger.settled_at(),
            quarantine: run.ledger.quarantine(),
            hands_over: ending == Ending::Interim && run.ledger.hands_over(),
            unreported: None,
            unknown: run.unknown,
            ending,
            now_ms,
        };
        let write = flush(&ours);
        self.attempt(r, What::Flush(ours), write);
    }

    pub(super) fn block(&mut self, r: usize, now_ms: i64) {
        let failures = Failures {
            offset: self.runs[r].ledger.settled_at(),
            attempts: 1,
            ..Failures::default()
        };
        self.flush(r, Ending::Final(Some(failures)), now_ms);
    }

    pub(super) fn close(&mut self, r: usize, now_ms: i64) {
        let Run {
            ledger,
            flushed,
            unknown,
            ..
        } = &self.runs[r];
        if *flushed || unknown.is_some() || ledger.settled_at() != ledger.stored_at() {
            self.flush(r, Ending::Final(None), now_ms);
        } else {
            self.release(r);
        }
    }

    pub(super) fn release(&mut self, r: usize) {
        let write = release(&self.runs[r].id, self.runs[r].ledger.quarantine());
        self.attempt(r, What::Release, write);
    }

    pub(super) fn attempt(&mut self, r: usize, what: What, mut write: CursorWrite) {
        if let Some((kind, clause)) = self.without
            && kind == what.kind()
        {
            write.conditions.remove(clause);
        }
        if self.keeps_marks && what.kind() == Kind::ClaimItem {
            write.removes.retain(|attribute| *attribute != Attribute::HandedOver);
        }
        self.runs[r].doing = Doing::Write(Rc::new(Attempt {
            what,
            write,
            retries: 1,
        }));
    }

    pub(super) fn receive_response(&mut self, r: usize, attempt: &Attempt, now_ms: i64) {
        match self.apply(r, attempt, now_ms) {
            WriteResult::Applied => self.handle_verdict(r, attempt, &Verdict::Applied, now_ms),
            _ => self.judged(r, attempt, now_ms),
        }
    }

    pub(super) fn lose_response(&mut self, r: usize, attempt: &Rc<Attempt>) {
        self.in_flight.push((r, Rc::clone(attempt)));
        self.runs[r].doing = Doing::Verify(Rc::clone(attempt));
    }

    pub(super) fn judged(&mut self, r: usize, attempt: &Attempt, now_ms: i64) {
        let item = self.item.as_ref();
        let verdict = match &attempt.what {
            What::Claim(observed, claim) => judge_claim(observed, claim, item),
            What::Flush(flush) => judge_flush(flush, item),
            What::Release => Verdict::Applied,
        };
        if let (What::Flush(flush), Verdict::Applied) = (&attempt.what, &verdict) {
            let stored = item.map(|item| (item.run.as_ref(), item.next));
            assert_eq!(
                stored,
                Some((Some(&flush.run), flush.next)),
                "judged as applied, and not stored"
            );
        }
        self.handle_verdict(r, attempt, &verdict, now_ms);
    }

    /// The read that would show whether an interim flush was applied fails: the run ends with a last
    /// write that allows for both.
    pub(super) fn read_fails(&self, size: Size, r: usize, attempt: &Attempt, now_ms: i64) -> Option<Self> {
        let What::Flush(flush) = &attempt.what else { return None };
        (size.reads_fail && flush.ending == Ending::Interim).then(|| {
            self.after(|here| {
                here.runs[r].unknown = Some(flush.as_last_write());
                here.close(r, now_ms);
            })
        })
    }

    /// The next step of a run after a verdict.
    pub(super) fn handle_verdict(&mut self, r: usize, attempt: &Attempt, verdict: &Verdict, now_ms: i64) {
        let run = &mut self.runs[r];
        let doing = mem::replace(&mut run.doing, Doing::Ended);
        match (&attempt.what, verdict) {
            (What::Claim(..), Verdict::Applied) => {
                let records: Vec<Record> = (run.ledger.settled_at().get()..self.end).map(record).collect();
                run.ledger.polled(&records);
                run.doing = Doing::Work;
            }
            (What::Flush(flush), Verdict::Applied) => {
                run.ledger.flushed(0);
                run.unknown = None;
                run.stamp_ms = flush.stamp_ms();
                run.flushed = true;
                if flush.ending == Ending::Interim {
                    run.doing = Doing::Work;
                }
            }
            (_, Verdict::NotApplied) if attempt.retries > 0 => {
                run.doing = Doing::Write(Rc::new(Attempt {
                    what: attempt.what.clone(),
                    write: attempt.write.clone(),
                    retries: attempt.retries - 1,
                }));
            }
            (What::Flush(flush), Verdict::NotApplied) if flush.ending == Ending::Interim => self.close(r, now_ms),
            (What::Flush(_), Verdict::AppliedBefore(earlier)) => {
                run.ledger.found_at(earlier.next);
                run.unknown = None;
                run.stamp_ms = earlier.updated_at_ms;
                self.close(r, now_ms);
            }
            (What::Flush(_), Verdict::Edited { .. }) => self.release(r),
            _ => drop(doing),
        }
    }
}
