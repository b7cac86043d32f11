//! An HTTP endpoint as destination: the real program, a real Kafka, and a local server that replies as the test decides.

mod connections;
mod events;
mod refusals;
mod runs;
mod tls;

use serde_json::Value;

use crate::support::http_endpoint::HttpEndpoint;
use crate::support::kafka::values;
use crate::support::world::World;

/// A topic whose records go to an endpoint that accepts them unless a test decides otherwise.
struct Destination {
    world: World,
    endpoint: HttpEndpoint,
}

impl Destination {
    async fn new(partitions: i32) -> Self {
        Self::to(HttpEndpoint::start(), partitions).await
    }

    async fn to(endpoint: HttpEndpoint, partitions: i32) -> Self {
        let mut world = World::new("http", partitions).await;
        world.set("TIME_LIMIT", "20").set("DESTINATION", endpoint.url("/in"));
        Self { world, endpoint }
    }

    /// With these values in partition 0.
    async fn with(records: impl IntoIterator<Item = &'static str>) -> Self {
        let destination = Self::new(1).await;
        destination.world.produce_these(0, &values(records));
        destination
    }

    /// Skips a record after its first failed attempt.
    fn skip_at_once(&mut self) -> &mut Self {
        self.world.set("ON_FAILURE", "skip").set("MAX_ATTEMPTS", "1");
        self
    }
}

fn message(report: &Value) -> &str {
    report["error"]["message"].as_str().expect("a message")
}
