//! A failed call to `DynamoDB` -> an error with the next step.

use std::error::Error as StdError;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::aws::call::{AttemptObserver, code_and_message, is_about_credentials, unsent};
use crate::aws::dynamodb::{CHECK_THE_NETWORK, is_about_capacity, is_about_keys};
use crate::error::{Error, ErrorType};

/// One call: its action, its table and its attempts.
#[derive(Debug)]
pub(super) struct Call {
    action: &'static str,
    table: String,
    region: Option<String>,
    observer: AttemptObserver,
}

impl Call {
    /// A call of `action`, which is also the name of the permission that it needs.
    pub(super) fn new(action: &'static str, table: &str, region: Option<&str>) -> Self {
        Self {
            action,
            table: table.to_owned(),
            region: region.map(str::to_owned),
            observer: AttemptObserver::default(),
        }
    }

    /// The interceptor that observes the attempts of this call.
    pub(super) fn observer(&self) -> AttemptObserver {
        self.observer.clone()
    }

    /// Whether an attempt without a response may have been applied.
    pub(super) fn may_have_been_applied(&self) -> bool {
        self.observer.may_have_been_applied()
    }

    /// The failed call as an error with its type, cause and next step. The SDK's
    /// error is not kept as the source: it can hold the signed request.
    pub(super) fn error<E>(&self, error: &SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let (code, reason) = code_and_message(error, "DynamoDB");
        self.explain(code, &reason)
    }

    /// Whether the table exists with other keys than ours.
    #[cfg(feature = "cli")]
    pub(super) fn is_of_other_keys<E>(&self, error: &SdkError<E>) -> bool
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let (code, reason) = code_and_message(error, "DynamoDB");
        code == Some("ValidationException") && !is_about_name(&reason) && self.is_about_keys(&reason)
    }

    fn explain(&self, code: Option<&str>, reason: &str) -> Error {
        use ErrorType::{TableNotFound, TableUnreachable};
        let (action, place) = (self.action, self.place());
        match code {
            Some("ResourceNotFoundException") => Error::new(TableNotFound, format!("there is no {place}")).next(
                "Create it with `kafka-consumer table create` or deploy the template, or correct DYNAMODB_TABLE or the \
                 region",
            ),
            Some("ValidationException") if is_about_name(reason) => Error::new(
                TableNotFound,
                format!("no table can be called \"{}\": {reason}", self.table),
            )
            .next("Correct DYNAMODB_TABLE"),
            Some("ValidationException") if self.is_about_keys(reason) => Error::new(
                TableNotFound,
                format!("{place} exists, but its keys are not consumer_id (S) and partition (N): {reason}"),
            )
            .next("Name another table in DYNAMODB_TABLE, or create one with `kafka-consumer table create`"),
            Some("AccessDeniedException") => Error::new(
                TableUnreachable,
                format!("{action} on {place} is not allowed: {reason}"),
            )
            .next(format!(
                "Allow {} on the table to this role, and in the policy of the VPC endpoint if there is one",
                self.permissions()
            )),
            // The service's message can quote the signed request and with it
            // AWS's temporary token, so only the code is shown.
            Some(code) if is_about_credentials(code) => Error::new(
                TableUnreachable,
                format!("the AWS credentials were refused by {place}: {code}"),
            )
            .next("Renew them, and check the clock"),
            Some(code) if is_about_capacity(code) => {
                Error::new(TableUnreachable, format!("{place} is throttled ({code}): {reason}"))
                    .next("Raise its capacity, or bill it on demand")
            }
            Some(code) => Error::new(
                TableUnreachable,
                format!("{action} on {place} failed: {code}: {reason}"),
            )
            .next("Try again"),
            None if !self.observer.sent() => Error::new(
                TableUnreachable,
                format!("{action} on {place} could not be sent: {}", unsent(reason)),
            ),
            None => Error::new(
                TableUnreachable,
                format!("no response to {action} from {place}: {reason}"),
            )
            .next(CHECK_THE_NETWORK),
        }
    }

    /// Reads have a fixed form, so only the table's keys can be wrong with them.
    /// A write can also be too large.
    fn is_about_keys(&self, reason: &str) -> bool {
        self.action == "Query" || self.action == "GetItem" || is_about_keys(reason)
    }

    /// A transaction needs the permissions of its parts.
    fn permissions(&self) -> String {
        match self.action {
            "TransactWriteItems" => "dynamodb:PutItem and dynamodb:DeleteItem".to_owned(),
            action => format!("dynamodb:{action}"),
        }
    }

    fn place(&self) -> String {
        let region = self.region.as_deref().unwrap_or("unknown");
        match self.observer.endpoint() {
            Some(endpoint) => format!("table \"{}\" (region {region}, endpoint {endpoint})", self.table),
            None => format!("table \"{}\" (region {region})", self.table),
        }
    }
}

