//! The Lambda runtime: clients are built once per execution environment, and each
//! invocation calls [`invoke`](crate::invoke::invoke).

use std::io::Write as _;
use std::sync::Arc;

use http::Request as HttpRequest;
use lambda_runtime::layers::TracingLayer;
use lambda_runtime::tower::util::MapRequestLayer;
use lambda_runtime::{Diagnostic, LambdaEvent, LambdaInvocation, Runtime, service_fn};
use lambda_runtime_api_client::Client as RuntimeApi;
use serde::Serialize;
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::clock::{Deadline, SystemClock};
use crate::config::Config;
use crate::error::{Error, ErrorType};
use crate::event::{InvalidEvent, Request};
use crate::invoke::{self, Interrupt, Response};
use crate::kafka_event;
use crate::kafka_event::response::BatchResponse;
use crate::live::{self, LiveParts};
use crate::processor::Processor;
use crate::push;
use crate::record::Chunk;

/// Serves invocations with the processor that `processor` builds from the settings.
/// Returns only if the function cannot start or Lambda's runtime API fails.
///
/// Settings are read from the environment, once. Logs are JSON lines on stdout
/// with the request's id; `AWS_LAMBDA_LOG_LEVEL` or `RUST_LOG` set the level.
/// A `tracing` subscriber that is set before stays.
///
/// What the handler needs, such as a client, is built before and shared by the
/// calls:
///
/// ```no_run
/// use std::sync::Arc;
///
/// use kafka_consumer_lambda::{Failure, Record, each, lambda, lambda_runtime};
///
/// #[tokio::main]
/// async fn main() -> Result<(), lambda_runtime::Error> {
///     let database = Arc::new(Database::connect().await?);
///     lambda::run(|_config| {
///         each(move |record: Record| {
///             let database = Arc::clone(&database);
///             async move { database.insert(&record).await }
///         })
///     })
///     .await
/// }
/// # struct Database;
/// # impl Database {
/// #     async fn connect() -> Result<Self, std::io::Error> { Ok(Self) }
/// #     async fn insert(&self, _: &Record) -> Result<(), Failure> { Ok(()) }
/// # }
/// ```
///
/// # Errors
/// When the settings are invalid, or a client cannot be built. The error is also
/// posted to Lambda as the initialization error, with its type and every invalid
/// setting.
pub async fn run<P, F>(processor: F) -> Result<(), lambda_runtime::Error>
where
    P: Processor + 'static,
    F: FnOnce(&Config) -> P,
{
    log_as_json();
    let parts = match parts(processor).await {
        Ok(parts) => parts,
        Err(error) => {
            tracing::error!(error_type = %error.kind, error = error.message(), "the function cannot start");
            report_init_error(&error).await;
            return Err(error.into());
        }
    };
    let parts = Arc::new(parts);
    let handler = service_fn(move |event: LambdaEvent<Payload>| {
        let parts = parts.clone();
        async move { handle(&parts, event).await }
    });
    Runtime::new(handler)
        .layer(TracingLayer::new())
        .layer(MapRequestLayer::new(quote))
        .run()
        .await
}

/// The event's text; `None` if it is not UTF-8.
type Payload = Option<String>;

/// Wraps the event in a JSON string, so that [`Request`] parses it and not `lambda_runtime`, which
/// would fail with the name of a Rust type, and ignore what follows the JSON.
fn quote(mut invocation: LambdaInvocation) -> LambdaInvocation {
    let payload: Payload = std::str::from_utf8(&invocation.body).ok().map(str::to_owned);
    // Serializing a string cannot fail.
    invocation.body = serde_json::to_vec(&payload).unwrap_or_default().into();
    invocation
}

async fn parts<P: Processor>(processor: impl FnOnce(&Config) -> P) -> Result<LiveParts<P>, Error> {
    live::parts_for_a_run(live::settings([])?, processor).await
}

/// What the function returns, as JSON without a tag.
#[derive(Serialize)]
#[serde(untagged)]
enum Returned {
    /// To a request of our own.
    Invoked(Response),
    /// To an event of AWS's mapping.
    Pushed(BatchResponse),
}

