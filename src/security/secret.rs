//! The text of a secret -> librdkafka properties. Pure.
//!
//! The shapes are those of AWS's own event source mapping, so that both can use
//! the same secret.
//!
//! | secret | shape | properties |
//! |---|---|---|
//! | a user | `{"username","password"}` | `sasl.username`, `sasl.password` |
//! | a client certificate | `{"certificate","privateKey","privateKeyPassword"?}`, PEM | `ssl.certificate.pem`, `ssl.key.pem`, `ssl.key.password` |
//! | a certificate authority (CA) | `{"certificate"}`, or the PEM itself | `ssl.ca.pem` |
//!
//! Other fields are ignored. No message quotes the text.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::config::{PemKind, SecretArn, is_cut, normalised_pem};
use crate::error::{Error, ErrorType};

/// Why a secret cannot be used, in two parts as in [`Error`]. Quotes nothing of the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unusable {
    what: String,
    next: String,
}

impl Unusable {
    /// What happened, and what to do next.
    pub(super) fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            next: next.into(),
        }
    }

    /// The error for the secret `arn` in the variable `setting`.
    pub(super) fn of(self, arn: &SecretArn, setting: &str) -> Error {
        let what = format!("the secret {arn} of {setting} cannot be used: {}", self.what);
        Error::new(ErrorType::InvalidConfiguration, what).next(self.next)
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}", self.what, self.next)
    }
}

/// The kind of a secret, which decides its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Password,
    Certificate,
    Ca,
}

/// librdkafka properties from a secret.
pub(super) type SecretProperties = Vec<(&'static str, SecretString)>;

/// The properties in the text of a secret.
pub(super) fn read(text: &SecretString, shape: Shape) -> Result<SecretProperties, Unusable> {
    let text = text.expose_secret().trim();
    if shape == Shape::Ca && !text.starts_with('{') {
        return Ok(vec![("ssl.ca.pem", pem("it", text, PemKind::Ca)?)]);
    }
    let fields = object(text, shape)?;
    let field = |name: &str| required(&fields, name, shape);
    let pem_field = |name: &str, kind| pem(&format!("its field `{name}`"), field(name)?, kind);
    match shape {
        Shape::Password => Ok(vec![
            ("sasl.username", whole("username", field("username")?)?),
            ("sasl.password", whole("password", field("password")?)?),
        ]),
        Shape::Ca => Ok(vec![("ssl.ca.pem", pem_field("certificate", PemKind::Ca)?)]),
        Shape::Certificate => {
            let mut found = vec![
                ("ssl.certificate.pem", pem_field("certificate", PemKind::Certificate)?),
                ("ssl.key.pem", pem_field("privateKey", PemKind::Key)?),
            ];
            if let Some(password) = optional(&fields, "privateKeyPassword")? {
                found.push(("ssl.key.password", whole("privateKeyPassword", password)?));
            }
            Ok(found)
        }
    }
}

impl Shape {
    /// The shape, for messages.
    fn example(self) -> &'static str {
        match self {
            Self::Password => r#"{"username": ..., "password": ...}"#,
            Self::Certificate => r#"{"certificate": PEM, "privateKey": PEM, "privateKeyPassword": only if it has one}"#,
            Self::Ca => r#"{"certificate": PEM}, or the PEM itself"#,
        }
    }
}

fn object(text: &str, shape: Shape) -> Result<Map<String, Value>, Unusable> {
    let misshapen = |what: String| Unusable::new(what, format!("Store {}", shape.example()));
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(misshapen("it is JSON, and not an object".to_owned())),
        // serde_json's message may quote the text.
        Err(error) => Err(misshapen(format!(
            "it is not JSON from line {} column {} on",
            error.line(),
            error.column()
        ))),
    }
}

fn required<'a>(fields: &'a Map<String, Value>, name: &str, shape: Shape) -> Result<&'a str, Unusable> {
    let misshapen = |what: String| Unusable::new(what, format!("Store {}", shape.example()));
    match optional(fields, name)? {
        Some("") => Err(misshapen(format!("its field `{name}` is empty"))),
        Some(text) => Ok(text),
        None => Err(misshapen(format!("it has no field `{name}`"))),
    }
}

fn optional<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Unusable> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Unusable::new(
            format!("its field `{name}` is not a string"),
            "Put it in quotes",
        )),
    }
}

/// The text, if librdkafka uses all of it.
fn whole(name: &str, text: &str) -> Result<SecretString, Unusable> {
    if is_cut(text) {
        return Err(Unusable::new(
            format!("its field `{name}` begins with white space, which the Kafka client library cuts off"),
            "Remove it from the secret, or choose another value",
        ));
    }
    Ok(text.into())
}

