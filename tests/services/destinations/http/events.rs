//! What an endpoint gets.

use serde_json::{Value, json};

use super::Destination;
use crate::support::kafka::Message;

#[tokio::test(flavor = "multi_thread")]
async fn each_record_is_an_event_in_binary_mode_in_the_order_of_offsets() {
    let to = Destination::new(1).await;
    let produced = [
        Message::value("{\"id\": 1.10}")
            .key("K 1")
            .header("Trace-Id", "a%")
            .header("trace-id", "b c"),
        Message::value([0, 0xff]).key([0xff]),
        Message::value("h\u{e9}"),
        Message::tombstone("gone"),
        Message::value(""),
    ];
    to.world.produce_these(0, &produced);
    assert_eq!(to.world.run().success()["messages_processed"], 5);
    let received = to.endpoint.received();
    let topic = &to.world.topic;
    for (offset, request) in received.iter().enumerate() {
        assert_eq!((&*request.method, &*request.path), ("POST", "/in"));
        assert_eq!(request.header("ce-specversion"), Some("1.0"));
        assert_eq!(request.header("ce-id"), Some(&*format!("{topic}/0/{offset}")));
        assert_eq!(
            request.header("ce-source"),
            Some(&*format!("kafka-consumer/{}", to.world.group))
        );
        assert_eq!(request.header("ce-type"), Some("kafka.record"));
        assert!(request.header("ce-time").is_some_and(|time| time.ends_with('Z')));
    }
    let bodies: Vec<(Option<&str>, &[u8])> = received
        .iter()
        .map(|it| (it.header("content-type"), &*it.body))
        .collect();
    let expected: [(Option<&str>, &[u8]); 5] = [
        (Some("application/json"), b"{\"id\": 1.10}"),
        (Some("application/octet-stream"), &[0, 0xff]),
        (Some("text/plain; charset=utf-8"), "h\u{e9}".as_bytes()),
        (None, b""),
        (Some("application/octet-stream"), b""),
    ];
    assert_eq!(bodies, expected);
    assert_eq!(received[0].header("ce-key"), Some("K%201"));
    assert_eq!(
        received[0].header("ce-kafkaheadertraceid"),
        Some("b%20c"),
        "the last of the name"
    );
    assert_eq!(received[1].header("ce-keybase64"), Some("/w=="));
    assert_eq!(received[2].header("ce-key"), None);
    assert_eq!(received[3].header("ce-tombstone"), Some("true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_one_request_with_several_events() {
    let mut to = Destination::new(1).await;
    to.world.produce(0, 25);
    to.world.set("BATCH_SIZE", "10");
    assert_eq!(to.world.run().success()["messages_processed"], 25);
    let received = to.endpoint.received();
    let sizes: Vec<usize> = received.iter().map(|it| it.offsets().len()).collect();
    assert_eq!(sizes, [10, 10, 5]);
    assert_eq!(
        received[0].header("content-type"),
        Some("application/cloudevents-batch+json")
    );
    assert_eq!(received[0].header("ce-id"), None);
    let events: Vec<Value> = serde_json::from_slice(&received[2].body).expect("JSON");
    assert_eq!(events[4]["id"], json!(format!("{}/0/24", to.world.topic)));
    assert_eq!(events[4]["data"], json!({"n": 24}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_envelope_of_the_record_is_the_record_as_json() {
    let mut to = Destination::with(["x"]).await;
    to.world.set("ENVELOPE", "record").run().success();
    let request = to.endpoint.received().remove(0);
    let record: Value = serde_json::from_slice(&request.body).expect("JSON");
    assert_eq!((&record["value"], &record["offset"]), (&json!("eA=="), &json!(0)));
    assert_eq!(request.header("ce-offset"), Some("0"));
    assert_eq!(request.header("content-type"), Some("application/json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_query_is_sent_and_never_shown() {
    let mut to = Destination::with(["planted-value"]).await;
    let url = to.endpoint.url("/in?token=planted-query");
    to.world.set("DESTINATION", &url).set("RUST_LOG", "trace");
    let ran = to.world.run();
    ran.success();
    assert_eq!(to.endpoint.received()[0].path, "/in?token=planted-query");
    assert!(ran.stderr.contains("TRACE"));
    assert!(!ran.stderr.contains("planted"), "{}", ran.stderr);
}
