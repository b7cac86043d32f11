//! Header names that are bytes, from the log through runs to the dead letter.

use std::collections::BTreeSet;

use kafka_consumer_lambda::record::Header;
use serde_json::json;

use crate::bootstrap::start;
use crate::support::dead_letters::{self, NOT_TEXT};
use crate::support::kafka::{self, Message, unique};
use crate::support::world::World;

/// Ten records in each of two partitions. One in the middle of partition 0 has a header whose name is not UTF-8,
/// and cannot be decoded either.
async fn world() -> World {
    let world = World::new("headers", 2).await;
    let before: Vec<Message> = (0..5).map(|n| Message::value(n.to_string())).collect();
    let odd = Message::value("no json")
        .key("k")
        .header(NOT_TEXT, "1")
        .header("after", "2");
    world.produce_these(0, &[before.clone(), vec![odd], before[1..].to_vec()].concat());
    world.produce(1, 10);
    world
}

async fn with_dead_letters() -> (World, String) {
    let mut world = world().await;
    let dead = unique("dead");
    kafka::create_topic(&world.bootstrap, &dead, 1, &[]);
    world.set("ON_FAILURE", format!("kafka://{dead}"));
    (world, dead)
}

/// P1, P5, P9: the record is read like any other, and its dead letter has the bytes of the name.
#[tokio::test(flavor = "multi_thread")]
async fn a_header_name_that_is_not_text_is_read_and_kept_byte_for_byte_in_the_dead_letter() {
    let (world, dead) = with_dead_letters().await;
    let ran = world.run();
    let report = ran.success();
    assert_eq!(
        (&report["messages_processed"], &report["dead_lettered"]),
        (&json!(19), &json!(1))
    );
    assert_eq!(report["last_offsets"], json!({"0": 9, "1": 9}));
    let bootstrap = world.bootstrap.clone();
    let read = tokio::task::spawn_blocking(move || dead_letters::read(&bootstrap, &dead, 0, 1));
    let letters = read.await.expect("it is there");
    let own = [(NOT_TEXT, "1"), (b"after", "2")].map(|(name, value)| Header::new(name, Some(value.into())));
    assert_eq!(letters[0].headers[..2], own);
}

/// P9: it does not affect later runs of a warm process.
#[tokio::test(flavor = "multi_thread")]
async fn a_warm_process_continues_after_a_header_name_that_is_not_text() {
    let mut world = world().await;
    world.set("MESSAGE_FORMAT", "text").set("MAX_MESSAGES", 12);
    let mut function = start(&world);
    let processed = [(); 3].map(|()| function.invoke(&json!({})).success()["messages_processed"].clone());
    assert_eq!(processed, [12, 8, 0]);
    assert_eq!((world.offset(0).await, world.offset(1).await), (Some(9), Some(9)));
}

#[tokio::test(flavor = "multi_thread")]
async fn redrive_and_backfill_read_a_header_name_that_is_not_text() {
    let (mut world, _) = with_dead_letters().await;
    world.run().success();
    world.set("MESSAGE_FORMAT", "text");
    let again = world.ran(&["redrive", "--output", "json", "--dead-letters"]);
    assert_eq!((again.code, again.logged()), (Some(0), vec![(0, 5)]), "{again:?}");
    let all = world.ran(&[
        "backfill", "--output", "json", "--name", "all", "--from", "earliest", "--to", "latest",
    ]);
    assert_eq!(all.success()["done"], true);
    let logged: BTreeSet<_> = all.logged().into_iter().collect();
    assert_eq!(logged.len(), 20);
}

/// P5: the client library would return such a record without its headers.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_with_more_headers_than_can_be_read_is_named_and_stops_only_its_partition() {
    let mut world = World::new("headers", 2).await;
    world.set("MESSAGE_FORMAT", "text");
    let many = (0..100_001).fold(Message::value("1"), |record, _| record.header("", ""));
    world.produce_these(0, &[Message::value("0"), many, Message::value("2")]);
    world.produce(1, 3);
    let report = world.run().failure("PartitionBlocked", 3);
    assert_eq!(report["last_offsets"], json!({"0": 0, "1": 2}));
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains(&format!("{}-0 is blocked at offset 1", world.topic)) && message.contains("100000"),
        "{message}"
    );
}
