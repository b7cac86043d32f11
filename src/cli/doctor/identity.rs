//! The AWS account and role. `GetCallerIdentity` needs no permission, and runs do
//! not need it: no response is no failure.

use aws_sdk_sts::Client;

use super::DoctorContext;
use super::check::Check;
use super::dates::{Dates, Told};
use crate::aws;
use crate::aws::call::{AttemptObserver, code_and_message, is_about_credentials};
use crate::error::ErrorType::TableUnreachable;

/// The caller identity, and AWS's clock.
pub(super) struct Identity {
    status: IdentityStatus,
    /// AWS's clock at the response.
    pub(super) told: Option<Told>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum IdentityStatus {
    /// The account, and the user or role.
    Known {
        account: String,
        arn: String,
    },
    /// The table is not in AWS, and its credentials are not AWS's.
    Elsewhere,
    /// There are no credentials; the SDK's message.
    NoCredentials(String),
    /// They were rejected, with this code.
    Rejected(String),
    NoResponse(String),
}

/// The SDK's endpoint of all services.
const ENDPOINT: &str = "AWS_ENDPOINT_URL";

pub(super) async fn fetch(context: &DoctorContext) -> Identity {
    // DynamoDB Local accepts any credentials; AWS would reject them.
    if is_set("AWS_ENDPOINT_URL_DYNAMODB") && !is_set("AWS_ENDPOINT_URL_STS") && !is_set(ENDPOINT) {
        return Identity {
            status: IdentityStatus::Elsewhere,
            told: None,
        };
    }
    let Some(region) = context.dynamodb.config().region().cloned() else {
        return Identity {
            status: IdentityStatus::Elsewhere,
            told: None,
        };
    };
    let client = Client::new(&aws::config(region, context.patience).await);
    let (observer, dates) = (AttemptObserver::default(), Dates::default());
    let call = client.get_caller_identity().customize();
    let call = call.interceptor(observer.clone()).interceptor(dates.clone());
    let status = match call.send().await {
        Ok(caller) => IdentityStatus::Known {
            account: caller.account.unwrap_or_default(),
            arn: caller.arn.unwrap_or_default(),
        },
        Err(error) => match code_and_message(&error, "STS") {
            (Some(code), _) if is_about_credentials(code) => IdentityStatus::Rejected(code.to_owned()),
            (None, words) if !observer.sent() => IdentityStatus::NoCredentials(words),
            (_, words) => IdentityStatus::NoResponse(words),
        },
    };
    Identity {
        status,
        told: dates.told(),
    }
}

#[expect(clippy::disallowed_methods, reason = "the SDK reads the same variables")]
fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// The check of the identity.
///
/// | STS | |
/// |---|---|
/// | returns account and role | ok |
/// | not called: the table is not in AWS | not checked |
/// | no response | not checked: runs do not need it |
/// | not called: there are no credentials | failed |
/// | rejects the credentials | failed |
pub(super) fn judge(identity: &Identity) -> Check {
    let name = "identity";
    match &identity.status {
        IdentityStatus::Known { account, arn } => Check::ok(name, format!("AWS account {account}, {arn}")),
        IdentityStatus::Elsewhere => Check::skipped(
            name,
            "AWS_ENDPOINT_URL_DYNAMODB is set, and AWS_ENDPOINT_URL_STS is not",
        ),
        IdentityStatus::NoResponse(error) => {
            Check::skipped(name, format!("STS did not respond, and nothing else needs it: {error}"))
        }
        IdentityStatus::NoCredentials(words) => Check::failed(
            name,
            TableUnreachable,
            format!("there are no AWS credentials: {words}"),
            "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its companions; in AWS, give the machine a role",
        ),
        IdentityStatus::Rejected(code) => Check::failed(
            name,
            TableUnreachable,
            format!("the AWS credentials were refused: {code}"),
            "Renew them, and check this machine's clock",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Status;

    #[test]
    fn only_missing_or_rejected_credentials_are_a_failure() {
        let words = || "words".to_owned();
        let known = IdentityStatus::Known {
            account: "123456789012".into(),
            arn: "arn:aws:sts::123456789012:assumed-role/r/s".into(),
        };
        let rows = [
            (known, Status::Ok, "AWS account 123456789012, arn:aws:sts::"),
            (
                IdentityStatus::Elsewhere,
                Status::Skipped,
                "not checked: AWS_ENDPOINT_URL_DYNAMODB",
            ),
            (
                IdentityStatus::NoResponse(words()),
                Status::Skipped,
                "not checked: STS did not respond",
            ),
            (
                IdentityStatus::NoCredentials(words()),
                Status::Failed,
                "there are no AWS credentials: words",
            ),
            (
                IdentityStatus::Rejected("ExpiredToken".into()),
                Status::Failed,
                "refused: ExpiredToken",
            ),
        ];
        for (identity, status, what) in rows {
            let check = judge(&Identity {
                status: identity,
                told: None,
            });
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.what.contains(what), "{check:?}");
        }
    }
}
