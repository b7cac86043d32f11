//! A process that dies, freezes, gets no answer, or meets an operator: at each
//! of its effects in turn, in the real `invoke`. Then clean runs until there is
//! nothing left to do.
//!
//! At all times: no cursor moves back, none passes a record that nobody
//! settled, no partition is worked on without a claim. In the end: every record
//! was handled, after few runs.

mod brokers;
mod clock;
mod fate;
mod frozen;
mod operator;
mod process;
mod promises;
mod unanswered;
mod world;
mod worlds;

use std::fmt;
use std::future::Future;

use fate::Trouble;
use world::{Spec, World};

/// In which orders the partitions take turns: by 0, each as far as it can.
const SEEDS: std::ops::Range<usize> = 0..3;

/// What is being tried, shown if it fails.
struct Scene(String);

impl Scene {
    fn new(spec: &Spec, trouble: impl fmt::Debug, seed: usize) -> Self {
        Self(format!("world `{}`, {trouble:?}, seed {seed}", spec.name))
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

/// Tries 0, 1, 2... until one no longer comes to pass: how many did.
async fn each_at(mut comes_to_pass: impl AsyncFnMut(usize) -> bool) -> usize {
    let mut at = 0;
    while comes_to_pass(at).await {
        at += 1;
        assert!(at < 1_000, "runs without an end");
    }
    at
}

#[test]
fn without_trouble_every_world_is_done_after_few_runs() {
    block_on(async {
        for spec in worlds::all() {
            for seed in SEEDS {
                let _scene = Scene::new(&spec, Trouble::Nothing, seed);
                let world = World::new(&spec);
                assert!(world.until_struck(Trouble::Nothing, seed).await.is_none());
                assert_eq!(world.recover(seed).await, 1, "it was done before");
            }
        }
    });
}

/// P1: a cursor moves only past records that were settled, in order, without a
/// hole. A run that dies repeats what it had not stored.
#[test]
fn a_process_may_die_at_any_effect_and_nothing_is_lost() {
    block_on(async {
        for spec in worlds::all() {
            let (mut deaths, mut most_runs) = (0, 0);
            for seed in SEEDS {
                deaths += each_at(async |at| {
                    let _scene = Scene::new(&spec, Trouble::DeathAt(at), seed);
                    let world = World::new(&spec);
                    let is_struck = world.until_struck(Trouble::DeathAt(at), seed).await.is_some();
                    most_runs = most_runs.max(world.recover(seed).await);
                    is_struck
                })
                .await;
            }
            eprintln!("`{}`: {deaths} deaths, at most {most_runs} clean runs", spec.name);
        }
    });
}

/// P1: a run that dies repeats what it had not stored; also one that was
/// repeating.
#[test]
fn a_second_process_may_die_at_any_effect_where_the_first_one_died() {
    block_on(async {
        for spec in [worlds::small(), worlds::small_limited(), worlds::small_latest()] {
            let mut pairs = 0;
            for seed in 0..2 {
                each_at(async |first| {
                    pairs += each_at(async |second| {
                        let _scene = Scene::new(&spec, (first, second), seed);
                        let world = World::new(&spec);
                        world.until_struck(Trouble::DeathAt(first), seed).await;
                        world.pass_claims();
                        let is_struck = world.until_struck(Trouble::DeathAt(second), seed).await.is_some();
                        world.recover(seed).await;
                        is_struck
                    })
                    .await;
                    World::new(&spec)
                        .until_struck(Trouble::DeathAt(first), seed)
                        .await
                        .is_some()
                })
                .await;
            }
            eprintln!("`{}`: {pairs} pairs of deaths", spec.name);
        }
    });
}

/// P3: one run per partition, while a claim lasts.
#[test]
fn a_run_that_comes_before_a_dead_one_s_claims_end_leaves_its_partitions_alone() {
    block_on(async {
        for spec in worlds::all() {
            for seed in SEEDS {
                each_at(async |at| {
                    let _scene = Scene::new(&spec, Trouble::DeathAt(at), seed);
                    let world = World::new(&spec);
                    let Some(_) = world.until_struck(Trouble::DeathAt(at), seed).await else {
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
                        assert_eq!(world.cursor(partition), Some(cursor), "as the dead process left it");
                    }
                    world.recover(seed).await;
                    true
                })
                .await;
            }
        }
    });
}
