//! The function's log lines and metrics.

use serde_json::{Value, json};

use super::start;
use crate::support::kafka::{self, Message, unique, values};
use crate::support::runtime_api::Invocation;
use crate::support::world::World;

/// Every line that an invocation wrote, as JSON.
fn lines(invocation: &Invocation) -> Vec<Value> {
    let json = |line: &String| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
    assert_eq!(invocation.stderr, [""; 0], "logs go to stdout");
    invocation.stdout.iter().map(json).collect()
}

fn metrics(invocation: &Invocation) -> Vec<Value> {
    lines(invocation)
        .into_iter()
        .filter(|line| line.get("_aws").is_some())
        .collect()
}

#[tokio::test]
async fn every_line_is_json_with_time_level_message_and_request_id() {
    let mut world = World::new("log", 2).await;
    world.set("AWS_LAMBDA_LOG_LEVEL", "INFO");
    world.produce(0, 3);
    world.produce_these(1, &values(["no JSON"]));
    let mut function = start(&world);
    for event in [
        json!({}),
        json!({"action": "plan"}),
        json!({"what": 1}),
        json!({"action": "run"}),
    ] {
        let invocation = function.invoke(&event);
        for line in lines(&invocation).iter().filter(|line| line.get("_aws").is_none()) {
            assert!(
                line["timestamp"].is_string() && line["level"].is_string() && line["message"].is_string(),
                "{line}"
            );
            assert_eq!(line["span"]["requestId"], *invocation.request_id, "{line}");
        }
    }
}

#[tokio::test]
async fn at_level_error_a_line_has_the_request_id_too() {
    let mut world = World::new("log", 1).await;
    world.set("AWS_LAMBDA_LOG_LEVEL", "ERROR");
    let invocation = start(&world).invoke(&json!({"what": 1}));
    let [line] = &lines(&invocation)[..] else {
        panic!("one line: {invocation:#?}")
    };
    assert_eq!(line["span"]["requestId"], *invocation.request_id, "{line}");
}

#[tokio::test]
async fn a_run_logs_its_report() {
    let world = World::new("log", 1).await;
    world.produce(0, 3);
    let invocation = start(&world).invoke(&json!({}));
    let logged = lines(&invocation);
    let [run] = logged
        .iter()
        .filter(|line| line["message"] == "run")
        .collect::<Vec<_>>()[..]
    else {
        panic!("expected one line with the report: {logged:#?}")
    };
    let report: Value = serde_json::from_str(run["report"].as_str().expect("a report")).expect("JSON");
    assert_eq!(report, *invocation.success());
}

#[tokio::test]
async fn a_failed_run_logs_its_report_with_type_and_message() {
    let mut world = World::new("log", 1).await;
    world.set("DYNAMODB_TABLE", "no-such-table");
    let invocation = start(&world).invoke(&json!({}));
    let message = invocation.failure("TableNotFound");
    let logged = lines(&invocation);
    let [run] = logged
        .iter()
        .filter(|line| line["level"] == "ERROR")
        .collect::<Vec<_>>()[..]
    else {
        panic!("expected one line with the error: {logged:#?}")
    };
    assert_eq!(run["error_type"], "TableNotFound");
    let report: Value = serde_json::from_str(run["report"].as_str().expect("a report")).expect("JSON");
    assert_eq!(report["status"], "failed");
    assert_eq!(report["error"], json!({"type": "TableNotFound", "message": message}));
}

#[tokio::test]
async fn a_failed_event_is_logged_with_its_reason() {
    let world = World::new("log", 1).await;
    let invocation = start(&world).invoke(&json!({"action": "drop"}));
    let [line] = &lines(&invocation)[..] else {
        panic!("one line: {invocation:#?}")
    };
    assert_eq!(
        (&line["level"], &line["error_type"]),
        (&json!("ERROR"), &json!("InvalidEvent"))
    );
    assert_eq!(line["error"], invocation.failure("InvalidEvent"));
}

/// The figures of a metrics line, with the rest of it checked against `CloudWatch`'s format.
fn figures(line: &Value, world: &World, topic: &str, lag_is_known: bool) -> Value {
    let mut line = line.clone();
    let timestamp = line["_aws"]["Timestamp"].take();
    assert!(
        timestamp.as_u64().is_some_and(|ms| ms > 1_700_000_000_000),
        "milliseconds: {timestamp}"
    );
    let names = [
        "PolledEventCount",
        "FilteredOutEventCount",
        "InvokedEventCount",
        "ProcessedEventCount",
        "FailedInvokeEventCount",
        "DroppedEventCount",
        "OnFailureDestinationDeliveredEventCount",
        "LostEventCount",
        "BlockedPartitions",
        "RunDuration",
        "OffsetLag",
    ];
    let names = &names[..if lag_is_known { 11 } else { 10 }];
    let unit = |name: &str| if name == "RunDuration" { "Milliseconds" } else { "Count" };
    let metrics: Vec<_> = names
        .iter()
        .map(|name| json!({"Name": name, "Unit": unit(name)}))
        .collect();
    let mut rest = line.as_object().expect("an object").clone();
    let figures: Vec<_> = names
        .iter()
        .map(|name| rest.remove(*name).unwrap_or_else(|| panic!("no {name}")))
        .collect();
    assert_eq!(
        Value::from(rest),
        json!({
            "_aws": {
                "Timestamp": null,
                "CloudWatchMetrics": [{
                    "Namespace": "KafkaConsumer",
                    "Dimensions": [["ConsumerGroup", "Topic"]],
                    "Metrics": metrics,
                }],
            },
            "ConsumerGroup": world.group,
            "Topic": topic,
        })
    );
    assert!(figures[9].is_u64(), "a duration: {figures:?}");
    let mut figures = figures;
    figures.remove(9);
    figures.into()
}

