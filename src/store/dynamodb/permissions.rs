//! Tests the role's permissions on the table without changing it.

use std::error::Error as StdError;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;

use super::errors::Call;
use super::item::name;
use super::{DynamoStore, key};
use crate::error::Error;
use crate::store::Consumer;

/// A number that no partition has, so no cursor has this key.
const NO_PARTITION: i32 = -1;

/// Whether the role has a permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// The request was allowed.
    Allowed,
    /// The request was denied, as a run's request would be.
    Denied(Error),
    /// The request failed for another reason.
    Unknown(Error),
}

impl Permission {
    fn of<T, E>(call: &Call, response: Result<T, SdkError<E>>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        match response {
            Ok(_) => Self::Allowed,
            Err(error) => match error.as_service_error().and_then(ProvideErrorMetadata::code) {
                Some("AccessDeniedException") => Self::Denied(call.error(&error)),
                _ => Self::Unknown(call.error(&error)),
            },
        }
    }
}

impl DynamoStore {
    /// Tests `dynamodb:Query` by a run's query for one item.
    pub async fn may_query(&self, consumer: &Consumer) -> Permission {
        let call = self.call("Query");
        let query = self.query(consumer).limit(1).customize();
        Permission::of(&call, query.interceptor(call.observer()).send().await)
    }

    /// Tests `dynamodb:GetItem` by an item that does not exist.
    pub async fn may_get(&self, consumer: &Consumer) -> Permission {
        let call = self.call("GetItem");
        let get = self.client.get_item().table_name(&self.table);
        let get = get.consistent_read(true).set_key(Some(key(consumer, NO_PARTITION)));
        Permission::of(&call, get.customize().interceptor(call.observer()).send().await)
    }

    /// Tests `dynamodb:UpdateItem` by a write that is never applied: its
    /// condition contradicts itself, and permissions are checked first. The key
    /// is the consumer's own, because a permission can be restricted to it.
    pub async fn may_write(&self, consumer: &Consumer) -> Permission {
        let call = self.call("UpdateItem");
        let write = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(consumer, NO_PARTITION)))
            .update_expression("REMOVE #claim_until")
            .condition_expression("attribute_exists(#key) AND attribute_not_exists(#key)")
            .expression_attribute_names("#claim_until", name::CLAIM_UNTIL)
            .expression_attribute_names("#key", name::CONSUMER_ID);
        let response = write.customize().interceptor(call.observer()).send().await;
        let refused = response.as_ref().err().and_then(SdkError::as_service_error);
        match refused {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => Permission::Allowed,
            _ => Permission::of(&call, response),
        }
    }
}
