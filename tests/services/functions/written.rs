//! What a function gets.

use serde_json::{Value, json};

use super::{Destination, base64};
use crate::support::function_api::{FunctionApi, Reply, arn};
use crate::support::kafka::{self, Message};
use crate::support::world::World;

/// The records of the first call, without their times.
fn records(functions: &FunctionApi, name: &str) -> Vec<Value> {
    let call = functions.calls(name).remove(0);
    let without_time = |record: &&Value| {
        let mut record = (*record).clone();
        let fields = record.as_object_mut().expect("a record");
        let timestamp = fields.remove("timestamp").expect("always there");
        assert!(
            timestamp.as_i64().is_some_and(|ms| ms > 1_700_000_000_000),
            "{timestamp}"
        );
        assert_eq!(fields.remove("timestampType"), Some(json!("CREATE_TIME")));
        record
    };
    call.records().iter().map(without_time).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_values_and_headers_arrive_as_they_were_produced() {
    let to = Destination::new(1).await;
    let produced = [
        Message::value("{\"id\":1}").key("K"),
        Message {
            value: Some(vec![0, 0xff, b'}']),
            ..Message::default()
        },
        Message::value("").key(""),
        Message::tombstone("gone"),
        Message::value("h")
            .header("empty", "")
            .header("twice", "1")
            .header("twice", "2"),
    ];
    to.world.produce_these(0, &produced);
    to.world.run().success();
    let topic = &to.world.topic;
    let expected = [
        json!({"topic": topic, "partition": 0, "offset": 0, "key": "Sw==", "value": "eyJpZCI6MX0=", "headers": []}),
        json!({"topic": topic, "partition": 0, "offset": 1, "value": "AP99", "headers": []}),
        json!({"topic": topic, "partition": 0, "offset": 2, "key": "", "value": "", "headers": []}),
        json!({"topic": topic, "partition": 0, "offset": 3, "key": base64("gone"), "headers": []}),
        json!({"topic": topic, "partition": 0, "offset": 4, "value": base64("h"),
               "headers": [{"empty": []}, {"twice": [49]}, {"twice": [50]}]}),
    ];
    assert_eq!(records(&to.functions, "orders"), expected);
    let event = &to.functions.calls("orders")[0].event;
    assert_eq!(event["eventSource"], "SelfManagedKafka");
    assert_eq!(event["bootstrapServers"], json!(to.world.bootstrap));
    assert_eq!(event.get("eventSourceArn"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_msk_is_named_as_its_mapping_names_it() {
    let mut to = Destination::with(["1"]).await;
    let cluster = "arn:aws:kafka:us-east-1:123456789012:cluster/shop/abc-1";
    to.world.set("MSK_CLUSTER_ARN", cluster).run().success();
    let event = &to.functions.calls("orders")[0].event;
    assert_eq!(event["eventSource"], "aws:kafka");
    assert_eq!(event["eventSourceArn"], cluster);
}

/// Values are not decoded, and need not be JSON.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_names_run_group_attempt_and_lag_in_its_client_context() {
    let mut to = Destination::with(["no json", "2", "3"]).await;
    to.world.set("BATCH_SIZE", "2").run().success();
    let calls = to.functions.calls("orders");
    let context = |call: usize| calls[call].client_context["custom"].clone();
    let run = context(0)["run"].clone();
    assert_eq!(
        context(0),
        json!({"run": run, "group": to.world.group, "attempt": "1", "lag": "1"})
    );
    assert_eq!(
        context(1),
        json!({"run": run, "group": to.world.group, "attempt": "1", "lag": "0"})
    );
    let call = &calls[0];
    assert_eq!((&*call.invocation_type, &call.log_type), ("RequestResponse", &None));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_alias_of_the_arn_is_invoked() {
    let mut to = Destination::with(["1"]).await;
    let live = format!("{}:live", arn("orders"));
    to.world.set("DESTINATION", &live).run().success();
    let call = &to.functions.calls("orders")[0];
    assert_eq!((&call.arn, call.qualifier.as_deref()), (&live, Some("live")));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_holds_records_of_one_partition_in_ascending_order() {
    let mut to = Destination::new(3).await;
    for partition in 0..3 {
        to.world.produce(partition, 25);
    }
    to.world.set("BATCH_SIZE", "10");
    let report = to.world.run().success();
    assert_eq!(report["last_offsets"], json!({"0": 24, "1": 24, "2": 24}));
    let calls = to.functions.calls("orders");
    for partition in 0..3 {
        let name = format!("{}-{partition}", to.world.topic);
        let of_it: Vec<Vec<i64>> = calls
            .iter()
            .filter(|call| call.partitions() == [name.as_str()])
            .map(crate::support::function_api::Call::offsets)
            .collect();
        let expected: [Vec<i64>; 3] = [(0..10).collect(), (10..20).collect(), (20..25).collect()];
        assert_eq!(of_it, expected, "{name}");
    }
    assert_eq!(calls.len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_and_a_backfill_call_the_function_too() {
    let to = Destination::with(["0", "1", "2", "3"]).await;
    to.world.run().success();
    let redrive = to.world.ran(&["redrive", "--partition", "0", "--offsets", "1,3"]);
    assert_eq!(redrive.code, Some(0), "{redrive:?}");
    let backfill = to.world.ran(&["backfill", "--name", "again", "--from", "earliest"]);
    assert_eq!(backfill.code, Some(0), "{backfill:?}");
    assert_eq!(to.calls(), [vec![0, 1, 2, 3], vec![1], vec![3], vec![0, 1, 2, 3]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_topics_go_to_two_functions() {
    let functions = FunctionApi::start();
    functions.on("users", |_| Reply::ok("null"));
    functions.on("orders", |_| Reply::ok("null"));
    let mut world = World::new("orders", 1).await;
    let users = kafka::unique("users");
    kafka::create_topic(&world.bootstrap, &users, 1, &[]);
    kafka::produce(&world.bootstrap, &users, 0, &[Message::value("u")], &[]);
    world.produce(0, 2);
    let routes = json!({world.topic.clone(): arn("orders"), "users*": {"to": arn("users")}});
    let topics = format!("{},{users}", world.topic);
    world
        .set("KAFKA_TOPIC", topics)
        .set("DESTINATION", routes)
        .set("AWS_ENDPOINT_URL_LAMBDA", functions.url());
    world.run().success();
    assert_eq!(functions.offsets("orders"), [vec![0, 1]]);
    assert_eq!(functions.offsets("users"), [vec![0]]);
    assert_eq!(functions.calls("users")[0].partitions(), [format!("{users}-0")]);
}
