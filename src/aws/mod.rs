//! The common configuration of all AWS clients: region, credentials, time-outs,
//! connections, and the explanation of failed calls.

pub(crate) mod call;
mod connections;
pub(crate) mod dynamodb;
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

use self::call::Unsent;
use self::connections::Connections;
pub(crate) use self::connections::long_calls;

/// The time-outs and the number of attempts of a call.
///
/// The SDK's own defaults wait for a response without limit. With these a call
/// to a service that cannot be reached fails within 10 seconds, because a run
/// has a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// For DNS, TCP and TLS. Within a region this takes milliseconds; a security
    /// group that drops packets is only detected by this time-out.
    pub connect: Duration,
    /// From sending the request to the first byte of the response. `DynamoDB`
    /// and SQS take milliseconds, and recover from a stall within a second. On
    /// a connection that was idle, half a second at most.
    pub response: Duration,
    /// For finding credentials, which may need a request to another service or
    /// a subprocess.
    pub credentials: Duration,
    /// For one call with all its attempts and the pauses between them.
    pub call: Duration,
    /// Attempts of a call, the first one included. Three allow for a connection
    /// that went stale while the process was frozen, and one other failure.
    pub attempts: u32,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            response: Duration::from_secs(2),
            credentials: Duration::from_secs(5),
            call: Duration::from_secs(8),
            attempts: 3,
        }
    }
}

impl CallLimits {
    pub(crate) fn timeouts(self) -> TimeoutConfig {
        // No time-out per attempt: it would include the search for credentials,
        // and hide its error.
        TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .read_timeout(self.response)
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

/// For EC2's instance metadata, which responds in milliseconds on an EC2
/// instance and nowhere else. The SDK's default is 4 seconds and more.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);

/// The first pause between attempts; doubled after each, with a random part.
/// Far below the time-outs, so that there is time for all attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A client for EC2's instance metadata with [`METADATA_TIMEOUT`].
fn metadata() -> imds::Client {
    imds::Client::builder()
        .max_attempts(2)
        .connect_timeout(METADATA_TIMEOUT / 2)
        .read_timeout(METADATA_TIMEOUT / 2)
        .operation_timeout(METADATA_TIMEOUT)
        .build()
}

/// The configuration of a client of any service, as AWS's own tools read it:
/// from the environment, the shared configuration files, or the role of the
/// machine. Endpoints are the SDK's own `AWS_ENDPOINT_URL_<SERVICE>` or
/// `AWS_ENDPOINT_URL`.
///
/// Credentials are resolved by the first call, not here.
pub(crate) async fn config(region: Region, limits: CallLimits) -> SdkConfig {
    let credentials = chain(region.clone()).await;
    aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .credentials_provider(credentials)
        .http_client(Connections::new(limits))
        .timeout_config(limits.timeouts())
        .retry_config(limits.retries())
        .identity_cache(limits.identities())
        .load()
        .await
}

async fn chain(region: Region) -> DefaultCredentialsChain {
    let builder = DefaultCredentialsChain::builder().region(region);
    builder.imds_client(metadata()).build().await
}

/// The region from the environment, the profile, or the instance metadata,
/// within one second.
pub(crate) async fn region() -> Option<Region> {
    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
        .or_else(ImdsRegionProvider::builder().imds_client(metadata()).build())
        .region()
        .await
}

/// The current credentials for `region`; or why there are none.
pub(crate) async fn credentials(region: Region, limits: CallLimits) -> Result<Credentials, Unsent> {
    let chain = chain(region).await;
    let found = tokio::time::timeout(limits.credentials, chain.provide_credentials()).await;
    match found {
        Ok(Ok(credentials)) => Ok(credentials),
        Ok(Err(error)) => Err(call::unsent(&call::chain(&error))),
        Err(_) => Err(call::unsent(&format!(
            "no credentials were found within {:?}",
            limits.credentials
        ))),
    }
}
