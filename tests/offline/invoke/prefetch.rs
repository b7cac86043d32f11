//! Records that are fetched before the claim is written.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_consumer_lambda::claim::{Cursor, RunId};
use kafka_consumer_lambda::processor::Processor;
use kafka_consumer_lambda::record::NextOffset;
use kafka_consumer_lambda::{Record, each};
use serde_json::json;

use super::source::Brokers;
use super::{HandledOffsets, World, consumer};

/// Long enough for any fetch from the embedded Kafka.
const SLOW_WRITE: Duration = Duration::from_secs(2);

/// The events of a run, in their order.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<&'static str>>>);

impl Events {
    fn push(&self, what: &'static str) {
        let mut events = self.0.lock().expect("no panic with the lock held");
        if events.last() != Some(&what) {
            events.push(what);
        }
    }

    fn all(&self) -> Vec<&'static str> {
        self.0.lock().expect("no panic with the lock held").clone()
    }
}

/// A world with a slow table, whose writes are events.
async fn slow_world(events: &Events, records: usize) -> World {
    let mut world = World::new(1, 1, records).await;
    world.table.write_takes = SLOW_WRITE;
    let noted = events.clone();
    world.table.before_write = Some(Box::new(move |_, _| noted.push("a write was made")));
    world
}

fn noting(events: &Events, handled: &HandledOffsets) -> impl Processor + use<> {
    let (events, handled) = (events.clone(), handled.clone());
    each(move |record: Record| {
        events.push("a record was handled");
        handled.note(record.offset);
        async { Ok(()) }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_fetched_while_the_claim_is_written_and_handled_after_it() {
    let (events, handled) = (Events::default(), HandledOffsets::default());
    let world = slow_world(&events, 1).await;
    let config = world.config(&[]);
    let noted = events.clone();
    let source = Brokers::new(&config).with_listener(move |what| noted.push(what));
    let (report, _) = world.run_with(config, &source, noting(&events, &handled), 20).await;
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
    assert_eq!(events.all(), claimed_and_stored);
}

/// P3: without a claim no record is handled.
#[tokio::test(flavor = "multi_thread")]
async fn records_that_were_fetched_before_a_claim_that_is_refused_are_not_handled() {
    let (events, handled) = (Events::default(), HandledOffsets::default());
    let mut world = slow_world(&events, 3).await;
    world.table.before_write = Some(Box::new(|table, partition| {
        let taken = Cursor {
            run: Some(RunId::new("another")),
            claim_until_ms: Some(i64::MAX / 2),
            ..Cursor::at(NextOffset::ZERO)
        };
        table.put(&consumer(), partition, taken);
    }));
    let config = world.config(&[]);
    let noted = events.clone();
    let source = Brokers::new(&config).with_listener(move |what| noted.push(what));
    let (report, _) = world.run_with(config, &source, noting(&events, &handled), 20).await;
    assert_eq!(report["messages_processed"], 0, "{report}");
    assert_eq!(handled.offsets(), [0_i64; 0]);
    assert_eq!(events.all()[0], "records came");
}
