//! A run reads a topic to its end and stores its cursors.

use serde_json::json;

use crate::support::kafka;
use crate::support::table::{number, text};
use crate::support::world::World;

#[tokio::test]
async fn ten_records_are_read_from_an_empty_table_and_stored_as_an_item_at_offset_9() {
    let world = World::new("ten", 1).await;
    world.produce(0, 10);
    let report = world.run().success();
    assert_eq!(report["messages_processed"], 10);
    assert_eq!(report["last_offsets"], json!({"0": 9}));
    assert_eq!(report["stop_reason"], "caught_up");
    assert_eq!(report["lag"], 0);
    assert_eq!(
        report["partitions"],
        json!([{"topic": world.topic, "partition": 0, "first_offset": 0, "last_offset": 9, "messages": 10,
                "end_offset": 10, "lag": 0}])
    );
    let item = world.table.get_item(&world.consumer_id(), 0).await.expect("an item");
    assert_eq!(number(&item, "offset"), 9);
    assert_eq!(number(&item, "partition"), 0);
    assert_eq!(text(&item, "topic"), world.topic);
    assert_eq!(text(&item, "group_id"), world.group);
    assert_eq!(text(&item, "consumer_id"), world.consumer_id());
    assert!(!item.contains_key("claim_until"), "the claim is released: {item:?}");
}

#[tokio::test]
async fn the_response_has_exactly_the_fields_of_the_contract() {
    let world = World::new("shape", 1).await;
    world.produce(0, 2);
    let report = world.run().success();
    let fields: Vec<&str> = report
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    let mut expected = vec![
        "status",
        "messages_processed",
        "last_offsets",
        "stop_reason",
        "lag",
        "skipped",
        "lost",
        "filtered",
        "dead_lettered",
        "bytes",
        "duration_ms",
        "held",
        "paused",
        "blocked",
        "unavailable",
        "partitions",
    ];
    expected.sort_unstable();
    assert_eq!(fields, expected);
    assert_eq!(report["bytes"], 14, "two values of 7 bytes");
}

#[tokio::test]
async fn with_a_stored_offset_of_12345_the_first_record_handled_is_12346() {
    let world = World::new("stored", 1).await;
    world.produce(0, 12_350);
    world.put_offset(0, 12_345).await;
    let ran = world.run();
    assert_eq!(ran.success()["partitions"][0]["first_offset"], 12_346);
    assert_eq!(ran.logged_offsets(), [12_346, 12_347, 12_348, 12_349]);
    assert_eq!(world.offset(0).await, Some(12_349));
}

/// P1: a cursor moves only past records that were settled.
#[tokio::test]
async fn each_of_three_partitions_resumes_at_its_own_offset() {
    let world = World::new("three", 3).await;
    for partition in 0..3 {
        world.produce(partition, 100);
        world.put_offset(partition, i64::from(partition) * 30 + 9).await;
    }
    let report = world.run().success();
    let firsts: Vec<i64> = (0..3)
        .map(|p| report["partitions"][p]["first_offset"].as_i64().expect("a first"))
        .collect();
    assert_eq!(firsts, [10, 40, 70]);
    assert_eq!(report["messages_processed"], 90 + 60 + 30);
    assert_eq!(report["last_offsets"], json!({"0": 99, "1": 99, "2": 99}));
}

#[tokio::test]
async fn of_1500_waiting_records_the_default_limit_takes_1000_then_500_then_none() {
    let mut world = World::new("limit", 1).await;
    world.set("DESTINATION", "discard");
    world.produce(0, 1500);
    let counts: Vec<_> = (0..3)
        .map(|_| {
            let report = world.run().success();
            (
                report["messages_processed"].as_u64(),
                report["stop_reason"].as_str().map(str::to_owned),
                report["lag"].as_u64(),
            )
        })
        .collect();
    let row = |messages, reason: &str, lag| (Some(messages), Some(reason.to_owned()), Some(lag));
    assert_eq!(
        counts,
        [
            row(1000, "max_messages", 500),
            row(500, "caught_up", 0),
            row(0, "caught_up", 0)
        ]
    );
    assert_eq!(world.offset(0).await, Some(1499));
}

