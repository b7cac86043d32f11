//! Runs with several calls of a partition at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_consumer_lambda::{Failure, Record, by_key, each};
use serde_json::json;

use super::{HandledOffsets, World};

/// P7: the records of a run that ends while calls are in flight are stored up to the first that is not settled.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_never_ends_costs_none_of_the_records_before_it() {
    let world = World::new(1, 1, 30).await;
    let offsets = HandledOffsets::default();
    let noted = offsets.clone();
    let handler = each(move |record: Record| {
        let noted = noted.clone();
        async move {
            if record.offset == 20 {
                std::future::pending::<()>().await;
            }
            noted.note(record.offset);
            Ok(())
        }
    });
    let (report, took) = world.run(&[], by_key(4, handler), 3).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(report["last_offsets"], json!({"0": 19}), "{report}");
    assert_eq!(world.cursor(0).next.get(), 20);
    assert_eq!(world.cursor(0).claim_until_ms, None, "the claim is released");
    // The next run has nothing to settle before it.
    let (report, _) = world.run(&[], by_key(4, each(|_| std::future::pending())), 3).await;
    assert_eq!(report["error"]["type"], "Timeout", "{report}");
    assert_eq!(world.cursor(0).next.get(), 20);
}

/// P7: the next run continues where this one had to stop.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_handler_settles_several_records_at_once_in_each_run_and_fails_no_run() {
    let world = World::new(1, 1, 18).await;
    let (mut total, mut runs) = (0, 0);
    while total < 18 {
        let handler = each(|_: Record| async {
            tokio::time::sleep(Duration::from_millis(600)).await;
            Ok(())
        });
        let (report, _) = world.run(&[], by_key(3, handler), 4).await;
        assert_eq!(report["status"], "success", "{report}");
        let processed = report["messages_processed"].as_i64().expect("a count");
        assert!(processed >= 6, "{report}");
        (total, runs) = (total + processed, runs + 1);
        assert_eq!(world.cursor(0).next.get(), total);
    }
    assert!(runs <= 3, "{runs} runs");
}

/// P1: a record that fails is tried again, while what was handled behind it is not handled again.
#[tokio::test(flavor = "multi_thread")]
async fn while_a_record_is_retried_those_behind_it_are_handled_once() {
    let world = World::new(1, 1, 60).await;
    let offsets = HandledOffsets::default();
    let noted = offsets.clone();
    let tries = Arc::new(AtomicUsize::new(0));
    let handler = each(move |record: Record| {
        noted.note(record.offset);
        let fails = record.offset == 5 && tries.fetch_add(1, Ordering::SeqCst) < 2;
        async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            if fails {
                Err(Failure::Retry("busy".into()))
            } else {
                Ok(())
            }
        }
    });
    let (report, _) = world.run(&[], by_key(4, handler), 20).await;
    assert_eq!(
        (&report["status"], &report["messages_processed"]),
        (&json!("success"), &json!(60))
    );
    let mut each_once = offsets.offsets();
    each_once.sort_unstable();
    each_once.dedup();
    assert_eq!(each_once, (0..60).collect::<Vec<i64>>());
    assert_eq!(offsets.offsets().len(), 62, "5 three times");
}

/// P9: the record that fails blocks its partition, and is named with its own attempts.
#[tokio::test(flavor = "multi_thread")]
async fn each_failed_attempt_counts_once_wherever_its_record_is() {
    let world = World::new(1, 1, 40).await;
    let tries = Arc::new(Mutex::new(Vec::new()));
    let noted = tries.clone();
    let handler = each(move |record: Record| {
        let fails = matches!(record.offset, 4 | 6);
        if fails {
            noted.lock().expect("no panic").push(record.offset);
        }
        async move {
            if fails {
                Err(Failure::Retry("busy".into()))
            } else {
                Ok(())
            }
        }
    });
    let settings = [("ON_FAILURE", "skip"), ("MAX_ATTEMPTS", "2")];
    let (report, _) = world.run(&settings, by_key(8, handler), 20).await;
    let skipped: Vec<_> = report["skipped"].as_array().expect("a list").iter().collect();
    let first = |at: usize| skipped[at]["first_offset"].clone();
    assert_eq!((skipped.len(), first(0), first(1)), (2, json!(4), json!(6)), "{report}");
    assert_eq!(report["messages_processed"], 38);
    let mut tries = tries.lock().expect("no panic").clone();
    tries.sort_unstable();
    assert_eq!(tries, [4, 4, 6, 6]);
    assert_eq!(world.cursor(0).next.get(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_one_call_is_an_attempt_of_its_record_alone() {
    let world = World::new(1, 1, 20).await;
    let handler = each(|record: Record| async move {
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(record.offset != 7, "a panic of the handler");
        Ok(())
    });
    let (report, _) = world.run(&[], by_key(4, handler), 20).await;
    assert_eq!(
        (&report["blocked"][0]["offset"], &report["blocked"][0]["attempts"]),
        (&json!(7), &json!(3)),
        "{report}"
    );
    let error = report["blocked"][0]["error"].as_str().expect("an error");
    assert!(
        error.contains("the handler panicked: a panic of the handler"),
        "{error}"
    );
    assert_eq!(report["last_offsets"], json!({"0": 6}));
}
