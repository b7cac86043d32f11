//! librdkafka's log lines, error events and statistics -> why a connection to
//! a broker failed.
//!
//! Its return codes are "timed out" and little else. The causes are in its log
//! lines and error events, each about one connection, and in its statistics,
//! which hold each connection's state. Pure.

use crate::config::Properties;
use crate::error::ErrorType;
use crate::kafka::tls::CertificateError;

/// Why a connection failed, in the order of precedence: of several, the last of
/// this list is reported.
///
/// The further a connection got, the more is known. A password is refused only
/// after the name resolved, the port was open and TLS was agreed upon, so an
/// earlier failure elsewhere is that of another broker, or of the IPv6 address
/// of a name that is served on IPv4 only. A connection that was lost comes
/// last: the result of the next attempt is newer.
///
/// | librdkafka's text | in state | | type |
/// |---|---|---|---|
/// | anything else | | `Unknown` | `BrokerUnreachable` |
/// | `Disconnected`, `Send failed`, `Receive failed` | `UP`, later | `Lost` | `BrokerUnreachable` |
/// | `Failed to resolve` | | `UnknownHost` | `BrokerUnreachable` |
/// | `Failed to resolve .. Temporary failure` | | `DnsTimeout` | `BrokerUnreachable` |
/// | `Connect to .. failed: Connection refused` | | `Refused` | `BrokerUnreachable` |
/// | `Connect to .. failed` | | `NoRoute` | `BrokerUnreachable` |
/// | none | `CONNECT` | `ConnectTimeout` | `BrokerUnreachable` |
/// | `Disconnected` | `SSL_HANDSHAKE` | `ClosedInTls` | `BrokerUnreachable` |
/// | `wrong version number`: bytes came back that are not TLS | `SSL_HANDSHAKE` | `NotTls` | `BrokerUnreachable` |
/// | none | `SSL_HANDSHAKE` | `TlsTimeout` | `BrokerUnreachable` |
/// | `certificate verify failed` | `SSL_HANDSHAKE` | `Certificate` | `BrokerUnreachable` |
/// | any other | `SSL_HANDSHAKE` | `Tls` | `BrokerUnreachable` |
/// | `Invalid response size` | | `NotKafka`; a TLS alert: `TlsRequired` | `BrokerUnreachable` |
/// | `Disconnected` without TLS | `APIVERSION_QUERY` | `Closed` | `BrokerUnreachable` |
/// | `Disconnected` with TLS | `APIVERSION_QUERY` | `ClosedAfterTls` | `BrokerUnreachable` |
/// | none | `APIVERSION_QUERY` | `ApiVersionsTimeout` | `BrokerUnreachable` |
/// | `SSL alert number` about the client's certificate | any | `ClientCertificate` | `AuthenticationFailed` |
/// | `Disconnected`, without SASL | `UP`, at once | `ClosedAtOnce` | `BrokerUnreachable` |
/// | `Disconnected`, or none | `AUTH_..` | `ClosedInSasl`, `SaslTimeout` | `BrokerUnreachable` |
/// | `Request not valid in current SASL state` | `AUTH_HANDSHAKE` | `SaslNotSupported` | `AuthenticationFailed` |
/// | `Unsupported SASL mechanism` | `AUTH_HANDSHAKE` | `Mechanism` | `AuthenticationFailed` |
/// | `Failed to acquire SASL OAUTHBEARER token` | | `Token` | `AuthenticationFailed` |
/// | `SASL authentication error` | `AUTH_REQ` | `Credentials` | `AuthenticationFailed` |
/// | none, with a request in flight | `UP` | `RequestTimeout` | `BrokerUnreachable` |
///
/// A closed connection is no evidence of the listener's protocol: a load
/// balancer accepts connections for a broker that is down, and a broker that
/// starts or stops closes them. `NotTls` and `TlsRequired` follow from the
/// bytes that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    Unknown,
    Lost,
    UnknownHost,
    DnsTimeout,
    Refused,
    NoRoute,
    ConnectTimeout,
    ClosedInTls,
    NotTls,
    TlsTimeout,
    Certificate,
    Tls,
    NotKafka,
    Closed,
    TlsRequired,
    ClosedAfterTls,
    ApiVersionsTimeout,
    ClientCertificate,
    ClosedAtOnce,
    ClosedInSasl,
    SaslTimeout,
    SaslNotSupported,
    Mechanism,
    Token,
    Credentials,
    RequestTimeout,
}

/// The broker that a connection was for, and its security protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Endpoint {
    /// `host:port`.
    pub(crate) address: String,
    pub(crate) tls: bool,
    pub(crate) sasl: bool,
    /// The address comes from the brokers' metadata, not from the settings.
    pub(crate) advertised: bool,
}

/// A connection that failed, or has timed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectionError {
    pub(crate) cause: Cause,
    pub(crate) endpoint: Endpoint,
    /// librdkafka's text, without the broker's name before it and the time and state behind it; or
    /// the text of OpenSSL or of the system.
    pub(crate) detail: String,
}

