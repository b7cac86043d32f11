//! The HTTP client of one endpoint: connections, redirects and time-outs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, StatusCode};
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Client, ClientBuilder, Url};
use tokio::time::timeout;

use super::unsent;
use crate::clock::{Clock as _, SystemClock};
use crate::config::EndpointUrl;
use crate::destination::batched::CallFailure;

/// For DNS, TCP and TLS together: an endpoint may be on another continent.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// For a request from its first byte to the head of its response: API Gateway and many load balancers
/// wait no longer for the service behind them. The end of the run ends it earlier.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection that was idle for longer is not used again: it may be dead, because the process was
/// frozen, or because the server has closed it. Many servers close after 5 seconds.
const IDLE_LIMIT: Duration = Duration::from_secs(4);

/// The body of a response is read only so that its connection can be used again: up to this size and
/// this time.
const MAX_READ_BYTES: usize = 64 * 1024;
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// Redirects that are followed for one request.
const MAX_REDIRECTS: usize = 3;

/// Makes requests to one endpoint. One client is kept for the process.
pub(super) struct EndpointClient {
    url: EndpointUrl,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    client: Option<Client>,
    /// Counts the clients.
    generation: u64,
    /// When the last response arrived, by the wall clock: the monotonic one may stop while the
    /// process is frozen. `None`: no connection of this client has been used.
    last_response_ms: Option<i64>,
}

/// What is read of a response.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) location: Option<String>,
    pub(super) retry_after: Option<String>,
}

impl EndpointClient {
    pub(super) fn new(url: EndpointUrl) -> Self {
        Self {
            url,
            kept: Mutex::default(),
        }
    }

    /// Makes one request. On a kept connection that turns out to be dead it is made once more, on
    /// another one.
    ///
    /// # Errors
    /// If there is no response.
    pub(super) async fn post(&self, headers: &HeaderMap, body: &Bytes) -> Result<Response, CallFailure> {
        let mut may_be_dead = true;
        loop {
            let (client, generation, is_used) = self.client()?;
            let request = client.post(self.url.url().clone());
            let request = request.headers(headers.clone()).body(body.clone());
            let error = match timeout(CALL_TIMEOUT, request.send()).await {
                Ok(Ok(response)) => {
                    self.lock().last_response_ms = Some(SystemClock.wall_ms());
                    return Ok(read(response).await);
                }
                Ok(Err(error)) => error,
                Err(_) => {
                    self.forget(generation);
                    return Err(unsent::no_response(&self.url.address(), CALL_TIMEOUT));
                }
            };
            self.forget(generation);
            if may_be_dead && is_used && !error.is_connect() && !error.is_timeout() {
                may_be_dead = false;
                continue;
            }
            return Err(unsent::failure(error, &self.url.address(), CONNECT_TIMEOUT));
        }
    }

    /// The client, the number of it, and whether its connections have been used before.
    fn client(&self) -> Result<(Client, u64, bool), CallFailure> {
        let mut kept = self.lock();
        let is_idle = |last_ms: i64| u128::from(SystemClock.wall_ms().abs_diff(last_ms)) > IDLE_LIMIT.as_millis();
        if kept.last_response_ms.is_some_and(is_idle) {
            kept.client = None;
        }
        let client = if let Some(client) = &kept.client {
            client.clone()
        } else {
            let client = builder(&self.url).build();
            let client = client.map_err(|error| unsent::no_client(&error))?;
            kept.generation += 1;
            kept.last_response_ms = None;
            kept.client.insert(client).clone()
        };
        Ok((client, kept.generation, kept.last_response_ms.is_some()))
    }

    /// Drops the kept connections, unless that was done already. Requests in flight continue.
    fn forget(&self, generation: u64) {
        let mut kept = self.lock();
        if kept.generation == generation {
            kept.client = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The client of an endpoint. Certificates are verified with the system's CAs, or those of
/// `SSL_CERT_FILE`, as by the AWS clients.
pub(super) fn builder(url: &EndpointUrl) -> ClientBuilder {
    let builder = Client::builder()
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_LIMIT)
        .redirect(Policy::custom(follow))
        // It would show the query.
        .referer(false);
    if url.is_encrypted() {
        builder.https_only(true)
    } else {
        // Credentials would leave the machine unencrypted.
        builder.no_proxy()
    }
}

/// Follows a redirect that keeps the method, to the same scheme, host and port.
fn follow(attempt: Attempt<'_>) -> Action {
    let keeps_method = matches!(
        attempt.status(),
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
    );
    let is_same_origin = attempt
        .previous()
        .last()
        .is_some_and(|from| origin(from) == origin(attempt.url()));
    if keeps_method && is_same_origin && attempt.previous().len() <= MAX_REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

fn origin(url: &Url) -> (&str, Option<&str>, Option<u16>) {
    (url.scheme(), url.host_str(), url.port_or_known_default())
}

/// The head of a response. An error in the body changes nothing: the status has arrived.
async fn read(mut response: reqwest::Response) -> Response {
    let text = |name: HeaderName| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    let head = Response {
        status: response.status(),
        location: text(LOCATION),
        retry_after: text(RETRY_AFTER),
    };
    let rest = async {
        let mut bytes = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            bytes += chunk.len();
            if bytes > MAX_READ_BYTES {
                return;
            }
        }
    };
    let _ = timeout(READ_TIMEOUT, rest).await;
    head
}
