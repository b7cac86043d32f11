//! Cursors in a `DynamoDB` table: the [`Store`] that operators can read and edit.
//!
//! Partition key `consumer_id` (S), sort key `partition` (N). `offset` (N) is
//! the **last processed** offset, -1 if nothing was processed yet. These
//! files alone convert between it and [`NextOffset`](crate::record::NextOffset).
//!
//! | file | |
//! |---|---|
//! | `item/` | an item -> a cursor, or why it is invalid; pure |
//! | `expression/` | a conditional write -> the expressions of one `UpdateItem`; pure |
//! | `errors.rs` | a failed call -> an error with the next step |
//! | `connect.rs` | creates a client with time-outs and retries |
//! | `list.rs` | lists the backfills of a group |
//! | `deleted.rs` | deletes items and restores them |
//! | `permissions.rs` | tests the role's permissions without changing the table |
//! | `table.rs` | creates the table |

#[cfg(test)]
mod arbitrary;
mod connect;
mod deleted;
mod errors;
mod expression;
mod item;
mod list;
mod permissions;
mod table;

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

pub use aws_sdk_dynamodb::Client;

pub use self::connect::client;
pub use self::permissions::Permission;
pub use self::table::TableCreated;
pub use crate::aws::CallLimits;

use self::errors::Call;
use self::expression::Expression;
use self::item::{Item, ItemKey, name};
use crate::claim::{Cursor, CursorWrite};
use crate::error::Error;
use crate::store::{Consumer, InvalidCursor, Store, StoredCursor, WriteResult};

/// The least number that `DynamoDB` can hold.
const MIN_NUMBER: &str = "-9.9999999999999999999999999999999999999E+125";

/// A table of cursors in `DynamoDB`. Clones share one client.
#[derive(Debug, Clone)]
pub struct DynamoStore {
    client: Client,
    table: String,
}

impl DynamoStore {
    /// The table `table`, reached by `client`. Nothing is sent yet.
    ///
    /// Time-outs and retries are the client's own: [`client`] makes one that
    /// gives up in time.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }

    /// The table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    fn call(&self, action: &'static str) -> Call {
        Call::new(action, &self.table, self.client.config().region().map(AsRef::as_ref))
    }

    /// All items of `consumer`, to be read consistently.
    fn query(&self, consumer: &Consumer) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            // The second clause holds for every number. With it a table of
            // other keys is an error; without it, a table without items.
            .key_condition_expression("#key = :key AND #partition >= :least")
            .expression_attribute_names("#key", name::CONSUMER_ID)
            .expression_attribute_names("#partition", name::PARTITION)
            .expression_attribute_values(":key", AttributeValue::S(consumer.to_string()))
            .expression_attribute_values(":least", AttributeValue::N(MIN_NUMBER.to_owned()))
    }

    fn read(&self, consumer: &Consumer, partition: i32, item: &Item) -> Result<Cursor, InvalidCursor> {
        item::read(
            &ItemKey {
                table: &self.table,
                consumer,
                partition,
            },
            item,
        )
    }

    fn read_stored(&self, consumer: &Consumer, item: &Item) -> Result<StoredCursor, Error> {
        let partition = item::partition(&self.table, consumer, item).map_err(Error::from)?;
        Ok(StoredCursor {
            partition,
            cursor: self.read(consumer, partition, item),
        })
    }
}

impl Store for DynamoStore {
    /// As in the trait. A sort key that is no partition's number fails the call
    /// with `InvalidCursor`, because it belongs to no partition.
    async fn load(&self, consumer: &Consumer) -> Result<Vec<StoredCursor>, Error> {
        let mut cursors = vec![];
        let mut start = None;
        loop {
            let call = self.call("Query");
            let page = self
                .query(consumer)
                .set_exclusive_start_key(start)
                .customize()
                .interceptor(call.observer())
                .send()
                .await;
            let page = match page {
                Ok(page) => page,
                // The role of a function may not describe tables, so its program holds no code for it.
                #[cfg(feature = "cli")]
                Err(error) if call.is_of_other_keys(&error) => return Err(self.with_keys(call.error(&error)).await),
                Err(error) => return Err(call.error(&error)),
            };
            for item in page.items() {
                cursors.push(self.read_stored(consumer, item)?);
            }
            start = page.last_evaluated_key;
            if start.as_ref().is_none_or(HashMap::is_empty) {
                return Ok(cursors);
            }
        }
    }

    async fn load_one(&self, consumer: &Consumer, partition: i32) -> Result<Option<Cursor>, Error> {
        let call = self.call("GetItem");
        let found = self
            .client
            .get_item()
            .table_name(&self.table)
            .consistent_read(true)
            .set_key(Some(key(consumer, partition)))
            .customize()
            .interceptor(call.observer())
            .send()
            .await
            .map_err(|error| call.error(&error))?;
        found
            .item()
            .map(|item| self.read(consumer, partition, item))
            .transpose()
            .map_err(Error::from)
    }

    /// As in the trait. The result is unknown as soon as one of the SDK's
    /// attempts may have reached the table without a response, whatever the
    /// result of the last attempt.
    async fn write(&self, consumer: &Consumer, partition: i32, write: &CursorWrite) -> Result<WriteResult, Error> {
        let call = self.call("UpdateItem");
        let Expression {
            update,
            condition,
            names,
            values,
        } = expression::of(write, consumer);
        let response = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(consumer, partition)))
            .set_update_expression(update)
            .set_condition_expression(condition)
            // `DynamoDB` refuses an empty map.
            .set_expression_attribute_names(Some(names).filter(|names| !names.is_empty()))
            .set_expression_attribute_values(Some(values).filter(|values| !values.is_empty()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .customize()
            .interceptor(call.observer())
            .send()
            .await;
        let Err(error) = response else {
            return Ok(WriteResult::Applied);
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                let old = refused.item().filter(|item| !item.is_empty());
                Ok(WriteResult::Refused(
                    old.map(|item| self.read(consumer, partition, item)),
                ))
            }
            // Not applied, and transient: the caller reads the item, and sends the
            // write again, as after a write without a response.
            Some(
                UpdateItemError::TransactionConflictException(_) | UpdateItemError::ReplicatedWriteConflictException(_),
            ) => Ok(WriteResult::Unknown(call.error(&error).message())),
            _ if call.may_have_been_applied() => Ok(WriteResult::Unknown(call.error(&error).message())),
            _ => Err(call.error(&error)),
        }
    }
}

fn key(consumer: &Consumer, partition: i32) -> Item {
    HashMap::from([
        (name::CONSUMER_ID.to_owned(), AttributeValue::S(consumer.to_string())),
        (name::PARTITION.to_owned(), AttributeValue::N(partition.to_string())),
    ])
}
