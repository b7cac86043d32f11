//! A connection to an endpoint, with the client of a run, without a request.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower_layer::layer_fn;
use tower_service::Service;

use super::client::{CONNECT_TIMEOUT, builder};
use super::unsent;
use crate::config::EndpointUrl;
use crate::destination::batched::CallFailure;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Connects: name, TCP, TLS and the proxy, if there is one. Then the connection is closed.
///
/// # Errors
/// Why there is no connection.
pub(crate) async fn connect(url: &EndpointUrl) -> Result<(), CallFailure> {
    let client = builder(url).connector_layer(layer_fn(ConnectOnly)).build();
    let client = client.map_err(|error| unsent::no_client(&error))?;
    match client.post(url.url().clone()).send().await {
        Ok(_) => Ok(()),
        Err(error) if is_connected(&error) => Ok(()),
        Err(error) => Err(unsent::failure(error, &url.address(), CONNECT_TIMEOUT)),
    }
}

fn is_connected(error: &(dyn StdError + 'static)) -> bool {
    error.is::<Connected>() || error.source().is_some_and(is_connected)
}

/// The error after which no request is sent.
#[derive(Debug)]
struct Connected;

impl fmt::Display for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connected, as intended, without a request")
    }
}

impl StdError for Connected {}

/// A connector that connects, and then fails with [`Connected`].
#[derive(Debug, Clone)]
struct ConnectOnly<S>(S);

impl<S, R> Service<R> for ConnectOnly<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connecting = self.0.call(request);
        Box::pin(async move {
            drop(connecting.await?);
            Err(BoxError::from(Connected))
        })
    }
}
