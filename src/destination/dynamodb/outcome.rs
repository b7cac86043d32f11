//! What `DynamoDB`'s response to a request means for the record. Pure.

use std::error::Error as StdError;
use std::fmt;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::TableStatus;

use super::guard::Comparison;
use crate::aws::call::{AttemptObserver, code_and_message, is_about_credentials, status, unsent};
use crate::aws::dynamodb::{CHECK_THE_NETWORK, is_about_capacity, is_about_keys};
use crate::config::TableArn;
use crate::destination::batched::{CallFailure, EntryOutcome};

/// One request to a table, and its attempts.
pub(super) struct Refusals<'a> {
    table: &'a TableArn,
    /// The name of the request, which is also that of its permission.
    action: &'static str,
    observer: AttemptObserver,
}

/// What an error of a request means.
///
/// | the error | |
/// |---|---|
/// | an item above 400 KB | [`TooLarge`](Meaning::TooLarge) |
/// | keys that are not the table's | [`OtherKeys`](Meaning::OtherKeys) |
/// | another `ValidationException`; an item collection above 10 GB | [`Invalid`](Meaning::Invalid) |
/// | throttled; a conflict with another write; 5xx | [`Throttled`](Meaning::Throttled) |
/// | no such table, access denied, credentials, KMS; any other | [`Fatal`](Meaning::Fatal) |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    TooLarge,
    /// The table was created again with other keys since they were read.
    OtherKeys,
    Invalid,
    Throttled,
    Fatal,
}

impl Meaning {
    /// `status`: the HTTP status.
    fn of(code: &str, reason: &str, status: u16) -> Self {
        match code {
            "ValidationException" if reason.contains("Item size") => Self::TooLarge,
            "ValidationException" if is_about_keys(reason) => Self::OtherKeys,
            "ValidationException" | "ItemCollectionSizeLimitExceededException" => Self::Invalid,
            "TransactionConflictException" | "ReplicatedWriteConflictException" | "TransactionInProgressException" => {
                Self::Throttled
            }
            _ if is_about_capacity(code) || code.contains("Throttl") || status >= 500 => Self::Throttled,
            _ => Self::Fatal,
        }
    }
}

/// The outcome of a write, and whether the key attributes are read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) outcome: EntryOutcome,
    pub(super) other_keys: bool,
}

/// Why a table takes no records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What happened.
    pub(crate) what: String,
    /// What to do next.
    pub(crate) next: String,
    /// Whether it may pass by itself.
    pub(crate) is_transient: bool,
}

impl Problem {
    pub(super) fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            next: next.into(),
            is_transient: false,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}", self.what, self.next)
    }
}

impl From<Problem> for CallFailure {
    fn from(problem: Problem) -> Self {
        if problem.is_transient {
            Self::Throttled(problem.to_string())
        } else {
            Self::Fatal(problem.to_string())
        }
    }
}

impl<'a> Refusals<'a> {
    pub(super) fn new(table: &'a TableArn, action: &'static str) -> Self {
        Self {
            table,
            action,
            observer: AttemptObserver::default(),
        }
    }

    /// Observes the attempts of this request; an interceptor for the SDK.
    pub(super) fn observer(&self) -> AttemptObserver {
        self.observer.clone()
    }

