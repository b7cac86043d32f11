//! What a failed call to `DynamoDB` means, and what to do next.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use aws_sdk_dynamodb::config::interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::{BoxError, ProvideErrorMetadata, SdkError};

use crate::error::{Error, ErrorType};

/// One call: what was asked, and what its attempts came to.
#[derive(Debug)]
pub(super) struct Call {
    action: &'static str,
    table: String,
    region: Option<String>,
    witness: Witness,
}

impl Call {
    /// A call of `action`, which is also the name of the right that it needs.
    pub(super) fn new(action: &'static str, table: &str, region: Option<&str>) -> Self {
        Self {
            action,
            table: table.to_owned(),
            region: region.map(str::to_owned),
            witness: Witness::default(),
        }
    }

    /// Watches the attempts of this call; to be given to the SDK.
    pub(super) fn witness(&self) -> Witness {
        self.witness.clone()
    }

    /// Whether one of the attempts may have done its work without our knowing.
    pub(super) fn in_doubt(&self) -> bool {
        self.witness.0.in_doubt.load(Ordering::SeqCst)
    }

    /// The failure in the contract's words.
    pub(super) fn error<E>(&self, error: &SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let answer = error.as_service_error();
        let code = answer.and_then(ProvideErrorMetadata::code);
        let said = match (answer, error.raw_response()) {
            (Some(answer), _) if code.is_some() => answer.message().unwrap_or_default().to_owned(),
            // A proxy's page, or another service on this port.
            (Some(_), Some(response)) => {
                format!(
                    "an answer that is not DynamoDB's came instead, with HTTP status {}",
                    response.status().as_u16()
                )
            }
            _ => chain(error),
        };
        let (error_type, message) = self.explain(code, &said);
        Error::new(error_type, message)
    }

    fn explain(&self, code: Option<&str>, said: &str) -> (ErrorType, String) {
        use ErrorType::{TableNotFound, TableUnreachable};
        let (action, place) = (self.action, self.place());
        match code {
            Some("ResourceNotFoundException") => (
                TableNotFound,
                format!(
                    "there is no {place}. Create it with `kafka-consumer table create` or deploy the template, or \
                     correct DYNAMODB_TABLE or the region"
                ),
            ),
            Some("ValidationException") if is_about_name(said) => (
                TableNotFound,
                format!(
                    "no table can be called \"{}\": {said}. Correct DYNAMODB_TABLE",
                    self.table
                ),
            ),
            Some("ValidationException") if self.is_about_keys(said) => (
                TableNotFound,
                format!(
                    "the keys of {place} are not consumer_id (S) and partition (N): {said}. Name another table in \
                     DYNAMODB_TABLE, or create one with `kafka-consumer table create`"
                ),
            ),
            Some("AccessDeniedException") => (
                TableUnreachable,
                format!(
                    "{action} on {place} is not allowed: {said}. Allow dynamodb:{action} on the table to this role, \
                     and in the policy of the VPC endpoint if there is one"
                ),
            ),
            // The service's own words can quote the signed request and with it
            // the session's token: the code alone must do.
            Some(code) if is_about_credentials(code) => (
                TableUnreachable,
                format!("the AWS credentials were refused by {place}: {code}. Renew them, and check the clock"),
            ),
            Some(code) if is_about_capacity(code) => (
                TableUnreachable,
                format!("{place} is throttled ({code}): {said}. Raise its capacity, or bill it on demand"),
            ),
            Some(code) => (
                TableUnreachable,
                format!("{action} on {place} failed: {code}: {said}. Try again"),
            ),
            None if !self.witness.0.sent_ever.load(Ordering::SeqCst) => (
                TableUnreachable,
                format!(
                    "{action} on {place} could not be sent: {said}. Check the AWS credentials: environment, profile \
                     (AWS_PROFILE) or role"
                ),
            ),
            None => (
                TableUnreachable,
                format!(
                    "no answer to {action} from {place}: {said}. Check the network: a function in a VPC needs a \
                     DynamoDB gateway endpoint, and AWS_ENDPOINT_URL_DYNAMODB or AWS_ENDPOINT_URL, if set, must be \
                     right"
                ),
            ),
        }
    }

    /// What reads are made of is always the same, so that nothing but the
    /// table's keys can be wrong with them. A write can also be too large. The
    /// words for wrong keys differ by action and by implementation.
    fn is_about_keys(&self, said: &str) -> bool {
        self.action == "Query"
            || self.action == "GetItem"
            || said.contains("not match the schema")
            || said.contains("conditions on the keys")
            || said.contains("Type mismatch for key")
    }

    fn place(&self) -> String {
        let region = self.region.as_deref().unwrap_or("unknown");
        match self.witness.0.endpoint.get() {
            Some(endpoint) => format!("table \"{}\" (region {region}, endpoint {endpoint})", self.table),
            None => format!("table \"{}\" (region {region})", self.table),
        }
    }
}

fn is_about_name(said: &str) -> bool {
    let said = said.to_lowercase();
    said.contains("tablename") || said.contains("table/index name")
}

