//! Runs that fail: the error is reported in time, and nothing is lost.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use crate::support::kafka::{self, Message, unique, values};
use crate::support::scripted_dynamodb::{Act, Scripted};
use crate::support::services::start_private_broker;
use crate::support::table::{Table, five_attributes, number};
use crate::support::world::{Ran, World};

/// Ten seconds, and the start of a debug build on a busy machine.
const SOON: Duration = Duration::from_secs(12);

async fn a_bad_record_at(position: usize) -> (World, Ran) {
    let world = World::new("undecodable", 2).await;
    let mut records = values((0..5).map(|n| format!("{n}")));
    records.insert(position, Message::value("{planted"));
    world.produce_these(0, &records);
    world.produce(1, 20);
    let ran = world.run();
    (world, ran)
}

/// P9: the other partitions go on, and are stored; then the run fails, and names the partition.
#[tokio::test]
async fn undecodable_json_at_any_offset_halts_only_its_partition_at_that_offset() {
    for position in [0_i64, 2, 5] {
        let (world, ran) = a_bad_record_at(usize::try_from(position).expect("small")).await;
        let report = ran.failure("PartitionBlocked", 3);
        assert_eq!(report["blocked"][0]["offset"], position);
        assert_eq!(report["blocked"][0]["attempts"], 1);
        let message = report["error"]["message"].as_str().expect("a message");
        assert!(
            message.contains(&format!("{}-0 is blocked at offset {position}", world.topic)),
            "{message}"
        );
        assert!(!format!("{ran:?}").contains("planted"), "no value in any output");
        assert_eq!(world.offset(0).await, Some(position - 1));
        assert_eq!(world.offset(1).await, Some(19), "the other partition is done");
    }
}

#[tokio::test]
async fn a_blocked_partition_waits_without_a_write_and_continues_once_its_cursor_is_moved() {
    let world = World::new("blocked", 1).await;
    world.produce_these(0, &[Message::value("nothing"), Message::value("1")]);
    world.run().failure("PartitionBlocked", 3);
    let before = world.table.get_item(&world.consumer_id(), 0).await.expect("an item");
    let report = world.run().failure("PartitionBlocked", 3);
    assert_eq!(report["blocked"][0]["next_try_at"], number(&before, "next_try_at"));
    assert_eq!(world.table.get_item(&world.consumer_id(), 0).await, Some(before));
    world.table.update_offset(&world.consumer_id(), 0, 0).await;
    assert_eq!(world.run().success()["last_offsets"], json!({"0": 1}));
    let after = world.table.get_item(&world.consumer_id(), 0).await.expect("an item");
    for removed in ["fail_offset", "attempts", "next_try_at", "error", "claim_until"] {
        assert!(!after.contains_key(removed), "{removed} no longer applies: {after:?}");
    }
}

/// P5: whatever is skipped is named with its offset.
#[tokio::test]
async fn skip_passes_over_an_undecodable_record_and_names_it() {
    let mut world = World::new("skip", 1).await;
    world.set("ON_FAILURE", "skip");
    world.produce_these(
        0,
        &[Message::value("1"), Message::value("nothing"), Message::value("2")],
    );
    let report = world.run().success();
    assert_eq!(report["messages_processed"], 2);
    assert_eq!(report["last_offsets"], json!({"0": 2}));
    assert_eq!(report["skipped"][0]["first_offset"], 1);
    assert_eq!(report["skipped"][0]["last_offset"], 1);
}

#[tokio::test]
async fn text_and_bytes_accept_values_that_are_no_json() {
    let mut world = World::new("formats", 1).await;
    world.produce_these(0, &[Message::value("text"), Message::value([0xff, 0xfe])]);
    world.set("MESSAGE_FORMAT", "text");
    assert_eq!(world.run().failure("PartitionBlocked", 3)["blocked"][0]["offset"], 1);
    world.table.update_offset(&world.consumer_id(), 0, -1).await;
    world.set("MESSAGE_FORMAT", "bytes");
    assert_eq!(world.run().success()["messages_processed"], 2);
}