fn is_about_name(reason: &str) -> bool {
    let reason = reason.to_lowercase();
    reason.contains("tablename") || reason.contains("table/index name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        Call::new("Query", "cursors", Some("eu-west-1"))
    }

    fn parts(error: &Error) -> (ErrorType, String) {
        (error.kind, error.message())
    }

    #[test]
    fn a_missing_table_is_named_with_its_region_and_how_to_create_it() {
        let (error_type, message) =
            parts(&call().explain(Some("ResourceNotFoundException"), "Requested resource not found"));
        assert_eq!(error_type, ErrorType::TableNotFound);
        assert!(
            message.starts_with("there is no table \"cursors\" (region eu-west-1). Create it with"),
            "{message}"
        );
        assert!(message.contains("kafka-consumer table create"), "{message}");
    }

    #[test]
    fn other_keys_are_a_table_not_found() {
        let rows = [
            ("Query", "Query condition missed key schema element: id"),
            ("GetItem", "The number of conditions on the keys is invalid"),
            ("UpdateItem", "The provided key element does not match the schema"),
            ("UpdateItem", "The number of conditions on the keys is invalid"),
            (
                "UpdateItem",
                "One or more parameter values were invalid: Type mismatch for key",
            ),
        ];
        for (action, reason) in rows {
            let (error_type, message) =
                parts(&Call::new(action, "cursors", None).explain(Some("ValidationException"), reason));
            assert_eq!(error_type, ErrorType::TableNotFound, "{reason}");
            assert!(message.contains("consumer_id (S) and partition (N)"), "{message}");
        }
        let large = "Item size to update has exceeded the maximum allowed size";
        let (error_type, message) =
            parts(&Call::new("UpdateItem", "cursors", None).explain(Some("ValidationException"), large));
        assert_eq!(error_type, ErrorType::TableUnreachable);
        assert!(message.contains(large), "{message}");
    }

    #[test]
    fn a_name_that_no_table_can_have_is_a_table_not_found() {
        for reason in [
            "Invalid table/index name. Table/index names must be between 3 and 255 characters long",
            "1 validation error detected: Value 'x!' at 'tableName' failed to satisfy constraint",
        ] {
            let (error_type, message) = parts(&call().explain(Some("ValidationException"), reason));
            assert_eq!(error_type, ErrorType::TableNotFound);
            assert!(message.ends_with("Correct DYNAMODB_TABLE"), "{message}");
        }
    }

    #[test]
    fn a_missing_permission_names_the_action_to_allow() {
        let (error_type, message) =
            parts(&call().explain(Some("AccessDeniedException"), "User: arn:x is not authorized"));
        assert_eq!(error_type, ErrorType::TableUnreachable);
        assert!(message.contains("Allow dynamodb:Query"), "{message}");
    }

    #[test]
    fn refused_credentials_are_never_quoted() {
        let (_, message) = parts(&call().explain(Some("InvalidSignatureException"), "x-amz-security-token:planted"));
        assert!(
            message.contains("InvalidSignatureException") && !message.contains("planted"),
            "{message}"
        );
    }
}
