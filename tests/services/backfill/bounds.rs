//! The records that a backfill reads, by its bounds and by the state of the log.

use serde_json::json;

use super::arguments;
use crate::corrupt_logs::{compacted, left, recreate};
use crate::support::kafka::{self, Message};
use crate::support::world::World;

/// One partition with a record each second from a whole day on.
async fn seconds(count: i64) -> (World, i64) {
    let world = World::new("times", 1).await;
    // Far enough in the past to be before anything else, near enough for the default retention.
    let day = (jiff::Timestamp::now().as_second() / 86_400 - 1) * 86_400;
    let at = |n| Message::value("{}").timestamp((day + n) * 1000);
    world.produce_these(0, &(0..count).map(at).collect::<Vec<_>>());
    (world, day)
}

fn time(second: i64) -> String {
    jiff::Timestamp::from_second(second).expect("a time").to_string()
}

#[tokio::test]
async fn times_before_between_and_after_the_records_are_bounds() {
    let (world, day) = seconds(10).await;
    for (name, from, to, expected) in [
        ("between", day + 3, day + 7, 3..7),
        ("before-and-between", day - 60, day + 2, 0..2),
        ("between-and-after", day + 8, day + 60, 8..10),
        ("all", day - 60, day + 60, 0..10),
        ("all-before", day - 60, day - 30, 0..0),
        ("all-after", day + 30, day + 60, 10..10),
    ] {
        let ran = world.backfill(name, &time(from), &time(to));
        ran.done();
        assert_eq!(ran.logged_offsets(), expected.clone().collect::<Vec<_>>(), "{name}");
        // It reads up to an hour past `to`: here to the end.
        assert_eq!(world.stored_bounds(name).await, [(0, expected.start, 10)], "{name}");
    }
    assert_eq!(world.live_items().await, []);
}

#[tokio::test]
async fn records_are_found_by_their_own_times_where_these_are_out_of_order() {
    let world = World::new("disorder", 1).await;
    let (second, ms) = ((jiff::Timestamp::now().as_second() / 86_400 - 1) * 86_400, 1_000);
    let hour = 3_600_000;
    let after = [5_000, -5_000, 1_000, 1_500, 3_000 + hour, 2_000];
    let at = |after: &i64| Message::value("{}").timestamp(second * ms + after);
    world.produce_these(0, &after.iter().map(at).collect::<Vec<_>>());
    let ran = world.backfill("b", &time(second + 1), &time(second + 3));
    assert_eq!(ran.done()["messages_processed"], 2);
    assert_eq!(ran.logged_offsets(), [2, 3]);
    assert_eq!(world.stored_bounds("b").await, [(0, 0, 4)]);
}

#[tokio::test]
async fn offset_bounds_are_the_next_to_read_and_partitions_not_named_are_left_out() {
    let world = World::new("offsets", 3).await;
    for partition in 0..3 {
        world.produce(partition, 10);
    }
    let ran = world.backfill("b", "0:4,2:9", "0:6,2:10");
    ran.done();
    let mut logged = ran.logged();
    logged.sort_unstable();
    assert_eq!(logged, [(0, 4), (0, 5), (2, 9)]);
    assert_eq!(world.stored_bounds("b").await, [(0, 4, 6), (2, 9, 10)]);
    let one = world.ran(&[arguments("c", "earliest", "latest"), vec!["--partition", "1"]].concat());
    assert_eq!(one.done()["last_offsets"], json!({"1": 9}));
}

#[tokio::test]
async fn a_bound_past_the_end_is_cut_there_with_a_message() {
    let world = World::new("past", 1).await;
    world.produce(0, 10);
    let ran = world.backfill("b", "0:7", "0:500");
    ran.done();
    assert_eq!(ran.logged_offsets(), [7, 8, 9]);
    assert!(ran.stderr.contains("were cut there"), "{}", ran.stderr);
    // The end is fixed: later records do not belong to it.
    world.produce(0, 5);
    let again = world.backfill("b", "0:7", "0:500");
    assert_eq!(again.done()["messages_processed"], 0);
    let behind = world.backfill("behind", "0:100", "latest");
    assert_eq!(behind.done()["messages_processed"], 0);
    assert_eq!(world.stored_bounds("behind").await, [(0, 15, 15)]);
}

