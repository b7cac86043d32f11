//! A Kafka topic as destination.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::dead_letters::read;
use crate::support::kafka::{self, Message};
use crate::support::world::World;
use kafka_consumer_lambda::Record;

async fn copies(partitions: i32) -> (World, String) {
    let mut world = World::new("copied", partitions).await;
    let to = kafka::unique("copies");
    kafka::create_topic(&world.bootstrap, &to, 1, &[]);
    world.set("DESTINATION", format!("kafka://{to}"));
    (world, to)
}

async fn copied(world: &World, to: &str, count: usize) -> Vec<Record> {
    let (bootstrap, to) = (world.bootstrap.clone(), to.to_owned());
    let reading = tokio::task::spawn_blocking(move || read(&bootstrap, &to, 0, count));
    reading.await.expect("they are there")
}

#[tokio::test(flavor = "multi_thread")]
async fn key_value_and_headers_are_copied_as_they_are_with_the_record_s_place() {
    let (world, to) = copies(1).await;
    let full = Message::value(&b"\xff{"[..]).key("k").header("trace", "t-1");
    world.produce_these(0, &[full, Message::tombstone("k")]);
    let report = world.run().success();
    assert_eq!(report["messages_processed"], 2);
    let copied = copied(&world, &to, 2).await;
    assert_eq!(copied[0].value.as_deref(), Some(&b"\xff{"[..]));
    assert_eq!(copied[0].key.as_deref(), Some(&b"k"[..]));
    let headers: Vec<_> = copied[0]
        .headers
        .iter()
        .map(|it| (it.name().into_owned(), it.value.clone()))
        .collect();
    let source = format!("{}-0-0", world.topic);
    assert_eq!(
        headers,
        [
            ("trace".to_owned(), Some("t-1".into())),
            ("kafka-consumer.source".to_owned(), Some(source.into()))
        ]
    );
    assert!(copied[1].is_tombstone());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_topic_is_too_small_for_fails_alone() {
    let (mut world, _) = copies(1).await;
    let small = kafka::unique("small");
    kafka::create_topic(&world.bootstrap, &small, 1, &[("max.message.bytes", "2000")]);
    world.produce_these(
        0,
        &["1".to_owned(), "x".repeat(5_000), "3".to_owned()].map(Message::value),
    );
    world
        .set("DESTINATION", format!("kafka://{small}"))
        .set("ON_FAILURE", "skip");
    let report = world.run().success();
    assert_eq!(report["skipped"][0]["first_offset"], 1);
    assert!(
        report["skipped"][0]["reason"]
            .as_str()
            .expect("a reason")
            .contains("max.message.bytes")
    );
    assert_eq!(kafka::watermarks(&world.bootstrap, &small, 0), (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_does_not_exist_stops_the_run_and_skips_nothing() {
    let (mut world, _) = copies(1).await;
    world.produce(0, 3);
    world
        .set("DESTINATION", "kafka://nowhere-to-be-found")
        .set("ON_FAILURE", "skip")
        .set("MAX_ATTEMPTS", "1");
    let report = world.run().failure("DestinationFailed", 1);
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains("kafka://nowhere-to-be-found") && message.contains("correct DESTINATION"),
        "{message}"
    );
    assert_eq!(report["skipped"], json!([]));
    assert_eq!(world.offset(0).await, Some(-1));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_every_record_was_copied_at_least_once() {
    let (mut world, to) = copies(4).await;
    let each = 2_500_i64;
    let records: Vec<Message> = (0..each).map(|n| Message::value(n.to_string())).collect();
    kafka::produce_to_each(&world.bootstrap, &world.topic, 0..4, &records);
    world.set("MAX_MESSAGES", "unlimited");
    let mut killed = world.start(&["run"]);
    while kafka::watermarks(&world.bootstrap, &to, 0).1 < 1_000 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    killed.kill().expect("it runs");
    killed.wait().expect("it ended");
    for partition in 0..4 {
        world.end_the_claim(partition).await;
    }
    while world.run().success()["lag"] != 0 {}
    let (_, end) = kafka::watermarks(&world.bootstrap, &to, 0);
    let copied = copied(&world, &to, usize::try_from(end).expect("a number")).await;
    let sources: BTreeSet<String> = copied
        .iter()
        .filter_map(|it| String::from_utf8(it.headers.last()?.value.clone()?.to_vec()).ok())
        .collect();
    assert_eq!(sources.len(), 10_000);
}
