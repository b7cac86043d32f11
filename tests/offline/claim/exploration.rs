//! Two runs and an operator on one partition of three records: every order of
//! their steps over the real pure functions, and every fate of each write.
//!
//! A write is answered, or it is not and stays in flight: it then arrives at
//! once, later, or never. A run may stop for good at any step, since nothing
//! makes it take the next one. A claim lasts for one tick of the clock, and no
//! run looks at it again: each may be frozen for as long as the other works.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::iter::successors;
use std::mem;

use kafka_consumer_lambda::claim::{
    Claim, Cursor, CursorWrite, Ending, Failures, RunId, Seen, Standing, Verdict, claim, flush, judge_claim,
    judge_flush, release,
};
use kafka_consumer_lambda::config::{OnRetentionLoss, OnTruncation, StartPosition};
use kafka_consumer_lambda::ledger::{Ledger, Step};
use kafka_consumer_lambda::plan::{Decision, Facts, Policy, care, decide};
use kafka_consumer_lambda::record::{NextOffset, Record, TopicPartition};
use kafka_consumer_lambda::store::Written;

use super::{next, write};

/// One tick ends the claim of the run that began first; nobody is left to take over a second one.
const TICKS: i64 = 1;

/// How large a world is.
#[derive(Clone, Copy)]
struct Size {
    /// The end of the log.
    end: i64,
    /// How often the operator edits the item.
    edits: usize,
    /// How many writes can be without an answer at the same time.
    in_flight: usize,
}

/// Offsets, as bits.
type Offsets = u8;

fn below(end: i64) -> Offsets {
    (1 << end) - 1
}

fn record(offset: i64) -> Record {
    Record {
        partition: TopicPartition::new("t", 0),
        offset,
        timestamp_ms: None,
        key: None,
        value: None,
        headers: vec![],
    }
}

#[derive(Debug, Clone)]
enum What {
    Claim(Seen, Claim),
    Flush(NextOffset, NextOffset, Ending),
    Release,
}

/// A write on its way, and how often it may be made again.
#[derive(Clone)]
struct Attempt {
    what: What,
    write: CursorWrite,
    again: u8,
    /// How many edits there had been when it was made.
    edits: usize,
}

/// The write says nothing that the rest does not say.
impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {}", self.what, self.again, self.edits)
    }
}

#[derive(Debug, Clone)]
enum Doing {
    Begin,
    Write(Attempt),
    /// No answer came; a read will tell.
    Doubt(Attempt),
    Work,
    Ended,
}

#[derive(Debug, Clone)]
struct Run {
    id: RunId,
    doing: Doing,
    ledger: Ledger,
    settled: Offsets,
    flushed: bool,
    /// Another run has claimed the partition since.
    lost: bool,
}

impl Run {
    fn new(name: &str) -> Self {
        Self {
            id: RunId::new(name),
            doing: Doing::Begin,
            ledger: Ledger::new(next(0), (next(0), next(0)), 0, None, 0),
            settled: 0,
            flushed: false,
            lost: false,
        }
    }
}

#[derive(Debug, Clone)]
struct World {
    now_ms: i64,
    end: i64,
    item: Option<Cursor>,
    runs: [Run; 2],
    in_flight: Vec<(usize, Attempt)>,
    /// Where the operator's edits put the cursor.
    edits: Vec<i64>,
    /// The last edit was not obeyed yet. It is once a run claims the partition there. An edit that
    /// puts the cursor where a run had left it before an unanswered write counts as obeyed too:
    /// nothing can tell it from that write not having arrived.
    edit_is_open: bool,
    /// What is settled, or passed over by the operator.
    done: Offsets,
}

impl World {
    fn new(item: Option<Cursor>, size: Size) -> Self {
        Self {
            now_ms: 0,
            end: size.end,
            done: below(item.as_ref().map_or(0, |item| item.next.get())),
            item,
            runs: [Run::new("a"), Run::new("b")],
            in_flight: vec![],
            edits: vec![],
            edit_is_open: false,
        }
    }

    fn after(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut world = self.clone();
        change(&mut world);
        world.forget_the_past();
        world
    }

