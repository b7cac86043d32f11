//! `lag`, `offsets list` and `plan`: their output in every state of the system.

mod plan;
mod unavailable;
mod watch;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::support::kafka::{self, Message};
use crate::support::midway::{MORE_THAN_A_PIPE_HOLDS, WAITING};
use crate::support::scripted_dynamodb::Scripted;
use crate::support::table::number;
use crate::support::world::{Ran, World};

const LAG: [&str; 3] = ["lag", "--output", "json"];
const LIST: [&str; 4] = ["offsets", "list", "--output", "json"];

fn rows(document: &Value) -> &Vec<Value> {
    document["partitions"].as_array().expect("partitions")
}

/// Some fields of each partition, in order.
fn fields<const N: usize>(document: &Value, names: [&str; N]) -> Vec<[Value; N]> {
    let row = |row: &Value| names.map(|name| row[name].clone());
    rows(document).iter().map(row).collect()
}

fn states(document: &Value) -> Vec<&str> {
    rows(document)
        .iter()
        .map(|row| row["state"].as_str().expect("a state"))
        .collect()
}

fn inspected(world: &World, arguments: &[&str]) -> Value {
    let ran = world.ran(arguments);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let document = ran.json();
    assert_eq!(document["errors"], json!([]));
    document
}

fn last_line(ran: &Ran) -> &str {
    ran.stderr.lines().last().unwrap_or_default()
}

/// Partition by partition: up to date, behind, blocked, paused, lost, truncated, new, and an
/// item of a partition that the topic does not have.
async fn one_of_each() -> World {
    let mut world = World::new("states", 7).await;
    world.set("ON_RETENTION_LOSS", "halt");
    for partition in [0, 1, 3, 4, 5, 6] {
        world.produce(partition, 10);
    }
    world.produce_these(2, &[Message::value("1"), Message::value("{planted")]);
    world.ran(&["run", "--partition", "0", "--partition", "2"]);
    world.put_offset(1, 3).await;
    world.put_offset(3, 3).await;
    let paused = AttributeValue::Bool(true);
    world
        .table
        .set_attribute(&world.consumer_id(), 3, "paused", paused)
        .await;
    kafka::delete_records(&world.bootstrap, &world.topic, 4, 6);
    world.put_offset(4, 1).await;
    world.put_offset(5, 99).await;
    world.put_offset(9, 4).await;
    world
}

#[tokio::test]
async fn every_state_is_shown_and_the_two_commands_agree() {
    let world = one_of_each().await;
    let lag = inspected(&world, &LAG);
    let expected = json!([
        [0, 10, 10, 0, "ok"],
        [1, 4, 10, 6, "ok"],
        [2, 1, 2, 1, "blocked"],
        [3, 4, 10, 6, "paused"],
        [4, 2, 10, 8, "lost"],
        [5, 100, 10, 0, "truncated"],
        [6, 0, 10, 10, "new"],
        [9, 5, null, null, "truncated"],
    ]);
    let names = ["partition", "next_offset", "end_offset", "lag", "state"];
    assert_eq!(json!(fields(&lag, names)), expected);
    assert_eq!(lag["lag"], 31);
    assert_eq!(rows(&lag)[4]["earliest_offset"], 6);
    let blocked = &rows(&lag)[2]["blocked"];
    assert_eq!(
        (&blocked["offset"], &blocked["attempts"]),
        (&json!(1), &json!(1)),
        "{blocked}"
    );
    assert_eq!(blocked["next_try_at"], number(&world.item(2).await, "next_try_at"));
    let mut list = inspected(&world, &LIST);
    let stored: Vec<Value> = rows(&list).iter().map(|row| row["last_offset"].clone()).collect();
    assert_eq!(json!(stored), json!([9, 3, 0, 3, 1, 99, null, 4]));
    list["at"] = lag["at"].clone();
    assert_eq!(list, lag, "one document");
}

