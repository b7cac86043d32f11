//! What errors of SQS, SNS and EventBridge mean for a call and for its entries, and what to
//! do next.

use std::error::Error as StdError;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use super::batched::{CallFailure, EntryOutcome};
use crate::aws::call::{AttemptObserver, code_and_message, is_about_credentials, status, unsent};

/// A service of AWS, for the meaning of its errors and for messages.
pub(super) struct Service {
    /// `SQS`.
    pub(super) name: &'static str,
    /// The name with its article.
    pub(super) a_name: &'static str,
    /// What entries are sent to: `queue`.
    pub(super) thing: &'static str,
    /// The permission to send.
    pub(super) action: &'static str,
    /// The variable of its endpoint.
    pub(super) variable: &'static str,
    /// What to do if it throttles.
    pub(super) if_throttled: &'static str,
    /// Whether an error, by code and message, is about the size of the call or of an entry.
    pub(super) is_too_large: fn(&str, &str) -> bool,
}

/// One call of a service, and its attempts.
pub(super) struct Refusals<'a> {
    service: &'static Service,
    region: &'a str,
    setting: &'static str,
    observer: AttemptObserver,
}

/// What an error means.
///
/// | the service's code | |
/// |---|---|
/// | too large, by code or text | [`TooLarge`](Meaning::TooLarge) |
/// | throttled | [`Throttled`](Meaning::Throttled) |
/// | not found, access denied, KMS, credentials, disabled | [`Fatal`](Meaning::Fatal) |
/// | an error of the service itself | [`Throttled`](Meaning::Throttled) |
/// | anything else | [`Invalid`](Meaning::Invalid) |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    TooLarge,
    Throttled,
    Fatal,
    Invalid,
}

impl Meaning {
    /// `is_ours`: the error is of the request's content, not of the service itself.
    fn of(service: &Service, code: &str, reason: &str, is_ours: bool) -> Self {
        if (service.is_too_large)(code, reason) {
            Self::TooLarge
        } else if code.contains("Throttl") {
            Self::Throttled
        } else if is_missing(code)
            || is_denied(code)
            || is_of_key(code)
            || is_about_credentials(code)
            || is_disabled(code)
        {
            Self::Fatal
        } else if is_ours {
            Self::Invalid
        } else {
            Self::Throttled
        }
    }
}

impl<'a> Refusals<'a> {
    /// For a call to `region`; `setting` names what entries are sent to.
    pub(super) fn new(service: &'static Service, region: &'a str, setting: &'static str) -> Self {
        Self {
            service,
            region,
            setting,
            observer: AttemptObserver::default(),
        }
    }

    /// Observes the attempts of this call; an interceptor for the SDK.
    pub(super) fn observer(&self) -> AttemptObserver {
        self.observer.clone()
    }

