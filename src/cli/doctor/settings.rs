//! What the settings come to. Wrong ones ended the command before.

use super::Practice;
use super::check::Check;
use crate::config::{Authentication, Config, Properties, variable_of};

pub(super) fn check(practice: &Practice) -> Check {
    let region = practice.dynamodb.config().region().map_or("unknown", AsRef::as_ref);
    judge(practice.config(), region)
}

/// What the settings come to, with a warning of what they leave open.
///
/// | | |
/// |---|---|
/// | PLAIN without TLS | warning: the password is sent in the clear |
/// | TLS that verifies no host name | warning |
/// | a warning of the settings | warning |
/// | else | ok |
fn judge(config: &Config, region: &str) -> Check {
    let properties = &config.kafka_properties;
    let topics = if config.topics.len() == 1 { "topic" } else { "topics" };
    let what = format!(
        "{topics} {}, group {}, table {} in {region}",
        config.topics.join(", "),
        config.group_id,
        config.table
    );
    let in_the_clear = properties.has_sasl() && !properties.has_tls() && mechanism(properties) == "PLAIN";
    let nameless = properties.has_tls() && !verifies_host(properties);
    let check = match (in_the_clear, nameless) {
        (true, _) => Check::warning(
            "settings",
            format!("{what}; the password is sent in the clear"),
            "Use SASL_SSL, or a SCRAM mechanism",
        ),
        (_, true) => Check::warning(
            "settings",
            format!("{what}; a certificate for any host is taken"),
            format!("Remove {}", variable_of("ssl.endpoint.identification.algorithm")),
        ),
        _ if !config.warnings.is_empty() => Check::warning(
            "settings",
            what,
            "Correct or remove the variables below, if they are not meant so",
        ),
        _ => Check::ok("settings", what),
    };
    let protocol = properties.protocol().to_ascii_uppercase();
    check
        .with([
            format!("brokers {} by {protocol}", config.bootstrap_servers),
            who(config),
        ])
        .with(whom(config))
        .with(config.warnings.iter().cloned())
}

pub(super) fn verifies_host(properties: &Properties) -> bool {
    let algorithm = properties.get("ssl.endpoint.identification.algorithm");
    !algorithm.is_some_and(|it| it.trim().eq_ignore_ascii_case("none"))
}

pub(super) fn mechanism(properties: &Properties) -> &str {
    properties.get("sasl.mechanisms").unwrap_or_default()
}

/// What proves who this is. Never who: a user's name is half of what logs in.
fn who(config: &Config) -> String {
    let properties = &config.kafka_properties;
    let mechanism = mechanism(properties);
    match &config.authentication {
        Authentication::MskIam => "proved by tokens signed with this AWS role (AWS_MSK_IAM)".into(),
        Authentication::Password(secret) => format!("proved by {mechanism}, user and password of the secret {secret}"),
        Authentication::Certificate(secret) => format!("proved by the client certificate of the secret {secret}"),
        Authentication::Properties if properties.has_sasl() && mechanism == "OAUTHBEARER" => {
            "proved by tokens (OAUTHBEARER)".into()
        }
        Authentication::Properties if properties.has_sasl() => {
            format!(
                "proved by {mechanism}, user and password of {}",
                variable_of("sasl.username")
            )
        }
        Authentication::Properties => match own_certificate(properties) {
            Some(variable) if properties.has_tls() => format!("proved by the client certificate of {variable}"),
            _ => "nothing proves who this is".into(),
        },
    }
}

fn own_certificate(properties: &Properties) -> Option<String> {
    let sources = [
        "ssl.keystore.location",
        "ssl.certificate.pem",
        "ssl.certificate.location",
    ];
    let source = sources.into_iter().find(|source| properties.get(source).is_some())?;
    Some(variable_of(source))
}

