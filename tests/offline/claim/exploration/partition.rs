//! One partition: its item, the runs at work on it, the writes in flight, and
//! what must be so whatever happens.

use std::iter::successors;
use std::mem;

use kafka_consumer_lambda::claim::{
    Attribute, BatchLimit, Claim, ClaimStatus, Cursor, CursorWrite, Ending, Failures, Flush, LastWrite, Verdict, claim,
    flush, judge_claim, judge_flush, release,
};
use kafka_consumer_lambda::config::{OnRetentionLoss, OnTruncation, StartPosition};
use kafka_consumer_lambda::ledger::{Ledger, Step};
use kafka_consumer_lambda::plan::{Decision, PartitionState, Policy, Reading, decide};
use kafka_consumer_lambda::record::Record;
use kafka_consumer_lambda::store::WriteResult;

use super::super::{next, write};
use super::run::{Attempt, Doing, Kind, Offsets, Run, What, below};
use super::{Begins, Size};
use crate::support::states::{log, record};

#[derive(Debug, Clone)]
pub(super) struct Partition {
    end: i64,
    without: Option<(Kind, usize)>,
    keeps_marks: bool,
    item: Option<Cursor>,
    runs: [Run; 2],
    in_flight: Vec<(usize, Attempt)>,
    edits: usize,
    /// The last edit was not obeyed yet. It is once a run claims the partition as it is now.
    edit_is_open: bool,
    /// What is settled, or passed over by the operator.
    done: Offsets,
    /// How often a mark was written that hands each record over alone.
    handed_over_alone: Vec<u32>,
}

impl Partition {
    pub(super) fn new(item: Option<Cursor>, size: Size) -> Self {
        Self {
            end: size.end,
            without: size.without,
            keeps_marks: size.begins == Begins::BehindADeadRunWhoseMarkStays,
            done: below(item.as_ref().map_or(0, |item| item.next.get())),
            handed_over_alone: (0..size.end).map(|offset| marks_at(item.as_ref(), offset)).collect(),
            item,
            runs: [Run::new("a"), Run::new("b")],
            in_flight: vec![],
            edits: 0,
            edit_is_open: false,
        }
    }

    pub(super) fn first_has_begun(&self) -> bool {
        !matches!(self.runs[0].doing, Doing::Begin)
    }

    fn after(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut partition = self.clone();
        change(&mut partition);
        for r in 0..partition.runs.len() {
            let is_flying = partition.in_flight.iter().any(|(run, _)| *run == r);
            if matches!(partition.runs[r].doing, Doing::Ended) {
                partition.runs[r].forget(is_flying);
            }
        }
        partition
    }

    /// Every partition that this one can become in one step.
    pub(super) fn successors(&self, size: Size, now_ms: i64, second_may_begin: bool) -> Vec<Self> {
        let mut found: Vec<Self> = (0..self.in_flight.len())
            .map(|i| {
                self.after(|here| {
                    let (run, attempt) = here.in_flight.remove(i);
                    here.arrive(run, &attempt, now_ms);
                })
            })
            .collect();
        if self.edits < size.edits {
            found.extend(self.edited(size));
        }
        for r in 0..self.runs.len() {
            match &self.runs[r].doing {
                Doing::Begin if r > 0 && !second_may_begin => {}
                Doing::Begin => found.push(self.after(|here| here.begin(r, now_ms))),
                Doing::Write(attempt) => {
                    found.push(self.after(|here| here.answered(r, attempt, now_ms)));
                    if self.in_flight.len() < size.in_flight {
                        found.push(self.after(|here| here.unanswered(r, attempt)));
                    }
                }
                Doing::Doubt(attempt) => {
                    found.push(self.after(|here| here.judged(r, attempt, now_ms)));
                    found.extend(self.unread(size, r, attempt, now_ms));
                }
                Doing::Work => found.extend(self.worked(r, now_ms)),
                Doing::Ended => {}
            }
        }
        found
    }

