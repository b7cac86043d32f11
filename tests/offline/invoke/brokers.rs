//! Three brokers, each the leader of two partitions, and one of them goes down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kafka_consumer_lambda::claim::Cursor;
use kafka_consumer_lambda::clock::{Deadline, SystemClock};
use kafka_consumer_lambda::dead_letter::target::DeadLetters;
use kafka_consumer_lambda::event::{Request, RunRequest};
use kafka_consumer_lambda::invoke::{Interrupt, Parts, invoke, snapshot_best_effort};
use kafka_consumer_lambda::plan::Decision;
use kafka_consumer_lambda::processor::Processor;
use kafka_consumer_lambda::source::kafka::KafkaSource;
use kafka_consumer_lambda::store::Store;
use kafka_consumer_lambda::{Record, each};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{HandledOffsets, Table, World, security, settle_all};

const PARTITIONS: u16 = 6;
const RECORDS: usize = 3;

/// The broker that goes down: the leader of partitions 1 and 4.
const BROKER: i32 = 2;

/// `POLL_TIMEOUT` is 2 s. A request to a silent broker and a fetch from it may take that long each,
/// and a little longer on a busy machine.
const SOON: Duration = Duration::from_secs(9);

/// Three brokers, and in each partition 3 records.
async fn world() -> World {
    let world = World::new(3, PARTITIONS, 0).await;
    {
        let cluster = world.kafka.cluster().expect("a cluster");
        for partition in 0..i32::from(PARTITIONS) {
            let leader = Some(partition % 3 + 1);
            cluster.partition_leader("t", partition, leader).expect("a leader");
        }
    }
    produce(&world, RECORDS).await;
    world
}

async fn produce(world: &World, records: usize) {
    for partition in 0..i32::from(PARTITIONS) {
        for n in 0..records {
            let record = world.kafka.produce("t", partition, [format!("{n}")]).await;
            record.expect("a record");
        }
    }
}

fn down(world: &World) {
    let cluster = world.kafka.cluster().expect("a cluster");
    cluster.broker_down(BROKER).expect("it goes down");
}

fn up(world: &World) {
    let cluster = world.kafka.cluster().expect("a cluster");
    cluster.broker_up(BROKER).expect("it comes back");
}

/// The partitions of the broker that is down are named, not reported as idle; the others are drained
/// and stored.
#[track_caller]
fn assert_names_unavailable_partitions(report: &Value, last_offset: i64) {
    assert_eq!(report["status"], "failed", "{report}");
    assert_eq!(report["error"]["type"], "BrokerUnreachable", "{report}");
    let numbers = |list: &Value| -> Vec<Value> {
        let list = list.as_array().expect("a list").iter();
        list.map(|entry| entry["partition"].clone()).collect()
    };
    assert_eq!(numbers(&report["unavailable"]), [json!(1), json!(4)], "{report}");
    let stored = json!({"0": last_offset, "2": last_offset, "3": last_offset, "5": last_offset});
    assert_eq!(report["last_offsets"], stored, "{report}");
    for entry in report["partitions"].as_array().expect("a list") {
        let is_unavailable = entry["partition"] == 1 || entry["partition"] == 4;
        assert_eq!(entry["lag"] == 0, !is_unavailable, "an unknown lag is not 0: {entry}");
    }
}

/// P9: a leader is down: the other partitions go on, and are stored. Then the run fails, and names
/// the partition.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_down_makes_only_its_partitions_unavailable() {
    let world = world().await;
    down(&world);
    let (report, took) = world.run(&[], settle_all(), 30).await;
    assert_names_unavailable_partitions(&report, 2);
    assert!(took < SOON, "{took:?}");

    up(&world);
    let (report, _) = world.run(&[], settle_all(), 30).await;
    assert_eq!(
        (&report["status"], &report["lag"]),
        (&json!("success"), &json!(0)),
        "{report}"
    );
    assert_eq!(report["last_offsets"], json!({"1": 2, "4": 2}), "{report}");
}

