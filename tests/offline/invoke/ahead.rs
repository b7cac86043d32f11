//! What is fetched before a run may touch it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_consumer_lambda::claim::{Cursor, RunId};
use kafka_consumer_lambda::processor::Processor;
use kafka_consumer_lambda::record::NextOffset;
use kafka_consumer_lambda::{Record, each};
use serde_json::json;

use super::source::Brokers;
use super::{ObservedItem, World, consumer};

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

/// A world with a slow table that tells when it is written.
async fn slow_world(story: &Story, records: usize) -> World {
    let mut world = World::new(1, 1, records).await;
    world.table.write_takes = SLOW_WRITE;
    let told = story.clone();
    world.table.before_write = Some(Box::new(move |_, _| told.tell("a write was made")));
    world
}

fn noting(story: &Story, seen: &ObservedItem) -> impl Processor + use<> {
    let (story, seen) = (story.clone(), seen.clone());
    each(move |record: Record| {
        story.tell("a record was handled");
        seen.note(record.offset);
        async { Ok(()) }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn records_come_while_the_claim_is_written_and_are_handled_after_it() {
    let (story, seen) = (Story::default(), ObservedItem::default());
    let world = slow_world(&story, 1).await;
    let config = world.config(&[]);
    let told = story.clone();
    let source = Brokers::new(&config).that_tell(move |what| told.tell(what));
    let (report, _) = world.run_with(config, &source, noting(&story, &seen), 20).await;
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
    let (story, seen) = (Story::default(), ObservedItem::default());
    let mut world = slow_world(&story, 3).await;
    world.table.before_write = Some(Box::new(|table, partition| {
        let taken = Cursor {
            run: Some(RunId::new("another")),
            claim_until_ms: Some(i64::MAX / 2),
            ..Cursor::at(NextOffset::ZERO)
        };
        table.put(&consumer(), partition, taken);
    }));
    let config = world.config(&[]);
    let told = story.clone();
    let source = Brokers::new(&config).that_tell(move |what| told.tell(what));
    let (report, _) = world.run_with(config, &source, noting(&story, &seen), 20).await;
    assert_eq!(report["messages_processed"], 0, "{report}");
    assert_eq!(seen.offsets(), [0_i64; 0]);
    assert_eq!(story.told()[0], "records came");
}
