//! Claims that a run leaves behind: they delay the next run as little as possible, and count only
//! against records that were handed over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kafka_consumer_lambda::claim::{ChunkLimit, Cursor, RunId};
use kafka_consumer_lambda::processor::{Processor, Progress, RunContext};
use kafka_consumer_lambda::record::Chunk;
use kafka_consumer_lambda::{Failure, Record, each};
use serde_json::json;

use super::source::Brokers;
use super::{HandledOffsets, World, consumer, cursor_at, next_offset, settle_all};

/// An item at 0 with the expired claim of a run that planned to reach `to`.
fn left_behind(to: i64, claim_chunk: Option<ChunkLimit>) -> Cursor {
    Cursor {
        run: Some(RunId::new("dead")),
        claim_until_ms: Some(1),
        claim_to: Some(next_offset(to)),
        claim_chunk,
        updated_at_ms: Some(1),
        ..Cursor::default()
    }
}

/// A handler that takes this long for each record.
fn slow(ms: u64) -> impl Processor {
    each(move |_: Record| async move {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        Ok(())
    })
}

/// P14, where the table is slow: a claim whose response comes after the time for
/// work has ended is released.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_time_ends_among_its_claims_leaves_none_behind() {
    let mut world = World::new(1, 40, 1).await;
    world.table.write_takes = Duration::from_millis(300);
    let (report, _) = world.run(&[], slow(400), 3).await;
    assert_eq!(report["stop_reason"], "deadline", "{report}");
    assert_eq!(report["error"], json!(null), "{report}");
    for partition in 0..40 {
        let item = world.table.inner.get(&consumer(), partition);
        assert_eq!(item.and_then(|item| item.claim_until_ms), None, "partition {partition}");
    }
}

/// P14: a crash counts only against a record that was handed over.
#[tokio::test(flavor = "multi_thread")]
async fn claims_whose_response_is_late_count_against_no_record() {
    let mut world = World::new(1, 1, 20).await;
    world.put(0, left_behind(20, Some(ChunkLimit::Single)));
    let settings = [("ON_FAILURE", "skip"), ("MAX_ATTEMPTS", "1")];
    world.table.write_takes = Duration::from_secs(3);
    for _ in 0..3 {
        world.run(&settings, settle_all(), 2).await;
        let mut item = world.cursor(0);
        item.claim_until_ms = item.claim_until_ms.map(|_| 1);
        world.put(0, item);
    }
    world.table.write_takes = Duration::ZERO;
    let handled = HandledOffsets::default();
    let (report, _) = world.run(&settings, handled.handler(), 20).await;
    assert_eq!(
        (&report["skipped"], &report["lag"]),
        (&json!([]), &json!(0)),
        "{report}"
    );
    assert_eq!(handled.offsets(), (0..20).collect::<Vec<_>>());
}

/// Each failed attempt counts, however its run ends.
#[tokio::test(flavor = "multi_thread")]
async fn attempts_of_a_run_that_ends_before_its_third_one_count_towards_max_attempts() {
    let world = World::new(1, 1, 2).await;
    let settings = [("ON_FAILURE", "skip")];
    let mut runs = 0;
    let skipped = loop {
        runs += 1;
        assert!(runs <= 3, "MAX_ATTEMPTS is 3");
        let fails_slowly = each(|record: Record| async move {
            if record.offset == 0 {
                tokio::time::sleep(Duration::from_millis(1_100)).await;
                return Err(Failure::Retry("the service behind did not respond".into()));
            }
            Ok(())
        });
        let (report, _) = world.run(&settings, fails_slowly, 3).await;
        if report["skipped"] != json!([]) {
            break report;
        }
        let failure = world.cursor(0).failure.expect("its attempts are stored");
        assert_eq!(failure.error.as_deref(), Some("the service behind did not respond"));
    };
    assert_eq!(skipped["skipped"][0]["first_offset"], 0);
    assert_eq!(
        (world.cursor(0).next, skipped["lag"].as_i64()),
        (next_offset(2), Some(0))
    );
}

/// P9: after a crash the other partitions go on.
#[tokio::test(flavor = "multi_thread")]
async fn sixteen_partitions_of_a_crashed_run_all_make_progress_with_a_slow_handler() {
    let world = World::new(1, 16, 40).await;
    for partition in 0..16 {
        world.put(partition, left_behind(1_000, None));
    }
    for _ in 0..2 {
        world.run(&[("MAX_MESSAGES", "unlimited")], slow(50), 3).await;
    }
    for partition in 0..16 {
        assert!(world.cursor(partition).next > next_offset(0), "partition {partition}");
    }
}

/// Also if each of them is read record by record: the one whose item was written first is next.
#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_are_read_record_by_record_take_turns() {
    let world = World::new(1, 6, 30).await;
    for partition in 0..6 {
        world.put(partition, left_behind(1_000, Some(ChunkLimit::Single)));
    }
    let (report, _) = world.run(&[], slow(100), 4).await;
    assert_eq!(report["partitions"][0]["quarantine"], "single_records", "{report}");
    world.run(&[], slow(100), 4).await;
    for partition in 0..6 {
        assert!(world.cursor(partition).next > next_offset(0), "partition {partition}");
    }
}

