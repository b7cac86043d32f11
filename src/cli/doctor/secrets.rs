//! The secrets that the settings name, each read by itself, and the token.

use std::sync::Arc;

use super::Practice;
use super::check::Check;
use crate::config::{Authentication, Config, Properties, SecretArn};
use crate::error::{Error, ErrorType};
use crate::security::{Access, Security};

/// What was read, or why it was not.
pub(super) struct Proofs {
    read: Vec<(Wanted, Result<Arc<Access>, Error>)>,
}

/// One secret, or a token.
struct Wanted {
    /// The settings with nothing to read but this.
    alone: Config,
    name: &'static str,
    /// The secret; for a token, how it is made.
    target: String,
    /// What it is, where it is right.
    is: String,
    /// Whether TLS needs it.
    of_tls: bool,
}

/// Reads all of them side by side, each by itself.
pub(super) async fn read(practice: &Practice) -> Proofs {
    let one = async |mut wanted: Wanted| {
        let security = Security::new(&wanted.alone);
        let asked = security.access(practice.patience.call);
        let result = tokio::time::timeout(practice.limit(), asked).await;
        let result = result.unwrap_or_else(|_| Err(too_late(&wanted.target)));
        let until = security
            .token()
            .map(|token| jiff::Timestamp::from_millisecond(token.expires_ms));
        if let Some(Ok(until)) = until {
            wanted.is = format!("{}, valid until {until:.0}", wanted.is);
        }
        (wanted, result)
    };
    let read = futures::future::join_all(all(practice.config()).map(one)).await;
    Proofs { read }
}

fn all(config: &Config) -> impl Iterator<Item = Wanted> {
    let wanted = |proof: Authentication, ca_secret: Option<SecretArn>, name, target: String, is: &str, of_tls| Wanted {
        alone: Config {
            authentication: proof,
            ca_secret,
            ..config.clone()
        },
        name,
        target,
        is: is.to_owned(),
        of_tls,
    };
    let proof = config.authentication.clone();
    let proof = match &config.authentication {
        Authentication::Properties => None,
        Authentication::Password(secret) => Some(("secret", secret.to_string(), "a user and a password", false)),
        Authentication::Certificate(secret) => {
            Some(("secret", secret.to_string(), "a client certificate and its key", true))
        }
        Authentication::MskIam => Some(("token", "AWS_MSK_IAM".to_owned(), "signed with this AWS role", false)),
    }
    .map(|(name, target, is, of_tls)| wanted(proof, None, name, target, is, of_tls));
    let authority = config.ca_secret.clone().map(|secret| {
        let is = "the authority of the brokers' certificates";
        let target = secret.to_string();
        let mut wanted = wanted(Authentication::Properties, Some(secret), "secret", target, is, true);
        // Whatever logs in, and needs tokens or a password, is not asked here.
        wanted.alone.kafka_properties.set("security.protocol", "SSL");
        wanted
    });
    proof.into_iter().chain(authority)
}

fn too_late(target: &str) -> Error {
    let message = format!("{target} was not there in time. Try again");
    Error::new(ErrorType::InvalidConfiguration, message)
}

impl Proofs {
    pub(super) fn checks(&self) -> Vec<Check> {
        let check = |(wanted, result): &(Wanted, Result<_, Error>)| {
            let check = match result {
                Ok(_) => Check::ok(wanted.name, &wanted.is),
                Err(error) => Check::error(wanted.name, error),
            };
            check.on(&wanted.target)
        };
        self.read.iter().map(check).collect()
    }

    /// Why nobody can log in, as far as it is told already.
    pub(super) fn obstacle(&self) -> Option<&'static str> {
        let is_wrong = self.read.iter().any(|(_, result)| result.is_err());
        is_wrong.then_some("a secret cannot be used, or no token signed")
    }

    /// The properties for TLS; or why they are not known. A password that
    /// cannot be read matters to the log-in alone.
    pub(super) fn for_tls(&self, config: &Config) -> Result<Properties, String> {
        let mut properties = config.kafka_properties.clone();
        for (wanted, result) in self.read.iter().filter(|(wanted, _)| wanted.of_tls) {
            let access = result.as_ref();
            let access = access.map_err(|_| format!("the secret {} cannot be used", wanted.target))?;
            for (name, value) in access.properties.iter().filter(|(name, _)| name.starts_with("ssl.")) {
                properties.set(name, value);
            }
        }
        Ok(properties)
    }
}
