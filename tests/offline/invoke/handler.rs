//! Handlers that fail, panic, are slow or never end.

use std::time::Duration;

use kafka_consumer_lambda::processor::{Processor, Progress, RunContext};
use kafka_consumer_lambda::record::Chunk;
use kafka_consumer_lambda::{Failure, Record, each};
use serde_json::json;

use super::{HandledOffsets, World};

/// P1: a temporary failure is retried, in order, before any later record.
#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_failure_is_retried_within_the_run() {
    let world = World::new(1, 1, 5).await;
    let offsets = HandledOffsets::default();
    let handler = {
        let offsets = offsets.clone();
        each(move |record: Record| {
            offsets.note(record.offset);
            let attempts = offsets.offsets().iter().filter(|offset| **offset == 2).count();
            async move {
                if record.offset == 2 && attempts < 3 {
                    Err(Failure::Retry("busy".into()))
                } else {
                    Ok(())
                }
            }
        })
    };
    let (report, _) = world.run(&[], handler, 20).await;
    assert_eq!(
        (&report["status"], &report["messages_processed"]),
        (&json!("success"), &json!(5))
    );
    assert_eq!(offsets.offsets(), [0, 1, 2, 2, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_persists_blocks_only_its_partition() {
    let world = World::new(1, 2, 5).await;
    let handler = each(|record: Record| async move {
        let bad = record.partition.partition == 0 && record.offset == 3;
        if bad {
            Err(Failure::Retry("busy".into()))
        } else {
            Ok(())
        }
    });
    let (report, _) = world.run(&[], handler, 20).await;
    assert_eq!(report["error"]["type"], "PartitionBlocked");
    assert_eq!(
        (&report["blocked"][0]["offset"], &report["blocked"][0]["attempts"]),
        (&json!(3), &json!(3))
    );
    assert_eq!(report["last_offsets"], json!({"0": 2, "1": 4}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_the_handler_is_a_failed_attempt_and_the_process_continues() {
    let world = World::new(1, 2, 3).await;
    let handler = each(|record: Record| async move {
        assert!(
            record.partition.partition != 0 || record.offset != 1,
            "a panic of the handler"
        );
        Ok(())
    });
    let (report, _) = world.run(&[], handler, 20).await;
    assert_eq!(report["error"]["type"], "PartitionBlocked");
    assert_eq!(report["blocked"][0]["offset"], 1, "{report}");
    assert!(
        report["blocked"][0]["error"]
            .as_str()
            .is_some_and(|error| error.contains("a panic of the handler"))
    );
    assert_eq!(report["last_offsets"], json!({"0": 0, "1": 2}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fatal_failure_stops_the_run_and_what_was_settled_is_stored() {
    let world = World::new(1, 1, 5).await;
    let handler = each(|record: Record| async move {
        if record.offset == 2 {
            Err(Failure::Fatal("no credentials".into()))
        } else {
            Ok(())
        }
    });
    let (report, _) = world.run(&[], handler, 20).await;
    assert_eq!(report["error"]["type"], "DestinationFailed");
    assert!(
        report["error"]["message"]
            .as_str()
            .is_some_and(|message| message.contains("offset 2 of t-0"))
    );
    assert_eq!(report["last_offsets"], json!({"0": 1}));
}

/// P7: a run ends before its deadline, with what is settled stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_never_ends_is_cut_off_before_the_deadline() {
    let world = World::new(1, 2, 3).await;
    let handler = each(|record: Record| async move {
        if record.partition.partition == 0 {
            std::future::pending::<()>().await;
        }
        Ok(())
    });
    let (report, took) = world.run(&[], handler, 3).await;
    assert_eq!(report["error"]["type"], "Timeout");
    assert_eq!(report["last_offsets"], json!({"1": 2}));
    assert_eq!(world.cursor(0).claim_until_ms, None, "the claim is released");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

/// P7: the next run continues where this one had to stop.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_handler_settles_some_records_in_each_run_and_fails_no_run() {
    let world = World::new(1, 1, 9).await;
    let mut total = 0;
    while total < 9 {
        let handler = each(|_: Record| async {
            tokio::time::sleep(Duration::from_millis(600)).await;
            Ok(())
        });
        let (report, _) = world.run(&[], handler, 4).await;
        assert_eq!(report["status"], "success", "{report}");
        let processed = report["messages_processed"].as_i64().expect("a count");
        assert!(processed > 0);
        total += processed;
        assert_eq!(world.cursor(0).next.get(), total);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_never_handed_over_counts_no_attempt() {
    struct Odd;
    impl Processor for Odd {
        async fn process(&self, chunk: &Chunk, _: &RunContext) -> Progress {
            Progress {
                stop: Some(Failure::Poison("odd".into())),
                ..Progress::all(chunk)
            }
        }
    }
    let world = World::new(1, 1, 40).await;
    let (report, _) = world.run(&[("ON_FAILURE", "skip")], Odd, 20).await;
    assert_eq!(
        (&report["error"]["type"], &report["skipped"]),
        (&json!("DestinationFailed"), &json!([]))
    );
}

/// P1, P5: many records are decoded together, on a separate thread.
#[tokio::test(flavor = "multi_thread")]
async fn of_thousands_of_records_only_the_undecodable_one_is_not_handled() {
    let bad = 2_700;
    for (on_failure, stands_at) in [("skip", 5_000), ("halt", bad)] {
        let world = World::new(1, 1, 0).await;
        let values = (0..5_000).map(|n| if n == bad { "{".to_owned() } else { n.to_string() });
        world.kafka.produce("t", 0, values).await.expect("records");
        let offsets = HandledOffsets::default();
        let settings = [("ON_FAILURE", on_failure), ("MAX_MESSAGES", "unlimited")];
        let (report, _) = world.run(&settings, offsets.handler(), 30).await;
        let expected: Vec<i64> = (0..stands_at).filter(|n| *n != bad).collect();
        assert_eq!(offsets.offsets(), expected);
        assert_eq!(world.cursor(0).next.get(), stands_at, "{report}");
        let skipped = report["skipped"].to_string();
        assert_eq!(skipped.contains("2700"), on_failure == "skip", "{report}");
    }
}
