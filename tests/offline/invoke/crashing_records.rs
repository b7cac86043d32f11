//! Records that crash the process, or whose handler never returns: they are isolated, and `ON_FAILURE`
//! applies.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use kafka_consumer_lambda::claim::{ChunkLimit, Cursor, MARGIN_MS, RunId};
use kafka_consumer_lambda::clock::{Clock, SystemClock};
use kafka_consumer_lambda::processor::{Processor, Progress, RunContext};
use kafka_consumer_lambda::record::{Chunk, NextOffset};
use kafka_consumer_lambda::source::kafka::KafkaSource;
use kafka_consumer_lambda::{Failure, Record, each};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{HandledOffsets, World, security};

/// How long a run may take, in seconds.
const SECONDS: u64 = 20;
const CRASHING: (i32, i64) = (1, 17);

/// A wall clock that a test advances, with the system's monotonic clock.
#[derive(Clone, Default)]
struct LateClock(Arc<AtomicI64>);

impl Clock for LateClock {
    fn now(&self) -> Instant {
        SystemClock.now()
    }

    fn wall_ms(&self) -> i64 {
        SystemClock.wall_ms() + self.0.load(Ordering::SeqCst)
    }
}

impl LateClock {
    fn pass(&self, seconds: u64) {
        self.0
            .fetch_add(i64::try_from(seconds * 1_000).expect("seconds"), Ordering::SeqCst);
    }

    /// Until every claim of the runs so far has ended.
    fn pass_all_claims(&self) {
        self.pass(SECONDS + u64::try_from(MARGIN_MS / 1_000).expect("positive") + 1);
    }
}

/// A process that crashes when it handles one record, until the handler is corrected.
#[derive(Clone, Default)]
struct Deadly {
    handled: [HandledOffsets; 3],
    has_crashed: Arc<Notify>,
    corrected: Arc<AtomicBool>,
    /// It is throttled at the chunk with that record, and the process crashes while the run waits.
    throttled: Arc<AtomicBool>,
}

impl Processor for Deadly {
    /// Whole chunks: a crashed process does not return which record it was.
    async fn process(&self, chunk: &Chunk, _run: &RunContext) -> Progress {
        let at = |record: &Record| (record.partition.partition, record.offset);
        if !self.corrected.load(Ordering::SeqCst) && chunk.records().iter().any(|record| at(record) == CRASHING) {
            if self.throttled.load(Ordering::SeqCst) {
                // In the pause that follows.
                let has_crashed = Arc::clone(&self.has_crashed);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(60)).await;
                    has_crashed.notify_one();
                });
                return Progress {
                    settled: 0,
                    stop: Some(Failure::Throttled("too many requests".into())),
                };
            }
            self.has_crashed.notify_one();
            pending::<()>().await;
        }
        for record in chunk.records() {
            self.handled[usize::try_from(record.partition.partition).expect("small")].note(record.offset);
        }
        Progress::all(chunk)
    }
}

struct Scene {
    world: World,
    clock: LateClock,
    handler: Deadly,
    settings: Vec<(&'static str, &'static str)>,
}

impl Scene {
    async fn new(settings: &[(&'static str, &'static str)]) -> Self {
        Self {
            world: World::new(1, 3, 40).await,
            clock: LateClock::default(),
            handler: Deadly::default(),
            settings: settings.to_vec(),
        }
    }

    /// One run; `None` if the process crashed.
    async fn run(&self) -> Option<Value> {
        let config = self.world.config(&self.settings);
        let source = KafkaSource::new(&config, security(&config));
        let run = self.world.invocation(config, source, self.handler.clone());
        let run = run.within(Duration::from_secs(SECONDS)).by_clock(self.clock.clone());
        let report = tokio::select! {
            (report, _) = run.report() => Some(report),
            () = self.handler.has_crashed.notified() => None,
        };
        self.clock.pass_all_claims();
        report
    }