#[tokio::test]
async fn lag_plan_and_run_agree() {
    let world = one_of_each().await;
    let lag = inspected(&world, &LAG);
    let plan = world.ran(&["plan", "--output", "json"]).json();
    let why: Vec<Value> = rows(&plan).iter().map(|row| row["why"].clone()).collect();
    assert_eq!(
        json!(why),
        json!([
            "up to date",
            "resumed",
            "backing off",
            "paused",
            "lost to retention",
            "truncated",
            "start position",
            "truncated"
        ])
    );
    let detail = rows(&plan)[2]["detail"].as_str().expect("a detail");
    assert!(
        detail.starts_with("offset 1 failed 1 time, tried again after 20"),
        "{detail}"
    );
    let details = |document| fields(document, ["partition", "detail"]);
    let has_details = |(theirs, ours): (&[Value; 2], &[Value; 2])| ours[1].is_null() || theirs == ours;
    assert!(
        details(&lag).iter().zip(details(&plan).iter()).all(has_details),
        "{lag} {plan}"
    );
    let report = world.ran(&["run", "--output", "json"]).json();
    assert_eq!(
        report["last_offsets"],
        json!({"1": 9, "6": 9}),
        "what can be read: {report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inspection_reads_the_table_once_and_writes_nothing() {
    let mut world = World::new("reads", 2).await;
    world.produce(0, 3);
    world.set("START_POSITION", "latest");
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    world.set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
    for command in [&LAG[..], &LIST] {
        let document = tokio::task::block_in_place(|| inspected(&world, command));
        assert_eq!(
            json!(fields(&document, ["next_offset", "lag", "state", "last_offset"])),
            json!([[3, 0, "new", null], [0, 0, "new", null]]),
            "where a run would begin"
        );
        assert_eq!(proxy.take_operations(), ["Query"]);
    }
    assert_eq!(world.table.items().await, []);
}

#[tokio::test]
async fn a_partition_that_a_run_holds_is_shown_with_its_offset_and_the_end_of_its_claim() {
    let mut world = World::new("held", 2).await;
    world.set("MAX_MESSAGES", "unlimited");
    world.produce(0, MORE_THAN_A_PIPE_HOLDS);
    world.produce(1, 3);
    let run = world.midway_on(0).await;
    let until = number(&world.item(0).await, "claim_until");
    let lag = inspected(&world, &LAG);
    let row = &rows(&lag)[0];
    assert_eq!(
        (&row["state"], &row["claim_until"]),
        (&json!("claimed"), &json!(until)),
        "{row}"
    );
    assert_eq!(
        (&row["next_offset"], &row["end_offset"], &row["lag"]),
        (&json!(0), &json!(WAITING), &json!(WAITING))
    );
    assert!(row["run"].is_string() && row["updated_at"].is_number(), "{row}");
    assert_eq!(states(&lag), ["claimed", "new"]);
    let table = world.ran(&["offsets", "list"]);
    assert!(
        table.stdout.contains(&format!("{}-0: claimed: until 20", world.topic)),
        "{}",
        table.stdout
    );
    run.finish().await.success();
    let lag = inspected(&world, &LAG);
    assert_eq!(states(&lag), ["ok", "new"]);
}

#[tokio::test]
async fn partitions_and_a_shard_select_rows_and_an_unknown_partition_is_an_error() {
    let world = World::new("selected", 5).await;
    world.put_offset(9, 4).await;
    let numbers = |document: &Value| json!(fields(document, ["partition"]).concat());
    for command in [&LAG[..], &LIST] {
        let with = |more: &[&'static str]| inspected(&world, &[command, more].concat());
        assert_eq!(numbers(&with(&[])), json!([0, 1, 2, 3, 4, 9]));
        assert_eq!(
            numbers(&with(&["--partition", "9", "--partition", "2", "--partition", "2"])),
            json!([2, 9])
        );
        assert_eq!(numbers(&with(&["--shard", "2/4"])), json!([1, 9]));
        let unknown = world.ran(&[command, &["--partition", "7"]].concat());
        assert_eq!((unknown.code, unknown.stdout.as_str()), (Some(2), ""), "{unknown:?}");
        assert!(
            last_line(&unknown).starts_with("InvalidEvent: partition 7 "),
            "{unknown:?}"
        );
    }
}
