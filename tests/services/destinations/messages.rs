//! What a queue, a topic and a bus get of a record.

use serde_json::{Value, json};

use super::Destination;
use crate::support::entry_api::Service;
use crate::support::kafka::Message;
use crate::support::sqs::{self, Queue};
use crate::support::world::World;

/// A record with a key and headers, a tombstone, and bytes that are no text.
fn records() -> [Message; 3] {
    let full = Message::value("{\"id\": 1}")
        .key("k")
        .header("trace", "t-1")
        .header("topic", "forged");
    let tombstone = Message::tombstone("k");
    let bytes = Message::value(&b"\xff\0"[..]).key(&b"\xfe"[..]);
    [full, tombstone, bytes]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_and_a_topic_get_the_value_with_the_rest_of_the_record_as_attributes() {
    for service in [Service::Sqs, Service::Sns] {
        let to = Destination::new(service, 1).await;
        to.world.produce_these(0, &records());
        to.world.run().success();
        let sent: Vec<Value> = to.api.accepted().into_iter().map(|entry| entry.json).collect();
        assert_eq!(sent[0]["MessageBody"], "{\"id\": 1}");
        let attributes = sent[0]["MessageAttributes"].as_object().expect("attributes");
        let text = |value: &str| json!({"DataType": "String", "StringValue": value});
        assert_eq!(attributes["topic"], text(&to.world.topic));
        assert_eq!(attributes["offset"], json!({"DataType": "Number", "StringValue": "0"}));
        assert_eq!((&attributes["key"], &attributes["trace"]), (&text("k"), &text("t-1")));
        assert!(attributes.contains_key("timestamp") && !attributes.contains_key("value"));
        assert_eq!(sent[1]["MessageBody"], "null");
        assert_eq!(sent[1]["MessageAttributes"]["value"], text("null"));
        assert_eq!(sent[2]["MessageBody"], "/wA=");
        assert_eq!(sent[2]["MessageAttributes"]["value"], text("base64"));
        assert_eq!(
            sent[2]["MessageAttributes"]["key"],
            json!({"DataType": "Binary", "BinaryValue": "/g=="})
        );
        assert!(sent[0].get("MessageGroupId").is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_envelope_of_the_record_the_body_is_the_record_as_json() {
    for service in [Service::Sqs, Service::Sns] {
        let mut to = Destination::new(service, 1).await;
        to.world.produce_these(0, &records());
        let route = json!({"*": {"to": to.api.arn(), "envelope": "record", "batch_size": 2}});
        to.world.set("DESTINATION", route).run().success();
        assert_eq!(to.calls(), [vec![0, 1], vec![2]]);
        let sent = to.api.accepted();
        let body: Value = serde_json::from_str(sent[0].json["MessageBody"].as_str().expect("a body")).expect("JSON");
        assert_eq!(
            (&body["key"], &body["value"], &body["headers"][0]),
            (&json!("aw=="), &json!("eyJpZCI6IDF9"), &json!({"trace": [116, 45, 49]}))
        );
        assert_eq!(body["offset"], 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_gets_an_event_with_the_record_as_its_detail() {
    let to = Destination::new(Service::EventBridge, 1).await;
    to.world.produce_these(0, &records()[..2]);
    to.world.run().success();
    let sent: Vec<Value> = to.api.accepted().into_iter().map(|entry| entry.json).collect();
    assert_eq!(sent[0]["Source"], format!("kafka-consumer.{}", to.world.group));
    assert_eq!(sent[0]["DetailType"], *to.world.topic);
    assert_eq!(sent[0]["EventBusName"], to.api.arn());
    let detail = &sent[0]["Detail"];
    assert_eq!((&detail["key"], &detail["value"]), (&json!("k"), &json!({"id": 1})));
    assert_eq!(detail["headers"], json!([{"trace": "t-1"}, {"topic": "forged"}]));
    assert_eq!(detail["timestampType"], "CreateTime");
    assert_eq!(sent[1]["Detail"]["value"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_no_event_can_hold_is_a_failure_of_its_record_and_is_never_sent() {
    let mut to = Destination::new(Service::EventBridge, 1).await;
    let values = ["{}", "planted", "[]"].map(Message::value);
    to.world.produce_these(0, &values);
    let report = to.skip_at_once().world.run().success();
    assert_eq!(report["skipped"][0]["first_offset"], 1);
    assert!(!report.to_string().contains("planted"), "{report}");
    assert_eq!(to.calls(), [vec![0], vec![2]]);
}

/// EventBridge accepts events for it, and drops them.
#[tokio::test(flavor = "multi_thread")]
async fn to_a_bus_that_does_not_exist_nothing_is_sent() {
    let to = Destination::with(Service::EventBridge, 3).await;
    to.api.set_missing();
    let report = to.world.run().failure("DestinationFailed", 1);
    assert!(
        super::message_of(&report).contains("the bus does not exist in eu-central-1"),
        "{report}"
    );
    assert_eq!(to.calls(), Vec::<Vec<i64>>::new());
    assert_eq!(to.world.offset(0).await, Some(-1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_above_the_limit_of_the_service_is_a_failure_and_is_never_sent() {
    for service in [Service::Sqs, Service::Sns, Service::EventBridge] {
        let mut to = Destination::new(service, 1).await;
        // Kafka takes it; as JSON it is larger.
        let large = Message::value(format!("\"{}\"", "x".repeat(800_000))).header("h", "\u{1}".repeat(100_000));
        to.world
            .produce_these(0, &[Message::value("1"), large, Message::value("3")]);
        to.world.set("ENVELOPE", "record");
        let report = to.skip_at_once().world.run().success();
        assert_eq!(report["skipped"][0]["first_offset"], 1, "{service:?}");
        assert!(
            report["skipped"][0]["reason"]
                .as_str()
                .expect("a reason")
                .contains("MaximumPayloadSizeExceeded")
        );
        assert_eq!(to.accepted(), [0, 2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifo_queue_keeps_the_order_and_a_record_that_is_sent_twice_is_one_message() {
    let queue = Queue::create("records.fifo").await;
    let mut world = World::new("fifo", 1).await;
    world
        .set("DESTINATION", &queue.arn)
        .set("AWS_ENDPOINT_URL_SQS", sqs::endpoint());
    let values: Vec<Message> = (0..15).map(|n| Message::value(n.to_string())).collect();
    world.produce_these(0, &values);
    world.run().success();
    // As a run that was killed before it stored its cursor.
    world.put_offset(0, 4).await;
    world.run().success();
    let bodies: Vec<String> = queue.take(15).await.into_iter().filter_map(|it| it.body).collect();
    assert_eq!(bodies, (0..15).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(queue.len().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_of_one_queue_and_records_of_another_go_through_the_same_calls() {
    let (orders, dead) = (Queue::create("orders").await, Queue::create("dead").await);
    let mut world = World::new("queues", 1).await;
    world
        .set("DESTINATION", &orders.arn)
        .set("MESSAGE_FORMAT", "json")
        .set("ON_FAILURE", &dead.arn)
        .set("AWS_ENDPOINT_URL_SQS", sqs::endpoint());
    world.produce_these(0, &["1", "planted", "3"].map(Message::value));
    let report = world.run().success();
    assert_eq!(
        (&report["messages_processed"], &report["dead_lettered"]),
        (&json!(2), &json!(1))
    );
    assert_eq!((orders.len().await, dead.len().await), (2, 1));
}
