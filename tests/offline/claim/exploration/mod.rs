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

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use kafka_consumer_lambda::claim::{ChunkLimit, Cursor, RunId};
use sha2::{Digest as _, Sha256};

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

/// The first half of a SHA-256, by which states are compared: it is the one hash function that is optimised here.
type Key = u128;

/// A state of a partition.
#[derive(Clone)]
struct State {
    key: Key,
    partition: Rc<Partition>,
}

impl State {
    fn new(partition: Partition) -> Self {
        Self {
            key: key(&partition),
            partition: Rc::new(partition),
        }
    }
}

fn key(of: impl Debug) -> Key {
    let digest = Sha256::digest(format!("{of:?}"));
    Key::from_be_bytes(*digest.first_chunk().expect("32 bytes"))
}

#[derive(Clone)]
struct World {
    now_ms: i64,
    states: Vec<State>,
}

/// The successors of a state, at this time, and whether the second run may begin.
type Steps = HashMap<(Key, i64, bool), Rc<[State]>>;

struct Exploration {
    size: Size,
    /// The time, and the state of each partition.
    visited: HashSet<(i64, Vec<Key>)>,
    /// What [`Partition::check`] depends on.
    checked: HashSet<(Key, i64)>,
    /// Only for worlds of several partitions: those of one have each state once.
    steps: Steps,
}

impl Exploration {
    fn new(size: Size) -> Self {
        Self {
            size,
            visited: HashSet::new(),
            checked: HashSet::new(),
            steps: Steps::new(),
        }
    }

    /// Whether no equal world was visited before.
    fn visit(&mut self, world: &World) -> bool {
        let keys = world.states.iter().map(|state| state.key).collect();
        self.visited.insert((world.now_ms, keys))
    }

    fn check(&mut self, partition: &Partition, now_ms: i64) {
        let stored = key(partition.stored());
        if self.checked.insert((stored, now_ms)) {
            partition.check(now_ms);
        }
    }

    /// Every world that one step leads to.
    fn successors(&mut self, world: &World) -> Vec<World> {
        let mut worlds = vec![];
        if world.now_ms < TICKS {
            worlds.push(World {
                now_ms: world.now_ms + 1,
                ..world.clone()
            });
        }
        // The runs are alike: it is enough that the first one starts first.
        let second_may_begin = world.states.iter().any(|state| state.partition.first_has_begun());
        for (p, state) in world.states.iter().enumerate() {
            let steps = self.steps(state, world.now_ms, second_may_begin);
            worlds.extend(steps.iter().map(|after| {
                let mut world = world.clone();
                world.states[p] = after.clone();
                world
            }));
        }
        worlds
    }

    fn steps(&mut self, state: &State, now_ms: i64, second_may_begin: bool) -> Rc<[State]> {
        let key = (state.key, now_ms, second_may_begin);
        if let Some(steps) = self.steps.get(&key) {
            return Rc::clone(steps);
        }
        let after = state.partition.successors(self.size, now_ms, second_may_begin);
        let steps: Rc<[State]> = after.into_iter().map(State::new).collect();
        if self.size.partitions > 1 {
            self.steps.insert(key, Rc::clone(&steps));
        }
        steps
    }
}

/// P1 to P4, in every world that can be reached. Returns the number of worlds.
///
/// # Panics
/// If a promise is broken in any world.
fn explore(size: Size) -> usize {
    let mut exploration = Exploration::new(size);
    let items = if size.start == Start::Unclaimed {
        [None, Some(Cursor::at(next(1)))]
    } else {
        [Some(left_behind(None)), Some(left_behind(Some(0)))]
    };
    let mut worlds: Vec<World> = items
        .map(|item| World {
            now_ms: 0,
            states: vec![State::new(Partition::new(item, size)); size.partitions],
        })
        .into();
    while let Some(world) = worlds.pop() {
        if exploration.visit(&world) {
            for state in &world.states {
                exploration.check(&state.partition, world.now_ms);
            }
            worlds.extend(exploration.successors(&world));
        }
    }
    exploration.visited.len()
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
