//! Whole runs over items of arbitrary attributes.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use kafka_consumer_lambda::clock::{Deadline, SystemClock};
use kafka_consumer_lambda::dead_letter::target::DeadLetters;
use kafka_consumer_lambda::embedded::EmbeddedDynamoDb;
use kafka_consumer_lambda::event::{Request, RunRequest};
use kafka_consumer_lambda::invoke::{Interrupt, Parts, invoke};
use kafka_consumer_lambda::source::kafka::KafkaSource;
use kafka_consumer_lambda::store::dynamodb::DynamoStore;
use kafka_consumer_lambda::store::{Consumer, Store};
use kafka_consumer_lambda::{Record, each};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::Value;
use tokio::sync::watch;

use super::{World, security};
use crate::store::item::{Item, any_item};

const PARTITIONS: u16 = 12;
const RUNS: usize = 12;

fn attribute(value: &Value) -> AttributeValue {
    let (kind, value) = value.as_object().expect("a type").iter().next().expect("a value");
    let text = value.as_str().unwrap_or_default().to_owned();
    match kind.as_str() {
        "N" => AttributeValue::N(text),
        "S" => AttributeValue::S(text),
        "BOOL" => AttributeValue::Bool(*value == Value::Bool(true)),
        "NULL" => AttributeValue::Null(true),
        "L" => AttributeValue::L(vec![]),
        "M" => AttributeValue::M([].into()),
        "B" => AttributeValue::B(Blob::new([0, 1])),
        "NS" => AttributeValue::Ns(vec!["1".to_owned()]),
        _ => AttributeValue::Ss(vec!["x".to_owned()]),
    }
}

async fn put(dynamodb: &EmbeddedDynamoDb, key: &str, partition: i32, item: &Item) {
    let mut request = dynamodb.client().put_item().table_name("cursors");
    for (name, value) in item {
        request = request.item(name, attribute(value));
    }
    request = request.item("consumer_id", AttributeValue::S(key.to_owned()));
    request = request.item("partition", AttributeValue::N(partition.to_string()));
    request.send().await.expect("an item");
}

/// P6: an item that is not a valid cursor stops its partition, and no other. P9: the other partitions go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_over_any_items_reads_a_partition_or_names_its_item() {
    let world = World::new(1, PARTITIONS, 2).await;
    let dynamodb = EmbeddedDynamoDb::start().await.expect("the embedded DynamoDB starts");
    let store = DynamoStore::new(dynamodb.client(), "cursors");
    store.create_table().await.expect("a table");
    let mut runner = TestRunner::default();
    for run in 0..RUNS {
        let group = format!("g{run}");
        let config = world.config(&[("KAFKA_GROUP_ID", &group), ("ON_TRUNCATION", "earliest")]);
        let consumer = Consumer {
            group_id: group.into(),
            ..super::consumer()
        };
        for partition in 0..i32::from(PARTITIONS) {
            let item = any_item().new_tree(&mut runner).expect("an item").current();
            put(&dynamodb, &consumer.to_string(), partition, &item).await;
        }
        let before = store.load(&consumer).await.expect("all are read");
        let parts: Parts<(_, _, _, _, _)> = Parts {
            dead_letters: DeadLetters::new(&config, &security(&config)),
            source: KafkaSource::new(&config, security(&config)),
            config: Arc::new(config),
            store: store.clone(),
            processor: each(|_: Record| async { Ok(()) }),
            clock: SystemClock,
        };
        let deadline = Deadline::after(Duration::from_secs(20), &SystemClock);
        let (_sender, interrupt) = watch::channel(Interrupt::No);
        let invoked = invoke(&parts, &Request::Run(RunRequest::default()), deadline, interrupt).await;
        let invoked = invoked.expect("a run always has a report");
        let after = store.load(&consumer).await.expect("all are read");
        let report = serde_json::to_value(&invoked.response).expect("JSON");
        let named = report["error"]["message"].as_str().unwrap_or_default();
        for (stored, after) in before.iter().zip(&after) {
            let number = stored.partition.to_string();
            match &stored.cursor {
                Err(_) => {
                    assert_eq!(after, stored, "it was written");
                    assert!(report["last_offsets"].get(&number).is_none(), "{report}");
                    assert_eq!(report["status"], "failed", "{report}");
                }
                Ok(cursor) if !cursor.paused && cursor.failure.is_none() && cursor.claim_until_ms.is_none() => {
                    let next = after.cursor.as_ref().expect("it is still a cursor").next;
                    assert_eq!(next.get(), 2, "partition {number} was not read: {stored:?}, {report}");
                }
                Ok(_) => {}
            }
        }
        let first_invalid = before.iter().find_map(|stored| stored.cursor.as_ref().err());
        if report["error"]["type"] == "InvalidCursor" {
            let first = first_invalid.expect("one is invalid");
            assert!(named.contains(&first.to_string()), "{first} is not named: {named}");
        }
    }
}
