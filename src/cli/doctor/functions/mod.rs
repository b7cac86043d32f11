//! The functions of `DESTINATION`: whether they exist, may be invoked, and are
//! shorter than a run. None of them is run: the invocations are dry runs.

use std::error::Error as StdError;
use std::time::Duration;

use aws_config::Region;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::types::InvocationType;

use super::DoctorContext;
use super::check::Check;
use crate::aws;
use crate::aws::call::{AttemptObserver, Unsent, code_and_message, is_about_credentials, status, unsent};
use crate::config::{Config, Destination, FunctionArn};
use crate::destination::function::{Outcome, Refusal};
use crate::error::ErrorType::DestinationFailed;

const NAME: &str = "function";
const RIGHTS: &str = "function_rights";

pub(super) async fn checks(context: &DoctorContext) -> Vec<Check> {
    let checks = functions(context.config()).into_iter().map(async |arn| {
        let client = Client::new(&aws::config(Region::new(arn.region().to_owned()), context.call_limits).await);
        let (found, permitted) = futures::join!(find(&client, arn), dry_run(&client, arn));
        judge(arn, &found, &permitted, context.config().time_limit).map(|check| check.on(arn))
    });
    futures::future::join_all(checks).await.into_iter().flatten().collect()
}

/// Each function once, in the order of the routes.
fn functions(config: &Config) -> Vec<&FunctionArn> {
    let mut functions = vec![];
    for (_, route) in config.routes.iter() {
        if let Destination::Function(arn) = &route.to
            && !functions.contains(&arn)
        {
            functions.push(arn);
        }
    }
    functions
}

/// What is known of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    /// Its longest time, in seconds.
    timeout_s: u64,
    state: String,
    state_reason: Option<String>,
    last_update: String,
    last_update_reason: Option<String>,
}

impl From<GetFunctionConfigurationOutput> for Found {
    fn from(it: GetFunctionConfigurationOutput) -> Self {
        // Reasons are codes: the texts beside them quote whatever the function's owner has written.
        let text = |it: Option<&str>| it.map(str::to_owned);
        Self {
            timeout_s: it.timeout.and_then(|s| u64::try_from(s).ok()).unwrap_or_default(),
            state: text(it.state.as_ref().map(AsRef::as_ref)).unwrap_or_else(|| "Active".into()),
            state_reason: text(it.state_reason_code.as_ref().map(AsRef::as_ref)),
            last_update: text(it.last_update_status.as_ref().map(AsRef::as_ref)).unwrap_or_default(),
            last_update_reason: text(it.last_update_status_reason_code.as_ref().map(AsRef::as_ref)),
        }
    }
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Failure {
    /// Lambda's HTTP status, error code and message.
    Refused(u16, String, String),
    /// A response of another service, such as a local runtime, which has only a part of the API.
    NotLambda(String),
    /// No response.
    NoResponse(String),
    /// The request was not sent.
    Unsent(Unsent),
}

async fn find(client: &Client, arn: &FunctionArn) -> Result<Found, Failure> {
    let observer = AttemptObserver::default();
    let request = client.get_function_configuration().function_name(arn.as_str());
    let response = request.customize().interceptor(observer.clone()).send().await;
    response.map(Found::from).map_err(|error| failure(&error, &observer))
}

async fn dry_run(client: &Client, arn: &FunctionArn) -> Result<(), Failure> {
    let observer = AttemptObserver::default();
    let request = client.invoke().function_name(arn.as_str());
    let request = request.invocation_type(InvocationType::DryRun).customize();
    let response = request.interceptor(observer.clone()).send().await;
    response.map(|_| ()).map_err(|error| failure(&error, &observer))
}

fn failure<E>(error: &SdkError<E>, observer: &AttemptObserver) -> Failure
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    match (status(error), code_and_message(error, "Lambda")) {
        (Some(status), (Some(code), message)) => Failure::Refused(status, code.to_owned(), message),
        (Some(_), (None, message)) => Failure::NotLambda(message),
        (None, (_, message)) if observer.sent() => Failure::NoResponse(message),
        (None, (_, message)) => Failure::Unsent(unsent(&message)),
    }
}

/// The checks of a function, and of the permission to invoke it.
///
/// | responses | `function` | `function_rights` |
/// |---|---|---|
/// | either: it does not exist | failed | not checked |
/// | no permission to read its configuration | warning: runs do not need it | by the dry run |
/// | else | [`of_configuration`], or [`failed_request`] | [`of_dry_run`] |
fn judge(
    arn: &FunctionArn,
    found: &Result<Found, Failure>,
    permitted: &Result<(), Failure>,
    run: Duration,
) -> [Check; 2] {
    if is_missing(found) || is_missing(permitted) {
        return [
            failed(
                NAME,
                "it does not exist, or its alias or version does not",
                "Create it, or correct DESTINATION",
            ),
            Check::skipped(RIGHTS, "it does not exist"),
        ];
    }
    let function = match found {
        Ok(found) => of_configuration(found, run),
        Err(Failure::Refused(_, code, _)) if code == "AccessDeniedException" => Check::warning(
            NAME,
            "its state and its timeout are unknown: this role has no permission lambda:GetFunctionConfiguration, which runs do \
             not need",
            "Allow it to this role, for this check; or compare the function's timeout with the time of a run",
        ),
        Err(failure) => failed_request(NAME, failure, "GetFunctionConfiguration"),
    };
    [function, of_dry_run(arn, permitted)]
}

fn is_missing<T>(response: &Result<T, Failure>) -> bool {
    matches!(response, Err(Failure::Refused(_, code, _)) if code == "ResourceNotFoundException")
}