#[tokio::test]
async fn an_unknown_topic_an_unreachable_broker_and_a_missing_table_are_distinct_errors_within_ten_seconds() {
    let mut topic = World::new("unknown", 1).await;
    topic.set("KAFKA_TOPIC", "no-such-topic");
    let ran = topic.run();
    let report = ran.failure("UnknownTopic", 1);
    assert!(
        report["error"]["message"]
            .as_str()
            .is_some_and(|message| message.contains("no-such-topic"))
    );
    assert!(ran.took < SOON, "{:?}", ran.took);

    let mut broker = World::new("unknown", 1).await;
    broker.set("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1");
    let ran = broker.run();
    let report = ran.failure("BrokerUnreachable", 1);
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains("127.0.0.1:1") && message.contains("refused"),
        "{message}"
    );
    assert_eq!(report["lag"], json!(null), "unknown, not idle");
    assert!(ran.took < SOON, "{:?}", ran.took);

    let mut table = World::new("unknown", 1).await;
    table.produce(0, 1);
    table.set("DYNAMODB_TABLE", "no-such-table");
    let ran = table.run();
    let report = ran.failure("TableNotFound", 1);
    assert!(
        report["error"]["message"]
            .as_str()
            .is_some_and(|message| message.contains("no-such-table"))
    );
    assert!(ran.took < SOON, "{:?}", ran.took);
}

/// P6: a table that cannot be read never means "start from the beginning".
#[tokio::test(flavor = "multi_thread")]
async fn when_the_table_cannot_be_read_nothing_is_read_from_kafka() {
    let mut world = World::new("unreadable", 1).await;
    world.produce(0, 5);
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    world.set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
    proxy.next((0..10).map(|_| Act::error(500, "InternalServerError", "not today")));
    let ran = tokio::task::block_in_place(|| world.run());
    let report = ran.failure("TableUnreachable", 1);
    assert_eq!(report["messages_processed"], 0);
    assert!(ran.logged_offsets().is_empty());
    assert!(!proxy.take_operations().contains(&"UpdateItem".to_owned()));
}

/// P6: an item that is not a valid cursor stops its partition.
#[tokio::test]
async fn items_that_are_no_cursors_stop_their_partition_and_are_named() {
    for (offset, found) in [
        (AttributeValue::S("12".into()), "12"),
        (AttributeValue::N("-2".into()), "-2"),
        (AttributeValue::N("1.5".into()), "1.5"),
        (AttributeValue::Bool(true), "offset"),
    ] {
        let world = World::new("invalid", 2).await;
        world.produce(0, 3);
        world.produce(1, 3);
        let mut item = five_attributes(&world.group, &world.topic, 0, 0);
        item.insert("offset".into(), offset);
        world.table.put_item(item.clone()).await;
        let ran = world.run();
        let message = ran.failure("InvalidCursor", 1)["error"]["message"].to_string();
        assert!(
            message.contains(&world.consumer_id()) && message.contains(found),
            "{message}"
        );
        assert_eq!(
            world.table.get_item(&world.consumer_id(), 0).await,
            Some(item),
            "left as it was"
        );
        assert_eq!(ran.logged_offsets(), [0, 1, 2], "partition 1 only");
    }
}

#[tokio::test]
async fn a_topic_or_group_that_contradicts_the_key_is_an_invalid_cursor() {
    let world = World::new("contradiction", 1).await;
    world.produce(0, 3);
    let mut item = five_attributes(&world.group, &world.topic, 0, 0);
    item.insert("topic".into(), AttributeValue::S("another".into()));
    world.table.put_item(item).await;
    let ran = world.run();
    let message = ran.failure("InvalidCursor", 1)["error"]["message"].to_string();
    assert!(
        message.contains("another") && message.contains(&world.topic),
        "{message}"
    );
    assert!(ran.logged_offsets().is_empty());
}

