//! How a backfill starts, and how it fails while a broker is down.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_consumer_lambda::claim::{Bounds, Cursor};
use kafka_consumer_lambda::event::{BackfillRequest, Bound, Request};
use kafka_consumer_lambda::record::NextOffset;
use kafka_consumer_lambda::source::kafka::KafkaSource;
use kafka_consumer_lambda::store::Consumer;
use serde_json::{Value, json};

use super::{HandledOffsets, World, consumer, security};

fn request(to: Bound) -> BackfillRequest {
    BackfillRequest::new("b".parse().expect("a name"), Bound::Earliest, to, None).expect("the bounds fit")
}

fn its_consumer() -> Consumer {
    Consumer {
        backfill: Some("b".into()),
        ..consumer()
    }
}

impl World {
    /// One invocation. Returns its report, and the offsets that its handler got.
    async fn backfill(&self, request: BackfillRequest) -> (Value, Vec<i64>) {
        let config = self.config(&[]);
        let handled = HandledOffsets::default();
        let source = KafkaSource::new(&config, security(&config));
        let invocation = self.invocation(config, source, handled.handler());
        let (report, _) = invocation
            .of(Request::Backfill(request))
            .within(Duration::from_secs(30))
            .report()
            .await;
        (report, handled.offsets())
    }

    fn leader(&self, partition: i32, broker: i32) {
        let cluster = self.kafka.cluster().expect("a cluster");
        cluster
            .partition_leader("t", partition, Some(broker))
            .expect("a leader");
    }

    fn broker_is_up(&self, broker: i32, is_up: bool) {
        let cluster = self.kafka.cluster().expect("a cluster");
        let done = if is_up {
            cluster.broker_up(broker)
        } else {
            cluster.broker_down(broker)
        };
        done.expect("the embedded Kafka executes it");
    }

    fn items(&self) -> Vec<Option<Cursor>> {
        (0..3)
            .map(|partition| self.table.inner.get(&its_consumer(), partition))
            .collect()
    }
}

/// Two brokers; the second leads partition 1 alone.
async fn two_brokers() -> World {
    let world = World::new(2, 3, 0).await;
    for (partition, broker) in [(0, 1), (1, 2), (2, 1)] {
        world.leader(partition, broker);
        for n in 0..4 {
            world
                .kafka
                .produce("t", partition, [format!("{n}")])
                .await
                .expect("a record");
        }
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_whose_bounds_cannot_be_resolved_reads_and_stores_nothing() {
    let world = two_brokers().await;
    world.broker_is_up(2, false);
    let (report, handled) = world.backfill(request(Bound::Latest)).await;
    assert_eq!(
        (&report["error"]["type"], &report["done"]),
        (&json!("BrokerUnreachable"), &json!(false)),
        "{report}"
    );
    let message = report["error"]["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("t-1") && message.contains("Nothing was read"),
        "{message}"
    );
    assert!(handled.is_empty());
    assert_eq!(world.items(), [None, None, None]);

    world.broker_is_up(2, true);
    let (report, handled) = world.backfill(request(Bound::Latest)).await;
    assert_eq!((&report["done"], handled.len()), (&json!(true), 12), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_down_later_makes_its_partition_unavailable_and_the_backfill_is_not_done() {
    let world = two_brokers().await;
    let first = BackfillRequest {
        max_messages: Some("1".parse().expect("a limit")),
        ..request(Bound::Latest)
    };
    world.backfill(first).await;
    world.broker_is_up(2, false);
    let (report, _) = world.backfill(request(Bound::Latest)).await;
    assert_eq!(
        (&report["error"]["type"], &report["done"], &report["lag"]),
        (&json!("BrokerUnreachable"), &json!(false), &json!(4)),
        "its end is known, so its lag is: {report}"
    );
    world.broker_is_up(2, true);
    let (report, handled) = world.backfill(request(Bound::Latest)).await;
    assert_eq!((&report["done"], handled), (&json!(true), vec![0, 1, 2, 3]), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_are_stored_the_highest_partition_first_and_before_anything_is_claimed() {
    let mut world = World::new(1, 3, 2).await;
    let order = Arc::new(Mutex::new(vec![]));
    let written = order.clone();
    world.table.before_write = Some(Box::new(move |table, partition| {
        let is_new = table.get(&its_consumer(), partition).is_none();
        written
            .lock()
            .expect("no panic with the lock held")
            .push((partition, is_new));
    }));
    let (report, _) = world.backfill(request(Bound::Latest)).await;
    assert_eq!(report["done"], true, "{report}");
    let mut order = order.lock().expect("no panic with the lock held").clone();
    assert_eq!(order[0], (2, true));
    order[..3].sort_unstable();
    assert_eq!(order[..3], [(0, true), (1, true), (2, true)]);
    assert!(order[3..].iter().all(|(_, is_new)| !is_new), "{order:?}");
    assert_eq!(
        world.table.inner.get(&consumer(), 0),
        None,
        "the live cursors are not touched"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_backfills_that_start_at_once_with_other_bounds_the_second_is_refused_before_it_reads() {
    let mut world = World::new(1, 3, 2).await;
    let other = Cursor {
        backfill: Some(Arc::new(Bounds {
            from: NextOffset::ZERO,
            to: NextOffset::new(1).expect("an offset"),
            requested: r#"{"from":"earliest","to":{"0":1,"1":1,"2":1}}"#.into(),
        })),
        ..Cursor::default()
    };
    let theirs = other.clone();
    world.table.before_write = Some(Box::new(move |table, partition| {
        if partition == 2 {
            table.put(&its_consumer(), 2, theirs.clone());
        }
    }));
    let (report, handled) = world.backfill(request(Bound::Latest)).await;
    assert_eq!(report["error"]["type"], "InvalidEvent", "{report}");
    assert!(handled.is_empty());
    assert_eq!(world.items(), [None, None, Some(other)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_was_interrupted_is_finished_by_the_next_invocation() {
    let world = World::new(1, 3, 2).await;
    let requested = request(Bound::Latest).requested();
    let highest = Cursor {
        backfill: Some(Arc::new(Bounds {
            from: NextOffset::ZERO,
            to: NextOffset::new(1).expect("an offset"),
            requested,
        })),
        ..Cursor::default()
    };
    world.table.inner.put(&its_consumer(), 2, highest);
    let (report, handled) = world.backfill(request(Bound::Latest)).await;
    assert_eq!((&report["done"], handled.len()), (&json!(true), 5), "{report}");
}
