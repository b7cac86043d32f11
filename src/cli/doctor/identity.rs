//! Who this is for AWS. `GetCallerIdentity` needs no right, and nothing else
//! needs it: without an answer, nothing is wrong yet.

use aws_sdk_sts::Client;

use super::Practice;
use super::check::Check;
use super::dates::{Dates, Told};
use crate::aws;
use crate::aws::call::{AttemptObserver, code_and_message, is_about_credentials};
use crate::error::ErrorType::TableUnreachable;

/// What could be learned.
pub(super) struct Identity {
    answer: Answer,
    /// What the answer told of AWS's clock.
    pub(super) told: Option<Told>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// The account, and the user or role.
    Known {
        account: String,
        arn: String,
    },
    /// The table is somewhere else, and so are its credentials.
    Elsewhere,
    /// There are no credentials, in these words.
    None(String),
    /// They were refused, with this code.
    Refused(String),
    Silent(String),
}

/// Where the SDK is told to find services.
const ENDPOINT: &str = "AWS_ENDPOINT_URL";

pub(super) async fn ask(practice: &Practice) -> Identity {
    // A table on this machine takes any credentials; AWS would refuse them.
    if is_set("AWS_ENDPOINT_URL_DYNAMODB") && !is_set("AWS_ENDPOINT_URL_STS") && !is_set(ENDPOINT) {
        return Identity {
            answer: Answer::Elsewhere,
            told: None,
        };
    }
    let Some(region) = practice.dynamodb.config().region().cloned() else {
        return Identity {
            answer: Answer::Elsewhere,
            told: None,
        };
    };
    let client = Client::new(&aws::config(region, practice.patience).await);
    let (observer, dates) = (AttemptObserver::default(), Dates::default());
    let call = client.get_caller_identity().customize();
    let call = call.interceptor(observer.clone()).interceptor(dates.clone());
    let answer = match call.send().await {
        Ok(caller) => Answer::Known {
            account: caller.account.unwrap_or_default(),
            arn: caller.arn.unwrap_or_default(),
        },
        Err(error) => match code_and_message(&error, "STS") {
            (Some(code), _) if is_about_credentials(code) => Answer::Refused(code.to_owned()),
            (None, words) if !observer.sent() => Answer::None(words),
            (_, words) => Answer::Silent(words),
        },
    };
    Identity {
        answer,
        told: dates.told(),
    }
}

#[expect(clippy::disallowed_methods, reason = "the SDK reads the same variables")]
fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// What that means.
///
/// | STS | |
/// |---|---|
/// | names account and role | ok |
/// | was not asked: the table is not in AWS | not checked |
/// | does not answer | not checked: a VPC needs no way to it |
/// | could not be asked: there are no credentials | failed |
/// | refuses the credentials | failed |
pub(super) fn judge(identity: &Identity) -> Check {
    let name = "identity";
    match &identity.answer {
        Answer::Known { account, arn } => Check::ok(name, format!("AWS account {account}, {arn}")),
        Answer::Elsewhere => Check::skipped(
            name,
            "AWS_ENDPOINT_URL_DYNAMODB is set, and AWS_ENDPOINT_URL_STS is not",
        ),
        Answer::Silent(words) => {
            Check::skipped(name, format!("STS does not answer, and nothing else needs it: {words}"))
        }
        Answer::None(words) => Check::failed(
            name,
            TableUnreachable,
            format!("there are no AWS credentials: {words}"),
            "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its companions; in AWS, give the machine a role",
        ),
        Answer::Refused(code) => Check::failed(
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
    fn only_credentials_that_are_missing_or_refused_are_a_failure() {
        let words = || "words".to_owned();
        let known = Answer::Known {
            account: "123456789012".into(),
            arn: "arn:aws:sts::123456789012:assumed-role/r/s".into(),
        };
        let rows = [
            (known, Status::Ok, "AWS account 123456789012, arn:aws:sts::"),
            (
                Answer::Elsewhere,
                Status::Skipped,
                "not checked: AWS_ENDPOINT_URL_DYNAMODB",
            ),
            (
                Answer::Silent(words()),
                Status::Skipped,
                "not checked: STS does not answer",
            ),
            (
                Answer::None(words()),
                Status::Failed,
                "there are no AWS credentials: words",
            ),
            (
                Answer::Refused("ExpiredToken".into()),
                Status::Failed,
                "refused: ExpiredToken",
            ),
        ];
        for (answer, status, what) in rows {
            let check = judge(&Identity { answer, told: None });
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.what.contains(what), "{check:?}");
        }
    }
}