/// P5: whatever is lost is named with its offsets.
#[tokio::test]
async fn records_deleted_by_retention_are_reported_once_and_the_jump_is_stored() {
    let world = World::new("retention", 1).await;
    world.produce(0, 10);
    world.put_offset(0, 2).await;
    kafka::delete_records(&world.bootstrap, &world.topic, 0, 6);
    let report = world.run().success();
    assert_eq!(report["messages_processed"], 4);
    assert_eq!(
        (&report["lost"][0]["first_offset"], &report["lost"][0]["last_offset"]),
        (&json!(3), &json!(5))
    );
    assert_eq!(world.run().success()["lost"], json!([]));
}

#[tokio::test]
async fn a_jump_is_stored_even_if_no_record_is_left_to_read() {
    let world = World::new("alldeleted", 1).await;
    world.produce(0, 10);
    world.put_offset(0, 2).await;
    kafka::delete_records(&world.bootstrap, &world.topic, 0, 10);
    let report = world.run().success();
    assert_eq!(
        (&report["messages_processed"], &report["last_offsets"]),
        (&json!(0), &json!({"0": 9}))
    );
    assert_eq!(report["lost"][0]["last_offset"], 9);
    assert_eq!(world.run().success()["lost"], json!([]));
}

/// P2: a cursor moves back only by an operator, or by `ON_TRUNCATION`.
#[tokio::test]
async fn retention_loss_and_truncation_halt_a_partition_with_the_policy_halt() {
    let mut world = World::new("halts", 2).await;
    world.set("ON_RETENTION_LOSS", "halt");
    world.produce(0, 10);
    world.produce(1, 10);
    world.put_offset(0, 2).await;
    kafka::delete_records(&world.bootstrap, &world.topic, 0, 6);
    world.run().failure("RetentionLoss", 3);
    assert_eq!((world.offset(0).await, world.offset(1).await), (Some(2), Some(9)));

    world.put_offset(0, 5_000).await;
    let message = world.run().failure("Truncated", 3)["error"]["message"].to_string();
    assert!(message.contains("5001") && message.contains("(10)"), "{message}");
    assert_eq!(world.offset(0).await, Some(5_000));
    world.set("ON_TRUNCATION", "earliest");
    assert_eq!(world.run().success()["last_offsets"], json!({"0": 9}));
}

#[tokio::test]
async fn a_cursor_of_a_partition_that_no_longer_exists_is_reported_as_truncated() {
    let world = World::new("vanished", 1).await;
    world.produce(0, 3);
    world.put_offset(7, 5).await;
    let message = world.run().failure("Truncated", 3)["error"]["message"].to_string();
    assert!(message.contains(&format!("{}-7", world.topic)), "{message}");
    assert_eq!((world.offset(0).await, world.offset(7).await), (Some(2), Some(5)));
}

#[tokio::test]
async fn a_paused_partition_is_not_read_and_is_named() {
    let world = World::new("paused", 2).await;
    world.produce(0, 3);
    world.produce(1, 3);
    let mut item = five_attributes(&world.group, &world.topic, 0, -1);
    item.insert("paused".into(), AttributeValue::Bool(true));
    world.table.put_item(item).await;
    let report = world.run().success();
    assert_eq!(report["paused"], json!([{"topic": world.topic, "partition": 0}]));
    assert_eq!((&report["lag"], &report["messages_processed"]), (&json!(3), &json!(3)));
}

/// P3: a run works on a partition only with a claim on its cursor.
#[tokio::test]
async fn a_partition_claimed_by_a_live_run_is_held_and_an_expired_claim_is_taken_over() {
    let world = World::new("held", 2).await;
    world.produce(0, 3);
    world.produce(1, 3);
    let now = jiff::Timestamp::now().as_millisecond();
    for (partition, until) in [(0, now + 60_000), (1, now - 1_000)] {
        let mut item = five_attributes(&world.group, &world.topic, partition, -1);
        item.insert("run".into(), AttributeValue::S("another".into()));
        item.insert("claim_until".into(), AttributeValue::N(until.to_string()));
        world.table.put_item(item).await;
    }
    let report = world.run().success();
    assert_eq!(
        report["held"],
        json!([{"topic": world.topic, "partition": 0, "until": now + 60_000}])
    );
    assert_eq!(
        (&report["last_offsets"], &report["stop_reason"]),
        (&json!({"1": 2}), &json!("held"))
    );
}

