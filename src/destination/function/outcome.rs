//! What the end of a call means for the records in it. Pure.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::aws::call::is_about_credentials;
use crate::kafka_event::response::BatchOutcome;
use crate::record::TopicPartition;

/// What a call of the function means for its records.
///
/// | the call ended with | outcome |
/// |---|---|
/// | a response without failures | [`Succeeded`](Outcome::Succeeded) |
/// | a response with `batchItemFailures` of the call's records | [`Reported`](Outcome::Reported) |
/// | a response whose `batchItemFailures` name anything else | [`Failed`](Outcome::Failed) |
/// | an error of the function (`X-Amz-Function-Error`) | [`Failed`](Outcome::Failed) |
/// | no response to a request that was sent, or a part of one | [`Failed`](Outcome::Failed): it may have run |
/// | HTTP 413 | [`TooLarge`](Outcome::TooLarge) |
/// | HTTP 429; EC2, ENI, `SnapStart`, a file system or the function not ready; a conflict with an update (409) | [`Throttled`](Outcome::Throttled): it has not run |
/// | no connection | [`Throttled`](Outcome::Throttled): it has not run |
/// | an error of Lambda itself (any other 5xx) | [`Throttled`](Outcome::Throttled): it may have run, and no record is the cause |
/// | HTTP 403 and 404, KMS, code, runtime or network settings that cannot be used, credentials, any other 3xx or 4xx | [`Fatal`](Outcome::Fatal) |
///
/// The sources are the errors of Lambda's
/// [`Invoke`](https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html) and
/// [`BatchOutcome`], which has the rules of responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every record succeeded.
    Succeeded,
    /// These offsets failed, and the others succeeded.
    Reported(BTreeSet<i64>),
    /// The batch failed: what happened.
    Failed(String),
    /// Lambda takes no event of this size.
    TooLarge,
    /// The function is throttled, or not ready: what happened.
    Throttled(String),
    /// The function cannot run before something is corrected: what happened, and what to do.
    Fatal(String),
}

/// A call that ended without a response of the function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal<'a> {
    /// The HTTP status, if there was a response.
    pub(crate) status: Option<u16>,
    /// Lambda's error code.
    pub(crate) code: Option<&'a str>,
    /// Lambda's message, or the error of the connection.
    pub(crate) reason: &'a str,
    /// Whether the request may have reached Lambda.
    pub(crate) may_have_run: bool,
}

/// Lambda's codes of functions that are not ready yet, whatever their HTTP status.
const NOT_READY: [&str; 15] = [
    "CodeArtifactUserPendingException",
    "EC2ThrottledException",
    "EC2UnexpectedException",
    "EFSMountConnectivityException",
    "EFSMountTimeoutException",
    "ENILimitReachedException",
    "ENINotReadyException",
    "ResourceConflictException",
    "ResourceNotReadyException",
    "S3FilesMountConnectivityException",
    "S3FilesMountTimeoutException",
    "SnapStartNotReadyException",
    "SnapStartTimeoutException",
    "SubnetIPAddressLimitReachedException",
    "TooManyRequestsException",
];

/// The beginnings of Lambda's codes of functions that cannot run before something is
/// corrected, although their HTTP status is 5xx.
const BROKEN: [&str; 10] = [
    "CodeArtifactUser",
    "EC2AccessDenied",
    "EFSMountFailure",
    "InvalidRuntime",
    "InvalidSecurityGroupID",
    "InvalidSubnetID",
    "InvalidZipFile",
    "KMS",
    "S3FilesMountFailure",
    "SnapStart",
];

impl Outcome {
    /// The outcome of a response: `payload` is what the function returned for
    /// `offsets` of `partition`.
    pub(super) fn of_response(payload: &[u8], partition: &TopicPartition, offsets: &BTreeSet<i64>) -> Self {
        match BatchOutcome::read(payload, partition, offsets) {
            BatchOutcome::Succeeded => Self::Succeeded,
            BatchOutcome::Failed(failed) => Self::Reported(failed),
            BatchOutcome::Invalid(what) => Self::Failed(format!("the function's response is not valid: {what}")),
        }
    }

