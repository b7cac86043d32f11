//! Two runs and an operator: every order of their steps over the real pure functions, and every
//! result of each write.
//!
//! A write gets a response, or it gets none and stays in flight: it is then applied at once, later,
//! or never, and the read that would show its result may fail too. A run may stop for good at any
//! step, since no step is forced: before it fetches, between a mark and the hand-over, before its
//! release. A claim lasts for one tick of the clock, and no run checks it again: each may be frozen
//! for as long as the other works.

mod partition;
mod run;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};

use kafka_consumer_lambda::claim::{ChunkLimit, Cursor, RunId};

use self::partition::Partition;
use self::run::Kind;
use super::next;

/// One tick expires the claim of the run that started first; there is no third run to take over the
/// claim of the second one.
const TICKS: i64 = 1;

/// The item at the start of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// None, or one that no run has claimed.
    Unclaimed,
    /// That of a run that crashed with single records.
    Crashed,
    /// The same, and claims do not remove the mark of its hand-over.
    CrashedAndMarksStay,
}

/// The size of a world.
#[derive(Debug, Clone, Copy)]
struct Size {
    partitions: usize,
    /// The end of each log.
    end: i64,
    /// How often the operator edits each item.
    edits: usize,
    /// Whether the operator may also pause it.
    pauses: bool,
    /// Whether the read after a write without a response may fail.
    reads_fail: bool,
    start: Start,
    /// How many writes can be without a response at the same time.
    in_flight: usize,
    /// A clause that is removed from the conditions of this kind of write.
    without: Option<(Kind, usize)>,
}

const SMALL: Size = Size {
    partitions: 1,
    end: 1,
    edits: 0,
    pauses: false,
    reads_fail: false,
    start: Start::Unclaimed,
    in_flight: 0,
    without: None,
};

#[derive(Debug, Clone)]
struct World {
    now_ms: i64,
    partitions: Vec<Partition>,
}

impl World {
    /// Every world that one step leads to.
    fn successors(&self, size: Size) -> Vec<Self> {
        let mut worlds = vec![];
        if self.now_ms < TICKS {
            worlds.push(Self {
                now_ms: self.now_ms + 1,
                ..self.clone()
            });
        }
        // The runs are alike: it is enough that the first one starts first.
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

/// P1 to P4, in every world that can be reached. Returns the number of worlds.
///
/// # Panics
/// If a promise is broken in any world.
fn explore(size: Size) -> usize {
    let hasher = RandomState::new();
    let mut visited = HashSet::new();
    let items = if size.start == Start::Unclaimed {
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
        if visited.insert(hasher.hash_one(format!("{world:?}"))) {
            world
                .partitions
                .iter()
                .for_each(|partition| partition.check(world.now_ms));
            worlds.extend(world.successors(size));
        }
    }
    visited.len()
}

/// The item of a run that crashed with single records: an expired claim, and a mark at this offset.
fn left_behind(handed_over: Option<i64>) -> Cursor {
    Cursor {
        run: Some(RunId::new("crashed")),
        claim_until_ms: Some(0),
        claim_to: Some(next(4)),
        claim_chunk: Some(ChunkLimit::Single),
        handed_over: handed_over.map(next),
        updated_at_ms: Some(-1),
        ..Cursor::at(next(0))
    }
}

fn assert_every_promise_holds(size: Size) {
    let states = explore(size);
    eprintln!("{states} states: {size:?}");
    assert!(states > 1_000, "only {states}");
}

#[test]
fn two_runs_and_an_operator_keep_every_promise() {
    assert_every_promise_holds(Size {
        end: 4,
        edits: 1,
        ..SMALL
    });
}

#[test]
fn two_runs_whose_writes_get_no_response_keep_every_promise() {
    assert_every_promise_holds(Size {
        end: 3,
        in_flight: 1,
        ..SMALL
    });
}

#[test]
fn two_runs_and_an_operator_keep_every_promise_if_writes_get_no_response() {
    assert_every_promise_holds(Size {
        end: 1,
        edits: 1,
        in_flight: 1,
        ..SMALL
    });
}

#[test]
fn a_pause_that_is_stored_before_the_claim_prevents_it() {
    assert_every_promise_holds(Size {
        end: 2,
        edits: 1,
        pauses: true,
        ..SMALL
    });
}

#[test]
fn a_run_that_cannot_determine_whether_a_write_was_applied_keeps_every_promise() {
    assert_every_promise_holds(Size {
        end: 2,
        in_flight: 1,
        reads_fail: true,
        ..SMALL
    });
}

/// P14: a crash counts against a record only if it was handed over alone.
#[test]
fn a_crashed_run_counts_against_no_record_that_was_not_handed_over_alone() {
    assert_every_promise_holds(Size {
        end: 2,
        in_flight: 1,
        start: Start::Crashed,
        ..SMALL
    });
}

/// Checks that the exploration finds the broken promise.
#[test]
fn if_the_next_claim_kept_the_mark_a_crash_would_be_counted_twice() {
    let size = Size {
        end: 2,
        start: Start::CrashedAndMarksStay,
        ..SMALL
    };
    assert!(catch_unwind(AssertUnwindSafe(|| explore(size))).is_err());
}

#[test]
fn an_edit_between_a_crash_and_the_next_run_discards_the_crash() {
    assert_every_promise_holds(Size {
        end: 2,
        edits: 1,
        start: Start::Crashed,
        ..SMALL
    });
}

#[test]
fn two_runs_keep_every_promise_on_two_partitions() {
    assert_every_promise_holds(Size {
        partitions: 2,
        end: 1,
        ..SMALL
    });
}

#[test]
fn every_clause_of_every_condition_is_needed_by_a_promise() {
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
            let is_broken = catch_unwind(AssertUnwindSafe(|| explore(size))).is_err();
            assert!(is_broken, "no promise is broken without clause {clause} of {kind:?}");
        }
    }
}
