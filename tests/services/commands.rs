//! The command line: its requests, its output and its exit codes.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::kafka::unique;
use crate::support::scripted_dynamodb::Scripted;
use crate::support::table::Table;
use crate::support::world::{Ran, World};

/// P8: a run that finds nothing new writes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_run_makes_one_query_and_no_write_and_leaves_the_table_as_it_is() {
    let mut world = World::new("idle", 3).await;
    world.produce(0, 5);
    world.produce(2, 5);
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    world.set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
    tokio::task::block_in_place(|| world.run()).success();
    let mut operations = proxy.take_operations();
    operations.sort();
    assert_eq!(
        operations,
        ["Query", "UpdateItem", "UpdateItem", "UpdateItem", "UpdateItem"],
        "two writes a partition"
    );
    let before = world.table.items().await;
    let report = tokio::task::block_in_place(|| world.run()).success();
    assert_eq!(
        (&report["messages_processed"], &report["partitions"]),
        (&json!(0), &json!([]))
    );
    assert_eq!(proxy.take_operations(), ["Query"]);
    assert_eq!(world.table.items().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_shows_what_a_run_would_read_and_writes_nothing() {
    let mut world = World::new("plan", 3).await;
    world.produce(0, 30);
    world.produce(1, 5);
    world.put_offset(1, 4).await;
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    world
        .set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint)
        .set("MAX_MESSAGES", 10);
    let ran = tokio::task::block_in_place(|| world.ran(&["plan", "--output", "json"]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let rows: Vec<_> = ran.json()["partitions"]
        .as_array()
        .expect("partitions")
        .iter()
        .map(|row| {
            (
                row["from"].clone(),
                row["to"].clone(),
                row["messages"].clone(),
                row["why"].clone(),
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            (json!(0), json!(30), json!(10), json!("start position")),
            (json!(5), json!(5), json!(0), json!("up to date")),
            (json!(0), json!(0), json!(0), json!("up to date")),
        ]
    );
    assert_eq!(proxy.take_operations(), ["Query"]);
    let table = tokio::task::block_in_place(|| world.ran(&["plan"]));
    assert!(table.stdout.contains("start position"), "{}", table.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_pins_nothing() {
    let mut world = World::new("planlatest", 1).await;
    world.produce(0, 3);
    world.set("START_POSITION", "latest");
    assert_eq!(world.ran(&["plan", "--output", "json"]).code, Some(0));
    assert_eq!(world.table.items().await, []);
}

#[tokio::test]
async fn a_run_of_some_partitions_or_a_shard_reads_no_others() {
    let world = World::new("some", 4).await;
    for partition in 0..4 {
        world.produce(partition, 2);
    }
    let ran = world.ran(&["run", "--output", "json", "--partition", "3"]);
    assert_eq!(ran.success()["last_offsets"], json!({"3": 1}));
    let ran = world.ran(&["run", "--output", "json", "--shard", "2/4"]);
    assert_eq!(ran.success()["last_offsets"], json!({"1": 1}));
    assert_eq!(world.run().success()["last_offsets"], json!({"0": 1, "2": 1}));
}

#[tokio::test]
async fn the_report_is_a_readable_table_by_default() {
    let world = World::new("readable", 1).await;
    world.produce(0, 3);
    let ran = world.ran(&["run"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("3 records in "), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("caught up · lag 0") && ran.stdout.contains("last processed"),
        "{}",
        ran.stdout
    );
}

fn signal(pid: u32, name: &str) {
    let done = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status()
        .expect("the program `kill`");
    assert!(done.success());
}

#[tokio::test]
async fn run_every_repeats_until_ctrl_c_and_exits_with_code_0() {
    let world = World::new("every", 1).await;
    world.produce(0, 2);
    let child = world.start(&["run", "--every", "1s", "--output", "json"]);
    while world.offset(0).await != Some(1) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.produce(0, 3);
    while world.offset(0).await != Some(4) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    signal(child.id(), "INT");
    let ran = Ran::new(child.wait_with_output().expect("it ends"), Instant::now());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let processed: Vec<_> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a report")["messages_processed"].clone())
        .filter(|processed| processed != &json!(0))
        .collect();
    assert_eq!(processed, [json!(2), json!(3)]);
}

#[tokio::test]
async fn sigterm_in_the_middle_of_a_run_stores_what_is_settled_and_releases_the_claim() {
    let mut world = World::new("sigterm", 1).await;
    world.set("MAX_MESSAGES", "unlimited");
    let records = crate::support::kafka::values((0..200_000).map(|n| format!("{n}")));
    world.produce_these(0, &records);
    let mut child = world.start(&["run", "--output", "json"]);
    // The log is read on another thread: a full pipe would block the program.
    let mut stderr = child.stderr.take().expect("piped");
    let reader = std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    while world.offset(0).await.is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    signal(child.id(), "TERM");
    let ran = Ran::new(child.wait_with_output().expect("it ends"), Instant::now());
    reader.join().expect("the reader ends").expect("stderr can be read");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = ran.json();
    assert_eq!(report["stop_reason"], "interrupted", "{report}");
    let item = world.table.get_item(&world.consumer_id(), 0).await.expect("an item");
    assert!(!item.contains_key("claim_until"), "{item:?}");
    let processed = report["messages_processed"].as_i64().expect("a count");
    assert!(processed < 200_000);
    assert_eq!(world.offset(0).await, Some(processed - 1));
}

/// P7: a run ends before its deadline, with what is settled stored.
#[tokio::test]
async fn a_run_ends_before_its_time_limit_with_its_progress_saved() {
    let mut world = World::new("deadline", 1).await;
    world.set("MAX_MESSAGES", "unlimited").set("TIME_LIMIT", 2);
    let records = crate::support::kafka::values((0..400_000).map(|n| format!("{n}")));
    world.produce_these(0, &records);
    let child = world.start(&["run", "--output", "json"]);
    let started = Instant::now();
    let ran = Ran::new(child.wait_with_output().expect("it ends"), started);
    assert!(ran.took < Duration::from_secs(4), "{:?}", ran.took);
    let report = ran.success();
    assert_eq!(report["stop_reason"], "deadline", "{report}");
    assert!(report["duration_ms"].as_u64().is_some_and(|ms| ms < 2000), "{report}");
    assert_eq!(
        world.offset(0).await.map(|offset| offset + 1),
        report["messages_processed"].as_i64()
    );
}

#[tokio::test]
async fn table_create_creates_the_table_and_succeeds_if_it_exists() {
    let mut world = World::new("create", 1).await;
    let name = unique("created");
    world.set("DYNAMODB_TABLE", &name);
    let first = world.ran(&["table", "create", "--output", "json"]);
    assert_eq!(
        (first.code, &first.json()["created"]),
        (Some(0), &json!(true)),
        "{first:?}"
    );
    let second = world.ran(&["table", "create"]);
    assert_eq!(second.code, Some(0));
    assert!(second.stdout.contains("exists already"), "{second:?}");
    world.produce(0, 2);
    assert_eq!(world.run().success()["messages_processed"], 2);
    Table::named(&world.endpoint, &name).delete().await;
}
