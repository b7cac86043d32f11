//! Queues, topics, buses and other services as destinations: the real program, a real Kafka, and local APIs that reply as
//! the services do, also wrongly.

mod conformance;
pub(crate) mod dynamodb;
mod http;
mod messages;
mod topics;

use serde_json::Value;

use crate::support::entry_api::{EntryApi, Service};
use crate::support::kafka::Message;
use crate::support::world::World;

/// A topic whose records go to a service, which accepts them unless a test decides otherwise.
struct Destination {
    world: World,
    api: EntryApi,
}

impl Destination {
    async fn new(service: Service, partitions: i32) -> Self {
        let api = EntryApi::start(service);
        let mut world = World::new("destinations", partitions).await;
        world
            .set("TIME_LIMIT", "20")
            .set("DESTINATION", api.arn())
            .set(api.variable(), api.endpoint());
        Self { world, api }
    }

    /// With so many records in partition 0.
    async fn with(service: Service, records: usize) -> Self {
        let destination = Self::new(service, 1).await;
        let numbers: Vec<Message> = (0..records).map(|n| Message::value(n.to_string())).collect();
        destination.world.produce_these(0, &numbers);
        destination
    }

    /// Skips a record after its first failed attempt.
    fn skip_at_once(&mut self) -> &mut Self {
        self.world.set("ON_FAILURE", "skip").set("MAX_ATTEMPTS", "1");
        self
    }

    /// The offsets of each call.
    fn calls(&self) -> Vec<Vec<i64>> {
        let offsets = |call: Vec<(i32, i64)>| call.into_iter().map(|(_, offset)| offset).collect();
        self.api.calls().into_iter().map(offsets).collect()
    }

    /// The offsets of the accepted entries, in their order.
    fn accepted(&self) -> Vec<i64> {
        self.api.places().into_iter().map(|(_, offset)| offset).collect()
    }
}

fn message_of(report: &Value) -> &str {
    report["error"]["message"].as_str().expect("a message")
}
