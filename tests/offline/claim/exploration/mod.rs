//! Two runs and an operator: every order of their steps over the real pure
//! functions, and every fate of each write.
//!
//! A write is answered, or it is not and stays in flight: it then arrives at
//! once, later, or never; and the read that would tell may get no answer too. A
//! run may stop for good at any step, since nothing makes it take the next one:
//! before it fetches, between a mark and the hand-over, before its release. A claim lasts for one tick of the clock, and no
//! run looks at it again: each may be frozen for as long as the other works.

mod partition;
mod run;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};

use kafka_consumer_lambda::claim::{BatchLimit, Cursor, RunId};

use self::partition::Partition;
use self::run::Kind;
use super::next;

/// One tick ends the claim of the run that began first; nobody is left to take over a second one.
const TICKS: i64 = 1;

/// How a world begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begins {
    /// Without an item, or with one that no run has claimed.
    Fresh,
    /// Behind a run that died with single records.
    BehindADeadRun,
    /// The same, and claims leave the mark of its hand-over where it is.
    BehindADeadRunWhoseMarkStays,
}

/// How large a world is.
#[derive(Debug, Clone, Copy)]
struct Size {
    partitions: usize,
    /// The end of each log.
    end: i64,
    /// How often the operator edits each item.
    edits: usize,
    /// Whether the operator may pause it, too.
    pauses: bool,
    /// Whether the read after a write without an answer may get none either.
    unread: bool,
    begins: Begins,
    /// How many writes can be without an answer at the same time.
    in_flight: usize,
    /// A clause that conditions lack, by the kind of write.
    without: Option<(Kind, usize)>,
}

const SMALL: Size = Size {
    partitions: 1,
    end: 1,
    edits: 0,
    pauses: false,
    unread: false,
    begins: Begins::Fresh,
    in_flight: 0,
    without: None,
};

#[derive(Debug, Clone)]
struct World {
    now_ms: i64,
    partitions: Vec<Partition>,
}

impl World {
    /// Every world that can be next.
    fn successors(&self, size: Size) -> Vec<Self> {
        let mut worlds = vec![];
        if self.now_ms < TICKS {
            worlds.push(Self {
                now_ms: self.now_ms + 1,
                ..self.clone()
            });
        }
        // The runs are alike: it is enough that the first one begins first.
        let second_may_begin = self.partitions.iter().any(Partition::first_has_begun);
        for (p, partition) in self.partitions.iter().enumerate() {
            worlds.extend(
                partition
                    .successors(size, self.now_ms, second_may_begin)
                    .into_iter()
                    .map(|after| {
                        let mut world = self.clone();
                        world.partitions[p] = after;
                        world
                    }),
            );
        }
        worlds
    }
}

/// P1 to P4, in every world that can come about. Returns how many there are.
///
/// # Panics
/// In a world in which a promise is broken.
fn explore(size: Size) -> usize {
    let hasher = RandomState::new();
    let mut known = HashSet::new();
    let items = if size.begins == Begins::Fresh {
        [None, Some(Cursor::at(next(1)))]
    } else {
        [Some(left_behind(None)), Some(left_behind(Some(0)))]
    };
    let mut worlds: Vec<World> = items
        .map(|item| World {
            now_ms: 0,
            partitions: vec![Partition::new(item, size); size.partitions],
        })
        .into();
    while let Some(world) = worlds.pop() {
        if known.insert(hasher.hash_one(format!("{world:?}"))) {
            world
                .partitions
                .iter()
                .for_each(|partition| partition.check(world.now_ms));
            worlds.extend(world.successors(size));
        }
    }
    known.len()
}

/// An item that a run left which had handed over single records: with its
/// claim expired, and a mark at this offset.
fn left_behind(handed_over: Option<i64>) -> Cursor {
    Cursor {
        run: Some(RunId::new("dead")),
        claim_until_ms: Some(0),
        claim_to: Some(next(4)),
        claim_chunk: Some(BatchLimit::Single),
        handed_over: handed_over.map(next),
        updated_at_ms: Some(-1),
        ..Cursor::at(next(0))
    }
}

fn no_promise_is_broken(size: Size) {
    let states = explore(size);
    eprintln!("{states} states: {size:?}");
    assert!(states > 1_000, "only {states}");
}

#[test]
fn two_runs_and_an_operator_break_no_promise() {
    no_promise_is_broken(Size {
        end: 4,
        edits: 1,
        ..SMALL
    });
}

#[test]
fn two_runs_whose_writes_are_not_answered_break_no_promise() {
    no_promise_is_broken(Size {
        end: 3,
        in_flight: 1,
        ..SMALL
    });
}

#[test]
fn two_runs_and_an_operator_break_no_promise_although_writes_are_not_answered() {
    no_promise_is_broken(Size {
        end: 1,
        edits: 1,
        in_flight: 1,
        ..SMALL
    });
}

#[test]
fn a_pause_that_is_stored_before_the_claim_is_obeyed() {
    no_promise_is_broken(Size {
        end: 2,
        edits: 1,
        pauses: true,
        ..SMALL
    });
}

#[test]
fn a_run_that_cannot_find_out_whether_it_wrote_breaks_no_promise() {
    no_promise_is_broken(Size {
        end: 2,
        in_flight: 1,
        unread: true,
        ..SMALL
    });
}

/// P14: a record counts as deadly only if it was handed over alone.
#[test]
fn what_a_dead_run_left_behind_counts_against_no_record_that_was_not_handed_over_alone() {
    no_promise_is_broken(Size {
        end: 2,
        in_flight: 1,
        begins: Begins::BehindADeadRun,
        ..SMALL
    });
}

/// The test of the test.
#[test]
fn without_the_removal_of_a_mark_by_the_next_claim_a_record_is_blamed_twice() {
    let size = Size {
        end: 2,
        begins: Begins::BehindADeadRunWhoseMarkStays,
        ..SMALL
    };
    assert!(catch_unwind(AssertUnwindSafe(|| explore(size))).is_err());
}

#[test]
fn an_edit_between_a_death_and_the_next_run_leaves_the_crash_behind() {
    no_promise_is_broken(Size {
        end: 2,
        edits: 1,
        begins: Begins::BehindADeadRun,
        ..SMALL
    });
}

#[test]
fn two_runs_break_no_promise_on_two_partitions() {
    no_promise_is_broken(Size {
        partitions: 2,
        end: 1,
        ..SMALL
    });
}

#[test]
fn without_any_clause_of_any_condition_a_promise_is_broken() {
    for (kind, clauses) in [
        (Kind::ClaimItem, 3),
        (Kind::ClaimNothing, 1),
        (Kind::Flush, 4),
        (Kind::Release, 1),
    ] {
        for clause in 0..clauses {
            let size = Size {
                end: 2,
                edits: 1,
                in_flight: 1,
                without: Some((kind, clause)),
                pauses: (kind, clause) == (Kind::ClaimItem, 2),
                ..SMALL
            };
            let broken = catch_unwind(AssertUnwindSafe(|| explore(size))).is_err();
            assert!(broken, "no promise needs clause {clause} of {kind:?}");
        }
    }
}