    /// What an error of the call means.
    pub(super) fn of_call<E>(&self, error: &SdkError<E>) -> CallFailure
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let (code, reason) = code_and_message(error, self.service.name);
        let text = self.explain(code, &reason);
        let Some(code) = code else {
            // Without credentials nothing was sent, and nothing will be.
            return if self.observer.sent() {
                CallFailure::Throttled(text)
            } else {
                CallFailure::Fatal(text)
            };
        };
        let is_ours = status(error).is_some_and(|status| (400..500).contains(&status));
        match Meaning::of(self.service, code, &reason, is_ours) {
            Meaning::TooLarge => CallFailure::TooLarge,
            Meaning::Throttled => CallFailure::Throttled(text),
            Meaning::Fatal => CallFailure::Fatal(text),
            Meaning::Invalid => CallFailure::Invalid(self.invalid(code)),
        }
    }

    /// What the error of one entry means. `is_ours`: the service names the entry as the cause.
    pub(super) fn of_entry(&self, code: &str, reason: &str, is_ours: bool) -> EntryOutcome {
        let text = self.explain(Some(code), reason);
        match Meaning::of(self.service, code, reason, is_ours) {
            Meaning::TooLarge => EntryOutcome::TooLarge,
            Meaning::Throttled => EntryOutcome::Throttled(text),
            Meaning::Fatal => EntryOutcome::Fatal(text),
            Meaning::Invalid => EntryOutcome::Invalid(self.invalid(code)),
        }
    }

    /// Without the service's message, which may quote the record.
    fn invalid(&self, code: &str) -> String {
        format!(
            "{} does not take the content of this record ({code})",
            self.service.name
        )
    }

    /// The outcome of an entry that the response does not name.
    pub(super) fn of_unnamed_entry(&self) -> EntryOutcome {
        EntryOutcome::Throttled(format!("{}'s response does not name the entry", self.service.name))
    }

    fn explain(&self, code: Option<&str>, reason: &str) -> String {
        let Self { region, setting, .. } = self;
        let Service {
            name, thing, action, ..
        } = self.service;
        match code {
            Some(code) if is_missing(code) => {
                format!("the {thing} does not exist in {region}. Create it, or correct {setting}")
            }
            Some(code) if is_denied(code) => format!(
                "access denied: {reason}. Allow {action} on the {thing} to this role, for another account's {thing} in \
                 the {thing}'s policy too, and in the policy of the VPC endpoint if there is one"
            ),
            Some(code) if is_of_key(code) => format!(
                "the {thing}'s KMS key cannot be used ({code}): {reason}. Allow kms:GenerateDataKey and kms:Decrypt on it \
                 to this role"
            ),
            // The message can quote the signed request, and with it AWS's
            // temporary token: the code alone is shown.
            Some(code) if is_about_credentials(code) => {
                format!("the AWS credentials were refused: {code}. Renew them, and check the clock")
            }
            Some(code) if code.contains("Throttl") => {
                format!(
                    "{name} throttles the {thing} ({code}): {reason}. {}",
                    self.service.if_throttled
                )
            }
            Some(code) => format!("{code}: {reason}. Try again"),
            None if !self.observer.sent() => format!("the message could not be sent: {}", unsent(reason)),
            None => format!(
                "no response from {}: {reason}. Check the network: a function in a VPC needs {} interface endpoint or a \
                 NAT gateway, and {} or AWS_ENDPOINT_URL, if set, must be right",
                self.observer.endpoint().unwrap_or(name),
                self.service.a_name,
                self.service.variable
            ),
        }
    }
}

/// Of SQS, of SNS, of EventBridge.
fn is_missing(code: &str) -> bool {
    code.ends_with("NonExistentQueue")
        || matches!(
            code,
            "QueueDoesNotExist" | "NotFound" | "NotFoundException" | "ResourceNotFoundException"
        )
}

fn is_denied(code: &str) -> bool {
    matches!(
        code,
        "AccessDenied"
            | "AccessDeniedException"
            | "AuthorizationError"
            | "AuthorizationErrorException"
            | "NotAuthorizedForSourceException"
            | "NotAuthorizedForDetailTypeException"
    )
}

fn is_of_key(code: &str) -> bool {
    ["KMS", "Kms"].iter().any(|prefix| code.starts_with(prefix))
}

fn is_disabled(code: &str) -> bool {
    matches!(
        code,
        "EndpointDisabled"
            | "EndpointDisabledException"
            | "OperationDisabledException"
            | "IllegalStatusException"
            | "InvalidAccountIdException"
    )
}

#[cfg(test)]
mod tests {
    use super::super::{eventbridge, sns, sqs};
    use super::*;

    fn explain(code: &str, reason: &str) -> String {
        Refusals::new(&sqs::SERVICE, "eu-west-1", "ON_FAILURE").explain(Some(code), reason)
    }

    /// Code, text, whether the content is the cause, and the meaning.
    type Row = (&'static str, &'static str, bool, Meaning);

    fn assert_rows(service: &Service, rows: &[Row]) {
        for &(code, reason, is_ours, expected) in rows {
            let meaning = Meaning::of(service, code, reason, is_ours);
            assert_eq!(meaning, expected, "{} {code} {reason}", service.name);
        }
    }

