//! `event`: the event of selected records, as a function gets it.

use kafka_consumer_lambda::kafka_event::read::read;
use serde_json::json;

use crate::support::kafka::Message;
use crate::support::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn the_event_of_the_selected_records_is_printed_and_no_cursor_is_read() {
    let mut world = World::new("event", 2).await;
    world.produce_these(
        1,
        &[
            Message::value("a").key("k").header("h", "x"),
            Message::value("b"),
            Message::value("c"),
        ],
    );
    world.set("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9");
    let ran = world.ran(&["event", "--partition", "1", "--offsets", "0,2"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let event = ran.json();
    assert_eq!(event["eventSource"], "SelfManagedKafka");
    assert_eq!(event["bootstrapServers"], world.bootstrap.as_str());
    let records = &event["records"][format!("{}-1", world.topic)];
    assert_eq!((&records[0]["offset"], &records[1]["offset"]), (&json!(0), &json!(2)));
    assert_eq!(
        (&records[0]["key"], &records[0]["value"]),
        (&json!("aw=="), &json!("YQ=="))
    );
    assert_eq!(records[0]["headers"], json!([{"h": [120]}]));
    assert_eq!(
        (records[0]["timestampType"].as_str(), records[1].get("key")),
        (Some("CREATE_TIME"), None)
    );
    assert!(
        records[0]["timestamp"]
            .as_i64()
            .is_some_and(|ms| ms > 1_700_000_000_000)
    );
    let read = read(&ran.stdout).expect("it can be read").expect("an event");
    assert_eq!(read[0].len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_names_the_cluster_of_msk_as_a_function_would_see_it() {
    let mut world = World::new("event", 1).await;
    world.produce(0, 1);
    let cluster = "arn:aws:kafka:us-east-1:123456789012:cluster/shop/abc-1";
    world.set("MSK_CLUSTER_ARN", cluster);
    let event = world.ran(&["event", "--partition", "0", "--offsets", "0"]).json();
    assert_eq!(
        (&event["eventSource"], &event["eventSourceArn"]),
        (&"aws:kafka".into(), &cluster.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_not_there_is_named() {
    let world = World::new("event", 1).await;
    world.produce(0, 3);
    let ran = world.ran(&["event", "--partition", "0", "--offsets", "1,7"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(
        ran.stderr
            .contains(&format!("{}-0 has no record at offset 7", world.topic)),
        "{}",
        ran.stderr
    );
    let ran = world.ran(&["event", "--partition", "0", "--offsets", "5-9"]);
    assert!(ran.stderr.contains("has no record at these offsets"), "{}", ran.stderr);
    let ran = world.ran(&["event", "--partition", "9", "--offsets", "1"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("-9 is unavailable"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_above_lambdas_limit_is_refused_with_its_size() {
    let world = World::new("event", 1).await;
    let large: Vec<Message> = (0..6).map(|_| Message::value("x".repeat(900_000))).collect();
    world.produce_these(0, &large);
    let ran = world.ran(&["event", "--partition", "0", "--offsets", "0-5"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(
        ran.stderr.contains("Lambda accepts 6291456. Select fewer records"),
        "{}",
        ran.stderr
    );
    let ran = world.ran(&["event", "--partition", "0", "--offsets", "0-4"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}
