//! The text of a secret -> librdkafka's properties. Pure.
//!
//! The shapes are those of AWS's own event source mapping, so that one secret
//! does for both.
//!
//! | secret | shape | properties |
//! |---|---|---|
//! | a user | `{"username","password"}` | `sasl.username`, `sasl.password` |
//! | a client certificate | `{"certificate","privateKey","privateKeyPassword"?}`, PEM | `ssl.certificate.pem`, `ssl.key.pem`, `ssl.key.password` |
//! | an authority | `{"certificate"}`, or the PEM itself | `ssl.ca.pem` |
//!
//! Other fields are left alone. No message shows anything of the text.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::config::{PemKind, is_cut, normalised_pem};

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Password,
    Certificate,
    Authority,
}

/// Properties of librdkafka's, some of them secrets.
pub(super) type Found = Vec<(&'static str, SecretString)>;

/// The properties that the text of a secret stands for; or what is wrong with it.
pub(super) fn read(text: &SecretString, shape: Shape) -> Result<Found, String> {
    let text = text.expose_secret().trim();
    if shape == Shape::Authority && !text.starts_with('{') {
        return Ok(vec![("ssl.ca.pem", pem("it", text, PemKind::Authority)?)]);
    }
    let fields = object(text, shape)?;
    let field = |name: &str| required(&fields, name, shape);
    let pem_field = |name: &str, kind| pem(&format!("its field `{name}`"), field(name)?, kind);
    match shape {
        Shape::Password => Ok(vec![
            ("sasl.username", whole("username", field("username")?)?),
            ("sasl.password", whole("password", field("password")?)?),
        ]),
        Shape::Authority => Ok(vec![("ssl.ca.pem", pem_field("certificate", PemKind::Authority)?)]),
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
    /// As it is written, for people.
    fn example(self) -> &'static str {
        match self {
            Self::Password => r#"{"username": ..., "password": ...}"#,
            Self::Certificate => r#"{"certificate": PEM, "privateKey": PEM, "privateKeyPassword": only if it has one}"#,
            Self::Authority => r#"{"certificate": PEM}, or the PEM itself"#,
        }
    }
}

fn object(text: &str, shape: Shape) -> Result<Map<String, Value>, String> {
    let example = shape.example();
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        // serde_json's words may quote the text.
        Ok(_) => Err(format!("it is JSON, and no object. Store {example}")),
        Err(error) => Err(format!(
            "it is not JSON from line {} column {} on. Store {example}",
            error.line(),
            error.column()
        )),
    }
}

fn required<'a>(fields: &'a Map<String, Value>, name: &str, shape: Shape) -> Result<&'a str, String> {
    let example = shape.example();
    match optional(fields, name)? {
        Some("") => Err(format!("its field `{name}` is empty. Store {example}")),
        Some(text) => Ok(text),
        None => Err(format!("it has no field `{name}`. Store {example}")),
    }
}

fn optional<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("its field `{name}` is no text. Put it in quotes")),
    }
}

/// The text, if librdkafka will use all of it.
fn whole(name: &str, text: &str) -> Result<SecretString, String> {
    if is_cut(text) {
        return Err(format!(
            "its field `{name}` begins with white space, which the Kafka client library cuts off. Remove it from the \
             secret, or choose another value"
        ));
    }
    Ok(text.into())
}

fn pem(what: &str, text: &str, kind: PemKind) -> Result<SecretString, String> {
    let pem = normalised_pem(text, kind).map_err(|why| format!("{what} {why}"))?;
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
        let problem = read(&text.into(), shape).expect_err("it has not this shape");
        assert!(!problem.contains("planted"), "{problem}");
        problem
    }

    #[test]
    fn a_user_has_a_name_and_a_password_as_they_are() {
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
    fn an_authority_is_json_or_pem_with_any_number_of_certificates() {
        let pem = CERTIFICATE.replace("\\n", "\n").repeat(2);
        assert_eq!(found(&pem, Shape::Authority), [("ssl.ca.pem", pem.clone())]);
        // As a console's form or a template leaves it.
        for lost in [
            pem.replace('\n', " "),
            pem.replace('\n', "\\n"),
            pem.replace('\n', "\r\n  "),
        ] {
            assert_eq!(found(&lost, Shape::Authority), [("ssl.ca.pem", pem.clone())]);
        }
        let json = format!(r#"{{"certificate":"{CERTIFICATE}"}}"#);
        let expected = [("ssl.ca.pem", CERTIFICATE.replace("\\n", "\n"))];
        assert_eq!(found(&json, Shape::Authority), expected);
    }

    #[test]
    fn what_is_wrong_is_named_and_nothing_of_the_text_is_shown() {
        let rows = [
            (
                "planted",
                Shape::Password,
                "it is not JSON from line 1 column 1 on. Store {\"username\"",
            ),
            ("\"planted\"", Shape::Password, "it is JSON, and no object"),
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
                "its field `password` is no text",
            ),
            (
                r#"{"certificate":"planted","privateKey":"x"}"#,
                Shape::Certificate,
                "its field `certificate` is no PEM",
            ),
            ("planted", Shape::Authority, "it is no PEM with a certificate"),
            ("{}", Shape::Authority, "it has no field `certificate`"),
            (
                "-----BEGIN CERTIFICATE----- pl$nted",
                Shape::Authority,
                "it is damaged PEM: between BEGIN and END stands what is no base64",
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
            problem.contains("its field `privateKey` is no PEM with a private key"),
            "{problem}"
        );
    }
}
