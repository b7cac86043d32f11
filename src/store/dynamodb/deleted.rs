//! Deletes items that an operator selects, and keeps copies to restore them.
//!
//! The copy is the whole item, unknown attributes included, under the key
//! `<group_id>_<topic>##deleted`: no run reads it, and no backfill can have that
//! name. One transaction writes the copy and deletes the item, so that one of
//! them always exists, and never a copy of an item that was not deleted.

use std::sync::Arc;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem};

use super::item::{Item, name};
use super::{DynamoStore, key};
use crate::claim::{CommandId, Cursor, Verdict};
use crate::error::{Error, ErrorType};
use crate::store::{Consumer, InvalidCursor, Store as _, StoredCursor, WriteError};

/// Replaces a backfill's name in the key of a copy.
const DELETED: &str = "#deleted";

/// The owner of the copies of deleted items.
fn copies(consumer: &Consumer) -> Consumer {
    Consumer {
        backfill: Some(Arc::from(DELETED)),
        ..consumer.clone()
    }
}

/// Whether a key is that of copies instead of a backfill.
pub(super) fn is_of_copies(backfill: &str) -> bool {
    backfill == DELETED
}

/// A move of an item from one key to another.
struct Exchange {
    from: Consumer,
    to: Consumer,
    partition: i32,
}

impl DynamoStore {
    /// The copies of deleted items of `consumer`, in ascending order of partition.
    ///
    /// # Errors
    /// As for [`load`](crate::store::Store::load).
    pub async fn deleted(&self, consumer: &Consumer) -> Result<Vec<StoredCursor>, Error> {
        self.load(&copies(consumer)).await
    }

    /// Deletes an item that still is as `shown`, and keeps a copy of it in the
    /// place of an older one. Needs the permissions `dynamodb:PutItem` and
    /// `dynamodb:DeleteItem`. Runs do not.
    ///
    /// # Errors
    /// When it was certainly not deleted, or when that stays unknown; also when
    /// the item belongs to another group or topic.
    pub async fn delete(
        &self,
        consumer: &Consumer,
        partition: i32,
        shown: &Result<Cursor, InvalidCursor>,
        command: &CommandId,
    ) -> Result<Verdict, WriteError> {
        let exchange = Exchange {
            from: consumer.clone(),
            to: copies(consumer),
            partition,
        };
        self.exchange(&exchange, shown, command).await
    }

    /// Restores a deleted item unchanged, if no item exists in its place.
    /// Needs the same permissions as [`delete`](Self::delete).
    ///
    /// # Errors
    /// When it was certainly not restored, or when that stays unknown.
    pub async fn restore(
        &self,
        consumer: &Consumer,
        partition: i32,
        shown: &Result<Cursor, InvalidCursor>,
        command: &CommandId,
    ) -> Result<Verdict, WriteError> {
        let exchange = Exchange {
            from: copies(consumer),
            to: consumer.clone(),
            partition,
        };
        self.exchange(&exchange, shown, command).await
    }

    /// If the response is lost, or the item is gone, the command of the item at
    /// the other key shows whether this command moved it.
    async fn exchange(
        &self,
        exchange: &Exchange,
        shown: &Result<Cursor, InvalidCursor>,
        command: &CommandId,
    ) -> Result<Verdict, WriteError> {
        let mut unknown: Option<Error> = None;
        for _ in 0..2 {
            let failed = |error| match unknown {
                None => WriteError::NotApplied(error),
                Some(_) => WriteError::Unknown(error),
            };
            let found = self.raw(&exchange.from, exchange.partition).await.map_err(failed)?;
            let Some(item) = found else {
                return self.arrived(exchange, command, None).await.map_err(failed);
            };
            if let Some(foreign) = foreign(&exchange.from, &item) {
                return Err(failed(foreign));
            }
            let now = self.read(&exchange.from, exchange.partition, &item);
            if now != *shown {
                let until_ms = now.ok().and_then(|cursor| cursor.claim_until_ms);
                return self.arrived(exchange, command, until_ms).await.map_err(failed);
            }
            match self.send(exchange, item, command).await {
                Ok(TransactionResult::Applied) => return Ok(Verdict::Applied),
                Ok(TransactionResult::Refused) => {}
                Ok(TransactionResult::Unknown(error)) => unknown = Some(error),
                Err(error) => return Err(failed(error)),
            }
        }
        match unknown {
            Some(error) => Err(WriteError::Unknown(error)),
            None => self
                .arrived(exchange, command, None)
                .await
                .map_err(WriteError::NotApplied),
        }
    }

    /// Whether this command moved the item, or another change came first.
    async fn arrived(&self, exchange: &Exchange, command: &CommandId, until_ms: Option<i64>) -> Result<Verdict, Error> {
        let there = self.raw(&exchange.to, exchange.partition).await?;
        let by = there.as_ref().and_then(|item| item.get(name::COMMAND_ID));
        Ok(match by.and_then(|by| by.as_s().ok()) {
            Some(by) if by == command.as_str() => Verdict::Applied,
            _ => Verdict::Edited { until_ms },
        })
    }

