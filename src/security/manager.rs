//! Reads secrets from AWS Secrets Manager.

use std::time::Duration;

use aws_config::Region;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::SdkError;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use secrecy::SecretString;

use super::secret::Unusable;
use crate::aws::call::{AttemptObserver, code_and_message, is_about_credentials, unsent};
use crate::aws::{self, CallLimits};
use crate::config::SecretArn;

/// Reads secrets. Needs `secretsmanager:GetSecretValue` on each, and
/// `kms:Decrypt` on the key of each that has a key of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manager {
    limits: CallLimits,
}

impl Manager {
    /// A manager whose calls fail after `limit` at the latest.
    pub(super) fn new(limit: Duration) -> Self {
        let default = CallLimits::default();
        Self {
            limits: CallLimits {
                call: default.call.min(limit),
                // Shorter, so that the error names the step that timed out.
                connect: default.connect.min(limit / 2),
                response: default.response.min(limit / 2),
                ..default
            },
        }
    }

    /// The current text of a secret. The SDK retries.
    pub(super) async fn read(self, secret: &SecretArn) -> Result<SecretString, Unusable> {
        let region = Region::new(secret.region().to_owned());
        // A client for one call: secrets are read at a cold start and after a rotation only.
        let client = Client::new(&aws::config(region, self.limits).await);
        let observer = AttemptObserver::default();
        let response = client
            .get_secret_value()
            .secret_id(secret.as_str())
            .customize()
            .interceptor(observer.clone())
            .send()
            .await
            .map_err(|error| explain(&error, &observer, secret.region()))?;
        if let Some(text) = response.secret_string {
            return Ok(text.into());
        }
        let bytes = response
            .secret_binary
            .map(aws_sdk_secretsmanager::primitives::Blob::into_inner);
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        text.map(Into::into)
            .ok_or_else(|| Unusable::new("it is not UTF-8", "Store it as text"))
    }
}

fn explain(error: &SdkError<GetSecretValueError>, observer: &AttemptObserver, region: &str) -> Unusable {
    let (code, message) = code_and_message(error, "Secrets Manager");
    match code {
        Some(code) => refused(code, &message, region),
        None if !observer.sent() => {
            let unsent = unsent(&message);
            Unusable::new(format!("the request could not be sent: {}", unsent.what), unsent.next)
        }
        None => Unusable::new(
            format!(
                "no response from {}: {message}",
                observer.endpoint().unwrap_or("Secrets Manager")
            ),
            "Check the network: a function in a VPC needs a Secrets Manager interface endpoint whose security group \
             admits the function's, or a NAT gateway; and AWS_ENDPOINT_URL_SECRETS_MANAGER or AWS_ENDPOINT_URL, if \
             set, must be right",
        ),
    }
}

/// Explains an error code of Secrets Manager.
///
/// | code | |
/// |---|---|
/// | `ResourceNotFoundException` | no such secret in this region, or it has no value yet |
/// | `AccessDeniedException` | the role has no permission to read it, or to use its key |
/// | `InvalidRequestException` | it is marked for deletion |
/// | `DecryptionFailure`, `KMS*` | its key is disabled or deleted |
/// | of the credentials | expired, or the clock is wrong |
fn refused(code: &str, message: &str, region: &str) -> Unusable {
    match code {
        "ResourceNotFoundException" => Unusable::new(
            format!("it does not exist in {region}, or has no value yet"),
            "Correct the ARN, or create the secret",
        ),
        "AccessDeniedException" => Unusable::new(
            format!("access denied: {message}"),
            "Allow secretsmanager:GetSecretValue on it and kms:Decrypt on its key to this role, for another account's \
             secret in its own policy too, and in the policy of the VPC endpoint if there is one",
        ),
        "InvalidRequestException" => {
            Unusable::new(message.trim_end_matches('.'), "Restore the secret, or name another one")
        }
        "DecryptionFailure" | "DecryptionFailureException" => Unusable::new(
            format!("it cannot be decrypted: {message}"),
            "Check that its KMS key is enabled and allows kms:Decrypt to this role",
        ),
        code if code.starts_with("KMS") => Unusable::new(
            format!("it cannot be decrypted ({code}): {message}"),
            "Check that its KMS key is enabled",
        ),
        // The service's message can quote the signed request, with the role's
        // session token: the code alone is shown.
        code if is_about_credentials(code) => Unusable::new(
            format!("the AWS credentials were refused: {code}"),
            "Renew them, and check the clock",
        ),
        code => Unusable::new(format!("{code}: {message}"), "Try again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_code_has_a_next_step() {
        let rows = [
            (
                "ResourceNotFoundException",
                "it does not exist in eu-west-1",
                "create the secret",
            ),
            (
                "AccessDeniedException",
                "access denied: message",
                "kms:Decrypt on its key",
            ),
            (
                "InvalidRequestException",
                "message. Restore the secret",
                "name another one",
            ),
            ("DecryptionFailure", "it cannot be decrypted: message", "kms:Decrypt"),
            (
                "KMSDisabledException",
                "it cannot be decrypted (KMSDisabledException): message",
                "enabled",
            ),
            ("InternalServiceError", "InternalServiceError: message", "Try again"),
        ];
        for (code, start, next) in rows {
            let text = refused(code, "message", "eu-west-1").to_string();
            assert!(text.starts_with(start) && text.contains(next), "{text}");
        }
    }

    #[test]
    fn refused_credentials_are_never_quoted() {
        for code in [
            "UnrecognizedClientException",
            "InvalidSignatureException",
            "ExpiredTokenException",
        ] {
            let text = refused(code, "planted", "eu-west-1").to_string();
            assert!(text.contains(code) && !text.contains("planted"), "{text}");
        }
    }
}
