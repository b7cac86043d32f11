//! The Lambda function's program on real services, behind Lambda's Runtime API.

mod backfill;
mod log;
mod orders;
mod push;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::kafka::{self, unique, values};
use crate::support::runtime_api::{Function, envelope};
use crate::support::table::Table;
use crate::support::world::World;

const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) fn start(world: &World) -> Function {
    start_with(world, TIMEOUT)
}

fn start_with(world: &World, timeout: Duration) -> Function {
    Function::start(env!("CARGO_BIN_EXE_bootstrap"), world.environment(), timeout).expect("it starts")
}

/// A new function handles three records with this event.
async fn assert_starts_a_run(event: &Value) {
    let world = World::new("event", 1).await;
    world.produce(0, 3);
    let invocation = start(&world).invoke(event);
    assert_eq!(invocation.success()["messages_processed"], 3, "{event}");
    assert_eq!(world.offset(0).await, Some(2));
}

#[tokio::test]
async fn the_envelope_of_an_event_bridge_rule_starts_a_run() {
    assert_starts_a_run(&envelope("aws.events", &json!({}))).await;
}

#[tokio::test]
async fn the_envelope_of_event_bridge_scheduler_starts_a_run() {
    assert_starts_a_run(&envelope("aws.scheduler", &json!("{}"))).await;
}

#[tokio::test]
async fn an_empty_event_starts_a_run() {
    assert_starts_a_run(&json!({})).await;
}

#[tokio::test]
async fn a_custom_input_of_the_scheduler_starts_the_run_that_it_requests() {
    let world = World::new("event", 2).await;
    world.produce(0, 3);
    world.produce(1, 3);
    let input = json!({"action": "run", "max_messages": 2, "partitions": [1]});
    let invocation = start(&world).invoke(&input);
    assert_eq!(invocation.success()["last_offsets"], json!({"1": 1}));
    assert_eq!(world.offset(0).await, None);
}

#[tokio::test]
async fn the_response_has_exactly_the_contracts_fields() {
    let world = World::new("response", 1).await;
    world.produce(0, 6);
    world.put_offset(0, 3).await;
    let invocation = start(&world).invoke(&json!({}));
    let mut response = invocation.success().clone();
    let duration_ms = response["duration_ms"].take();
    assert!(
        duration_ms
            .as_u64()
            .is_some_and(|ms| u128::from(ms) <= invocation.duration.as_millis()),
        "{duration_ms}"
    );
    assert_eq!(
        response,
        json!({
            "status": "success", "messages_processed": 2, "last_offsets": {"0": 5}, "stop_reason": "caught_up",
            "lag": 0, "skipped": [], "lost": [], "filtered": 0, "dead_lettered": 0, "bytes": 14, "duration_ms": null,
            "held": [], "paused": [], "blocked": [], "unavailable": [],
            "partitions": [{
                "topic": world.topic, "partition": 0, "first_offset": 4, "last_offset": 5, "messages": 2,
                "end_offset": 6, "lag": 0,
            }],
        })
    );
}

#[tokio::test]
async fn a_warm_invocation_continues_where_the_previous_one_stopped_in_the_same_process() {
    let mut world = World::new("warm", 1).await;
    world.set("MAX_MESSAGES", 4);
    world.produce(0, 10);
    let mut function = start(&world);
    let pid = function.pid();
    let invocations = [(); 4].map(|()| function.invoke(&json!({})));
    let processed: Vec<_> = invocations
        .iter()
        .map(|it| it.success()["messages_processed"].clone())
        .collect();
    assert_eq!(processed, [4, 4, 2, 0]);
    assert_eq!(function.pid(), pid);
}

#[tokio::test]
async fn records_that_arrive_between_invocations_are_read_by_the_next_one() {
    let world = World::new("warm", 1).await;
    let mut function = start(&world);
    for round in 0..3 {
        world.produce(0, 2);
        let report = function.invoke(&json!({}));
        assert_eq!(report.success()["last_offsets"], json!({"0": round * 2 + 1}));
    }
}

#[tokio::test]
async fn a_plan_returns_what_a_run_would_do_and_writes_nothing() {
    let mut world = World::new("plan", 2).await;
    world.set("START_POSITION", "latest");
    world.produce(1, 7);
    let invocation = start(&world).invoke(&json!({"action": "plan"}));
    let planned = |partition, end| json!({"topic": world.topic, "partition": partition, "from": end, "to": end, "messages": 0, "lag": 0});
    let mut plan = invocation.success().clone();
    let why = plan["partitions"].as_array_mut().expect("partitions").iter_mut();
    let why: Vec<_> = why
        .filter_map(|it| it.as_object_mut().and_then(|it| it.remove("why")))
        .collect();
    assert!(why.len() == 2 && why.iter().all(Value::is_string), "{why:?}");
    let expected = json!({"partitions": [planned(0, 0), planned(1, 7)], "runs_to_catch_up": 0});
    assert_eq!(plan, expected);
    assert_eq!(world.table.items().await, []);
}