#[tokio::test]
async fn of_10_000_records_over_4_partitions_no_partition_falls_more_than_one_share_behind() {
    let mut world = World::new("fair", 4).await;
    world.set("DESTINATION", "discard");
    for partition in 0..4 {
        world.produce(partition, 2500);
    }
    for run in 1..=10 {
        let report = world.run().success();
        assert_eq!(report["messages_processed"], 1000, "run {run}");
        let mut done = Vec::new();
        for partition in 0..4 {
            done.push(world.offset(partition).await.map_or(0, |offset| offset + 1));
        }
        let (least, most) = (done.iter().min().expect("four"), done.iter().max().expect("four"));
        assert!(most - least <= 250, "run {run}: {done:?}");
    }
    assert_eq!(world.run().success()["messages_processed"], 0);
}

#[tokio::test]
async fn the_part_of_the_limit_that_small_partitions_leave_is_used_by_the_large_one() {
    let mut world = World::new("leftover", 3).await;
    world.set("DESTINATION", "discard").set("MAX_MESSAGES", 100);
    world.produce(0, 3);
    world.produce(1, 500);
    let report = world.run().success();
    assert_eq!(report["messages_processed"], 100);
    assert_eq!(report["last_offsets"], json!({"0": 2, "1": 96}));
}

#[tokio::test]
async fn the_share_of_offsets_without_records_is_used_by_others_in_the_same_run() {
    let mut world = World::new("gaps", 2).await;
    world.set("DESTINATION", "discard").set("MAX_MESSAGES", 100);
    for _ in 0..20 {
        // One record and one control record each: half of the offsets.
        kafka::begin_transaction(&world.bootstrap, &world.topic, 0, &kafka::values(["1"])).commit();
    }
    world.produce(1, 500);
    let report = world.run().success();
    assert_eq!(report["messages_processed"], 100, "{report}");
    assert_eq!((world.offset(0).await, world.offset(1).await), (Some(39), Some(79)));
}

#[tokio::test]
async fn with_a_limit_below_the_number_of_partitions_they_are_read_in_turn() {
    let mut world = World::new("turns", 5).await;
    world.set("DESTINATION", "discard").set("MAX_MESSAGES", 2);
    for partition in 0..5 {
        world.produce(partition, 4);
    }
    for _ in 0..10 {
        assert_eq!(world.run().success()["messages_processed"], 2);
    }
    assert_eq!(world.run().success()["lag"], 0);
}

#[tokio::test]
async fn a_partition_added_later_starts_at_its_earliest_record() {
    let mut world = World::new("added", 1).await;
    world.set("START_POSITION", "latest");
    world.produce(0, 3);
    assert_eq!(world.run().success()["messages_processed"], 0);
    kafka::add_partitions(&world.bootstrap, &world.topic, 2);
    world.produce(1, 4);
    let report = world.run().success();
    assert_eq!(report["messages_processed"], 4, "{report}");
    assert_eq!(report["last_offsets"], json!({"1": 3}));
}

/// P5: nothing is passed over silently.
#[tokio::test]
async fn partitions_added_together_start_at_their_earliest_in_any_order_of_writes() {
    let mut world = World::new("addedtwo", 1).await;
    world.set("START_POSITION", "latest");
    assert_eq!(world.run().success()["messages_processed"], 0);
    kafka::add_partitions(&world.bootstrap, &world.topic, 3);
    world.produce(2, 4);
    assert_eq!(world.run().success()["last_offsets"], json!({"2": 3}));
    world.produce(1, 4);
    assert_eq!(world.run().success()["last_offsets"], json!({"1": 3}));
}

