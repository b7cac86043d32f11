//! What a broker's port speaks: TLS as it should be, and Kafka's protocol.
//!
//! By the same OpenSSL as librdkafka's, with the same authorities and the same
//! client certificate, but to the end: librdkafka stops at the first thing
//! that is wrong.
//!
//! | file | |
//! |---|---|
//! | `certificate.rs` | what a certificate says, and how long it holds; pure |
//! | `material.rs` | properties -> authorities, client certificate and key |
//! | `probe.rs` | the conversation with a port |

mod certificate;
mod material;
mod probe;

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use openssl::ssl::SslContext;
use tokio::task::spawn_blocking;
use tokio::time::timeout_at;

use super::check::Check;
use super::network::{self, Reach, Server};
use super::now;
use super::settings;
use crate::config::Properties;
use crate::error::ErrorType::{AuthenticationFailed, BrokerUnreachable};
use crate::kafka::errors::cause::is_client_certificate_alert as is_about_certificate;
use certificate::{Certificate, Life, life, names};
use probe::{End, Handshake, Problem, Said};

/// What a port did.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ObservedItem {
    /// What it said to a question without TLS, where it was asked.
    clear: Option<Said>,
    /// How TLS went, where it was tried.
    tls: Option<Handshake>,
}

/// What was asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Terms<'a> {
    host: &'a str,
    /// `KAFKA_SECURITY_PROTOCOL` says TLS.
    tls: bool,
    /// `enable.ssl.certificate.verification` is on.
    verifies: bool,
    /// There is a client certificate.
    shows: bool,
    /// In seconds since the epoch.
    now: i64,
}

/// Checks our own certificate, and what each open port speaks.
pub(super) async fn checks(properties: &Properties, reached: &[Reach], now: i64, until: Instant) -> Vec<Check> {
    let tls = properties.has_tls();
    let own = tls.then(|| material::identity(properties)).flatten();
    let mut checks: Vec<Check> = own.iter().map(|own| material::judge(own, now)).collect();
    let context = match material::context(properties, tls) {
        Ok(context) => context,
        Err(unusable) => {
            checks.push(unusable.check("tls"));
            return checks;
        }
    };
    let terms = Terms {
        host: "",
        tls,
        verifies: !is_off(properties.get("enable.ssl.certificate.verification")),
        shows: own.is_some(),
        now,
    };
    let named = settings::verifies_host(properties);
    let of_server = reached.iter().map(|reach| server(reach, &context, terms, named, until));
    checks.extend(futures::future::join_all(of_server).await.into_iter().flatten());
    checks
}

/// As librdkafka reads a switch.
fn is_off(switch: Option<&str>) -> bool {
    switch.is_some_and(|it| ["false", "f", "0"].contains(&it.trim().to_ascii_lowercase().as_str()))
}

/// The findings of one server: addresses that say the same share one.
async fn server(reach: &Reach, context: &SslContext, terms: Terms<'_>, named: bool, until: Instant) -> Vec<Check> {
    let Server { host, .. } = &reach.server;
    if !reach.is_open() {
        return vec![Check::skipped("tls", "no port of it is open").on(&reach.server)];
    }
    let terms = Terms { host, ..terms };
    let seen = reach.open().map(async |address| {
        let (name, context) = (named.then(|| host.clone()), context.clone());
        let seen = see_until(address, host.clone(), name, context, terms.tls, until).await;
        (address.ip(), judge(&seen, terms))
    });
    let mut findings: Vec<(Check, Vec<IpAddr>)> = vec![];
    for (address, check) in futures::future::join_all(seen).await {
        match findings.iter_mut().find(|(known, _)| *known == check) {
            Some((_, addresses)) => addresses.push(address),
            None => findings.push((check, vec![address])),
        }
    }
    let alone = findings.len() == 1;
    let named = |(check, addresses): (Check, Vec<IpAddr>)| {
        if alone {
            check.on(&reach.server)
        } else {
            check.on(format!("{} ({})", reach.server, network::join(addresses.iter())))
        }
    };
    findings.into_iter().map(named).collect()
}

