//! The contract of a store in `DynamoDB` beyond that of every store, for the embedded one and
//! DynamoDB Local alike; run by [`dynamo_conformance_tests`].

#![allow(clippy::unwrap_used, reason = "a test fails by it")]
#![allow(
    unused_macros,
    unused_imports,
    reason = "without the feature `embedded` the offline tests do not run this"
)]

pub(crate) mod items;
pub(crate) mod tables;

use aws_sdk_dynamodb::types::AttributeValue;
use kafka_consumer_lambda::record::NextOffset;
use kafka_consumer_lambda::store::Consumer;
use kafka_consumer_lambda::store::dynamodb::{DynamoStore, TableCreated};

use super::store_histories::Bench;
use super::table::Table;

/// A store and its table.
pub(crate) struct DynamoBench {
    store: DynamoStore,
    table: Table,
}

impl DynamoBench {
    /// Creates a table at `endpoint`.
    pub(crate) async fn create(endpoint: &str) -> Self {
        let bench = Self::without_table(endpoint);
        assert_eq!(bench.store.create_table().await, Ok(TableCreated::Created));
        bench
    }

    /// The name of a table that does not exist.
    fn without_table(endpoint: &str) -> Self {
        let table = Table::named(endpoint, &format!("cursors-{}", uuid::Uuid::new_v4()));
        Self {
            store: DynamoStore::new(table.client.clone(), &table.name),
            table,
        }
    }
}

impl Bench for DynamoBench {
    type Store = DynamoStore;

    fn store(&self) -> &DynamoStore {
        &self.store
    }

    async fn put(&self, consumer: &Consumer, partition: i32, next: NextOffset) {
        self.table
            .put_cursor(&consumer.group_id, &consumer.topic, partition, next.last_processed())
            .await;
    }

    async fn move_to(&self, consumer: &Consumer, partition: i32, next: NextOffset) {
        self.table
            .update_offset(&consumer.to_string(), partition, next.last_processed())
            .await;
    }

    async fn pause(&self, consumer: &Consumer, partition: i32) {
        let mut item = self
            .table
            .get_item(&consumer.to_string(), partition)
            .await
            .expect("there is an item");
        item.insert("paused".to_owned(), AttributeValue::Bool(true));
        self.table.put_item(item).await;
    }

    async fn delete(&self, consumer: &Consumer, partition: i32) {
        self.table.delete_item(&consumer.to_string(), partition).await;
    }
}

/// Defines a test of each behaviour, at the endpoint that `$endpoint` resolves to.
macro_rules! dynamo_conformance_tests {
    ($endpoint:expr) => {
        crate::support::store_conformance::suite! {
            dynamo_conformance, $endpoint;
            items::the_attributes_have_their_documented_names_and_types
            items::attributes_of_other_programs_survive_every_write
            items::an_item_that_is_no_cursor_stops_its_partition_only
            items::an_item_of_a_group_with_the_same_key_is_refused
            items::a_sort_key_that_is_no_partition_fails_the_load
            items::a_number_is_read_however_it_was_written
            tables::a_missing_table_is_not_found
            tables::a_table_with_other_keys_is_not_found
            tables::a_name_that_no_table_can_have_is_not_found
            tables::a_table_is_created_once_and_then_left_as_it_is
            tables::creating_a_table_that_exists_with_other_keys_is_an_error
        }
    };
}
pub(crate) use dynamo_conformance_tests;