/// P9: also if the broker accepts connections and does not respond.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_respond_makes_only_its_partitions_unavailable() {
    let world = world().await;
    let respond_after = |delay: Duration| {
        let cluster = world.kafka.cluster().expect("a cluster");
        cluster.broker_round_trip_time(BROKER, delay).expect("it slows down");
    };
    respond_after(Duration::from_mins(1));
    let (report, took) = world.run(&[], settle_all(), 30).await;
    assert_names_unavailable_partitions(&report, 2);
    assert!(took < SOON, "{took:?}");

    respond_after(Duration::ZERO);
    let (report, _) = world.run(&[], settle_all(), 30).await;
    assert_eq!(report["last_offsets"], json!({"1": 2, "4": 2}), "{report}");
}

/// The parts that a process keeps from one run to the next.
fn kept_parts(world: &World) -> Parts<(&Table, KafkaSource, impl Processor, DeadLetters, SystemClock)> {
    let config = world.config(&[]);
    Parts {
        dead_letters: DeadLetters::None,
        source: KafkaSource::new(&config, security(&config)),
        config: Arc::new(config),
        store: &world.table,
        processor: settle_all(),
        clock: SystemClock,
    }
}

/// The report of one more run of the same process.
async fn run_again<S: Store, P: Processor>(parts: &Parts<(S, KafkaSource, P, DeadLetters, SystemClock)>) -> Value {
    let (_sender, interrupt) = watch::channel(Interrupt::No);
    let deadline = Deadline::after(Duration::from_secs(30), &SystemClock);
    let invoked = invoke(parts, &Request::Run(RunRequest::default()), deadline, interrupt).await;
    serde_json::to_value(&invoked.expect("a run has a report").response).expect("JSON")
}

/// P9: also for a client with cached leaders of an earlier run.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_down_between_two_runs_of_one_client_makes_only_its_partitions_unavailable() {
    let world = world().await;
    let parts = kept_parts(&world);
    let run = async || run_again(&parts).await;
    assert_eq!(run().await["status"], "success");
    produce(&world, 1).await;
    down(&world);
    let began = std::time::Instant::now();
    assert_names_unavailable_partitions(&run().await, 3);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());

    up(&world);
    let report = run().await;
    assert_eq!(
        (&report["status"], &report["lag"]),
        (&json!("success"), &json!(0)),
        "{report}"
    );
    assert_eq!(report["last_offsets"], json!({"1": 3, "4": 3}), "{report}");
}

/// P9: a client with cached leaders of an earlier run finds the new ones.
#[tokio::test(flavor = "multi_thread")]
async fn leaders_that_move_between_two_runs_of_one_client_fail_no_run() {
    let world = world().await;
    let parts = kept_parts(&world);
    assert_eq!(run_again(&parts).await["status"], "success");
    produce(&world, 1).await;
    {
        let cluster = world.kafka.cluster().expect("a cluster");
        for partition in 0..i32::from(PARTITIONS) {
            let other = (partition + 1) % 3 + 1;
            cluster.partition_leader("t", partition, Some(other)).expect("it moves");
        }
    }
    let began = std::time::Instant::now();
    let report = run_again(&parts).await;
    assert_eq!(
        (&report["status"], &report["lag"]),
        (&json!("success"), &json!(0)),
        "{report}"
    );
    assert_eq!(report["unavailable"], json!([]), "{report}");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

/// P1, P9: what was settled before it went down is stored, and the next run
/// reads the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_down_while_it_is_read_makes_only_its_partitions_unavailable() {
    let world = Arc::new(world().await);
    // Of partitions 1 and 4 of the broker that goes down.
    let offsets = [HandledOffsets::default(), HandledOffsets::default()];
    let is_up = Arc::new(AtomicBool::new(true));
    let handler = || {
        let (world, offsets, is_up) = (world.clone(), offsets.clone(), is_up.clone());
        each(move |record: Record| {
            match record.partition.partition {
                1 => offsets[0].note(record.offset),
                4 => offsets[1].note(record.offset),
                _ => {}
            }
            if record.partition.partition == 1 && is_up.swap(false, Ordering::SeqCst) {
                down(&world);
            }
            async { Ok(()) }
        })
    };
    // One record at a time, so that none waits in the client.
    let settings = [
        ("KAFKA_QUEUED_MIN_MESSAGES", "1"),
        ("KAFKA_FETCH_MESSAGE_MAX_BYTES", "1"),
    ];
    let (report, took) = world.run(&settings, handler(), 30).await;
    assert!(took < SOON, "{took:?}");
    let stored = report["last_offsets"].as_object().expect("offsets");
    for healthy in ["0", "2", "3", "5"] {
        assert_eq!(stored.get(healthy), Some(&json!(2)), "{report}");
    }
    // How far partitions 1 and 4 were read depends on timing; what is not read is named.
    for partition in [1, 4] {
        let is_read = stored.get(&partition.to_string()) == Some(&json!(2));
        let named = report["unavailable"].as_array().expect("a list").iter();
        let is_named = named.clone().any(|entry| entry["partition"] == partition);
        assert_ne!(is_read, is_named, "{report}");
    }

    up(&world);
    let (report, _) = world.run(&settings, handler(), 30).await;
    assert_eq!(
        (&report["status"], &report["lag"]),
        (&json!("success"), &json!(0)),
        "{report}"
    );
    for partition in 0..i32::from(PARTITIONS) {
        let cursor = world.cursor(partition);
        assert_eq!((cursor.next.get(), cursor.claim_until_ms), (3, None), "{partition}");
    }
    for offsets in &offsets {
        assert!(
            (0..3).all(|offset| offsets.offsets().contains(&offset)),
            "{:?}",
            offsets.offsets()
        );
    }
}