/// Asks one port in a thread, which gives up a little sooner: it knows more.
async fn see_until(
    address: SocketAddr,
    host: String,
    name: Option<String>,
    context: SslContext,
    tls: bool,
    until: Instant,
) -> ObservedItem {
    let now = now();
    let sooner = now + until.saturating_duration_since(now) * 9 / 10;
    let asking = spawn_blocking(move || see(address, &host, name.as_deref(), &context, tls, sooner));
    let seen = timeout_at(until.into(), asking).await;
    seen.ok().and_then(Result::ok).unwrap_or(ObservedItem {
        clear: Some(Said::Silent),
        tls: None,
    })
}

/// Asks one port. What is not as it should be is asked the other way too.
fn see(
    address: SocketAddr,
    host: &str,
    name: Option<&str>,
    context: &SslContext,
    tls: bool,
    until: Instant,
) -> ObservedItem {
    if tls {
        let shaken = probe::tls(address, host, name, context, until);
        let unsaid = shaken.protocol.is_none() && shaken.end != End::Silent;
        return ObservedItem {
            clear: unsaid.then(|| probe::clear(address, until)),
            tls: Some(shaken),
        };
    }
    let clear = probe::clear(address, until);
    ObservedItem {
        tls: (clear != Said::Kafka).then(|| probe::tls(address, host, None, context, until)),
        clear: Some(clear),
    }
}

/// What a port's answers mean.
///
/// | wanted | TLS | without TLS | |
/// |---|---|---|---|
/// | none | | answers as Kafka | ok |
/// | none | is spoken | anything else | failed: set SSL or SASL_SSL |
/// | none | is not | anything else | failed: no Kafka |
/// | TLS | is not | answers as Kafka | failed: set PLAINTEXT or SASL_PLAINTEXT, or another port |
/// | TLS | ends with an alert for our certificate | | `AuthenticationFailed` |
/// | TLS | ends otherwise | | failed, by how it ended |
/// | TLS | is spoken, with problems of the certificate | | failed; a warning if nobody verifies |
/// | TLS | is spoken, and nobody answers as Kafka | | failed |
/// | TLS | is spoken, and the certificate ends in less than 30 days | | warning |
/// | TLS | is spoken | | ok |
fn judge(seen: &ObservedItem, terms: Terms<'_>) -> Check {
    let spoken = seen.tls.as_ref().and_then(|it| it.protocol.as_deref());
    match (terms.tls, spoken, seen.clear, &seen.tls) {
        (false, _, Some(Said::Kafka), _) => Check::ok("tls", "not used, as KAFKA_SECURITY_PROTOCOL sets"),
        (false, Some(protocol), ..) => unreachable(
            &format!("the listener uses TLS ({protocol}), but KAFKA_SECURITY_PROTOCOL sets none"),
            "Set KAFKA_SECURITY_PROTOCOL to SSL or SASL_SSL, or name the port without TLS",
        ),
        (true, None, Some(Said::Kafka), _) => unreachable(
            "the listener uses no TLS, but KAFKA_SECURITY_PROTOCOL sets it",
            "Set KAFKA_SECURITY_PROTOCOL to PLAINTEXT or SASL_PLAINTEXT, or name the port with TLS",
        ),
        (true, _, _, Some(shaken)) => shaken_hands(shaken, terms),
        (_, _, said, _) => unreachable(
            &format!("the port {}", said.unwrap_or(Said::Silent)),
            "Correct KAFKA_BOOTSTRAP_SERVERS: it must name a port of Kafka's own protocol, no proxy and no console",
        ),
    }
}

fn unreachable(what: &str, next: &str) -> Check {
    Check::failed("tls", BrokerUnreachable, what, next)
}

