//! Operators who edit cursors during a run.
//!
//! Each test edits the cursor of partition 0 in the middle of a run that has claimed it; the other
//! partitions' records are handled in the same run.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::support::midway::{MORE_THAN_A_PIPE_HOLDS, Midway, WAITING};
use crate::support::table::{five_attributes, number};
use crate::support::world::World;

/// A world with a run in the middle of partition 0.
async fn a_run_in_progress() -> (World, Midway) {
    let mut world = World::new("edited", 3).await;
    world.set("MAX_MESSAGES", "unlimited");
    world.produce(0, MORE_THAN_A_PIPE_HOLDS);
    world.produce(1, 5);
    world.produce(2, 5);
    let run = world.midway(&[], async || world.is_claimed(0).await).await;
    (world, run)
}

/// The run ends normally, and has lost partition 0 only.
async fn loses_partition_0_only(world: &World, run: Midway) -> Value {
    let report = run.finish().await.success();
    assert_eq!(
        report["held"],
        json!([{"topic": world.topic, "partition": 0, "until": null}])
    );
    assert_eq!(report["last_offsets"], json!({"1": 4, "2": 4}));
    assert_eq!((world.offset(1).await, world.offset(2).await), (Some(4), Some(4)));
    report
}

/// The next run starts right after `stored`.
fn the_next_run_starts_after(world: &World, stored: i64) {
    let next = world.run();
    assert_eq!(next.success()["last_offsets"], json!({"0": WAITING - 1}));
    assert_eq!(next.logged_ranges(), [(stored + 1, WAITING - 1)]);
}

/// P4: one that was edited during a run costs the run that partition and no other.
#[tokio::test]
async fn a_cursor_that_is_overwritten_during_a_run_is_not_changed_by_the_run() {
    let (world, run) = a_run_in_progress().await;
    world.put_offset(0, 1_499).await;
    loses_partition_0_only(&world, run).await;
    let put = five_attributes(&world.group, &world.topic, 0, 1_499);
    assert_eq!(world.item(0).await, put, "exactly the written item");
    the_next_run_starts_after(&world, 1_499);
}

/// `UpdateItem` of `offset` during a run takes precedence, and the claim is released.
async fn an_update_of_the_offset_takes_precedence(offset: i64) {
    let (world, run) = a_run_in_progress().await;
    world.table.update_offset(&world.consumer_id(), 0, offset).await;
    loses_partition_0_only(&world, run).await;
    let item = world.item(0).await;
    assert_eq!(number(&item, "offset"), offset);
    assert!(!item.contains_key("claim_until"), "{item:?}");
    the_next_run_starts_after(&world, offset);
}

/// P4: one that was edited during a run costs the run that partition and no other.
#[tokio::test]
async fn after_a_cursor_is_moved_forward_during_a_run_the_next_run_starts_there() {
    an_update_of_the_offset_takes_precedence(1_899).await;
}

/// P2: a cursor moves back only by an operator, or by `ON_TRUNCATION`.
#[tokio::test]
async fn after_a_cursor_is_moved_back_during_a_run_the_next_run_starts_there() {
    let mut world = World::new("back", 1).await;
    world.set("MAX_MESSAGES", "unlimited");
    world.produce(0, MORE_THAN_A_PIPE_HOLDS);
    world.put_offset(0, 99).await;
    let run = world.midway_on(0).await;
    world.table.update_offset(&world.consumer_id(), 0, 9).await;
    let report = run.finish().await.success();
    assert_eq!(
        (&report["last_offsets"], &report["held"][0]["partition"]),
        (&json!({}), &json!(0))
    );
    let item = world.item(0).await;
    assert_eq!(number(&item, "offset"), 9);
    assert!(!item.contains_key("claim_until"), "{item:?}");
    the_next_run_starts_after(&world, 9);
}

/// P4: a deleted one is never brought back.
#[tokio::test]
async fn a_cursor_that_is_deleted_during_a_run_is_not_recreated_by_it() {
    let (world, run) = a_run_in_progress().await;
    world.table.delete_item(&world.consumer_id(), 0).await;
    loses_partition_0_only(&world, run).await;
    assert_eq!(world.offset(0).await, None);
    the_next_run_starts_after(&world, -1);
}

/// P4: one that was edited during a run costs the run that partition and no other.
#[tokio::test]
async fn a_run_stops_a_partition_when_a_write_of_its_progress_detects_an_edit() {
    let mut world = World::new("interim", 1).await;
    world.set("MAX_MESSAGES", "unlimited");
    world.produce(0, MORE_THAN_A_PIPE_HOLDS);
    world.leave_a_crash_behind(0, WAITING).await;
    let run = world.midway_on(0).await;
    world.put_offset(0, 1_799).await;
    let ran = run.finish().await;
    assert_eq!(ran.success()["held"][0]["partition"], 0);
    let last = ran.logged_offsets().last().copied().expect("it had started");
    assert!(last < WAITING - 1, "it continued to {last}");
    the_next_run_starts_after(&world, 1_799);
}

#[tokio::test]
async fn a_pause_that_is_set_during_a_run_applies_from_the_next_run_until_it_is_removed() {
    let (world, run) = a_run_in_progress().await;
    let id = world.consumer_id();
    let paused = AttributeValue::Bool(true);
    world.table.set_attribute(&id, 0, "paused", paused.clone()).await;
    let report = run.finish().await.success();
    assert_eq!(report["last_offsets"], json!({"0": WAITING - 1, "1": 4, "2": 4}));
    world.produce(0, 3);
    world.produce(1, 3);
    let report = world.run().success();
    assert_eq!(report["paused"], json!([{"topic": world.topic, "partition": 0}]));
    assert_eq!((&report["last_offsets"], &report["lag"]), (&json!({"1": 7}), &json!(3)));
    assert_eq!(world.item(0).await.get("paused"), Some(&paused));
    world.table.remove_attribute(&id, 0, "paused").await;
    let report = world.run().success();
    assert_eq!(
        (&report["last_offsets"], &report["paused"]),
        (&json!({"0": WAITING + 2}), &json!([]))
    );
}
