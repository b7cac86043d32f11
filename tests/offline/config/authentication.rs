//! Authentication: every protocol with every mechanism, with and without a secret.

use kafka_consumer_lambda::config::{Authentication, SecretArn};

use super::{accepted, assert_refused, read, refused};

const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:AmazonMSK_orders-AbCdEf";

fn arn() -> SecretArn {
    SECRET.parse().expect("an ARN")
}

/// The authentication of these settings, or the variables that are reported.
fn authentication(
    protocol: &str,
    mechanism: &str,
    with_secret: bool,
    with_password: bool,
) -> Result<Authentication, Vec<String>> {
    let mut vars = vec![
        ("KAFKA_SECURITY_PROTOCOL", protocol),
        ("KAFKA_SASL_MECHANISM", mechanism),
    ];
    if with_secret {
        vars.push(("KAFKA_SECRET_ARN", SECRET));
    }
    if with_password {
        vars.extend([("KAFKA_SASL_USERNAME", "u"), ("KAFKA_SASL_PASSWORD", "p")]);
    }
    read(&vars).map(|config| config.authentication).map_err(|problems| {
        let text = problems.to_string();
        let names = text.lines().filter_map(|line| line.split([':', '=']).next());
        names
            .filter(|name| name.starts_with("KAFKA_"))
            .map(str::to_owned)
            .collect()
    })
}

fn wrong(variables: &[&str]) -> Result<Authentication, Vec<String>> {
    Err(variables.iter().map(|it| (*it).to_owned()).collect())
}

#[test]
fn every_protocol_and_mechanism_accepts_the_credentials_that_it_can_use_and_no_other() {
    let (properties, password) = (Ok(Authentication::Properties), Ok(Authentication::Password(arn())));
    let certificate = Ok(Authentication::Certificate(arn()));
    let no_secret = wrong(&["KAFKA_SECRET_ARN"]);
    let both = wrong(&["KAFKA_SASL_PASSWORD", "KAFKA_SASL_USERNAME"]);
    // Without a secret; with a secret; with a secret and a password beside it.
    let mut rows = vec![
        (
            "PLAINTEXT",
            "",
            properties.clone(),
            no_secret.clone(),
            no_secret.clone(),
        ),
        ("", "", properties.clone(), no_secret.clone(), no_secret.clone()),
        ("SSL", "", properties.clone(), certificate.clone(), certificate),
    ];
    for protocol in ["SASL_PLAINTEXT", "SASL_SSL"] {
        let missing = wrong(&["KAFKA_SASL_MECHANISM"]);
        rows.push((protocol, "", missing.clone(), missing.clone(), missing));
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let neither = wrong(&["KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"]);
            rows.push((protocol, mechanism, neither, password.clone(), both.clone()));
        }
        rows.push((
            protocol,
            "OAUTHBEARER",
            properties.clone(),
            no_secret.clone(),
            no_secret.clone(),
        ));
    }
    rows.push((
        "SASL_SSL",
        "AWS_MSK_IAM",
        Ok(Authentication::MskIam),
        no_secret.clone(),
        no_secret,
    ));
    for protocol in ["", "PLAINTEXT", "SSL", "SASL_PLAINTEXT"] {
        let unencrypted = wrong(&["KAFKA_SECURITY_PROTOCOL"]);
        let and_a_secret = wrong(&["KAFKA_SECURITY_PROTOCOL", "KAFKA_SECRET_ARN"]);
        rows.push((protocol, "AWS_MSK_IAM", unencrypted, and_a_secret.clone(), and_a_secret));
    }
    for (protocol, mechanism, without, with, with_both) in rows {
        let sorted = |result: Result<Authentication, Vec<String>>| {
            result.map_err(|mut names| {
                names.sort();
                names
            })
        };
        let row = format!("{protocol} {mechanism}");
        assert_eq!(
            sorted(authentication(protocol, mechanism, false, false)),
            sorted(without),
            "{row}"
        );
        assert_eq!(
            sorted(authentication(protocol, mechanism, true, false)),
            sorted(with),
            "{row} with a secret"
        );
        assert_eq!(
            sorted(authentication(protocol, mechanism, true, true)),
            sorted(with_both),
            "{row} with both"
        );
    }
}