fn pem(what: &str, text: &str, kind: PemKind) -> Result<SecretString, Unusable> {
    let pem = normalised_pem(text, kind)
        .map_err(|invalid| Unusable::new(format!("{what} {}", invalid.what), invalid.next))?;
    Ok(pem.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\\nMII\\n-----END CERTIFICATE-----\\n";
    const KEY: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\\nMII\\n-----END ENCRYPTED PRIVATE KEY-----\\n";

    fn found(text: &str, shape: Shape) -> Vec<(&'static str, String)> {
        let found = read(&text.into(), shape).expect("it has this shape");
        let shown = found.into_iter();
        shown
            .map(|(name, value)| (name, value.expose_secret().to_owned()))
            .collect()
    }

    fn wrong(text: &str, shape: Shape) -> String {
        let problem = read(&text.into(), shape).expect_err("it has another shape").to_string();
        assert!(!problem.contains("planted"), "{problem}");
        problem
    }

    #[test]
    fn user_name_and_password_are_taken_unchanged() {
        let text = r#" {"username":"u","password":"p\"ä ","engine":"kafka","port":9} "#;
        let expected = [("sasl.username", "u".to_owned()), ("sasl.password", "p\"ä ".to_owned())];
        assert_eq!(found(text, Shape::Password), expected);
    }

    #[test]
    fn a_client_certificate_has_a_key_that_may_be_encrypted() {
        let plain = format!(r#"{{"certificate":"{CERTIFICATE}","privateKey":"{KEY}"}}"#);
        let names = |found: Vec<(&'static str, String)>| found.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(
            names(found(&plain, Shape::Certificate)),
            ["ssl.certificate.pem", "ssl.key.pem"]
        );
        let encrypted = plain.replace('}', r#","privateKeyPassword":"k"}"#);
        let expected = ["ssl.certificate.pem", "ssl.key.pem", "ssl.key.password"];
        assert_eq!(names(found(&encrypted, Shape::Certificate)), expected);
    }

    #[test]
    fn a_ca_is_json_or_pem_with_any_number_of_certificates() {
        let pem = CERTIFICATE.replace("\\n", "\n").repeat(2);
        assert_eq!(found(&pem, Shape::Ca), [("ssl.ca.pem", pem.clone())]);
        // As a console's form or a template leaves it.
        for lost in [
            pem.replace('\n', " "),
            pem.replace('\n', "\\n"),
            pem.replace('\n', "\r\n  "),
        ] {
            assert_eq!(found(&lost, Shape::Ca), [("ssl.ca.pem", pem.clone())]);
        }
        let json = format!(r#"{{"certificate":"{CERTIFICATE}"}}"#);
        let expected = [("ssl.ca.pem", CERTIFICATE.replace("\\n", "\n"))];
        assert_eq!(found(&json, Shape::Ca), expected);
    }

    #[test]
    fn each_problem_names_its_field_and_quotes_nothing_of_the_text() {
        let rows = [
            (
                "planted",
                Shape::Password,
                "it is not JSON from line 1 column 1 on. Store {\"username\"",
            ),
            ("\"planted\"", Shape::Password, "it is JSON, and not an object"),
            (
                r#"{"username":"planted"}"#,
                Shape::Password,
                "it has no field `password`. Store {\"username\"",
            ),
            (
                r#"{"username":"planted","password":null}"#,
                Shape::Password,
                "it has no field `password`",
            ),
            (
                r#"{"username":"","password":"planted"}"#,
                Shape::Password,
                "its field `username` is empty",
            ),
            (
                r#"{"username":"planted","password":17}"#,
                Shape::Password,
                "its field `password` is not a string",
            ),
            (
                r#"{"certificate":"planted","privateKey":"x"}"#,
                Shape::Certificate,
                "its field `certificate` is not PEM",
            ),
            ("planted", Shape::Ca, "it is not PEM with a certificate"),
            ("{}", Shape::Ca, "it has no field `certificate`"),
            (
                "-----BEGIN CERTIFICATE----- pl$nted",
                Shape::Ca,
                "it is damaged PEM: the text between BEGIN and END is not base64",
            ),
            (
                r#"{"username":"u","password":" planted"}"#,
                Shape::Password,
                "its field `password` begins with white space, which the Kafka client library cuts off",
            ),
            (
                r#"{"username":"\nu","password":"planted"}"#,
                Shape::Password,
                "its field `username` begins with white space",
            ),
        ];
        for (text, shape, expected) in rows {
            let problem = wrong(text, shape);
            assert!(problem.contains(expected), "{text}: {problem}");
        }
        let no_key = format!(r#"{{"certificate":"{CERTIFICATE}","privateKey":"{CERTIFICATE}"}}"#);
        let problem = wrong(&no_key, Shape::Certificate);
        assert!(
            problem.contains("its field `privateKey` is not PEM with a private key"),
            "{problem}"
        );
    }
}
