//! The four endpoints of <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};

use serde_json::{Value, json};

use super::FunctionError;
use crate::support::http::{self, Request};

/// The request id of an event, and its response.
pub(super) type Response = (String, Result<Value, FunctionError>);

/// A request of a program.
#[derive(Debug)]
pub(super) enum Call {
    Next(Sender<Vec<u8>>),
    Response(Response),
    InitError(FunctionError),
}

/// Starts a server for one program, whose requests the receiver gets.
pub(super) fn start() -> (SocketAddr, Receiver<Call>) {
    let (sender, calls) = mpsc::channel();
    let address = http::start(|| {}, move |request| serve(&request, &sender));
    (address, calls)
}

/// The HTTP response to a request for the next event.
pub(super) fn event(headers: &str, event: &str) -> Vec<u8> {
    http::response(200, headers, event.as_bytes())
}

fn error(request: &Request) -> FunctionError {
    let body = json(request);
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    FunctionError {
        error_type: text("errorType"),
        message: text("errorMessage"),
        header: request.header("lambda-runtime-function-error-type").map(str::to_owned),
    }
}

fn json(request: &Request) -> Value {
    // A body that is not JSON is kept as text, for the test's message.
    serde_json::from_slice(&request.body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&request.body)))
}

/// The response to one request; `None` if the test has ended.
fn serve(request: &Request, calls: &Sender<Call>) -> Option<Vec<u8>> {
    let place: Vec<&str> = request
        .path
        .trim_start_matches("/2018-06-01/runtime/")
        .split('/')
        .collect();
    let call = match (request.method.as_str(), place.as_slice()) {
        ("GET", ["invocation", "next"]) => {
            let (sender, event) = mpsc::channel();
            calls.send(Call::Next(sender)).ok()?;
            return event.recv().ok();
        }
        ("POST", ["invocation", id, "response"]) => Call::Response(((*id).to_owned(), Ok(json(request)))),
        ("POST", ["invocation", id, "error"]) => Call::Response(((*id).to_owned(), Err(error(request)))),
        ("POST", ["init", "error"]) => Call::InitError(error(request)),
        _ => return Some(http::response(404, "", b"")),
    };
    calls.send(call).ok()?;
    Some(http::response(202, "", br#"{"status":"OK"}"#))
}
