//! The AWS account and role. `GetCallerIdentity` needs no permission, and runs do
//! not need it: no response is no failure.

use aws_sdk_sts::Client;

use super::DoctorContext;
use super::check::Check;
use crate::aws;
use crate::aws::call::{AttemptObserver, code_and_message, is_about_credentials, unsent};
use crate::error::ErrorType::TableUnreachable;

const NAME: &str = "identity";

/// The SDK's endpoint of all services.
const ENDPOINT: &str = "AWS_ENDPOINT_URL";

pub(super) async fn check(context: &DoctorContext) -> Check {
    // DynamoDB Local accepts any credentials; AWS would reject them.
    let is_local = is_set("AWS_ENDPOINT_URL_DYNAMODB") && !is_set("AWS_ENDPOINT_URL_STS") && !is_set(ENDPOINT);
    let region = context.dynamodb.config().region().cloned();
    let Some(region) = region.filter(|_| !is_local) else {
        let why = "AWS_ENDPOINT_URL_DYNAMODB is set, and AWS_ENDPOINT_URL_STS is not";
        return Check::skipped(NAME, why);
    };
    let client = Client::new(&aws::config(region, context.call_limits).await);
    let observer = AttemptObserver::default();
    let call = client.get_caller_identity().customize();
    let call = call
        .interceptor(observer.clone())
        .interceptor(context.aws_clock.interceptor());
    match call.send().await {
        Ok(caller) => {
            let (account, arn) = (caller.account.unwrap_or_default(), caller.arn.unwrap_or_default());
            Check::ok(NAME, format!("AWS account {account}, {arn}"))
        }
        Err(error) => {
            let (code, message) = code_and_message(&error, "STS");
            failed(code, &message, observer.sent())
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the SDK reads the same variables")]
fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// The check of a call that failed.
///
/// | STS | |
/// |---|---|
/// | rejects the credentials | failed |
/// | was not called: there are no credentials | failed |
/// | returns another error, or no response | not checked |
fn failed(code: Option<&str>, message: &str, is_sent: bool) -> Check {
    match code {
        Some(code) if is_about_credentials(code) => Check::credentials_refused(NAME, TableUnreachable, code),
        None if !is_sent => {
            let unsent = unsent(message);
            Check::failed(
                NAME,
                TableUnreachable,
                format!("no request was sent to STS: {}", unsent.what),
                unsent.next,
            )
        }
        _ => Check::skipped(
            NAME,
            format!("STS did not respond, and nothing else needs it: {message}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Status;

    #[test]
    fn only_missing_or_rejected_credentials_are_a_failure() {
        let rows = [
            (None, true, Status::Skipped, "not checked: STS did not respond"),
            (
                Some("Throttling"),
                true,
                Status::Skipped,
                "not checked: STS did not respond",
            ),
            (None, false, Status::Failed, "no request was sent to STS: "),
            (Some("ExpiredToken"), true, Status::Failed, "refused: ExpiredToken"),
        ];
        for (code, is_sent, status, what) in rows {
            let check = failed(code, "words", is_sent);
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.what.contains(what), "{check:?}");
        }
    }
}