#[tokio::test]
async fn a_run_writes_one_line_of_metrics_in_cloudwatchs_format() {
    let world = World::new("metrics", 2).await;
    world.produce(0, 5);
    world.produce_these(1, &values(["{}", "no JSON", "{}"]));
    let invocation = start(&world).invoke(&json!({}));
    invocation.failure("PartitionBlocked");
    let [line] = &metrics(&invocation)[..] else {
        panic!("one line: {invocation:#?}")
    };
    let figures = figures(line, &world, &world.topic, true);
    let polled = figures[0].as_u64();
    assert!(polled.is_some_and(|polled| (7..=8).contains(&polled)), "{figures}");
    assert_eq!(
        figures.as_array().map(|all| &all[1..]),
        Some(&json!([0, 6, 6, 1, 0, 0, 0, 1, 2]).as_array().expect("an array")[..])
    );
}

#[tokio::test]
async fn each_topic_has_its_own_line_of_metrics() {
    let mut world = World::new("metrics", 1).await;
    let second = unique("metrics");
    kafka::create_topic(&world.bootstrap, &second, 1, &[]);
    world.set("KAFKA_TOPIC", format!("{},{second}", world.topic));
    world.produce(0, 5);
    let invocation = start(&world).invoke(&json!({}));
    invocation.success();
    let mut lines = metrics(&invocation);
    lines.sort_by_key(|line| line["Topic"] != *world.topic);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert_eq!(
        figures(&lines[0], &world, &world.topic, true),
        json!([5, 0, 5, 5, 0, 0, 0, 0, 0, 0])
    );
    assert_eq!(
        figures(&lines[1], &world, &second, true),
        json!([0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    );
}

#[tokio::test]
async fn a_run_that_could_not_start_writes_its_metrics_without_a_lag() {
    let mut world = World::new("metrics", 1).await;
    world
        .set("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
        .set("POLL_TIMEOUT", "1");
    let invocation = start(&world).invoke(&json!({}));
    invocation.failure("BrokerUnreachable");
    let [line] = &metrics(&invocation)[..] else {
        panic!("one line: {invocation:#?}")
    };
    assert_eq!(
        figures(line, &world, &world.topic, false),
        json!([0, 0, 0, 0, 0, 0, 0, 0, 0])
    );
}

#[tokio::test]
async fn a_plan_writes_no_metrics() {
    let world = World::new("metrics", 1).await;
    let invocation = start(&world).invoke(&json!({"action": "plan"}));
    invocation.success();
    assert_eq!(metrics(&invocation), [Value::Null; 0]);
}

/// A key, a header and a value, and a value that cannot be decoded, at the most verbose log level.
async fn world_with_planted_values() -> World {
    let mut world = World::new("values", 2).await;
    world
        .set("AWS_LAMBDA_LOG_LEVEL", "TRACE")
        .set("AWS_SECRET_ACCESS_KEY", "planted-secret");
    let record = Message::value(r#"{"name":"planted"}"#)
        .key("planted-key")
        .header("h", "planted-header");
    world.produce_these(0, &[record]);
    world.produce_these(1, &values(["planted but not JSON"]));
    world
}

#[tokio::test]
async fn no_line_shows_a_key_a_header_a_value_or_a_secret() {
    let world = world_with_planted_values().await;
    let invocation = start(&world).invoke(&json!({}));
    invocation.failure("PartitionBlocked");
    assert!(!format!("{invocation:?}").contains("planted"), "{invocation:#?}");
}

#[tokio::test]
async fn values_are_logged_with_log_values() {
    let mut world = world_with_planted_values().await;
    world.set("LOG_VALUES", "true").set("AWS_LAMBDA_LOG_LEVEL", "INFO");
    let invocation = start(&world).invoke(&json!({}));
    invocation.failure("PartitionBlocked");
    let records: Vec<_> = lines(&invocation)
        .into_iter()
        .filter(|line| line["message"] == "record")
        .collect();
    let [record] = &records[..] else {
        panic!("one record: {records:#?}")
    };
    assert_eq!(
        (&record["key"], &record["value"]),
        (&json!("planted-key"), &json!(r#"{"name":"planted"}"#))
    );
    assert_eq!(record["offset"], 0);
}
