//! `offsets import` and `export`: from and to the groups of other clients.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;

use crate::support::kafka::{kafka_tool, unique};
use crate::support::world::World;

fn client(world: &World, group: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &world.bootstrap).set("group.id", group);
    config.set("enable.auto.commit", "false").create().expect("a consumer")
}

/// Commits as a consumer that has read this number of records of partition 0.
pub(super) fn commit(world: &World, group: &str, offsets: &[(i32, i64)]) {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        let offset = Offset::Offset(*offset);
        list.add_partition_offset(&world.topic, *partition, offset)
            .expect("an offset in range");
    }
    client(world, group)
        .commit(&list, CommitMode::Sync)
        .expect("the group accepts it");
}

#[tokio::test]
async fn import_moves_cursors_to_the_commits_of_a_group_and_the_next_run_starts_there() {
    let world = World::new("import", 3).await;
    for partition in 0..3 {
        world.produce(partition, 10);
    }
    let group = unique("importers");
    // Partition 1 has a commit past its end, as in a recreated topic.
    commit(&world, &group, &[(0, 7), (1, 50)]);
    let dry = world.offsets(&["import", "--from-group", &group]);
    assert_eq!(dry.column("new_offset"), [json!(7), json!(null), json!(null)]);
    assert_eq!(dry.column("outcome"), ["would_move", "past_end", "no_commit"]);
    dry.refused("Truncated", 3);
    assert!(
        dry.rows()[1]["note"]
            .to_string()
            .contains("the committed offset 50 is past the end (10)"),
        "{dry:?}"
    );
    assert!(
        dry.rows()[2]["note"]
            .to_string()
            .contains(&format!("no committed offset in {group}")),
        "{dry:?}"
    );
    assert_eq!(world.table.items().await, [], "a dry run writes nothing");
    world
        .offsets(&[
            "import",
            "--from-group",
            &group,
            "--execute",
            "--partition",
            "0",
            "--partition",
            "1",
        ])
        .refused("Truncated", 3);
    // A move past the new records would skip them.
    assert_eq!((world.offset(0).await, world.offset(1).await), (Some(6), None));
    let next = world.run();
    next.success();
    let mut logged = next.logged();
    logged.retain(|(partition, _)| *partition == 0);
    assert_eq!(logged, [(0, 7), (0, 8), (0, 9)]);
    // As after a reset, undo restores the previous cursor.
    world.offsets(&["undo", "--execute", "--partition", "0"]).row(0);
    assert_eq!(world.offset(0).await, Some(-1));
}

#[tokio::test]
async fn import_reads_what_kafkas_own_console_consumer_has_committed() {
    let world = World::new("console", 1).await;
    world.produce(0, 10);
    let group = unique("console");
    let read = kafka_tool(
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        &[
            "--bootstrap-server",
            &world.bootstrap,
            "--topic",
            &world.topic,
            "--group",
            &group,
            "--from-beginning",
            "--max-messages",
            "4",
        ],
    );
    assert_eq!(read.lines().count(), 4, "{read}");
    let ran = world.offsets(&["import", "--from-group", &group, "--execute"]);
    assert_eq!((&ran.row(0)["new_offset"], &ran.row(0)["lag"]), (&json!(4), &json!(6)));
    let next = world.run();
    next.success();
    assert_eq!(next.logged_ranges(), [(4, 9)]);
}

#[tokio::test]
async fn import_from_a_group_that_does_not_exist_is_an_error() {
    let world = World::new("nogroup", 1).await;
    let ran = world.offsets(&["import", "--from-group", "no-such-group", "--execute"]);
    let error = ran.refused("InvalidConfiguration", 2).last_error();
    assert!(
        error.contains("the group no-such-group has no committed offset") && error.contains("--from-group"),
        "{error}"
    );
    assert_eq!(world.table.items().await, []);
}

#[tokio::test]
async fn import_pins_the_starts_of_the_partitions_without_a_commit() {
    let mut world = World::new("importpins", 3).await;
    world.set("START_POSITION", "latest");
    for partition in 0..3 {
        world.produce(partition, 4);
    }
    let group = unique("one");
    commit(&world, &group, &[(1, 2)]);
    world.offsets(&["import", "--from-group", &group, "--execute"]).row(1);
    let next = world.run();
    next.success();
    assert_eq!(next.logged(), [(1, 2), (1, 3)]);
}

