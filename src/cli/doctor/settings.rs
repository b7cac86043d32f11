//! A summary of the settings. Invalid settings end the command before.

use super::DoctorContext;
use super::check::Check;
use crate::config::{Authentication, Config, Properties, variable_of};
use crate::kafka::errors::cause::ClientAuth;

pub(super) fn check(context: &DoctorContext) -> Check {
    let region = context.dynamodb.config().region().map_or("unknown", AsRef::as_ref);
    judge(context.config(), region)
}

/// A summary of the settings, with a warning of insecure ones.
///
/// | | |
/// |---|---|
/// | PLAIN without TLS | warning: the password is sent unencrypted |
/// | TLS without verification of the host name | warning |
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
    let auth = ClientAuth::of(properties);
    let unencrypted = properties.has_sasl() && !properties.has_tls() && auth.mechanism == "PLAIN";
    let any_host = properties.has_tls() && !auth.verifies_host;
    let check = match (unencrypted, any_host) {
        (true, _) => Check::warning(
            "settings",
            format!("{what}; the password is sent unencrypted"),
            "Use SASL_SSL, or a SCRAM mechanism",
        ),
        (_, true) => Check::warning(
            "settings",
            format!("{what}; the host name in certificates is not verified"),
            format!("Remove {}", variable_of("ssl.endpoint.identification.algorithm")),
        ),
        _ if !config.warnings.is_empty() => Check::warning(
            "settings",
            what,
            "Correct or remove the variables below, unless they are intended",
        ),
        _ => Check::ok("settings", what),
    };
    let protocol = properties.protocol().to_ascii_uppercase();
    check
        .with([
            format!("brokers {} by {protocol}", config.bootstrap_servers),
            authentication(config, &auth.mechanism),
        ])
        .with(ca(config))
        .with(config.warnings.iter().cloned())
}

