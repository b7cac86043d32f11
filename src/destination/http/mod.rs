//! An HTTP endpoint: of records as events of [CloudEvents 1.0](https://cloudevents.io).
//!
//! **Calls.** `POST`. Where `BATCH_SIZE` is unset or 1 a request is one event in binary mode: attributes
//! are headers, the value is the body. Above 1 the body is a JSON array of events, also of one.
//!
//! **Order.** One request at a time for each partition, in the order of offsets.
//!
//! **Repetition.** The id of an event is `<topic>/<partition>/<offset>`, the same each time.
//!
//! **Responses.** Only the status, `Location` and `Retry-After` matter; the body is not read for
//! content. A status that passes is returned as throttled: the run waits and sends again.
//! `Retry-After` holds for all partitions: until then each call returns as throttled, without a request.
//!
//! **Credentials.** Headers from the secret of `HTTP_HEADERS_SECRET_ARN`. After a 401 or 403 it is read
//! again; if it has changed, the request is made once more.
//!
//! | file | |
//! |---|---|
//! | `event.rs` | a record -> its event; pure |
//! | `message.rs` | an event -> headers and body; pure |
//! | `outcome.rs` | what a status means; pure |
//! | `retry_after.rs` | when the next request may be made; pure |
//! | `client.rs` | the HTTP client: connections, redirects, time-outs |
//! | `unsent.rs` | why there is no response |
//! | `probe.rs` | a connection without a request, for `doctor` |

mod client;
mod event;
mod message;
mod outcome;
#[cfg(feature = "cli")]
mod probe;
mod retry_after;
mod unsent;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::batched::{CallFailure, EntryOutcome, Limits, Sender};
use crate::aws::CallLimits;
use crate::clock::{Clock as _, SystemClock};
use crate::config::EndpointUrl;
use crate::security::SecretHeaders;
use client::{EndpointClient, Response};
pub(crate) use message::{EventMessages, Message};
use outcome::{Head, of_response};
#[cfg(feature = "cli")]
pub(crate) use probe::connect;

/// The size of a batch, in bytes: many servers and proxies refuse more, if they are not configured to
/// take it. A larger event is sent alone.
const MAX_BATCH_BYTES: usize = 1024 * 1024;

/// An endpoint. The client is created for the first request.
pub(crate) struct EndpointSender {
    client: EndpointClient,
    secret: Option<Arc<SecretHeaders>>,
    limits: Limits,
    pause: Mutex<Pause>,
}

/// No request is made before the time of the last `Retry-After`.
#[derive(Debug, Default)]
struct Pause {
    /// Milliseconds since the epoch.
    until_ms: i64,
    /// The response with it, for messages.
    text: String,
}

impl EndpointSender {
    /// The endpoint `url`, which gets the headers of `secret`. Nothing is connected, and the secret is
    /// not read, before the first request.
    pub(crate) fn new(url: EndpointUrl, secret: Option<Arc<SecretHeaders>>, batch_size: Option<NonZeroUsize>) -> Self {
        Self {
            client: EndpointClient::new(url),
            secret,
            limits: Limits {
                entries: batch_size.map_or(1, NonZeroUsize::get),
                call_bytes: MAX_BATCH_BYTES,
                // The endpoint decides, by a 413.
                entry_bytes: usize::MAX,
            },
            pause: Mutex::default(),
        }
    }

    /// An error before the time of `Retry-After`. The caller waits: it has the deadline.
    fn check_pause(&self) -> Result<(), CallFailure> {
        let pause = self.lock();
        let rest_ms = pause.until_ms - SystemClock.wall_ms();
        if rest_ms > 0 {
            return Err(CallFailure::Throttled(with_rest(&pause.text, rest_ms)));
        }
        Ok(())
    }

    /// The response to a request with the headers of the secret.
    async fn respond(&self, own: &HeaderMap, body: &Bytes) -> Result<Response, CallFailure> {
        let Some(secret) = &self.secret else {
            return self.client.post(own, body).await;
        };
        let limit = CallLimits::default().call;
        let unreadable = |error: crate::error::Error| CallFailure::Fatal(error.message());
        let credentials = secret.current(limit).await.map_err(unreadable)?;
        let response = self.client.post(&with(&credentials, own), body).await?;
        if !matches!(response.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Ok(response);
        }
        match secret.renewed(&credentials, limit).await.map_err(unreadable)? {
            Some(renewed) => self.client.post(&with(&renewed, own), body).await,
            None => Ok(response),
        }
    }
}

/// The headers of a request: those of the secret, and its own.
fn with(credentials: &HeaderMap, own: &HeaderMap) -> HeaderMap {
    let mut all = credentials.clone();
    all.extend(own.clone());
    all
}

impl Sender for EndpointSender {
    type Entry = Message;

    fn limits(&self) -> Limits {
        self.limits
    }

    fn bytes(&self, entry: &Message) -> usize {
        entry.bytes()
    }

    async fn send(&self, entries: &[Message]) -> Result<Vec<EntryOutcome>, CallFailure> {
        self.check_pause()?;
        let (headers, body) = message::request(entries);
        let response = self.respond(&headers, &body).await?;
        let outcome = of_response(Head {
            status: response.status,
            location: response.location.as_deref(),
            secret: self.secret.as_ref().map(|secret| secret.arn().as_str()),
        });
        match outcome {
            Ok(()) => Ok(vec![EntryOutcome::Accepted; entries.len()]),
            Err(CallFailure::Throttled(text)) => Err(CallFailure::Throttled(self.throttled(&response, text))),
            Err(failure) => Err(failure),
        }
    }
}

impl EndpointSender {
    /// Notes when the next request may be made.
    fn throttled(&self, response: &Response, text: String) -> String {
        let now_ms = SystemClock.wall_ms();
        let rest_ms = response
            .retry_after
            .as_deref()
            .and_then(|value| retry_after::wait_ms(value, now_ms));
        let Some(rest_ms) = rest_ms else { return text };
        let shown = with_rest(&text, rest_ms);
        let mut pause = self.lock();
        if now_ms + rest_ms > pause.until_ms {
            pause.until_ms = now_ms + rest_ms;
            pause.text = text;
        }
        shown
    }

    fn lock(&self) -> MutexGuard<'_, Pause> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn with_rest(text: &str, rest_ms: i64) -> String {
    let seconds = rest_ms.unsigned_abs().div_ceil(1_000);
    format!("{text}. Retry-After: no request is made for {seconds} s")
}