    #[test]
    fn each_row_of_the_table_holds_for_sqs() {
        use Meaning::{Fatal, Invalid, Throttled, TooLarge};
        let too_large = "One or more parameters are invalid. Reason: Message must be shorter than 262144 bytes.";
        let rows = [
            ("InvalidParameterValue", too_large, true, TooLarge),
            ("InvalidParameterValueException", too_large, true, TooLarge),
            ("x", "MessageTooLong", true, TooLarge),
            ("AWS.SimpleQueueService.BatchRequestTooLong", "", true, TooLarge),
            ("AWS.SimpleQueueService.NonExistentQueue", "", true, Fatal),
            ("QueueDoesNotExist", "", true, Fatal),
            ("AccessDenied", "", true, Fatal),
            ("KMS.DisabledException", "", true, Fatal),
            ("KmsThrottled", "", true, Throttled),
            ("ExpiredToken", "", true, Fatal),
            ("RequestThrottled", "", true, Throttled),
            ("ThrottlingException", "", true, Throttled),
            ("InternalError", "", false, Throttled),
            ("ServiceUnavailable", "", false, Throttled),
            ("InvalidMessageContents", "", true, Invalid),
            (
                "InvalidParameterValue",
                "Value for parameter x is invalid",
                true,
                Invalid,
            ),
        ];
        assert_rows(&sqs::SERVICE, &rows);
    }

    #[test]
    fn each_row_of_the_table_holds_for_sns() {
        use Meaning::{Fatal, Invalid, Throttled, TooLarge};
        let rows = [
            ("BatchRequestTooLong", "", true, TooLarge),
            (
                "InvalidParameter",
                "Invalid parameter: Message too long",
                true,
                TooLarge,
            ),
            ("InvalidParameter", "Invalid parameter: message", true, Invalid),
            ("NotFound", "Topic does not exist", true, Fatal),
            ("AuthorizationError", "", true, Fatal),
            ("KMSDisabled", "", true, Fatal),
            ("KMSThrottling", "", true, Throttled),
            ("Throttled", "", true, Throttled),
            ("InternalError", "", false, Throttled),
        ];
        assert_rows(&sns::SERVICE, &rows);
    }

    #[test]
    fn each_row_of_the_table_holds_for_eventbridge() {
        use Meaning::{Fatal, Invalid, Throttled, TooLarge};
        let over = "Total size of the entries in the request is over the limit.";
        let rows = [
            ("ValidationException", over, true, TooLarge),
            ("ValidationException", "1 validation error", true, Invalid),
            ("ResourceNotFoundException", "", true, Fatal),
            ("NotAuthorizedForSourceException", "", true, Fatal),
            ("MalformedDetail", "", true, Invalid),
            ("InternalFailure", "", false, Throttled),
            ("ThrottlingException", "", true, Throttled),
        ];
        assert_rows(&eventbridge::SERVICE, &rows);
    }

    #[test]
    fn a_missing_queue_is_named_with_its_region_and_the_setting() {
        for code in [
            "AWS.SimpleQueueService.NonExistentQueue",
            "NonExistentQueue",
            "QueueDoesNotExist",
        ] {
            assert_eq!(
                explain(code, "The specified queue does not exist."),
                "the queue does not exist in eu-west-1. Create it, or correct ON_FAILURE"
            );
        }
    }

    #[test]
    fn missing_permissions_name_the_action_to_allow() {
        for code in ["AccessDenied", "AccessDeniedException"] {
            let text = explain(code, "User: arn:x is not authorized");
            assert!(text.contains("Allow sqs:SendMessage on the queue"), "{text}");
        }
        let text = explain("KMS.AccessDeniedException", "no");
        assert!(text.contains("kms:GenerateDataKey and kms:Decrypt"), "{text}");
    }

    #[test]
    fn refused_credentials_are_never_quoted() {
        for code in ["InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken"] {
            let text = explain(code, "planted");
            assert!(text.contains(code) && !text.contains("planted"), "{text}");
        }
    }

    #[test]
    fn throttling_and_unknown_codes_keep_the_service_s_message() {
        assert!(explain("RequestThrottled", "slow down").contains("slow down"));
        assert_eq!(explain("InternalError", "oops"), "InternalError: oops. Try again");
    }
}
