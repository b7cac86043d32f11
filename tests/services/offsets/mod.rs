//! `offsets reset`: its output, the cursors that it moves, and those that it does not.

mod delete;
mod group;
mod pause;
mod race;
mod undo;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::corrupt_logs;
use crate::support::kafka::{self, Message, values};
use crate::support::scripted_dynamodb::Scripted;
use crate::support::table::number;
use crate::support::world::{Ran, World};

const HOUR_MS: i64 = 60 * 60 * 1000;

impl World {
    /// `offsets ... --output json`.
    pub(crate) fn offsets(&self, arguments: &[&str]) -> Ran {
        self.ran(&[&["offsets", "--output", "json"], arguments].concat())
    }
}

impl Ran {
    /// The row of one partition in the result of a command that succeeded.
    fn row(&self, partition: i32) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.rows()[usize::try_from(partition).expect("0 or more")].clone()
    }

    fn rows(&self) -> Vec<Value> {
        self.json()["partitions"].as_array().expect("partitions").clone()
    }

    /// One field of each partition.
    pub(crate) fn column(&self, name: &str) -> Vec<Value> {
        self.rows().iter().map(|row| row[name].clone()).collect()
    }

    fn last_error(&self) -> &str {
        self.stderr.lines().last().unwrap_or_default()
    }

    /// Asserts that the command failed, with this error in its last line.
    fn refused(&self, error_type: &str, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.last_error().starts_with(&format!("{error_type}: ")), "{self:?}");
        self
    }
}

/// Partition 0: offsets 2 to 9, the last one an hour old, each an hour older than the next one; the
/// cursor at 5. Partition 1: three records of the last two hours, no cursor. Partition 2: empty.
async fn with_timestamps() -> (World, i64) {
    let world = World::new("reset", 3).await;
    let now = jiff::Timestamp::now().as_millisecond();
    let record = |ago| Message::value("{}").timestamp(now - ago);
    world.produce_these(0, &(0..10).map(|n| record((10 - n) * HOUR_MS)).collect::<Vec<_>>());
    world.produce_these(1, &(0..3).map(|n| record((3 - n) * HOUR_MS / 2)).collect::<Vec<_>>());
    kafka::delete_records(&world.bootstrap, &world.topic, 0, 2);
    world.put_offset(0, 4).await;
    (world, now)
}

