//! The demo's orders, and their production to the topic.

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::embedded::EmbeddedKafka;
use crate::error::Error;

/// The topic of the orders.
pub(super) const TOPIC: &str = "orders";

/// How many orders wait in each partition at the start. Partitions are rarely
/// even, so these are not; the smallest still has records for the third run.
pub(super) const AT_FIRST: [u64; 4] = [1_500, 1_000, 650, 350];

/// How many come later on.
pub(super) const LATER: [u64; 4] = [40, 60, 100, 50];

/// How many are written at once.
const BATCH: u64 = 100;

const CUSTOMERS: u64 = 97;
const CHEAPEST_CENTS: u64 = 250;
const PRICES_CENTS: u64 = 9_000;

/// The value of a record.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    id: String,
    customer: String,
    amount_cents: u64,
}

impl Order {
    fn new(partition: i32, number: u64) -> Self {
        Self {
            id: format!("{partition}-{number}"),
            customer: format!("customer-{}", number % CUSTOMERS),
            // Amounts that vary.
            amount_cents: CHEAPEST_CENTS + number * 7_919 % PRICES_CENTS,
        }
    }
}

/// The number of orders in each partition, which is also its end offset.
#[derive(Debug, Default)]
pub(super) struct Produced {
    /// By partition.
    pub(super) counts: [u64; AT_FIRST.len()],
}

impl Produced {
    /// All partitions together.
    pub(super) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Writes more orders, with a bar on stderr if that is a terminal.
    pub(super) async fn add(&mut self, kafka: &EmbeddedKafka, counts: [u64; AT_FIRST.len()]) -> Result<(), Error> {
        let bar = ProgressBar::new(counts.iter().sum());
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} orders") {
            bar.set_style(style);
        }
        for (partition, (produced, count)) in (0..).zip(self.counts.iter_mut().zip(counts)) {
            let end = *produced + count;
            while *produced < end {
                let next = end.min(*produced + BATCH);
                let batch = (*produced..next)
                    .map(|number| serde_json::to_vec(&Order::new(partition, number)).unwrap_or_default());
                kafka.produce(TOPIC, partition, batch).await?;
                bar.inc(next - *produced);
                *produced = next;
            }
        }
        bar.finish_and_clear();
        Ok(())
    }
}