    /// Nothing depends any more on what a run has done that has ended, unless a write of it may
    /// still arrive: fewer worlds to tell apart.
    fn forget_the_past(&mut self) {
        for r in 0..self.runs.len() {
            let is_flying = self.in_flight.iter().any(|(run, _)| *run == r);
            if matches!(self.runs[r].doing, Doing::Ended) {
                let Run { id, settled, lost, .. } = self.runs[r].clone();
                self.runs[r] = Run {
                    doing: Doing::Ended,
                    settled: if is_flying { settled } else { 0 },
                    lost: is_flying && lost,
                    ..Run::new(id.as_str())
                };
            }
        }
    }

    /// A run at work, with each number of records settled: nobody sees them before its next write.
    fn at_work(&self, r: usize) -> Vec<Self> {
        let settle = |world: &Self| match world.runs[r].ledger.step(false, 0) {
            Step::Process(_) => Some(world.after(|world| world.settle_one(r))),
            _ => None,
        };
        successors(Some(self.clone()), settle).collect()
    }

    /// Every world that can be next.
    fn successors(&self, size: Size) -> Vec<Self> {
        let mut worlds = vec![];
        if self.now_ms < TICKS {
            worlds.push(self.after(|world| world.now_ms += 1));
        }
        for i in 0..self.in_flight.len() {
            worlds.push(self.after(|world| {
                let (run, attempt) = world.in_flight.remove(i);
                world.arrive(run, &attempt);
            }));
        }
        if self.edits.len() < size.edits {
            for at in [0, self.end - 1] {
                worlds.push(self.after(|world| world.edit(at, Some(Cursor::at(next(at))))));
                if let Some(item) = &self.item {
                    let moved = Cursor {
                        next: next(at),
                        ..item.clone()
                    };
                    worlds.push(self.after(|world| world.edit(at, Some(moved.clone()))));
                }
            }
            worlds.push(self.after(|world| world.edit(0, None)));
        }
        for r in 0..self.runs.len() {
            match &self.runs[r].doing {
                // The runs are alike: it is enough that the first one begins first.
                Doing::Begin if r > 0 && matches!(self.runs[0].doing, Doing::Begin) => {}
                Doing::Begin => worlds.push(self.after(|world| world.begin(r))),
                Doing::Write(attempt) => {
                    worlds.push(self.after(|world| world.answered(r, attempt)));
                    if self.in_flight.len() < size.in_flight {
                        worlds.push(self.after(|world| world.unanswered(r, attempt)));
                    }
                }
                Doing::Doubt(attempt) => worlds.push(self.after(|world| world.judged(r, attempt))),
                Doing::Work => self.at_work(r).iter().for_each(|at_work| {
                    worlds.push(at_work.after(|world| world.close(r)));
                    let Run { ledger, .. } = &at_work.runs[r];
                    if ledger.settled_at() == ledger.stored_at() {
                        // With a cursor that moves it is like any other last write.
                        worlds.push(at_work.after(|world| world.block(r)));
                    } else {
                        worlds.push(at_work.after(|world| world.flush(r, Ending::Interim)));
                    }
                }),
                Doing::Ended => {}
            }
        }
        worlds
    }

    fn edit(&mut self, at: i64, item: Option<Cursor>) {
        self.item = item;
        self.edits.push(at);
        self.edit_is_open = true;
        self.done |= below(at);
    }

    fn begin(&mut self, r: usize) {
        let facts = Facts {
            partition: TopicPartition::new("t", 0),
            end: Some(Ok(next(self.end))),
            earliest: Some(Ok(next(0))),
            cursor: self.item.clone().map(Ok),
            start: None,
        };
        let policy = Policy {
            start_position: StartPosition::Earliest,
            on_retention_loss: OnRetentionLoss::Halt,
            on_truncation: OnTruncation::Halt,
            now_ms: self.now_ms,
        };
        let run = &mut self.runs[r];
        run.doing = Doing::Ended;
        if let Decision::Read { from, to, seen, .. } = decide(&facts, false, &policy) {
            run.ledger = Ledger::new(seen.stored(), (from, to), u64::MAX, care(&seen, self.now_ms), 0);
            let claimed = Claim {
                run: run.id.clone(),
                until_ms: self.now_ms + 1,
                to,
                now_ms: self.now_ms,
            };
            let write = claim(&seen, &claimed);
            self.attempt(r, What::Claim(seen, claimed), write);
        }
    }

