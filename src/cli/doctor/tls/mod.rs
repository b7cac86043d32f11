//! The security protocol of each open port: a TLS handshake, and one request of
//! the Kafka protocol.
//!
//! With the OpenSSL that librdkafka is linked with, the same CAs and the same
//! client certificate, but to the end: librdkafka stops at the first error.

mod certificate;

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use openssl::ssl::SslContext;

use super::check::Check;
use super::network::{self, Reach};
use super::now;
use crate::config::Properties;
use crate::error::ErrorType::{BrokerUnreachable, InvalidConfiguration};
use crate::kafka::errors::Explanation;
use crate::kafka::errors::cause::{
    Cause, ClientAuth, ConnectionError, Endpoint, Evidence, is_client_certificate_alert,
};
use crate::kafka::tls::context::{ClientCertificate, context};
use crate::kafka::tls::probe::{Handshake, handshake};
use crate::kafka::tls::stream::{Connection, Failure, NonBlocking, connect, exchange};
use certificate::{Validity, names, validity};

/// `ApiVersions` 0, which brokers return before authentication: its length, API
/// key, version, correlation id, and no client id.
const API_VERSIONS: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, b'd', b'o', b'c', b't', 0xff, 0xff];

/// What a port returned.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Observed {
    /// To a request without TLS, as the settings have none; where it failed,
    /// also to a TLS handshake.
    Plain(Result<(), (Failure, Handshake)>),
    /// To a handshake and a request, as the settings have TLS; and whether it is
    /// a Kafka listener without TLS.
    Tls(Handshake, bool),
}

/// The settings that a port is checked with.
struct Client {
    endpoint: Endpoint,
    auth: ClientAuth,
    /// `enable.ssl.certificate.verification`.
    verifies: bool,
    /// In seconds since the epoch.
    now_s: i64,
}

/// Checks the client's own certificate, and each open port.
pub(super) async fn checks(properties: &Properties, reached: &[Reach], now_s: i64, until: Instant) -> Vec<Check> {
    let own = properties
        .has_tls()
        .then(|| ClientCertificate::read(properties))
        .flatten();
    let mut checks: Vec<Check> = own.iter().map(|own| certificate::check(own, now_s)).collect();
    let context = match context(properties) {
        Ok(context) => context,
        Err(explanation) => {
            checks.push(Check::explained("tls", InvalidConfiguration, explanation));
            return checks;
        }
    };
    let of_server = reached.iter().map(async |reach| {
        let client = Client {
            endpoint: Endpoint {
                address: reach.server.to_string(),
                tls: properties.has_tls(),
                sasl: properties.has_sasl(),
                advertised: reach.server.advertised,
            },
            auth: ClientAuth::of(properties),
            verifies: !is_off(properties.get("enable.ssl.certificate.verification")),
            now_s,
        };
        server(reach, &context, &client, until).await
    });
    checks.extend(futures::future::join_all(of_server).await.into_iter().flatten());
    checks
}

/// As librdkafka parses a boolean.
fn is_off(switch: Option<&str>) -> bool {
    switch.is_some_and(|it| ["false", "f", "0"].contains(&it.trim().to_ascii_lowercase().as_str()))
}

/// The checks of one server: addresses with the same result share one.
async fn server(reach: &Reach, context: &SslContext, client: &Client, until: Instant) -> Vec<Check> {
    if !reach.is_open() {
        return vec![Check::skipped("tls", "no port of it is open").on(&reach.server)];
    }
    let of_address = reach.open().map(async |address| {
        let observed = observe(address, &reach.server.host, context, client, until).await;
        (address.ip(), judge(&observed, client))
    });
    let mut checks: Vec<(Check, Vec<IpAddr>)> = vec![];
    for (address, check) in futures::future::join_all(of_address).await {
        match checks.iter_mut().find(|(known, _)| *known == check) {
            Some((_, addresses)) => addresses.push(address),
            None => checks.push((check, vec![address])),
        }
    }
    let is_same = checks.len() == 1;
    let named = |(check, addresses): (Check, Vec<IpAddr>)| {
        if is_same {
            check.on(&reach.server)
        } else {
            check.on(format!("{} ({})", reach.server, network::join(addresses)))
        }
    };
    checks.into_iter().map(named).collect()
}

