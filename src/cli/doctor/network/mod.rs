//! The network: host names and ports.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::lookup_host;
use tokio::time::timeout_at;

use super::check::Check;
use super::now;
use crate::error::ErrorType::BrokerUnreachable;
use crate::kafka::errors::Explanation;
use crate::kafka::errors::cause::{Cause, ClientAuth, ConnectionError, DNS_TIMEOUT, Endpoint, Evidence};
use crate::kafka::tls::stream::connect;

/// librdkafka's port of an address without one.
const DEFAULT_PORT: u16 = 9092;

/// A broker's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    /// By a broker. Each of them leads partitions; of `KAFKA_BOOTSTRAP_SERVERS`
    /// one is enough.
    pub(super) advertised: bool,
}

impl Server {
    /// One of `KAFKA_BOOTSTRAP_SERVERS`, which were validated with the settings.
    fn parse(text: &str) -> Self {
        let address = text.rsplit_once("://").map_or(text, |(_, address)| address);
        let split = match address.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map(|(host, port)| (host, port.strip_prefix(':'))),
            None => address.split_once(':').map(|(host, port)| (host, Some(port))),
        };
        let (host, port) = split.unwrap_or((address, None));
        Self {
            host: host.to_owned(),
            port: port.and_then(|port| port.parse().ok()).unwrap_or(DEFAULT_PORT),
            advertised: false,
        }
    }

    pub(super) fn all(bootstrap_servers: &str) -> Vec<Self> {
        bootstrap_servers.split(',').map(Self::parse).collect()
    }

    /// A connection to `address`, this server or one of its addresses, failed.
    fn error(&self, cause: Cause, address: String, detail: String) -> ConnectionError {
        let endpoint = Endpoint {
            address,
            advertised: self.advertised,
            ..Endpoint::default()
        };
        ConnectionError {
            cause,
            endpoint,
            detail,
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A server's addresses, or why its name does not resolve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) server: Server,
    pub(super) addresses: Result<Vec<Connected>, ConnectionError>,
}

/// An address, and the time of its TCP connection, or why it failed.
pub(super) type Connected = (IpAddr, Result<Duration, ConnectionError>);

impl Reach {
    /// Resolves the name, and connects to each of its addresses of the `family`
    /// (`broker.address.family`), until `until`.
    pub(super) async fn of(server: Server, family: Option<&str>, until: Instant) -> Self {
        let resolved = timeout_at(until.into(), lookup_host((server.host.as_str(), server.port))).await;
        let resolved = resolved.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
        let addresses = match addresses(&server, resolved.map(Iterator::collect), family) {
            Ok(found) => {
                let connected = found
                    .into_iter()
                    .map(async |ip| (ip, time_to_connect(&server, ip, until).await));
                Ok(futures::future::join_all(connected).await)
            }
            Err(error) => Err(error),
        };
        Self { server, addresses }
    }

    pub(super) fn open(&self) -> impl Iterator<Item = SocketAddr> {
        let addresses = self.addresses.iter().flatten();
        let open = addresses.filter(|(_, connected)| connected.is_ok());
        open.map(|(ip, _)| SocketAddr::new(*ip, self.server.port))
    }

    pub(super) fn is_open(&self) -> bool {
        self.open().next().is_some()
    }
}

fn addresses(
    server: &Server,
    resolved: io::Result<Vec<SocketAddr>>,
    family: Option<&str>,
) -> Result<Vec<IpAddr>, ConnectionError> {
    let failed = |cause, detail| Err(server.error(cause, server.to_string(), detail));
    let of_family = |ip: &IpAddr| match family {
        Some("v4") => ip.is_ipv4(),
        Some("v6") => ip.is_ipv6(),
        _ => true,
    };
    let mut found: Vec<IpAddr> = match resolved {
        Ok(all) => all.iter().map(SocketAddr::ip).filter(of_family).collect(),
        Err(error) if error.kind() == ErrorKind::TimedOut => {
            return failed(Cause::DnsTimeout, "no response from a DNS server".into());
        }
        Err(error) => {
            let text = error.to_string();
            // Of the standard library, before the system's.
            let detail = text.trim_start_matches("failed to lookup address information: ");
            let is_timeout = detail.contains(DNS_TIMEOUT);
            let cause = if is_timeout {
                Cause::DnsTimeout
            } else {
                Cause::UnknownHost
            };
            return failed(cause, detail.to_owned());
        }
    };
    found.dedup();
    if found.is_empty() {
        return failed(
            Cause::UnknownHost,
            "none of its addresses is of broker.address.family".into(),
        );
    }
    Ok(found)
}

async fn time_to_connect(server: &Server, ip: IpAddr, until: Instant) -> Result<Duration, ConnectionError> {
    let (address, since) = (SocketAddr::new(ip, server.port), now());
    let connected = connect(address, until).await;
    let failed = |error: io::Error| {
        let cause = match error.kind() {
            ErrorKind::ConnectionRefused => Cause::Refused,
            ErrorKind::TimedOut => Cause::ConnectTimeout,
            _ => Cause::NoRoute,
        };
        server.error(cause, address.to_string(), error.to_string())
    };
    connected.map(|_| now() - since).map_err(failed)
}

pub(super) fn checks(all: &[Reach]) -> Vec<Check> {
    [names(all), ports(all)].concat()
}

/// Whether each host name resolves; an address is none.
///
/// | it resolves | advertised | another server is reached | |
/// |---|---|---|---|
/// | yes | | | ok |
/// | no | no | yes | warning |
/// | no | no | no | failed |
/// | no | yes | | failed |
fn names(all: &[Reach]) -> Vec<Check> {
    let check = |reach: &Reach| {
        let check = match &reach.addresses {
            Ok(addresses) => Check::ok("dns", join(addresses.iter().map(|(ip, _)| ip))),
            Err(error) => unreachable("dns", reach, all, explain(error)),
        };
        check.on(&reach.server.host)
    };
    let named = all.iter().filter(|reach| reach.server.host.parse::<IpAddr>().is_err());
    named.map(check).collect()
}

/// Whether each port accepts connections.
///
/// | addresses that accept | advertised | another server is reached | |
/// |---|---|---|---|
/// | none is known | | | not checked |
/// | all | | | ok |
/// | all of IPv4 and none of IPv6, or the reverse | | | ok, with details: clients try the next one |
/// | some | | | warning |
/// | none | no | yes | warning |
/// | none | no | no | failed |
/// | none | yes | | failed |
fn ports(all: &[Reach]) -> Vec<Check> {
    all.iter().map(|reach| port(reach, all).on(&reach.server)).collect()
}

fn port(reach: &Reach, all: &[Reach]) -> Check {
    let Ok(addresses) = &reach.addresses else {
        return Check::skipped("tcp", "its name has no address");
    };
    let failed = addresses
        .iter()
        .filter_map(|(ip, connected)| Some((ip, explain(connected.as_ref().err()?))));
    let failed: Vec<(&IpAddr, Explanation)> = failed.collect();
    let details: Vec<String> = failed.iter().map(|(_, failure)| failure.what.clone()).collect();
    let open = addresses.iter().filter_map(|(ip, connected)| {
        let took = connected.as_ref().ok()?;
        Some((ip, format!("{ip} in {:.1} ms", took.as_secs_f64() * 1000.0)))
    });
    let (open, timed): (Vec<&IpAddr>, Vec<String>) = open.unzip();
    if open.is_empty() {
        let next = failed.into_iter().next().map_or(String::new(), |(_, first)| first.next);
        return unreachable("tcp", reach, all, Explanation::new(details.join("; "), next));
    }
    let what = format!("connected to {}", timed.join(", "));
    let has_family_of = |ip: &IpAddr| open.iter().any(|open| open.is_ipv4() == ip.is_ipv4());
    match failed.into_iter().find(|(ip, _)| has_family_of(ip)) {
        None => Check::ok("tcp", what).with(details),
        Some((_, failure)) => Check::warning("tcp", what, failure.next).with(details),
    }
}

fn explain(error: &ConnectionError) -> Explanation {
    error.explain(&ClientAuth::default(), Evidence::default())
}

fn unreachable(name: &'static str, reach: &Reach, all: &[Reach], explanation: Explanation) -> Check {
    if !reach.server.advertised && all.iter().any(Reach::is_open) {
        Check::warning(name, explanation.what, explanation.next)
    } else {
        Check::explained(name, BrokerUnreachable, explanation)
    }
}

pub(super) fn join(all: impl IntoIterator<Item = impl ToString>) -> String {
    let all: Vec<String> = all.into_iter().map(|it| it.to_string()).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests;
