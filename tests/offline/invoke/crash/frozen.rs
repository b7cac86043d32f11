//! A process that stands still at one of its effects, so long that others take
//! over and finish, and that then goes on where it was.

use std::pin::pin;

use super::fate::Trouble;
use super::process::Process;
use super::world::{Spec, World};
use super::{SEEDS, Scene, block_on, each_at, worlds};

/// P3: a run that lost its claim stores nothing more on that partition.
#[test]
fn a_process_may_freeze_at_any_effect_and_wake_up_when_others_have_finished() {
    block_on(async {
        for spec in worlds::all() {
            let mut count = 0;
            for seed in SEEDS {
                count += each_at(async |at| {
                    let _scene = Scene::new(&spec, Trouble::FrozenAt(at), seed);
                    freezes(&spec, at, seed).await
                })
                .await;
            }
            eprintln!("`{}`: frozen at {count} effects", spec.name);
        }
    });
}

/// One process frozen and woken, and what follows; false: no process got that far.
async fn freezes(spec: &Spec, at: usize, seed: usize) -> bool {
    let world = World::new(spec);
    let mut trouble = Trouble::FrozenAt(at);
    for _ in 0..=spec.most_runs {
        let process = Process::new(&world, trouble, seed);
        let mut run = pin!(process.invoked());
        tokio::select! {
            biased;
            () = process.fate.stopped() => {
                world.recover(seed).await;
                let cursors = world.cursors();
                process.fate.thaw();
                let report = run.await;
                assert_eq!(world.cursors(), cursors, "it wrote: {report:?}");
                world.recover(seed).await;
                return true;
            }
            report = &mut run => {
                if world.ended(&process, Some(report)).is_idle() {
                    return false;
                }
            }
        }
        trouble = trouble.after(&process.fate);
        world.pass_claims();
    }
    panic!("not done after {} runs", spec.most_runs)
}

/// P3: and it costs nothing to the one that took over, however far that one is.
/// Or both come at the same time, and each works on what it has claimed.
#[test]
fn two_processes_may_meet_at_any_of_their_effects() {
    block_on(async {
        let specs = [
            worlds::small(),
            worlds::small_resumed(),
            worlds::small_limited(),
            worlds::small_latest(),
        ];
        for spec in specs {
            let mut pairs = 0;
            for (seed, is_late) in [(0, true), (1, true), (0, false), (1, false)] {
                each_at(async |first| {
                    pairs += each_at(async |second| meets(&spec, (first, second), is_late, seed).await).await;
                    let trouble = Trouble::FrozenAt(first);
                    World::new(&spec).until_struck(trouble, seed).await.is_some()
                })
                .await;
            }
            eprintln!("`{}`: met at {pairs} pairs of effects", spec.name);
        }
    });
}

/// The first process freezes at one effect, and wakes when the second, which
/// begins at once or after all claims have ended, has come to another; false:
/// one of them does not get that far.
async fn meets(spec: &Spec, (first, second): (usize, usize), is_late: bool, seed: usize) -> bool {
    let _scene = Scene::new(spec, (first, second, is_late), seed);
    let world = World::new(spec);
    let old = Process::new(&world, Trouble::FrozenAt(first), seed);
    let mut old_run = pin!(old.invoked());
    tokio::select! {
        biased;
        () = old.fate.stopped() => {}
        _ = &mut old_run => return false,
    }
    if is_late {
        world.pass_claims();
    }
    let new = Process::new(&world, Trouble::FrozenAt(second), seed);
    let mut new_run = pin!(new.invoked());
    tokio::select! {
        biased;
        () = new.fate.stopped() => {}
        _ = &mut new_run => return false,
    }
    let claimed = new.claimed();
    old.fate.thaw();
    let old_report = old_run.await;
    old.check_report(&old_report);
    assert_eq!(new.claimed(), claimed, "the old process wrote: {old_report:?}");
    new.fate.thaw();
    let new_report = new_run.await;
    new.check_report(&new_report);
    assert_eq!(new_report.error, None);
    // A race for what it had not claimed yet may be lost.
    let is_lost = |partition: i32| new_report.held.iter().any(|held| held.place.partition == partition);
    assert!(
        !claimed.iter().any(|(partition, _)| is_lost(*partition)),
        "lost to the old process: {new_report:?}"
    );
    world.recover(seed).await;
    true
}
