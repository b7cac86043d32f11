//! A process that is frozen at one of its effects until other processes have taken over and
//! finished, and then resumes.

use std::pin::pin;

use super::fault::Fault;
use super::process::Process;
use super::world::{Spec, World};
use super::{SEEDS, Scene, block_on, each_at, worlds};

/// P3: a run that lost its claim stores nothing more on that partition.
#[test]
fn a_frozen_process_that_resumes_after_others_have_finished_writes_nothing() {
    block_on(async {
        for spec in worlds::all() {
            let mut count = 0;
            for seed in SEEDS {
                count += each_at(async |at| {
                    let _scene = Scene::new(&spec, Fault::FreezeAt(at), seed);
                    frozen_at(&spec, at, seed).await
                })
                .await;
            }
            eprintln!("`{}`: frozen at {count} effects", spec.name);
        }
    });
}

/// One process frozen and resumed, and the runs after it; false: no process got that far.
async fn frozen_at(spec: &Spec, at: usize, seed: usize) -> bool {
    let world = World::new(spec);
    let mut fault = Fault::FreezeAt(at);
    for _ in 0..=spec.most_runs {
        let process = Process::new(&world, fault, seed);
        let mut run = pin!(process.invoked());
        tokio::select! {
            biased;
            () = process.faults.stopped() => {
                world.recover(seed).await;
                let cursors = world.cursors();
                process.faults.resume();
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
        fault = fault.after(&process.faults);
        world.pass_claims();
    }
    panic!("not done after {} runs", spec.most_runs)
}

/// P3: wherever the process is that took over; also if both start at the same time.
#[test]
fn a_process_that_resumes_at_any_effect_of_another_one_takes_no_claim_from_it() {
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
                    pairs += each_at(async |second| interleaved(&spec, (first, second), is_late, seed).await).await;
                    let fault = Fault::FreezeAt(first);
                    World::new(&spec).run_until_fault(fault, seed).await.is_some()
                })
                .await;
            }
            eprintln!("`{}`: interleaved at {pairs} pairs of effects", spec.name);
        }
    });
}

/// The first process freezes at one effect, and resumes when the second has reached another. The
/// second one starts at once, or after all claims have expired. False: one of them does not get
/// that far.
async fn interleaved(spec: &Spec, (first, second): (usize, usize), is_late: bool, seed: usize) -> bool {
    let _scene = Scene::new(spec, (first, second, is_late), seed);
    let world = World::new(spec);
    let old = Process::new(&world, Fault::FreezeAt(first), seed);
    let mut old_run = pin!(old.invoked());
    tokio::select! {
        biased;
        () = old.faults.stopped() => {}
        _ = &mut old_run => return false,
    }
    if is_late {
        world.pass_claims();
    }
    let new = Process::new(&world, Fault::FreezeAt(second), seed);
    let mut new_run = pin!(new.invoked());
    tokio::select! {
        biased;
        () = new.faults.stopped() => {}
        _ = &mut new_run => return false,
    }
    let claimed = new.claimed();
    old.faults.resume();
    let old_report = old_run.await;
    old.check_report(&old_report);
    assert_eq!(new.claimed(), claimed, "the old process wrote: {old_report:?}");
    new.faults.resume();
    let new_report = new_run.await;
    new.check_report(&new_report);
    assert_eq!(new_report.error, None);
    // It may lose a partition that it had not claimed yet.
    let is_lost = |partition: i32| new_report.held.iter().any(|held| held.place.partition == partition);
    assert!(
        !claimed.iter().any(|(partition, _)| is_lost(*partition)),
        "lost to the old process: {new_report:?}"
    );
    world.recover(seed).await;
    true
}
