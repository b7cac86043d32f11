//! Lists the backfills of a group: their names are stored in the table only.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;

use super::DynamoStore;
use super::deleted::is_of_copies;
use super::item::{Item, name};
use crate::error::Error;
use crate::store::{Consumer, StoredCursor};

impl DynamoStore {
    /// The cursors of all backfills that `group_id` has made of `topic`, by
    /// backfill and partition, read consistently.
    ///
    /// Scans the whole table, which needs the permission `dynamodb:Scan`. Runs
    /// do not.
    ///
    /// # Errors
    /// As for [`load`](crate::store::Store::load).
    pub async fn backfills(
        &self,
        group_id: &Arc<str>,
        topic: &Arc<str>,
    ) -> Result<Vec<(Consumer, Vec<StoredCursor>)>, Error> {
        let live = Consumer {
            group_id: group_id.clone(),
            topic: topic.clone(),
            backfill: None,
        };
        let prefix = format!("{live}#");
        let mut found: HashMap<String, (Consumer, Vec<StoredCursor>)> = HashMap::new();
        let mut start = None;
        loop {
            let call = self.call("Scan");
            let page = self
                .client
                .scan()
                .table_name(&self.table)
                .consistent_read(true)
                .filter_expression("begins_with(#key, :prefix)")
                .expression_attribute_names("#key", name::CONSUMER_ID)
                .expression_attribute_values(":prefix", AttributeValue::S(prefix.clone()))
                .set_exclusive_start_key(start)
                .customize()
                .interceptor(call.observer())
                .send()
                .await
                .map_err(|error| call.error(&error))?;
            for item in page.items() {
                let Some(consumer) = backfill(&live, &prefix, item) else {
                    continue;
                };
                let stored = self.read_stored(&consumer, item)?;
                let key = consumer.to_string();
                found.entry(key).or_insert_with(|| (consumer, vec![])).1.push(stored);
            }
            start = page.last_evaluated_key;
            if start.as_ref().is_none_or(HashMap::is_empty) {
                break;
            }
        }
        let mut found: Vec<_> = found.into_values().collect();
        found.sort_by(|(a, _), (b, _)| a.backfill.cmp(&b.backfill));
        for (_, cursors) in &mut found {
            cursors.sort_by_key(|stored| stored.partition);
        }
        Ok(found)
    }
}

/// The backfill of an item. A group's name may contain a `#`, so that keys are
/// ambiguous: `topic` and `group_id` resolve them.
fn backfill(live: &Consumer, prefix: &str, item: &Item) -> Option<Consumer> {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    let is = |name: &str, ours: &str| text(name).is_none_or(|theirs| theirs == ours);
    let named = text(name::CONSUMER_ID)?.strip_prefix(prefix)?;
    (!is_of_copies(named) && is(name::TOPIC, &live.topic) && is(name::GROUP_ID, &live.group_id)).then(|| Consumer {
        backfill: Some(named.into()),
        ..live.clone()
    })
}