    fn attempt(&mut self, r: usize, what: What, write: CursorWrite) {
        self.runs[r].doing = Doing::Write(Attempt {
            what,
            write,
            again: 1,
            edits: self.edits.len(),
        });
    }

    fn settle_one(&mut self, r: usize) {
        let run = &mut self.runs[r];
        let offset = run.ledger.settled_at().get();
        run.ledger.settled(1, &record(offset));
        run.settled |= 1 << offset;
        self.done |= 1 << offset;
    }

    fn flush(&mut self, r: usize, ending: Ending) {
        let Run { id, ledger, .. } = &self.runs[r];
        let (expected, next) = (ledger.stored_at(), ledger.settled_at());
        let write = flush(id, expected, next, &ending, self.now_ms);
        self.attempt(r, What::Flush(expected, next, ending), write);
    }

    fn block(&mut self, r: usize) {
        let failures = Failures {
            offset: self.runs[r].ledger.settled_at(),
            attempts: 1,
            ..Failures::default()
        };
        self.flush(r, Ending::Blocked(failures));
    }

    fn close(&mut self, r: usize) {
        let Run { ledger, flushed, .. } = &self.runs[r];
        if *flushed || ledger.settled_at() != ledger.stored_at() {
            self.flush(r, Ending::Final);
        } else {
            self.release(r);
        }
    }

    fn release(&mut self, r: usize) {
        let write = release(&self.runs[r].id);
        self.attempt(r, What::Release, write);
    }

    fn answered(&mut self, r: usize, attempt: &Attempt) {
        match self.arrive(r, attempt) {
            Written::Applied => self.come_to(r, attempt, &Verdict::Applied),
            _ => self.judged(r, attempt),
        }
    }

    fn unanswered(&mut self, r: usize, attempt: &Attempt) {
        self.in_flight.push((r, attempt.clone()));
        self.runs[r].doing = Doing::Doubt(attempt.clone());
    }

    fn judged(&mut self, r: usize, attempt: &Attempt) {
        let item = self.item.as_ref();
        let verdict = match &attempt.what {
            What::Claim(seen, claim) => judge_claim(seen, claim, item),
            What::Flush(expected, next, ending) => judge_flush(&self.runs[r].id, *expected, *next, ending, item),
            What::Release => Verdict::Applied,
        };
        if let (What::Flush(_, next, _), Verdict::Applied) = (&attempt.what, &verdict) {
            let stored = item.map(|item| (&item.run, item.next));
            assert_eq!(
                stored,
                Some((&Some(self.runs[r].id.clone()), *next)),
                "it is not stored"
            );
        }
        self.come_to(r, attempt, &verdict);
    }

    /// What a run makes of a verdict.
    fn come_to(&mut self, r: usize, attempt: &Attempt, verdict: &Verdict) {
        let run = &mut self.runs[r];
        let doing = mem::replace(&mut run.doing, Doing::Ended);
        match (&attempt.what, verdict) {
            (What::Claim(..), Verdict::Applied) => {
                let records: Vec<Record> = (run.ledger.settled_at().get()..self.end).map(record).collect();
                run.ledger.polled(&records);
                run.doing = Doing::Work;
            }
            (What::Flush(_, _, ending), Verdict::Applied) => {
                run.ledger.flushed(0);
                run.flushed = true;
                run.doing = if *ending == Ending::Interim {
                    Doing::Work
                } else {
                    Doing::Ended
                };
            }
            (_, Verdict::NotApplied) if attempt.again > 0 => {
                run.doing = Doing::Write(Attempt {
                    again: attempt.again - 1,
                    ..attempt.clone()
                });
            }
            (What::Flush(_, _, Ending::Interim), Verdict::NotApplied) => self.close(r),
            (What::Flush(..), Verdict::Edited { .. }) => self.release(r),
            _ => drop(doing),
        }
    }

