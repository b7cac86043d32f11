//! How this process proves to the brokers who it is, and knows whom it talks to.
//!
//! The settings say it, or a secret, or the role that the process runs with.
//! All Kafka clients of a run share one [`Security`]: what one of them reads
//! anew after a rotation, the others have as well.
//!
//! | file | |
//! |---|---|
//! | `secret.rs` | the text of a secret -> properties of librdkafka's; pure |
//! | `manager.rs` | secrets from AWS Secrets Manager |
//! | `msk_iam.rs` | signed tokens for Amazon MSK; pure |

mod manager;
mod msk_iam;
mod secret;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::Region;
use futures::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};

use crate::aws::{self, Patience};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, Proof, Properties, SecretArn};
use crate::error::{Error, ErrorType};
use manager::Manager;
use secret::Shape;

/// A token for the mechanism OAUTHBEARER.
#[derive(Debug, Clone)]
pub struct Token {
    /// What is sent to the broker.
    pub text: SecretString,
    /// When it ends, in milliseconds since the epoch.
    pub expires_ms: i64,
}

/// Makes a token; or says why it cannot, and what to do next.
pub type Signer = Box<dyn Fn() -> BoxFuture<'static, Result<Token, String>> + Send + Sync>;

/// A token is made anew before a run when less than this is left of it. During
/// a run librdkafka asks for the next one after 80 % of a token's life.
const LEAST_LIFE: Duration = Duration::from_mins(5);

/// What connects: librdkafka's properties with all that was read.
#[derive(Debug, PartialEq)]
pub struct Access {
    /// The properties of the settings, and in their places what secrets hold.
    pub properties: Properties,
}

/// The credentials of one process. Nothing is asked before they are needed.
pub struct Security {
    given: Properties,
    secrets: Vec<(SecretArn, &'static str, Shape)>,
    signer: Option<Signer>,
    /// What was read last. Held while it is read: others wait for the answer.
    access: tokio::sync::Mutex<Option<Arc<Access>>>,
    token: Mutex<Option<Token>>,
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security")
            .field("secrets", &self.secrets)
            .finish_non_exhaustive()
    }
}

