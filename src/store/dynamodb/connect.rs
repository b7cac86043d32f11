//! A client that gives up in time.

use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::identity::IdentityCache;
use aws_config::imds;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;

use crate::error::{Error, ErrorType};

/// How long a client waits, and how often it tries, before a call fails.
///
/// The SDK's own defaults wait without end for an answer. These make a table
/// that cannot be reached an error within 10 seconds, because a run has a
/// deadline to keep and somebody may be watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For the name, the connection and TLS. Within a region this takes
    /// milliseconds; packets dropped by a security group take for ever.
    pub connect: Duration,
    /// From the request sent to the answer's first byte. `DynamoDB` takes
    /// milliseconds; the longest stalls that pass by themselves last a second.
    pub answer: Duration,
    /// For finding credentials, which may ask another service or run a program.
    pub credentials: Duration,
    /// For one call with all its attempts and the pauses between them.
    pub call: Duration,
    /// How often a call is tried. The third attempt is for a connection that
    /// went stale while the process was frozen, and one more misfortune.
    pub attempts: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            answer: Duration::from_secs(2),
            credentials: Duration::from_secs(5),
            call: Duration::from_secs(8),
            attempts: 3,
        }
    }
}

impl Patience {
    /// Sets time-outs and retries. For a client that is configured otherwise
    /// than [`client`] does.
    pub fn apply(self, config: Builder) -> Builder {
        // No time-out per attempt: it would count the search for credentials
        // as well, and hide what went wrong there.
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .read_timeout(self.answer)
            .operation_timeout(self.call)
            .build();
        config
            .timeout_config(timeouts)
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(self.attempts)
                    .with_initial_backoff(FIRST_PAUSE),
            )
            .identity_cache(IdentityCache::lazy().load_timeout(self.credentials).build())
    }
}

/// Asking EC2 for a region or credentials: it answers in milliseconds, or this
/// is no EC2 instance. The SDK would try for 4 seconds and more.
const METADATA_PATIENCE: Duration = Duration::from_secs(1);

/// The first pause between attempts; doubled after each, with a random part.
/// Far below the patience, so that all attempts fit in.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A client configured as AWS's own tools are: by the environment, the shared
/// configuration files, or the role of the machine. The endpoint is the SDK's
/// own `AWS_ENDPOINT_URL_DYNAMODB` or `AWS_ENDPOINT_URL`.
///
/// Credentials are looked for by the first call, not here.
///
/// # Errors
/// `InvalidConfiguration` when no region is set anywhere; after one second at
/// most.
pub async fn client(patience: Patience) -> Result<Client, Error> {
    let metadata = imds::Client::builder()
        .max_attempts(2)
        .connect_timeout(METADATA_PATIENCE / 2)
        .read_timeout(METADATA_PATIENCE / 2)
        .operation_timeout(METADATA_PATIENCE)
        .build();
    let region = region(metadata.clone()).await?;
    let credentials = DefaultCredentialsChain::builder()
        .region(region.clone())
        .imds_client(metadata)
        .build()
        .await;
    let shared = aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .credentials_provider(credentials)
        .load()
        .await;
    Ok(Client::from_conf(patience.apply(Builder::from(&shared)).build()))
}

async fn region(metadata: imds::Client) -> Result<Region, Error> {
    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
        .or_else(ImdsRegionProvider::builder().imds_client(metadata).build())
        .region()
        .await
        .ok_or_else(|| {
            Error::new(
                ErrorType::InvalidConfiguration,
                "no AWS region is set. Set AWS_REGION, or region in the profile of ~/.aws/config; any name, such as \
                 us-east-1, does for a local DynamoDB",
            )
        })
}
