//! Dead letters of whole runs: their limit, and a target that fails.

use kafka_consumer_lambda::{Failure, Record, each};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::json;

use super::World;

const SETTINGS: [(&str, &str); 2] = [("ON_FAILURE", "kafka://dead"), ("MAX_ATTEMPTS", "1")];

async fn world(records: usize) -> World {
    let world = World::new(1, 2, records).await;
    world.kafka.create_topic("dead", 1).await.expect("a topic");
    world
}

/// An outage downstream cannot drain a topic into the dead letters.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_sends_a_hundred_dead_letters_and_then_blocks() {
    let world = world(80).await;
    let outage = || each(|_: Record| async { Err(Failure::Retry("no response".into())) });
    let (report, _) = world.run(&SETTINGS, outage(), 30).await;
    assert_eq!(report["dead_lettered"], 100, "{report}");
    assert_eq!(report["error"]["type"], "PartitionBlocked");
    let stored: i64 = [0, 1].map(|partition| world.cursor(partition).next.get()).iter().sum();
    assert_eq!(stored, 100, "acknowledged records are passed, and no others");
    let error = report["blocked"][0]["error"].as_str().expect("an error");
    assert!(
        error.contains("no response") && error.contains("100 dead letters"),
        "{error}"
    );
}

/// P9: one partition's failure is its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_refuses_blocks_the_partition_until_it_accepts_the_dead_letter() {
    let world = world(5).await;
    let cluster = world.kafka.cluster().expect("a cluster");
    let refusals = vec![RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 20];
    cluster.request_errors(RDKafkaApiKey::Produce, &refusals);
    let handler = || {
        each(|record: Record| async move {
            if (record.partition.partition, record.offset) == (1, 2) {
                return Err(Failure::Poison("never".into()));
            }
            Ok(())
        })
    };
    let (report, _) = world.run(&SETTINGS, handler(), 20).await;
    assert_eq!(report["error"]["type"], "PartitionBlocked", "{report}");
    assert_eq!(
        (&report["dead_lettered"], &report["last_offsets"]),
        (&json!(0), &json!({"0": 4, "1": 1}))
    );
    cluster.clear_request_errors(RDKafkaApiKey::Produce);
    let mut item = world.cursor(1);
    item.failure.as_mut().expect("it failed").next_try_at_ms = Some(0);
    world.table.inner.put(&super::consumer(), 1, item);
    let (report, _) = world.run(&SETTINGS, handler(), 20).await;
    assert_eq!(
        (&report["status"], &report["dead_lettered"]),
        (&json!("success"), &json!(1)),
        "{report}"
    );
    assert_eq!(world.cursor(1).next.get(), 5);
}

/// A run that ends before the acknowledgement of a dead letter is no failure of the target.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_before_a_dead_letter_is_acknowledged_blocks_nothing() {
    let world = World::new(1, 1, 1).await;
    world.kafka.create_topic("dead", 1).await.expect("a topic");
    let kafka = &world.kafka;
    let handler = each(|_: Record| async {
        kafka.cluster().expect("a cluster").broker_down(1).expect("it stops");
        Err(Failure::Poison("never".into()))
    });
    // One second of work, and a timeout of two seconds for the target.
    let (report, _) = world.run(&SETTINGS, handler, 2).await;
    assert_eq!(
        (&report["blocked"], &report["dead_lettered"]),
        (&json!([]), &json!(0)),
        "{report}"
    );
    let next_try = world.cursor(0).failure.and_then(|it| it.next_try_at_ms);
    assert_eq!((world.cursor(0).next.get(), next_try), (0, None));
    // It made no other progress: that is no success.
    assert_eq!(report["error"]["type"], "Timeout", "{report}");
    kafka.cluster().expect("a cluster").broker_up(1).expect("it starts");
    let (report, _) = world
        .run(
            &SETTINGS,
            each(|_: Record| async { Err(Failure::Poison("never".into())) }),
            20,
        )
        .await;
    assert_eq!(
        (&report["status"], &report["dead_lettered"]),
        (&json!("success"), &json!(1)),
        "{report}"
    );
}
