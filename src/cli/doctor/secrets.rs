//! The secrets that the settings name, each read by itself, and the token.

use std::sync::Arc;

use super::Practice;
use super::check::Check;
use crate::config::{Config, Proof, Properties};
use crate::error::Error;
use crate::security::{Access, Security};

/// What was read, or why it was not.
pub(super) struct Proofs {
    read: Vec<Read>,
}

struct Read {
    name: &'static str,
    /// The secret; for a token, how it is made.
    target: String,
    /// What it is, where it is right.
    is: String,
    /// Whether TLS needs it.
    of_tls: bool,
    result: Result<Arc<Access>, Error>,
}

/// Reads all of them, each with nothing beside it.
pub(super) async fn read(practice: &Practice) -> Proofs {
    let config = practice.config();
    let bare = Config {
        proof: Proof::Properties,
        ca_secret: None,
        ..config.clone()
    };
    let authority = config.ca_secret.as_ref().map(|secret| {
        let alone = Config {
            ca_secret: Some(secret.clone()),
            ..bare.clone()
        };
        (
            alone,
            "secret",
            secret.to_string(),
            "the authority of the brokers' certificates",
            true,
        )
    });
    let (is, of_tls) = match &config.proof {
        Proof::Certificate(_) => ("a client certificate and its key", true),
        _ => ("a user and a password", false),
    };
    let alone = || Config {
        proof: config.proof.clone(),
        ..bare.clone()
    };
    let proof = match &config.proof {
        Proof::Password(secret) | Proof::Certificate(secret) => {
            Some((alone(), "secret", secret.to_string(), is, of_tls))
        }
        Proof::MskIam => Some((
            alone(),
            "token",
            "AWS_MSK_IAM".into(),
            "signed with this AWS role",
            false,
        )),
        Proof::Properties => None,
    };
    let one = async |(config, name, target, is, of_tls): (Config, &'static str, String, &str, bool)| {
        let security = Security::new(&config);
        let limit = tokio::time::timeout(practice.limit() * 2, security.access()).await;
        let result = limit.unwrap_or_else(|_| Err(too_late(&target)));
        let until = security
            .token()
            .and_then(|token| jiff::Timestamp::from_millisecond(token.expires_ms).ok());
        let until = until.map_or(String::new(), |at| format!(", valid until {at:.0}"));
        Read {
            name,
            target,
            is: format!("{is}{until}"),
            of_tls,
            result,
        }
    };
    let read = futures::future::join_all(proof.into_iter().chain(authority).map(one)).await;
    Proofs { read }
}

fn too_late(target: &str) -> Error {
    let message = format!("{target} was not there in time. Try again");
    Error::new(crate::error::ErrorType::InvalidConfiguration, message)
}

impl Proofs {
    pub(super) fn checks(&self) -> Vec<Check> {
        let check = |read: &Read| match &read.result {
            Ok(_) => Check::ok(read.name, &read.is).on(&read.target),
            Err(error) => Check::error(read.name, error).on(&read.target),
        };
        self.read.iter().map(check).collect()
    }

    /// Why nobody can log in, as far as it is told already.
    pub(super) fn obstacle(&self) -> Option<&'static str> {
        let is_wrong = self.read.iter().any(|read| read.result.is_err());
        is_wrong.then_some("a secret cannot be used, or no token signed")
    }

    /// The properties for TLS; or why they are not known. A password that
    /// cannot be read matters to the log-in alone.
    pub(super) fn for_tls(&self, config: &Config) -> Result<Properties, String> {
        let mut properties = config.kafka_properties.clone();
        for read in self.read.iter().filter(|read| read.of_tls) {
            let access = read.result.as_ref();
            let access = access.map_err(|_| format!("the secret {} cannot be used", read.target))?;
            for (name, value) in access.properties.iter() {
                properties.set(name, value);
            }
        }
        Ok(properties)
    }
}
