//! Routes in whole runs: each topic has its destination, format and filter.

use std::io;
use std::sync::{Arc, Mutex};

use kafka_consumer_lambda::destination::Configured;
use kafka_consumer_lambda::record::Consumer;
use kafka_consumer_lambda::source::kafka::KafkaSource;
use kafka_consumer_lambda::{Failure, Record, each, routes};
use serde_json::{Value, json};
use tracing::instrument::WithSubscriber as _;

use super::{HandledOffsets, World, security};

/// The lines of a log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// The values that were logged for a topic, in order.
    fn values(&self, topic: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text");
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines
            .filter(|line| line["message"] == "record" && line["topic"] == topic)
            .map(|line| line["value"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

/// A world with these topics, of one partition and three records each.
async fn world(topics: &[(&str, [&str; 3])]) -> World {
    let world = World::new(1, 1, 0).await;
    for (topic, values) in topics {
        world.kafka.create_topic(topic, 1).await.expect("a topic");
        world.kafka.produce(topic, 0, *values).await.expect("records");
    }
    world
}

fn next(world: &World, topic: &str) -> Option<i64> {
    let consumer = Consumer {
        group_id: "g".into(),
        topic: topic.into(),
        backfill: None,
    };
    world.table.inner.get(&consumer, 0).map(|cursor| cursor.next.get())
}

#[tokio::test(flavor = "multi_thread")]
async fn six_topics_go_to_their_destinations_in_their_formats_through_their_filters() {
    let json = [r#"{"n":0}"#, r#"{"n":1}"#, r#"{"n":2}"#];
    let not_json = ["zero", "one", "two"];
    let topics = [
        ("orders", json),
        ("users", not_json),
        ("clicks-eu", json),
        ("clicks-us", json),
        ("audit", not_json),
        ("payments", ["1", "one", "2"]),
    ];
    let world = world(&topics).await;
    let destination = r#"{
        "orders": {"to": "log", "filters": [{"value": {"n": [0, 2]}}]},
        "users": {"to": "log", "format": "text"},
        "clicks-*": "discard",
        "clicks-us": {"to": "log", "format": "bytes", "filters": [{"offset": [1]}], "batch_size": 1},
        "audit": {"to": "discard", "format": "bytes"},
        "*": "log"
    }"#;
    let settings = [
        ("KAFKA_TOPIC", "orders,users,clicks-eu,clicks-us,audit,payments"),
        ("DESTINATION", destination),
        ("LOG_VALUES", "true"),
    ];
    let config = world.config(&settings);
    let source = KafkaSource::new(&config, security(&config));
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(move || writer.clone())
        .finish();
    let configured = Configured::new(&config);
    let run = world
        .run_with(config, source, configured, 20)
        .with_subscriber(subscriber);
    let (report, _) = run.await;
    for (topic, logged, settled) in [
        ("orders", vec![r#"{"n":0}"#, r#"{"n":2}"#], 3),
        ("users", not_json.to_vec(), 3),
        ("clicks-eu", vec![], 3),
        ("clicks-us", vec![r#"{\"n\":1}"#], 3),
        ("audit", vec![], 3),
        // Its format is the default, JSON.
        ("payments", vec!["1"], 1),
    ] {
        assert_eq!(lines.values(topic), logged, "{topic}");
        assert_eq!(next(&world, topic), Some(settled), "{topic}: {report}");
    }
    assert_eq!(
        (&report["messages_processed"], &report["filtered"]),
        (&json!(13), &json!(3)),
        "{report}"
    );
    let blocked = &report["blocked"][0];
    assert_eq!((&blocked["topic"], &blocked["offset"]), (&json!("payments"), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_topic_of_a_run_has_its_handler() {
    let world = world(&[("orders", ["1", "2", "3"]), ("users", ["1", "2", "3"])]).await;
    let (orders, others) = (HandledOffsets::default(), HandledOffsets::default());
    let noted = orders.clone();
    let fails_at_1 = each(move |record: Record| {
        noted.note(record.offset);
        let result = if record.offset == 1 {
            Err(Failure::Poison("no price".into()))
        } else {
            Ok(())
        };
        async { result }
    });
    let router = routes().topic("orders", fails_at_1).otherwise(others.handler());
    let (report, _) = world.run(&[("KAFKA_TOPIC", "orders,users")], router, 20).await;
    assert_eq!((orders.offsets(), others.offsets()), (vec![0, 1], vec![0, 1, 2]));
    assert_eq!(report["error"]["type"], "PartitionBlocked", "{report}");
    assert_eq!((next(&world, "orders"), next(&world, "users")), (Some(1), Some(3)));
}

/// It is neither skipped nor handed to another handler.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_matches_no_route_blocks_its_partition() {
    let world = world(&[("orders", ["1", "2", "3"])]).await;
    let handled = HandledOffsets::default();
    let router = routes().header("type", "priority", handled.handler());
    let (report, _) = world.run(&[("KAFKA_TOPIC", "orders")], router, 20).await;
    let blocked = &report["blocked"][0];
    assert_eq!(
        (&blocked["offset"], &report["skipped"]),
        (&json!(0), &json!([])),
        "{report}"
    );
    let error = blocked["error"].as_str().expect("text");
    assert!(
        error.contains("no handler for the record at offset 0 of orders-0"),
        "{error}"
    );
    assert!(handled.offsets().is_empty());
}
