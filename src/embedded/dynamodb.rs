//! A `DynamoDB` on an in-memory database.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::error::{Error, ErrorType};
use crate::store::dynamodb::CallLimits;

/// Any name is valid; it appears in messages that name a region.
const REGION: &str = "us-east-1";

/// A `DynamoDB` on 127.0.0.1, started inside a Tokio runtime. It starts empty,
/// and accepts any credentials.
pub struct EmbeddedDynamoDb {
    endpoint: String,
    /// The server stops when this is dropped.
    _stop: oneshot::Sender<()>,
}

impl EmbeddedDynamoDb {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> Result<Self, Error> {
        let failed = |error: &dyn std::fmt::Display| {
            Error::new(
                ErrorType::TableUnreachable,
                format!("the embedded DynamoDB cannot be started: {error}"),
            )
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| failed(&error))?;
        let address = listener.local_addr().map_err(|error| failed(&error))?;
        let database = dynoxide::Database::memory().map_err(|error| failed(&error))?;
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let stopped = async move { _ = stopped.await };
            if let Err(error) = dynoxide::server::serve_with_shutdown(listener, database, stopped).await {
                tracing::error!(error, "the embedded DynamoDB stopped");
            }
        });
        Ok(Self {
            endpoint: format!("http://{address}"),
            _stop: stop,
        })
    }

    /// The URL of its endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A client for it that does not read the environment, not even for a
    /// proxy: no proxy could reach this address.
    #[must_use]
    pub fn client(&self) -> Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(&self.endpoint)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .credentials_provider(Credentials::new("embedded", "embedded", None, None, "embedded"));
        Client::from_conf(CallLimits::default().apply(config).build())
    }
}