#[tokio::test]
async fn an_invalid_event_fails_only_its_invocation_and_names_the_error() {
    let world = World::new("event", 1).await;
    world.produce(0, 1);
    let mut function = start(&world);
    for (event, named) in [
        (json!({"action": "drop"}), "unknown action \"drop\""),
        (json!({"max_mesages": 5}), "unknown field `max_mesages`"),
        (
            envelope("aws.scheduler", &json!(r#"{"shart":"1/2"}"#)),
            "unknown field `detail.shart`",
        ),
        (json!([1]), "the event is an array"),
    ] {
        let invocation = function.invoke(&event);
        let message = invocation.failure("InvalidEvent");
        assert!(message.contains(named), "{message}");
    }
    assert_eq!(function.invoke(&json!({})).success()["messages_processed"], 1);
}

#[tokio::test]
async fn an_unknown_topic_is_named_within_10_seconds() {
    let mut world = World::new("unknown", 1).await;
    let topic = unique("nowhere");
    world.set("KAFKA_TOPIC", &topic);
    let invocation = start(&world).invoke(&json!({}));
    let message = invocation.failure("UnknownTopic");
    assert!(message.contains(&topic), "{message}");
    assert!(invocation.duration < Duration::from_secs(10), "{invocation:?}");
}

#[tokio::test]
async fn a_broker_that_does_not_respond_is_named_within_10_seconds() {
    let mut world = World::new("closed", 1).await;
    world.set("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1");
    let invocation = start(&world).invoke(&json!({}));
    let message = invocation.failure("BrokerUnreachable");
    assert!(message.contains("127.0.0.1:1"), "{message}");
    assert!(invocation.duration < Duration::from_secs(10), "{invocation:?}");
}

#[tokio::test]
async fn a_missing_table_is_named_within_10_seconds() {
    let mut world = World::new("table", 1).await;
    world.set("DYNAMODB_TABLE", "no-such-table");
    let invocation = start(&world).invoke(&json!({}));
    let message = invocation.failure("TableNotFound");
    assert!(message.contains("no-such-table"), "{message}");
    assert!(invocation.duration < Duration::from_secs(10), "{invocation:?}");
}

#[tokio::test]
async fn a_process_that_failed_for_a_missing_table_works_once_the_table_exists() {
    let mut world = World::new("table", 1).await;
    let table = Table::named(&world.endpoint, &unique("later"));
    world.set("DYNAMODB_TABLE", &table.name);
    world.produce(0, 1);
    let mut function = start(&world);
    function.invoke(&json!({})).failure("TableNotFound");
    table.create_again().await;
    assert_eq!(function.invoke(&json!({})).success()["messages_processed"], 1);
}

#[tokio::test]
async fn a_halted_record_is_named_and_the_other_partitions_are_stored() {
    let world = World::new("halted", 2).await;
    world.produce_these(0, &values(["{}", "{}", "{planted", "{}"]));
    world.produce(1, 5);
    let invocation = start(&world).invoke(&json!({}));
    let message = invocation.failure("PartitionBlocked");
    assert!(
        message.starts_with(&format!("{}-0 is blocked at offset 2: ", world.topic)),
        "{message}"
    );
    assert!(!message.contains("planted"), "{message}");
    assert_eq!((world.offset(0).await, world.offset(1).await), (Some(1), Some(4)));
}

#[tokio::test]
async fn a_run_ends_before_the_functions_timeout_with_its_progress_stored() {
    let mut world = World::new("deadline", 1).await;
    // Far more than a log line each allows for in this time.
    let waiting = 400_000;
    world.set("MAX_MESSAGES", "unlimited").set("DESTINATION", "log");
    kafka::produce(
        &world.bootstrap,
        &world.topic,
        0,
        &values(vec!["1"; waiting]),
        &[("linger.ms", "20")],
    );
    let mut function = start_with(&world, Duration::from_secs(3));
    let mut stored = -1;
    for _ in 0..2 {
        let invocation = function.invoke(&json!({}));
        let report = invocation.success();
        assert_eq!(report["stop_reason"], "deadline", "{report}");
        assert_eq!(report["partitions"][0]["first_offset"], stored + 1);
        assert!(invocation.duration < Duration::from_secs(3), "{report}");
        let last = report["last_offsets"]["0"].as_i64().expect("an offset");
        assert!(last > stored, "{report}");
        stored = last;
        assert_eq!(world.offset(0).await, Some(stored));
    }
}