    /// What the error of a write means for its record.
    pub(super) fn of_write<E>(&self, error: &SdkError<E>) -> Refused
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let (meaning, problem) = self.meaning(error);
        let text = problem.to_string();
        let outcome = match meaning {
            Meaning::TooLarge => EntryOutcome::TooLarge,
            Meaning::Invalid => EntryOutcome::Invalid(text),
            Meaning::Throttled | Meaning::OtherKeys => EntryOutcome::Throttled(text),
            Meaning::Fatal => EntryOutcome::Fatal(text),
        };
        let other_keys = meaning == Meaning::OtherKeys;
        Refused { outcome, other_keys }
    }

    /// What the error of a request that is not for one record means for all of them.
    pub(super) fn of_table<E>(&self, error: &SdkError<E>) -> Problem
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        self.meaning(error).1
    }

    fn meaning<E>(&self, error: &SdkError<E>) -> (Meaning, Problem)
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let (code, reason) = code_and_message(error, "DynamoDB");
        let meaning = match code {
            Some(code) => Meaning::of(code, &reason, status(error).unwrap_or_default()),
            // Without credentials nothing was sent, and nothing will be.
            None if !self.observer.sent() => Meaning::Fatal,
            None => Meaning::Throttled,
        };
        let problem = Problem {
            is_transient: matches!(meaning, Meaning::Throttled | Meaning::OtherKeys),
            ..self.explain(code, &reason)
        };
        (meaning, problem)
    }

    fn explain(&self, code: Option<&str>, reason: &str) -> Problem {
        let action = self.action;
        let correct = "Correct the value or the table";
        match code {
            Some("ResourceNotFoundException") => Problem::new(
                format!("the table does not exist in {}, or is not active", self.table.region()),
                "Create it, or correct DESTINATION",
            ),
            Some("AccessDeniedException") => Problem::new(
                format!("access denied: {reason}"),
                "Allow dynamodb:DescribeTable and dynamodb:PutItem on the table to this role, for another account's table \
                 in the table's policy too, and in the policy of the VPC endpoint if there is one",
            ),
            // The service's message can quote the signed request.
            Some(code) if is_about_credentials(code) => Problem::new(
                format!("the AWS credentials were refused: {code}"),
                "Renew them, and check the clock",
            ),
            Some(code) if code.starts_with("KMS") || code.contains("Encryption") => Problem::new(
                format!("the table's KMS key cannot be used ({code}): {reason}"),
                "Enable the key, and allow kms:Decrypt on it to this role",
            ),
            Some(code) if is_about_capacity(code) => Problem::new(
                format!("DynamoDB throttles the table ({code}): {reason}"),
                "Raise its capacity, or bill it on demand",
            ),
            Some("ValidationException") if is_about_keys(reason) => Problem::new(
                "the table has other key attributes than before",
                "They are read again by themselves",
            ),
            // It can quote a value of the item.
            Some("ValidationException") if reason.contains("converted") => Problem::new(
                "DynamoDB refused the item (ValidationException): a value cannot be converted to its type",
                correct,
            ),
            Some(code @ ("ValidationException" | "ItemCollectionSizeLimitExceededException")) => {
                Problem::new(format!("DynamoDB refused the request ({code}): {reason}"), correct)
            }
            Some(code) => Problem::new(format!("{action} failed: {code}: {reason}"), "Try again"),
            None if !self.observer.sent() => {
                let unsent = unsent(reason);
                Problem::new(format!("{action} could not be sent: {}", unsent.what), unsent.next)
            }
            None => Problem::new(
                format!(
                    "no response to {action} from {}: {reason}",
                    self.observer.endpoint().unwrap_or("DynamoDB")
                ),
                CHECK_THE_NETWORK,
            ),
        }
    }
}

/// What a write that its condition refused means, by the item that is there.
pub(super) fn of_condition(comparison: Comparison) -> EntryOutcome {
    match comparison {
        // The item is as new, or newer.
        Comparison::Repeated | Comparison::Older | Comparison::LowerOffsetLaterTime => EntryOutcome::Accepted,
        Comparison::Applies => {
            EntryOutcome::Throttled("the item was changed at the same time: it is written again".to_owned())
        }
        Comparison::Unreadable => EntryOutcome::Invalid(
            "the item in the table has a kafka_offset or kafka_timestamp that is no whole number: it is not overwritten. \
             Correct or delete the item"
                .to_owned(),
        ),
    }
}

