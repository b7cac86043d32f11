//! The targets of dead letters.

use super::{fails, reports};
use crate::support::kafka::{self, unique};
use crate::support::sqs::{self, Queue};
use crate::support::world::World;

#[tokio::test]
async fn the_topic_of_dead_letters_must_exist() {
    let mut world = World::new("letters", 1).await;
    let dead = unique("dead");
    world.set("ON_FAILURE", format!("kafka://{dead}"));
    let (checks, _) = world.doctor(1);
    fails(
        checks.one("dead_letters"),
        "DestinationFailed",
        "the topic does not exist",
        "Create it",
    );
    kafka::create_topic(&world.bootstrap, &dead, 2, &[]);
    let (checks, _) = world.doctor(0);
    reports(
        checks.one("dead_letters"),
        "the topic exists, with 2 partitions, and this user may describe it",
        "",
    );
    assert_eq!(
        kafka::watermarks(&world.bootstrap, &dead, 0),
        (0, 0),
        "nothing was written"
    );
}

#[tokio::test]
async fn the_queue_of_dead_letters_must_exist() {
    let mut world = World::new("queue", 1).await;
    let queue = Queue::create("letters").await;
    world
        .set("AWS_ENDPOINT_URL_SQS", sqs::endpoint())
        .set("ON_FAILURE", &queue.arn);
    let (checks, _) = world.doctor(0);
    reports(checks.one("dead_letters"), "the queue exists", "");
    assert_eq!(queue.len().await, 0, "nothing was sent");
    world.set("ON_FAILURE", format!("{}x", queue.arn));
    let (checks, _) = world.doctor(1);
    fails(
        checks.one("dead_letters"),
        "DestinationFailed",
        "the queue does not exist",
        "correct ON_FAILURE",
    );
}
