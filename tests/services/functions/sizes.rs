//! Events up to Lambda's limit, and records above it.

use serde_json::json;

use super::Destination;
use crate::support::function_api::{REQUEST_LIMIT, Reply};
use crate::support::kafka::{self, Message};

/// Produces values of these sizes into partition 0 of a topic that takes them.
async fn with_sizes(sizes: &[usize]) -> Destination {
    let mut to = Destination::new(1).await;
    let topic = kafka::unique("large");
    let limit = 10_000_000.to_string();
    kafka::create_topic(&to.world.bootstrap, &topic, 1, &[("max.message.bytes", &*limit)]);
    let messages: Vec<Message> = sizes.iter().map(|size| Message::value("x".repeat(*size))).collect();
    kafka::produce(
        &to.world.bootstrap,
        &topic,
        0,
        &messages,
        &[("message.max.bytes", &*limit)],
    );
    to.world.topic.clone_from(&topic);
    to.world.set("KAFKA_TOPIC", topic).set("MAX_MEMORY_BYTES", "400000000");
    to
}

/// The size of the event of one record with a value of `value` bytes, as the function gets it.
async fn event_bytes(value: usize) -> usize {
    let to = with_sizes(&[value]).await;
    to.world.run().success();
    to.functions.calls("orders")[0].payload.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_exactly_the_limit_is_sent_and_one_more_triple_becomes_a_failure_that_never_passes() {
    // Three bytes of a value are four of its base64.
    let small = event_bytes(3).await;
    let fits = 3 + (REQUEST_LIMIT - small) / 4 * 3;
    let mut to = with_sizes(&[fits, fits + 3, 3]).await;
    to.world.set("ON_FAILURE", "skip").set("MAX_ATTEMPTS", "5");
    let report = to.world.run().success();
    assert_eq!(to.calls(), [vec![0], vec![2]]);
    let bytes = to.functions.calls("orders")[0].payload.len();
    assert!((REQUEST_LIMIT - 3..=REQUEST_LIMIT).contains(&bytes), "{bytes}");
    assert_eq!(report["skipped"][0]["first_offset"], 1);
    let reason = report["skipped"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("MaximumPayloadSizeExceeded"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_above_the_limit_is_split_before_it_is_sent() {
    let to = with_sizes(&[2_000_000, 2_000_000, 2_000_000]).await;
    let report = to.world.run().success();
    assert_eq!(to.calls(), [vec![0, 1], vec![2]]);
    assert_eq!(report["messages_processed"], 3);
}

/// Lambda's own limit decides, should it differ.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_lambda_takes_as_too_large_is_halved_without_an_attempt() {
    let mut to = Destination::with(["0", "1", "2", "3"]).await;
    to.functions.on("orders", |call| {
        if call.records().len() > 1 {
            Reply::error(413, "RequestEntityTooLargeException", "too large")
        } else {
            Reply::ok("null")
        }
    });
    let report = to.skip_at_once().world.run().success();
    assert_eq!(
        (&report["messages_processed"], &report["skipped"]),
        (&json!(4), &json!([]))
    );
    assert_eq!(to.sizes(), [4, 2, 1, 1, 2, 1, 1]);
}
