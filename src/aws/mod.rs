//! What the clients of AWS services share: where settings and credentials come
//! from, how long they wait, and words for what goes wrong.

pub(crate) mod call;
mod connections;
pub(crate) mod profile;

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
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sdk_dynamodb::config::SharedIdentityCache;

use self::connections::Connections;

/// How long a client waits, and how often it tries, before a call fails.
///
/// The SDK's own defaults wait without end for an answer. These make a service
/// that cannot be reached an error within 10 seconds, because a run has a
/// deadline to keep and somebody may be watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For the name, the connection and TLS. Within a region this takes
    /// milliseconds; packets dropped by a security group take for ever.
    pub connect: Duration,
    /// From the request sent to the answer's first byte. `DynamoDB` and SQS take
    /// milliseconds; the longest stalls that pass by themselves last a second.
    /// On a connection that was idle, half a second at most.
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
    pub(crate) fn timeouts(self) -> TimeoutConfig {
        // No time-out per attempt: it would count the search for credentials
        // as well, and hide what went wrong there.
        TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .read_timeout(self.answer)
            .operation_timeout(self.call)
            .build()
    }

    pub(crate) fn retries(self) -> RetryConfig {
        RetryConfig::standard()
            .with_max_attempts(self.attempts)
            .with_initial_backoff(FIRST_PAUSE)
    }

    pub(crate) fn identities(self) -> SharedIdentityCache {
        IdentityCache::lazy().load_timeout(self.credentials).build()
    }
}

/// Asking EC2 for a region or credentials: it answers in milliseconds, or this
/// is no EC2 instance. The SDK would try for 4 seconds and more.
const METADATA_PATIENCE: Duration = Duration::from_secs(1);

/// The first pause between attempts; doubled after each, with a random part.
/// Far below the patience, so that all attempts fit in.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A client for the metadata of EC2 that gives up in a second.
fn metadata() -> imds::Client {
    imds::Client::builder()
        .max_attempts(2)
        .connect_timeout(METADATA_PATIENCE / 2)
        .read_timeout(METADATA_PATIENCE / 2)
        .operation_timeout(METADATA_PATIENCE)
        .build()
}

/// What a client of any service is made of: as AWS's own tools are, by the
/// environment, the shared configuration files, or the role of the machine.
/// Endpoints are the SDK's own `AWS_ENDPOINT_URL_<SERVICE>` or
/// `AWS_ENDPOINT_URL`.
///
/// Credentials are looked for by the first call, not here.
pub(crate) async fn config(region: Region, patience: Patience) -> SdkConfig {
    let credentials = chain(region.clone()).await;
    aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .credentials_provider(credentials)
        .http_client(Connections::new(patience))
        .timeout_config(patience.timeouts())
        .retry_config(patience.retries())
        .identity_cache(patience.identities())
        .load()
        .await
}

async fn chain(region: Region) -> DefaultCredentialsChain {
    let builder = DefaultCredentialsChain::builder().region(region);
    builder.imds_client(metadata()).build().await
}

/// The region that is set, in the environment, in the profile, or by the
/// machine; after one second at most.
pub(crate) async fn region() -> Option<Region> {
    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
        .or_else(ImdsRegionProvider::builder().imds_client(metadata()).build())
        .region()
        .await
}

/// The credentials for `region` as they are now; or why there are none.
pub(crate) async fn credentials(region: Region, patience: Patience) -> Result<Credentials, String> {
    let chain = chain(region).await;
    let found = tokio::time::timeout(patience.credentials, chain.provide_credentials()).await;
    match found {
        Ok(Ok(credentials)) => Ok(credentials),
        Ok(Err(error)) => Err(call::unsent(&call::chain(&error))),
        Err(_) => Err(call::unsent(&format!(
            "no credentials came within {:?}",
            patience.credentials
        ))),
    }
}
