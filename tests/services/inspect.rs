//! `lag`, `offsets list` and `plan`: what an operator sees, whatever state the system is in.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::support::kafka::{self, Message, unique};
use crate::support::midway::{MORE_THAN_A_PIPE_HOLDS, WAITING};
use crate::support::process;
use crate::support::scripted_dynamodb::{Act, Scripted};
use crate::support::table::number;
use crate::support::world::{Ran, World};

const LAG: [&str; 3] = ["lag", "--output", "json"];
const LIST: [&str; 4] = ["offsets", "list", "--output", "json"];

/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:1";

/// `POLL_TIMEOUT` of these tests, the retries of the SDK, and a busy machine's start.
const SOON: Duration = Duration::from_secs(10);

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

fn looked(world: &World, arguments: &[&str]) -> Value {
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
async fn every_state_is_seen_and_the_two_commands_say_the_same() {
    let world = one_of_each().await;
    let lag = looked(&world, &LAG);
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
    let mut list = looked(&world, &LIST);
    let stored: Vec<Value> = rows(&list).iter().map(|row| row["last_offset"].clone()).collect();
    assert_eq!(json!(stored), json!([9, 3, 0, 3, 1, 99, null, 4]));
    list["at"] = lag["at"].clone();
    assert_eq!(list, lag, "one document");
}

#[tokio::test]
async fn lag_plan_and_run_never_disagree() {
    let world = one_of_each().await;
    let lag = looked(&world, &LAG);
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
    let with_words = |(theirs, ours): (&[Value; 2], &[Value; 2])| ours[1].is_null() || theirs == ours;
    assert!(
        details(&lag).iter().zip(details(&plan).iter()).all(with_words),
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
async fn a_look_reads_the_table_once_and_writes_nothing() {
    let mut world = World::new("looks", 2).await;
    world.produce(0, 3);
    world.set("START_POSITION", "latest");
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    world.set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
    for command in [&LAG[..], &LIST] {
        let document = tokio::task::block_in_place(|| looked(&world, command));
        assert_eq!(
            json!(fields(&document, ["next_offset", "lag", "state", "last_offset"])),
            json!([[3, 0, "new", null], [0, 0, "new", null]]),
            "where a run would begin"
        );
        assert_eq!(proxy.take_seen(), ["Query"]);
    }
    assert_eq!(world.table.items().await, []);
}

#[tokio::test]
async fn a_partition_that_a_run_holds_shows_where_it_is_and_until_when() {
    let mut world = World::new("held", 2).await;
    world.set("MAX_MESSAGES", "unlimited");
    world.produce(0, MORE_THAN_A_PIPE_HOLDS);
    world.produce(1, 3);
    let run = world.midway_on(0).await;
    let until = number(&world.item(0).await, "claim_until");
    let lag = looked(&world, &LAG);
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
    let lag = looked(&world, &LAG);
    assert_eq!(states(&lag), ["ok", "new"]);
}

#[tokio::test]
async fn partitions_and_a_shard_select_rows_and_what_nobody_has_is_a_mistake() {
    let world = World::new("selected", 5).await;
    world.put_offset(9, 4).await;
    let numbers = |document: &Value| json!(fields(document, ["partition"]).concat());
    for command in [&LAG[..], &LIST] {
        let with = |more: &[&'static str]| looked(&world, &[command, more].concat());
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

#[tokio::test]
async fn without_the_brokers_the_cursors_are_shown() {
    let mut world = World::new("nokafka", 2).await;
    world.put_offset(0, 4).await;
    world.put_offset(1, 7).await;
    world.set("KAFKA_BOOTSTRAP_SERVERS", NOWHERE).set("POLL_TIMEOUT", "1.5");
    for command in [&LAG[..], &LIST] {
        let ran = world.ran(command);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.took < SOON, "{:?}", ran.took);
        let document = ran.json();
        assert_eq!(
            json!(fields(&document, ["next_offset", "end_offset", "lag", "state"])),
            json!([[5, null, null, "unknown"], [8, null, null, "unknown"]])
        );
        assert_eq!(
            (&document["lag"], &document["errors"][0]["type"]),
            (&json!(null), &json!("BrokerUnreachable"))
        );
        assert!(last_line(&ran).starts_with("BrokerUnreachable: "), "{ran:?}");
    }
    let table = world.ran(&["lag"]);
    assert!(
        table.stdout.starts_with("lag unknown · 2 partitions: 2 unknown\n"),
        "{table:?}"
    );
}

#[tokio::test]
async fn without_the_table_the_ends_are_shown() {
    let mut world = World::new("notable", 2).await;
    world.produce(0, 4);
    world.set("POLL_TIMEOUT", "1.5");
    let down = |world: &mut World, error_type: &str| {
        let ran = world.ran(&LAG);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.took < SOON, "{:?}", ran.took);
        let document = ran.json();
        assert_eq!(
            json!(fields(&document, ["next_offset", "end_offset", "lag", "state"])),
            json!([[null, 4, null, "unknown"], [null, 0, null, "unknown"]])
        );
        assert_eq!(document["errors"][0]["type"], error_type);
        assert!(last_line(&ran).starts_with(&format!("{error_type}: ")), "{ran:?}");
    };
    world.set("DYNAMODB_TABLE", unique("nosuchtable"));
    down(&mut world, "TableNotFound");
    world.set("AWS_ENDPOINT_URL_DYNAMODB", format!("http://{NOWHERE}"));
    down(&mut world, "TableUnreachable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_says_nothing_gets_no_longer_than_the_brokers() {
    let mut world = World::new("silent", 1).await;
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    proxy.next([Act::Silence, Act::Silence, Act::Silence]);
    world
        .set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint)
        .set("POLL_TIMEOUT", "1.5");
    let ran = tokio::task::block_in_place(|| world.ran(&LAG));
    assert!(ran.took < Duration::from_secs(5), "{:?}", ran.took);
    assert_eq!((ran.code, states(&ran.json())), (Some(1), vec!["unknown"]));
    assert!(
        last_line(&ran).contains("did not respond within 1.5 s (POLL_TIMEOUT)"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn without_both_each_is_named() {
    let mut world = World::new("neither", 1).await;
    world
        .set("AWS_ENDPOINT_URL_DYNAMODB", format!("http://{NOWHERE}"))
        .set("KAFKA_BOOTSTRAP_SERVERS", NOWHERE)
        .set("POLL_TIMEOUT", "1.5");
    let ran = world.ran(&LAG);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let document = ran.json();
    let types: Vec<_> = document["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|it| &it["type"])
        .collect();
    assert_eq!(json!(types), json!(["TableUnreachable", "BrokerUnreachable"]));
    assert_eq!(document["partitions"], json!([]));
}

#[tokio::test]
async fn a_topic_that_does_not_exist_hides_no_other_and_its_cursors_are_shown() {
    let mut world = World::new("there", 1).await;
    world.produce(0, 3);
    let gone = unique("gone");
    world.table.put_cursor(&world.group, &gone, 4, 8).await;
    let both = format!("{gone},{}", world.topic);
    world.set("KAFKA_TOPIC", both).set("POLL_TIMEOUT", "2");
    let ran = world.ran(&LAG);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let document = ran.json();
    let seen = fields(&document, ["topic", "next_offset", "end_offset", "state"]);
    assert_eq!(
        json!(seen),
        json!([[gone, 9, null, "unknown"], [world.topic, 0, 3, "new"]])
    );
    assert!(
        last_line(&ran).starts_with(&format!("UnknownTopic: the topic {gone} ")),
        "{ran:?}"
    );
}

#[tokio::test]
async fn an_item_that_is_no_cursor_is_unknown_and_says_why() {
    let world = World::new("nocursor", 2).await;
    world.put_offset(0, 3).await;
    let text = AttributeValue::S("ten".into());
    world.table.set_attribute(&world.consumer_id(), 0, "offset", text).await;
    let document = looked(&world, &LAG);
    assert_eq!(states(&document), ["unknown", "new"]);
    let detail = rows(&document)[0]["detail"].as_str().expect("a detail");
    assert!(detail.contains("offset"), "{detail}");
}

#[tokio::test]
async fn a_watch_writes_a_document_a_look_until_ctrl_c_and_survives_a_table_that_goes() {
    let world = World::new("watch", 1).await;
    world.produce(0, 3);
    let mut child = world.start(&["lag", "--watch", "1", "--output", "json"]);
    let mut lines = process::lines(child.stdout.take().expect("piped"));
    let mut document = || serde_json::from_str::<Value>(&lines.next().expect("it goes on")).expect("a document");
    assert_eq!(document()["lag"], 3);
    world.run().success();
    while document()["lag"] != 0 {}
    world.table.delete().await;
    while document()["errors"][0]["type"] != "TableNotFound" {}
    process::signal(child.id(), "INT");
    let ran = Ran::new(child.wait_with_output().expect("it ends"), Instant::now());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("TableNotFound: "), "{ran:?}");
}

#[tokio::test]
async fn a_watch_without_a_terminal_appends_tables_with_the_time_and_the_pace() {
    let world = World::new("watched", 1).await;
    world.produce(0, 3);
    let mut child = world.start(&["lag", "--watch", "1"]);
    let mut lines = process::lines(child.stdout.take().expect("piped"));
    let mut sums = || loop {
        let line = lines.next().expect("it goes on");
        if line.contains(" lag ") && line.contains("partition:") {
            return line;
        }
    };
    assert!(sums().ends_with("  lag 3 · 1 partition: 1 new"));
    world.produce(0, 3_000);
    let mut line = sums();
    while !line.contains("(+") {
        line = sums();
    }
    assert!(
        line.ends_with("/s) · 1 partition: 1 new") && !line.contains('\u{1b}'),
        "{line}"
    );
    process::signal(child.id(), "TERM");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[tokio::test]
async fn as_many_runs_as_the_plan_says_catch_up_and_no_fewer() {
    let mut world = World::new("runs", 3).await;
    world.set("MAX_MESSAGES", 10);
    for (partition, count) in [(0, 33), (1, 1), (2, 9)] {
        world.produce(partition, count);
    }
    world.put_offset(0, 2).await;
    let planned = |world: &World| world.ran(&["plan", "--output", "json"]).json()["runs_to_catch_up"].clone();
    let runs = planned(&world).as_u64().expect("a number");
    assert_eq!(runs, 4, "40 records by 10");
    assert!(
        world
            .ran(&["plan"])
            .stdout
            .starts_with("a run would read up to 10 records · 4 runs to catch up\n"),
        "as a table"
    );
    for left in (0..runs).rev() {
        let report = world.run().success();
        assert_eq!(report["lag"] == json!(0), left == 0, "{report}");
        assert_eq!(planned(&world), left);
    }
    assert!(
        world
            .ran(&["plan"])
            .stdout
            .starts_with("a run would read up to 0 records · nothing to read now\n")
    );
}

#[tokio::test]
async fn a_plan_for_a_partition_that_nobody_has_is_a_mistake() {
    let world = World::new("planned", 1).await;
    let ran = world.ran(&["plan", "--partition", "5"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(last_line(&ran).starts_with("InvalidEvent: partition 5 "), "{ran:?}");
}
