//! A Lambda function with a handler of its own: `make package HANDLER=examples/handler`.

use kafka_consumer_lambda::{Failure, Record, json, lambda, lambda_runtime};

#[derive(serde::Deserialize)]
struct Order {
    quantity: u32,
}

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda::run(|_config| json(handle)).await
}

async fn handle(order: Option<Order>, record: Record) -> Result<(), Failure> {
    match order {
        Some(order) => tracing::info!(id = record.id(), order.quantity, "order received"),
        None => tracing::info!(id = record.id(), "order deleted"), // a tombstone
    }
    Ok(())
}