/// How clients authenticate. Without the user name, which is half of the credentials.
fn authentication(config: &Config, mechanism: &str) -> String {
    let properties = &config.kafka_properties;
    match &config.authentication {
        Authentication::MskIam => "authenticated with tokens signed with this AWS role (AWS_MSK_IAM)".into(),
        Authentication::Password(secret) => {
            format!("authenticated with {mechanism}, user name and password of the secret {secret}")
        }
        Authentication::Certificate(secret) => {
            format!("authenticated with the client certificate of the secret {secret}")
        }
        Authentication::Properties if properties.has_sasl() && mechanism == "OAUTHBEARER" => {
            "authenticated with tokens (OAUTHBEARER)".into()
        }
        Authentication::Properties if properties.has_sasl() => {
            format!(
                "authenticated with {mechanism}, user name and password of {}",
                variable_of("sasl.username")
            )
        }
        Authentication::Properties => match own_certificate(properties) {
            Some(variable) if properties.has_tls() => {
                format!("authenticated with the client certificate of {variable}")
            }
            _ => "no authentication".into(),
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

/// The CA that verifies brokers, with TLS.
fn ca(config: &Config) -> Option<String> {
    let properties = &config.kafka_properties;
    let location = properties
        .get("ssl.ca.location")
        .filter(|location| *location != "probe");
    let ca = match (&config.ca_secret, properties.get("ssl.ca.pem"), location) {
        (Some(secret), ..) => format!("the CA of the secret {secret}"),
        (None, Some(_), _) => format!("the CA of {}", variable_of("ssl.ca.pem")),
        (None, None, Some(path)) => format!("the CAs of {path}"),
        (None, None, None) => "the system's CAs".into(),
    };
    properties
        .has_tls()
        .then(|| format!("broker certificates are verified with {ca}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Status;

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:AmazonMSK_x-AbCdEf";
    const PEM: &str = "-----BEGIN CERTIFICATE-----planted/-----END CERTIFICATE-----";

    /// The check of settings such as `KAFKA_GROUP_ID=g; DYNAMODB_TABLE=t`.
    fn judged(settings: &str) -> Check {
        let settings = settings
            .replace("=pem", &format!("={PEM}"))
            .replace("=arn", &format!("={ARN}"));
        let pairs = settings.split("; ").filter_map(|setting| setting.split_once('='));
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::from_lookup(pairs).expect("these are settings");
        judge(&config, "eu-west-1")
    }

    #[test]
    fn authentication_and_ca_are_shown_without_secrets() {
        let none = "no authentication";
        let user = "user name and password of";
        let tls = "KAFKA_SECURITY_PROTOCOL=SSL";
        let sasl = "KAFKA_SECURITY_PROTOCOL=SASL_SSL; KAFKA_SASL_MECHANISM";
        let planted = "KAFKA_SASL_USERNAME=planted; KAFKA_SASL_PASSWORD=planted";
        let system = "the system's CAs";
        let rows = [
            (String::new(), none.to_owned(), ""),
            (tls.to_owned(), none.to_owned(), system),
            (
                format!("{tls}; KAFKA_SSL_CA_LOCATION=/ca.pem"),
                none.to_owned(),
                "the CAs of /ca.pem",
            ),
            (
                format!("{tls}; KAFKA_SSL_CERTIFICATE_PEM=pem; KAFKA_SSL_CA_PEM=pem"),
                "authenticated with the client certificate of KAFKA_SSL_CERTIFICATE_PEM".to_owned(),
                "the CA of KAFKA_SSL_CA_PEM",
            ),
            (
                format!("{tls}; KAFKA_SECRET_ARN=arn"),
                "authenticated with the client certificate of the secret arn".to_owned(),
                system,
            ),
            (
                format!("{sasl}=SCRAM-SHA-512; KAFKA_SECRET_ARN=arn"),
                format!("authenticated with SCRAM-SHA-512, {user} the secret arn"),
                system,
            ),
            (
                format!("{sasl}=PLAIN; {planted}; KAFKA_CA_SECRET_ARN=arn"),
                format!("authenticated with PLAIN, {user} KAFKA_SASL_USERNAME"),
                "the CA of the secret arn",
            ),
            (
                format!("{sasl}=AWS_MSK_IAM"),
                "authenticated with tokens signed with this AWS role".to_owned(),
                system,
            ),
            (
                format!("{sasl}=OAUTHBEARER; KAFKA_ENABLE_SASL_OAUTHBEARER_UNSECURE_JWT=true"),
                "authenticated with tokens (OAUTHBEARER)".to_owned(),
                system,
            ),
        ];
        for (settings, authentication, ca) in rows {
            let check = judged(&settings);
            assert_eq!(check.status, Status::Ok, "{check:?}");
            assert!(check.details[1].starts_with(&authentication), "{check:?}");
            let verified = check.details.get(2).map_or("", String::as_str);
            let expected = format!("broker certificates are verified with {ca}");
            assert!(
                if ca.is_empty() {
                    verified.is_empty()
                } else {
                    verified.starts_with(&expected)
                },
                "{check:?}"
            );
            assert!(!format!("{check:?}").contains("planted"), "{check:?}");
        }
    }

    #[test]
    fn insecure_settings_are_a_warning() {
        let sasl = "KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT; KAFKA_SASL_USERNAME=u; KAFKA_SASL_PASSWORD=p";
        let check = judged(&format!("{sasl}; KAFKA_SASL_MECHANISM=PLAIN"));
        assert_eq!(check.status, Status::Warning);
        assert!(check.what.ends_with("the password is sent unencrypted"), "{check:?}");
        let scram = judged(&format!("{sasl}; KAFKA_SASL_MECHANISM=SCRAM-SHA-256"));
        assert_eq!(scram.status, Status::Ok);
        let check = judged("KAFKA_SECURITY_PROTOCOL=SSL; KAFKA_SSL_ENDPOINT_IDENTIFICATION_ALGORITHM=none");
        let what = "the host name in certificates is not verified";
        assert!(check.what.ends_with(what), "{check:?}");
    }

    #[test]
    fn an_escaped_group_name_and_variables_of_other_programs_are_a_warning() {
        let kubernetes = "KAFKA_PORT: ignored, it is a service variable of Kubernetes";
        let rows = [
            ("KAFKA_GROUP_ID=café", "ConsumerGroup=\"caf%C3%A9\""),
            ("KAFKA_PORT=tcp://10.0.0.1:9092", kubernetes),
        ];
        for (settings, warning) in rows {
            let check = judged(settings);
            assert_eq!(check.status, Status::Warning, "{check:?}");
            assert!(check.details.iter().any(|it| it.contains(warning)), "{check:?}");
        }
    }

    #[test]
    fn topics_group_and_table_are_shown() {
        let check = judged("KAFKA_TOPIC=a,b; KAFKA_GROUP_ID=g; DYNAMODB_TABLE=cursors");
        assert_eq!(check.what, "topics a, b, group g, table cursors in eu-west-1");
    }
}