/// The output of Kafka's own tool for a group: partition, committed offset, end and lag.
fn described(world: &World, group: &str) -> Vec<[String; 4]> {
    let class = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    let shown = kafka_tool(
        class,
        &["--bootstrap-server", &world.bootstrap, "--describe", "--group", group],
    );
    let rows = shown.lines().filter(|line| line.contains(&world.topic));
    let mut rows: Vec<_> = rows
        .map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG ...
            [2, 3, 4, 5].map(|i| fields[i].to_owned())
        })
        .collect();
    rows.sort();
    rows
}

#[tokio::test]
async fn export_makes_the_lag_visible_to_kafkas_tools() {
    let world = World::new("export", 3).await;
    world.produce(0, 10);
    world.put_offset(0, 6).await;
    world.put_offset(1, -1).await;
    let group = unique("exported");
    let dry = world.offsets(&["export", "--to-group", &group]);
    assert_eq!(dry.column("current_offset"), [json!(null), json!(null), json!(null)]);
    assert_eq!(dry.column("new_offset"), [json!(7), json!(0), json!(null)]);
    assert_eq!(dry.column("lag"), [json!(3), json!(0), json!(null)]);
    assert_eq!(dry.column("outcome"), ["would_move", "would_move", "no_cursor"]);
    let before = world.table.items().await;
    let ran = world.offsets(&["export", "--to-group", &group, "--execute"]);
    assert_eq!(ran.column("outcome"), ["moved", "moved", "no_cursor"]);
    assert_eq!(world.table.items().await, before, "cursors are only read");
    let again = world.offsets(&["export", "--to-group", &group, "--execute"]);
    assert_eq!(again.column("outcome"), ["unchanged", "unchanged", "no_cursor"]);
    assert_eq!(again.column("current_offset"), [json!(7), json!(0), json!(null)]);
    // An import would read the exported offsets back.
    let back = world.offsets(&["import", "--from-group", &group]);
    assert_eq!(back.column("outcome"), ["unchanged", "unchanged", "no_commit"]);
    assert_eq!(
        described(&world, &group),
        [["0", "7", "10", "3"], ["1", "0", "0", "0"]].map(|row| row.map(str::to_owned))
    );
}

#[tokio::test]
async fn export_to_the_kafka_group_of_the_same_name_is_allowed() {
    let world = World::new("own", 1).await;
    world.put_offset(0, -1).await;
    let ran = world.offsets(&["export", "--to-group", &world.group, "--execute"]);
    assert_eq!(ran.row(0)["outcome"], "moved");
    assert_eq!(world.run().success()["status"], "success");
}

async fn export_to_a_group_with_members_fails(protocol: &str) {
    let world = World::new("members", 1).await;
    world.produce(0, 3);
    world.put_offset(0, 1).await;
    let group = unique("alive");
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &world.bootstrap)
        .set("group.id", &group);
    let member: BaseConsumer = config.set("group.protocol", protocol).create().expect("a consumer");
    member.subscribe(&[&world.topic]).expect("a topic");
    while member.assignment().expect("the assignment").count() == 0 {
        let _ = member.poll(Duration::from_millis(100));
    }
    let ran = tokio::task::block_in_place(|| world.offsets(&["export", "--to-group", &group, "--execute"]));
    let error = ran.refused("Held", 1).last_error();
    assert!(
        error.contains(&group) && error.contains("active members") && error.contains("Stop them first"),
        "{error}"
    );
    // An import only reads from the group, so members do not matter.
    let ran = tokio::task::block_in_place(|| world.offsets(&["import", "--from-group", &group]));
    ran.refused("InvalidConfiguration", 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn export_to_a_group_with_members_is_an_error_that_advises_to_stop_them() {
    export_to_a_group_with_members_fails("classic").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn export_to_a_group_with_members_of_the_new_protocol_is_an_error_that_advises_to_stop_them() {
    export_to_a_group_with_members_fails("consumer").await;
}