    /// The outcome of an error of the function. Its message is left out, because it
    /// may hold values of records.
    pub(super) fn of_function_error(payload: &[u8]) -> Self {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct FunctionError {
            error_type: String,
        }
        let error = serde_json::from_slice::<FunctionError>(payload);
        let error_type = error.map_or_else(|_| String::new(), |error| word(&error.error_type));
        if error_type.is_empty() {
            return Self::Failed(
                "the function failed, without the type of its error. Its log has the error".to_owned(),
            );
        }
        Self::Failed(format!("the function failed with {error_type}. Its log has the error"))
    }

    pub(crate) fn of_refusal(refusal: Refusal<'_>) -> Self {
        let Refusal {
            status,
            code,
            reason,
            may_have_run,
        } = refusal;
        let Some(status) = status else {
            return if may_have_run {
                Self::Failed(format!("no response, so that it may have run: {reason}"))
            } else {
                Self::Throttled(format!(
                    "no connection to Lambda: {reason}. Check the network: a function in a VPC needs a Lambda \
                     interface endpoint or a NAT gateway, and AWS_ENDPOINT_URL_LAMBDA or AWS_ENDPOINT_URL, if set, \
                     must be right"
                ))
            };
        };
        let named = code.map_or_else(|| format!("HTTP status {status}"), str::to_owned);
        let is = |codes: &[&str]| code.is_some_and(|code| codes.contains(&code));
        let begins = |beginnings: &[&str]| {
            code.is_some_and(|code| beginnings.iter().any(|beginning| code.starts_with(beginning)))
        };
        // Lambda's model and its responses name this error differently: the status decides.
        if status == 413 {
            return Self::TooLarge;
        }
        if status == 429 || is(&NOT_READY) {
            return Self::Throttled(format!("{named}: {reason}"));
        }
        if begins(&BROKEN) {
            return Self::Fatal(format!(
                "the function cannot run: {named}: {reason}. Correct the function"
            ));
        }
        if status >= 500 {
            return Self::Throttled(format!("Lambda failed: {named}: {reason}"));
        }
        if status < 300 {
            return Self::Failed(format!("the response broke off, so that it may have run: {reason}"));
        }
        Self::Fatal(explain(status, code, &named, reason))
    }
}

/// What a 3xx or 4xx status means, and what to do.
fn explain(status: u16, code: Option<&str>, named: &str, reason: &str) -> String {
    match code {
        // AWS's message can quote the signed request, and with it AWS's temporary
        // token: the code alone is shown.
        Some(code) if is_about_credentials(code) => {
            format!("the AWS credentials were refused: {code}. Renew them, and check the clock")
        }
        Some("ResourceNotFoundException") => {
            "the function, its alias or its version does not exist. Create it, or correct DESTINATION".to_owned()
        }
        Some("AccessDeniedException") => format!(
            "access denied: {reason}. Allow lambda:InvokeFunction to this role on the ARN as DESTINATION has it, with \
             its alias or version; for another account's function in the function's policy too, and in the policy of the \
             VPC endpoint if there is one"
        ),
        Some("RecursiveInvocationException") => {
            format!("Lambda stopped a loop of functions that invoke each other: {reason}. Correct DESTINATION")
        }
        _ if status < 400 || status == 403 || status == 404 => {
            format!("{named}: {reason}. Check DESTINATION, and the endpoint that AWS_ENDPOINT_URL_LAMBDA names")
        }
        _ => format!("{named}: {reason}"),
    }
}