/// With equal slices alone, a slow handler would never finish.
#[tokio::test(flavor = "multi_thread")]
async fn in_each_run_one_partition_that_is_read_record_by_record_has_time_for_a_slow_handler() {
    let world = World::new(1, 5, 9).await;
    for partition in 0..5 {
        world.put(partition, left_behind(1_000, Some(ChunkLimit::Single)));
    }
    for run in 1..=3 {
        world.run(&[], slow(1_100), 5).await;
        let settled: i64 = (0..5).map(|partition| world.cursor(partition).next.get()).sum();
        assert_eq!(settled, run, "one of the five in each run");
    }
}

/// A processor may decline what it cannot finish in time: that is no failed attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_declined_shortly_before_the_deadline_counts_no_attempt() {
    struct Declines;
    impl Processor for Declines {
        async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
            if run.time_left() < Duration::from_millis(700) {
                return Progress { settled: 0, stop: None };
            }
            Progress::all(chunk)
        }
    }
    let world = World::new(1, 1, 3).await;
    let settings = [("ON_FAILURE", "skip"), ("MAX_ATTEMPTS", "1")];
    for _ in 0..2 {
        // Half a second of work.
        let (report, _) = world.run(&settings, Declines, 1).await;
        assert_eq!(
            (&report["skipped"], &report["error"]),
            (&json!([]), &json!(null)),
            "{report}"
        );
    }
    let (report, _) = world.run(&settings, Declines, 20).await;
    assert_eq!(report["messages_processed"], 3, "{report}");
}

/// A record after one that may crash the process could crash it too: the crash would be counted
/// against the wrong record.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_fetched_while_a_single_record_is_in_the_handler() {
    let world = World::new(1, 1, 5).await;
    world.put(0, left_behind(5, Some(ChunkLimit::Single)));
    let fetching = Arc::new(AtomicBool::new(false));
    let noted = fetching.clone();
    let config = world.config(&[]);
    let source = Brokers::new(&config).with_listener(move |what| noted.store(what == "records came", Ordering::SeqCst));
    let handler = each(move |_: Record| {
        assert!(!fetching.load(Ordering::SeqCst), "the partition is still being fetched");
        async { Ok(()) }
    });
    let (report, _) = world.run_with(config, &source, handler, 20).await;
    assert_eq!(
        (&report["messages_processed"], &report["error"]),
        (&json!(5), &json!(null)),
        "{report}"
    );
}

/// P4: the operator wins.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_between_the_read_and_the_claim_prevents_the_claim() {
    let mut world = World::new(1, 2, 3).await;
    world.put(0, cursor_at(1));
    world.table.before_write = Some(Box::new(|table, partition| {
        if let Some(item) = table.get(&consumer(), partition)
            && partition == 0
        {
            table.put(&consumer(), 0, Cursor { paused: true, ..item });
        }
    }));
    let (report, _) = world.run(&[], settle_all(), 20).await;
    assert_eq!(report["paused"], json!([{"topic": "t", "partition": 0}]), "{report}");
    assert_eq!(
        (&report["status"], &report["last_offsets"]),
        (&json!("success"), &json!({"1": 2}))
    );
    assert_eq!(world.cursor(0).claim_until_ms, None);
}

/// P7: a run that could not store its progress starts nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_with_too_little_time_fails_at_once_and_reads_nothing() {
    let world = World::new(1, 1, 3).await;
    let config = world.config(&[]);
    let source = Brokers::new(&config);
    let handler = each(|_: Record| async { panic!("nothing is handed over") });
    let limit = Duration::from_millis(600);
    let run = world.invocation(config, &source, handler).within(limit);
    let (report, took) = run.report().await;
    assert!(took < limit, "{took:?}");
    assert_eq!(report["error"]["type"], "Timeout", "{report}");
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains("900 ms") && message.contains("Give the function more time"),
        "{message}"
    );
    assert_eq!(world.table.inner.get(&consumer(), 0), None);
}

/// P7, P9: one slow write does not delay the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_last_write_that_hangs_prevents_no_other_last_write() {
    let mut world = World::new(1, 30, 3).await;
    world.table.is_stuck = Some(0);
    let (report, _) = world.run(&[("MAX_MESSAGES", "30")], settle_all(), 4).await;
    assert_eq!(report["error"]["type"], "TableUnreachable", "{report}");
    for partition in 1..30 {
        let cursor = world.cursor(partition);
        assert_eq!(
            (cursor.next, cursor.claim_until_ms),
            (next_offset(1), None),
            "partition {partition}"
        );
    }
    assert_eq!(
        report["last_offsets"].as_object().map(serde_json::Map::len),
        Some(29),
        "{report}"
    );
}
