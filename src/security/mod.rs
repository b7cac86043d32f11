//! The credentials of the Kafka clients, the CA that they verify brokers with, and the headers of HTTP
//! destinations.
//!
//! They come from the settings, from secrets, or from the execution role. All
//! Kafka clients of a run share one [`Security`]: secrets that one of them
//! reads again after a rotation are used by the others too.
//!
//! | file | |
//! |---|---|
//! | `secret.rs` | the text of a secret -> librdkafka properties; pure |
//! | `http_headers.rs` | the headers of requests to HTTP endpoints |
//! | `manager.rs` | reads secrets from AWS Secrets Manager |
//! | `msk_iam.rs` | signs tokens for Amazon MSK; pure |

mod http_headers;
mod manager;
mod msk_iam;
mod secret;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::Region;
use futures::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};

use crate::aws::{self, CallLimits};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Authentication, Config, Properties, SecretArn};
use crate::error::{Error, ErrorType};
pub(crate) use http_headers::SecretHeaders;
use manager::Manager;
use secret::Shape;

/// A token for the mechanism OAUTHBEARER.
#[derive(Debug, Clone)]
pub struct Token {
    /// The token, as it is sent to the broker.
    pub text: SecretString,
    /// When it expires, in milliseconds since the epoch.
    pub expires_ms: i64,
}

/// Returns a token; or the reason why there is none, and the next step.
pub type Signer = Box<dyn Fn() -> BoxFuture<'static, Result<Token, String>> + Send + Sync>;

/// A token is replaced before a run when it expires within this time. During a
/// run librdkafka requests the next one after 80 % of a token's lifetime.
const MIN_LIFETIME: Duration = Duration::from_mins(5);

/// The librdkafka properties to connect with.
#[derive(Debug, PartialEq)]
pub struct Access {
    /// The properties of the settings, with those of the secrets in their places.
    pub properties: Properties,
}

