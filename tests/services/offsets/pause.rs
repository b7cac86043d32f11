//! `offsets pause` and `resume`.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use crate::support::midway::{MORE_THAN_A_PIPE_HOLDS, WAITING};
use crate::support::scripted_dynamodb::Scripted;
use crate::support::table::number;
use crate::support::world::World;

#[tokio::test]
async fn runs_do_not_read_a_paused_partition_until_it_is_resumed() {
    let world = World::new("pause", 2).await;
    world.produce(0, 3);
    world.produce(1, 3);
    let ran = world.offsets(&["pause", "--partition", "0"]);
    assert_eq!(
        (&ran.json()["executed"], ran.column("outcome")),
        (&json!(true), vec![json!("paused")])
    );
    assert_eq!(
        world.offsets(&["pause", "--partition", "0"]).column("outcome"),
        ["was_paused"]
    );
    let report = world.run().success();
    assert_eq!(report["last_offsets"], json!({"1": 2}));
    assert_eq!(report["paused"], json!([{"topic": world.topic, "partition": 0}]));
    let ran = world.offsets(&["resume"]);
    assert_eq!(ran.column("outcome"), ["resumed", "was_not_paused"]);
    assert!(!world.item(0).await.contains_key("paused"));
    assert_eq!(world.run().success()["last_offsets"], json!({"0": 2}));
    let shown = world.ran(&["offsets", "resume"]);
    assert!(shown.stdout.contains("was not paused"), "{shown:?}");
}

#[tokio::test]
async fn a_pause_during_a_run_applies_from_the_next_run_with_a_note() {
    let mut world = World::new("pauserun", 1).await;
    world.set("MAX_MESSAGES", "unlimited");
    world.produce(0, MORE_THAN_A_PIPE_HOLDS);
    let run = world.midway_on(0).await;
    let until = number(&world.item(0).await, "claim_until");
    let ran = world.offsets(&["pause"]);
    assert_eq!(
        (&ran.row(0)["outcome"], &ran.row(0)["until"]),
        (&json!("paused"), &json!(until))
    );
    let note = ran.row(0)["note"].to_string();
    assert!(
        note.contains("from the next run on") && note.contains("finishes"),
        "{note}"
    );
    assert_eq!(run.finish().await.success()["last_offsets"], json!({"0": WAITING - 1}));
    world.produce(0, 3);
    assert_eq!(world.run().success()["messages_processed"], 0);
    assert_eq!(world.offset(0).await, Some(WAITING - 1));
}

/// Under `latest`, a first cursor must not make the partitions above it count as new ones.
#[tokio::test]
async fn a_pause_of_a_partition_without_a_cursor_changes_no_start() {
    let mut world = World::new("pausepins", 3).await;
    world.set("START_POSITION", "latest");
    for partition in 0..3 {
        world.produce(partition, 4);
    }
    assert_eq!(
        world.offsets(&["pause", "--partition", "1"]).column("outcome"),
        ["paused"]
    );
    assert_eq!(world.offset(1).await, Some(3));
    for partition in 0..3 {
        world.produce(partition, 1);
    }
    let next = world.run();
    next.success();
    let mut logged = next.logged();
    logged.sort_unstable();
    assert_eq!(logged, [(0, 4), (2, 4)]);
}

#[tokio::test]
async fn pause_and_resume_of_existing_cursors_need_no_broker() {
    let mut world = World::new("nobroker", 2).await;
    world.put_offset(0, 4).await;
    world.set("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1");
    assert_eq!(
        world.offsets(&["pause", "--partition", "0"]).column("outcome"),
        ["paused"]
    );
    assert_eq!(world.item(0).await.get("paused"), Some(&AttributeValue::Bool(true)));
    assert_eq!(world.offsets(&["resume"]).column("outcome"), ["resumed"]);
    world.offsets(&["pause"]).refused("BrokerUnreachable", 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn resume_makes_one_query_and_one_write_for_each_paused_partition() {
    let mut world = World::new("resume", 3).await;
    let id = world.consumer_id();
    for partition in 0..3 {
        world.put_offset(partition, 4).await;
    }
    world
        .table
        .set_attribute(&id, 1, "paused", AttributeValue::Bool(true))
        .await;
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    world.set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
    let ran = tokio::task::block_in_place(|| world.offsets(&["resume"]));
    assert_eq!(ran.column("outcome"), ["was_not_paused", "resumed", "was_not_paused"]);
    assert_eq!(proxy.take_operations(), ["Query", "UpdateItem"]);
}

#[tokio::test]
async fn an_item_that_is_no_cursor_is_named_and_the_others_are_paused() {
    let world = World::new("pauseinvalid", 2).await;
    world.put_offset(0, 4).await;
    world.put_offset(1, 4).await;
    let wrong = AttributeValue::S("x".into());
    world
        .table
        .set_attribute(&world.consumer_id(), 0, "offset", wrong)
        .await;
    let ran = world.offsets(&["pause"]);
    assert_eq!(ran.refused("InvalidCursor", 1).column("outcome"), ["invalid", "paused"]);
}
