//! A whole Lambda function: orders as JSON, each handled once or more, in order.
//!
//! `examples/handler` shows the crate around it: its dependencies, and how it is packaged.

use kafka_consumer_lambda::{Failure, Record, json, lambda};

#[derive(serde::Deserialize)]
struct Order {
    id: u64,
    quantity: u32,
}

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda::run(|_config| json(handle)).await
}

async fn handle(order: Option<Order>, record: Record) -> Result<(), Failure> {
    match order {
        // This can never succeed: ON_FAILURE decides whether the partition halts or the record is skipped.
        Some(order) if order.quantity == 0 => Err(Failure::Poison("the order is for nothing".into())),
        // This may pass: it is tried again. The id is the same each time, so a repetition does no harm.
        Some(order) => store(&record.id(), &order)
            .await
            .map_err(|error| Failure::Retry(error.to_string())),
        // A tombstone: in a compacted topic, the order was deleted.
        None => {
            tracing::info!(id = record.id(), "order deleted");
            Ok(())
        }
    }
}

/// Stands for your database.
async fn store(id: &str, order: &Order) -> std::io::Result<()> {
    tokio::task::yield_now().await;
    tracing::info!(id, order.id, order.quantity, "order stored");
    Ok(())
}