fn is_about_credentials(code: &str) -> bool {
    matches!(
        code,
        "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "IncompleteSignatureException"
            | "MissingAuthenticationTokenException"
            | "MissingAuthenticationToken"
            | "ExpiredTokenException"
            | "ExpiredToken"
            | "InvalidClientTokenId"
    )
}

fn is_about_capacity(code: &str) -> bool {
    matches!(
        code,
        "ProvisionedThroughputExceededException" | "ThrottlingException" | "RequestLimitExceeded"
    )
}

/// An error with its causes on one line, each said once, without the SDK's
/// wrappers, which say nothing.
fn chain(error: &(dyn StdError + 'static)) -> String {
    const WRAPPERS: [&str; 4] = ["dispatch failure", "other", "io error", "service error"];
    let mut said: Vec<String> = vec![];
    let mut next = Some(error);
    while let Some(error) = next {
        let words = error.to_string().lines().map(str::trim).collect::<Vec<_>>().join("; ");
        if !WRAPPERS.contains(&words.as_str()) && said.last().is_none_or(|last| !last.contains(&words)) {
            said.push(words);
        }
        next = error.source();
    }
    said.join(": ").trim_end_matches('.').to_owned()
}

/// Watches the attempts that the SDK makes for one call.
///
/// The SDK tells only of the last attempt. For a conditional write the others
/// matter as much: one that was sent and got no answer may have been applied,
/// even if the next was throttled. An attempt that `DynamoDB` answered with a
/// 4xx was certainly not applied. A connection that could not be made counts
/// as doubt too: the SDK does not tell it apart reliably, and the read that
/// follows says what is wrong.
#[derive(Debug, Clone, Default)]
pub(super) struct Witness(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    sent: AtomicBool,
    sent_ever: AtomicBool,
    in_doubt: AtomicBool,
    endpoint: OnceLock<String>,
}

impl Intercept for Witness {
    fn name(&self) -> &'static str {
        "Witness"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.sent.store(true, Ordering::SeqCst);
        self.0.sent_ever.store(true, Ordering::SeqCst);
        self.0
            .endpoint
            .get_or_init(|| context.request().uri().trim_end_matches('/').to_owned());
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let sent = self.0.sent.swap(false, Ordering::SeqCst);
        let refused = context
            .response()
            .is_some_and(|response| response.status().is_client_error());
        let done = context.output_or_error().is_some_and(|result| result.is_ok());
        if sent && !refused && !done {
            self.0.in_doubt.store(true, Ordering::SeqCst);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        Call::new("Query", "cursors", Some("eu-west-1"))
    }

    #[test]
    fn a_missing_table_is_named_with_its_region_and_how_to_create_it() {
        let (error_type, message) = call().explain(Some("ResourceNotFoundException"), "Requested resource not found");
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
        for (action, said) in rows {
            let (error_type, message) = Call::new(action, "cursors", None).explain(Some("ValidationException"), said);
            assert_eq!(error_type, ErrorType::TableNotFound, "{said}");
            assert!(message.contains("consumer_id (S) and partition (N)"), "{message}");
        }
        let large = "Item size to update has exceeded the maximum allowed size";
        let (error_type, message) =
            Call::new("UpdateItem", "cursors", None).explain(Some("ValidationException"), large);
        assert_eq!(error_type, ErrorType::TableUnreachable);
        assert!(message.contains(large), "{message}");
    }

    #[test]
    fn a_name_that_no_table_can_have_is_a_table_not_found() {
        for said in [
            "Invalid table/index name. Table/index names must be between 3 and 255 characters long",
            "1 validation error detected: Value 'x!' at 'tableName' failed to satisfy constraint",
        ] {
            let (error_type, message) = call().explain(Some("ValidationException"), said);
            assert_eq!(error_type, ErrorType::TableNotFound);
            assert!(message.ends_with("Correct DYNAMODB_TABLE"), "{message}");
        }
    }

    #[test]
    fn a_missing_right_names_the_action_to_allow() {
        let (error_type, message) = call().explain(Some("AccessDeniedException"), "User: arn:x is not authorized");
        assert_eq!(error_type, ErrorType::TableUnreachable);
        assert!(message.contains("Allow dynamodb:Query"), "{message}");
    }

    #[test]
    fn refused_credentials_are_never_quoted() {
        let (_, message) = call().explain(Some("InvalidSignatureException"), "x-amz-security-token:planted");
        assert!(
            message.contains("InvalidSignatureException") && !message.contains("planted"),
            "{message}"
        );
    }

    #[test]
    fn every_cause_is_said_once_and_on_one_line() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Layer(&'static str, #[source] std::io::Error);
        assert_eq!(chain(&Layer("outer", std::io::Error::other("inner"))), "outer: inner");
        assert_eq!(
            chain(&Layer("dispatch failure", std::io::Error::other("inner"))),
            "inner"
        );
        assert_eq!(
            chain(&Layer("tried:\n  this\n  that", std::io::Error::other("this"))),
            "tried:; this; that"
        );
    }
}
