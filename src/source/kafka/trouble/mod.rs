//! What librdkafka's words mean: why a connection to a broker failed.
//!
//! Its return codes say no more than "timed out". The causes are in its log
//! lines and error events, each about one connection, and in its statistics,
//! which tell how far a connection has got. Pure.

mod creation;
mod sentence;
#[cfg(test)]
mod tests;

pub(crate) use creation::cannot_be_made;

use crate::config::Properties;
use crate::error::ErrorType;

/// What became of a connection, in the order of precedence: of several that
/// were heard, the last of this list is the cause.
///
/// The further a connection got, the more it tells. That a name is known, a
/// port open and TLS agreed upon is proven where a password is refused, so
/// whatever failed earlier elsewhere is another broker's trouble, or the IPv6
/// address of a name that is served on IPv4 only. A connection that was lost
/// tells least: what the next attempt came to is newer.
///
/// | librdkafka says | in state | | type |
/// |---|---|---|---|
/// | anything else | | `Unknown` | `BrokerUnreachable` |
/// | `Disconnected`, `Send failed`, `Receive failed` | `UP`, later | `Lost` | `BrokerUnreachable` |
/// | `Failed to resolve` | | `Name` | `BrokerUnreachable` |
/// | `Connect to .. failed: Connection refused` | | `Refused` | `BrokerUnreachable` |
/// | `Connect to .. failed` | | `NoRoute` | `BrokerUnreachable` |
/// | nothing | `CONNECT` | `SilentTcp` | `BrokerUnreachable` |
/// | `Disconnected` | `SSL_HANDSHAKE` | `ClosedInTls` | `BrokerUnreachable` |
/// | `wrong version number`: an answer, and none of TLS | `SSL_HANDSHAKE` | `NoTls` | `BrokerUnreachable` |
/// | nothing | `SSL_HANDSHAKE` | `SilentTls` | `BrokerUnreachable` |
/// | `certificate verify failed` | `SSL_HANDSHAKE` | `Certificate` | `BrokerUnreachable` |
/// | any other | `SSL_HANDSHAKE` | `Tls` | `BrokerUnreachable` |
/// | `Invalid response size` | | `NotKafka`; a TLS alert: `WantsTls` | `BrokerUnreachable` |
/// | `Disconnected` without TLS | `APIVERSION_QUERY` | `Closed` | `BrokerUnreachable` |
/// | `Disconnected` with TLS | `APIVERSION_QUERY` | `ClosedAfterTls` | `BrokerUnreachable` |
/// | nothing | `APIVERSION_QUERY` | `SilentPort` | `BrokerUnreachable` |
/// | `SSL alert number` about a certificate: ours | any | `ClientCertificate` | `AuthenticationFailed` |
/// | `Disconnected`, without SASL | `UP`, at once | `ClosedAtOnce` | `BrokerUnreachable` |
/// | `Disconnected`, or nothing | `AUTH_..` | `LoginCut`, `SilentLogin` | `BrokerUnreachable` |
/// | `Request not valid in current SASL state` | `AUTH_HANDSHAKE` | `NoSasl` | `AuthenticationFailed` |
/// | `Unsupported SASL mechanism` | `AUTH_HANDSHAKE` | `Mechanism` | `AuthenticationFailed` |
/// | `Failed to acquire SASL OAUTHBEARER token` | | `Token` | `AuthenticationFailed` |
/// | `SASL authentication error` | `AUTH_REQ` | `Credentials` | `AuthenticationFailed` |
/// | nothing to a request | `UP` | `SilentUp` | `BrokerUnreachable` |
///
/// A connection that was closed proves nothing of the listener's protocol: a
/// load balancer takes connections for a broker that is down, and a broker that
/// starts or stops closes them. `NoTls` and `WantsTls` rest on what was sent back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Unknown,
    Lost,
    Name,
    Refused,
    NoRoute,
    SilentTcp,
    ClosedInTls,
    NoTls,
    SilentTls,
    Certificate,
    Tls,
    NotKafka,
    Closed,
    WantsTls,
    ClosedAfterTls,
    SilentPort,
    ClientCertificate,
    ClosedAtOnce,
    LoginCut,
    SilentLogin,
    NoSasl,
    Mechanism,
    Token,
    Credentials,
    SilentUp,
}

/// Which broker a connection was for, and how it was to be spoken to.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// `host:port`.
    pub(super) address: String,
    tls: bool,
    sasl: bool,
    /// The address is one that brokers gave, and not one of the settings.
    advertised: bool,
}

