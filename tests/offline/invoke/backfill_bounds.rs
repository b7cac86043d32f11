//! Backfills that name very many partitions, and by times that are out of order.

use std::sync::Arc;
use std::time::Duration;

use kafka_consumer_lambda::claim::{Bounds, Cursor};
use kafka_consumer_lambda::clock::{Deadline, SystemClock};
use kafka_consumer_lambda::config::Config;
use kafka_consumer_lambda::event::{BackfillRequest, Bound, Request};
use kafka_consumer_lambda::invoke::{Interrupt, Parts, invoke};
use kafka_consumer_lambda::processor::dead_letters::DeadLetters;
use kafka_consumer_lambda::record::NextOffset;
use kafka_consumer_lambda::store::Consumer;
use kafka_consumer_lambda::{Record, each};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::{Seen, Table};
use crate::support::paper_kafka::PaperKafka;

const PARTITIONS: i32 = 2_000;

/// `{"0":1,"1":1, ...}`, as it is typed.
fn from(changed: &[(i32, i64)]) -> String {
    let mut offsets: Map<String, Value> = (0..PARTITIONS)
        .map(|partition| (partition.to_string(), 1.into()))
        .collect();
    for (partition, next) in changed {
        offsets.insert(partition.to_string(), (*next).into());
    }
    Value::from(offsets).to_string()
}

fn request(from: &str) -> BackfillRequest {
    let from = from.parse().expect("offsets by partition");
    BackfillRequest::new("b".parse().expect("a name"), from, Bound::Latest, None).expect("the bounds fit")
}

fn its_consumer() -> Consumer {
    Consumer {
        group_id: "g".into(),
        topic: "t".into(),
        backfill: Some("b".into()),
    }
}

/// One invocation on a topic with two records in each partition.
async fn backfill(table: &Table, request: BackfillRequest) -> Value {
    let kafka = PaperKafka::new("t", PARTITIONS, 2, "1");
    backfill_of(kafka, table, request, "unlimited").await.0
}

/// One invocation, and the offsets that its handler saw.
async fn backfill_of(
    kafka: PaperKafka,
    table: &Table,
    request: BackfillRequest,
    max_messages: &str,
) -> (Value, Vec<i64>) {
    let settings = [
        ("KAFKA_TOPIC", "t"),
        ("KAFKA_GROUP_ID", "g"),
        ("MAX_MESSAGES", max_messages),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let seen = Seen::default();
    let noted = seen.clone();
    let parts = Parts {
        dead_letters: DeadLetters::None,
        config: Arc::new(Config::from_lookup(settings).expect("settings")),
        store: table,
        source: kafka,
        processor: each(move |record: Record| {
            noted.note(record.offset);
            async { Ok(()) }
        }),
        clock: SystemClock,
    };
    let (_sender, interrupt) = watch::channel(Interrupt::No);
    let deadline = Deadline::after(Duration::from_mins(2), &SystemClock);
    let invoked = invoke(&parts, &Request::Backfill(request), deadline, interrupt).await;
    let answer = invoked.expect("it fits the settings").answer;
    (serde_json::to_value(answer).expect("JSON"), seen.offsets())
}

fn stored(table: &Table, partition: i32) -> Arc<Bounds> {
    let cursor = table.inner.get(&its_consumer(), partition).expect("an item");
    cursor.backfill.expect("bounds")
}

#[tokio::test]
async fn an_item_is_small_whatever_the_backfill_names_and_other_bounds_are_still_refused() {
    let table = Table::default();
    let report = backfill(&table, request(&from(&[]))).await;
    assert_eq!(
        (&report["done"], &report["messages_processed"]),
        (&json!(true), &json!(PARTITIONS)),
        "{report}"
    );
    for partition in [0, 999, 1_999] {
        let asked = stored(&table, partition).asked.clone();
        assert!(asked.len() < 500, "{} bytes: {asked}", asked.len());
    }
    let again = backfill(&table, request(&from(&[]))).await;
    assert_eq!(
        (&again["done"], &again["messages_processed"]),
        (&json!(true), &json!(0))
    );

    let other = backfill(&table, request(&from(&[(1_234, 0)]))).await;
    let message = other["error"]["message"].as_str().unwrap_or_default();
    assert_eq!(other["error"]["type"], "InvalidEvent", "{other}");
    assert!(message.contains("`from` was {\"partitions\":2000,"), "{message}");
    assert!(message.len() < 1_000, "{message}");
    assert_eq!(other["messages_processed"], 0);
}

/// P10: stopped at any point, it goes on where it was.
#[tokio::test]
async fn a_backfill_whose_items_name_every_partition_goes_on() {
    let table = Table::default();
    let whole = format!("{{\"from\":{},\"to\":\"latest\"}}", from(&[]));
    for partition in 0..PARTITIONS {
        let cursor = Cursor {
            next: NextOffset::new(1).expect("an offset"),
            backfill: Some(Arc::new(Bounds {
                from: NextOffset::new(1).expect("an offset"),
                to: NextOffset::new(2).expect("an offset"),
                asked: whole.clone(),
            })),
            ..Cursor::default()
        };
        table.inner.put(&its_consumer(), partition, cursor);
    }
    let other = backfill(&table, request(&from(&[(7, 0)]))).await;
    assert_eq!(other["error"]["type"], "InvalidEvent", "{other}");
    let report = backfill(&table, request(&from(&[]))).await;
    assert_eq!(
        (&report["done"], &report["messages_processed"]),
        (&json!(true), &json!(PARTITIONS)),
        "{report}"
    );
}