#[test]
fn msk_iam_is_oauthbearer_for_librdkafka() {
    let config = accepted(&[
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
        ("KAFKA_SASL_MECHANISM", "AWS_MSK_IAM"),
    ]);
    assert_eq!(config.kafka_properties.get("sasl.mechanisms"), Some("OAUTHBEARER"));
}

#[test]
fn a_client_certificate_comes_from_the_secret_or_from_the_properties() {
    let text = refused(&[
        ("KAFKA_SECURITY_PROTOCOL", "SSL"),
        ("KAFKA_SECRET_ARN", SECRET),
        ("KAFKA_SSL_KEYSTORE_LOCATION", "/k"),
    ]);
    let expected =
        "KAFKA_SSL_KEYSTORE_LOCATION: KAFKA_SECRET_ARN sets the client certificate too; set one of them only";
    assert_eq!(text, expected);
}

#[test]
fn a_ca_in_a_secret_needs_tls_and_no_other_ca_in_the_properties() {
    let with = |protocol: &str, more: &[(&str, &str)]| {
        let mut vars = vec![("KAFKA_SECURITY_PROTOCOL", protocol), ("KAFKA_CA_SECRET_ARN", SECRET)];
        vars.extend(more);
        read(&vars)
    };
    assert_eq!(with("SSL", &[]).expect("it is right").ca_secret, Some(arn()));
    let problems = with("", &[]).expect_err("without TLS").to_string();
    assert_eq!(
        problems,
        "KAFKA_CA_SECRET_ARN: needs KAFKA_SECURITY_PROTOCOL SASL_SSL or SSL: without TLS there is no certificate to verify"
    );
    let problems = with("SSL", &[("KAFKA_SSL_CA_PEM", "x")])
        .expect_err("two of them")
        .to_string();
    assert!(
        problems.contains("KAFKA_CA_SECRET_ARN sets the certificate authority too"),
        "{problems}"
    );
}

#[test]
fn the_arn_of_a_secret_is_validated_before_any_request() {
    for other in [
        "AmazonMSK_orders",
        "arn:aws:sqs:eu-central-1:123456789012:orders",
        "arn:aws:secretsmanager:eu-central-1:1:secret:x",
        "arn:aws:secretsmanager:eu-central-1:123456789012:secret:",
        "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x:username::",
    ] {
        let text = refused(&[("KAFKA_SECURITY_PROTOCOL", "SSL"), ("KAFKA_SECRET_ARN", other)]);
        // Not shown: it may be the password itself.
        assert!(text.starts_with("KAFKA_SECRET_ARN=***: must be the ARN of"), "{text}");
    }
    for right in [
        SECRET,
        "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:a/b_c+d=e.f@g-h",
    ] {
        let config = accepted(&[("KAFKA_SECURITY_PROTOCOL", "SSL"), ("KAFKA_SECRET_ARN", right)]);
        assert_eq!(
            config.authentication,
            Authentication::Certificate(right.parse().expect("an ARN"))
        );
    }
}

#[test]
fn a_mechanism_that_this_build_does_not_support_is_refused_with_those_that_it_supports() {
    assert_refused(
        "KAFKA_SASL_MECHANISM",
        "GSSAPI",
        "=\"GSSAPI\": must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, AWS_MSK_IAM",
    );
}

#[test]
fn tokens_over_https_are_refused_because_this_build_has_no_client_for_it() {
    assert_refused(
        "KAFKA_SASL_OAUTHBEARER_METHOD",
        "oidc",
        "=\"oidc\": Configuration property \"sasl.oauthbearer.method\" not supported in this build: OAuth/OIDC depends on libcurl and OpenSSL which were not available at build time",
    );
}