/// One thing that went wrong with a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) kind: Kind,
    pub(super) place: Place,
    /// What was said of it, without the names and times around it.
    said: String,
}

/// What the client was set to show and to check. Holds no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Manner {
    mechanism: String,
    shows_certificate: bool,
    pub(super) checks_host: bool,
    /// Which of user and password ends with a line break, if one does.
    line_break_behind: Option<&'static str>,
}

/// What is wrong with a certificate, in the order of precedence: where it is
/// over or for another host, its authority is not looked at.
#[cfg_attr(
    not(feature = "broker-certificates"),
    expect(dead_code, reason = "without OpenSSL nobody looks at a certificate")
)]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Flaw {
    /// It is over.
    Expired { until: String },
    /// Its time has yet to come.
    NotYetValid { from: String },
    /// It is for these names.
    OtherHost { names: String },
    /// Whoever signed it is not trusted.
    Authority { issuer: String },
}

/// What else is known when a trouble is put into words.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hints<'a> {
    /// What is wrong with the certificate of this broker.
    pub(super) flaw: Option<&'a Flaw>,
    /// Our certificate was kept back: it is of none of the authorities that
    /// the broker named.
    pub(super) kept_back: bool,
}

impl Manner {
    pub(super) fn of(properties: &Properties) -> Self {
        let has = |names: &[&str]| names.iter().any(|name| properties.get(name).is_some());
        let pair =
            has(&["ssl.certificate.pem", "ssl.certificate.location"]) && has(&["ssl.key.pem", "ssl.key.location"]);
        Self {
            mechanism: properties.get("sasl.mechanisms").unwrap_or_default().to_owned(),
            shows_certificate: pair || has(&["ssl.keystore.location"]),
            checks_host: properties.get("ssl.endpoint.identification.algorithm") != Some("none"),
            line_break_behind: [("sasl.username", "user"), ("sasl.password", "password")]
                .into_iter()
                .find(|(name, _)| properties.get(name).is_some_and(|text| text.ends_with(['\n', '\r'])))
                .map(|(_, what)| what),
        }
    }
}

impl Kind {
    pub(super) fn error_type(self) -> ErrorType {
        match self {
            Self::ClientCertificate | Self::NoSasl | Self::Mechanism | Self::Token | Self::Credentials => {
                ErrorType::AuthenticationFailed
            }
            _ => ErrorType::BrokerUnreachable,
        }
    }

    /// Whether other credentials might cure it: also where a broker closes
    /// instead of answering, or its certificate is of another authority.
    pub(super) fn doubts_credentials(self) -> bool {
        let doubted = matches!(
            self,
            Self::Certificate | Self::Tls | Self::ClosedAfterTls | Self::LoginCut
        );
        doubted || self.error_type() == ErrorType::AuthenticationFailed
    }

    /// What it is where brokers have responded to this client before: its
    /// security protocol is right, so a connection that was closed was lost.
    pub(super) fn after_a_response(self) -> Self {
        match self {
            Self::Closed | Self::ClosedInTls | Self::ClosedAtOnce => Self::Lost,
            other => other,
        }
    }

    /// A connection that says nothing in this state; `None` where there is
    /// none, or nothing to be said.
    fn silent_in(state: &str) -> Option<Self> {
        Some(match state {
            "CONNECT" => Self::SilentTcp,
            "SSL_HANDSHAKE" => Self::SilentTls,
            "APIVERSION_QUERY" => Self::SilentPort,
            "UP" => Self::SilentUp,
            login if login.starts_with("AUTH") => Self::SilentLogin,
            _ => return None,
        })
    }

