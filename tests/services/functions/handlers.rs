//! Handlers as users write them for AWS's own mapping, in Python and Node, with Powertools and without: they run
//! unchanged, and get keys, values and headers as they were produced.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::function_api::{self, FunctionApi};
use crate::support::handlers;
use crate::support::kafka::Message;
use crate::support::runtime_api::Function;
use crate::support::world::World;

/// The run of a handler over five records, of which the one at offset 3 cannot be handled.
struct Handled {
    /// What the handler wrote of each order, by its offset.
    orders: BTreeMap<i64, Value>,
    /// How many lines those are.
    lines: usize,
    /// What it wrote to stderr.
    stderr: String,
    /// The offsets of each call.
    calls: Vec<Vec<i64>>,
    report: Value,
    cursor: Option<i64>,
}

async fn handle(handler: impl FnOnce() -> Function) -> Handled {
    let functions = FunctionApi::start();
    let program = tokio::task::block_in_place(|| functions.run("orders", handler()));
    let mut world = World::new("handlers", 1).await;
    world.produce_these(
        0,
        &[
            Message::value(r#"{"id":1,"name":"Zoë"}"#)
                .key("Zoë")
                .header("source", "web")
                .header("customer", "Zoë"),
            Message::value(r#"{"id":2}"#),
            Message::tombstone("Zoë"),
            Message::value(r#"{"name":"no id"}"#).key("k"),
            Message::value(r#"{"id":5}"#).key("k"),
        ],
    );
    world
        .set("DESTINATION", function_api::arn("orders"))
        .set("AWS_ENDPOINT_URL_LAMBDA", functions.url())
        .set("ON_FAILURE", "skip")
        .set("MAX_ATTEMPTS", 1);
    let report = tokio::task::block_in_place(|| world.run()).success();
    let cursor = world.offset(0).await;
    let program = program.lock().expect("the program runs");
    let lines = program.stdout();
    let orders: Vec<Value> = lines
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    Handled {
        lines: orders.len(),
        orders: orders
            .into_iter()
            .map(|order| (order["offset"].as_i64().expect("an offset"), order))
            .collect(),
        stderr: program.stderr().join("\n"),
        calls: functions.offsets("orders"),
        report,
        cursor,
    }
}

impl Handled {
    fn assert_that_only_the_record_at_3_failed(&self) {
        let orders: Vec<&Value> = self.orders.values().collect();
        assert_eq!(
            orders,
            [
                &json!({"offset": 0, "key": "Zoë", "order": {"id": 1, "name": "Zoë"},
                    "headers": {"source": "web", "customer": "Zoë"}}),
                &json!({"offset": 1, "key": null, "order": {"id": 2}, "headers": {}}),
                &json!({"offset": 2, "key": "Zoë", "order": null, "headers": {}}),
                &json!({"offset": 4, "key": "k", "order": {"id": 5}, "headers": {}}),
            ]
        );
        let skipped = &self.report["skipped"];
        assert_eq!(
            (&skipped[0]["first_offset"], &skipped[0]["last_offset"]),
            (&json!(3), &json!(3))
        );
        assert_eq!((skipped.as_array().map(Vec::len), self.cursor), (Some(1), Some(4)));
        assert_eq!(self.report["lag"], 0);
    }

    /// The handler reports failed records: the others of a batch are not sent again.
    fn assert_that_no_other_record_was_sent_twice(&self) {
        assert_eq!(self.calls, [vec![0, 1, 2, 3, 4], vec![3]]);
        assert_eq!(self.lines, 4);
    }

    /// The handler fails the batch, and the record that fails is found.
    fn assert_that_the_batch_was_halved(&self) {
        assert_eq!(self.calls[0], [0, 1, 2, 3, 4]);
        assert!(self.calls[1..].iter().all(|call| call.len() < 4), "{:?}", self.calls);
        assert!(self.calls.contains(&vec![3]), "{:?}", self.calls);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_with_the_kafka_consumer_of_powertools_for_python_works_unchanged() {
    let handled = handle(|| handlers::python("consumer")).await;
    handled.assert_that_only_the_record_at_3_failed();
    handled.assert_that_the_batch_was_halved();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_with_the_batch_processor_of_powertools_for_python_works_unchanged() {
    let handled = handle(|| handlers::python("batch")).await;
    handled.assert_that_only_the_record_at_3_failed();
    handled.assert_that_no_other_record_was_sent_twice();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_with_the_kafka_consumer_of_powertools_for_node_works_unchanged() {
    let handled = handle(|| handlers::node("consumer")).await;
    handled.assert_that_only_the_record_at_3_failed();
    handled.assert_that_the_batch_was_halved();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_in_node_without_a_library_works_unchanged_and_gets_the_attempt() {
    let handled = handle(|| handlers::node("plain")).await;
    handled.assert_that_only_the_record_at_3_failed();
    handled.assert_that_no_other_record_was_sent_twice();
    assert!(
        handled.stderr.contains("attempt 1: an order without an id"),
        "{}",
        handled.stderr
    );
}
