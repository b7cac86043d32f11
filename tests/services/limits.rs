//! Large records, many records, many partitions, and numbers at the end of their range.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::support::kafka::{self, Message, values};
use crate::support::services::services;
use crate::support::table::five_attributes;
use crate::support::world::{Ran, World};

const MIB: usize = 1024 * 1024;

/// A world whose topic accepts records of 8 MiB, and a function with the least memory.
async fn world_of_large_records(partitions: i32) -> World {
    let bootstrap = &services().kafka_bootstrap;
    let mut world = World::on(bootstrap, "large", partitions, &[("max.message.bytes", "8388608")]).await;
    world.set("MAX_MEMORY_BYTES", MIB);
    world
}

fn produce_large(world: &World, partition: i32, records: &[Message]) {
    let properties = [("message.max.bytes", "8388608")];
    kafka::produce(&world.bootstrap, &world.topic, partition, records, &properties);
}

/// A JSON text of this number of bytes.
fn text_of(bytes: usize) -> Message {
    Message::value(format!("\"{}\"", "x".repeat(bytes - 2)))
}

#[tokio::test]
async fn records_of_a_megabyte_and_more_than_the_memory_are_read_between_small_ones() {
    let world = world_of_large_records(2).await;
    let records = [
        text_of(10),
        text_of(MIB),
        text_of(10),
        text_of(3 * MIB),
        text_of(7 * MIB),
        text_of(10),
    ];
    // Each in a separate batch, and all in one.
    for record in &records {
        produce_large(&world, 0, std::slice::from_ref(record));
    }
    produce_large(&world, 1, &records[..4]);
    let report = world.run().success();
    assert_eq!(report["last_offsets"], json!({"0": 5, "1": 3}));
    assert_eq!(report["bytes"], 11 * MIB + 30 + 4 * MIB + 20);
}

#[tokio::test]
async fn an_empty_key_a_header_of_a_million_characters_and_a_thousand_headers_are_read() {
    let mut world = world_of_large_records(1).await;
    world.set("LOG_VALUES", "true");
    let thousand = (0..1_000).fold(Message::value("3"), |record, n| {
        record.header(format!("h{n:03}"), "value")
    });
    let records = [
        Message::value("1").key(""),
        Message::value("2").header("header", "x".repeat(1_000_000)),
        Message::value("3").header("n".repeat(1_000_000), "x"),
        thousand,
        Message::value("5").header("", "").header("", ""),
    ];
    produce_large(&world, 0, &records);
    let ran = world.run();
    let report = ran.success();
    assert_eq!(ran.logged_offsets(), [0, 1, 2, 3, 4]);
    assert_eq!(
        report["bytes"],
        1 + (1 + 6 + 1_000_000) + (1 + 1_000_000 + 1) + (1 + 1_000 * 9) + 1
    );
    assert!(ran.stderr.contains(r#"key="""#), "an empty key is a key");
}

#[tokio::test]
async fn a_hundred_thousand_waiting_records_are_one_run() {
    let mut world = World::new("many", 4).await;
    world.set("MAX_MESSAGES", "unlimited").set("DESTINATION", "discard");
    let records = values((0..25_000).map(|n| format!("{{\"n\":{n}}}")));
    kafka::produce_to_each(&world.bootstrap, &world.topic, 0..4, &records);
    let ran = world.run();
    let report = ran.success();
    assert_eq!(
        (&report["messages_processed"], &report["lag"]),
        (&json!(100_000), &json!(0))
    );
    let last = 24_999;
    assert_eq!(
        report["last_offsets"],
        json!({"0": last, "1": last, "2": last, "3": last})
    );
}

/// P8: a run that finds nothing new writes nothing.
#[tokio::test]
async fn a_topic_of_a_thousand_partitions_is_drained_by_one_run_and_the_next_is_idle() {
    let mut world = World::new("wide", 1_000).await;
    world.set("MAX_MESSAGES", "unlimited").set("DESTINATION", "discard");
    kafka::produce_to_each(&world.bootstrap, &world.topic, 0..1_000, &values(["1", "2"]));
    let ran = world.run();
    let report = ran.success();
    assert_eq!(
        (&report["messages_processed"], &report["lag"]),
        (&json!(2_000), &json!(0))
    );
    let stored = report["last_offsets"].as_object().expect("offsets");
    assert!(
        stored.len() == 1_000 && stored.values().all(|last| *last == 1),
        "{report}"
    );
    let before = world.table.items().await;
    let idle = world.run();
    assert_eq!(idle.success()["messages_processed"], 0);
    assert_eq!(world.table.items().await, before);
}

/// A run over a cursor with this `offset`, with 3 records in its partition and 3 in another.
async fn run_with(offset: &str, settings: &[(&str, &str)]) -> (World, Ran) {
    let mut world = World::new("numbers", 2).await;
    for (name, value) in settings {
        world.set(name, value);
    }
    world.produce(0, 3);
    world.produce(1, 3);
    let mut item = five_attributes(&world.group, &world.topic, 0, 0);
    item.insert("offset".into(), AttributeValue::N(offset.into()));
    world.table.put_item(item).await;
    let ran = world.run();
    assert!(
        ran.logged().iter().all(|(partition, _)| *partition == 1),
        "{offset}: {ran:?}"
    );
    assert_eq!(world.offset(1).await, Some(2), "{offset}: the other partition is done");
    (world, ran)
}

/// The stored `offset` of partition 0, as text.
async fn stored_offset(world: &World) -> Option<AttributeValue> {
    world.item(0).await.get("offset").cloned()
}

fn message(report: &Value) -> &str {
    report["error"]["message"].as_str().expect("a message")
}

/// P2: a cursor moves back only by an operator, or by `ON_TRUNCATION`.
#[tokio::test]
async fn cursors_far_past_the_end_are_reported_as_truncated_up_to_the_largest_possible_one() {
    for (offset, next) in [("9223372036854775806", "9223372036854775807"), ("1e3", "1001")] {
        let (world, ran) = run_with(offset, &[]).await;
        let report = ran.failure("Truncated", 3);
        assert!(message(&report).contains(next), "{report}");
        assert_eq!(report["lag"], 0);
        let stored = next.parse::<i64>().expect("a number") - 1;
        assert_eq!(world.offset(0).await, Some(stored), "it is unchanged");
    }
}

/// P6: neither ever means "start from the beginning".
#[tokio::test]
async fn numbers_that_are_no_valid_offset_are_named_and_not_changed() {
    let digits = "99999999999999999999999999999999999999";
    for offset in [
        "9223372036854775807",
        "9223372036854775808",
        digits,
        "-9223372036854775809",
    ] {
        let (world, ran) = run_with(offset, &[]).await;
        let report = ran.failure("InvalidCursor", 1);
        assert!(message(&report).contains(offset), "{report}");
        assert_eq!(stored_offset(&world).await, Some(AttributeValue::N(offset.into())));
    }
}

/// P5: nothing is passed over silently.
#[tokio::test]
async fn the_largest_possible_cursor_follows_on_truncation_like_any_other() {
    let settings = [("ON_TRUNCATION", "latest")];
    let (world, ran) = run_with("9223372036854775806", &settings).await;
    let report = ran.success();
    assert_eq!(
        (&report["lost"][0]["first_offset"], &report["lost"][0]["last_offset"]),
        (&json!(0), &json!(2))
    );
    assert_eq!(world.offset(0).await, Some(2));
}