/// Why no record can be written to a table in this state; `None`: it takes writes.
pub(super) fn of_status(status: Option<&TableStatus>) -> Option<Problem> {
    let state = status.map_or("", TableStatus::as_str);
    match status {
        None | Some(TableStatus::Active | TableStatus::Updating) => None,
        Some(TableStatus::Creating) => Some(Problem {
            is_transient: true,
            ..Problem::new(
                "the table is being created: its status is CREATING",
                "Wait until it is ACTIVE",
            )
        }),
        Some(_) => Some(Problem::new(
            format!("the table takes no writes: its status is {state}"),
            "Restore it, or correct DESTINATION",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_of_the_table_holds() {
        let invalid = "ValidationException";
        let rows = [
            (
                invalid,
                "Item size has exceeded the maximum allowed size",
                400,
                Meaning::TooLarge,
            ),
            (
                invalid,
                "Item size to update has exceeded the maximum allowed size",
                400,
                Meaning::TooLarge,
            ),
            (
                invalid,
                "The provided key element does not match the schema",
                400,
                Meaning::OtherKeys,
            ),
            (invalid, "Type mismatch for key", 400, Meaning::OtherKeys),
            (invalid, "Missing the key id in the item", 400, Meaning::OtherKeys),
            (invalid, "Type mismatch for Index Key", 400, Meaning::Invalid),
            ("ItemCollectionSizeLimitExceededException", "", 400, Meaning::Invalid),
            ("ProvisionedThroughputExceededException", "", 400, Meaning::Throttled),
            ("ThrottlingException", "", 400, Meaning::Throttled),
            ("RequestLimitExceeded", "", 400, Meaning::Throttled),
            ("TransactionConflictException", "", 400, Meaning::Throttled),
            ("ReplicatedWriteConflictException", "", 400, Meaning::Throttled),
            ("InternalServerError", "", 500, Meaning::Throttled),
            ("ServiceUnavailable", "", 503, Meaning::Throttled),
            ("ResourceNotFoundException", "", 400, Meaning::Fatal),
            ("AccessDeniedException", "", 400, Meaning::Fatal),
            ("UnrecognizedClientException", "", 400, Meaning::Fatal),
            ("KMSAccessDeniedException", "", 400, Meaning::Fatal),
            ("NotSeenBefore", "", 400, Meaning::Fatal),
        ];
        for (code, reason, status, expected) in rows {
            assert_eq!(Meaning::of(code, reason, status), expected, "{code} {reason}");
        }
    }

    fn table() -> TableArn {
        "arn:aws:dynamodb:eu-west-1:123456789012:table/customers"
            .parse()
            .expect("an ARN")
    }

    fn explain(code: &str, reason: &str) -> String {
        Refusals::new(&table(), "PutItem")
            .explain(Some(code), reason)
            .to_string()
    }

    #[test]
    fn each_explanation_names_the_next_step() {
        let rows = [
            ("ResourceNotFoundException", "correct DESTINATION"),
            (
                "AccessDeniedException",
                "Allow dynamodb:DescribeTable and dynamodb:PutItem",
            ),
            ("ThrottlingException", "bill it on demand"),
            ("KMSDisabledException", "allow kms:Decrypt"),
            ("ExpiredTokenException", "Renew them"),
        ];
        for (code, next) in rows {
            let text = explain(code, "why");
            assert!(text.contains(next), "{text}");
        }
        assert!(explain("ResourceNotFoundException", "").contains("eu-west-1"));
    }

    #[test]
    fn no_explanation_quotes_a_value_or_a_signed_request() {
        for (code, reason) in [
            (
                "ValidationException",
                "The parameter cannot be converted to a numeric value: planted",
            ),
            ("InvalidSignatureException", "x-amz-security-token:planted"),
        ] {
            let text = explain(code, reason);
            assert!(text.contains(code) && !text.contains("planted"), "{text}");
        }
    }

    #[test]
    fn a_write_that_the_guard_refuses_is_accepted_where_the_item_is_as_new() {
        for accepted in [
            Comparison::Repeated,
            Comparison::Older,
            Comparison::LowerOffsetLaterTime,
        ] {
            assert_eq!(of_condition(accepted), EntryOutcome::Accepted);
        }
        assert!(matches!(of_condition(Comparison::Applies), EntryOutcome::Throttled(_)));
        assert!(matches!(of_condition(Comparison::Unreadable), EntryOutcome::Invalid(_)));
    }

    #[test]
    fn a_table_takes_writes_while_it_is_active_or_being_updated() {
        assert_eq!(of_status(Some(&TableStatus::Active)), None);
        assert_eq!(of_status(Some(&TableStatus::Updating)), None);
        let creating = of_status(Some(&TableStatus::Creating)).expect("a problem");
        assert!(matches!(creating.into(), CallFailure::Throttled(_)));
        for status in [
            TableStatus::Deleting,
            TableStatus::Archived,
            TableStatus::InaccessibleEncryptionCredentials,
        ] {
            let problem = of_status(Some(&status)).expect("a problem");
            let CallFailure::Fatal(text) = problem.into() else {
                panic!("{status}")
            };
            assert!(text.contains(status.as_str()), "{text}");
        }
    }
}