    /// The store makes a write of run `r`, or refuses it. Whatever it makes must keep the promises.
    fn arrive(&mut self, r: usize, attempt: &Attempt) -> Written {
        let (written, after) = write(self.item.clone(), &attempt.write);
        if written != Written::Applied {
            return written;
        }
        let before = mem::replace(&mut self.item, after);
        let (before, after) = (before.as_ref(), self.item.as_ref().expect("it was written"));
        match &attempt.what {
            What::Claim(seen, _) => {
                let held = before.map(|item| item.standing(self.now_ms));
                assert!(
                    !matches!(held, Some(Standing::Held { .. })),
                    "P3: a live claim was taken over"
                );
                assert_eq!(
                    after.next,
                    before.map_or(seen.stored(), |item| item.next),
                    "a claim moved the cursor"
                );
                self.runs[r].lost = false;
                self.runs[1 - r].lost = true;
                self.edit_is_open = false;
            }
            What::Flush(expected, next, _) => {
                let before = before.expect("P4: a deleted item was brought back").next;
                let passed = below(next.get()) & !below(before.get());
                assert_eq!(passed & !self.runs[r].settled, 0, "P1: a hole");
                assert!(before <= *next, "P2: moved back");
                assert!(!self.runs[r].lost, "P3: a run that lost its claim moved the cursor");
                let edit = self.edits.get(attempt.edits..).and_then(<[i64]>::last);
                if let (Some(at), true) = (edit, self.edit_is_open) {
                    assert_eq!(*at, expected.get(), "P4: an edit was passed over");
                    self.edit_is_open = false;
                }
            }
            What::Release => assert_eq!(
                Some(after.next),
                before.map(|item| item.next),
                "a release moved the cursor"
            ),
        }
        written
    }

    /// Whatever has happened: nothing is lost, and one clean run finishes the work.
    fn check(&self) {
        let stored = below(self.item.as_ref().map_or(0, |item| item.next.get()));
        assert_eq!(stored & !self.done, 0, "P1: a record was passed over");
        let mut world = self.clone();
        world.now_ms += 1_000;
        world.runs[0] = Run::new("clean");
        loop {
            match world.runs[0].doing.clone() {
                Doing::Begin => world.begin(0),
                Doing::Write(attempt) => world.answered(0, &attempt),
                Doing::Work => match world.runs[0].ledger.step(false, 0) {
                    Step::Process(_) => world.settle_one(0),
                    Step::Flush => world.flush(0, Ending::Interim),
                    _ => world.close(0),
                },
                Doing::Doubt(_) => unreachable!("every write is answered"),
                Doing::Ended => break,
            }
        }
        assert_eq!(
            world.item.map(|item| item.next),
            Some(next(self.end)),
            "the work is not finished"
        );
        assert_eq!(world.done, below(self.end), "P1: a record is lost");
    }
}

/// P1 to P4, in every world that can come about.
fn explore(size: Size) {
    let hasher = RandomState::new();
    let mut known = HashSet::new();
    let mut worlds = vec![World::new(None, size), World::new(Some(Cursor::at(next(1))), size)];
    while let Some(world) = worlds.pop() {
        if known.insert(hasher.hash_one(format!("{world:?}"))) {
            world.check();
            worlds.extend(world.successors(size));
        }
    }
    let Size { end, edits, in_flight } = size;
    eprintln!(
        "{} states: {end} records, {edits} edits, {in_flight} writes in flight",
        known.len()
    );
    assert!(known.len() > 10_000);
}

#[test]
fn two_runs_and_an_operator_break_no_promise() {
    explore(Size {
        end: 3,
        edits: 1,
        in_flight: 0,
    });
}

#[test]
fn two_runs_whose_writes_are_not_answered_break_no_promise() {
    explore(Size {
        end: 3,
        edits: 0,
        in_flight: 1,
    });
}

#[test]
fn two_runs_and_an_operator_break_no_promise_on_one_record_although_writes_are_not_answered() {
    explore(Size {
        end: 1,
        edits: 1,
        in_flight: 1,
    });
}
