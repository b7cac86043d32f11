//! Kept connections that may have died while the process was frozen.
//!
//! The SDK's own HTTP client keeps any number of idle connections and learns
//! only by using one that it is dead. After a freeze all of them can be: each
//! attempt of a call would take another dead one. Here they are given up
//! together, as soon as one turns out to be dead.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::connection::CaptureSmithyConnection;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use super::Patience;
use crate::clock::{Clock as _, SystemClock};

/// A kept connection that has been silent for this long may be dead. One that
/// is in use within a run is not silent for a second.
const SUSPECT_AFTER_MS: u64 = 1_000;

/// How long an attempt waits on a suspect connection. As patient as with a
/// broker's; AWS's services take milliseconds, and an attempt that is given up
/// too early costs a reconnect.
const SUSPECT_PATIENCE: Duration = Duration::from_millis(500);

/// So many connections are remembered at most: far more than are kept at once.
const MOST_REMEMBERED: usize = 1_024;

/// An HTTP client of the SDK's.
///
/// | an attempt on | waits for | and without a response |
/// |---|---|---|
/// | a new connection | the client's own time-outs | fails |
/// | a kept one, used within a second | the same | fails; all kept connections are given up |
/// | a kept one, silent for longer | half a second | the same |
///
/// The next attempt then connects anew. It is the SDK's, which knows that the
/// one before may have been applied. Requests that are in flight on other
/// connections go on.
///
/// The time is that of the wall clock: the monotonic one may stand still while
/// the process is frozen.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    pool: Arc<Mutex<Arc<Pool>>>,
}

impl Connections {
    /// With a connector for these time-outs made already: it reads the
    /// certificates that the machine trusts, which takes milliseconds.
    pub(super) fn new(patience: Patience) -> Self {
        let pool = Pool::default();
        pool.connector((Some(patience.connect), Some(patience.answer)));
        Self {
            pool: Arc::new(Mutex::new(Arc::new(pool))),
        }
    }

    /// Gives up the connections of `pool`, unless that was done already.
    fn renew(&self, pool: &Arc<Pool>) {
        let mut current = lock(&self.pool);
        if Arc::ptr_eq(&current, pool) {
            tracing::debug!("a kept connection is dead: connecting anew");
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

/// For the connection, and for the response.
type Timeouts = (Option<Duration>, Option<Duration>);

/// Connections that are given up together.
#[derive(Debug, Default)]
struct Pool {
    connectors: Mutex<HashMap<Timeouts, SharedHttpConnector>>,
    /// When a response last came on a connection, in milliseconds since the
    /// epoch, by its own address.
    heard: Mutex<HashMap<SocketAddr, i64>>,
}

impl Pool {
    fn connector(&self, timeouts: Timeouts) -> SharedHttpConnector {
        let mut connectors = lock(&self.connectors);
        connectors
            .entry(timeouts)
            .or_insert_with(|| connector(timeouts))
            .clone()
    }

    fn heard_ms(&self, address: SocketAddr) -> Option<i64> {
        lock(&self.heard).get(&address).copied()
    }

    fn hear(&self, address: SocketAddr) {
        let mut heard = lock(&self.heard);
        if heard.len() >= MOST_REMEMBERED {
            heard.clear();
        }
        heard.insert(address, SystemClock.wall_ms());
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

/// Serves one attempt of a call.
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
            () = self.suspect(began_ms, &address) => Err(ConnectorError::timeout(
                format!("no response within {SUSPECT_PATIENCE:?} on a connection that had been idle").into(),
            )),
        };
        match (address(), &response) {
            (Some(address), Ok(_)) => self.pool.hear(address),
            (Some(address), Err(_)) if self.pool.heard_ms(address).is_some() => self.connections.renew(&self.pool),
            _ => {}
        }
        response
    }

    /// Returns when the attempt has waited long enough for its connection;
    /// never for one that is not suspect.
    async fn suspect(&self, began_ms: i64, address: impl Fn() -> Option<SocketAddr>) {
        tokio::time::sleep(SUSPECT_PATIENCE).await;
        let heard_ms = address().and_then(|address| self.pool.heard_ms(address));
        if heard_ms.is_none_or(|heard_ms| began_ms.abs_diff(heard_ms) < SUSPECT_AFTER_MS) {
            std::future::pending::<()>().await;
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