    /// What an operator may do: replace the item, move the cursor, end the claim, delete the item.
    fn edited(&self, size: Size) -> Vec<Self> {
        let mut found = vec![];
        for at in [0, self.end - 1] {
            found.push(self.after(|here| here.edit(at, Some(Cursor::at(next(at))))));
            if let Some(item) = &self.item {
                let moved = Cursor {
                    next: next(at),
                    ..item.clone()
                };
                found.push(self.after(|here| here.edit(at, Some(moved))));
            }
        }
        if let Some(item) = &self.item {
            let unclaimed = Cursor {
                claim_until_ms: None,
                ..item.clone()
            };
            found.push(self.after(|here| {
                here.edit(item.next.get(), Some(unclaimed));
                here.runs.iter_mut().for_each(|run| run.lost = true);
            }));
        }
        if let Some(item) = &self.item
            && size.pauses
            && !item.paused
        {
            let paused = Cursor {
                paused: true,
                ..item.clone()
            };
            found.push(self.after(|here| {
                here.item = Some(paused);
                here.edits += 1;
            }));
        }
        found.push(self.after(|here| here.edit(0, None)));
        found
    }

    /// The read that would tell whether an interim flush was applied gets no
    /// answer either: the run ends with its last write, knowing that it may have been.
    fn unread(&self, size: Size, r: usize, attempt: &Attempt, now_ms: i64) -> Option<Self> {
        let What::Flush(flush) = &attempt.what else { return None };
        (size.unread && flush.ending == Ending::Interim).then(|| {
            self.after(|here| {
                here.runs[r].unknown = Some(flush.as_last_write());
                here.close(r, now_ms);
            })
        })
    }

    fn edit(&mut self, at: i64, item: Option<Cursor>) {
        // A cursor that is set to where it stands is obeyed already.
        self.edit_is_open = self.item.as_ref().map(|item| item.next) != item.as_ref().map(|item| item.next);
        self.item = item;
        self.edits += 1;
        self.done |= below(at);
    }

    /// A run at work, with each number of records settled: nobody sees them before its next write.
    fn worked(&self, r: usize, now_ms: i64) -> Vec<Self> {
        let settle = |here: &Self| match here.runs[r].ledger.step(false, 0) {
            Step::Process(_) => Some(here.after(|here| here.settle_one(r))),
            _ => None,
        };
        let mut found = vec![];
        for at_work in successors(Some(self.clone()), settle) {
            found.push(at_work.after(|here| here.close(r, now_ms)));
            let ledger = &at_work.runs[r].ledger;
            if ledger.settled_at() == ledger.stored_at() {
                // With a cursor that moves it is like any other last write.
                found.push(at_work.after(|here| here.block(r, now_ms)));
            }
            if ledger.settled_at() != ledger.stored_at() || ledger.step(false, 0) == Step::Flush {
                found.push(at_work.after(|here| here.flush(r, Ending::Interim, now_ms)));
            }
        }
        found
    }

