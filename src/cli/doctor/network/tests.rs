use super::*;
use crate::cli::doctor::check::Status::{self, Failed, Ok as Fine, Skipped, Warning};

const V4: &str = "10.0.0.1";
const OTHER_V4: &str = "10.0.0.2";
const V6: &str = "fd00::1";

fn server() -> Server {
    Server::parse("b-1.example:9096")
}

fn unresolved(cause: Cause) -> Reach {
    let server = server();
    let error = server.error(cause, server.to_string(), "no such name".into());
    Reach {
        server,
        addresses: Err(error),
    }
}

/// A server with these addresses, some of which fail.
fn reach(addresses: &[(&str, Option<Cause>)]) -> Reach {
    let server = server();
    let addresses = addresses.iter().map(|(ip, failure)| {
        let error = |cause| server.error(cause, format!("{ip}:9096"), "oops".into());
        let connected = failure.map_or(Ok(Duration::from_micros(1_500)), |cause| Err(error(cause)));
        (ip.parse().expect("an address"), connected)
    });
    Reach {
        addresses: Ok(addresses.collect()),
        server: server.clone(),
    }
}

fn open() -> Reach {
    reach(&[(V4, None)])
}

fn advertised(mut reach: Reach) -> Reach {
    reach.server.advertised = true;
    if let Ok(addresses) = &mut reach.addresses {
        let errors = addresses
            .iter_mut()
            .filter_map(|(_, connected)| connected.as_mut().err());
        errors.for_each(|error| error.endpoint.advertised = true);
    }
    reach
}

fn status(checks: &[Check]) -> Vec<Status> {
    checks.iter().map(|check| check.status).collect()
}

#[test]
fn an_address_is_parsed_as_librdkafka_does() {
    let rows = [
        ("b:9096", "b", 9096, "b:9096"),
        ("b", "b", 9092, "b:9092"),
        ("SASL_SSL://b.example:1", "b.example", 1, "b.example:1"),
        ("[::1]:9", "::1", 9, "[::1]:9"),
        ("[::1]", "::1", 9092, "[::1]:9092"),
        ("10.0.0.1:9", "10.0.0.1", 9, "10.0.0.1:9"),
    ];
    for (text, host, port, shown) in rows {
        let server = Server::parse(text);
        assert_eq!((server.host.as_str(), server.port), (host, port), "{text}");
        assert_eq!(server.to_string(), shown);
    }
    assert_eq!(Server::all("a:1,b:2").len(), 2);
}

#[test]
fn a_bootstrap_name_that_does_not_resolve_is_a_failure_where_no_other_server_is_reached() {
    for cause in [Cause::UnknownHost, Cause::DnsTimeout] {
        let lost = unresolved(cause);
        let rows = [
            (vec![lost.clone()], vec![Failed]),
            (vec![lost.clone(), open()], vec![Warning, Fine]),
            (
                vec![lost.clone(), reach(&[(V4, Some(Cause::Refused))])],
                vec![Failed, Fine],
            ),
            (vec![advertised(lost), advertised(open())], vec![Failed, Fine]),
        ];
        for (all, expected) in rows {
            assert_eq!(status(&names(&all)), expected, "{all:?}");
        }
    }
}

#[test]
fn a_port_is_judged_by_its_addresses_and_by_the_other_servers() {
    let refused = Some(Cause::Refused);
    let rows = [
        (vec![unresolved(Cause::DnsTimeout)], vec![Skipped]),
        (vec![open()], vec![Fine]),
        (vec![reach(&[(V4, None), (V6, refused)])], vec![Fine]),
        (vec![advertised(reach(&[(V6, None), (V4, refused)]))], vec![Fine]),
        (vec![reach(&[(V4, None), (OTHER_V4, refused)])], vec![Warning]),
        (
            vec![advertised(reach(&[(V4, None), (V6, refused), (OTHER_V4, refused)]))],
            vec![Warning],
        ),
        (vec![reach(&[(V4, refused)])], vec![Failed]),
        (vec![reach(&[(V4, refused)]), open()], vec![Warning, Fine]),
        (
            vec![advertised(reach(&[(V4, refused)])), advertised(open())],
            vec![Failed, Fine],
        ),
    ];
    for (all, expected) in rows {
        assert_eq!(status(&ports(&all)), expected, "{all:?}");
    }
}

#[test]
fn each_failed_connection_has_a_next_step() {
    let rows = [
        (
            Cause::Refused,
            "nothing listens at 10.0.0.1:9096: connection refused",
            "Check that the broker runs",
        ),
        (
            Cause::ConnectTimeout,
            "the TCP connection to 10.0.0.1:9096 timed out",
            "security groups",
        ),
        (Cause::NoRoute, "10.0.0.1:9096 cannot be reached: oops", "routes"),
    ];
    for (cause, what, next) in rows {
        let check = &ports(&[reach(&[(V4, Some(cause))])])[0];
        assert_eq!(check.what, what);
        assert!(check.next.as_ref().is_some_and(|it| it.contains(next)), "{check:?}");
        assert_eq!(check.error_type, Some(BrokerUnreachable));
    }
    let check = &ports(&[advertised(reach(&[(V4, Some(Cause::Refused))]))])[0];
    let next = check.next.as_ref().expect("a next step");
    assert!(next.contains("advertised.listeners"), "{next}");
}

#[test]
fn an_open_port_is_shown_with_its_time_and_a_closed_one_with_its_cause() {
    let check = &ports(&[reach(&[(V4, None), (V6, Some(Cause::NoRoute))])])[0];
    assert_eq!(check.what, "connected to 10.0.0.1 in 1.5 ms");
    assert_eq!(check.details, ["fd00::1:9096 cannot be reached: oops"]);
    assert_eq!(check.target.as_deref(), Some("b-1.example:9096"));
}

#[test]
fn addresses_of_another_family_are_left_out() {
    let address = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 1);
    let count = |all: &[&str], family| {
        let resolved = Ok(all.iter().map(|ip| address(ip)).collect());
        addresses(&server(), resolved, family).map(|found| found.len())
    };
    assert_eq!(count(&[V4, V6], None), Ok(2));
    assert_eq!(count(&[V4, V6], Some("v4")), Ok(1));
    let error = count(&[V4], Some("v6")).expect_err("there is none");
    assert_eq!(error.cause, Cause::UnknownHost);
}

#[test]
fn a_dns_server_without_a_response_is_not_an_unknown_name() {
    let rows = [
        (io::Error::from(ErrorKind::TimedOut), Cause::DnsTimeout),
        (io::Error::other(format!("failed: {DNS_TIMEOUT}")), Cause::DnsTimeout),
        (io::Error::other("Name or service not known"), Cause::UnknownHost),
    ];
    for (error, cause) in rows {
        let found = addresses(&server(), Err(error), None);
        assert_eq!(found.map_err(|error| error.cause), Err(cause));
    }
}