/// The credentials of one process. No request is made before they are needed.
pub struct Security {
    given: Properties,
    secrets: Vec<(SecretArn, &'static str, Shape)>,
    signer: Option<Signer>,
    /// What was read last. Locked while secrets are read, so that each is read once.
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
    /// The credentials of these settings.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let secret = match &config.authentication {
            Authentication::Password(secret) => Some((secret, Shape::Password)),
            Authentication::Certificate(secret) => Some((secret, Shape::Certificate)),
            Authentication::MskIam | Authentication::Properties => None,
        };
        let secret = secret.map(|(arn, shape)| (arn.clone(), "KAFKA_SECRET_ARN", shape));
        let ca = config.ca_secret.clone();
        let ca = ca.map(|arn| (arn, "KAFKA_CA_SECRET_ARN", Shape::Ca));
        Self {
            given: config.kafka_properties.clone(),
            secrets: secret.into_iter().chain(ca).collect(),
            signer: (config.authentication == Authentication::MskIam).then(|| msk_iam_signer(config)),
            access: tokio::sync::Mutex::default(),
            token: Mutex::default(),
        }
    }

    /// The credentials of these settings, with tokens from `signer` for
    /// `KAFKA_SASL_MECHANISM=OAUTHBEARER`. It is called before the first
    /// connection and again before a token expires.
    #[must_use]
    pub fn with_signer(config: &Config, signer: Signer) -> Self {
        Self {
            signer: Some(signer),
            ..Self::new(config)
        }
    }

    /// The properties to connect with, within `limit`. The first call reads
    /// the secrets and keeps them; a token is signed when there is none, or
    /// the last one expires soon.
    ///
    /// # Errors
    /// `InvalidConfiguration` when a secret cannot be read or is misshapen,
    /// naming it and the field, never its content; `AuthenticationFailed` when
    /// no token can be signed. Not retried.
    pub async fn access(&self, limit: Duration) -> Result<Arc<Access>, Error> {
        if self.signer.is_none() && needs_token(&self.given) {
            return Err(Error::new(
                ErrorType::InvalidConfiguration,
                "KAFKA_SASL_MECHANISM=OAUTHBEARER needs a source of tokens, and there is none",
            )
            .next(
                "Use AWS_MSK_IAM for Amazon MSK, or, on a broker for tests, \
                 KAFKA_ENABLE_SASL_OAUTHBEARER_UNSECURE_JWT=true",
            ));
        }
        let (access, ()) = tokio::try_join!(self.kept(limit), self.sign_unless_fresh(limit))?;
        Ok(access)
    }

    /// Drops properties that no client can be created with, so that secrets are read again.
    pub(crate) async fn forget(&self, unusable: &Arc<Access>) {
        let mut kept = self.access.lock().await;
        if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, unusable)) {
            *kept = None;
        }
    }

    /// Reads all secrets again, and signs another token, because a broker
    /// refused `refused`. `None`: the secrets are unchanged, and no token is used.
    ///
    /// # Errors
    /// As for [`access`](Self::access).
    pub async fn renewed(&self, refused: &Arc<Access>, limit: Duration) -> Result<Option<Arc<Access>>, Error> {
        let (changed, ()) = tokio::try_join!(self.read_again(refused, limit), self.sign(limit))?;
        Ok(changed.or_else(|| self.signer.is_some().then(|| Arc::clone(refused))))
    }

    /// The properties with the secrets read again; `None` if they are unchanged.
    async fn read_again(&self, refused: &Arc<Access>, limit: Duration) -> Result<Option<Arc<Access>>, Error> {
        if self.secrets.is_empty() {
            return Ok(None);
        }
        let mut kept = self.access.lock().await;
        // Another client has read them since.
        if let Some(other) = kept.clone().filter(|kept| !Arc::ptr_eq(kept, refused)) {
            return Ok(Some(other));
        }
        let read = Arc::new(self.read(limit).await?);
        if read == *refused {
            return Ok(None);
        }
        *kept = Some(Arc::clone(&read));
        Ok(Some(read))
    }

    /// Whether the credentials can change while the settings do not: secrets or tokens.
    #[must_use]
    pub fn may_change(&self) -> bool {
        self.signer.is_some() || !self.secrets.is_empty()
    }

    /// The last token, for librdkafka's callback, which cannot wait.
    pub(crate) fn token(&self) -> Option<Token> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The properties as last read; the first call reads the secrets.
    async fn kept(&self, limit: Duration) -> Result<Arc<Access>, Error> {
        let mut kept = self.access.lock().await;
        if let Some(kept) = &*kept {
            return Ok(Arc::clone(kept));
        }
        let read = Arc::new(self.read(limit).await?);
        *kept = Some(Arc::clone(&read));
        Ok(read)
    }

    /// Reads all secrets, concurrently.
    async fn read(&self, limit: Duration) -> Result<Access, Error> {
        let manager = Manager::new(limit);
        let all = self.secrets.iter().map(async |(arn, setting, shape)| {
            let read = manager.read(arn).await.and_then(|text| secret::read(&text, *shape));
            read.map_err(|problem| problem.of(arn, setting))
        });
        let mut properties = self.given.clone();
        for (name, value) in futures::future::try_join_all(all).await?.into_iter().flatten() {
            properties.set(name, value.expose_secret());
        }
        Ok(Access { properties })
    }

    async fn sign_unless_fresh(&self, limit: Duration) -> Result<(), Error> {
        let least_ms = SystemClock.wall_ms() + i64::try_from(MIN_LIFETIME.as_millis()).unwrap_or(i64::MAX);
        let fresh = self.token().is_some_and(|token| token.expires_ms > least_ms);
        if self.signer.is_none() || fresh {
            Ok(())
        } else {
            self.sign(limit).await
        }
    }

    /// Signs another token, which [`token`](Self::token) then returns.
    pub(crate) async fn sign(&self, limit: Duration) -> Result<(), Error> {
        let Some(signer) = &self.signer else { return Ok(()) };
        let failed = |why: &str| {
            let what = format!("no token can be signed for the brokers: {why}");
            Error::new(ErrorType::AuthenticationFailed, what)
        };
        let token = tokio::time::timeout(limit, signer())
            .await
            .map_err(|elapsed| {
                failed("signing it timed out")
                    .next("Check the source of the tokens and of its credentials")
                    .caused_by(elapsed)
            })?
            .map_err(|why| failed(&why))?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
        Ok(())
    }
}

/// Whether librdkafka would request a token that it does not make itself, and
/// wait for it until the run's deadline.
fn needs_token(properties: &Properties) -> bool {
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
/// execution role.
fn msk_iam_signer(config: &Config) -> Signer {
    let of_brokers = msk_iam::region_of(&config.bootstrap_servers).map(str::to_owned);
    Box::new(move || {
        let of_brokers = of_brokers.clone();
        Box::pin(async move {
            let region = match of_brokers {
                Some(region) => Region::new(region),
                None => aws::region().await.ok_or(
                    "the region of the cluster is unknown: KAFKA_BOOTSTRAP_SERVERS contains none, and no AWS \
                     region is set. Set AWS_REGION",
                )?,
            };
            let credentials = aws::credentials(region.clone(), CallLimits::default())
                .await
                .map_err(|unsent| unsent.to_string())?;
            msk_iam::token(region.as_ref(), &credentials, now())
        })
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "brokers check a token's lifetime with the wall clock"
)]
fn now() -> SystemTime {
    SystemTime::now()
}
