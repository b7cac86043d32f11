//! Backfills that are stopped, killed or blocked, or that run concurrently with live runs.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use super::arguments;
use crate::support::midway::{MORE_THAN_A_PIPE_HOLDS, Midway, WAITING};
use crate::support::table::text;
use crate::support::world::{Ran, World};

const EACH: i64 = 2_500;

/// Two partitions of 2,500 records, and live cursors after the first five.
async fn five_thousand() -> World {
    let mut world = World::new("fill", 2).await;
    for partition in 0..2 {
        world.produce(partition, 2_500);
        world.put_offset(partition, EACH - 6).await;
    }
    world.set("TIME_LIMIT", 20);
    assert_eq!(world.run().success()["messages_processed"], 10);
    world
}

fn all() -> BTreeSet<(i32, i64)> {
    (0..2)
        .flat_map(|partition| (0..EACH).map(move |n| (partition, n)))
        .collect()
}

impl World {
    /// A backfill that has settled some records, and waits for the reader of its log.
    async fn backfill_midway(&self, name: &str) -> Midway {
        let mut midway = self.unread_command(&arguments(name, "earliest", "latest"));
        midway.read_until(" record ").await;
        midway
    }
}

/// Interrupts it and waits until it has ended, successful and not done.
async fn interrupted(mut midway: Midway) -> Ran {
    midway.signal("INT");
    // The signal arrives while the backfill waits for the reader of its log: the present chunk is the last.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let ran = midway.finish().await;
    let report = ran.success();
    assert_eq!(
        (&report["done"], &report["stop_reason"]),
        (&json!(false), &json!("interrupted"))
    );
    assert!(
        ran.stderr
            .contains("offsets to go. Run the same command again to resume"),
        "{}",
        ran.stderr
    );
    ran
}