/// P5: nothing is passed over silently: a cursor above a new partition would make it count as an
/// old one, which starts at `latest`.
#[tokio::test(flavor = "multi_thread")]
async fn new_partitions_above_one_that_is_unavailable_wait_until_its_start_is_stored() {
    let world = world().await;
    world.table.inner.put(&super::consumer(), 0, Cursor::default());
    let latest = [("START_POSITION", "latest")];
    down(&world);
    let (report, _) = world.run(&latest, settle_all(), 30).await;
    assert_eq!(report["last_offsets"], json!({"0": 2}), "{report}");
    let unavailable = report["unavailable"].as_array().expect("a list");
    let unavailable: Vec<_> = unavailable.iter().map(|it| it["partition"].clone()).collect();
    assert_eq!(unavailable, [1, 2, 3, 4, 5], "{report}");

    up(&world);
    let (report, _) = world.run(&latest, settle_all(), 30).await;
    let read = json!({"1": 2, "2": 2, "3": 2, "4": 2, "5": 2});
    assert_eq!(
        (&report["status"], &report["last_offsets"]),
        (&json!("success"), &read),
        "{report}"
    );
}

/// The partitions of the other brokers are read, and the state of the unavailable ones contains the
/// cause; the snapshot itself succeeds.
#[tokio::test(flavor = "multi_thread")]
async fn a_best_effort_snapshot_names_the_partitions_of_a_broker_that_is_down() {
    let world = world().await;
    down(&world);
    let config = world.config(&[]);
    let parts: Parts<(_, _, _, _, _)> = Parts {
        dead_letters: DeadLetters::None,
        source: KafkaSource::new(&config, security(&config)),
        config: Arc::new(config),
        store: &world.table,
        processor: settle_all(),
        clock: SystemClock,
    };
    let deadline = Deadline::after(Duration::from_secs(30), &SystemClock);
    let began = std::time::Instant::now();
    let snapshot = snapshot_best_effort(&parts, &RunRequest::default(), deadline).await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let snapshot = snapshot.expect("all partitions are requested");
    assert_eq!(snapshot.errors, []);
    let unavailable: Vec<i32> = snapshot
        .partitions
        .iter()
        .filter(|plan| matches!(plan.decision, Decision::Unavailable(_)))
        .map(|plan| plan.state.partition.partition)
        .collect();
    assert_eq!((snapshot.partitions.len(), unavailable), (6, vec![1, 4]));
    let available = &snapshot.partitions[0].decision;
    assert!(matches!(available, Decision::Read { .. }), "{available:?}");
}