#[tokio::test]
async fn with_latest_on_an_empty_topic_exactly_the_later_records_are_read() {
    let mut world = World::new("latest", 2).await;
    world.set("START_POSITION", "latest");
    assert_eq!(world.run().success()["messages_processed"], 0);
    assert_eq!((world.offset(0).await, world.offset(1).await), (Some(-1), Some(-1)));
    world.produce(1, 5);
    let ran = world.run();
    assert_eq!(ran.success()["messages_processed"], 5);
    assert_eq!(ran.logged_offsets(), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_time_as_start_position_starts_at_the_first_record_from_that_time_on() {
    let mut world = World::new("time", 2).await;
    let at = |ms: i64| kafka::Message::value("1").timestamp(ms);
    let day = 1_763_000_000_000;
    world.produce_these(0, &[at(day), at(day + 1000), at(day + 2000)]);
    world.set("START_POSITION", "2025-11-13T02:13:21Z");
    let ran = world.run();
    assert_eq!(ran.success()["last_offsets"], json!({"0": 2}));
    assert_eq!(ran.logged_offsets(), [1, 2]);
    assert_eq!(
        world.offset(1).await,
        Some(-1),
        "no record of that time: pinned at the end"
    );
}

#[tokio::test]
async fn several_topics_are_read_in_one_run_and_named_in_the_report() {
    let mut world = World::new("several", 1).await;
    let other = World::new("several", 2).await;
    world.produce(0, 3);
    other.produce(1, 4);
    world.set("KAFKA_TOPIC", format!("{},{}", world.topic, other.topic));
    let report = world.run().success();
    let keys = (format!("{}-0", world.topic), format!("{}-1", other.topic));
    assert_eq!(report["last_offsets"], json!({keys.0: 2, keys.1: 3}));
    let id = format!("{}_{}", world.group, other.topic);
    assert_eq!(world.table.offset(&id, 1).await, Some(3));
}

#[tokio::test]
async fn tombstones_and_records_without_key_are_handled_like_others() {
    let world = World::new("tombstones", 1).await;
    world.produce_these(
        0,
        &[
            kafka::Message::tombstone("k"),
            kafka::Message::value("{}"),
            kafka::Message::value("1").key(""),
        ],
    );
    let ran = world.run();
    assert_eq!(ran.success()["messages_processed"], 3);
    assert!(ran.stderr.contains("tombstone=true"), "{}", ran.stderr);
}

#[tokio::test]
async fn compressed_topics_are_read() {
    let world = World::new("codecs", 1).await;
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let records = kafka::values((0..50).map(|n| format!("[{n}]")));
        kafka::produce(
            &world.bootstrap,
            &world.topic,
            0,
            &records,
            &[("compression.type", codec)],
        );
    }
    assert_eq!(world.run().success()["messages_processed"], 200);
}

#[tokio::test]
async fn a_topic_that_ends_in_control_records_is_caught_up_in_every_later_run() {
    let world = World::new("control", 1).await;
    kafka::begin_transaction(&world.bootstrap, &world.topic, 0, &kafka::values(["1", "2"])).commit();
    kafka::begin_transaction(&world.bootstrap, &world.topic, 0, &kafka::values(["3"])).abort();
    let report = world.run().success();
    assert_eq!(report["messages_processed"], 2);
    assert_eq!((&report["lag"], &report["last_offsets"]), (&json!(0), &json!({"0": 4})));
    assert_eq!(world.run().success()["last_offsets"], json!({}));
}

#[tokio::test]
async fn records_of_a_megabyte_fit_a_function_of_256_mb() {
    let mut world = World::new("large", 2).await;
    world
        .set("MAX_MEMORY_BYTES", 8 * 1024 * 1024)
        .set("DESTINATION", "discard");
    let large = kafka::Message::value(format!("\"{}\"", "x".repeat(999_000)));
    for partition in 0..2 {
        world.produce_these(partition, &vec![large.clone(); 20]);
    }
    let ran = world.run();
    assert_eq!(ran.success()["messages_processed"], 40);
}
