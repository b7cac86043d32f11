//! Destinations that take batches, and destinations that are throttled.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use kafka_consumer_lambda::processor::{Processor, Progress, RunContext};
use kafka_consumer_lambda::record::Chunk;
use kafka_consumer_lambda::{Failure, Record, each};
use serde_json::json;

use super::World;

/// A destination that takes this many records in a call, and remembers the calls.
#[derive(Clone)]
struct Batches {
    size: usize,
    calls: Arc<Mutex<Vec<Vec<i64>>>>,
}

impl Batches {
    fn of(size: usize) -> Self {
        Self {
            size,
            calls: Arc::default(),
        }
    }

    fn sizes(&self) -> Vec<usize> {
        let calls = self.calls.lock().expect("no panic");
        calls.iter().map(Vec::len).collect()
    }
}

impl Processor for Batches {
    async fn process(&self, chunk: &Chunk, _: &RunContext) -> Progress {
        let offsets = chunk.records().iter().map(|record| record.offset).collect();
        self.calls.lock().expect("no panic").push(offsets);
        Progress::all(chunk)
    }

    fn batch_size(&self, _: &str) -> Option<NonZeroUsize> {
        NonZeroUsize::new(self.size)
    }
}

/// A destination that is throttled for the first calls.
struct Throttled {
    calls: Mutex<u32>,
    refusals: u32,
}

impl Throttled {
    fn for_calls(refusals: u32) -> Self {
        Self {
            calls: Mutex::new(0),
            refusals,
        }
    }
}

impl Processor for Throttled {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        assert_eq!(run.attempt, 1, "no attempt is counted");
        let mut calls = self.calls.lock().expect("no panic");
        *calls += 1;
        if *calls > self.refusals {
            return Progress::all(chunk);
        }
        Progress {
            settled: 0,
            stop: Some(Failure::Throttled("too many requests".into())),
        }
    }
}

/// The records lie in batches of one record each, which arrive one by one.
#[tokio::test(flavor = "multi_thread")]
async fn batches_are_full_as_long_as_there_are_records() {
    let world = World::new(1, 1, 25).await;
    for (settings, expected) in [
        (vec![], vec![10, 10, 5]),
        (vec![("MAX_MESSAGES", "12"), ("KAFKA_GROUP_ID", "limited")], vec![10, 2]),
    ] {
        let batches = Batches::of(10);
        let (report, _) = world.run(&settings, batches.clone(), 20).await;
        assert_eq!(report["status"], "success", "{report}");
        assert_eq!(batches.sizes(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_filled_with_records_that_match_the_filter() {
    let world = World::new(1, 1, 60).await;
    let batches = Batches::of(4);
    let even = r#"[{"offset":[{"numeric":["<",10]}]},{"offset":[59]}]"#;
    let (report, _) = world.run(&[("FILTER_PATTERNS", even)], batches.clone(), 20).await;
    assert_eq!(batches.sizes(), [4, 4, 3], "{report}");
    assert_eq!(report["filtered"], 49);
}

/// P1: no attempt is counted, and nothing is dead-lettered or skipped.
#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_destination_is_waited_for_without_an_attempt() {
    let world = World::new(1, 1, 3).await;
    let settings = [("ON_FAILURE", "skip"), ("MAX_ATTEMPTS", "1")];
    let (report, _) = world.run(&settings, Throttled::for_calls(3), 20).await;
    assert_eq!(
        (&report["status"], &report["messages_processed"], &report["skipped"]),
        (&json!("success"), &json!(3), &json!([]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_throttled_for_the_whole_run_fails_it_without_an_attempt() {
    let world = World::new(1, 1, 3).await;
    let settings = [("ON_FAILURE", "skip"), ("MAX_ATTEMPTS", "1")];
    let (report, _) = world.run(&settings, Throttled::for_calls(u32::MAX), 3).await;
    assert_eq!(report["error"]["type"], "Timeout", "{report}");
    let message = report["error"]["message"].as_str().expect("a message");
    for part in ["t-0", "offset 0", "too many requests", "No attempt is counted"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(report["skipped"], json!([]));
    assert_eq!(world.cursor(0).failures().map(|failures| failures.attempts), None);
    let (report, _) = world.run(&settings, Throttled::for_calls(0), 20).await;
    assert_eq!(report["messages_processed"], 3, "{report}");
}

/// Too little time is left for another request: the run still fails, because of the refusals before.
#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_destination_that_is_not_tried_at_the_end_of_the_run_fails_it_too() {
    struct DeclinesAtTheEnd;
    impl Processor for DeclinesAtTheEnd {
        async fn process(&self, _: &Chunk, run: &RunContext) -> Progress {
            let refused = || Failure::Throttled("too many requests".into());
            Progress {
                settled: 0,
                stop: (run.time_left().as_millis() > 500).then(refused),
            }
        }
    }
    let world = World::new(1, 1, 3).await;
    let (report, _) = world.run(&[], DeclinesAtTheEnd, 3).await;
    assert_eq!(report["error"]["type"], "Timeout", "{report}");
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(message.contains("too many requests"), "{message}");
}

/// A destination is throttled for the first partitions. As memory allows one partition
/// at a time, the last would never be read.
#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_destination_does_not_keep_other_partitions_waiting_for_the_whole_run() {
    struct ThrottledAtFirst;
    impl Processor for ThrottledAtFirst {
        async fn process(&self, chunk: &Chunk, _: &RunContext) -> Progress {
            if chunk.partition().partition == 1 {
                return Progress::all(chunk);
            }
            Progress {
                settled: 0,
                stop: Some(Failure::Throttled("too many requests".into())),
            }
        }
    }
    let world = World::new(1, 2, 3).await;
    let (report, took) = world
        .run(&[("MAX_MEMORY_BYTES", "1048576")], ThrottledAtFirst, 40)
        .await;
    assert_eq!(report["error"]["type"], "Timeout", "{report}");
    assert_eq!(report["last_offsets"], json!({"1": 2}));
    assert!(took.as_secs() < 20, "{took:?}");
}

/// A record is not dead-lettered because the function was gone for some runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_fatal_failure_counts_no_attempt() {
    let world = World::new(1, 1, 2).await;
    let settings = [("ON_FAILURE", "skip"), ("MAX_ATTEMPTS", "2")];
    for _ in 0..3 {
        let gone = each(|_: Record| async { Err(Failure::Fatal("gone".into())) });
        let (report, _) = world.run(&settings, gone, 20).await;
        assert_eq!(report["error"]["type"], "DestinationFailed");
    }
    let busy = each(|_: Record| async { Err(Failure::Retry("busy".into())) });
    let (report, _) = world
        .run(&[("ON_FAILURE", "halt"), ("MAX_ATTEMPTS", "1")], busy, 20)
        .await;
    assert_eq!(report["blocked"][0]["attempts"], 1, "{report}");
}