    fn read(said: &str, ending: Ending<'_>, place: &Place) -> Self {
        let has = |part: &str| said.contains(part);
        let closed = ["Disconnected", "Send failed", "reset by peer", "unexpected eof"]
            .iter()
            .any(|it| has(it));
        if has("Failed to resolve") {
            Self::Name
        } else if has("mechanism handshake failed") && has("Unsupported SASL mechanism") {
            Self::Mechanism
        } else if has("mechanism handshake failed") && has("current SASL state") {
            Self::NoSasl
        } else if has("OAUTHBEARER token") || has("Failed to initialize SASL") {
            Self::Token
        } else if has("SaslAuthenticateRequest failed: Local") || has("handshake failed: Local") {
            // The connection ended while the answer was waited for.
            Self::LoginCut
        } else if has("SASL") {
            Self::Credentials
        } else if let Some(alert) = number_after(said, "SSL alert number ") {
            if is_about_certificate(alert) {
                Self::ClientCertificate
            } else {
                Self::Tls
            }
        } else if has("certificate verify failed") {
            Self::Certificate
        } else if let Some((_, state)) = said.split_once("timed out in state ") {
            Self::silent_in(state).unwrap_or(Self::Unknown)
        } else if has("request(s) timed out") {
            Self::SilentUp
        } else if has("Connect to ") {
            if has("refused") { Self::Refused } else { Self::NoRoute }
        } else if let Some(size) = number_after(said, "Invalid response size ") {
            if is_tls_alert(size) {
                Self::WantsTls
            } else {
                Self::NotKafka
            }
        } else if ending.state == "SSL_HANDSHAKE" {
            if has("wrong version number") || has("packet length too long") {
                Self::NoTls
            } else if closed {
                Self::ClosedInTls
            } else {
                Self::Tls
            }
        } else if !closed {
            Self::Unknown
        } else if ending.state == "APIVERSION_QUERY" {
            if place.tls { Self::ClosedAfterTls } else { Self::Closed }
        } else if ending.state.starts_with("AUTH") {
            Self::LoginCut
        } else if ending.state == "UP" && ending.after_ms < AT_ONCE_MS && !place.sasl {
            Self::ClosedAtOnce
        } else {
            Self::Lost
        }
    }
}

/// librdkafka's own measure for a broker that closes because it wants a login.
const AT_ONCE_MS: u64 = 2000;

/// How a line of librdkafka's ends: `(after 3ms in state UP, ..)`.
#[derive(Debug, Clone, Copy, Default)]
struct Ending<'a> {
    after_ms: u64,
    state: &'a str,
}

impl<'a> Ending<'a> {
    /// What was said, and how it ended.
    fn split(line: &'a str) -> (&'a str, Self) {
        let Some((said, ending)) = line.rsplit_once(" (after ") else {
            return (line, Self::default());
        };
        let after_ms = ending.split_once("ms").and_then(|(number, _)| number.parse().ok());
        let state = ending.split_once("in state ").map_or("", |(_, state)| state);
        let state = state.split([',', ')']).next().unwrap_or_default();
        let after_ms = after_ms.unwrap_or_default();
        (said, Self { after_ms, state })
    }
}

impl Place {
    /// The broker of a name such as `sasl_ssl://host:9096/bootstrap`.
    fn read(name: &str) -> Option<Self> {
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

impl Trouble {
    /// What a log line or an error event tells; `None` if it is not about a
    /// connection.
    pub(super) fn heard(line: &str) -> Option<Self> {
        // A log line names its thread first.
        let line = match line.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: ")) {
            Some((_, line)) => line,
            None => line,
        };
        let (name, said) = line.split_once(": ")?;
        let place = match Place::read(name) {
            Some(place) => place,
            // The group's coordinator goes by this name, with its address behind it.
            None if name.ends_with("GroupCoordinator") => return Self::heard(said),
            None if line.contains("OAUTHBEARER token") => return Some(Self::login(line)),
            None => return None,
        };
        let (said, ending) = Ending::split(said);
        Some(Self {
            kind: Kind::read(said, ending, &place),
            place,
            said: said.to_owned(),
        })
    }

    /// A refused login that no broker's name stands before.
    pub(super) fn login(said: &str) -> Self {
        let is_token = said.contains("OAUTHBEARER token");
        Self {
            kind: if is_token { Kind::Token } else { Kind::Credentials },
            place: Place {
                address: "a broker".to_owned(),
                ..Place::default()
            },
            said: said.to_owned(),
        }
    }

    /// A connection that has said nothing for long in this state.
    pub(super) fn silent(name: &str, state: &str) -> Option<Self> {
        Some(Self {
            kind: Kind::silent_in(state)?,
            place: Place::read(name)?,
            said: String::new(),
        })
    }
}

/// A line without what librdkafka quotes of a setting that it cannot read:
/// there may be a secret in it.
pub(super) fn printable(line: &str) -> &str {
    const QUOTED: &str = "sasl.oauthbearer.config";
    line.find(QUOTED).map_or(line, |at| &line[..at + QUOTED.len()])
}

fn number_after(text: &str, words: &str) -> Option<u32> {
    let (_, rest) = text.split_once(words)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// Alerts of RFC 8446 that a server sends because of the client's certificate,
/// or for want of one.
pub(crate) fn is_about_certificate(alert: u32) -> bool {
    matches!(alert, 41..=46 | 48 | 49 | 51 | 116)
}

/// Four bytes taken for a length that are the beginning of a TLS alert: 21, and
/// a version of 3.
fn is_tls_alert(size: u32) -> bool {
    matches!(size.to_be_bytes(), [21, 3, ..])
}