/// P10: stopped at any point, it continues where it was.
#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_records_in_three_interrupted_parts_are_each_handed_over_once() {
    let world = five_thousand().await;
    let live = world.live_items().await;
    let mut handed = vec![];

    let first = interrupted(world.backfill_midway("b").await).await;
    handed.extend(first.logged());
    assert_eq!(world.live_items().await, live, "the live cursors are unchanged");

    // A live run handles new records while the second part runs.
    let second = world.backfill_midway("b").await;
    assert_eq!(world.live_items().await, live);
    world.produce(0, 7);
    let run = world.run();
    assert_eq!(run.success()["last_offsets"], json!({"0": EACH + 6}));
    assert_eq!(run.logged_offsets(), (EACH..EACH + 7).collect::<Vec<_>>());
    let live = world.live_items().await;
    let second = interrupted(second).await;
    assert!(second.stderr.contains("backfill b resumes"), "{}", second.stderr);
    handed.extend(second.logged());
    assert_eq!(world.live_items().await, live);

    let third = world.backfill("b", "earliest", "latest");
    let report = third.done();
    handed.extend(third.logged());
    assert_eq!(world.live_items().await, live);

    assert!(first.logged().len() > 1 && second.logged().len() > 1 && third.logged().len() > 1);
    assert_eq!(handed.len(), 5_000, "each record once");
    assert_eq!(handed.into_iter().collect::<BTreeSet<_>>(), all());
    assert_eq!(report["last_offsets"]["1"], EACH - 1);
    assert_eq!(world.run().success()["messages_processed"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_a_backfill_waits_for_the_claim_and_hands_over_every_record() {
    let world = five_thousand().await;
    let live = world.live_items().await;
    let mut killed = world.unread_command(&arguments("b", "earliest", "latest"));
    killed.read_until(" offset=40 ").await;
    killed.kill();
    let claimed = world.items_of(&world.backfill_id("b")).await;
    assert!(
        claimed.iter().any(|item| item.contains_key("claim_until")),
        "it has left a claim: {claimed:?}"
    );

    let mut next = world.unread_command(&arguments("b", "earliest", "latest"));
    next.read_until("waiting for").await;
    for partition in 0..2 {
        let past = AttributeValue::N("1".into());
        world
            .table
            .set_attribute(&world.backfill_id("b"), partition, "claim_until", past)
            .await;
    }
    let ran = next.finish().await;
    ran.done();
    assert!(
        ran.stderr.contains("another run has claimed it until 20"),
        "{}",
        ran.stderr
    );
    // The progress that was not stored is repeated, and nothing is missing.
    assert_eq!(ran.logged().into_iter().collect::<BTreeSet<_>>(), all());
    assert_eq!(world.live_items().await, live);
}

/// P10: it never reads or moves the live positions.
#[tokio::test(flavor = "multi_thread")]
async fn a_live_run_and_a_concurrent_backfill_do_not_affect_each_other() {
    let mut world = World::new("beside", 1).await;
    world.set("MAX_MESSAGES", "unlimited").set("TIME_LIMIT", 30);
    world.produce(0, MORE_THAN_A_PIPE_HOLDS);
    let live = world.midway_on(0).await;
    assert!(world.is_claimed(0).await);
    let ran = world.backfill("b", "earliest", "latest");
    let report = ran.done();
    assert_eq!(
        (&report["messages_processed"], &report["held"]),
        (&json!(WAITING), &json!([]))
    );
    let live = live.finish().await;
    assert_eq!(live.success()["messages_processed"], WAITING);
    let everything: Vec<i64> = (0..WAITING).collect();
    assert_eq!(
        (live.logged_offsets(), ran.logged_offsets()),
        (everything.clone(), everything)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_commands_of_one_backfill_share_the_work_and_both_end_when_it_is_done() {
    let world = five_thousand().await;
    let first = world.backfill_midway("b").await;
    let second = world.unread_command(&arguments("b", "earliest", "latest"));
    let (first, second) = tokio::join!(first.finish(), second.finish());
    first.done();
    second.done();
    let mut handed = first.logged();
    handed.extend(second.logged());
    assert_eq!(handed.len(), 5_000, "each record once");
    assert_eq!(handed.into_iter().collect::<BTreeSet<_>>(), all());
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_of_time_limit_are_repeated_until_the_backfill_is_done() {
    let mut world = World::new("passes", 1).await;
    world.set("TIME_LIMIT", 8);
    world.produce(0, MORE_THAN_A_PIPE_HOLDS);
    let midway = world.backfill_midway("b").await;
    // Its log is not read, so that its first pass cannot end before its time limit.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let ran = midway.finish().await;
    let report = ran.done();
    let passes = report["passes"].as_u64().expect("a number");
    assert!(passes > 1, "{report}");
    assert_eq!(
        ran.logged_offsets(),
        (0..WAITING).collect::<Vec<_>>(),
        "each record once"
    );
    let row = &report["partitions"][0];
    assert_eq!(
        (&row["first_offset"], &row["messages"], &row["last_offset"]),
        (&json!(0), &json!(WAITING), &json!(WAITING - 1))
    );
    let lines = ran.stderr.lines().filter(|line| line.starts_with("backfill b: "));
    assert_eq!(lines.count() as u64, passes, "a line for each pass");
}

#[tokio::test]
async fn the_limit_counts_over_all_passes_and_is_set_by_the_flag_only() {
    let mut world = World::new("limit", 2).await;
    world.set("MAX_MESSAGES", 3);
    world.produce(0, 10);
    world.produce(1, 10);
    let limited = [arguments("b", "earliest", "latest"), vec!["--max-messages", "7"]].concat();
    let ran = world.ran(&limited);
    let report = ran.success();
    assert_eq!(
        (&report["messages_processed"], &report["done"], &report["lag"]),
        (&json!(7), &json!(false), &json!(13))
    );
    assert!(
        ran.stderr.contains("13 offsets to go. Run the same command again"),
        "{}",
        ran.stderr
    );
    let report = world.backfill("b", "earliest", "latest").done();
    assert_eq!(
        report["messages_processed"], 13,
        "MAX_MESSAGES is not the command's limit"
    );
}

#[tokio::test]
async fn a_record_that_fails_blocks_only_its_partition() {
    let world = World::new("poison", 2).await;
    world.produce_these(0, &crate::support::kafka::values(["1", "{broken", "3"]));
    world.produce(1, 5);
    let ran = world.backfill("b", "earliest", "latest");
    let report = ran.failure("PartitionBlocked", 3);
    assert_eq!(
        (&report["done"], &report["messages_processed"]),
        (&json!(false), &json!(6))
    );
    assert_eq!(report["blocked"][0]["offset"], 1);
    assert_eq!(world.live_items().await, []);
    let mut items = world.items_of(&world.backfill_id("b")).await;
    assert_eq!(text(&items.remove(0), "topic"), world.topic);
}

#[tokio::test]
async fn a_paused_partition_is_not_read_and_the_backfill_is_not_reported_as_done() {
    let world = World::new("pausedfill", 2).await;
    world.produce(0, 5);
    world.produce(1, 5);
    let started = [arguments("b", "earliest", "latest"), vec!["--max-messages", "1"]].concat();
    world.ran(&started).success();
    let paused = AttributeValue::Bool(true);
    world
        .table
        .set_attribute(&world.backfill_id("b"), 1, "paused", paused)
        .await;
    let ran = world.backfill("b", "earliest", "latest");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(ran.json()["done"], false);
    let last = ran.stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("Held: ") && last.contains(&format!("{}-1", world.topic)),
        "{last}"
    );
    world.table.remove_attribute(&world.backfill_id("b"), 1, "paused").await;
    world.backfill("b", "earliest", "latest").done();
}
