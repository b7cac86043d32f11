//! Why librdkafka creates no client from the properties, in terms of the settings.

use super::Explanation;
use crate::config::variable_of;

/// The properties of certificates and keys.
const FILES: [&str; 6] = [
    "ssl.ca.pem",
    "ssl.ca.location",
    "ssl.certificate.pem",
    "ssl.certificate.location",
    "ssl.key.pem",
    "ssl.key.location",
];

/// What is wrong, and what to do next.
///
/// | librdkafka's and OpenSSL's text | meaning |
/// |---|---|
/// | `bad password read`, `maybe wrong password`, `bad decrypt` | the key is encrypted, and the password is none or wrong |
/// | `key values mismatch` | the key is another certificate's |
/// | `no certificate assigned` | a key without a certificate |
/// | `ssl.ca.pem` and its like | no PEM, or not of this |
/// | `ssl.ca.location` and its like | no such file, or no PEM in it |
pub(crate) fn client_not_created(text: &str) -> Explanation {
    let has = |part: &str| text.contains(part);
    if has("bad password read") || has("maybe wrong password") || has("bad decrypt") {
        return encrypted_key("missing or wrong");
    }
    if has("key values mismatch") {
        return key_mismatch();
    }
    if has("no certificate assigned") {
        return Explanation::new(
            "there is a private key without its certificate",
            "Set KAFKA_SSL_CERTIFICATE_PEM too, or put both into the secret of KAFKA_SECRET_ARN",
        );
    }
    if let Some(property) = FILES.into_iter().find(|property| has(property)) {
        return no_pem(property);
    }
    let text = text.trim_start_matches("Client creation error: ");
    Explanation::new(
        format!("the Kafka client cannot be created: {text}"),
        "Correct the KAFKA_* setting it names",
    )
}

/// The private key cannot be decrypted, because its password is `missing` or `wrong`.
pub(crate) fn encrypted_key(password: &str) -> Explanation {
    Explanation::new(
        format!("the private key is encrypted, and its password is {password}"),
        "Set KAFKA_SSL_KEY_PASSWORD, or privateKeyPassword in the secret of KAFKA_SECRET_ARN",
    )
}

/// The private key is another certificate's.
pub(crate) fn key_mismatch() -> Explanation {
    Explanation::new(
        "the private key does not belong to the certificate",
        "Use a pair; in a file with a chain the client's own certificate comes first",
    )
}

/// A property of a certificate or key holds none, or its file does not.
pub(crate) fn no_pem(property: &str) -> Explanation {
    let variable = variable_of(property);
    let what = if property.starts_with("ssl.key.") {
        "private key"
    } else {
        "certificate"
    };
    if property.ends_with("pem") {
        Explanation::new(
            format!("{variable}, or the secret in its place, holds no {what} in PEM"),
            "Set all of it, from its BEGIN line to its END line",
        )
    } else {
        Explanation::new(
            format!("{variable} names no file that can be read and holds a {what} in PEM"),
            "Correct the path, or the line breaks and the indentation in the file",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_of_a_certificate_or_key_names_the_setting_and_what_is_wrong_with_it() {
        let rows = [
            (
                "ssl.key.pem failed: not in PEM format?: error:04800068:PEM routines::bad password read",
                "Set KAFKA_SSL_KEY_PASSWORD",
            ),
            (
                "ssl.key.pem failed: not in PEM format?: error:11800074:PKCS12 routines::pkcs12 cipherfinal error: \
                 maybe wrong password",
                "Set KAFKA_SSL_KEY_PASSWORD",
            ),
            (
                "ssl.key.pem failed: error:05800074:x509 certificate routines::key values mismatch",
                "does not belong to the certificate",
            ),
            (
                "Private key check failed: error:0A0000B1:SSL routines::no certificate assigned",
                "private key without its certificate",
            ),
            (
                "ssl.key.pem failed: not in PEM format?: error:1E08010C:DECODER routines::unsupported: No supported \
                 data to decode. Input type: PEM",
                "KAFKA_SSL_KEY_PEM, or the secret in its place, holds no private key in PEM",
            ),
            (
                "failed to read certificate #0 from ssl.ca.pem: not in PEM format?: error:0480006C:PEM routines::no \
                 start line: Expecting: CERTIFICATE",
                "KAFKA_SSL_CA_PEM, or the secret in its place, holds no certificate in PEM",
            ),
            (
                "ssl.ca.location failed: error:05880020:x509 certificate routines::BIO lib",
                "KAFKA_SSL_CA_LOCATION names no file",
            ),
            (
                "ssl.key.location failed: error:0A080002:SSL routines::system lib",
                "KAFKA_SSL_KEY_LOCATION names no file that can be read and holds a private key",
            ),
            (
                "`ssl.keystore.password` is mandatory when `ssl.keystore.location` is set",
                "cannot be created: `ssl.keystore.password` is mandatory",
            ),
        ];
        for (text, expected) in rows {
            let explained = client_not_created(&format!("Client creation error: {text}")).to_string();
            assert!(explained.contains(expected), "{explained}");
        }
    }
}