/// What the client authenticates with, and what it verifies. Holds no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ClientAuth {
    /// `sasl.mechanisms`; empty without SASL.
    pub(crate) mechanism: String,
    pub(crate) has_certificate: bool,
    pub(crate) verifies_host: bool,
    /// Which of user and password ends with a line break, if one does.
    pub(crate) trailing_line_break: Option<&'static str>,
}

/// What is known about the certificates of a broker and of the client.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Evidence<'a> {
    /// Why the certificate of this broker cannot be verified.
    pub(crate) certificate_error: Option<&'a CertificateError>,
    /// librdkafka did not send the client's certificate: none of the CAs that the
    /// broker accepts has signed it.
    pub(crate) certificate_withheld: bool,
}

impl ClientAuth {
    pub(crate) fn of(properties: &Properties) -> Self {
        let has = |names: &[&str]| names.iter().any(|name| properties.get(name).is_some());
        let pair =
            has(&["ssl.certificate.pem", "ssl.certificate.location"]) && has(&["ssl.key.pem", "ssl.key.location"]);
        Self {
            mechanism: properties.get("sasl.mechanisms").unwrap_or_default().to_owned(),
            has_certificate: pair || has(&["ssl.keystore.location"]),
            verifies_host: !properties
                .get("ssl.endpoint.identification.algorithm")
                .is_some_and(|algorithm| algorithm.trim().eq_ignore_ascii_case("none")),
            trailing_line_break: [("sasl.username", "user"), ("sasl.password", "password")]
                .into_iter()
                .find(|(name, _)| properties.get(name).is_some_and(|text| text.ends_with(['\n', '\r'])))
                .map(|(_, what)| what),
        }
    }
}

impl Cause {
    pub(crate) fn error_type(self) -> ErrorType {
        match self {
            Self::ClientCertificate | Self::SaslNotSupported | Self::Mechanism | Self::Token | Self::Credentials => {
                ErrorType::AuthenticationFailed
            }
            _ => ErrorType::BrokerUnreachable,
        }
    }

    /// Whether other credentials might help: also where a broker closes the
    /// connection instead of responding, or its certificate is of another CA.
    pub(crate) fn makes_credentials_suspect(self) -> bool {
        let suspect = matches!(
            self,
            Self::Certificate | Self::Tls | Self::ClosedAfterTls | Self::ClosedInSasl
        );
        suspect || self.error_type() == ErrorType::AuthenticationFailed
    }

    /// What it is where brokers have responded to this client before: its
    /// security protocol is right, so a connection that was closed was lost.
    pub(crate) fn after_a_response(self) -> Self {
        match self {
            Self::Closed | Self::ClosedInTls | Self::ClosedAtOnce => Self::Lost,
            other => other,
        }
    }

    /// A connection on which nothing arrives in this state; `None` where there is
    /// no connection, or nothing to wait for.
    fn timeout_in(state: &str) -> Option<Self> {
        Some(match state {
            "CONNECT" => Self::ConnectTimeout,
            "SSL_HANDSHAKE" => Self::TlsTimeout,
            "APIVERSION_QUERY" => Self::ApiVersionsTimeout,
            "UP" => Self::RequestTimeout,
            sasl if sasl.starts_with("AUTH") => Self::SaslTimeout,
            _ => return None,
        })
    }

    fn classify(detail: &str, ending: Ending<'_>, endpoint: &Endpoint) -> Self {
        let has = |part: &str| detail.contains(part);
        let closed = ["Disconnected", "Send failed", "reset by peer", "unexpected eof"]
            .iter()
            .any(|it| has(it));
        if has("Failed to resolve") {
            if has(DNS_TIMEOUT) {
                Self::DnsTimeout
            } else {
                Self::UnknownHost
            }
        } else if has("mechanism handshake failed") && has("Unsupported SASL mechanism") {
            Self::Mechanism
        } else if has("mechanism handshake failed") && has("current SASL state") {
            Self::SaslNotSupported
        } else if has("OAUTHBEARER token") || has("Failed to initialize SASL") {
            Self::Token
        } else if has("SaslAuthenticateRequest failed: Local") || has("handshake failed: Local") {
            // The connection ended while a response was waited for.
            Self::ClosedInSasl
        } else if has("SASL") {
            Self::Credentials
        } else if let Some(alert) = number_after(detail, "SSL alert number ") {
            if is_client_certificate_alert(alert) {
                Self::ClientCertificate
            } else {
                Self::Tls
            }
        } else if has("certificate verify failed") {
            Self::Certificate
        } else if let Some((_, state)) = detail.split_once("timed out in state ") {
            Self::timeout_in(state).unwrap_or(Self::Unknown)
        } else if has("request(s) timed out") {
            Self::RequestTimeout
        } else if has("Connect to ") {
            if has("refused") { Self::Refused } else { Self::NoRoute }
        } else if let Some(size) = number_after(detail, "Invalid response size ") {
            if is_tls_alert(size) {
                Self::TlsRequired
            } else {
                Self::NotKafka
            }
        } else if ending.state == "SSL_HANDSHAKE" {
            if has("wrong version number") || has("packet length too long") {
                Self::NotTls
            } else if closed {
                Self::ClosedInTls
            } else {
                Self::Tls
            }
        } else if !closed {
            Self::Unknown
        } else if ending.state == "APIVERSION_QUERY" {
            if endpoint.tls {
                Self::ClosedAfterTls
            } else {
                Self::Closed
            }
        } else if ending.state.starts_with("AUTH") {
            Self::ClosedInSasl
        } else if ending.state == "UP" && ending.after_ms < AT_ONCE_MS && !endpoint.sasl {
            Self::ClosedAtOnce
        } else {
            Self::Lost
        }
    }
}