#[tokio::test]
async fn latest_is_fixed_when_the_backfill_is_first_started() {
    let world = World::new("fixed", 2).await;
    world.produce(0, 4);
    let first = world.ran(&[arguments("b", "earliest", "latest"), vec!["--max-messages", "1"]].concat());
    assert_eq!(first.success()["messages_processed"], 1);
    world.produce(0, 4);
    world.produce(1, 4);
    kafka::add_partitions(&world.bootstrap, &world.topic, 3);
    let ran = world.backfill("b", "earliest", "latest");
    ran.done();
    assert_eq!(ran.logged(), [(0, 1), (0, 2), (0, 3)]);
    assert_eq!(world.stored_bounds("b").await, [(0, 0, 4), (1, 0, 0)]);
}

#[tokio::test]
async fn other_bounds_under_the_same_name_are_refused_and_nothing_is_read_or_written() {
    let world = World::new("other", 1).await;
    world.produce(0, 10);
    world.backfill("b", "earliest", "0:5").done();
    let before = world.table.items().await;
    let ran = world.backfill("b", "earliest", "latest");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    let last = ran.stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("InvalidEvent: there is a backfill b of ")
            && last.contains("`to` was {\"0\":5} and is \"latest\" now")
            && last.contains("choose another name"),
        "{last}"
    );
    assert!(ran.logged().is_empty(), "{ran:?}");
    assert_eq!(world.table.items().await, before);
    world.backfill("c", "earliest", "latest").done();
}

#[tokio::test]
async fn a_hole_that_compaction_left_is_passed_also_at_either_end() {
    let world = compacted().await;
    assert_eq!(left(&world)[..3], [0, 10, 20]);
    for (name, from, to, expected) in [
        ("over", "0:5", "0:35", vec![10, 20, 30]),
        ("within", "0:11", "0:19", vec![]),
        ("to-the-end", "0:81", "latest", vec![90, 94, 95]),
    ] {
        let ran = world.backfill(name, from, to);
        let report = ran.done();
        assert_eq!(ran.logged_offsets(), expected, "{name}");
        assert_eq!(report["lost"], json!([]), "{name}");
    }
}

#[tokio::test]
async fn records_that_retention_deleted_before_they_were_read_are_named_once() {
    let mut world = World::new("lostfill", 1).await;
    world.produce(0, 20);
    kafka::delete_records(&world.bootstrap, &world.topic, 0, 10);
    let lost = |last| {
        json!([{"topic": world.topic, "partition": 0, "first_offset": 3, "last_offset": last,
                "reason": "deleted by retention before it was read"}])
    };
    let ran = world.backfill("b", "0:3", "0:15");
    assert_eq!(ran.done()["lost"], lost(9));
    assert_eq!(ran.logged_offsets(), [10, 11, 12, 13, 14]);
    // All of it was deleted: the cursor moves to its end, and not past it.
    let ran = world.backfill("deleted", "0:3", "0:8");
    assert_eq!(ran.done()["lost"], lost(7));
    assert_eq!(world.table.offset(&world.backfill_id("deleted"), 0).await, Some(7));
    world.set("ON_RETENTION_LOSS", "halt");
    let report = world.backfill("halted", "0:3", "0:15").failure("RetentionLoss", 3);
    assert_eq!(report["done"], false);
}

#[tokio::test]
async fn a_recreated_topic_never_ends_a_backfill_silently() {
    let mut world = World::new("recreated", 1).await;
    world.set("ON_TRUNCATION", "latest");
    world.produce(0, 20);
    world
        .ran(&[arguments("b", "earliest", "latest"), vec!["--max-messages", "5"]].concat())
        .success();
    recreate(&world);
    let ran = world.backfill("b", "earliest", "latest");
    let report = ran.failure("Truncated", 3);
    let message = report["error"]["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("the log ends at 10, and the backfill at 20") && message.contains("another name"),
        "{message}"
    );
    assert_eq!((&report["done"], &report["lag"]), (&json!(false), &json!(15)));
    assert_eq!(world.table.offset(&world.backfill_id("b"), 0).await, Some(4));
}

#[tokio::test]
async fn one_of_several_topics_is_chosen_by_the_setting() {
    let mut world = World::new("chosen", 1).await;
    let other = World::new("chosen", 1).await;
    world.produce(0, 3);
    other.produce(0, 4);
    world.set("KAFKA_TOPIC", format!("{},{}", world.topic, other.topic));
    let ran = world.backfill("b", "earliest", "latest");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("--topic"), "{}", ran.stderr);
    let chosen = [arguments("b", "earliest", "latest"), vec!["--topic", &other.topic]].concat();
    assert_eq!(world.ran(&chosen).done()["messages_processed"], 4);
}