    fn begin(&mut self, r: usize, now_ms: i64) {
        let state = PartitionState {
            cursor: self.item.clone().map(Ok),
            ..log(0, self.end)
        };
        let policy = Policy {
            start_position: StartPosition::Earliest,
            on_retention_loss: OnRetentionLoss::Halt,
            on_truncation: OnTruncation::Halt,
            now_ms,
        };
        let run = &mut self.runs[r];
        run.doing = Doing::Ended;
        if let Decision::Read(Reading { from, to, observed, .. }) = decide(&state, false, &policy) {
            let guard = observed.crash_history(now_ms).guard;
            run.ledger = Ledger::new(observed.stored(), (from, to), u64::MAX, guard, 0);
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

    fn attempt(&mut self, r: usize, what: What, mut write: CursorWrite) {
        if let Some((kind, clause)) = self.without
            && kind == what.kind()
        {
            write.conditions.remove(clause);
        }
        if self.keeps_marks && what.kind() == Kind::ClaimItem {
            write.removes.retain(|attribute| *attribute != Attribute::HandedOver);
        }
        self.runs[r].doing = Doing::Write(Attempt { what, write, again: 1 });
    }

    fn settle_one(&mut self, r: usize) {
        let run = &mut self.runs[r];
        let offset = run.ledger.settled_at().get();
        run.ledger.settled(1, &record(offset));
        run.settled |= 1 << offset;
        self.done |= 1 << offset;
    }

    fn flush(&mut self, r: usize, ending: Ending, now_ms: i64) {
        let run = &self.runs[r];
        let ours = Flush {
            run: run.id.clone(),
            last_write: LastWrite {
                next: run.ledger.stored_at(),
                updated_at_ms: run.stamp_ms,
            },
            next: run.ledger.settled_at(),
            guard: run.ledger.crash_guard(),
            hands_over: ending == Ending::Interim && run.ledger.hands_over(),
            unreported: None,
            unknown: run.unknown,
            ending,
            now_ms,
        };
        let write = flush(&ours);
        self.attempt(r, What::Flush(ours), write);
    }

    fn block(&mut self, r: usize, now_ms: i64) {
        let failures = Failures {
            offset: self.runs[r].ledger.settled_at(),
            attempts: 1,
            ..Failures::default()
        };
        self.flush(r, Ending::Final(Some(failures)), now_ms);
    }

    fn close(&mut self, r: usize, now_ms: i64) {
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

    fn release(&mut self, r: usize) {
        let write = release(&self.runs[r].id, self.runs[r].ledger.crash_guard());
        self.attempt(r, What::Release, write);
    }

    fn answered(&mut self, r: usize, attempt: &Attempt, now_ms: i64) {
        match self.arrive(r, attempt, now_ms) {
            WriteResult::Applied => self.come_to(r, attempt, &Verdict::Applied, now_ms),
            _ => self.judged(r, attempt, now_ms),
        }
    }

    fn unanswered(&mut self, r: usize, attempt: &Attempt) {
        self.in_flight.push((r, attempt.clone()));
        self.runs[r].doing = Doing::Doubt(attempt.clone());
    }

    fn judged(&mut self, r: usize, attempt: &Attempt, now_ms: i64) {
        let item = self.item.as_ref();
        let verdict = match &attempt.what {
            What::Claim(observed, claim) => judge_claim(observed, claim, item),
            What::Flush(flush) => judge_flush(flush, item),
            What::Release => Verdict::Applied,
        };
        if let (What::Flush(flush), Verdict::Applied) = (&attempt.what, &verdict) {
            let stored = item.map(|item| (item.run.as_ref(), item.next));
            assert_eq!(stored, Some((Some(&flush.run), flush.next)), "it is not stored");
        }
        self.come_to(r, attempt, &verdict, now_ms);
    }

    /// What a run makes of a verdict.
    fn come_to(&mut self, r: usize, attempt: &Attempt, verdict: &Verdict, now_ms: i64) {
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
            (_, Verdict::NotApplied) if attempt.again > 0 => {
                run.doing = Doing::Write(Attempt {
                    again: attempt.again - 1,
                    ..attempt.clone()
                });
            }
            (What::Flush(flush), Verdict::NotApplied) if flush.ending == Ending::Interim => self.close(r, now_ms),
            (What::Flush(_), Verdict::AppliedBefore(left)) => {
                run.ledger.found_at(left.next);
                run.unknown = None;
                run.stamp_ms = left.updated_at_ms;
                self.close(r, now_ms);
            }
            (What::Flush(_), Verdict::Edited { .. }) => self.release(r),
            _ => drop(doing),
        }
    }

    /// The store makes a write of run `r`, or refuses it. Whatever it makes must keep the promises.
    fn arrive(&mut self, r: usize, attempt: &Attempt, now_ms: i64) -> WriteResult {
        let (written, after) = write(self.item.clone(), &attempt.write);
        if written != WriteResult::Applied {
            return written;
        }
        let before = mem::replace(&mut self.item, after);
        let (before, after) = (before.as_ref(), self.item.as_ref().expect("it was written"));
        match &attempt.what {
            What::Claim(observed, _) => {
                assert!(
                    !before.is_some_and(|item| item.paused),
                    "P4: a paused partition was claimed"
                );
                let held = before.map(|item| item.claim_status(now_ms));
                assert!(
                    !matches!(held, Some(ClaimStatus::Held { .. })),
                    "P3: a live claim was taken over"
                );
                let stood = before.map_or(observed.stored(), |item| item.next);
                assert_eq!(
                    (after.next, stood),
                    (stood, observed.stored()),
                    "P4: claimed where it does not stand"
                );
                self.runs[r].lost = false;
                self.runs[1 - r].lost = true;
                self.edit_is_open = false;
            }
            What::Flush(flush) => {
                let before = before.expect("P4: a deleted item was brought back").next;
                let passed = below(flush.next.get()) & !below(before.get());
                assert_eq!(passed & !self.runs[r].settled, 0, "P1: a hole");
                assert!(before <= flush.next, "P2: moved back");
                assert!(!self.runs[r].lost, "P3: a run that lost its claim moved the cursor");
                assert!(!self.edit_is_open, "P4: an edit was passed over");
                if let (Some(at), Some(BatchLimit::Single)) = (after.handed_over, after.claim_chunk) {
                    self.handed_over_alone[usize::try_from(at.get()).expect("small")] += 1;
                }
            }
            What::Release => {
                let before = before.expect("P4: a deleted item was brought back");
                assert_eq!(after.next, before.next, "a release moved the cursor");
                assert_eq!(
                    before.run.as_ref(),
                    Some(&self.runs[r].id),
                    "P3: another run's claim was ended"
                );
            }
        }
        written
    }

    /// What the next run would take for crashes of the record at the cursor:
    /// never more than how often it was handed over alone.
    fn check_crashes(&self, now_ms: i64) {
        let Some(item) = &self.item else { return };
        let at = usize::try_from(item.next.get()).expect("small");
        let crashes = item.crash_history(now_ms + 1_000).crashes;
        let handed_over = self.handed_over_alone.get(at).copied().unwrap_or_default();
        assert!(
            crashes <= handed_over,
            "P14: {crashes} crashes, handed over alone {handed_over} times"
        );
    }

    /// Whatever has happened: nothing is lost, and one clean run finishes the work.
    pub(super) fn check(&self, now_ms: i64) {
        let stored = below(self.item.as_ref().map_or(0, |item| item.next.get()));
        assert_eq!(stored & !self.done, 0, "P1: a record was passed over");
        self.check_crashes(now_ms);
        let now_ms = now_ms + 1_000;
        let mut here = self.clone();
        // The operator resumes it.
        here.item.iter_mut().for_each(|item| item.paused = false);
        here.runs[0] = Run::new("clean");
        loop {
            match here.runs[0].doing.clone() {
                Doing::Begin => here.begin(0, now_ms),
                Doing::Write(attempt) => here.answered(0, &attempt, now_ms),
                Doing::Work => match here.runs[0].ledger.step(false, 0) {
                    Step::Process(_) => here.settle_one(0),
                    Step::Flush => here.flush(0, Ending::Interim, now_ms),
                    _ => here.close(0, now_ms),
                },
                Doing::Doubt(_) => unreachable!("every write is answered"),
                Doing::Ended => break,
            }
        }
        let finished = here.item.map(|item| item.next);
        assert_eq!(finished, Some(next(self.end)), "the work is not finished");
        assert_eq!(here.done, below(self.end), "P1: a record is lost");
    }
}

/// How often the record at `offset` was handed over alone before: by the run that left this item.
fn marks_at(item: Option<&Cursor>, offset: i64) -> u32 {
    let marked =
        item.filter(|item| item.claim_chunk == Some(BatchLimit::Single) && item.handed_over == Some(next(offset)));
    u32::from(marked.is_some())
}
