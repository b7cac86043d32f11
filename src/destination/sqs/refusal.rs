//! What SQS's errors mean for a call and for its messages.

use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::operation::send_message_batch::SendMessageBatchError;

use crate::aws::call::{AttemptObserver, code_and_message, is_about_credentials, status, unsent};
use crate::config::QueueArn;
use crate::destination::batched::{CallFailure, EntryOutcome};

/// One `SendMessageBatch`, and its attempts.
pub(super) struct Refusals<'a> {
    region: &'a str,
    setting: &'static str,
    observer: AttemptObserver,
}

/// What an error of SQS means.
///
/// | SQS's code | |
/// |---|---|
/// | too large, by code or text | [`TooLarge`](Meaning::TooLarge) |
/// | no such queue, access denied, KMS, credentials | [`Fatal`](Meaning::Fatal) |
/// | throttled, or an error of SQS itself | [`Throttled`](Meaning::Throttled) |
/// | anything else | [`Invalid`](Meaning::Invalid) |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    TooLarge,
    Fatal,
    Throttled,
    Invalid,
}

impl Meaning {
    /// `is_ours`: the error is of the request's content, not of SQS itself.
    fn of(code: &str, reason: &str, is_ours: bool) -> Self {
        if is_too_large(code, reason) {
            Self::TooLarge
        } else if code.contains("Throttl") {
            Self::Throttled
        } else if is_missing(code) || is_denied(code) || is_of_key(code) || is_about_credentials(code) {
            Self::Fatal
        } else if !is_ours {
            Self::Throttled
        } else {
            Self::Invalid
        }
    }
}

impl<'a> Refusals<'a> {
    pub(super) fn new(queue: &'a QueueArn, setting: &'static str) -> Self {
        Self {
            region: queue.region(),
            setting,
            observer: AttemptObserver::default(),
        }
    }

    /// Observes the attempts of this call; an interceptor for the SDK.
    pub(super) fn observer(&self) -> AttemptObserver {
        self.observer.clone()
    }

    /// What an error of the call means.
    pub(super) fn of_call(&self, error: &SdkError<SendMessageBatchError>) -> CallFailure {
        let (code, reason) = code_and_message(error, "SQS");
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
        match Meaning::of(code, &reason, is_ours) {
            Meaning::TooLarge => CallFailure::TooLarge,
            Meaning::Fatal => CallFailure::Fatal(text),
            Meaning::Throttled => CallFailure::Throttled(text),
            Meaning::Invalid => CallFailure::Invalid(text),
        }
    }

    /// What the error of one message means. `sender_fault`: SQS names the message as the cause.
    pub(super) fn of_entry(&self, code: &str, reason: &str, sender_fault: bool) -> EntryOutcome {
        let text = self.explain(Some(code), reason);
        match Meaning::of(code, reason, sender_fault) {
            Meaning::TooLarge => EntryOutcome::TooLarge,
            Meaning::Fatal => EntryOutcome::Fatal(text),
            Meaning::Throttled => EntryOutcome::Throttled(text),
            Meaning::Invalid => EntryOutcome::Invalid(text),
        }
    }

    fn explain(&self, code: Option<&str>, reason: &str) -> String {
        let (region, setting) = (self.region, self.setting);
        match code {
            Some(code) if is_missing(code) => {
                format!("the queue does not exist in {region}. Create it, or correct {setting}")
            }
            Some(code) if is_denied(code) => format!(
                "access denied: {reason}. Allow sqs:SendMessage on the queue to this role, for another account's queue in \
                 the queue's policy too, and in the policy of the VPC endpoint if there is one"
            ),
            Some(code) if is_of_key(code) => format!(
                "the queue's KMS key cannot be used ({code}): {reason}. Allow kms:GenerateDataKey and kms:Decrypt on it \
                 to this role"
            ),
            // SQS's message can quote the signed request, and with it AWS's
            // temporary token: the code alone is shown.
            Some(code) if is_about_credentials(code) => {
                format!("the AWS credentials were refused: {code}. Renew them, and check the clock")
            }
            Some(code) if code.contains("Throttl") => {
                format!("SQS throttles the queue ({code}): {reason}. A FIFO queue takes more in high throughput mode")
            }
            Some(code) => format!("{code}: {reason}. Try again"),
            None if !self.observer.sent() => format!("the message could not be sent: {}", unsent(reason)),
            None => format!(
                "no response from {}: {reason}. Check the network: a function in a VPC needs an SQS interface endpoint or a \
                 NAT gateway, and AWS_ENDPOINT_URL_SQS or AWS_ENDPOINT_URL, if set, must be right",
                self.observer.endpoint().unwrap_or("SQS")
            ),
        }
    }
}

fn is_missing(code: &str) -> bool {
    code.ends_with("NonExistentQueue") || code == "QueueDoesNotExist"
}

fn is_denied(code: &str) -> bool {
    matches!(code, "AccessDenied" | "AccessDeniedException")
}

fn is_of_key(code: &str) -> bool {
    code.starts_with("KMS.") || code.starts_with("Kms")
}

/// Of a queue with a lower limit than the service's there is only a text: there is no code
/// for it alone.
fn is_too_large(code: &str, reason: &str) -> bool {
    (code.starts_with("InvalidParameterValue") && reason.contains("must be shorter than"))
        || reason == "MessageTooLong"
        || code.ends_with("BatchRequestTooLong")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> QueueArn {
        "arn:aws:sqs:eu-west-1:123456789012:dead".parse().expect("an ARN")
    }

    fn explain(code: &str, reason: &str) -> String {
        Refusals::new(&queue(), "ON_FAILURE").explain(Some(code), reason)
    }

    #[test]
    fn each_row_of_the_table_holds() {
        let too_large = "One or more parameters are invalid. Reason: Message must be shorter than 262144 bytes.";
        let rows = [
            ("InvalidParameterValue", too_large, true, Meaning::TooLarge),
            ("InvalidParameterValueException", too_large, true, Meaning::TooLarge),
            ("x", "MessageTooLong", true, Meaning::TooLarge),
            (
                "AWS.SimpleQueueService.BatchRequestTooLong",
                "",
                true,
                Meaning::TooLarge,
            ),
            ("AWS.SimpleQueueService.NonExistentQueue", "", true, Meaning::Fatal),
            ("QueueDoesNotExist", "", true, Meaning::Fatal),
            ("AccessDenied", "", true, Meaning::Fatal),
            ("KMS.DisabledException", "", true, Meaning::Fatal),
            ("KmsThrottled", "", true, Meaning::Throttled),
            ("ExpiredToken", "", true, Meaning::Fatal),
            ("RequestThrottled", "", true, Meaning::Throttled),
            ("ThrottlingException", "", true, Meaning::Throttled),
            ("InternalError", "", false, Meaning::Throttled),
            ("ServiceUnavailable", "", false, Meaning::Throttled),
            ("InvalidMessageContents", "", true, Meaning::Invalid),
            (
                "InvalidParameterValue",
                "Value for parameter x is invalid",
                true,
                Meaning::Invalid,
            ),
        ];
        for (code, reason, is_ours, expected) in rows {
            assert_eq!(Meaning::of(code, reason, is_ours), expected, "{code} {reason}");
        }
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
