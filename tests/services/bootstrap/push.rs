//! Events of AWS's event source mapping, to the same function.

use std::io::ErrorKind;
use std::net::TcpListener;

use serde_json::{Value, json};

use super::start;
use crate::support::world::World;

/// A function whose brokers and table cannot be reached.
async fn without_services() -> World {
    let mut world = World::new("push", 1).await;
    world
        .set("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
        .set("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1");
    world
}

/// Offsets 6 to 8 of `orders-0`, of which 7 is no JSON, and one record of another topic.
fn event() -> Value {
    let record = |topic: &str, offset: i64, value: &str| {
        json!({
            "topic": topic, "partition": 0, "offset": offset, "timestamp": 1_545_084_650_987_i64,
            "timestampType": "CREATE_TIME", "value": value, "headers": [{"h": [-1]}],
        })
    };
    json!({
        "eventSource": "SelfManagedKafka", "bootstrapServers": "b1:9092",
        "records": {
            "orders-0": [record("orders", 6, "e30="), record("orders", 7, "ew=="), record("orders", 8, "e30=")],
            "users-0": [record("users", 3, "e30=")],
        },
    })
}

#[tokio::test]
async fn a_pushed_batch_is_handled_without_brokers_and_table() {
    let world = without_services().await;
    let mut event = event();
    event["records"]["orders-0"][1]["value"] = json!("e30=");
    let invocation = start(&world).invoke(&event);
    assert_eq!(*invocation.success(), json!({"batchItemFailures": []}));
}

#[tokio::test]
async fn a_function_without_a_topic_of_its_own_connects_to_no_broker_and_no_table() {
    let never = || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a setting of a socket");
        let port = listener.local_addr().expect("bound").port();
        (listener, port)
    };
    let [(brokers, kafka), (table, dynamodb)] = [never(), never()];
    let mut world = World::new("push", 1).await;
    world
        .set("KAFKA_TOPIC", "")
        .set("KAFKA_BOOTSTRAP_SERVERS", format!("127.0.0.1:{kafka}"))
        .set("AWS_ENDPOINT_URL_DYNAMODB", format!("http://127.0.0.1:{dynamodb}"));
    let mut event = event();
    event["records"]["orders-0"][1]["value"] = json!("e30=");
    start(&world).invoke(&event).success();
    for listener in [brokers, table] {
        let accepted = listener.accept().map(|_| ()).map_err(|error| error.kind());
        assert_eq!(accepted, Err(ErrorKind::WouldBlock));
    }
}

#[tokio::test]
async fn a_record_that_fails_fails_the_invocation_or_is_named_with_those_behind_it() {
    let mut world = without_services().await;
    let invocation = start(&world).invoke(&event());
    let error = invocation.failure("PartitionBlocked");
    assert!(error.contains("offset 7 of orders-0 failed"), "{error}");
    world.set("REPORT_BATCH_ITEM_FAILURES", "true");
    let item = |offset: i64| json!({"itemIdentifier": {"partition": "orders-0", "offset": offset}});
    let invocation = start(&world).invoke(&event());
    assert_eq!(*invocation.success(), json!({"batchItemFailures": [item(7), item(8)]}));
}

#[tokio::test]
async fn a_schedule_and_a_mapping_may_use_one_function() {
    let world = World::new("push", 1).await;
    world.produce(0, 2);
    let mut function = start(&world);
    assert_eq!(function.invoke(&json!({})).success()["messages_processed"], 2);
    function.invoke(&event()).failure("PartitionBlocked");
    assert_eq!(function.invoke(&json!({})).success()["lag"], 0);
    assert_eq!(world.offset(0).await, Some(1));
}

#[tokio::test]
async fn the_event_of_another_service_is_refused_by_name() {
    let world = without_services().await;
    let event = json!({"Records": [{"eventSource": "aws:sqs", "body": "planted"}]});
    let invocation = start(&world).invoke(&event);
    let error = invocation.failure("InvalidEvent");
    assert!(error.contains("\"aws:sqs\"") && !error.contains("planted"), "{error}");
}
