//! What the role may do with the table, found out without doing it.

use std::error::Error as StdError;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;

use super::errors::Call;
use super::item::name;
use super::{DynamoStore, key};
use crate::error::Error;
use crate::store::Consumer;

/// The number of no partition: nobody's cursor is there, and a run would
/// refuse it.
const NOWHERE: i32 = -1;

/// Whether the role may do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// It was answered.
    Allowed,
    /// It was denied, as a run's call would be.
    Denied(Error),
    /// Something else is wrong, and comes first.
    Unknown(Error),
}

impl Permission {
    fn of<T, E>(call: &Call, answer: Result<T, SdkError<E>>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        match answer {
            Ok(_) => Self::Allowed,
            Err(error) => match error.as_service_error().and_then(ProvideErrorMetadata::code) {
                Some("AccessDeniedException") => Self::Denied(call.error(&error)),
                _ => Self::Unknown(call.error(&error)),
            },
        }
    }
}

impl DynamoStore {
    /// The right `dynamodb:Query`, by the query of a run for one item.
    pub async fn may_query(&self, consumer: &Consumer) -> Permission {
        let call = self.call("Query");
        let query = self.query(consumer).limit(1).customize();
        Permission::of(&call, query.interceptor(call.observer()).send().await)
    }

    /// The right `dynamodb:GetItem`, by an item that is not there.
    pub async fn may_get(&self, consumer: &Consumer) -> Permission {
        let call = self.call("GetItem");
        let get = self.client.get_item().table_name(&self.table);
        let get = get.consistent_read(true).set_key(Some(key(consumer, NOWHERE)));
        Permission::of(&call, get.customize().interceptor(call.observer()).send().await)
    }

    /// The right `dynamodb:UpdateItem`, by a write that can never be made: its
    /// condition contradicts itself, and rights are looked at before it. The
    /// key is the consumer's own, since rights can be bound to it.
    pub async fn may_write(&self, consumer: &Consumer) -> Permission {
        let call = self.call("UpdateItem");
        let write = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(consumer, NOWHERE)))
            .update_expression("REMOVE #claim_until")
            .condition_expression("attribute_exists(#key) AND attribute_not_exists(#key)")
            .expression_attribute_names("#claim_until", name::CLAIM_UNTIL)
            .expression_attribute_names("#key", name::CONSUMER_ID);
        let answer = write.customize().interceptor(call.observer()).send().await;
        let refused = answer.as_ref().err().and_then(SdkError::as_service_error);
        match refused {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => Permission::Allowed,
            _ => Permission::of(&call, answer),
        }
    }
}