    /// Runs until one does not crash; how many did, and its report.
    async fn runs_until_one_does_not_crash(&self) -> (usize, Value) {
        for crashes in 0..20 {
            if let Some(report) = self.run().await {
                return (crashes, report);
            }
        }
        panic!("every run crashed")
    }
}

fn all_but_the_crashing_one() -> Vec<i64> {
    (0..40).filter(|offset| *offset != CRASHING.1).collect()
}

fn without_repeats(handled: &HandledOffsets) -> Vec<i64> {
    let mut offsets = handled.offsets();
    offsets.sort_unstable();
    offsets.dedup();
    offsets
}

/// Filtered records around it neither hide the record nor count as crashed.
#[tokio::test(flavor = "multi_thread")]
async fn among_filtered_records_the_one_that_crashes_the_process_is_found_and_skipped() {
    let filter = r#"[{"partition":[0,2]},{"offset":[{"numeric":["<",3]},{"numeric":[">=",17]}]}]"#;
    let scene = Scene::new(&[("ON_FAILURE", "skip"), ("FILTER_PATTERNS", filter)]).await;
    let (crashes, report) = scene.runs_until_one_does_not_crash().await;
    assert_eq!(crashes, 5, "two to find it, MAX_ATTEMPTS with it alone");
    assert_eq!(report["skipped"][0]["first_offset"], CRASHING.1, "{report}");
    assert_eq!((&report["status"], &report["lag"]), (&json!("success"), &json!(0)));
    let expected: Vec<i64> = (0..3).chain(18..40).collect();
    assert_eq!(without_repeats(&scene.handler.handled[1]), expected);
    assert_eq!(without_repeats(&scene.handler.handled[0]), (0..40).collect::<Vec<_>>());
}

/// P5: nothing is passed over silently.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_crashes_the_process_is_skipped_after_max_attempts_crashes_alone_and_no_other_is() {
    let scene = Scene::new(&[("ON_FAILURE", "skip")]).await;
    let (crashes, report) = scene.runs_until_one_does_not_crash().await;
    assert_eq!(crashes, 2 + 3, "two to isolate it, MAX_ATTEMPTS with it alone");
    assert_eq!(report["status"], "success", "{report}");
    assert_eq!(
        (
            &report["skipped"][0]["first_offset"],
            &report["skipped"][0]["last_offset"]
        ),
        (&json!(17), &json!(17))
    );
    let reason = report["skipped"][0]["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("3 runs crashed"), "{reason}");
    assert_eq!(without_repeats(&scene.handler.handled[1]), all_but_the_crashing_one());
    let cursor = scene.world.cursor(1);
    assert_eq!(
        (cursor.next.get(), cursor.claim_chunk, cursor.failure),
        (40, None, None)
    );
}

/// P14: it was handed over, and not accepted.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_the_destination_is_throttled_counts_against_no_record() {
    let scene = Scene::new(&[("ON_FAILURE", "skip"), ("MAX_ATTEMPTS", "2")]).await;
    for throttled in [false, false, true, true, true, true] {
        scene.handler.throttled.store(throttled, Ordering::SeqCst);
        assert_eq!(scene.run().await, None, "it crashes");
    }
    scene.handler.corrected.store(true, Ordering::SeqCst);
    let report = scene.run().await.expect("no crash");
    assert_eq!(report["skipped"], json!([]), "{report}");
    assert_eq!(without_repeats(&scene.handler.handled[1]), (0..40).collect::<Vec<_>>());
}