/// Whom to trust, where there is TLS.
fn whom(config: &Config) -> Option<String> {
    let properties = &config.kafka_properties;
    let location = properties
        .get("ssl.ca.location")
        .filter(|location| *location != "probe");
    let authority = match (&config.ca_secret, properties.get("ssl.ca.pem"), location) {
        (Some(secret), ..) => format!("the authority of the secret {secret}"),
        (None, Some(_), _) => format!("the authority of {}", variable_of("ssl.ca.pem")),
        (None, None, Some(path)) => format!("the authorities of {path}"),
        (None, None, None) => "the system's authorities".into(),
    };
    properties
        .has_tls()
        .then(|| format!("brokers are trusted by {authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Status;

    type Given<'a> = &'a [(&'a str, &'a str)];

    const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:AmazonMSK_x-AbCdEf";

    const PEM: &str = "-----BEGIN CERTIFICATE-----planted/-----END CERTIFICATE-----";

    fn judged(settings: &[(&str, &str)]) -> Check {
        let pairs = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::from_lookup(pairs).expect("these are settings");
        judge(&config, "eu-west-1")
    }

    #[test]
    fn what_proves_who_this_is_and_whom_it_trusts_is_told_and_no_secret() {
        let tls = ("KAFKA_SECURITY_PROTOCOL", "SSL");
        let sasl = ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL");
        let system = "brokers are trusted by the system's authorities";
        let rows: [(Given<'_>, &str, Option<&str>); 9] = [
            (&[], "nothing proves who this is", None),
            (&[tls], "nothing proves who this is", Some(system)),
            (
                &[tls, ("KAFKA_SSL_CA_LOCATION", "/ca.pem")],
                "nothing proves who this is",
                Some("brokers are trusted by the authorities of /ca.pem"),
            ),
            (
                &[tls, ("KAFKA_SSL_CERTIFICATE_PEM", PEM), ("KAFKA_SSL_CA_PEM", PEM)],
                "proved by the client certificate of KAFKA_SSL_CERTIFICATE_PEM",
                Some("brokers are trusted by the authority of KAFKA_SSL_CA_PEM"),
            ),
            (
                &[tls, ("KAFKA_SECRET_ARN", SECRET)],
                "proved by the client certificate of the secret arn",
                Some(system),
            ),
            (
                &[
                    sasl,
                    ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
                    ("KAFKA_SECRET_ARN", SECRET),
                ],
                "proved by SCRAM-SHA-512, user and password of the secret arn",
                Some(system),
            ),
            (
                &[
                    sasl,
                    ("KAFKA_SASL_MECHANISM", "PLAIN"),
                    ("KAFKA_SASL_USERNAME", "planted"),
                    ("KAFKA_SASL_PASSWORD", "planted"),
                    ("KAFKA_CA_SECRET_ARN", SECRET),
                ],
                "proved by PLAIN, user and password of KAFKA_SASL_USERNAME",
                Some("brokers are trusted by the authority of the secret arn"),
            ),
            (
                &[sasl, ("KAFKA_SASL_MECHANISM", "AWS_MSK_IAM")],
                "proved by tokens signed with this AWS role",
                Some(system),
            ),
            (
                &[
                    sasl,
                    ("KAFKA_SASL_MECHANISM", "OAUTHBEARER"),
                    ("KAFKA_ENABLE_SASL_OAUTHBEARER_UNSECURE_JWT", "true"),
                ],
                "proved by tokens (OAUTHBEARER)",
                Some(system),
            ),
        ];
        for (settings, who, whom) in rows {
            let check = judged(settings);
            assert_eq!(check.status, Status::Ok, "{check:?}");
            assert!(check.details[1].starts_with(who), "{check:?}");
            let trusted = check.details.get(2);
            assert_eq!(trusted.is_some(), whom.is_some(), "{check:?}");
            assert!(
                trusted.is_none_or(|it| it.starts_with(whom.unwrap_or_default())),
                "{check:?}"
            );
            assert!(!format!("{check:?}").contains("planted"), "{check:?}");
        }
    }

    #[test]
    fn what_is_left_open_is_warned_of() {
        let user = [("KAFKA_SASL_USERNAME", "u"), ("KAFKA_SASL_PASSWORD", "p")];
        let clear = [
            ("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"),
            ("KAFKA_SASL_MECHANISM", "PLAIN"),
        ];
        let check = judged(&[user, clear].concat());
        assert_eq!(check.status, Status::Warning);
        assert!(check.what.ends_with("the password is sent in the clear"), "{check:?}");
        let scram = [
            ("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"),
            ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-256"),
        ];
        assert_eq!(judged(&[user, scram].concat()).status, Status::Ok);
        let any_host = [
            ("KAFKA_SECURITY_PROTOCOL", "SSL"),
            ("KAFKA_SSL_ENDPOINT_IDENTIFICATION_ALGORITHM", "none"),
        ];
        assert!(judged(&any_host).what.ends_with("a certificate for any host is taken"));
    }

    #[test]
    fn a_group_that_metrics_cannot_name_and_variables_of_other_programs_are_warned_of() {
        for (variable, value, said) in [
            ("KAFKA_GROUP_ID", "café", "ConsumerGroup=\"caf%C3%A9\""),
            (
                "KAFKA_PORT",
                "tcp://10.0.0.1:9092",
                "KAFKA_PORT: is a service variable of Kubernetes",
            ),
        ] {
            let check = judged(&[(variable, value)]);
            assert_eq!(check.status, Status::Warning, "{check:?}");
            assert!(check.details.iter().any(|it| it.contains(said)), "{check:?}");
        }
    }

    #[test]
    fn topics_group_and_table_are_named() {
        assert_eq!(
            judged(&[
                ("KAFKA_TOPIC", "a,b"),
                ("KAFKA_GROUP_ID", "g"),
                ("DYNAMODB_TABLE", "cursors")
            ])
            .what,
            "topics a, b, group g, table cursors in eu-west-1"
        );
    }
}
