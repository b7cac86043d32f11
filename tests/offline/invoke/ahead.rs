//! What is fetched before a run may touch it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kafka_consumer_lambda::error::Error;
use kafka_consumer_lambda::record::{NextOffset, TopicPartition};
use kafka_consumer_lambda::source::kafka::KafkaSource;
use kafka_consumer_lambda::source::{Limit, LookUp, Looked, Polled, Source};
use kafka_consumer_lambda::{Record, each};
use serde_json::json;

use super::{Seen, World, security};
use kafka_consumer_lambda::claim::{Cursor, RunId};

/// Long enough for any fetch from the embedded Kafka.
const SLOW_WRITE: Duration = Duration::from_secs(2);

/// What happened, in its order.
#[derive(Clone, Default)]
struct Story(Arc<Mutex<Vec<&'static str>>>);

impl Story {
    fn tell(&self, what: &'static str) {
        let mut story = self.0.lock().expect("nobody panicked");
        if story.last() != Some(&what) {
            story.push(what);
        }
    }

    fn told(&self) -> Vec<&'static str> {
        self.0.lock().expect("nobody panicked").clone()
    }
}

/// Brokers whose records are noted when they come, and when no more are wanted.
struct Noted(KafkaSource, Story);

impl Source for Noted {
    async fn ends(&self, topics: &[Arc<str>], until: Instant) -> Result<Vec<(TopicPartition, Looked)>, Error> {
        self.0.ends(topics, until).await
    }

    async fn look_up(&self, partitions: &[TopicPartition], what: LookUp, until: Instant) -> Result<Vec<Looked>, Error> {
        self.0.look_up(partitions, what, until).await
    }

    fn start(&self, positions: &[(TopicPartition, NextOffset)]) -> Result<(), Error> {
        self.0.start(positions)
    }

    async fn poll(&self, partition: &TopicPartition, limit: Limit) -> Polled {
        let polled = self.0.poll(partition, limit).await;
        if matches!(polled, Polled::Records(_)) {
            self.1.tell("records came");
        }
        polled
    }

    fn finish(&self, partitions: &[TopicPartition]) {
        self.1.tell("fetching ended");
        self.0.finish(partitions);
    }
}

/// A world with a slow table that tells when it is written.
async fn slow_world(story: &Story, records: usize) -> World {
    let mut world = World::new(1, 1, records).await;
    world.table.write_takes = SLOW_WRITE;
    let told = story.clone();
    world.table.before_write = Some(Box::new(move |_, _| told.tell("a write was made")));
    world
}

fn noting(story: &Story, seen: &Seen) -> impl kafka_consumer_lambda::processor::Processor + use<> {
    let (story, seen) = (story.clone(), seen.clone());
    each(move |record: Record| {
        story.tell("a record was handled");
        seen.note(record.offset);
        async { Ok(()) }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn records_come_while_the_claim_is_written_and_are_handled_after_it() {
    let (story, seen) = (Story::default(), Seen::default());
    let world = slow_world(&story, 1).await;
    let config = world.config(&[]);
    let source = Noted(KafkaSource::new(&config, security(&config)), story.clone());
    let (report, _) = world.run_with(config, source, noting(&story, &seen), 20).await;
    assert_eq!(report["last_offsets"], json!({"0": 0}), "{report}");
    let claimed_and_stored = [
        "records came",
        "fetching ended",
        "a write was made",
        "fetching ended",
        "a record was handled",
        "fetching ended",
        "a write was made",
    ];
    assert_eq!(story.told(), claimed_and_stored);
}

/// P3: what came too early is another run's.
#[tokio::test(flavor = "multi_thread")]
async fn records_that_came_before_a_claim_that_is_refused_are_handled_by_nobody() {
    let (story, seen) = (Story::default(), Seen::default());
    let mut world = slow_world(&story, 3).await;
    world.table.before_write = Some(Box::new(|table, partition| {
        let taken = Cursor {
            run: Some(RunId::new("another")),
            claim_until_ms: Some(i64::MAX / 2),
            ..Cursor::at(NextOffset::ZERO)
        };
        table.put(&super::consumer(), partition, taken);
    }));
    let config = world.config(&[]);
    let source = Noted(KafkaSource::new(&config, security(&config)), story.clone());
    let (report, _) = world.run_with(config, source, noting(&story, &seen), 20).await;
    assert_eq!(report["messages_processed"], 0, "{report}");
    assert_eq!(seen.offsets(), [0_i64; 0]);
    assert_eq!(story.told()[0], "records came");
}