/// Connects with the security protocol of the settings; where that fails, with
/// the other one too.
async fn observe(address: SocketAddr, host: &str, context: &SslContext, client: &Client, until: Instant) -> Observed {
    if client.endpoint.tls {
        let handshake = over_tls(address, host, context, client, until).await;
        let failed = handshake.version.is_none() && handshake.failure != Some(Failure::TimedOut);
        let is_plain = failed && without_tls(address, until).await.is_ok();
        return Observed::Tls(handshake, is_plain);
    }
    // A listener with TLS may send no response: time is left for the handshake.
    let now = now();
    let sooner = now + until.saturating_duration_since(now) * 9 / 10;
    Observed::Plain(match without_tls(address, sooner).await {
        Ok(()) => Ok(()),
        Err(failure) => Err((failure, over_tls(address, host, context, client, until).await)),
    })
}

async fn without_tls(address: SocketAddr, until: Instant) -> Result<(), Failure> {
    let stream = connect(address, until).await.map_err(|error| Failure::from(&error))?;
    request(&mut NonBlocking(stream), until).await
}

async fn over_tls(address: SocketAddr, host: &str, context: &SslContext, client: &Client, until: Instant) -> Handshake {
    let stream = match connect(address, until).await {
        Ok(stream) => stream,
        Err(error) => {
            return Handshake {
                failure: Some(Failure::from(&error)),
                ..Handshake::default()
            };
        }
    };
    let (mut handshake, stream) = handshake(stream, host, client.auth.verifies_host, context, until).await;
    if let Some(mut stream) = stream {
        handshake.failure = request(&mut stream, until).await.err();
    }
    handshake
}

/// Sends `ApiVersions`; the response has the same correlation id.
async fn request(connection: &mut impl Connection, until: Instant) -> Result<(), Failure> {
    let response: [u8; 8] = exchange(connection, &API_VERSIONS, until).await?;
    if response[4..] == API_VERSIONS[8..12] {
        Ok(())
    } else {
        Err(Failure::OtherProtocol)
    }
}

/// The check of a port: the first row that fits.
///
/// | | |
/// |---|---|
/// | errors of the certificate | failed; a warning if certificates are not verified |
/// | a [`cause`] | failed, as a run |
/// | the certificate expires in less than 30 days, or is not verified | warning |
/// | else | ok |
fn judge(observed: &Observed, client: &Client) -> Check {
    let explain = |cause, detail, evidence| {
        let endpoint = client.endpoint.clone();
        ConnectionError {
            cause,
            endpoint,
            detail,
        }
        .explain(&client.auth, evidence)
    };
    let handshake = match observed {
        Observed::Plain(Ok(())) => return Check::ok("tls", "not used, as KAFKA_SECURITY_PROTOCOL sets"),
        Observed::Plain(Err((_, handshake))) | Observed::Tls(handshake, _) => handshake,
    };
    let names = handshake.certificate.iter().flat_map(names);
    if let Observed::Tls(_, false) = observed {
        let mut errors = handshake.errors.iter().map(|error| {
            let certificate_error = Some(error);
            let evidence = Evidence {
                certificate_error,
                ..Evidence::default()
            };
            explain(Cause::Certificate, String::new(), evidence)
        });
        if let Some(Explanation { what, next }) = errors.next() {
            let check = if client.verifies {
                Check::failed("tls", BrokerUnreachable, what, next)
            } else {
                Check::warning("tls", format!("{what}, and it is not verified"), next)
            };
            return check.with(errors.map(|other| other.what)).with(names);
        }
    }
    let Some((cause, detail)) = cause(observed, client.auth.has_certificate) else {
        return connected(handshake, client).with(names);
    };
    let version = handshake
        .version
        .iter()
        .map(|version| format!("{version} was negotiated"));
    let explanation = explain(cause, detail, Evidence::default());
    Check::explained("tls", cause.error_type(), explanation)
        .with(version)
        .with(names)
}

