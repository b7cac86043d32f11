//! `kafka-consumer offsets`, the real program, where a broker is down: on the embedded services.

use std::process::{Command, Output};

use kafka_consumer_lambda::embedded::{EmbeddedDynamoDb, EmbeddedKafka};
use kafka_consumer_lambda::store::dynamodb::DynamoStore;
use serde_json::{Value, json};

/// The broker that goes down: the leader of partition 1.
const BROKER: i32 = 2;

/// A topic of three partitions with three records each, led by a broker each, and a table.
async fn services() -> (EmbeddedKafka, EmbeddedDynamoDb) {
    let kafka = EmbeddedKafka::start(3).expect("the embedded Kafka starts");
    kafka.create_topic("t", 3).await.expect("a topic");
    for partition in 0..3 {
        let leader = Some(partition + 1);
        kafka
            .cluster()
            .expect("it runs")
            .partition_leader("t", partition, leader)
            .expect("a leader");
        kafka.produce("t", partition, ["1", "2", "3"]).await.expect("records");
    }
    let dynamodb = EmbeddedDynamoDb::start().await.expect("the embedded DynamoDB starts");
    DynamoStore::new(dynamodb.client(), "cursors")
        .create_table()
        .await
        .expect("a table");
    (kafka, dynamodb)
}

fn offsets((kafka, dynamodb): &(EmbeddedKafka, EmbeddedDynamoDb), arguments: &[&str]) -> (Output, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-consumer"));
    command
        .args([&["offsets", "--output", "json"], arguments].concat())
        .env_clear()
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.endpoint())
        .env("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers())
        .env("KAFKA_TOPIC", "t")
        .env("DYNAMODB_TABLE", "cursors")
        .env("POLL_TIMEOUT", "2");
    // The embedded services run in this process meanwhile.
    let output = tokio::task::block_in_place(|| command.output()).expect("the command starts");
    let document = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, document)
}

fn column(document: &Value, name: &str) -> Vec<Value> {
    let rows = document["partitions"].as_array().expect("partitions");
    rows.iter().map(|row| row[name].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_whose_broker_is_down_is_not_moved_and_the_others_are() {
    let services = services().await;
    services
        .0
        .cluster()
        .expect("it runs")
        .broker_down(BROKER)
        .expect("it goes down");
    let (output, document) = offsets(&services, &["reset", "--to-latest", "--execute"]);
    assert_eq!(
        column(&document, "outcome"),
        ["moved", "unavailable", "moved"],
        "{output:?}"
    );
    assert_eq!(column(&document, "new_offset"), [json!(3), json!(null), json!(3)]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("BrokerUnreachable: 1 of 3 partitions were not changed: t-1: "),
        "{last}"
    );
    assert_eq!(output.status.code(), Some(1));

    // A pause requests the start of a partition without a cursor, and nothing for one with a cursor.
    let (output, document) = offsets(&services, &["pause"]);
    assert_eq!(
        column(&document, "outcome"),
        ["paused", "unavailable", "paused"],
        "{output:?}"
    );

    services
        .0
        .cluster()
        .expect("it runs")
        .broker_up(BROKER)
        .expect("it comes back");
    let (output, document) = offsets(&services, &["reset", "--to-latest", "--execute"]);
    assert_eq!(
        column(&document, "outcome"),
        ["unchanged", "moved", "unchanged"],
        "{output:?}"
    );
    assert_eq!(output.status.code(), Some(0));
}
