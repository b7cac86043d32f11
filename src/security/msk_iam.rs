//! Tokens for Amazon MSK with IAM: a URL for `kafka-cluster:Connect`, signed
//! with Signature Version 4, in base64. The format is that of AWS's own
//! `aws-msk-iam-sasl-signer` libraries, of which there is none for Rust; AWS's
//! `aws-sigv4` makes the signature.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::SecretString;
use tracing::subscriber::{NoSubscriber, with_default};

use super::Token;

/// The longest lifetime that MSK accepts. AWS's own libraries sign for 15 minutes too.
const LIFETIME: Duration = Duration::from_mins(15);

/// The region in a broker's name: `b-1.x.kafka.eu-west-1.amazonaws.com`,
/// `boot-x.c1.kafka-serverless.eu-west-1.amazonaws.com`. A custom name, such
/// as that of a private link, contains none.
pub(super) fn region_of(bootstrap_servers: &str) -> Option<&str> {
    let host = bootstrap_servers.split(',').next()?;
    let host = host.rsplit_once("://").map_or(host, |(_, host)| host);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let labels: Vec<&str> = host.split('.').collect();
    let service = labels
        .iter()
        .rposition(|label| matches!(*label, "kafka" | "kafka-serverless"))?;
    let follows = labels.get(service + 2).is_some_and(|label| *label == "amazonaws");
    labels.get(service + 1).copied().filter(|_| follows)
}

/// Signs a token for the brokers of `region`.
pub(super) fn token(region: &str, credentials: &Credentials, now: SystemTime) -> Result<Token, String> {
    let url = format!("https://kafka.{region}.amazonaws.com/?Action=kafka-cluster%3AConnect");
    let query = signature(&url, region, credentials, now)?;
    let agent = concat!(env!("CARGO_PKG_NAME"), "%2F", env!("CARGO_PKG_VERSION"));
    let signed = format!("{url}&{query}&User-Agent={agent}");
    let until = now.duration_since(UNIX_EPOCH).unwrap_or_default() + LIFETIME;
    Ok(Token {
        text: SecretString::from(BASE64_URL_SAFE_NO_PAD.encode(signed)),
        expires_ms: i64::try_from(until.as_millis()).unwrap_or(i64::MAX),
    })
}

/// The parameters that sign `url`, as part of a query.
fn signature(url: &str, region: &str, credentials: &Credentials, now: SystemTime) -> Result<String, String> {
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(LIFETIME);
    let identity = credentials.clone().into();
    let parameters = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("kafka-cluster")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| error.to_string())?;
    let request = SignableRequest::new("GET", url, std::iter::empty(), SignableBody::Bytes(&[]))
        .map_err(|error| error.to_string())?;
    // aws-sigv4 logs the request that it signs, with the role's session token.
    let signed = with_default(NoSubscriber::default(), || sign(request, &parameters.into()));
    let (signed, _) = signed.map_err(|error| error.to_string())?.into_parts();
    let encoded = signed
        .params()
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)));
    Ok(encoded.collect::<Vec<_>>().join("&"))
}

/// A value of a query in the encoding of Signature Version 4.
fn encoded(value: &str) -> String {
    value
        .bytes()
        .fold(String::with_capacity(value.len()), |mut text, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                let _ = write!(text, "%{byte:02X}");
            }
            text
        })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    /// 2026-11-21T10:20:30Z.
    const SIGNED_AT_SECONDS: u64 = 1_795_256_430;

    fn signed(session: Option<&str>) -> (Vec<String>, i64) {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let credentials = Credentials::new("AKIDEXAMPLE", secret, session.map(str::to_owned), None, "test");
        let now = UNIX_EPOCH + Duration::from_secs(SIGNED_AT_SECONDS);
        let token = token("eu-west-1", &credentials, now).expect("a token");
        let url = BASE64_URL_SAFE_NO_PAD
            .decode(token.text.expose_secret())
            .expect("base64");
        let url = String::from_utf8(url).expect("text");
        let (place, query) = url.split_once('?').expect("a query");
        assert_eq!(place, "https://kafka.eu-west-1.amazonaws.com/");
        let mut pairs: Vec<String> = query.split('&').map(str::to_owned).collect();
        assert!(
            pairs
                .pop()
                .is_some_and(|last| last.starts_with("User-Agent=kafka-consumer-lambda%2F"))
        );
        pairs.sort();
        (pairs, token.expires_ms)
    }

    /// The output of aws-msk-iam-sasl-signer-python 1.0.2 for the same credentials
    /// and time, except for the user agent.
    #[test]
    fn a_token_is_the_one_that_the_library_of_aws_for_python_makes() {
        let expected = [
            "Action=kafka-cluster%3AConnect",
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            "X-Amz-Credential=AKIDEXAMPLE%2F20261121%2Feu-west-1%2Fkafka-cluster%2Faws4_request",
            "X-Amz-Date=20261121T102030Z",
            "X-Amz-Expires=900",
            "X-Amz-Signature=4d4685200cbb0972e95ff270d300b50699480cc27b51fe6a468b1417423c9b95",
            "X-Amz-SignedHeaders=host",
        ];
        assert_eq!(signed(None), (expected.map(str::to_owned).to_vec(), 1_795_257_330_000));
    }

    #[test]
    fn the_session_token_of_a_role_is_signed_too() {
        let (pairs, _) = signed(Some("FwoGZXIvYXdzE+Session/Token=="));
        let expected = [
            "X-Amz-Security-Token=FwoGZXIvYXdzE%2BSession%2FToken%3D%3D",
            "X-Amz-Signature=54e13fc49c852357152ff8ca0ac2d5f64e7f637f3a7e74b0b97f97e4f0d6217f",
        ];
        for pair in expected {
            assert!(pairs.iter().any(|it| it == pair), "{pair} in {pairs:?}");
        }
    }

    #[test]
    fn the_region_is_taken_from_the_names_of_the_brokers() {
        let rows = [
            (
                "b-1.demo.abc123.c2.kafka.us-east-1.amazonaws.com:9098,b-2.demo:9098",
                Some("us-east-1"),
            ),
            (
                "SASL_SSL://b-1.kafka.abc.c2.kafka.us-gov-west-1.amazonaws.com:9098",
                Some("us-gov-west-1"),
            ),
            (
                "boot-x.c1.kafka-serverless.eu-west-1.amazonaws.com:9098",
                Some("eu-west-1"),
            ),
            (
                "b-1.demo.abc.c2.kafka.cn-north-1.amazonaws.com.cn:9098",
                Some("cn-north-1"),
            ),
            ("vpce-1.kafka.example.org:9098", None),
            ("kafka", None),
            ("localhost:9092", None),
            ("[::1]:9092", None),
        ];
        for (servers, expected) in rows {
            assert_eq!(region_of(servers), expected, "{servers}");
        }
    }
}
