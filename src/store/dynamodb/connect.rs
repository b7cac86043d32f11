//! Creates a client with time-outs and retries.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;

use crate::aws::{self, CallLimits};
use crate::config::is_host_label;
use crate::error::{Error, ErrorType};

impl CallLimits {
    /// Sets time-outs and retries. For a client that is configured otherwise
    /// than [`client`] does.
    pub fn apply(self, config: Builder) -> Builder {
        config
            .timeout_config(self.timeouts())
            .retry_config(self.retries())
            .identity_cache(self.identities())
    }
}

/// A client configured as AWS's own tools are: by the environment, the shared
/// configuration files, or the role of the machine. The endpoint is the SDK's
/// own `AWS_ENDPOINT_URL_DYNAMODB` or `AWS_ENDPOINT_URL`.
///
/// Credentials are loaded by the first call, not here.
///
/// # Errors
/// `InvalidConfiguration` when no region is set anywhere, after one second at
/// most; or one that cannot be a region's name.
pub async fn client(patience: CallLimits) -> Result<Client, Error> {
    let region = aws::region().await.ok_or_else(|| {
        let missing = aws::profile::missing().unwrap_or_else(|| aws::call::Unsent {
            what: "no AWS region is set".to_owned(),
            next: "Set AWS_REGION, or region in the profile of ~/.aws/config; any name, such as us-east-1, does for a \
                   local DynamoDB",
        });
        Error::new(ErrorType::InvalidConfiguration, missing.what).next(missing.next)
    })?;
    if !is_host_label(region.as_ref()) {
        let what = format!("\"{region}\" cannot be the name of a region, such as eu-central-1");
        let next = "Correct region in the profile of ~/.aws/config, or AWS_REGION";
        return Err(Error::new(ErrorType::InvalidConfiguration, what).next(next));
    }
    Ok(Client::new(&aws::config(region, patience).await))
}
