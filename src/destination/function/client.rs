//! The call: `Invoke`, and waiting for its response.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::{self, StalledStreamProtectionConfig};
use aws_sdk_lambda::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_lambda::operation::RequestId as _;
use aws_sdk_lambda::operation::invoke::InvokeError;
use aws_sdk_lambda::primitives::Blob;
use serde::Serialize;
use tokio::sync::Mutex;

use super::emulator;
use super::outcome::{Outcome, Refusal};
use crate::aws::call::{AttemptObserver, code_and_message, status, unsent};
use crate::aws::{self, CallLimits};
use crate::config::FunctionArn;
use crate::kafka_event::base64;
use crate::processor::RunContext;

/// The longest client context, in characters of base64.
const MAX_CONTEXT_CHARS: usize = 3_583;

/// A client for one function.
pub(super) struct FunctionClient {
    arn: FunctionArn,
    state: Mutex<State>,
    /// The endpoint is an emulator's that has functions by their name only.
    by_name: AtomicBool,
}

/// What is kept between calls.
#[derive(Default)]
struct State {
    /// Region and credentials; `None` before the first call.
    sdk: Option<SdkConfig>,
    /// The run's id, and its client.
    of_run: Option<(Arc<str>, Client)>,
}

/// What a call returned.
pub(super) enum Response {
    /// The function's own response.
    Returned(Vec<u8>),
    /// The function's error, and the id by which its log has the call.
    FunctionError {
        payload: Vec<u8>,
        request_id: Option<String>,
    },
    /// None of the function.
    Refused(Outcome),
}

impl FunctionClient {
    pub(super) fn new(arn: FunctionArn) -> Self {
        Self {
            arn,
            state: Mutex::default(),
            by_name: AtomicBool::new(false),
        }
    }

    /// Invokes the function once, and waits for its response as long as it takes: the
    /// caller ends the wait.
    pub(super) async fn invoke(&self, event: Vec<u8>, run: &RunContext) -> Response {
        let client = match self.client(run).await {
            Ok(client) => client,
            Err(what) => return Response::Refused(Outcome::Fatal(what)),
        };
        let observer = AttemptObserver::default();
        let by_name = self.by_name.load(Ordering::Relaxed);
        let function = if by_name { self.arn.name() } else { self.arn.as_str() };
        let request = client
            .invoke()
            .function_name(function)
            .client_context(context(run))
            .payload(Blob::new(event));
        match request.customize().interceptor(observer.clone()).send().await {
            Ok(output) => {
                let failed = output.function_error().is_some();
                let request_id = output.request_id().map(str::to_owned);
                let payload = output.payload.map(Blob::into_inner).unwrap_or_default();
                if failed || by_name && emulator::is_unmarked_error(&payload) {
                    Response::FunctionError { payload, request_id }
                } else {
                    Response::Returned(payload)
                }
            }
            Err(error) if !by_name && emulator::has_names_only(observer.endpoint(), status(&error), error.code()) => {
                self.by_name.store(true, Ordering::Relaxed);
                Response::Refused(Outcome::Throttled(format!(
                    "the endpoint has no function by this ARN, and is not Lambda's: the next call is by the name {}",
                    self.arn.name()
                )))
            }
            Err(error) => Response::Refused(refused(&error, &observer)),
        }
    }

    /// The client of this run. Connections of an earlier run are not used: they may be
    /// dead, because the process may have been frozen since, and a call that is sent
    /// on a dead one waits for a response that never comes.
    async fn client(&self, run: &RunContext) -> Result<Client, String> {
        let mut state = self.state.lock().await;
        if let Some((run_id, client)) = &state.of_run
            && *run_id == run.run_id
        {
            return Ok(client.clone());
        }
        let sdk = if let Some(sdk) = &state.sdk {
            sdk.clone()
        } else {
            let region = Region::new(self.arn.region().to_owned());
            let sdk = aws::config(region, CallLimits::default()).await;
            state.sdk.insert(sdk).clone()
        };
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CallLimits::default().connect)
            // What is not set would be that of other calls, which take milliseconds.
            .disable_read_timeout()
            .disable_operation_timeout()
            .disable_operation_attempt_timeout()
            .build();
        let config = config::Builder::from(&sdk)
            .http_client(aws::long_calls()?)
            .timeout_config(timeouts)
            // It would end a call that receives nothing for a while.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            // Another attempt would run the function again, and the run would not count it.
            .retry_config(RetryConfig::disabled())
            .build();
        let client = Client::from_conf(config);
        state.of_run = Some((run.run_id.clone(), client.clone()));
        Ok(client)
    }
}

fn refused(error: &SdkError<InvokeError>, observer: &AttemptObserver) -> Outcome {
    let (code, reason) = code_and_message(error, "Lambda");
    if code.is_none() && !observer.sent() {
        return Outcome::Fatal(format!("the call could not be sent: {}", unsent(&reason)));
    }
    let connected = match error {
        // The request itself is the cause, not the network: it would fail again.
        SdkError::DispatchFailure(failure) if failure.is_user() => {
            return Outcome::Fatal(format!("the call could not be sent: {reason}"));
        }
        SdkError::DispatchFailure(failure) => failure
            .as_connector_error()
            .is_some_and(|error| error.connection_metadata().is_some()),
        _ => true,
    };
    Outcome::of_refusal(Refusal {
        status: status(error),
        code,
        reason: &reason,
        may_have_run: connected,
    })
}

/// The client context, which the function's runtime hands to its handler. Its values
/// are texts, because the runtimes of Go, Java and Rust take no others.
#[derive(Serialize)]
struct ClientContext<'a> {
    custom: Custom<'a>,
}

#[derive(Serialize)]
struct Custom<'a> {
    run: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    attempt: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<String>,
}

/// The client context as base64. A group that is too long for it is left out.
fn context(run: &RunContext) -> String {
    let encoded = |group| {
        let custom = Custom {
            run: &run.run_id,
            group,
            attempt: run.attempt.to_string(),
            lag: run.lag.map(|lag| lag.to_string()),
        };
        // Texts alone: serializing them cannot fail.
        base64(&serde_json::to_vec(&ClientContext { custom }).unwrap_or_default())
    };
    let context = encoded(Some(&*run.group_id));
    if context.len() <= MAX_CONTEXT_CHARS {
        context
    } else {
        encoded(None)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "the time plays no role")]
    fn decoded(group: &str, lag: Option<u64>) -> String {
        let run = RunContext {
            stop_at: Instant::now(),
            attempt: 2,
            run_id: "r".into(),
            group_id: group.into(),
            lag,
        };
        let context = context(&run);
        assert!(context.len() <= MAX_CONTEXT_CHARS);
        String::from_utf8(STANDARD.decode(context).expect("base64")).expect("UTF-8")
    }

    #[test]
    fn the_client_context_holds_run_group_attempt_and_lag_as_texts() {
        assert_eq!(
            decoded("billing", Some(7)),
            r#"{"custom":{"run":"r","group":"billing","attempt":"2","lag":"7"}}"#
        );
        assert_eq!(
            decoded("billing", None),
            r#"{"custom":{"run":"r","group":"billing","attempt":"2"}}"#
        );
    }

    #[test]
    fn a_group_that_is_too_long_for_the_client_context_is_left_out() {
        let group = "\u{1}".repeat(1_000);
        assert_eq!(decoded(&group, None), r#"{"custom":{"run":"r","attempt":"2"}}"#);
    }
}
