//! Tokens that Amazon MSK takes for IAM: an URL signed with Signature Version 4,
//! for `kafka-cluster:Connect`, in base64. The format is that of AWS's own
//! `aws-msk-iam-sasl-signer` libraries, of which there is none for Rust; the
//! signature is made by AWS's `aws-sigv4`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::SecretString;

use super::Token;

/// As long as MSK takes a token: AWS's own libraries sign for 15 minutes too.
const LIFETIME: Duration = Duration::from_secs(900);

/// The region that a broker's name tells: `b-1.x.kafka.eu-west-1.amazonaws.com`,
/// `boot-x.c1.kafka-serverless.eu-west-1.amazonaws.com`. A name of one's own,
/// as for a private link, tells none.
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

/// The query of a presigned URL, without what is signed.
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
    let (signed, _) = sign(request, &parameters.into())
        .map_err(|error| error.to_string())?
        .into_parts();
    let encoded = signed
        .params()
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)));
    Ok(encoded.collect::<Vec<_>>().join("&"))
}

/// As Signature Version 4 wants a value of a query.
fn encoded(value: &str) -> String {
    value
        .bytes()
        .fold(String::with_capacity(value.len()), |mut text, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
            text
        })
}
