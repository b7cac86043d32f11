//! Names and ports: can a broker be found, and reached?

use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio::time::timeout_at;

use super::check::Check;
use super::now;
use crate::error::ErrorType::BrokerUnreachable;

/// librdkafka's own for an address without a port.
const DEFAULT_PORT: u16 = 9092;

/// A broker, as somebody named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Server {
    /// One of `KAFKA_BOOTSTRAP_SERVERS`, which were checked when they were read.
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
        }
    }

    pub(super) fn all(bootstrap_servers: &str) -> Vec<Self> {
        bootstrap_servers.split(',').map(Self::parse).collect()
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

/// What came of looking for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) server: Server,
    pub(super) found: Result<Vec<IpAddr>, NoName>,
    /// Each address that was found, and what its port did.
    pub(super) doors: Vec<(IpAddr, Result<Duration, Shut>)>,
}

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoName {
    /// So says the DNS, in these words.
    Unknown(String),
    /// The DNS does not answer.
    Silent,
}

/// Why nobody could be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shut {
    Refused,
    Silent,
    NoRoute,
    Other(String),
}

/// Whose addresses they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Of `KAFKA_BOOTSTRAP_SERVERS`: one that is reached is enough.
    Bootstrap,
    /// What the brokers advertise: each of them leads partitions.
    Advertised,
}

/// Which addresses librdkafka takes: `broker.address.family`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Any,
    V4,
    V6,
}

impl Family {
    pub(super) fn of(property: Option<&str>) -> Self {
        match property {
            Some("v4") => Self::V4,
            Some("v6") => Self::V6,
            _ => Self::Any,
        }
    }

    fn has(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

impl Reach {
    /// Finds a server and knocks at each of its addresses, until `until`.
    pub(super) async fn out(server: Server, family: Family, until: Instant) -> Self {
        let (host, port) = (server.host.clone(), server.port);
        let resolving = spawn_blocking(move || (host.as_str(), port).to_socket_addrs().map(Vec::from_iter));
        let found = match timeout_at(until.into(), resolving).await {
            Ok(Ok(answer)) => addresses(answer, family),
            Ok(Err(_)) | Err(_) => Err(NoName::Silent),
        };
        let knock = async |address: IpAddr| (address, knock(SocketAddr::new(address, port), until).await);
        let doors = found.iter().flatten().copied().map(knock);
        let doors = futures::future::join_all(doors).await;
        Self { server, found, doors }
    }

    pub(super) fn open(&self) -> impl Iterator<Item = SocketAddr> {
        let open = self.doors.iter().filter(|(_, door)| door.is_ok());
        open.map(|(address, _)| SocketAddr::new(*address, self.server.port))
    }

    pub(super) fn is_open(&self) -> bool {
        self.open().next().is_some()
    }
}

fn addresses(answer: std::io::Result<Vec<SocketAddr>>, family: Family) -> Result<Vec<IpAddr>, NoName> {
    let mut found: Vec<IpAddr> = match answer {
        Ok(all) => all.iter().map(SocketAddr::ip).filter(|it| family.has(*it)).collect(),
        // The only words that tell a DNS that is down from one that says no.
        Err(error) if error.to_string().contains("Temporary failure") => return Err(NoName::Silent),
        Err(error) => return Err(NoName::Unknown(error.to_string())),
    };
    found.dedup();
    if found.is_empty() {
        Err(NoName::Unknown(
            "none of its addresses is of broker.address.family".into(),
        ))
    } else {
        Ok(found)
    }
}

async fn knock(address: SocketAddr, until: Instant) -> Result<Duration, Shut> {
    let since = now();
    let left = until.saturating_duration_since(since).max(Duration::from_millis(1));
    let connecting = spawn_blocking(move || TcpStream::connect_timeout(&address, left).map(|_| now() - since));
    match connecting.await {
        Ok(Ok(took)) => Ok(took),
        Ok(Err(error)) => Err(Shut::from(&error)),
        Err(error) => Err(Shut::Other(error.to_string())),
    }
}

impl From<&std::io::Error> for Shut {
    fn from(error: &std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Self::Silent,
            ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => Self::NoRoute,
            _ => Self::Other(error.to_string()),
        }
    }
}

impl fmt::Display for Shut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("refuses the connection"),
            Self::Silent => f.write_str("does not respond"),
            Self::NoRoute => f.write_str("has no route from here"),
            Self::Other(error) => f.write_str(error),
        }
    }
}

