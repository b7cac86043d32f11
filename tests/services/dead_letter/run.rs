//! Runs of the real program that send dead letters.

use kafka_consumer_lambda::dead_letter::header;
use serde_json::json;

use super::{body, in_topic};
use crate::support::dead_letters::last;
use crate::support::kafka::{self, Message, unique};
use crate::support::sqs::{self, Queue};
use crate::support::world::World;

/// Five records in partition 0, of which the second is no JSON, and three in partition 1.
async fn with_a_bad_record() -> World {
    let world = World::new("gives-up", 2).await;
    let records = ["0", "nothing", "2", "3", "4"].map(Message::value);
    world.produce_these(0, &records);
    world.produce(1, 3);
    world
}

/// P1: a cursor moves only past records that were settled.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_decoded_is_in_the_topic_before_the_cursor_passes_it() {
    let mut world = with_a_bad_record().await;
    let dead = unique("dead");
    kafka::create_topic(&world.bootstrap, &dead, 1, &[]);
    world.set("ON_FAILURE", format!("kafka://{dead}"));
    let ran = world.run();
    let report = ran.success();
    assert_eq!(report["dead_lettered"], 1);
    assert_eq!(report["messages_processed"], 7);
    assert_eq!(report["last_offsets"], json!({"0": 4, "1": 2}));
    let letters = in_topic(&dead, 1).await;
    assert_eq!(letters[0].value.as_deref(), Some(&b"nothing"[..]));
    let header = |name| last(&letters[0], name);
    assert_eq!(header(header::TOPIC), Some(world.topic.as_str()));
    assert_eq!(
        (header(header::PARTITION), header(header::OFFSET)),
        (Some("0"), Some("1"))
    );
    assert_eq!(
        (header(header::ATTEMPTS), header(header::STAGE)),
        (Some("1"), Some("VALUE_CONVERTER"))
    );
    assert!(!ran.stderr.contains("nothing"), "no value in any log");
}

/// P9: one partition's failure is its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_refuses_dead_letters_blocks_the_partition_and_loses_none() {
    let mut world = with_a_bad_record().await;
    let dead = unique("dead");
    // Even a pointer does not fit.
    kafka::create_topic(&world.bootstrap, &dead, 1, &[("max.message.bytes", "10")]);
    world
        .set("ON_FAILURE", format!("kafka://{dead}"))
        .set("POLL_TIMEOUT", "2");
    let report = world.run().failure("PartitionBlocked", 3);
    assert_eq!(
        (&report["dead_lettered"], &report["blocked"][0]["offset"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(report["last_offsets"], json!({"0": 0, "1": 2}));
    let error = report["blocked"][0]["error"].as_str().expect("an error");
    assert!(error.contains(&dead), "{error}");
    assert_eq!(world.offset(0).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_decoded_is_in_the_queue_before_the_cursor_passes_it() {
    let queue = Queue::create("dead").await;
    let mut world = with_a_bad_record().await;
    world
        .set("ON_FAILURE", &queue.arn)
        .set("AWS_ENDPOINT_URL_SQS", sqs::endpoint());
    let report = world.run().success();
    assert_eq!(report["dead_lettered"], 1);
    assert_eq!(report["last_offsets"], json!({"0": 4, "1": 2}));
    let letters = queue.take(1).await;
    let letter = body(&letters[0]);
    assert_eq!((&letter["partition"], &letter["offset"]), (&json!(0), &json!(1)));
}