fn shaken_hands(shaken: &Handshake, terms: Terms<'_>) -> Check {
    let protocol = shaken.protocol.as_deref().unwrap_or("no TLS");
    let told = shaken.certificate.iter().flat_map(names);
    let mut problems = shaken.problems.iter().map(|problem| words(problem, shaken, terms));
    if let Some((what, next)) = problems.next() {
        let others: Vec<String> = problems.map(|(what, _)| what).collect();
        let check = if terms.verifies {
            unreachable(&what, &next)
        } else {
            Check::warning("tls", format!("{what}, and it is not verified"), next)
        };
        return check.with(others).with(told);
    }
    let refused = match shaken.end {
        // Without words of its own, a broker that got no certificate ends the handshake so.
        End::Alert(40) if !terms.shows => shaken.certificate.is_some(),
        End::Alert(alert) => is_about_certificate(alert.into()),
        _ => false,
    };
    let check = match (&shaken.end, refused) {
        (End::Kafka, _) => return well(protocol, shaken, terms).with(told),
        (end, true) if terms.shows => Check::failed(
            "tls",
            AuthenticationFailed,
            format!("the broker refuses the client certificate: it {end}"),
            "Use one that is signed by a CA in the broker's ssl.truststore, and that is valid",
        ),
        (end, true) => Check::failed(
            "tls",
            AuthenticationFailed,
            format!("the broker requires a client certificate, and none is set: it {end}"),
            "Set KAFKA_SECRET_ARN with certificate and privateKey, or KAFKA_SSL_CERTIFICATE_PEM and KAFKA_SSL_KEY_PEM; \
             or name a port that requires none",
        ),
        (end, false) if shaken.protocol.is_some() => unreachable(
            &format!("{protocol} was negotiated, and then the port {end}"),
            "Correct KAFKA_BOOTSTRAP_SERVERS: it must name a port of Kafka's own protocol",
        ),
        (end @ End::Alert(70 | 71 | 40), false) => unreachable(
            &format!("TLS fails: the port {end}"),
            "Broker and client have no version of TLS or no cipher in common: look at KAFKA_SSL_CIPHER_SUITES and at \
             the broker's ssl.enabled.protocols",
        ),
        (end, false) => unreachable(
            &format!("TLS fails: the port {end}"),
            "Check the port, KAFKA_SECURITY_PROTOCOL, and what lies between: a proxy or a load balancer",
        ),
    };
    check.with(told)
}

fn well(protocol: &str, shaken: &Handshake, terms: Terms<'_>) -> Check {
    let verified = if terms.verifies { "verified" } else { "not verified" };
    let Some(certificate) = &shaken.certificate else {
        return Check::ok("tls", format!("{protocol}, {verified}"));
    };
    let life = life(certificate, terms.now);
    let what = format!("{protocol}, {verified}, the certificate {life}");
    match life {
        Life::Short { .. } => Check::warning("tls", what, "Renew it on the broker in time"),
        _ if !terms.verifies => Check::warning(
            "tls",
            what,
            "Remove KAFKA_ENABLE_SSL_CERTIFICATE_VERIFICATION: anybody could pass for the broker",
        ),
        _ => Check::ok("tls", what),
    }
}

/// A problem with the broker's certificate, and what to do about it.
fn words(problem: &Problem, shaken: &Handshake, terms: Terms<'_>) -> (String, String) {
    let leaf = shaken.certificate.as_ref();
    match problem {
        Problem::Authority => {
            let issuer = leaf.map_or("not named", |leaf| &leaf.issuer);
            (
                format!("the certificate is signed by an unknown CA: {issuer}"),
                "Trust it by its certificate: KAFKA_CA_SECRET_ARN, KAFKA_SSL_CA_PEM or KAFKA_SSL_CA_LOCATION".into(),
            )
        }
        Problem::Expired(subject) => (
            format!(
                "the certificate of {subject} has expired{}",
                when(subject, leaf, terms.now)
            ),
            "Renew it on the broker; if it should still hold, check this machine's clock".into(),
        ),
        Problem::NotYetValid(subject) => (
            format!(
                "the certificate of {subject} does not hold yet{}",
                when(subject, leaf, terms.now)
            ),
            "Check this machine's clock, and when the certificate begins".into(),
        ),
        Problem::OtherHost => (
            format!("the certificate is not for {}", terms.host),
            "Name the broker in KAFKA_BOOTSTRAP_SERVERS as its certificate does, or give it one for this name".into(),
        ),
        Problem::Other(said) => (
            format!("the certificate is not accepted: {said}"),
            "Look at the certificate that the broker shows".into(),
        ),
    }
}

fn when(subject: &str, leaf: Option<&Certificate>, now: i64) -> String {
    let leaf = leaf.filter(|leaf| leaf.subject == subject);
    leaf.map_or(String::new(), |leaf| format!(": it {}", life(leaf, now)))
}

#[cfg(test)]
mod tests;