/// The check of a function that exists.
///
/// | | |
/// |---|---|
/// | it cannot be invoked in this state | failed |
/// | it is being created, or was reclaimed for lack of invocations | warning: runs wait for it |
/// | its last update failed | warning: it runs the code and the settings from before |
/// | its timeout is not below the time of a run | warning: it can outlive the run |
/// | else | ok |
fn of_configuration(found: &Found, run: Duration) -> Check {
    if let Some(check) = of_state(found) {
        return check;
    }
    if found.last_update == "Failed" {
        let reason = in_brackets(found.last_update_reason.as_deref());
        return Check::warning(
            NAME,
            format!("its last update failed{reason}: it runs with the code and the settings from before"),
            "Deploy the function again",
        );
    }
    let (timeout_s, run_s) = (found.timeout_s, run.as_secs_f64());
    if Duration::from_secs(timeout_s) >= run {
        return Check::warning(
            NAME,
            format!(
                "its timeout of {timeout_s} s is not below the {run_s} s of a run (TIME_LIMIT): it may be still running when the \
                 run ends, and the next run invokes it with the same records"
            ),
            "Reduce its timeout, or increase the time of a run: TIME_LIMIT here, in Lambda the timeout of the consumer",
        );
    }
    let what = format!("it is active; its timeout of {timeout_s} s is below the {run_s} s of a run (TIME_LIMIT)");
    Check::ok(NAME, what).with(["in Lambda the timeout of the consumer is the time of a run".to_owned()])
}

/// The check of a function that is not active.
fn of_state(found: &Found) -> Option<Check> {
    let reason = in_brackets(found.state_reason.as_deref());
    let check = match found.state.as_str() {
        "Active" => return None,
        "Pending" => Check::warning(
            NAME,
            format!("it is being created{reason}: runs wait for it"),
            "Wait until aws lambda wait function-active-v2 returns",
        ),
        "Inactive" => Check::warning(
            NAME,
            format!("it is inactive{reason}: its next invocation activates it, and runs wait for that"),
            "Invoke it once, or start a run",
        ),
        state => failed(
            NAME,
            format!("it cannot be invoked: its state is {state}{reason}"),
            "Display the reason with aws lambda get-function-configuration, and deploy the function again",
        ),
    };
    Some(check)
}

fn in_brackets(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |reason| format!(" ({reason})"))
}

/// The check of the permission to invoke a function.
///
/// | the dry run | |
/// |---|---|
/// | is accepted | ok |
/// | is denied | failed: names the permission, and the ARN with alias or version |
/// | is refused because of the function's key | failed |
/// | else | [`failed_request`] |
fn of_dry_run(arn: &FunctionArn, permitted: &Result<(), Failure>) -> Check {
    let failure = match permitted {
        Ok(()) => return Check::ok(RIGHTS, "this role may invoke it; it was not run"),
        Err(failure) => failure,
    };
    match failure {
        Failure::Refused(_, code, message) if code == "AccessDeniedException" => failed(
            RIGHTS,
            "this role may not lambda:InvokeFunction",
            format!(
                "Allow lambda:InvokeFunction on exactly {arn} to this role, in the function's own policy too if it is of \
                 another account, and in the policy of the VPC endpoint if there is one"
            ),
        )
        .with([message.clone()]),
        Failure::Refused(_, code, _) if code.starts_with("KMS") => failed(
            RIGHTS,
            format!("Lambda cannot use the KMS key of the function: {code}"),
            "Enable the key, and allow kms:Decrypt on it to the role of the function",
        ),
        failure => failed_request(RIGHTS, failure, "the dry run of Invoke"),
    }
}

/// Whether a run makes such a call again.
fn passes(status: u16, code: &str, reason: &str) -> bool {
    let outcome = Outcome::of_refusal(Refusal {
        status: Some(status),
        code: Some(code),
        reason,
        may_have_run: true,
    });
    matches!(outcome, Outcome::Throttled(_) | Outcome::Failed(_))
}

/// The check of a request that failed, whatever it was.
///
/// | | |
/// |---|---|
/// | the credentials are rejected, or there are none | failed |
/// | refused for now, or Lambda failed | warning |
/// | refused otherwise, or no response | failed, as a run would |
/// | a response of another service | not checked |
fn failed_request(name: &'static str, failure: &Failure, what: &str) -> Check {
    match failure {
        // The service's message can quote the signed request.
        Failure::Refused(_, code, _) if is_about_credentials(code) => {
            Check::credentials_refused(name, DestinationFailed, code)
        }
        Failure::Refused(status, code, message) if passes(*status, code, message) => Check::warning(
            name,
            format!("Lambda refused {what} for now: {code}: {message}"),
            "Try again; a run does so itself",
        ),
        Failure::Refused(_, code, message) => failed(
            name,
            format!("Lambda refused {what}: {code}: {message}"),
            "Correct the function; aws lambda get-function shows its settings",
        ),
        Failure::NotLambda(message) => Check::skipped(
            name,
            format!("{message}; a local runtime (AWS_ENDPOINT_URL_LAMBDA) has only a part of Lambda's API"),
        ),
        Failure::NoResponse(message) => failed(
            name,
            format!("Lambda did not respond: {message}"),
            "Check the network: a consumer in a VPC needs a Lambda interface endpoint or a NAT gateway",
        ),
        Failure::Unsent(unsent) => failed(
            name,
            format!("no request was sent to Lambda: {}", unsent.what),
            unsent.next,
        ),
    }
}

fn failed(name: &'static str, what: impl Into<String>, next: impl Into<String>) -> Check {
    Check::failed(name, DestinationFailed, what, next)
}

#[cfg(test)]
mod tests;
