use super::*;
use crate::cli::doctor::check::Status::{self, Failed, Ok as Fine, Skipped, Warning};

const V4: &str = "10.0.0.1";
const OTHER_V4: &str = "10.0.0.2";
const V6: &str = "fd00::1";

fn server() -> Server {
    Server::parse("b-1.example:9096")
}

fn nameless(why: NoName) -> Reach {
    Reach {
        server: server(),
        found: Err(why),
        doors: vec![],
    }
}

fn reach(doors: &[(&str, Option<Shut>)]) -> Reach {
    let doors = doors.iter().map(|(address, shut)| {
        let door = shut.clone().map_or(Ok(Duration::from_micros(1_500)), Err);
        (address.parse().expect("an address"), door)
    });
    let doors: Vec<(IpAddr, Result<Duration, Shut>)> = doors.collect();
    Reach {
        server: server(),
        found: Ok(doors.iter().map(|(address, _)| *address).collect()),
        doors,
    }
}

fn open() -> Reach {
    reach(&[(V4, None)])
}

fn status(checks: &[Check]) -> Vec<Status> {
    checks.iter().map(|check| check.status).collect()
}

#[test]
fn an_address_is_read_as_librdkafka_reads_it() {
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
fn a_bootstrap_name_that_is_unknown_matters_as_much_as_the_others_are_out_of_reach() {
    for why in [NoName::Unknown("no such name".into()), NoName::Silent] {
        let lost = nameless(why);
        let rows = [
            (vec![lost.clone()], Whose::Bootstrap, vec![Failed]),
            (vec![lost.clone(), open()], Whose::Bootstrap, vec![Warning, Fine]),
            (
                vec![lost.clone(), reach(&[(V4, Some(Shut::Refused))])],
                Whose::Bootstrap,
                vec![Failed, Fine],
            ),
            (vec![lost.clone(), open()], Whose::Advertised, vec![Failed, Fine]),
        ];
        for (all, whose, expected) in rows {
            assert_eq!(status(&names(&all, whose)), expected, "{all:?} {whose:?}");
        }
    }
}

#[test]
fn a_port_is_judged_by_its_addresses_and_by_the_other_servers() {
    let refused = || Some(Shut::Refused);
    let rows = [
        (vec![nameless(NoName::Silent)], Whose::Bootstrap, vec![Skipped]),
        (vec![open()], Whose::Bootstrap, vec![Fine]),
        (
            vec![reach(&[(V4, None), (V6, refused())])],
            Whose::Bootstrap,
            vec![Fine],
        ),
        (
            vec![reach(&[(V6, None), (V4, refused())])],
            Whose::Advertised,
            vec![Fine],
        ),
        (
            vec![reach(&[(V4, None), (OTHER_V4, refused())])],
            Whose::Bootstrap,
            vec![Warning],
        ),
        (
            vec![reach(&[(V4, None), (V6, refused()), (OTHER_V4, refused())])],
            Whose::Advertised,
            vec![Warning],
        ),
        (vec![reach(&[(V4, refused())])], Whose::Bootstrap, vec![Failed]),
        (
            vec![reach(&[(V4, refused())]), open()],
            Whose::Bootstrap,
            vec![Warning, Fine],
        ),
        (
            vec![reach(&[(V4, refused())]), open()],
            Whose::Advertised,
            vec![Failed, Fine],
        ),
    ];
    for (all, whose, expected) in rows {
        assert_eq!(status(&ports(&all, whose)), expected, "{all:?} {whose:?}");
    }
}

#[test]
fn each_way_to_be_shut_says_what_to_do() {
    let rows = [
        (
            Shut::Refused,
            "10.0.0.1 refuses the connection",
            "Nothing listens there",
        ),
        (Shut::Silent, "10.0.0.1 does not respond", "security groups"),
        (Shut::NoRoute, "10.0.0.1 has no route from here", "routes"),
        (Shut::Other("oops".into()), "10.0.0.1 oops", "security groups"),
    ];
    for (shut, what, next) in rows {
        let check = &ports(&[reach(&[(V4, Some(shut))])], Whose::Bootstrap)[0];
        assert_eq!(check.what, what);
        assert!(check.next.as_ref().is_some_and(|it| it.contains(next)), "{check:?}");
        assert_eq!(check.error_type, Some(BrokerUnreachable));
    }
    let advertised = &ports(&[reach(&[(V4, Some(Shut::Refused))])], Whose::Advertised)[0];
    let next = advertised.next.as_ref().expect("a next step");
    assert!(next.contains("advertised.listeners"), "{next}");
}

#[test]
fn what_is_open_is_told_with_its_time_and_what_is_shut_with_why() {
    let check = &ports(&[reach(&[(V4, None), (V6, Some(Shut::NoRoute))])], Whose::Bootstrap)[0];
    assert_eq!(check.what, "connected to 10.0.0.1 in 1.5 ms");
    assert_eq!(check.details, ["fd00::1 has no route from here"]);
    assert_eq!(check.target.as_deref(), Some("b-1.example:9096"));
}

#[test]
fn addresses_of_another_family_are_none() {
    let both = || {
        Ok(vec![
            SocketAddr::new(V4.parse().unwrap(), 1),
            SocketAddr::new(V6.parse().unwrap(), 1),
        ])
    };
    let count = |family| addresses(both(), family).map(|found| found.len());
    assert_eq!(count(Family::Any), Ok(2));
    assert_eq!(count(Family::of(Some("v4"))), Ok(1));
    let only_v4 = addresses(
        Ok(vec![SocketAddr::new(V4.parse().unwrap(), 1)]),
        Family::of(Some("v6")),
    );
    assert!(matches!(only_v4, Err(NoName::Unknown(_))));
}
