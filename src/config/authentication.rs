//! How clients authenticate with the brokers: which settings go together.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::arn::Arn;
use super::problem::{InvalidSetting, NotAllowed};
use super::property::{MECHANISMS, Properties, variable_of};

/// The properties that `KAFKA_SECRET_ARN` sets, with SASL.
const PASSWORD: [&str; 2] = ["sasl.username", "sasl.password"];

/// The properties that `KAFKA_SECRET_ARN` replaces, with a client certificate.
const CERTIFICATE: [&str; 8] = [
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.key.location",
    "ssl.key.pem",
    "ssl.key.password",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.engine.id",
];

/// The properties that `KAFKA_CA_SECRET_ARN` replaces.
const CA: [&str; 2] = ["ssl.ca.location", "ssl.ca.pem"];

/// The ARN of a secret: `arn:<partition>:secretsmanager:<region>:<account>:secret:<name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretArn {
    text: String,
    region: String,
}

impl SecretArn {
    /// The region that the secret is in, whatever region the function is in.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The ARN, as it was set.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for SecretArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for SecretArn {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Self, NotAllowed> {
        let arn = Arn::parse(text, "secretsmanager");
        match arn.and_then(|arn| Some((arn.region, arn.resource.strip_prefix("secret:")?))) {
            Some((region, name)) if is_secret_name(name) => Ok(Self {
                text: text.to_owned(),
                region: region.to_owned(),
            }),
            _ => Err(NotAllowed::new(
                "must be the ARN of a Secrets Manager secret, arn:aws:secretsmanager:<region>:<account of 12 \
                 digits>:secret:<name>, such as \
                 arn:aws:secretsmanager:eu-central-1:123456789012:secret:AmazonMSK_orders-AbCdEf",
            )),
        }
    }
}

/// As Secrets Manager's `CreateSecret` allows names, with the dash and the six characters that it appends.
fn is_secret_name(text: &str) -> bool {
    let valid = |b: u8| b.is_ascii_alphanumeric() || b"/_+=.@-".contains(&b);
    (1..=519).contains(&text.len()) && text.bytes().all(valid)
}

/// How clients authenticate with the brokers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Authentication {
    /// By the librdkafka properties alone, or not at all.
    #[default]
    Properties,
    /// With the user and the password in this secret (SASL).
    Password(SecretArn),
    /// With the client certificate and its key in this secret (mutual TLS).
    Certificate(SecretArn),
    /// With tokens signed for Amazon MSK with the AWS credentials of the process.
    MskIam,
}

/// Checks which settings go together, and returns how clients authenticate.
///
/// | `KAFKA_SECURITY_PROTOCOL` | mechanism | `KAFKA_SECRET_ARN` | |
/// |---|---|---|---|
/// | `PLAINTEXT` (default) | any | unset | no authentication |
/// | `PLAINTEXT` | any | set | wrong: it is not used |
/// | `SSL` | any | unset | the client certificate of the properties, if any |
/// | `SSL` | any | set | a client certificate in the secret; none in the properties |
/// | `SASL_*` | none | any | wrong: librdkafka defaults to Kerberos |
/// | `SASL_*` | `PLAIN`, `SCRAM-*` | unset | user and password of the properties; both are needed |
/// | `SASL_*` | `PLAIN`, `SCRAM-*` | set | user and password in the secret; neither in the properties |
/// | `SASL_*` | `OAUTHBEARER` | unset | tokens made by librdkafka |
/// | `SASL_*` | `OAUTHBEARER` | set | wrong: it contains no token |
/// | `SASL_SSL` | `AWS_MSK_IAM` | unset | signed tokens |
/// | `SASL_SSL` | `AWS_MSK_IAM` | set | wrong: it is not used |
/// | other | `AWS_MSK_IAM` | any | wrong: a token must not be sent unencrypted |
///
/// `given` names the variable of each property, also of those that are wrong.
pub(super) fn authentication(
    properties: &Properties,
    given: &BTreeMap<String, &str>,
    msk_iam: bool,
    secret: Option<SecretArn>,
    problems: &mut Vec<InvalidSetting>,
) -> Authentication {
    let protocol = properties.protocol().to_ascii_uppercase();
    let refuse_secret = |why: &str| InvalidSetting::name("KAFKA_SECRET_ARN", why.to_owned());
    if msk_iam {
        if protocol != "SASL_SSL" {
            let why = "AWS_MSK_IAM needs KAFKA_SECURITY_PROTOCOL=SASL_SSL: a signed token must not be sent unencrypted";
            problems.push(InvalidSetting::name("KAFKA_SECURITY_PROTOCOL", why));
        }
        if secret.is_some() {
            problems.push(refuse_secret(
                "AWS_MSK_IAM signs with the function's role and needs no secret; remove it",
            ));
        }
        return Authentication::MskIam;
    }
    if properties.has_sasl() {
        return sasl_authentication(properties, given, secret, problems);
    }
    match secret {
        Some(secret) if protocol == "SSL" => {
            refuse_beside(
                given,
                &CERTIFICATE,
                "KAFKA_SECRET_ARN",
                "the client certificate",
                problems,
            );
            Authentication::Certificate(secret)
        }
        Some(_) => {
            problems.push(refuse_secret(
                "not used with KAFKA_SECURITY_PROTOCOL=PLAINTEXT, which is the default; use SASL_SSL for a \
                 user and a password, or SSL for a client certificate",
            ));
            Authentication::Properties
        }
        None => Authentication::Properties,
    }
}

