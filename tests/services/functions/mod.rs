//! A function as destination: the real program, a real Kafka, and a local API that replies as
//! Lambda does, also wrongly.

mod failures;
mod handlers;
mod parallel;
mod refusals;
mod sizes;
mod trigger;
mod written;

use serde_json::Value;

use crate::support::function_api::{Call, FunctionApi, Reply, arn};
use crate::support::kafka::values;
use crate::support::world::World;

/// A topic whose records go to the function `orders`, which succeeds unless a test decides otherwise.
struct Destination {
    world: World,
    functions: FunctionApi,
}

impl Destination {
    async fn new(partitions: i32) -> Self {
        let functions = FunctionApi::start();
        functions.on("orders", |_| Reply::ok("null"));
        let mut world = World::new("functions", partitions).await;
        world
            .set("TIME_LIMIT", "20")
            .set("DESTINATION", arn("orders"))
            .set("AWS_ENDPOINT_URL_LAMBDA", functions.url());
        Self { world, functions }
    }

    /// With these values in partition 0.
    async fn with(records: impl IntoIterator<Item = &'static str>) -> Self {
        let destination = Self::new(1).await;
        destination.world.produce_these(0, &values(records));
        destination
    }

    /// The offsets of each call.
    fn calls(&self) -> Vec<Vec<i64>> {
        self.functions.offsets("orders")
    }

    /// The sizes of the calls, in records.
    fn sizes(&self) -> Vec<usize> {
        self.calls().iter().map(Vec::len).collect()
    }

    /// `batchItemFailures` of these offsets of partition 0.
    fn failures(&self, offsets: &[i64]) -> Reply {
        let partition = format!("{}-0", self.world.topic);
        Reply::failures(offsets.iter().map(|offset| (&*partition, *offset)))
    }

    /// Skips a record after its first failed attempt.
    fn skip_at_once(&mut self) -> &mut Self {
        self.world.set("ON_FAILURE", "skip").set("MAX_ATTEMPTS", "1");
        self
    }
}

/// A function that fails where an event holds a record with this value.
fn fails_on(value: &'static str) -> impl Fn(&Call) -> Reply + Send + Sync {
    move |call| {
        let encoded = base64(value);
        let holds = |record: &&Value| record["value"] == *encoded;
        if call.records().iter().any(holds) {
            Reply::function_error("ValueError", "planted-message")
        } else {
            Reply::ok("null")
        }
    }
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