#[tokio::test]
async fn every_form_of_reset_shows_the_new_offsets_and_those_that_are_clamped() {
    let (world, now) = with_timestamps().await;
    let half_past_four = jiff::Timestamp::from_millisecond(now - 9 * HOUR_MS / 2)
        .expect("a time")
        .to_string();
    let as_kafkas_tool_writes_it = half_past_four.trim_end_matches('Z');
    let none = "no record at or after that time: the end";
    for (form, new, note) in [
        (
            &["--to-offset", "7"][..],
            [7, 3, 0],
            (1, "7 is past the end: 3 instead"),
        ),
        (
            &["--to-offset", "0"],
            [2, 0, 0],
            (0, "0 is below the earliest offset: 2 instead"),
        ),
        (
            &["--to-earliest"],
            [2, 0, 0],
            (1, "no cursor yet: a run would start at the current offset"),
        ),
        (&["--to-latest"], [10, 3, 0], (1, "no cursor yet")),
        (
            &["--shift-by", "-2"],
            [3, 0, 0],
            (1, "-2 is below the earliest offset: 0 instead"),
        ),
        (
            &["--shift-by=-100"],
            [2, 0, 0],
            (0, "-95 is below the earliest offset: 2 instead"),
        ),
        (&["--shift-by", "3"], [8, 3, 0], (2, "3 is past the end: 0 instead")),
        (
            &["--shift-by", "9223372036854775807"],
            [10, 3, 0],
            (0, "is past the end: 10 instead"),
        ),
        (&["--to-datetime", &half_past_four], [6, 0, 0], (2, none)),
        (&["--to-datetime", as_kafkas_tool_writes_it], [6, 0, 0], (2, none)),
        (&["--by-duration", "4h 30m"], [6, 0, 0], (2, none)),
        (&["--by-duration", "PT4H30M"], [6, 0, 0], (2, none)),
        (&["--to-datetime", "1970-01-01T00:00:00Z"], [2, 0, 0], (2, none)),
        (&["--to-datetime", "2100-01-01T00:00:00Z"], [10, 3, 0], (0, none)),
    ] {
        let ran = world.offsets(&[&["reset"], form].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(ran.column("new_offset"), new.map(Value::from), "{form:?}");
        assert_eq!(
            ran.column("lag"),
            [10 - new[0], 3 - new[1], 0].map(Value::from),
            "{form:?}"
        );
        let shown = ran.row(note.0)["note"].to_string();
        assert!(shown.contains(note.1), "{form:?}: {shown}");
    }
    assert_eq!(world.offset(0).await, Some(4));
}

#[tokio::test]
async fn a_dry_run_shows_what_would_change_as_a_table_and_as_json() {
    let (world, _) = with_timestamps().await;
    let ran = world.offsets(&["reset", "--to-offset", "8", "--partition", "0"]);
    let row = json!({
        "topic": world.topic, "partition": 0, "current_offset": 5, "new_offset": 8, "lag": 2,
        "earliest_offset": 2, "end_offset": 10, "outcome": "would_move", "until": null, "note": "",
    });
    assert_eq!(ran.json(), json!({"executed": false, "partitions": [row]}));
    let shown = world.ran(&["offsets", "reset", "--to-offset", "8"]);
    assert_eq!(
        shown.stdout.lines().last(),
        Some("nothing was changed; repeat with --execute")
    );
    assert!(shown.stdout.contains(&format!("{}-0", world.topic)), "{}", shown.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_makes_one_query_and_writes_nothing_also_where_starts_are_pinned() {
    let mut world = World::new("dry", 3).await;
    world.produce(0, 5);
    world.put_offset(1, -1).await;
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    world
        .set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint)
        .set("START_POSITION", "latest");
    group::commit(&world, &world.group, &[(2, 0)]);
    let before = world.table.items().await;
    for command in [
        &["reset", "--to-offset", "3"][..],
        &["import", "--from-group", &world.group],
        &["reset", "--to-datetime", "2026-01-01T00:00:00Z"],
        &["undo"],
        &["delete", "--all"],
        &["export", "--to-group", "other"],
    ] {
        let ran = tokio::task::block_in_place(|| world.offsets(command));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        // Undo also queries deleted cursors.
        let queries = if command[0] == "undo" { 2 } else { 1 };
        assert_eq!(proxy.take_operations(), vec!["Query"; queries], "{command:?}");
    }
    assert_eq!(world.table.items().await, before);
}

#[tokio::test]
async fn the_next_run_starts_where_a_reset_has_moved_the_cursor() {
    let (world, _) = with_timestamps().await;
    let ran = world.offsets(&["reset", "--to-offset", "8", "--execute"]);
    assert_eq!(ran.json()["executed"], true);
    assert_eq!(ran.column("outcome"), ["moved", "moved", "moved"]);
    assert_eq!((world.offset(0).await, world.offset(1).await), (Some(7), Some(2)));
    assert_eq!(number(&world.item(0).await, "previous_offset"), 4);
    let next = world.run();
    next.success();
    assert_eq!(next.logged_offsets(), [8, 9]);
    let shown = world.ran(&["offsets", "reset", "--to-earliest", "--partition", "0", "--execute"]);
    assert_eq!(shown.stdout.lines().last(), Some("changed: 1 of 1"), "{shown:?}");
    let next = world.run();
    next.success();
    assert_eq!(next.logged_ranges(), [(2, 9)]);
}

#[tokio::test]
async fn after_a_reset_into_a_compacted_hole_a_run_reads_from_the_next_record() {
    let world = corrupt_logs::compacted().await;
    let ran = world.offsets(&["reset", "--to-offset", "53", "--execute"]);
    assert_eq!(
        (&ran.row(0)["new_offset"], &ran.row(0)["note"]),
        (
            &json!(53),
            &json!("no cursor yet: a run would start at the current offset")
        )
    );
    let next = world.run();
    assert_eq!(next.success()["lost"], json!([]));
    assert_eq!(next.logged_offsets(), [60, 70, 80, 90, 94, 95]);
    // The first record, and the hole after it, are a day old.
    let ran = world.offsets(&["reset", "--by-duration", "1h"]);
    assert_eq!(ran.row(0)["new_offset"], 95);
}

#[tokio::test]
async fn a_cursor_that_is_at_its_target_is_not_written() {
    let (world, _) = with_timestamps().await;
    let before = world.item(0).await;
    let ran = world.offsets(&["reset", "--to-offset", "5", "--partition", "0", "--execute"]);
    assert_eq!(ran.row(0)["outcome"], "unchanged");
    assert_eq!(world.item(0).await, before);
}

#[tokio::test]
async fn a_reset_to_the_blocked_record_removes_its_failures() {
    let world = World::new("blocked", 1).await;
    world.produce_these(0, &values(["{}", "no json", "{}"]));
    world.run().failure("PartitionBlocked", 3);
    assert!(world.item(0).await.contains_key("fail_offset"));
    let ran = world.offsets(&["reset", "--to-offset", "1", "--execute"]);
    assert_eq!(
        (&ran.row(0)["outcome"], &ran.row(0)["new_offset"]),
        (&json!("moved"), &json!(1))
    );
    let note = ran.row(0)["note"].to_string();
    assert!(note.contains("clears failed attempts"), "{note}");
    let item = world.item(0).await;
    assert!(
        !item.contains_key("fail_offset") && number(&item, "offset") == 0,
        "{item:?}"
    );
    // And past it, to skip it.
    world.run().failure("PartitionBlocked", 3);
    world.offsets(&["reset", "--shift-by", "1", "--execute"]).row(0);
    assert_eq!(world.run().success()["last_offsets"], json!({"0": 2}));
}

#[tokio::test]
async fn a_reset_corrects_the_cursor_of_a_recreated_topic() {
    let world = World::new("anew", 1).await;
    world.produce(0, 3);
    world.put_offset(0, 99).await;
    world.run().failure("Truncated", 3);
    let ran = world.offsets(&["reset", "--to-earliest", "--execute"]);
    assert_eq!(
        (&ran.row(0)["current_offset"], &ran.row(0)["new_offset"]),
        (&json!(100), &json!(0))
    );
    assert_eq!(world.run().success()["last_offsets"], json!({"0": 2}));
}

#[tokio::test]
async fn partitions_that_cannot_be_moved_are_named_and_the_others_are_moved() {
    let world = World::new("stuck", 3).await;
    world.produce(0, 5);
    world.put_offset(0, 4).await;
    world.put_offset(1, -1).await;
    let id = world.consumer_id();
    world
        .table
        .set_attribute(&id, 1, "offset", AttributeValue::S("5".into()))
        .await;
    world.put_offset(2, -1).await;
    world
        .table
        .set_attribute(&id, 2, "paused", AttributeValue::Bool(true))
        .await;
    world.put_offset(7, 5).await;
    let ran = world.offsets(&["reset", "--to-earliest", "--execute"]);
    assert_eq!(ran.column("outcome"), ["moved", "invalid", "unchanged", "gone"]);
    assert_eq!(ran.column("new_offset"), [json!(0), json!(null), json!(0), json!(null)]);
    ran.refused("InvalidCursor", 1);
    let error = ran.last_error();
    assert!(
        error.contains("2 of 4 partitions were not changed") && error.contains("offsets delete"),
        "{error}"
    );
    let ran = world.offsets(&[
        "reset",
        "--to-offset",
        "1",
        "--partition",
        "7",
        "--partition",
        "0",
        "--execute",
    ]);
    assert_eq!(ran.refused("Truncated", 3).column("outcome"), ["moved", "gone"]);
    assert_eq!((world.offset(0).await, world.offset(7).await), (Some(0), Some(5)));
}

#[tokio::test]
async fn a_paused_cursor_can_be_moved_and_stays_paused() {
    let world = World::new("pausedmove", 1).await;
    world.produce(0, 5);
    world.put_offset(0, 4).await;
    world
        .table
        .set_attribute(&world.consumer_id(), 0, "paused", AttributeValue::Bool(true))
        .await;
    let ran = world.offsets(&["reset", "--to-offset", "2", "--execute"]);
    assert_eq!(ran.row(0)["note"], "stays paused");
    let item = world.item(0).await;
    assert_eq!(
        (number(&item, "offset"), item.get("paused")),
        (1, Some(&AttributeValue::Bool(true)))
    );
}

#[tokio::test]
async fn an_unknown_partition_is_wrong_usage() {
    let world = World::new("unknown", 2).await;
    for command in [
        &["reset", "--to-latest"][..],
        &["undo"],
        &["delete"],
        &["pause"],
        &["resume"],
        &["export", "--to-group", "g"],
    ] {
        let ran = world.offsets(&[command, &["--partition", "2"]].concat());
        let error = ran.refused("InvalidConfiguration", 2).last_error();
        assert!(
            error.contains("partition 2") && error.contains("--partition"),
            "{error}"
        );
    }
    assert_eq!(world.table.items().await, []);
}

#[tokio::test]
async fn all_topics_are_moved_and_one_can_be_chosen() {
    let mut world = World::new("first", 1).await;
    let other = World::new("second", 2).await;
    let both = format!("{},{}", world.topic, other.topic);
    let only = world.topic.clone();
    world.produce(0, 3);
    world.set("KAFKA_TOPIC", &both);
    let ran = world.offsets(&["reset", "--to-latest"]);
    assert_eq!(ran.column("topic"), [&*only, &*other.topic, &*other.topic]);
    let ran = world.offsets(&["reset", "--to-latest", "--topic", &only, "--execute"]);
    assert_eq!(ran.column("topic"), [&*only]);
    assert_eq!(world.offset(0).await, Some(2));
    assert_eq!(world.table.items().await.len(), 1);
}

/// Under `latest`, a first cursor must not make the partitions above it count as new ones.
#[tokio::test]
async fn a_first_cursor_created_by_a_reset_changes_the_start_of_no_other_partition() {
    let mut world = World::new("pins", 3).await;
    world.set("START_POSITION", "latest");
    for partition in 0..3 {
        world.produce(partition, 4);
    }
    let ran = world.offsets(&["reset", "--to-earliest", "--partition", "1", "--execute"]);
    assert_eq!(
        (&ran.rows()[0]["outcome"], &ran.rows()[0]["current_offset"]),
        (&json!("moved"), &json!(4))
    );
    let next = world.run();
    next.success();
    assert_eq!(next.logged(), [(1, 0), (1, 1), (1, 2), (1, 3)]);
}

/// Nor may it make those below it count as old ones: records that came before it would be passed over.
#[tokio::test]
async fn a_cursor_created_for_a_new_partition_leaves_the_new_ones_below_it_at_their_earliest() {
    let mut world = World::new("newpins", 1).await;
    world.set("START_POSITION", "latest");
    world.run().success();
    kafka::add_partitions(&world.bootstrap, &world.topic, 3);
    world.produce(1, 4);
    world.produce(2, 4);
    world.offsets(&["reset", "--to-latest", "--partition", "2", "--execute"]);
    let next = world.run();
    next.success();
    assert_eq!(next.logged(), [(1, 0), (1, 1), (1, 2), (1, 3)]);
}
