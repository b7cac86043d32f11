//! The secrets of the settings, each read on its own, and the token.

use std::sync::Arc;

use super::DoctorContext;
use super::check::Check;
use crate::config::{Authentication, Config, Properties};
use crate::error::{Error, ErrorType};
use crate::security::{Access, Security};

/// The secrets, or why they cannot be used.
pub(super) struct CheckedSecrets {
    read: Vec<(CredentialSource, Result<Arc<Access>, Error>)>,
}

/// One secret, or the token.
struct CredentialSource {
    /// The settings, with this as the only secret.
    alone: Config,
    name: &'static str,
    /// The secret's ARN; for a token, the mechanism.
    target: String,
    /// What it holds, shown where it is valid.
    content: String,
    /// Whether TLS needs it.
    for_tls: bool,
}

/// Reads all of them concurrently, each on its own.
pub(super) async fn read(context: &DoctorContext) -> CheckedSecrets {
    let one = async |mut source: CredentialSource| {
        let security = Security::new(&source.alone);
        let access = security.access(context.call_limits.call);
        let result = tokio::time::timeout(context.limit(), access).await;
        let result = result.unwrap_or_else(|_| Err(timed_out(&source.target)));
        let until = security
            .token()
            .map(|token| jiff::Timestamp::from_millisecond(token.expires_ms));
        if let Some(Ok(until)) = until {
            source.content = format!("{}, valid until {until:.0}", source.content);
        }
        (source, result)
    };
    let read = futures::future::join_all(all(context.config()).map(one)).await;
    CheckedSecrets { read }
}

fn all(config: &Config) -> impl Iterator<Item = CredentialSource> {
    let client = match &config.authentication {
        Authentication::Properties => None,
        Authentication::Password(secret) => Some(("secret", secret.to_string(), "a user name and a password", false)),
        Authentication::Certificate(secret) => {
            Some(("secret", secret.to_string(), "a client certificate and its key", true))
        }
        Authentication::MskIam => Some(("token", "AWS_MSK_IAM".to_owned(), "signed with this AWS role", false)),
    };
    let client = client.map(|(name, target, content, for_tls)| CredentialSource {
        alone: Config {
            ca_secret: None,
            ..config.clone()
        },
        name,
        target,
        content: content.to_owned(),
        for_tls,
    });
    let ca = config.ca_secret.as_ref().map(|secret| {
        let mut alone = Config {
            authentication: Authentication::Properties,
            ..config.clone()
        };
        // Without SASL, which would need a token or a password.
        alone.kafka_properties.set("security.protocol", "SSL");
        CredentialSource {
            alone,
            name: "secret",
            target: secret.to_string(),
            content: "the CA of the brokers' certificates".to_owned(),
            for_tls: true,
        }
    });
    client.into_iter().chain(ca)
}

fn timed_out(target: &str) -> Error {
    let what = format!("{target} was not read in time");
    Error::new(ErrorType::InvalidConfiguration, what).next("Try again")
}

impl CheckedSecrets {
    pub(super) fn checks(&self) -> Vec<Check> {
        let check = |(source, result): &(CredentialSource, Result<_, Error>)| {
            let check = match result {
                Ok(_) => Check::ok(source.name, &source.content),
                Err(error) => Check::error(source.name, error),
            };
            check.on(&source.target)
        };
        self.read.iter().map(check).collect()
    }

    /// Why authentication cannot succeed, if a secret or the token failed.
    pub(super) fn obstacle(&self) -> Option<&'static str> {
        let is_wrong = self.read.iter().any(|(_, result)| result.is_err());
        is_wrong.then_some("a secret cannot be used, or the token cannot be signed")
    }

    /// The properties for TLS, or why they are unknown. A password that cannot be
    /// read does not matter to TLS.
    pub(super) fn for_tls(&self, config: &Config) -> Result<Properties, String> {
        let mut properties = config.kafka_properties.clone();
        for (source, result) in self.read.iter().filter(|(source, _)| source.for_tls) {
            let access = result.as_ref();
            let access = access.map_err(|_| format!("the secret {} cannot be used", source.target))?;
            for (name, value) in access.properties.iter().filter(|(name, _)| name.starts_with("ssl.")) {
                properties.set(name, value);
            }
        }
        Ok(properties)
    }
}
