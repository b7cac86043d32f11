//! Secrets from AWS Secrets Manager.

use std::time::Duration;

use aws_config::Region;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::SdkError;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use secrecy::SecretString;

use crate::aws::call::{AttemptObserver, is_about_credentials, said, unsent};
use crate::aws::{self, Patience};
use crate::config::SecretArn;

/// Reads secrets. Needs `secretsmanager:GetSecretValue` on each, and
/// `kms:Decrypt` on the key of each that has a key of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manager {
    patience: Patience,
}

impl Manager {
    /// One that gives up when `limit` is over.
    pub(super) fn new(limit: Duration) -> Self {
        let default = Patience::default();
        Self {
            patience: Patience {
                call: default.call.min(limit),
                // Said by what took too long, and not by the limit of it all.
                connect: default.connect.min(limit / 2),
                answer: default.answer.min(limit / 2),
                ..default
            },
        }
    }

    /// The current text of a secret; or why it cannot be read, and what to do.
    pub(super) async fn read(self, secret: &SecretArn) -> Result<SecretString, String> {
        let region = Region::new(secret.region().to_owned());
        // Made for the call: it happens at a cold start and after a rotation.
        let client = Client::new(&aws::config(region, self.patience).await);
        let observer = AttemptObserver::default();
        let answer = client
            .get_secret_value()
            .secret_id(secret.as_str())
            .customize()
            .interceptor(observer.clone())
            .send()
            .await
            .map_err(|error| explain(&error, &observer, secret.region()))?;
        if let Some(text) = answer.secret_string {
            return Ok(text.into());
        }
        let bytes = answer
            .secret_binary
            .map(aws_sdk_secretsmanager::primitives::Blob::into_inner);
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        text.map(Into::into)
            .ok_or_else(|| "it holds neither text nor UTF-8. Store it as text".to_owned())
    }
}

fn explain(error: &SdkError<GetSecretValueError>, observer: &AttemptObserver, region: &str) -> String {
    let (code, said) = said(error, "Secrets Manager");
    match code {
        Some(code) => refused(code, &said, region),
        None if !observer.sent() => format!("the question could not be sent: {}", unsent(&said)),
        None => format!(
            "no answer from {}: {said}. Check the network: a function in a VPC needs a Secrets Manager interface \
             endpoint whose security group admits the function's, or a NAT gateway; and \
             AWS_ENDPOINT_URL_SECRETS_MANAGER or AWS_ENDPOINT_URL, if set, must be right",
            observer.endpoint().unwrap_or("Secrets Manager")
        ),
    }
}

/// What a refusal means.
///
/// | code | |
/// |---|---|
/// | `ResourceNotFoundException` | no such secret in this region, or it has no value yet |
/// | `AccessDeniedException` | the role may not read it, or may not use its key |
/// | `InvalidRequestException` | it is marked for deletion |
/// | `DecryptionFailure`, `KMS*` | its key is disabled or gone |
/// | of the credentials | expired, or the clock is wrong |
fn refused(code: &str, said: &str, region: &str) -> String {
    match code {
        "ResourceNotFoundException" => {
            format!("it does not exist in {region}, or has no value yet. Correct the ARN, or create the secret")
        }
        "AccessDeniedException" => format!(
            "access denied: {said}. Allow secretsmanager:GetSecretValue on it and kms:Decrypt on its key to this role, \
             for another account's secret in its own policy too, and in the policy of the VPC endpoint if there is one"
        ),
        "InvalidRequestException" => format!("{said} Restore the secret, or name another one"),
        "DecryptionFailure" | "DecryptionFailureException" => {
            format!(
                "it cannot be decrypted: {said}. Check that its KMS key is enabled and allows kms:Decrypt to this role"
            )
        }
        code if code.starts_with("KMS") => {
            format!("it cannot be decrypted ({code}): {said}. Check that its KMS key is enabled")
        }
        // The service's own words can quote the signed request and with it
        // AWS's temporary token: the code alone must do.
        code if is_about_credentials(code) => {
            format!("the AWS credentials were refused: {code}. Renew them, and check the clock")
        }
        code => format!("{code}: {said}. Try again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_names_what_to_do_next() {
        let rows = [
            (
                "ResourceNotFoundException",
                "it does not exist in eu-west-1",
                "create the secret",
            ),
            ("AccessDeniedException", "access denied: said", "kms:Decrypt on its key"),
            ("InvalidRequestException", "said Restore the secret", "name another one"),
            ("DecryptionFailure", "it cannot be decrypted: said", "kms:Decrypt"),
            (
                "KMSDisabledException",
                "it cannot be decrypted (KMSDisabledException): said",
                "enabled",
            ),
            ("InternalServiceError", "InternalServiceError: said", "Try again"),
        ];
        for (code, start, next) in rows {
            let text = refused(code, "said", "eu-west-1");
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
            let text = refused(code, "planted", "eu-west-1");
            assert!(text.contains(code) && !text.contains("planted"), "{text}");
        }
    }
}
