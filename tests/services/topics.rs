//! Several topics, one of which cannot be read: the others are not affected.

use serde_json::{Value, json};

use crate::bootstrap::start;
use crate::support::kafka::{self, unique, values};
use crate::support::listeners::{ALICE, Listener};
use crate::support::world::{Ran, World};

/// A world with three records in its topic, whose commands read another topic before it.
async fn world_beside(other: &str) -> World {
    let mut world = World::new("there", 1).await;
    world.produce(0, 3);
    let both = format!("{other},{}", world.topic);
    world.set("KAFKA_TOPIC", both);
    world
}

/// In front of its topic, so that it is requested first.
fn missing() -> String {
    unique("a-missing")
}

#[track_caller]
fn assert_names(error: &Value, topic: &str) {
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains(&format!("the topic {topic}")), "{message}");
}

fn plan(world: &World) -> Ran {
    world.ran(&["plan", "--output", "json"])
}

/// P9: a topic's failure is its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_does_not_exist_fails_the_run_once_the_others_are_drained_and_stored() {
    let missing = missing();
    let world = world_beside(&missing).await;
    // It had partitions once, and their cursors remain.
    world.table.put_cursor(&world.group, &missing, 4, 8).await;
    let id = format!("{}_{missing}", world.group);
    let before = world.table.get_item(&id, 4).await;
    let report = world.run().failure("UnknownTopic", 1);
    assert_names(&report["error"], &missing);
    let topic = &world.topic;
    assert_eq!(
        (&report["last_offsets"], &report["lag"]),
        (&json!({format!("{topic}-0"): 2}), &json!(0))
    );
    assert_eq!(world.offset(0).await, Some(2));
    // Also if there is nothing to read.
    let idle = world.run().failure("UnknownTopic", 1);
    assert_eq!((&idle["messages_processed"], &idle["lag"]), (&json!(0), &json!(0)));
    world.produce(0, 1);
    let next = world.run().failure("UnknownTopic", 1);
    assert_eq!(next["last_offsets"], json!({format!("{topic}-0"): 3}));
    assert_eq!(world.table.get_item(&id, 4).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_topic_that_cannot_be_read_is_named() {
    let (first, second) = (missing(), missing());
    let world = world_beside(&format!("{first},{second}")).await;
    let report = world.run().failure("UnknownTopic", 1);
    assert_names(&report["error"], &first);
    assert_names(&report["error"], &second);
    assert_eq!(report["messages_processed"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_the_other_topics_and_fails_with_the_one_that_cannot_be_read() {
    let missing = missing();
    let world = world_beside(&missing).await;
    let ran = plan(&world);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let shown = ran.json();
    assert_eq!(shown["error"]["type"], "UnknownTopic");
    assert_names(&shown["error"], &missing);
    let rows = shown["partitions"].as_array().expect("rows");
    assert_eq!(
        (rows.len(), &rows[0]["topic"], &rows[0]["messages"]),
        (1, &json!(world.topic), &json!(3))
    );
    let last = ran.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("UnknownTopic: "), "{last}");
    let mut function = start(&world);
    let invocation = function.invoke(&json!({"action": "plan"}));
    assert!(invocation.failure("UnknownTopic").contains(&missing));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_of_one_topic_does_not_need_the_other() {
    let missing = missing();
    let world = world_beside(&missing).await;
    let backfill = |topic: &str| {
        world.ran(&[
            "backfill", "--output", "json", "--name", "b", "--topic", topic, "--from", "earliest", "--to", "latest",
        ])
    };
    let report = backfill(&world.topic).success();
    assert_eq!(
        (&report["done"], &report["messages_processed"]),
        (&json!(true), &json!(3))
    );
    let ran = backfill(&missing);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr.starts_with(&format!("UnknownTopic: the topic {missing} ")),
        "{ran:?}"
    );
}

/// `START_POSITION=latest` is stored for topics that can be read; a topic that is created later starts there anyway.
#[tokio::test(flavor = "multi_thread")]
async fn start_positions_of_the_other_topics_are_stored_before_anything_is_read() {
    let missing = missing();
    let mut world = world_beside(&missing).await;
    world.set("START_POSITION", "latest");
    world.run().failure("UnknownTopic", 1);
    assert_eq!(world.offset(0).await, Some(2));
    world.produce(0, 2);
    let report = world.run().failure("UnknownTopic", 1);
    assert_eq!(report["last_offsets"], json!({format!("{}-0", world.topic): 4}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_process_continues_while_a_topic_is_deleted_and_recreated() {
    let other = missing();
    let world = world_beside(&other).await;
    let mut function = start(&world);
    function.invoke(&json!({})).failure("UnknownTopic");
    assert_eq!(world.offset(0).await, Some(2));

    let made = || {
        kafka::create_topic(&world.bootstrap, &other, 2, &[]);
        kafka::produce(&world.bootstrap, &other, 1, &values(["1", "2"]), &[]);
    };
    made();
    world.produce(0, 1);
    let report = function.invoke(&json!({})).success().clone();
    let topic = &world.topic;
    assert_eq!(
        report["last_offsets"],
        json!({format!("{other}-1"): 1, format!("{topic}-0"): 3})
    );

    kafka::delete_topic(&world.bootstrap, &other);
    world.produce(0, 1);
    let message = function.invoke(&json!({})).failure("UnknownTopic").to_owned();
    assert!(message.contains(&other), "{message}");
    assert_eq!(world.offset(0).await, Some(4));
    world.produce(0, 1);
    function.invoke(&json!({})).failure("UnknownTopic");
    assert_eq!(world.offset(0).await, Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_this_user_may_not_describe_fails_the_run_once_the_others_are_drained_and_stored() {
    let mut world = World::secured("beside", 1).await;
    world.produce(0, 3);
    let denied = unique("a-denied");
    kafka::create_topic(&world.bootstrap, &denied, 1, &[]);
    let both = format!("{denied},{}", world.topic);
    world
        .connect(Listener::Scram)
        .log_in("SCRAM-SHA-512", ALICE)
        .set("KAFKA_TOPIC", both);
    let shown = plan(&world);
    assert_eq!(
        (shown.code, shown.json()["partitions"][0]["messages"].clone()),
        (Some(1), json!(3))
    );
    for (count, last) in [(3, 2), (0, 2)] {
        let report = world.run().failure("NotAuthorized", 1);
        assert_names(&report["error"], &denied);
        assert_eq!(report["messages_processed"], count);
        assert_eq!(world.offset(0).await, Some(last));
    }
}
