//! What the API responds to an invocation.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::http;
use crate::support::runtime_api::Invocation;

/// AWS's limit of a synchronous response's payload, in bytes.
pub(crate) const RESPONSE_LIMIT: usize = 6_291_556;

/// The reply to one invocation.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// The function returned this payload.
    Payload(String),
    /// The function failed: status 200 with `X-Amz-Function-Error`.
    FunctionError { error_type: String, message: String },
    /// The API's own error. `Retry-After` is in seconds.
    Error {
        status: u16,
        code: String,
        message: String,
        retry_after: Option<u32>,
    },
    /// Waits before it replies.
    Sleep(Duration, Box<Reply>),
    /// The function ran, and the connection is closed before the response.
    DropConnection,
    /// The connection is closed, and the function did not run. Only as a scripted reply.
    DropBeforeRead,
    /// Any other response, as bytes of HTTP.
    Raw(Vec<u8>),
    /// A dry run that is permitted.
    NoContent,
}

impl Reply {
    pub(crate) fn ok(payload: impl Into<String>) -> Self {
        Self::Payload(payload.into())
    }

    pub(crate) fn json(payload: &Value) -> Self {
        Self::Payload(payload.to_string())
    }

    /// `batchItemFailures` of these partitions, such as `orders-0`, and offsets.
    pub(crate) fn failures<'a>(failures: impl IntoIterator<Item = (&'a str, i64)>) -> Self {
        let failures: Vec<Value> = failures
            .into_iter()
            .map(|(partition, offset)| json!({"itemIdentifier": {"partition": partition, "offset": offset}}))
            .collect();
        Self::json(&json!({"batchItemFailures": failures}))
    }

    pub(crate) fn function_error(error_type: &str, message: &str) -> Self {
        Self::FunctionError {
            error_type: error_type.to_owned(),
            message: message.to_owned(),
        }
    }

    pub(crate) fn error(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self::Error {
            status,
            code: code.to_owned(),
            message: message.into(),
            retry_after: None,
        }
    }

    /// The error of a function at its concurrency limit.
    pub(crate) fn throttled(retry_after: Option<u32>) -> Self {
        Self::Error {
            status: 429,
            code: "TooManyRequestsException".to_owned(),
            message: "Rate Exceeded.".to_owned(),
            retry_after,
        }
    }

    pub(crate) fn after(self, wait: Duration) -> Self {
        Self::Sleep(wait, Box::new(self))
    }

    /// A function's error as the Runtime Interface Emulator returns it.
    pub(super) fn without_mark(self) -> Self {
        match self {
            Self::FunctionError { error_type, message } => {
                Self::json(&json!({"errorMessage": message, "errorType": error_type}))
            }
            other => other,
        }
    }

    /// What a program returned, or its error.
    pub(super) fn of(invocation: Invocation) -> Self {
        match invocation.result {
            Ok(payload) => Self::json(&payload),
            Err(error) => Self::function_error(&error.error_type, &error.message),
        }
    }

    /// The response as bytes; `None` to close the connection.
    pub(super) fn send(self) -> Option<Vec<u8>> {
        match self {
            Self::Payload(payload) if payload.len() > RESPONSE_LIMIT => Self::function_error(
                "Function.ResponseSizeTooLarge",
                &format!("Response payload size exceeded maximum allowed payload size ({RESPONSE_LIMIT} bytes)."),
            )
            .send(),
            Self::Payload(payload) => Some(returned("", &payload)),
            Self::FunctionError { error_type, message } => Some(returned(
                "X-Amz-Function-Error: Unhandled\r\n",
                &json!({"errorMessage": message, "errorType": error_type}).to_string(),
            )),
            Self::Error {
                status,
                code,
                message,
                retry_after,
            } => {
                let retry_after = retry_after.map_or_else(String::new, |it| format!("Retry-After: {it}\r\n"));
                let mut body = json!({"Type": if status < 500 { "User" } else { "Service" }, "message": message});
                if status == 429 {
                    body["Reason"] = json!("ReservedFunctionConcurrentInvocationLimitExceeded");
                }
                let headers = format!("{}x-amzn-ErrorType: {code}\r\n{retry_after}", request_id());
                Some(http::response(status, &headers, body.to_string().as_bytes()))
            }
            Self::Sleep(wait, reply) => {
                thread::sleep(wait);
                reply.send()
            }
            Self::DropConnection | Self::DropBeforeRead => None,
            Self::Raw(response) => Some(response),
            Self::NoContent => Some(http::response(204, &request_id(), b"")),
        }
    }
}

/// The response of a function that ran.
fn returned(headers: &str, payload: &str) -> Vec<u8> {
    let headers = format!("{}X-Amz-Executed-Version: $LATEST\r\n{headers}", request_id());
    http::response(200, &headers, payload.as_bytes())
}

fn request_id() -> String {
    format!("x-amzn-RequestId: {}\r\n", uuid::Uuid::new_v4())
}