/// The type of an error, as one word of bounded length: the name of a class, which is
/// the function's to choose.
fn word(text: &str) -> String {
    let valid = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '$' | '-');
    text.chars().take_while(valid).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> Outcome {
        Outcome::of_refusal(Refusal {
            status: Some(status),
            code: Some(code).filter(|code| !code.is_empty()),
            reason: "why",
            may_have_run: true,
        })
    }

    #[test]
    fn a_function_that_is_throttled_or_not_ready_has_not_run() {
        for (status, code) in [
            (429, "TooManyRequestsException"),
            (429, ""),
            (409, "ResourceConflictException"),
            (409, "SnapStartNotReadyException"),
            (408, "SnapStartTimeoutException"),
            (502, "EC2ThrottledException"),
            (502, "ENINotReadyException"),
            (502, "ENILimitReachedException"),
            (502, "SubnetIPAddressLimitReachedException"),
            (502, "ResourceNotReadyException"),
            (408, "EFSMountTimeoutException"),
        ] {
            assert!(
                matches!(refused(status, code), Outcome::Throttled(_)),
                "{status} {code}"
            );
        }
    }

    #[test]
    fn a_function_that_is_gone_forbidden_or_broken_stops_the_run() {
        for (status, code) in [
            (404, "ResourceNotFoundException"),
            (403, "AccessDeniedException"),
            (403, "ExpiredTokenException"),
            (403, ""),
            (302, ""),
            (400, "InvalidParameterValueException"),
            (400, "RecursiveInvocationException"),
            (415, "UnsupportedMediaTypeException"),
            (502, "KMSDisabledException"),
            (502, "KMSAccessDeniedException"),
            (502, "InvalidRuntimeException"),
            (502, "InvalidZipFileException"),
            (502, "InvalidSubnetIDException"),
            (502, "EC2AccessDeniedException"),
            (400, "SnapStartException"),
        ] {
            assert!(matches!(refused(status, code), Outcome::Fatal(_)), "{status} {code}");
        }
    }

    #[test]
    fn an_error_of_lambda_itself_is_caused_by_no_record() {
        for status in [500, 502, 503, 504] {
            for code in ["ServiceException", ""] {
                assert!(
                    matches!(refused(status, code), Outcome::Throttled(_)),
                    "{status} {code}"
                );
            }
        }
    }

    #[test]
    fn a_request_that_may_have_run_without_a_response_is_a_failure_of_its_batch() {
        assert!(matches!(refused(200, ""), Outcome::Failed(_)), "it broke off");
        let lost = |may_have_run| {
            Outcome::of_refusal(Refusal {
                status: None,
                code: None,
                reason: "connection closed",
                may_have_run,
            })
        };
        assert!(matches!(lost(true), Outcome::Failed(_)));
        assert!(matches!(lost(false), Outcome::Throttled(_)));
    }

    #[test]
    fn an_event_that_lambda_takes_as_too_large_is_known_by_its_status() {
        for code in ["RequestTooLargeException", "RequestEntityTooLargeException", ""] {
            assert_eq!(refused(413, code), Outcome::TooLarge);
        }
    }

    #[test]
    fn refused_credentials_are_never_quoted() {
        let Outcome::Fatal(text) = refused(403, "InvalidSignatureException") else {
            panic!("it stops the run");
        };
        assert!(
            text.contains("InvalidSignatureException") && !text.contains("why"),
            "{text}"
        );
    }

    #[test]
    fn of_a_function_s_error_only_the_type_is_shown() {
        let rows = [
            (
                r#"{"errorMessage":"planted","errorType":"ValueError"}"#,
                "with ValueError",
            ),
            (
                r#"{"errorMessage":"planted","errorType":"Runtime.ExitError"}"#,
                "with Runtime.ExitError",
            ),
            (r#"{"errorType":"KeyError: planted value"}"#, "with KeyError:"),
            (r#"{"errorMessage":"planted"}"#, "without the type"),
            (r#"{"errorType":7}"#, "without the type"),
            ("planted", "without the type"),
        ];
        for (payload, expected) in rows {
            let Outcome::Failed(text) = Outcome::of_function_error(payload.as_bytes()) else {
                panic!("{payload} is a failure");
            };
            assert!(
                text.contains(expected) && !text.contains("planted"),
                "{payload}: {text}"
            );
        }
    }
}