/// An event of AWS's mapping is pushed to the processor; any other is a request.
async fn handle<P: Processor>(parts: &LiveParts<P>, event: LambdaEvent<Payload>) -> Result<Returned, Diagnostic> {
    let (event, context) = event.into_parts();
    let deadline_ms = i64::try_from(context.deadline).unwrap_or(i64::MAX);
    let deadline = Deadline::at_wall_ms(deadline_ms, &SystemClock);
    let invalid = |invalid: String| logged(Error::new(ErrorType::InvalidEvent, invalid));
    let event = event.ok_or_else(|| invalid(InvalidEvent::NotUtf8.to_string()))?;
    if let Some(chunks) = kafka_event::read::read(&event).map_err(|error| invalid(error.to_string()))? {
        return pushed(parts, chunks, deadline).await.map(Returned::Pushed);
    }
    let request = Request::from_json(event.as_bytes()).map_err(|error| invalid(error.to_string()))?;
    invoked(parts, &request, deadline).await.map(Returned::Invoked)
}

async fn pushed<P: Processor>(
    parts: &LiveParts<P>,
    chunks: Vec<Chunk>,
    deadline: Deadline,
) -> Result<BatchResponse, Diagnostic> {
    let pushed = push::push(parts, chunks, deadline).await;
    for line in &pushed.invoked.metrics {
        print_metrics(line);
    }
    match pushed.returned(parts.config.report_batch_item_failures) {
        Ok(response) => Ok(response.clone()),
        Err(error) => Err(error.clone().into()),
    }
}

async fn invoked<P: Processor>(
    parts: &LiveParts<P>,
    request: &Request,
    deadline: Deadline,
) -> Result<Response, Diagnostic> {
    live::check_topics(&parts.config, &parts.processor).map_err(logged)?;
    // Lambda sends no interrupt: the sender is dropped at once.
    let (_, interrupt) = watch::channel(Interrupt::No);
    let invoked = invoke::invoke(parts, request, deadline, interrupt)
        .await
        .map_err(logged)?;
    for line in &invoked.metrics {
        print_metrics(line);
    }
    match invoked.error() {
        Some(error) => Err(error.clone().into()),
        None => Ok(invoked.response),
    }
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Self {
            error_type: error.kind.to_string(),
            error_message: error.message(),
        }
    }
}

fn logged(error: Error) -> Error {
    tracing::error!(error_type = %error.kind, error = error.message(), "invocation failed");
    error
}

/// Embedded metrics are lines of their own on stdout, without the fields of a log line.
fn print_metrics(line: &str) {
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        tracing::warn!(%error, "metrics could not be written");
    }
}

fn log_as_json() {
    // A subscriber that the program has set before stays.
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_env_filter(log_filter())
        .try_init();
}

/// Levels of `lambda_runtime`'s own events, whatever the level of the others.
const OF_THE_RUNTIME: [&str; 2] = [
    // The error of an invocation is logged here, with its fields. The runtime would log it again,
    // as the text of a struct, and metric filters would count it twice.
    "lambda_runtime::layers::panic=off",
    // The span with the request id, which warnings and errors need too.
    "lambda_runtime::layers::trace=info",
];

/// The filter of log events, by the same variables as `lambda_runtime`'s: an invalid level means
/// `info`.
fn log_filter() -> EnvFilter {
    #[expect(clippy::disallowed_methods, reason = "logging starts before the settings are read")]
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let directives = variable("RUST_LOG");
    let level = variable("AWS_LAMBDA_LOG_LEVEL").or_else(|| directives.clone());
    let level = level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let filter = EnvFilter::builder()
        .with_default_directive(level.into())
        .parse_lossy(directives.unwrap_or_default());
    OF_THE_RUNTIME
        .iter()
        .filter_map(|directive| directive.parse().ok())
        .fold(filter, EnvFilter::add_directive)
}

/// Posts the initialization error to Lambda, so that the invocation fails with
/// its type and message instead of `Runtime.ExitError`.
async fn report_init_error(error: &Error) {
    if let Err(problem) = post_init_error(error).await {
        tracing::warn!(%problem, "the initialization error could not be posted to the Lambda runtime API");
    }
}

async fn post_init_error(error: &Error) -> Result<(), lambda_runtime::Error> {
    let diagnostic: Diagnostic = error.clone().into();
    let request = HttpRequest::post("/2018-06-01/runtime/init/error")
        .header("Content-Type", "application/json")
        .header("Lambda-Runtime-Function-Error-Type", diagnostic.error_type.as_str())
        .body(serde_json::to_vec(&diagnostic)?.into())?;
    RuntimeApi::builder().build()?.call(request).await?;
    Ok(())
}