/// Whether each name has addresses; an address is no name.
///
/// | | whose | another one is reached | |
/// |---|---|---|---|
/// | it has | | | ok |
/// | it has none, or the DNS is silent | bootstrap | yes | warning |
/// | | bootstrap | no | failed |
/// | | advertised | | failed |
pub(super) fn names(all: &[Reach], whose: Whose) -> Vec<Check> {
    let check = |reach: &Reach| {
        let check = match &reach.found {
            Ok(found) => Check::ok("dns", join(found.iter())),
            Err(NoName::Unknown(said)) => trouble(
                "dns",
                all,
                whose,
                format!("the name has no address: {said}"),
                unknown_name(whose),
            ),
            Err(NoName::Silent) => {
                let next = "Look after the DNS of this network: in a VPC, its DNS support and resolver";
                trouble("dns", all, whose, "no response from the DNS".into(), next)
            }
        };
        check.on(&reach.server.host)
    };
    let named = all.iter().filter(|reach| reach.server.host.parse::<IpAddr>().is_err());
    named.map(check).collect()
}

fn unknown_name(whose: Whose) -> &'static str {
    match whose {
        Whose::Bootstrap => {
            "Correct KAFKA_BOOTSTRAP_SERVERS. A private name, as of Amazon MSK, is known only in its own network: ask \
             from there"
        }
        Whose::Advertised => {
            "Clients are sent to this name: make it known in this network, or correct the brokers' \
             advertised.listeners"
        }
    }
}

/// Whether each port is open.
///
/// | addresses | whose | another server is reached | |
/// |---|---|---|---|
/// | none | | | not checked |
/// | all open | | | ok |
/// | those of IPv4 open and those of IPv6 shut, or the other way | | | ok, and told: clients take the next one |
/// | some open, some shut | | | warning |
/// | all shut | bootstrap | yes | warning |
/// | | bootstrap | no | failed |
/// | | advertised | | failed |
pub(super) fn ports(all: &[Reach], whose: Whose) -> Vec<Check> {
    let check = |reach: &Reach| port(reach, all, whose).on(&reach.server);
    all.iter().map(check).collect()
}

fn port(reach: &Reach, all: &[Reach], whose: Whose) -> Check {
    if reach.found.is_err() {
        return Check::skipped("tcp", "its name has no address");
    }
    let shut: Vec<_> = reach
        .doors
        .iter()
        .filter_map(|(address, door)| Some((address, door.as_ref().err()?)))
        .collect();
    let told = shut.iter().map(|(address, why)| format!("{address} {why}"));
    let told: Vec<String> = told.collect();
    if !reach.is_open() {
        let next = shut.first().map_or("", |(_, why)| way_in(why, whose));
        return trouble("tcp", all, whose, told.join(", "), next);
    }
    let open = reach.doors.iter().filter_map(|(address, door)| {
        let took = door.as_ref().ok()?;
        Some((address, format!("{address} in {:.1} ms", took.as_secs_f64() * 1000.0)))
    });
    let (open, words): (Vec<&IpAddr>, Vec<String>) = open.unzip();
    let other_family = |(address, _): &(&IpAddr, &Shut)| open.iter().all(|it| it.is_ipv4() != address.is_ipv4());
    let what = format!("connected to {}", words.join(", "));
    match shut.iter().find(|shut| !other_family(shut)) {
        None => Check::ok("tcp", what).with(told),
        Some((_, why)) => Check::warning("tcp", what, way_in(why, whose)).with(told),
    }
}

fn way_in(why: &Shut, whose: Whose) -> &'static str {
    match (why, whose) {
        (Shut::Refused, Whose::Bootstrap) => {
            "Nothing listens there: correct the port in KAFKA_BOOTSTRAP_SERVERS, or start the broker"
        }
        (Shut::Refused, Whose::Advertised) => {
            "Clients are sent to this address, and nothing listens there: correct the brokers' advertised.listeners, \
             or start the broker"
        }
        (Shut::Silent | Shut::Other(_), _) => {
            "Check the security groups and firewalls on both sides, and the routes between: packets are dropped"
        }
        (Shut::NoRoute, _) => "Check this network's routes: peering, transit gateway, VPN or NAT",
    }
}

fn trouble(name: &'static str, all: &[Reach], whose: Whose, what: String, next: &str) -> Check {
    if whose == Whose::Bootstrap && all.iter().any(Reach::is_open) {
        Check::warning(name, what, next)
    } else {
        Check::failed(name, BrokerUnreachable, what, next)
    }
}

pub(super) fn join(all: impl Iterator<Item = impl ToString>) -> String {
    all.map(|it| it.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