/// SASL without the properties that it needs: librdkafka reports it only when a client is created.
fn sasl_authentication(
    properties: &Properties,
    given: &BTreeMap<String, &str>,
    secret: Option<SecretArn>,
    problems: &mut Vec<InvalidSetting>,
) -> Authentication {
    if !given.contains_key("sasl.mechanisms") {
        let why = format!(
            "not set; KAFKA_SECURITY_PROTOCOL={} needs one of {}",
            properties.protocol(),
            MECHANISMS.join(", ")
        );
        problems.push(InvalidSetting::name("KAFKA_SASL_MECHANISM", why));
        return Authentication::Properties;
    }
    let mechanism = properties.get("sasl.mechanisms");
    match (mechanism, secret) {
        (Some("OAUTHBEARER"), Some(_)) => {
            let why = "OAUTHBEARER uses tokens, and a secret contains none; remove it, or use AWS_MSK_IAM, SCRAM-SHA-512 or PLAIN";
            problems.push(InvalidSetting::name("KAFKA_SECRET_ARN", why));
            Authentication::Properties
        }
        (_, Some(secret)) => {
            refuse_beside(
                given,
                &PASSWORD,
                "KAFKA_SECRET_ARN",
                "the user and the password",
                problems,
            );
            Authentication::Password(secret)
        }
        (None | Some("OAUTHBEARER"), None) => Authentication::Properties,
        (Some(mechanism), None) => {
            for needed in PASSWORD {
                if !given.contains_key(needed) {
                    let why = format!("not set; KAFKA_SASL_MECHANISM={mechanism} needs it, or KAFKA_SECRET_ARN");
                    problems.push(InvalidSetting::name(&variable_of(needed), why));
                }
            }
            Authentication::Properties
        }
    }
}

/// A certificate authority (CA) in a secret needs a connection with TLS, and no other CA in the properties.
pub(super) fn check_ca(
    properties: &Properties,
    given: &BTreeMap<String, &str>,
    secret: Option<&SecretArn>,
    problems: &mut Vec<InvalidSetting>,
) {
    if secret.is_none() {
        return;
    }
    if !properties.has_tls() {
        let why = "needs KAFKA_SECURITY_PROTOCOL SASL_SSL or SSL: without TLS there is no certificate to verify";
        problems.push(InvalidSetting::name("KAFKA_CA_SECRET_ARN", why));
    }
    refuse_beside(given, &CA, "KAFKA_CA_SECRET_ARN", "the certificate authority", problems);
}

/// Refuses properties that the secret sets too: it would not be clear which of the two applies.
fn refuse_beside(
    given: &BTreeMap<String, &str>,
    names: &[&str],
    secret: &str,
    what: &str,
    problems: &mut Vec<InvalidSetting>,
) {
    for variable in names.iter().filter_map(|name| given.get(*name)) {
        let why = format!("{secret} sets {what} too; set one of them only");
        problems.push(InvalidSetting::name(variable, why));
    }
}
