//! Logs that are compacted, truncated, recreated, corrupted, or full of aborted transactions.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bootstrap;
use crate::support::kafka::{self, Message, values};
use crate::support::midway::MORE_THAN_A_PIPE_HOLDS;
use crate::support::services::{services, start_private_broker};
use crate::support::world::{Ran, World, ranges};

/// A topic whose old records are compacted at once: each tenth record has a unique key, and all
/// others share one. The last record is in a new segment, which is not compacted.
pub(crate) async fn compacted() -> World {
    let settings = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("segment.ms", "60000"),
    ];
    let world = World::on(&services().kafka_bootstrap, "compacted", 1, &settings).await;
    let yesterday = jiff::Timestamp::now().as_millisecond() - 24 * 60 * 60 * 1000;
    let old = |n: i32| {
        let key = if n % 10 == 0 {
            format!("{n}")
        } else {
            "shared".to_owned()
        };
        Message::value(n.to_string()).key(key).timestamp(yesterday)
    };
    world.produce_these(0, &(0..95).map(old).collect::<Vec<_>>());
    // Its timestamp is so much later that it starts a new segment.
    world.produce_these(0, &[Message::value("95").key("new")]);
    // With default settings a broker checks for logs to compact every 15 seconds.
    for _ in 0..400 {
        if left(&world) == [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 94, 95] {
            return world;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the log is not compacted: {:?}", left(&world));
}

pub(crate) fn left(world: &World) -> Vec<i64> {
    kafka::readable_offsets(&world.bootstrap, &world.topic, 0)
}

/// P1: a cursor moves only past records that were settled, in order, without a hole.
#[tokio::test]
async fn a_compacted_log_is_read_across_its_gaps_and_no_gap_counts_as_lost() {
    let world = compacted().await;
    let ran = world.run();
    let report = ran.success();
    assert_eq!(ran.logged_offsets(), left(&world));
    assert_eq!(report["last_offsets"], json!({"0": 95}));
    assert_eq!((&report["lag"], &report["lost"]), (&json!(0), &json!([])));
    assert_eq!(world.run().success()["last_offsets"], json!({}));
    // A cursor in the middle of a gap, before records that were removed.
    world.put_offset(0, 53).await;
    let ran = world.run();
    assert_eq!(ran.success()["lost"], json!([]));
    assert_eq!(ran.logged_offsets(), [60, 70, 80, 90, 94, 95]);
}

/// P8: a run that finds nothing new writes nothing.
#[tokio::test]
async fn aborted_and_control_records_of_300_partitions_are_passed_once() {
    let world = World::new("control", 300).await;
    let records = values(["1"]);
    let transaction = |partitions| kafka::begin_transaction_on(&world.bootstrap, &world.topic, partitions, &records);
    transaction(0..200).commit();
    transaction(100..300).abort();
    let ran = world.run();
    let report = ran.success();
    assert_eq!(
        (&report["messages_processed"], &report["lag"]),
        (&json!(200), &json!(0))
    );
    let stored = report["last_offsets"].as_object().expect("offsets");
    assert_eq!(stored.len(), 300);
    // A record and a control record; twice for partitions of both transactions.
    for (partition, last) in stored {
        let both = (100..200).contains(&partition.parse::<i32>().expect("a number"));
        assert_eq!(last, if both { 3 } else { 1 }, "partition {partition}");
    }
    let before = world.table.items().await;
    let report = world.run().success();
    assert_eq!((&report["messages_processed"], &report["lag"]), (&json!(0), &json!(0)));
    assert_eq!(world.table.items().await, before);
}

/// P5: whatever is skipped, expired or lost is named with its offsets in the report.
#[tokio::test]
async fn retention_past_one_cursor_is_reported_for_it_and_all_partitions_are_read() {
    let world = World::new("expired", 3).await;
    for partition in 0..3 {
        world.produce(partition, 20);
        world.put_offset(partition, 4).await;
    }
    kafka::delete_records(&world.bootstrap, &world.topic, 1, 15);
    let report = world.run().success();
    assert_eq!(
        report["lost"],
        json!([{"topic": world.topic, "partition": 1, "first_offset": 5, "last_offset": 14,
                "reason": "deleted by retention before it was read"}])
    );
    assert_eq!(report["messages_processed"], 15 + 5 + 15);
    assert_eq!(report["last_offsets"], json!({"0": 19, "1": 19, "2": 19}));
    assert_eq!(world.run().success()["lost"], json!([]));
}

/// The offsets that a report names as lost, as ranges.
fn lost(report: &Value) -> Vec<(i64, i64)> {
    let offset = |row: &Value, name: &str| row[name].as_i64().expect("an offset");
    let rows = report["lost"].as_array().expect("a list").iter();
    rows.map(|row| (offset(row, "first_offset"), offset(row, "last_offset")))
        .collect()
}

/// P5: nothing is passed over silently.
#[tokio::test]
async fn retention_that_overtakes_a_run_is_reported_and_all_other_records_are_handled() {
    let mut world = World::new("overtaken", 1).await;
    // Little is prefetched, so that the run has not yet fetched the records that are deleted meanwhile.
    world
        .set("MAX_MESSAGES", "unlimited")
        .set("KAFKA_FETCH_MESSAGE_MAX_BYTES", 1_000)
        .set("KAFKA_QUEUED_MIN_MESSAGES", 1);
    let records = values(vec!["1"; MORE_THAN_A_PIPE_HOLDS]);
    let small_batches = [("batch.num.messages", "20")];
    kafka::produce(&world.bootstrap, &world.topic, 0, &records, &small_batches);
    let run = world.midway_on(0).await;
    kafka::delete_records(&world.bootstrap, &world.topic, 0, 1_900);
    let first = run.finish().await;
    let second = world.run();
    let mut accounted = first.logged_offsets();
    accounted.extend(second.logged_offsets());
    let gaps: Vec<(i64, i64)> = [first.json(), second.success()].iter().flat_map(lost).collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    accounted.extend(gaps.iter().flat_map(|(first, last)| *first..=*last));
    accounted.sort_unstable();
    assert_eq!(ranges(accounted), [(0, 1_999)], "each offset once");
}

/// A topic that was read up to offset 49, and then recreated, with 10 records.
async fn recreated() -> World {
    let world = World::new("recreated", 2).await;
    world.produce(0, 50);
    assert_eq!(world.run().success()["last_offsets"], json!({"0": 49}));
    recreate(&world);
    world
}

pub(crate) fn recreate(world: &World) {
    kafka::delete_topic(&world.bootstrap, &world.topic);
    kafka::create_topic(&world.bootstrap, &world.topic, 2, &[]);
    world.produce(0, 10);
    world.produce(1, 10);
}

/// P2: a cursor moves back only by an operator, or by `ON_TRUNCATION`.
#[tokio::test]
async fn a_recreated_topic_halts_only_the_partitions_whose_end_is_before_the_cursor() {
    let world = recreated().await;
    let report = world.run().failure("Truncated", 3);
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(message.contains(&format!("{}-0", world.topic)), "{message}");
    assert!(message.contains("50") && message.contains("(10)"), "{message}");
    assert_eq!((world.offset(0).await, world.offset(1).await), (Some(49), Some(9)));
}

#[tokio::test]
async fn a_recreated_topic_is_read_from_its_beginning_with_on_truncation_earliest() {
    let mut world = recreated().await;
    world.set("ON_TRUNCATION", "earliest");
    let ran = world.run();
    assert_eq!(ran.success()["last_offsets"], json!({"0": 9, "1": 9}));
    let of_0 = ran.logged().into_iter().filter(|(partition, _)| *partition == 0);
    assert_eq!(ranges(of_0.map(|(_, offset)| offset)), [(0, 9)]);
    assert_eq!(world.run().success()["last_offsets"], json!({}));
}

/// P5: nothing is passed over silently.
#[tokio::test]
async fn a_recreated_topic_continues_at_its_end_with_on_truncation_latest_and_names_the_skipped_records() {
    let mut world = recreated().await;
    world.set("ON_TRUNCATION", "latest");
    let report = world.run().success();
    assert_eq!(report["last_offsets"], json!({"0": 9, "1": 9}));
    assert_eq!(
        (lost(&report), &report["messages_processed"]),
        (vec![(0, 9)], &json!(10))
    );
    world.produce(0, 3);
    assert_eq!(world.run().success()["last_offsets"], json!({"0": 12}));
}

#[tokio::test]
async fn a_function_that_stays_warm_while_its_topic_is_recreated_reads_the_new_one() {
    let world = World::new("recreated", 2).await;
    world.produce(0, 50);
    let mut function = bootstrap::start(&world);
    assert_eq!(function.invoke(&json!({})).success()["messages_processed"], 50);
    recreate(&world);
    let invocation = function.invoke(&json!({}));
    let message = invocation.failure("Truncated");
    assert!(message.contains(&format!("{}-0", world.topic)), "{message}");
    assert_eq!(world.offset(1).await, Some(9), "the other partition is read");
    world.table.delete_item(&world.consumer_id(), 0).await;
    assert_eq!(function.invoke(&json!({})).success()["last_offsets"], json!({"0": 9}));
}

/// Changes one byte of the value `planted` in a segment, as a failing disk would.
fn corrupt(segment: &Path) {
    let mut bytes = fs::read(segment).expect("the broker's file");
    let found = bytes.windows(7).position(|window| window == b"planted");
    bytes[found.expect("the value is not compressed")] ^= 1;
    fs::write(segment, bytes).expect("the broker's file");
}

fn blocked_at(ran: &Ran, world: &World, offset: i64) {
    let report = ran.failure("PartitionBlocked", 3);
    let message = report["error"]["message"].as_str().expect("a message");
    let (named, at) = (format!("{}-0", world.topic), format!("offset {offset}"));
    assert!(message.contains(&named) && message.contains(&at), "{message}");
    assert_eq!(report["blocked"][0]["offset"], offset, "{report}");
}

/// P1: a cursor moves only past records that were settled, in order, without a hole.
#[tokio::test]
async fn a_batch_that_is_corrupt_on_the_brokers_disk_blocks_only_its_partition_at_that_offset() {
    let broker = start_private_broker();
    let world = World::on(&broker.bootstrap, "corrupt", 2, &[]).await;
    let Some(segment) = broker.segment(&world.topic, 0) else {
        panic!("the broker's disk is out of reach: this test needs Java and Maven, beside or instead of Docker");
    };
    // Three batches.
    world.produce(0, 6);
    world.produce_these(0, &values([r#""planted""#, "7"]));
    world.produce(0, 4);
    world.produce(1, 5);
    corrupt(&segment);
    for _ in 0..2 {
        let ran = world.run();
        blocked_at(&ran, &world, 6);
        assert!(!format!("{ran:?}").contains("planted"), "no value in any output");
        assert_eq!((world.offset(0).await, world.offset(1).await), (Some(5), Some(4)));
    }
    // An operator moves the cursor past the batch.
    world.table.update_offset(&world.consumer_id(), 0, 7).await;
    assert_eq!(world.run().logged_offsets(), [8, 9, 10, 11]);
}
