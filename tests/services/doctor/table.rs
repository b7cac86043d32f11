//! The table, its cursors, and AWS's clock.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};

use super::{fails, reports, skipped};
use crate::support::kafka::{self, unique};
use crate::support::scripted_dynamodb::{Act, Scripted};
use crate::support::table;
use crate::support::world::World;

#[tokio::test]
async fn a_missing_table_is_reported_once_and_kafka_is_still_checked() {
    let mut world = World::new("notable", 1).await;
    world.set("DYNAMODB_TABLE", unique("nosuchtable"));
    let (checks, _) = world.doctor(1);
    assert_eq!(checks.wrong(), [("table", "TableNotFound")]);
    fails(
        checks.one("table"),
        "TableNotFound",
        "there is no table",
        "kafka-consumer table create",
    );
    skipped(checks.one("table_rights"), "the table did not respond");
    assert_eq!(checks.one("topic")["status"], "ok");
    reports(checks.on("clock", "AWS"), "within a second", "");
}

#[tokio::test]
async fn a_table_with_other_keys_is_reported() {
    let mut world = World::new("keys", 1).await;
    let name = unique("otherkeys");
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
    let defined = AttributeDefinition::builder()
        .attribute_name("id")
        .attribute_type(ScalarAttributeType::S);
    table::client(&world.endpoint)
        .create_table()
        .table_name(&name)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(key.build().expect("a key"))
        .attribute_definitions(defined.build().expect("an attribute"))
        .send()
        .await
        .expect("a table");
    world.set("DYNAMODB_TABLE", name);
    let (checks, _) = world.doctor(1);
    assert_eq!(checks.wrong(), [("table", "TableNotFound")]);
    fails(
        checks.one("table"),
        "TableNotFound",
        "are not consumer_id (S) and partition (N)",
        "table create",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_named_and_each_is_verified_without_a_write() {
    let mut world = World::new("rights", 1).await;
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    let denied = || Act::error(400, "AccessDeniedException", "User: arn:x is not authorized");
    proxy.always("UpdateItem", denied());
    world.set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
    let (checks, _) = tokio::task::block_in_place(|| world.doctor(1));
    assert_eq!(checks.wrong(), [("table_rights", "TableUnreachable")]);
    let next = "Allow dynamodb:UpdateItem on the table";
    fails(
        checks.one("table_rights"),
        "TableUnreachable",
        "this role may not dynamodb:UpdateItem",
        next,
    );
    let mut seen = proxy.take_operations();
    seen.sort();
    assert_eq!(seen, ["GetItem", "Query", "Query", "UpdateItem"]);
    proxy.always("Query", denied());
    let (checks, _) = tokio::task::block_in_place(|| world.doctor(1));
    assert_eq!(checks.one("table")["status"], "ok", "GetItem was allowed");
    reports(
        checks.one("table_rights"),
        "may not dynamodb:Query, dynamodb:UpdateItem",
        "",
    );
    skipped(checks.one("cursors"), "the table cannot be read");
    assert_eq!(world.table.items().await, []);
}

#[tokio::test]
async fn cursors_are_counted_and_what_blocks_them_is_reported() {
    let mut world = World::new("cursors", 4).await;
    for partition in 0..4 {
        world.produce(partition, 10);
        world.put_offset(partition, 3).await;
    }
    let set = async |partition, name: &str, value| {
        world
            .table
            .set_attribute(&world.consumer_id(), partition, name, value)
            .await;
    };
    set(1, "paused", AttributeValue::Bool(true)).await;
    let (checks, _) = world.doctor(0);
    let cursors = checks.one("cursors");
    reports(cursors, "4 cursors; 4 partitions: 3 ok, 1 paused; lag 24", "");
    world.put_offset(2, 99).await;
    let (checks, _) = world.doctor(1);
    fails(
        checks.one("cursors"),
        "Truncated",
        "2 ok, 1 paused, 1 truncated",
        "ON_TRUNCATION",
    );
    world.set("ON_TRUNCATION", "earliest");
    let (checks, _) = world.doctor(0);
    assert_eq!(checks.wrong(), [("cursors", "warning")]);
    let set = async |partition, name: &str, value| {
        world
            .table
            .set_attribute(&world.consumer_id(), partition, name, value)
            .await;
    };
    set(3, "offset", AttributeValue::S("ten".into())).await;
    let (checks, _) = world.doctor(1);
    fails(checks.one("cursors"), "InvalidCursor", "1 unknown", "Correct the item");
}

#[tokio::test]
async fn a_blocked_record_fails_the_check_and_its_value_is_not_shown() {
    let world = World::new("blocked", 1).await;
    world.produce_these(0, &[kafka::Message::value("planted-value")]);
    world.run().failure("PartitionBlocked", 3);
    let (checks, ran) = world.doctor(1);
    fails(
        checks.one("cursors"),
        "PartitionBlocked",
        "1 blocked; lag 1",
        "the next run tries again",
    );
    assert!(
        !ran.stdout.contains("planted-value") && !ran.stderr.contains("planted-value"),
        "{ran:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_differs_from_aws_is_reported() {
    let mut world = World::new("clock", 1).await;
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    proxy.always("GetItem", Act::Respond(200, "{}".into()));
    proxy.always(
        "UpdateItem",
        Act::error(400, "ConditionalCheckFailedException", "The conditional request failed"),
    );
    world.set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
    let dated = |seconds: i64| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
        proxy.date(&at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
        tokio::task::block_in_place(|| world.doctor(i32::from(seconds.abs() > 300)))
    };
    let (checks, _) = dated(60);
    assert_eq!(checks.wrong(), [("clock", "warning")]);
    reports(checks.on("clock", "AWS"), "s behind AWS's", "NTP");
    let (checks, _) = dated(-600);
    fails(checks.on("clock", "AWS"), "TableUnreachable", "s ahead of AWS's", "NTP");
}
