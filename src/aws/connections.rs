//! Kept-alive connections that may be dead after the process was frozen.
//!
//! The SDK's own HTTP client keeps any number of idle connections, and detects
//! a dead one only by using it. After a freeze all of them may be dead: each
//! attempt of a call would use another dead one. Here all are dropped together
//! as soon as one is found dead.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::pool::{self, ConnectionPool, DriverSpawner, Partition, PartitionId};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::connection::CaptureSmithyConnection;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::shared::IntoShared as _;

use super::CallLimits;
use crate::clock::{Clock as _, SystemClock};

/// A kept-alive connection that was idle for this long may be dead. Within a
/// run no connection in use is idle for a second.
const SUSPECT_AFTER_MS: u64 = 1_000;

/// The response time-out on a connection that may be dead. AWS's services take
/// milliseconds, and a time-out that is too short costs one reconnect.
const SUSPECT_TIMEOUT: Duration = Duration::from_millis(500);

/// The most connections whose last response is remembered: far more than are kept alive at once.
const MAX_REMEMBERED: usize = 1_024;

/// An HTTP client for the SDK.
///
/// | an attempt on | time-out | without a response |
/// |---|---|---|
/// | a new connection | the client's own | the attempt fails |
/// | a kept-alive one, used within a second | the same | the attempt fails; all kept-alive connections are dropped |
/// | a kept-alive one, idle for longer | half a second | the same |
///
/// The SDK's next attempt then uses a new connection; an
/// [`AttemptObserver`](super::call::AttemptObserver) records that the one before
/// may have been applied. Requests in flight on other connections continue.
///
/// Idle times are measured with the wall clock: the monotonic one may stop
/// while the process is frozen.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    pool: Arc<Mutex<Arc<Pool>>>,
}

impl Connections {
    /// Creates the connector for these time-outs at once: it reads the system's
    /// CAs, which takes milliseconds.
    pub(super) fn new(limits: CallLimits) -> Self {
        let pool = Pool::default();
        pool.connector((Some(limits.connect), Some(limits.response)));
        Self {
            pool: Arc::new(Mutex::new(Arc::new(pool))),
        }
    }

    /// Drops the connections of `pool`, unless that was done already.
    fn renew(&self, pool: &Arc<Pool>) {
        let mut current = lock(&self.pool);
        if Arc::ptr_eq(&current, pool) {
            tracing::debug!("a kept-alive connection is dead: reconnecting");
            *current = Arc::default();
        }
    }
}

impl HttpClient for Connections {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let pool = lock(&self.pool).clone();
        SharedHttpConnector::new(Attempt {
            connector: pool.connector((settings.connect_timeout(), settings.read_timeout())),
            pool,
            connections: self.clone(),
        })
    }
}

/// For connecting, and for the response.
type Timeouts = (Option<Duration>, Option<Duration>);

/// Connections that are dropped together.
#[derive(Debug, Default)]
struct Pool {
    connectors: Mutex<HashMap<Timeouts, SharedHttpConnector>>,
    /// The time of the last response on a connection, in milliseconds since the
    /// epoch, by its local address.
    last_response_ms: Mutex<HashMap<SocketAddr, i64>>,
}

impl Pool {
    fn connector(&self, timeouts: Timeouts) -> SharedHttpConnector {
        let mut connectors = lock(&self.connectors);
        connectors
            .entry(timeouts)
            .or_insert_with(|| connector(timeouts))
            .clone()
    }

    fn last_response_ms(&self, address: SocketAddr) -> Option<i64> {
        lock(&self.last_response_ms).get(&address).copied()
    }

    fn record_response(&self, address: SocketAddr) {
        let mut last_response_ms = lock(&self.last_response_ms);
        if last_response_ms.len() >= MAX_REMEMBERED {
            last_response_ms.clear();
        }
        last_response_ms.insert(address, SystemClock.wall_ms());
    }
}

/// As the SDK's default, proxies of the environment included.
fn connector((connect, read): Timeouts) -> SharedHttpConnector {
    let mut settings = HttpConnectorSettings::builder();
    settings.set_connect_timeout(connect).set_read_timeout(read);
    let connector = Connector::builder()
        .connector_settings(settings.build())
        .proxy_config(ProxyConfig::from_env())
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    SharedHttpConnector::new(connector.build())
}

/// Sends one attempt of a call.
#[derive(Debug, Clone)]
struct Attempt {
    connector: SharedHttpConnector,
    pool: Arc<Pool>,
    connections: Connections,
}

impl HttpConnector for Attempt {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let used = request.extension::<CaptureSmithyConnection>().cloned();
        let used = used.unwrap_or_else(|| {
            let used = CaptureSmithyConnection::new();
            request.add_extension(used.clone());
            used
        });
        let response = self.connector.call(request);
        HttpConnectorFuture::new(self.clone().respond(response, used))
    }
}

impl Attempt {
    async fn respond(
        self,
        response: HttpConnectorFuture,
        used: CaptureSmithyConnection,
    ) -> Result<HttpResponse, ConnectorError> {
        let began_ms = SystemClock.wall_ms();
        let address = || used.get()?.local_addr();
        let response = tokio::select! {
            biased;
            response = response => response,
            () = self.suspect_timeout(began_ms, &address) => Err(ConnectorError::timeout(
                format!("no response within {SUSPECT_TIMEOUT:?} on a connection that had been idle").into(),
            )),
        };
        match (address(), &response) {
            (Some(address), Ok(_)) => self.pool.record_response(address),
            (Some(address), Err(_)) if self.pool.last_response_ms(address).is_some() => {
                self.connections.renew(&self.pool);
            }
            _ => {}
        }
        response
    }

    /// Returns after [`SUSPECT_TIMEOUT`] on a connection that was idle before
    /// the attempt; never on another one.
    async fn suspect_timeout(&self, began_ms: i64, address: impl Fn() -> Option<SocketAddr>) {
        tokio::time::sleep(SUSPECT_TIMEOUT).await;
        let last_response_ms = address().and_then(|address| self.pool.last_response_ms(address));
        if last_response_ms.is_none_or(|last_ms| began_ms.abs_diff(last_ms) < SUSPECT_AFTER_MS) {
            std::future::pending::<()>().await;
        }
    }
}

/// An HTTP client for calls whose response takes as long as the work that they start.
///
/// Nothing is sent on their connections meanwhile: TCP's own keep-alive shows each end,
/// and what lies between them, that they are in use. A NAT gateway drops a connection
/// after 350 seconds without a packet.
///
/// # Errors
///
/// The TLS library's, as text.
pub(crate) fn long_calls() -> Result<SharedHttpClient, String> {
    const KEEP_ALIVE: Duration = Duration::from_mins(1);
    const ONLY: PartitionId = PartitionId::from_index(0);
    let on_this_runtime = DriverSpawner::from_fn(|connection| drop(tokio::spawn(connection)));
    let pool = ConnectionPool::builder()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .proxy_config(ProxyConfig::from_env())
        .tcp_keepalive(KEEP_ALIVE)
        .partitions([Partition::new(ONLY, on_this_runtime)])
        .build_https()
        .map_err(|error| error.to_string())?;
    let client = pool::Client::from_partition(&pool, ONLY).map_err(|error| error.to_string())?;
    Ok(client.into_shared())
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
