//! Backfills on real services: a part of the log is read again, and the live cursors do not change.

mod bounds;
mod interrupted;
mod list;

use serde_json::Value;

use crate::support::table::{Item, number, text};
use crate::support::world::{Ran, World};

/// The command with JSON on stdout.
fn arguments<'a>(name: &'a str, from: &'a str, to: &'a str) -> Vec<&'a str> {
    vec![
        "backfill", "--output", "json", "--name", name, "--from", from, "--to", to,
    ]
}

impl World {
    fn backfill(&self, name: &str, from: &str, to: &str) -> Ran {
        self.ran(&arguments(name, from, to))
    }

    /// The key of a backfill's cursors.
    fn backfill_id(&self, name: &str) -> String {
        format!("{}#{name}", self.consumer_id())
    }

    /// The items of the live cursors only.
    async fn live_items(&self) -> Vec<Item> {
        self.items_of(&self.consumer_id()).await
    }

    async fn items_of(&self, id: &str) -> Vec<Item> {
        let items = self.table.items().await.into_iter();
        items.filter(|item| text(item, "consumer_id") == id).collect()
    }

    /// Partition, first offset and end of a backfill, as stored.
    async fn stored_bounds(&self, name: &str) -> Vec<(i64, i64, i64)> {
        let items = self.items_of(&self.backfill_id(name)).await;
        let row = |item: &Item| {
            (
                number(item, "partition"),
                number(item, "backfill_from"),
                number(item, "backfill_to"),
            )
        };
        items.iter().map(row).collect()
    }
}

impl Ran {
    /// The report of a backfill that is done.
    fn done(&self) -> Value {
        let report = self.success();
        assert_eq!((&report["done"], &report["lag"]), (&true.into(), &0.into()), "{report}");
        report
    }
}