    async fn raw(&self, consumer: &Consumer, partition: i32) -> Result<Option<Item>, Error> {
        let call = self.call("GetItem");
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let get = get.set_key(Some(key(consumer, partition))).customize();
        let found = get.interceptor(call.observer()).send().await;
        Ok(found.map_err(|error| call.error(&error))?.item)
    }

    async fn send(&self, exchange: &Exchange, item: Item, command: &CommandId) -> Result<TransactionResult, Error> {
        let call = self.call("TransactWriteItems");
        let (put, delete) = self.parts(exchange, item, command)?;
        let transaction = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().put(put).build())
            .transact_items(TransactWriteItem::builder().delete(delete).build())
            .customize()
            .interceptor(call.observer());
        let Err(error) = transaction.send().await else {
            return Ok(TransactionResult::Applied);
        };
        match &error {
            SdkError::ServiceError(refused) if is_refused(refused.err()) => Ok(TransactionResult::Refused),
            _ if call.may_have_been_applied() => Ok(TransactionResult::Unknown(call.error(&error))),
            _ => Err(call.error(&error)),
        }
    }

    fn parts(&self, exchange: &Exchange, item: Item, command: &CommandId) -> Result<(Put, Delete), Error> {
        let incomplete = |error: &dyn std::fmt::Display| {
            Error::new(
                ErrorType::TableUnreachable,
                format!("the request for table \"{}\" could not be built: {error}", self.table),
            )
        };
        let mut delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key(&exchange.from, exchange.partition)));
        let mut clauses = vec!["attribute_exists(#consumer_id)".to_owned()];
        delete = delete.expression_attribute_names("#consumer_id", name::CONSUMER_ID);
        // All that runs and operators change.
        for attribute in [
            name::OFFSET,
            name::CLAIM_UNTIL,
            name::RUN,
            name::UPDATED_AT,
            name::COMMAND_ID,
        ] {
            delete = delete.expression_attribute_names(format!("#{attribute}"), attribute);
            clauses.push(match item.get(attribute) {
                Some(value) => {
                    delete = delete.expression_attribute_values(format!(":{attribute}"), value.clone());
                    format!("#{attribute} = :{attribute}")
                }
                None => format!("attribute_not_exists(#{attribute})"),
            });
        }
        let mut copy = item;
        copy.insert(name::CONSUMER_ID.to_owned(), AttributeValue::S(exchange.to.to_string()));
        copy.insert(
            name::COMMAND_ID.to_owned(),
            AttributeValue::S(command.as_str().to_owned()),
        );
        let mut put = Put::builder().table_name(&self.table).set_item(Some(copy));
        if exchange.to.backfill.is_none() {
            put = put
                .condition_expression("attribute_not_exists(#consumer_id)")
                .expression_attribute_names("#consumer_id", name::CONSUMER_ID);
        }
        let delete = delete.condition_expression(clauses.join(" AND ")).build();
        Ok((
            put.build().map_err(|error| incomplete(&error))?,
            delete.map_err(|error| incomplete(&error))?,
        ))
    }
}

/// The result of one transaction.
enum TransactionResult {
    Applied,
    /// The item has changed since it was read; nothing was applied.
    Refused,
    /// It may have been applied.
    Unknown(Error),
}

/// Whether a transaction was refused because items had changed, or by another
/// transaction.
fn is_refused(error: &TransactWriteItemsError) -> bool {
    let TransactWriteItemsError::TransactionCanceledException(canceled) = error else {
        return matches!(error, TransactWriteItemsError::TransactionInProgressException(_));
    };
    let codes = canceled
        .cancellation_reasons()
        .iter()
        .filter_map(|reason| reason.code());
    let mut codes = codes.filter(|code| *code != "None").peekable();
    codes.peek().is_some() && codes.all(|code| matches!(code, "ConditionalCheckFailed" | "TransactionConflict"))
}

/// `<group_id>_<topic>` is ambiguous: an error for an item of another group and topic.
fn foreign(consumer: &Consumer, item: &Item) -> Option<Error> {
    let ours = [(name::TOPIC, &consumer.topic), (name::GROUP_ID, &consumer.group_id)];
    let is_theirs = |name: &str, ours: &str| {
        item.get(name)
            .is_some_and(|found| found.as_s().is_ok_and(|it| it != ours))
    };
    let (name, ours) = ours.into_iter().find(|(name, ours)| is_theirs(name, ours))?;
    Some(
        Error::new(
            ErrorType::InvalidCursor,
            format!("its {name} is not {ours:?}: it belongs to another group and topic with the same key"),
        )
        .next("Choose another group id, or correct the attribute"),
    )
}
