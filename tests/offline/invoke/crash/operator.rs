//! An operator edits partition 0 during a run, just before each of the run's effects there in turn.

use kafka_consumer_lambda::error::{Error, ErrorType};
use kafka_consumer_lambda::report::RunReport;

use super::fault::{Edit, Fault};
use super::world::{Spec, World};
use super::{SEEDS, Scene, block_on, each_at, worlds};

/// Every way to edit a cursor of a log that ends at `end`.
fn edits(end: i64) -> Vec<Edit> {
    let offsets = 0..=end;
    let puts = offsets.clone().map(Edit::Put);
    puts.chain(offsets.map(Edit::Update)).chain([Edit::Delete]).collect()
}

/// P4: a cursor that was edited during a run costs the run that partition and no other; a deleted
/// one is never brought back. The next run starts at the edited offset.
#[test]
fn an_operators_edit_at_any_effect_takes_precedence_over_the_run() {
    block_on(async {
        let specs = [
            worlds::small(),
            worlds::gaps(),
            worlds::halts(),
            worlds::shares(),
            worlds::short_of_time(),
        ];
        for spec in specs {
            let mut count = 0;
            for seed in SEEDS {
                for edit in edits(spec.logs[0].end) {
                    count += each_at(async |at| edited(&spec, Fault::EditAt(at, edit), seed).await).await;
                }
            }
            eprintln!("`{}`: {count} edits", spec.name);
        }
    });
}

/// One edit, and the runs after it; false: there was no such effect.
async fn edited(spec: &Spec, fault: Fault, seed: usize) -> bool {
    let _scene = Scene::new(spec, fault, seed);
    let world = World::new(spec);
    let Some(ended) = world.run_until_fault(fault, seed).await else {
        return false;
    };
    let report = ended.report.expect("it did not crash");
    check_the_run(&world, &report);
    check_the_item(&world);
    world.recover(seed).await;
    true
}

/// The run itself succeeds, and it loses at most partition 0.
fn check_the_run(world: &World, report: &RunReport) {
    let is_expected = |error: &Error| error.kind == ErrorType::PartitionBlocked;
    assert!(report.error.as_ref().is_none_or(is_expected), "{:?}", report.error);
    let others: Vec<_> = report.held.iter().filter(|held| held.place.partition != 0).collect();
    assert!(others.is_empty(), "the run lost: {others:?}");
    for partition in 0..world.partitions() {
        let claim = world.cursor(partition).and_then(|cursor| cursor.claim_until_ms);
        assert_eq!(claim, None, "partition {partition} is still claimed");
    }
}

/// The item is as the operator left it, unless the run has continued from there.
fn check_the_item(world: &World) {
    let Some((edit, handled_before)) = world.history().edit else {
        return;
    };
    let handled_since = world.history().handled[handled_before..].to_vec();
    let cursor = world.cursor(0);
    match edit {
        Edit::Delete => assert_eq!(cursor, None, "brought back"),
        Edit::Put(next) | Edit::Update(next) => {
            let at = cursor.expect("it was not deleted").next.get();
            assert!(at >= next, "the operator wrote {next}, and the cursor is at {at}");
            for offset in world.log(0).between(next, at) {
                assert!(
                    handled_since.contains(&(0, offset)),
                    "{offset} was passed over after the operator's edit"
                );
            }
        }
    }
}