/// P9: what was processed is stored, and the run fails and names the partition.
#[tokio::test]
async fn when_the_broker_dies_during_a_run_progress_is_stored_and_the_run_fails_in_time() {
    for frozen in [true, false] {
        let broker = start_private_broker();
        let mut world = World::on(&broker.bootstrap, "dying", 1, &[]).await;
        // One byte too few for two records in a fetch: the log of 2,000 records takes a while.
        world
            .set("POLL_TIMEOUT", 2)
            .set("MAX_MESSAGES", "unlimited")
            .set("MAX_MEMORY_BYTES", 1024 * 1024);
        world
            .set("KAFKA_FETCH_MESSAGE_MAX_BYTES", 2_000)
            .set("KAFKA_QUEUED_MIN_MESSAGES", 1)
            .set("RUST_LOG", "info");
        let records = values((0..20_000).map(|n| format!("\"{n:01000}\"")));
        world.produce_these(0, &records);
        let mut child = world.start(&["run", "--output", "json"]);
        while world.offset(0).await.is_none() {
            assert!(
                child.try_wait().expect("the status of the child").is_none(),
                "it ended too early"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if frozen {
            broker.stop();
        } else {
            broker.kill();
        }
        let since = Instant::now();
        let ran = Ran::new(child.wait_with_output().expect("it ends"), since);
        let report = ran.failure("BrokerUnreachable", 1);
        assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
        let processed = report["messages_processed"].as_i64().expect("a count");
        assert!(processed < 20_000, "it had not finished");
        assert_eq!(
            world.offset(0).await,
            Some(processed - 1),
            "what was processed is stored"
        );
        assert_eq!(report["unavailable"][0]["partition"], 0);
    }
}

/// P4: a cursor that was edited by hand is obeyed by the next run.
#[tokio::test]
async fn items_of_another_program_are_continued_and_that_program_can_read_ours() {
    let world = World::new("interop", 1).await;
    world.produce(0, 10);
    world.put_offset(0, 3).await;
    let ran = world.run();
    ran.success();
    assert_eq!(ran.logged_offsets(), [4, 5, 6, 7, 8, 9]);
    // Such a program reads these five, by their names and types.
    let table = Table::named(&world.endpoint, &world.table.name);
    let item = table.get_item(&world.consumer_id(), 0).await.expect("an item");
    for (name, value) in five_attributes(&world.group, &world.topic, 0, 9) {
        assert_eq!(item.get(&name), Some(&value), "{name}");
    }
    // It writes these five only, and the next run starts there.
    world.put_offset(0, 7).await;
    let again = world.run();
    again.success();
    assert_eq!(again.logged_offsets(), [8, 9]);
}

#[tokio::test]
async fn two_groups_and_topics_with_the_same_key_are_not_confused() {
    let mut world = World::new("ambiguous", 1).await;
    let topic = unique("b_c");
    kafka::create_topic(&world.bootstrap, &topic, 1, &[]);
    world.produce(0, 1);
    // The group `g_b` on `c...` and the group `g` on `b_c...` have the same key.
    let (_, rest) = topic.split_once('_').expect("a name with `_`");
    world.set("KAFKA_TOPIC", &topic).set("KAFKA_GROUP_ID", "g");
    kafka::produce(&world.bootstrap, &topic, 0, &values(["1", "2"]), &[]);
    world.table.put_cursor("g_b", rest, 0, 0).await;
    world.run().failure("InvalidCursor", 1);
}
