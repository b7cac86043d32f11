//! Backfills that name very many partitions, and by times that are out of order.

use std::sync::Arc;
use std::time::Duration;

use kafka_consumer_lambda::claim::{Bounds, Cursor};
use kafka_consumer_lambda::clock::{Deadline, SystemClock};
use kafka_consumer_lambda::config::Config;
use kafka_consumer_lambda::dead_letter::target::DeadLetters;
use kafka_consumer_lambda::event::{BackfillRequest, Bound, Request};
use kafka_consumer_lambda::invoke::{Interrupt, Parts, invoke};
use kafka_consumer_lambda::record::NextOffset;
use kafka_consumer_lambda::store::Consumer;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::{HandledOffsets, Table};
use crate::support::simulated_kafka::SimulatedKafka;

const PARTITIONS: i32 = 2_000;

/// `{"0":1,"1":1, ...}`, as on the command line.
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
    let kafka = SimulatedKafka::new("t", PARTITIONS, 2, "1");
    backfill_of(kafka, table, request, "unlimited").await.0
}

/// One invocation. Returns its report, and the offsets that its handler got.
async fn backfill_of(
    kafka: SimulatedKafka,
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
    let handled = HandledOffsets::default();
    let parts: Parts<(_, _, _, _, _)> = Parts {
        dead_letters: DeadLetters::None,
        config: Arc::new(Config::from_lookup(settings).expect("settings")),
        store: table,
        source: kafka,
        processor: handled.handler(),
        clock: SystemClock,
    };
    let (_sender, interrupt) = watch::channel(Interrupt::No);
    let deadline = Deadline::after(Duration::from_mins(2), &SystemClock);
    let invoked = invoke(&parts, &Request::Backfill(request), deadline, interrupt).await;
    let response = invoked.expect("it fits the settings").response;
    (serde_json::to_value(response).expect("JSON"), handled.offsets())
}

fn stored(table: &Table, partition: i32) -> Arc<Bounds> {
    let cursor = table.inner.get(&its_consumer(), partition).expect("an item");
    cursor.backfill.expect("bounds")
}

#[tokio::test]
async fn items_of_a_backfill_with_thousands_of_bounds_are_small_and_other_bounds_are_still_refused() {
    let table = Table::default();
    let report = backfill(&table, request(&from(&[]))).await;
    assert_eq!(
        (&report["done"], &report["messages_processed"]),
        (&json!(true), &json!(PARTITIONS)),
        "{report}"
    );
    for partition in [0, 999, 1_999] {
        let requested = stored(&table, partition).requested.clone();
        assert!(requested.len() < 500, "{} bytes: {requested}", requested.len());
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

/// P10: stopped at any point, it continues where it was.
#[tokio::test]
async fn a_backfill_whose_items_name_every_partition_continues() {
    let table = Table::default();
    let whole = format!("{{\"from\":{},\"to\":\"latest\"}}", from(&[]));
    for partition in 0..PARTITIONS {
        let cursor = Cursor {
            next: NextOffset::new(1).expect("an offset"),
            backfill: Some(Arc::new(Bounds {
                from: NextOffset::new(1).expect("an offset"),
                to: NextOffset::new(2).expect("an offset"),
                requested: whole.clone(),
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

const HOUR: i64 = 3_600_000;

async fn by_time(times: &[i64], from: Bound, to: Bound, max_messages: &str) -> (Value, Vec<i64>) {
    let request = BackfillRequest::new("b".parse().expect("a name"), from, to, None).expect("the bounds fit");
    let table = Table::default();
    backfill_of(SimulatedKafka::with_times("t", times), &table, request, max_messages).await
}

/// P10: a backfill by time reads the records whose time is in its window.
#[tokio::test]
async fn records_whose_times_are_out_of_order_are_found_by_their_own_times() {
    let t = 1_800_000_000_000;
    let out_of_order = [t + 5_000, t - 5_000, t + 1_000, t + 1_500];
    for (from, to, expected) in [
        (Bound::At(t + 1_000), Bound::At(t + 3_000), vec![2, 3]),
        (Bound::At(t - 9_000), Bound::At(t), vec![1]),
        (Bound::Earliest, Bound::At(t + 1_200), vec![1, 2]),
        (Bound::At(t + 1_200), Bound::Latest, vec![0, 3]),
        (Bound::Earliest, Bound::Latest, vec![0, 1, 2, 3]),
    ] {
        let (report, handled) = by_time(&out_of_order, from.clone(), to.clone(), "unlimited").await;
        assert_eq!(
            (&report["done"], &handled),
            (&json!(true), &expected),
            "{from} to {to}: {report}"
        );
        assert_eq!(report["messages_processed"], expected.len(), "{report}");
        assert_eq!(report["lag"], 0, "{report}");
    }
}

#[tokio::test]
async fn a_backfill_by_time_reads_up_to_a_record_that_is_an_hour_later() {
    let late = [0, 9, 10 + HOUR - 1, 5, 10 + HOUR, 6];
    let (report, handled) = by_time(&late, Bound::At(0), Bound::At(10), "unlimited").await;
    assert_eq!(handled, [0, 1, 3], "{report}");
    assert_eq!(report["done"], true, "{report}");
}

#[tokio::test]
async fn records_outside_of_the_window_do_not_count_towards_the_limit() {
    let mut times = vec![HOUR; 10_000];
    times.extend([1, 2, 3]);
    times.extend(vec![HOUR; 5_000]);
    let (report, handled) = by_time(&times, Bound::At(0), Bound::At(10), "2").await;
    assert_eq!(handled, [10_000, 10_001], "{report}");
    assert_eq!(
        (&report["done"], &report["stop_reason"]),
        (&json!(false), &json!("max_messages"))
    );
    let (report, handled) = by_time(&times, Bound::At(0), Bound::At(10), "20").await;
    assert_eq!(handled, [10_000, 10_001, 10_002], "{report}");
    assert_eq!(report["done"], true, "{report}");
}
