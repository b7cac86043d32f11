//! A crash, a freeze, a lost response or an operator's edit at each effect of a process in turn, in
//! the real `invoke`. Then runs without a fault until one is idle.
//!
//! At all times: no cursor moves back, none passes a record that was not settled, no partition is
//! processed without a claim. At the end: every record was handled, after few runs.

mod brokers;
mod clock;
mod completeness;
mod fault;
mod frozen;
mod lost_responses;
mod operator;
mod process;
mod world;
mod worlds;

use std::fmt;
use std::future::Future;

use fault::Fault;
use world::{Spec, World};

/// The orders in which the partitions take turns: with 0, each goes as far as it can.
const SEEDS: std::ops::Range<usize> = 0..3;

/// The case, printed if it fails.
struct Scene(String);

impl Scene {
    fn new(spec: &Spec, fault: impl fmt::Debug, seed: usize) -> Self {
        Self(format!("world `{}`, {fault:?}, seed {seed}", spec.name))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in {}", self.0);
        }
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(future)
}

/// Runs the cases 0, 1, 2... until one does not exist. Returns how many there were.
async fn each_at(mut exists: impl AsyncFnMut(usize) -> bool) -> usize {
    let mut at = 0;
    while exists(at).await {
        at += 1;
        assert!(at < 1_000, "the cases do not end");
    }
    at
}

#[test]
fn without_a_fault_every_world_is_done_after_few_runs() {
    block_on(async {
        for spec in worlds::all() {
            for seed in SEEDS {
                let _scene = Scene::new(&spec, Fault::None, seed);
                let world = World::new(&spec);
                assert!(world.run_until_fault(Fault::None, seed).await.is_none());
                assert_eq!(world.recover(seed).await, 1, "it was done before");
            }
        }
    });
}

/// P1: a cursor moves only past records that were settled, in order, without a hole. The run after
/// a crash repeats what was not stored.
#[test]
fn a_crash_at_any_effect_loses_no_record() {
    block_on(async {
        for spec in worlds::all() {
            let (mut crashes, mut most_runs) = (0, 0);
            for seed in SEEDS {
                crashes += each_at(async |at| {
                    let _scene = Scene::new(&spec, Fault::CrashAt(at), seed);
                    let world = World::new(&spec);
                    let is_injected = world.run_until_fault(Fault::CrashAt(at), seed).await.is_some();
                    most_runs = most_runs.max(world.recover(seed).await);
                    is_injected
                })
                .await;
            }
            eprintln!("`{}`: {crashes} crashes, at most {most_runs} clean runs", spec.name);
        }
    });
}

/// P1: the run after a crash repeats what was not stored, also if the crashed run did so itself.
#[test]
fn a_second_crash_at_any_effect_after_a_first_one_loses_no_record() {
    block_on(async {
        for spec in [worlds::small(), worlds::small_limited(), worlds::small_latest()] {
            let mut pairs = 0;
            for seed in 0..2 {
                each_at(async |first| {
                    pairs += each_at(async |second| {
                        let _scene = Scene::new(&spec, (first, second), seed);
                        let world = World::new(&spec);
                        world.run_until_fault(Fault::CrashAt(first), seed).await;
                        world.pass_claims();
                        let is_injected = world.run_until_fault(Fault::CrashAt(second), seed).await.is_some();
                        world.recover(seed).await;
                        is_injected
                    })
                    .await;
                    World::new(&spec)
                        .run_until_fault(Fault::CrashAt(first), seed)
                        .await
                        .is_some()
                })
                .await;
            }
            eprintln!("`{}`: {pairs} pairs of crashes", spec.name);
        }
    });
}

/// P3: one run per partition, while a claim lasts.
#[test]
fn a_run_skips_the_partitions_that_a_crashed_run_has_claimed_until_the_claims_end() {
    block_on(async {
        for spec in worlds::all() {
            for seed in SEEDS {
                each_at(async |at| {
                    let _scene = Scene::new(&spec, Fault::CrashAt(at), seed);
                    let world = World::new(&spec);
                    let Some(_) = world.run_until_fault(Fault::CrashAt(at), seed).await else {
                        return false;
                    };
                    let claimed = world.claimed();
                    let report = world.one_run(seed).await;
                    let held: Vec<i32> = report.held.iter().map(|held| held.place.partition).collect();
                    assert_eq!(
                        held,
                        claimed.iter().map(|(partition, _)| *partition).collect::<Vec<_>>()
                    );
                    for (partition, cursor) in claimed {
                        assert_eq!(world.cursor(partition), Some(cursor), "as the crashed process left it");
                    }
                    world.recover(seed).await;
                    true
                })
                .await;
            }
        }
    });
}
