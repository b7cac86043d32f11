//! What is in the table.

use aws_sdk_dynamodb::types::{AttributeValue, ScalarAttributeType};
use serde_json::json;

use super::{View, upsert};
use crate::support::kafka::{self, Message};
use crate::support::table::Item;

fn n(number: &str) -> serde_json::Value {
    json!({"N": number})
}

/// The six records of docs/DESTINATIONS.md.
#[tokio::test(flavor = "multi_thread")]
async fn the_table_holds_the_newest_value_of_each_key_and_a_marker_of_a_deleted_one() {
    let order = |value: &str, key: &str| Message::value(value).key(key);
    let view = View::with(&[
        order(r#"{"id":"c1","name":"Ada","tier":1}"#, "c1"),
        order(r#"{"id":"c2","name":"Bob","tier":1}"#, "c2"),
        order(r#"{"id":"c1","name":"Ada","tier":2,"address":{"city":"Paris"}}"#, "c1"),
        Message::tombstone("c2"),
        order(r#"{"name":"Eve","tier":1}"#, "c3"),
        order(r#"{"id":"c1","name":"Ada L.","address":null}"#, "c1"),
    ])
    .await;
    let report = view.run().success();
    assert_eq!(report["messages_processed"], 6);
    let mut items = view.items().await;
    let expires_at = items["c2"]["kafka_expires_at"]["N"].as_str().expect("a number").parse();
    let in_29_days = jiff::Timestamp::now().as_second() + 29 * 24 * 3600;
    assert!(expires_at.is_ok_and(|at: i64| at > in_29_days));
    items
        .get_mut("c2")
        .and_then(|it| it.as_object_mut()?.remove("kafka_expires_at"));
    let guard = |offset| (n("0"), n(offset));
    let expected = [
        ("c1", json!({"id": "c1", "name": "Ada L.", "address": null}), guard("5")),
        ("c2", json!({"id": "c2", "kafka_deleted": true}), guard("3")),
        ("c3", json!({"id": "c3", "name": "Eve", "tier": n("1")}), guard("4")),
    ];
    for (id, mut item, (partition, offset)) in expected {
        item["kafka_partition"] = partition;
        item["kafka_offset"] = offset;
        assert_eq!(items.remove(id), Some(item), "{id}");
    }
    assert!(items.is_empty(), "{items:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_keep_38_digits_and_nested_values_their_shape() {
    let longest = "1234567890.1234567890123456789012345678";
    let value = format!(
        r#"{{"id":"a","large":9007199254740993,"long":{longest},"exponent":-1.5e100,"least":1e-130,"empty":"",
            "list":[],"map":{{}},"deep":{{"a":[1,{{"b":[true,null,"ü"]}}]}},"twice":1,"twice":2}}"#
    );
    let view = View::with(&[Message::value(value)]).await;
    view.run().success();
    let item = view.items().await.remove("a").expect("an item");
    let zeros = |count: usize| "0".repeat(count);
    let expected = json!({
        "id": "a", "kafka_partition": n("0"), "kafka_offset": n("0"),
        "large": n("9007199254740993"), "long": n(longest), "exponent": n(&format!("-15{}", zeros(99))),
        "least": n(&format!("0.{}1", zeros(129))), "empty": "", "list": [], "map": {},
        "deep": {"a": [n("1"), {"b": [true, null, "ü"]}]}, "twice": n("2"),
    });
    assert_eq!(item, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_two_key_attributes_gets_them_from_the_value_or_from_a_json_key() {
    let keys = [("id", ScalarAttributeType::S), ("at", ScalarAttributeType::N)];
    let view = View::keyed(1, &keys).await;
    let key = |at: i64| json!({"at": at, "id": "a"}).to_string();
    view.world.produce_these(
        0,
        &[
            Message::value(r#"{"id":"a","at":1.0,"v":1}"#),
            Message::value(r#"{"v":2}"#).key(key(2)),
            Message::value(r#"{"id":"a","at":10e-1,"v":3}"#),
            Message::tombstone(key(2)),
        ],
    );
    view.run().success();
    let mut items = view.raw().await;
    items.sort_by_key(|item| item["at"].as_n().cloned().ok());
    assert_eq!(items.len(), 2, "{items:?}");
    assert_eq!(items[0]["v"], AttributeValue::N("3".into()));
    assert_eq!(items[1]["kafka_deleted"], AttributeValue::Bool(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_attribute_that_is_a_number_is_the_text_of_the_record_s_key() {
    let view = View::keyed(1, &[("id", ScalarAttributeType::N)]).await;
    let records = [
        Message::value(r#"{"v":1}"#).key("17"),
        Message::value(r#"{"v":2}"#).key("17.0"),
    ];
    view.world.produce_these(0, &records);
    view.run().success();
    let items = view.raw().await;
    assert_eq!(items.len(), 1, "{items:?}");
    assert_eq!(
        (&items[0]["id"], &items[0]["v"]),
        (&AttributeValue::N("17".into()), &AttributeValue::N("2".into()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_without_the_guard_is_replaced_and_one_with_a_guard_that_is_no_number_is_not() {
    let mut view = View::with(&[upsert("by-hand", 1), upsert("broken", 1)]).await;
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let item = |id: &str| Item::from([("id".to_owned(), text(id)), ("old".to_owned(), text("x"))]);
    view.table.put_item(item("by-hand")).await;
    let mut broken = item("broken");
    broken.insert("kafka_topic".into(), text(&view.world.topic));
    broken.insert("kafka_partition".into(), AttributeValue::N("0".into()));
    broken.insert("kafka_offset".into(), text("x"));
    view.table.put_item(broken.clone()).await;
    let report = view.skip_at_once().run().success();
    let reason = report["skipped"][0]["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("kafka_offset or kafka_timestamp that is no whole number"),
        "{reason}"
    );
    let items = view.raw().await;
    assert!(items.contains(&broken), "{items:?}");
    let replaced = items
        .iter()
        .find(|item| item["id"] == text("by-hand"))
        .expect("it is there");
    assert!(
        !replaced.contains_key("old") && replaced.contains_key("kafka_offset"),
        "{replaced:?}"
    );
}

/// Its offsets begin at 0 again: the guard cannot distinguish its records from old ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_created_again_is_warned_of() {
    let mut view = View::with(&[upsert("a", 1), upsert("a", 2), upsert("a", 3)]).await;
    view.run().success();
    let (bootstrap, topic) = (view.world.bootstrap.clone(), view.world.topic.clone());
    tokio::task::block_in_place(|| {
        kafka::delete_topic(&bootstrap, &topic);
        kafka::create_topic(&bootstrap, &topic, 1, &[]);
    });
    view.world.produce_these(0, &[upsert("a", 4), upsert("b", 5)]);
    view.world.set("ON_TRUNCATION", "earliest");
    let ran = view.run();
    ran.success();
    let warning = "its item has a higher offset of the same partition and an earlier timestamp";
    assert_eq!(ran.stderr.matches(warning).count(), 1, "{}", ran.stderr);
    assert_eq!(view.values().await, [("a".to_owned(), 3), ("b".to_owned(), 5)].into());
}
