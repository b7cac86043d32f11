//! Why a call to SQS failed, and what to do next.

use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::operation::send_message::SendMessageError;

use crate::aws::call::{AttemptObserver, code_and_message, is_about_credentials, unsent};
use crate::config::QueueArn;

/// Why a message was not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is larger than the queue's limit.
    TooLarge,
    /// Anything else: what happened, and what to do next.
    Other(String),
}

/// One `SendMessage`, and its attempts.
pub(super) struct Call {
    region: String,
    observer: AttemptObserver,
}

impl Call {
    pub(super) fn new(queue: &QueueArn) -> Self {
        Self {
            region: queue.region().to_owned(),
            observer: AttemptObserver::default(),
        }
    }

    /// Observes the attempts of this call; an interceptor for the SDK.
    pub(super) fn observer(&self) -> AttemptObserver {
        self.observer.clone()
    }

    pub(super) fn refusal(&self, error: &SdkError<SendMessageError>) -> Refusal {
        let (code, reason) = code_and_message(error, "SQS");
        if code.is_some_and(|code| is_too_large(code, &reason)) {
            return Refusal::TooLarge;
        }
        Refusal::Other(self.explain(code, &reason))
    }

    fn explain(&self, code: Option<&str>, reason: &str) -> String {
        let region = &self.region;
        match code {
            Some(code) if code.ends_with("NonExistentQueue") || code == "QueueDoesNotExist" => {
                format!("the queue does not exist in {region}. Create it, or correct ON_FAILURE")
            }
            Some("AccessDenied" | "AccessDeniedException") => format!(
                "access denied: {reason}. Allow sqs:SendMessage on the queue to this role, for another account's queue in \
                 the queue's policy too, and in the policy of the VPC endpoint if there is one"
            ),
            Some(code) if code.starts_with("KMS.") || code.starts_with("Kms") => format!(
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

/// By the text of SQS for a queue with a lower limit than the service's: there
/// is no code for it alone.
fn is_too_large(code: &str, reason: &str) -> bool {
    (code.starts_with("InvalidParameterValue") && reason.contains("must be shorter than")) || reason == "MessageTooLong"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(code: &str, reason: &str) -> String {
        let queue = "arn:aws:sqs:eu-west-1:123456789012:dead".parse().expect("an ARN");
        Call::new(&queue).explain(Some(code), reason)
    }

    #[test]
    fn a_missing_queue_is_named_with_its_region() {
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
    fn a_message_above_the_queue_s_limit_differs_from_other_wrong_parameters() {
        let reason = "One or more parameters are invalid. Reason: Message must be shorter than 262144 bytes.";
        assert!(is_too_large("InvalidParameterValue", reason));
        assert!(is_too_large("InvalidParameterValueException", reason));
        assert!(!is_too_large(
            "InvalidParameterValue",
            "Value for parameter x is invalid"
        ));
        assert!(!is_too_large("AccessDenied", reason));
    }

    #[test]
    fn throttling_and_unknown_codes_keep_the_service_s_message() {
        assert!(explain("RequestThrottled", "slow down").contains("slow down"));
        assert_eq!(explain("InternalError", "oops"), "InternalError: oops. Try again");
    }
}