/// Why clients cannot use the port.
///
/// | settings | TLS handshake | Kafka response | |
/// |---|---|---|---|
/// | no TLS | | without TLS | none |
/// | no TLS | succeeds | | `TlsRequired` |
/// | no TLS | fails | closed, timed out, other bytes | `Closed`, `ApiVersionsTimeout`, `NotKafka` |
/// | TLS | fails | without TLS | `NotTls` |
/// | TLS | an alert about the client's certificate, at any time | | `ClientCertificate` |
/// | TLS | closed, timed out, other bytes | | `ClosedInTls`, `TlsTimeout`, `NotKafka` |
/// | TLS | succeeds | closed, timed out, other bytes | `ClosedAfterTls`, `ApiVersionsTimeout`, `NotKafka` |
/// | TLS | succeeds | over TLS | none |
/// | any | fails otherwise | fails otherwise | `Tls`; without TLS `Unknown` |
fn cause(observed: &Observed, has_certificate: bool) -> Option<(Cause, String)> {
    let (failure, [closed, timed_out, other]) = match observed {
        Observed::Plain(Ok(())) => return None,
        Observed::Plain(Err((_, Handshake { version: Some(_), .. }))) => {
            return Some((Cause::TlsRequired, String::new()));
        }
        Observed::Plain(Err((failure, _))) => (failure, [Cause::Closed, Cause::ApiVersionsTimeout, Cause::Unknown]),
        Observed::Tls(_, true) => return Some((Cause::NotTls, String::new())),
        Observed::Tls(handshake, false) => {
            let failure = handshake.failure.as_ref()?;
            if is_about_client_certificate(failure, handshake, has_certificate) {
                return Some((Cause::ClientCertificate, failure.to_string()));
            }
            let after_tls = [Cause::ClosedAfterTls, Cause::ApiVersionsTimeout, Cause::Tls];
            let in_tls = [Cause::ClosedInTls, Cause::TlsTimeout, Cause::Tls];
            (failure, if handshake.version.is_some() { after_tls } else { in_tls })
        }
    };
    let cause = match failure {
        Failure::Closed => closed,
        Failure::TimedOut => timed_out,
        Failure::OtherProtocol => Cause::NotKafka,
        Failure::Alert { .. } | Failure::Other(_) => other,
    };
    Some((cause, failure.to_string()))
}

fn is_about_client_certificate(failure: &Failure, handshake: &Handshake, has_certificate: bool) -> bool {
    /// `handshake_failure`: before TLS 1.3 also of a server that got no certificate.
    const HANDSHAKE_FAILURE: u8 = 40;
    match failure {
        Failure::Alert {
            number: HANDSHAKE_FAILURE,
            ..
        } => !has_certificate && handshake.certificate.is_some(),
        Failure::Alert { number, .. } => is_client_certificate_alert((*number).into()),
        _ => false,
    }
}

fn connected(handshake: &Handshake, client: &Client) -> Check {
    let version = handshake.version.as_deref().unwrap_or("TLS");
    let verified = if client.verifies { "verified" } else { "not verified" };
    let Some(certificate) = &handshake.certificate else {
        return Check::ok("tls", format!("{version}, {verified}"));
    };
    let (validity, dated) = validity(certificate, client.now_s);
    let what = format!("{version}, {verified}, the certificate {dated}");
    match validity {
        Validity::ExpiresSoon => Check::warning("tls", what, "Renew it on the broker in time"),
        _ if !client.verifies => Check::warning(
            "tls",
            what,
            "Remove KAFKA_ENABLE_SSL_CERTIFICATE_VERIFICATION: without verification any server can impersonate the broker",
        ),
        _ => Check::ok("tls", what),
    }
}

#[cfg(test)]
mod tests;