/// P9: one partition's failure is its own.
#[tokio::test(flavor = "multi_thread")]
async fn while_a_record_crashes_one_run_after_the_other_the_other_partitions_go_on_and_are_stored() {
    let scene = Scene::new(&[("ON_FAILURE", "skip")]).await;
    // At first their runs crash too, possibly also later if they are processed after it; from then on
    // they are processed before it.
    for _ in 0..4 {
        assert!(scene.run().await.is_none());
    }
    for partition in [0, 2] {
        assert_eq!(scene.world.cursor(partition).next.get(), 40, "partition {partition}");
        let values = (40..50).map(|n| n.to_string());
        scene
            .world
            .kafka
            .produce("t", partition, values)
            .await
            .expect("records");
    }
    assert!(scene.run().await.is_none());
    for partition in [0, 2] {
        assert_eq!(scene.world.cursor(partition).next.get(), 50, "partition {partition}");
        assert_eq!(scene.world.cursor(partition).claim_until_ms, None);
    }
    assert_eq!(scene.world.cursor(1).next.get(), CRASHING.1, "up to the record itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_crashes_the_process_halts_its_partition_and_is_retried_after_the_back_off() {
    let scene = Scene::new(&[]).await;
    let (crashes, report) = scene.runs_until_one_does_not_crash().await;
    assert_eq!(crashes, 2 + 3);
    assert_eq!(report["error"]["type"], "PartitionBlocked", "{report}");
    assert_eq!(
        (&report["blocked"][0]["offset"], &report["blocked"][0]["attempts"]),
        (&json!(17), &json!(3))
    );
    // Not before the back-off ends.
    let early = scene.run().await.expect("it is not tried");
    assert_eq!(early["error"]["type"], "PartitionBlocked", "{early}");
    scene.clock.pass(60);
    assert!(scene.run().await.is_none(), "it is tried again");
    let report = scene.run().await.expect("it is blocked again");
    assert_eq!(report["blocked"][0]["attempts"], 4, "{report}");
    let waits_ms = report["blocked"][0]["next_try_at"].as_i64().expect("a time") - scene.clock.wall_ms();
    assert!(waits_ms > 60_000, "longer each time: {waits_ms} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_handler_frees_a_partition_that_a_crashing_record_had_blocked() {
    let scene = Scene::new(&[]).await;
    scene.runs_until_one_does_not_crash().await;
    scene.handler.corrected.store(true, Ordering::SeqCst);
    scene.clock.pass(60);
    let report = scene.run().await.expect("it does not crash");
    assert_eq!(
        (&report["status"], &report["lag"]),
        (&json!("success"), &json!(0)),
        "{report}"
    );
    assert_eq!(without_repeats(&scene.handler.handled[1]), (0..40).collect::<Vec<_>>());
    let cursor = scene.world.cursor(1);
    assert_eq!(
        (cursor.claim_chunk, cursor.claim_to, cursor.failure),
        (None, None, None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_where_a_run_crashed_is_not_claimed_when_the_limit_is_used_up() {
    let world = World::new(1, 2, 3).await;
    let dead = Cursor {
        run: Some(RunId::new("dead")),
        claim_until_ms: Some(1),
        claim_to: NextOffset::new(3),
        updated_at_ms: Some(1),
        ..Cursor::default()
    };
    world.table.inner.put(&super::consumer(), 0, dead.clone());
    // The other one was never written, so it gets the limit of one record.
    let handler = each(|_: Record| async { Ok(()) });
    let (report, _) = world.run(&[("MAX_MESSAGES", "1")], handler, 20).await;
    assert_eq!(report["last_offsets"], json!({"1": 0}), "{report}");
    assert_eq!(report["stop_reason"], "max_messages");
    assert_eq!(world.cursor(0), dead);
}

/// P4: an operator's edit takes precedence.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_move_past_a_crashing_record_the_partition_continues_from_there() {
    let scene = Scene::new(&[]).await;
    scene.runs_until_one_does_not_crash().await;
    let mut item = scene.world.cursor(1);
    item.next = NextOffset::after(CRASHING.1).expect("an offset");
    scene.world.table.inner.put(&super::consumer(), 1, item);
    let report = scene.run().await.expect("it does not crash");
    assert_eq!(
        (&report["status"], &report["lag"]),
        (&json!("success"), &json!(0)),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_killed_from_outside_loses_and_skips_no_record() {
    let scene = Scene::new(&[("ON_FAILURE", "skip"), ("MAX_ATTEMPTS", "1")]).await;
    // Twice, at any step.
    assert!(scene.run().await.is_none() && scene.run().await.is_none());
    scene.handler.corrected.store(true, Ordering::SeqCst);
    let report = scene.run().await.expect("it does not crash");
    assert_eq!(
        (&report["status"], &report["skipped"]),
        (&json!("success"), &json!([])),
        "{report}"
    );
    for handled in &scene.handler.handled {
        assert_eq!(without_repeats(handled), (0..40).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_handler_never_returns_is_isolated_and_blocked_although_no_process_crashes() {
    let world = World::new(1, 2, 20).await;
    let mut reports = vec![];
    for _ in 0..5 {
        let handler = each(|record: Record| async move {
            if (record.partition.partition, record.offset) == (1, 7) {
                pending::<()>().await;
            }
            Ok(())
        });
        reports.push(world.run(&[], handler, 3).await.0);
    }
    let types: Vec<_> = reports.iter().map(|report| &report["error"]["type"]).collect();
    assert_eq!(types, ["Timeout", "Timeout", "Timeout", "Timeout", "PartitionBlocked"]);
    assert_eq!(reports[4]["blocked"][0]["offset"], 7);
    assert_eq!((world.cursor(0).next.get(), world.cursor(1).next.get()), (20, 7));
    assert_eq!(world.cursor(1).claim_chunk, Some(ChunkLimit::Single));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_chunk_counts_only_against_the_record_that_panics_also_with_one_attempt() {
    struct Panics;
    impl Processor for Panics {
        async fn process(&self, chunk: &Chunk, _run: &RunContext) -> Progress {
            assert!(chunk.records().iter().all(|record| record.offset != 5), "offset 5");
            Progress::all(chunk)
        }
    }
    let world = World::new(1, 1, 20).await;
    let settings = [("ON_FAILURE", "skip"), ("MAX_ATTEMPTS", "1")];
    let (report, _) = world.run(&settings, Panics, 20).await;
    assert_eq!(
        (&report["messages_processed"], &report["lag"]),
        (&json!(19), &json!(0)),
        "{report}"
    );
    assert_eq!(report["skipped"][0]["first_offset"], 5);
    assert_eq!(report["skipped"].as_array().map(Vec::len), Some(1));
}

/// A handler that notes the number of the attempt, and fails.
struct Fails(Arc<AtomicI64>);
impl Processor for Fails {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        let first = &chunk.records()[0];
        if (first.partition.partition, first.offset) != CRASHING {
            return Progress::all(chunk);
        }
        self.0.store(i64::from(run.attempt), Ordering::SeqCst);
        Progress {
            settled: 0,
            stop: Some(Failure::Retry("not today".into())),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_crashes_of_a_record_count_as_its_attempts() {
    let scene = Scene::new(&[("ON_FAILURE", "skip"), ("MAX_ATTEMPTS", "4")]).await;
    for _ in 0..5 {
        assert!(scene.run().await.is_none());
    }
    // Three crashes alone; the next call is the fourth attempt, and it returns a failure.
    let config = scene.world.config(&scene.settings);
    let source = KafkaSource::new(&config, security(&config));
    let attempts = Arc::new(AtomicI64::new(0));
    let noted = attempts.clone();
    let run = scene.world.invocation(config, source, Fails(noted));
    let run = run.within(Duration::from_secs(SECONDS)).by_clock(scene.clock.clone());
    let (report, took) = run.report().await;
    assert_eq!(report["skipped"][0]["first_offset"], 17, "{report}");
    assert_eq!(attempts.load(Ordering::SeqCst), 4);
    assert!(took < Duration::from_secs(10), "{took:?}");
}
