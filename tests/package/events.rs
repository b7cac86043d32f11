//! The events that start a run at AWS.

use serde_json::json;

use crate::packages::{BOTH, Package, template};
use crate::support::runtime_api::envelope;
use crate::support::world::World;

#[tokio::test]
async fn each_event_of_a_schedule_or_a_rule_is_a_run_that_continues_where_the_last_one_stopped() {
    let [schedules] = &template().events[0][..] else {
        panic!("one schedule where nothing is shared")
    };
    let events = [
        schedules.clone(),
        envelope("aws.scheduler", &json!("{}")),
        envelope("aws.events", &json!({})),
        json!({}),
    ];
    for package in BOTH {
        let world = World::new("event", 1).await;
        let mut function = package.start(&world);
        for (round, event) in (1..).zip(&events) {
            world.produce(0, 3);
            let invocation = function.invoke(event);
            assert_eq!(
                invocation.success()["last_offsets"],
                json!({"0": round * 3 - 1}),
                "{package:?}: {event}"
            );
        }
        assert_eq!(world.offset(0).await, Some(11));
    }
}

#[tokio::test]
async fn schedules_that_share_a_topic_handle_each_record_once() {
    for events in &template().events {
        let world = World::new("shards", 8).await;
        for partition in 0..8 {
            world.produce(partition, 10);
        }
        let mut functions: Vec<_> = events.iter().map(|_| Package::Static.start(&world)).collect();
        let processed: Vec<_> = std::thread::scope(|scope| {
            let at_once = functions.iter_mut().zip(events);
            let at_once: Vec<_> = at_once
                .map(|(function, event)| scope.spawn(|| function.invoke(event)))
                .collect();
            let done = at_once.into_iter().map(|run| run.join().expect("no panic"));
            done.map(|invocation| invocation.success()["messages_processed"].as_u64())
                .collect()
        });
        let expected: Vec<_> = (1..=events.len())
            .map(|shard| Some((0..8).filter(|partition| partition % events.len() == shard - 1).count() as u64 * 10))
            .collect();
        assert_eq!(processed, expected, "{events:?}");
        for partition in 0..8 {
            assert_eq!(world.offset(partition).await, Some(9), "{events:?}");
        }
    }
}
