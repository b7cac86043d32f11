//! What the role may do with the table, found out without doing it.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;

use super::item::name;
use super::{DynamoStore, key};
use crate::error::{Error, ErrorType};
use crate::store::{Consumer, Store as _};

/// The number of no partition: nobody's cursor is there, and a run would
/// refuse it.
const NOWHERE: i32 = -1;

impl DynamoStore {
    /// Proves the right `dynamodb:GetItem` on an item that is not there.
    ///
    /// # Errors
    /// What a run would fail with.
    pub async fn may_get(&self, consumer: &Consumer) -> Result<(), Error> {
        match self.load_one(consumer, NOWHERE).await {
            // An item that somebody put there was read.
            Err(error) if error.error_type != ErrorType::InvalidCursor => Err(error),
            _ => Ok(()),
        }
    }

    /// Proves the right `dynamodb:UpdateItem` by a write that can never be
    /// made: its condition contradicts itself, and the table is asked for the
    /// right before the condition. The key is the consumer's own, since rights
    /// can be bound to it.
    ///
    /// # Errors
    /// What a run would fail with.
    pub async fn may_write(&self, consumer: &Consumer) -> Result<(), Error> {
        let call = self.call("UpdateItem");
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(consumer, NOWHERE)))
            .update_expression("REMOVE #claim_until")
            .condition_expression("attribute_exists(#key) AND attribute_not_exists(#key)")
            .expression_attribute_names("#claim_until", name::CLAIM_UNTIL)
            .expression_attribute_names("#key", name::CONSUMER_ID)
            .customize()
            .interceptor(call.witness())
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(()),
                _ => Err(call.error(&error)),
            },
        }
    }
}