impl Security {
    /// What the settings say.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let secret = match &config.proof {
            Proof::Password(secret) => Some((secret, Shape::Password)),
            Proof::Certificate(secret) => Some((secret, Shape::Certificate)),
            Proof::MskIam | Proof::Properties => None,
        };
        let secret = secret.map(|(arn, shape)| (arn.clone(), "KAFKA_SECRET_ARN", shape));
        let authority = config.ca_secret.clone();
        let authority = authority.map(|arn| (arn, "KAFKA_CA_SECRET_ARN", Shape::Authority));
        Self {
            given: config.kafka_properties.clone(),
            secrets: secret.into_iter().chain(authority).collect(),
            signer: (config.proof == Proof::MskIam).then(|| msk_iam_signer(config)),
            access: tokio::sync::Mutex::default(),
            token: Mutex::default(),
        }
    }

    /// What the settings say, with tokens from a source of your own for
    /// `KAFKA_SASL_MECHANISM=OAUTHBEARER`. It is asked ahead of time and again
    /// before a token ends.
    #[must_use]
    pub fn with_signer(config: &Config, signer: Signer) -> Self {
        Self {
            signer: Some(signer),
            ..Self::new(config)
        }
    }

    /// What connects; in `limit`, or not at all. Secrets are read by the first
    /// call, and kept; a token is signed when there is none, or little of its
    /// life is left.
    ///
    /// # Errors
    /// `InvalidConfiguration` when a secret cannot be read or is misshapen,
    /// naming it and the field; never what it holds.
    pub async fn access(&self, limit: Duration) -> Result<Arc<Access>, Error> {
        if self.signer.is_none() && wants_token(&self.given) {
            return Err(Error::new(
                ErrorType::InvalidConfiguration,
                "KAFKA_SASL_MECHANISM=OAUTHBEARER needs a source of tokens, and there is none. Use AWS_MSK_IAM for \
                 Amazon MSK, or, on a broker for tests, \
                 KAFKA_ENABLE_SASL_OAUTHBEARER_UNSECURE_JWT=true",
            ));
        }
        let (access, ()) = tokio::try_join!(self.known(limit), self.sign_unless_fresh(limit))?;
        Ok(access)
    }

    /// Forgets what makes no client, so that it is read again.
    pub(crate) async fn forget(&self, useless: &Arc<Access>) {
        let mut kept = self.access.lock().await;
        if kept.as_ref().is_some_and(|known| Arc::ptr_eq(known, useless)) {
            *kept = None;
        }
    }

    /// Reads all secrets again, and signs another token, because a broker
    /// refused `refused`. `None`: they are what they were, and there is no token.
    ///
    /// # Errors
    /// As for [`access`](Self::access).
    pub async fn renewed(&self, refused: &Arc<Access>, limit: Duration) -> Result<Option<Arc<Access>>, Error> {
        let (changed, ()) = tokio::try_join!(self.read_again(refused, limit), self.sign(limit))?;
        Ok(changed.or_else(|| self.signer.is_some().then(|| Arc::clone(refused))))
    }

    /// What the secrets hold now, if that is not what they held.
    async fn read_again(&self, refused: &Arc<Access>, limit: Duration) -> Result<Option<Arc<Access>>, Error> {
        if self.secrets.is_empty() {
            return Ok(None);
        }
        let mut kept = self.access.lock().await;
        let known = kept.clone();
        // Somebody else has read them since.
        if let Some(known) = known.filter(|known| !Arc::ptr_eq(known, refused)) {
            return Ok(Some(known));
        }
        let read = Arc::new(self.read(limit).await?);
        if read == *refused {
            return Ok(None);
        }
        *kept = Some(Arc::clone(&read));
        Ok(Some(read))
    }

    /// Whether anything can change while the settings stay: a secret or a token.
    #[must_use]
    pub fn may_change(&self) -> bool {
        self.signer.is_some() || !self.secrets.is_empty()
    }

    /// The token at hand, for librdkafka's call-back, which cannot wait.
    pub(crate) fn token(&self) -> Option<Token> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn known(&self, limit: Duration) -> Result<Arc<Access>, Error> {
        let mut kept = self.access.lock().await;
        if let Some(known) = &*kept {
            return Ok(Arc::clone(known));
        }
        let read = Arc::new(self.read(limit).await?);
        *kept = Some(Arc::clone(&read));
        Ok(read)
    }

    /// All secrets, side by side.
    async fn read(&self, limit: Duration) -> Result<Access, Error> {
        let manager = Manager::new(limit);
        let all = self.secrets.iter().map(async |(arn, setting, shape)| {
            let read = manager.read(arn).await.and_then(|text| secret::read(&text, *shape));
            read.map_err(|why| {
                let message = format!("the secret {arn} of {setting} cannot be used: {why}");
                Error::new(ErrorType::InvalidConfiguration, message)
            })
        });
        let mut properties = self.given.clone();
        for (name, value) in futures::future::try_join_all(all).await?.into_iter().flatten() {
            properties.set(name, value.expose_secret());
        }
        Ok(Access { properties })
    }

    async fn sign_unless_fresh(&self, limit: Duration) -> Result<(), Error> {
        let least_ms = SystemClock.wall_ms() + i64::try_from(LEAST_LIFE.as_millis()).unwrap_or(i64::MAX);
        let fresh = self.token().is_some_and(|token| token.expires_ms > least_ms);
        if self.signer.is_none() || fresh {
            Ok(())
        } else {
            self.sign(limit).await
        }
    }

    /// Makes another token, for those who ask later.
    pub(crate) async fn sign(&self, limit: Duration) -> Result<(), Error> {
        let Some(signer) = &self.signer else { return Ok(()) };
        let made = tokio::time::timeout(limit, signer()).await;
        let made = made.unwrap_or_else(|_| Err("it took too long. Look after what signs them".to_owned()));
        let token = made.map_err(|why| {
            let message = format!("no token can be signed for the brokers: {why}");
            Error::new(ErrorType::AuthenticationFailed, message)
        })?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
        Ok(())
    }
}

/// Whether librdkafka would ask for a token that it does not make itself, and
/// wait for it until the run's time is over.
fn wants_token(properties: &Properties) -> bool {
    properties.has_sasl()
        && properties.get("sasl.mechanisms") == Some("OAUTHBEARER")
        && !properties
            .get("enable.sasl.oauthbearer.unsecure.jwt")
            .is_some_and(is_true)
}

/// As librdkafka reads it.
fn is_true(value: &str) -> bool {
    ["true", "t", "1"].iter().any(|it| it.eq_ignore_ascii_case(value))
}

/// Signs with the credentials that the AWS SDK finds: in Lambda those of the
/// function's role.
fn msk_iam_signer(config: &Config) -> Signer {
    let of_brokers = msk_iam::region_of(&config.bootstrap_servers).map(str::to_owned);
    Box::new(move || {
        let of_brokers = of_brokers.clone();
        Box::pin(async move {
            let region = match of_brokers {
                Some(region) => Region::new(region),
                None => aws::region().await.ok_or(
                    "the region of the cluster is not known: KAFKA_BOOTSTRAP_SERVERS does not tell it, and no AWS \
                     region is set. Set AWS_REGION",
                )?,
            };
            let credentials = aws::credentials(region.clone(), Patience::default()).await?;
            msk_iam::token(region.as_ref(), &credentials, now())
        })
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "a token lives by the clock that the brokers go by"
)]
fn now() -> SystemTime {
    SystemTime::now()
}
