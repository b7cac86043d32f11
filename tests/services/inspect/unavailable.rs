//! Without the brokers, the table, a topic, or a valid item: the rest is shown.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use super::{LAG, LIST, fields, inspected, last_line, rows, states};
use crate::support::kafka::unique;
use crate::support::scripted_dynamodb::{Act, Scripted};
use crate::support::world::World;

/// No program listens there.
const NOWHERE: &str = "127.0.0.1:1";

/// `POLL_TIMEOUT` of these tests, the retries of the SDK, and the start on a busy machine.
const SOON: Duration = Duration::from_secs(10);

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
async fn a_table_that_does_not_respond_gets_no_longer_than_the_brokers() {
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
    let missing = unique("missing");
    world.table.put_cursor(&world.group, &missing, 4, 8).await;
    let both = format!("{missing},{}", world.topic);
    world.set("KAFKA_TOPIC", both).set("POLL_TIMEOUT", "2");
    let ran = world.ran(&LAG);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let document = ran.json();
    let shown = fields(&document, ["topic", "next_offset", "end_offset", "state"]);
    assert_eq!(
        json!(shown),
        json!([[missing, 9, null, "unknown"], [world.topic, 0, 3, "new"]])
    );
    assert!(
        last_line(&ran).starts_with(&format!("UnknownTopic: the topic {missing} ")),
        "{ran:?}"
    );
}

#[tokio::test]
async fn an_item_that_is_no_cursor_is_shown_as_unknown_with_the_cause() {
    let world = World::new("nocursor", 2).await;
    world.put_offset(0, 3).await;
    let text = AttributeValue::S("ten".into());
    world.table.set_attribute(&world.consumer_id(), 0, "offset", text).await;
    let document = inspected(&world, &LAG);
    assert_eq!(states(&document), ["unknown", "new"]);
    let detail = rows(&document)[0]["detail"].as_str().expect("a detail");
    assert!(detail.contains("offset"), "{detail}");
}