/// The system's text where no DNS server responds.
pub(crate) const DNS_TIMEOUT: &str = "Temporary failure in name resolution";

/// librdkafka's own limit for a broker that closes because it requires SASL.
const AT_ONCE_MS: u64 = 2000;

/// How a line of librdkafka's ends: `(after 3ms in state UP, ..)`.
#[derive(Debug, Clone, Copy, Default)]
struct Ending<'a> {
    after_ms: u64,
    state: &'a str,
}

impl<'a> Ending<'a> {
    /// The text, and the time and state behind it.
    fn split(line: &'a str) -> (&'a str, Self) {
        let Some((detail, ending)) = line.rsplit_once(" (after ") else {
            return (line, Self::default());
        };
        let after_ms = ending.split_once("ms").and_then(|(number, _)| number.parse().ok());
        let state = ending.split_once("in state ").map_or("", |(_, state)| state);
        let state = state.split([',', ')']).next().unwrap_or_default();
        let after_ms = after_ms.unwrap_or_default();
        (detail, Self { after_ms, state })
    }
}

impl Endpoint {
    /// The broker of a name such as `sasl_ssl://host:9096/bootstrap`.
    fn parse(name: &str) -> Option<Self> {
        let (protocol, rest) = name.split_once("://").unwrap_or(("plaintext", name));
        let (address, id) = rest.rsplit_once('/').unwrap_or((rest, ""));
        let (host, port) = address.rsplit_once(':')?;
        if host.is_empty() || host.contains(' ') || port.parse::<u16>().is_err() {
            return None;
        }
        Some(Self {
            address: address.to_owned(),
            tls: protocol.ends_with("ssl"),
            sasl: protocol.starts_with("sasl"),
            advertised: id != "bootstrap",
        })
    }
}

impl ConnectionError {
    /// From a log line or an error event; `None` if it is not about a connection.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        // A log line names its thread first.
        let line = match line.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: ")) {
            Some((_, line)) => line,
            None => line,
        };
        let (name, detail) = line.split_once(": ")?;
        let endpoint = match Endpoint::parse(name) {
            Some(endpoint) => endpoint,
            // The group's coordinator goes by this name, with its address behind it.
            None if name.ends_with("GroupCoordinator") => return Self::parse(detail),
            None if line.contains("OAUTHBEARER token") => return Some(Self::sasl_refused(line)),
            None => return None,
        };
        let (detail, ending) = Ending::split(detail);
        Some(Self {
            cause: Cause::classify(detail, ending, &endpoint),
            endpoint,
            detail: detail.to_owned(),
        })
    }

    /// A refused authentication, in a line that names no broker.
    pub(crate) fn sasl_refused(detail: &str) -> Self {
        let is_token = detail.contains("OAUTHBEARER token");
        Self {
            cause: if is_token { Cause::Token } else { Cause::Credentials },
            endpoint: Endpoint {
                address: "a broker".to_owned(),
                ..Endpoint::default()
            },
            detail: detail.to_owned(),
        }
    }

    /// A connection that has received nothing for long in this state.
    pub(crate) fn timed_out(name: &str, state: &str) -> Option<Self> {
        Some(Self {
            cause: Cause::timeout_in(state)?,
            endpoint: Endpoint::parse(name)?,
            detail: String::new(),
        })
    }
}

/// A line without what librdkafka quotes of a setting that it cannot parse,
/// which may hold a secret.
pub(crate) fn printable(line: &str) -> &str {
    const QUOTED: &str = "sasl.oauthbearer.config";
    line.find(QUOTED).map_or(line, |at| &line[..at + QUOTED.len()])
}

fn number_after(text: &str, words: &str) -> Option<u32> {
    let (_, rest) = text.split_once(words)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// Alerts of RFC 8446 that a server sends because of the client's certificate,
/// or because there is none.
pub(crate) fn is_client_certificate_alert(alert: u32) -> bool {
    matches!(alert, 41..=46 | 48 | 49 | 51 | 116)
}

/// Four bytes taken for a length that are the beginning of a TLS alert: 21, and
/// a version of 3.
fn is_tls_alert(size: u32) -> bool {
    matches!(size.to_be_bytes(), [21, 3, ..])
}
