//! `backfill list`, and wrong usage.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use super::arguments;
use crate::support::scripted_dynamodb::{Act, Scripted};
use crate::support::table::five_attributes;
use crate::support::world::World;

#[tokio::test]
async fn all_backfills_of_the_group_and_topic_are_listed_and_no_others() {
    let world = World::new("list", 2).await;
    world.produce(0, 10);
    world.produce(1, 10);
    world.run().success();
    let none = world.ran(&["backfill", "list", "--output", "json"]);
    assert_eq!((none.code, none.json()), (Some(0), json!({"backfills": []})));
    assert!(world.ran(&["backfill", "list"]).stdout.contains("has no backfill"));

    world.backfill("b-done", "earliest", "latest").done();
    let half = [arguments("a-half", "0:0,1:4", "latest"), vec!["--max-messages", "4"]].concat();
    world.ran(&half).success();
    // A key with the same beginning, of another group.
    let mut alike = five_attributes(&format!("{}_{}#x", world.group, world.topic), "t", 0, 5);
    let key = AttributeValue::S(world.backfill_id("x_t"));
    alike.insert("consumer_id".to_owned(), key);
    world.table.put_item(alike).await;

    let listed = world.ran(&["backfill", "list", "--output", "json"]).json();
    let row = |partition, from, next, state| {
        json!({"partition": partition, "from": from, "to": 10, "next_offset": next, "to_go": 10 - next,
               "state": state})
    };
    let topic = &world.topic;
    assert_eq!(
        listed,
        json!({"backfills": [
            {"name": "a-half", "topic": topic, "from": {"0": 0, "1": 4}, "to": "latest", "state": "open",
             "percent": 25, "to_go": 12, "partitions": [row(0, 0, 2, "open"), row(1, 4, 6, "open")]},
            {"name": "b-done", "topic": topic, "from": "earliest", "to": "latest", "state": "done",
             "percent": 100, "to_go": 0, "partitions": [row(0, 0, 10, "done"), row(1, 0, 10, "done")]},
        ]})
    );
    let table = world.ran(&["backfill", "list"]).stdout;
    assert!(
        table.contains("a-half") && table.contains("25%") && table.contains("open"),
        "{table}"
    );
}

#[tokio::test]
async fn claimed_paused_and_blocked_partitions_are_distinguished() {
    let world = World::new("states", 1).await;
    world.produce_these(0, &crate::support::kafka::values(["1", "{broken"]));
    world.backfill("b", "earliest", "latest").failure("PartitionBlocked", 3);
    let state = async |name: &str, value: Option<AttributeValue>| {
        if let Some(value) = value {
            world.table.set_attribute(&world.backfill_id("b"), 0, name, value).await;
        }
        let listed = world.ran(&["backfill", "list", "--output", "json"]).json();
        listed["backfills"][0]["state"].clone()
    };
    assert_eq!(state("", None).await, "blocked");
    let soon = (jiff::Timestamp::now().as_millisecond() + 60_000).to_string();
    assert_eq!(state("claim_until", Some(AttributeValue::N(soon))).await, "claimed");
    assert_eq!(state("paused", Some(AttributeValue::Bool(true))).await, "paused");
    assert_eq!(
        state("backfill_to", Some(AttributeValue::S("x".into()))).await,
        "invalid"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_to_scan_is_named() {
    let mut world = World::new("denied", 1).await;
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    world.set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
    proxy.next([Act::error(
        400,
        "AccessDeniedException",
        "User: arn:x is not authorized",
    )]);
    let ran = tokio::task::block_in_place(|| world.ran(&["backfill", "list"]));
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("Allow dynamodb:Scan on the table"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn a_missing_table_is_named() {
    let mut world = World::new("nolist", 1).await;
    world.set("DYNAMODB_TABLE", "no-such-table");
    let ran = world.ran(&["backfill", "list"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("TableNotFound: "), "{}", ran.stderr);
}
