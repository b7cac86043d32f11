use super::*;
use crate::cli::doctor::check::Status::{Failed, Ok as Fine, Skipped};
use crate::kafka::errors::cause::{Cause, ConnectionError, Endpoint};

const ALL: [ErrorType; 5] = [
    ErrorType::UnknownTopic,
    ErrorType::NotAuthorized,
    ErrorType::AuthenticationFailed,
    ErrorType::BrokerUnreachable,
    ErrorType::InvalidConfiguration,
];

fn error(error_type: ErrorType) -> Error {
    Error::new(error_type, "it is down")
}

fn status(types: &[Result<(), ErrorType>], obstacle: Option<&str>) -> Status {
    let errors: Vec<Result<(), Error>> = types.iter().map(|it| it.map_err(error)).collect();
    let responses: Vec<Result<(), &Error>> = errors.iter().map(|it| it.as_ref().copied()).collect();
    authentication(&responses, obstacle, "accepted".into()).status
}

#[test]
fn a_client_with_a_response_about_any_topic_is_authenticated() {
    for other in ALL {
        for response in [Ok(()), Err(ErrorType::UnknownTopic), Err(ErrorType::NotAuthorized)] {
            let status = status(&[Err(other), response], Some("closed"));
            assert_eq!(status, Fine, "{other} {response:?}");
        }
    }
}

#[test]
fn a_refused_authentication_fails_and_without_a_response_the_network_may_be_the_cause() {
    use ErrorType::{AuthenticationFailed, BrokerUnreachable, InvalidConfiguration};
    let rows = [
        (AuthenticationFailed, None, Failed),
        (AuthenticationFailed, Some("closed"), Failed),
        (BrokerUnreachable, None, Failed),
        (BrokerUnreachable, Some("closed"), Skipped),
        (InvalidConfiguration, None, Failed),
        (InvalidConfiguration, Some("a secret cannot be used"), Skipped),
    ];
    for (error_type, obstacle, expected) in rows {
        let status = status(&[Err(error_type)], obstacle);
        assert_eq!(status, expected, "{error_type} {obstacle:?}");
    }
}

fn topic<'a>(name: &'a Arc<str>, error: Option<&'a Error>, unavailable: usize) -> Topic<'a> {
    let unavailable = (0..unavailable).map(|it| (format!("t-{it}"), "no leader".to_owned()));
    Topic {
        name,
        error,
        partitions: 3,
        unavailable: unavailable.collect(),
        end: None,
    }
}

#[test]
fn each_combination_of_offsets_and_fetch_has_the_check_of_the_table() {
    use ErrorType::{AuthenticationFailed, BrokerUnreachable, InvalidConfiguration, NotAuthorized, UnknownTopic};
    let name: Arc<str> = "t".into();
    let denied = || Err(error(NotAuthorized));
    let late = || Err(not_fetched("late"));
    let readable = "3 partitions; this user may describe and read it";
    let rows = [
        (None, 0, Ok(()), Fine, None, readable),
        (None, 0, denied(), Failed, Some(NotAuthorized), "it is down"),
        (
            None,
            0,
            late(),
            Failed,
            Some(BrokerUnreachable),
            "a fetch gets no response: late",
        ),
        (
            None,
            2,
            Ok(()),
            Failed,
            Some(BrokerUnreachable),
            "of 3 partitions, 2 cannot be reached",
        ),
        (
            None,
            3,
            Ok(()),
            Failed,
            Some(BrokerUnreachable),
            "of 3 partitions, 3 cannot",
        ),
        (Some(UnknownTopic), 0, Ok(()), Failed, Some(UnknownTopic), "it is down"),
        (
            Some(NotAuthorized),
            0,
            Ok(()),
            Failed,
            Some(NotAuthorized),
            "it is down",
        ),
        (
            Some(AuthenticationFailed),
            0,
            Ok(()),
            Skipped,
            None,
            "no user is authenticated",
        ),
        (Some(BrokerUnreachable), 0, Ok(()), Skipped, None, "no broker responds"),
        (
            Some(InvalidConfiguration),
            0,
            Ok(()),
            Skipped,
            None,
            "no broker responds",
        ),
    ];
    for (error_type, unavailable, fetched, expected, error_of_run, what) in rows {
        let error = error_type.map(error);
        let check = authorization(&topic(&name, error.as_ref(), unavailable), &fetched, false);
        assert_eq!((check.status, check.error_type), (expected, error_of_run), "{check:?}");
        assert!(check.what.contains(what), "{check:?}");
    }
}

#[test]
fn a_topic_whose_leaders_are_unreachable_fails_for_an_authenticated_client() {
    let (name, error): (Arc<str>, Error) = ("t".into(), error(ErrorType::BrokerUnreachable));
    let check = authorization(&topic(&name, Some(&error), 0), &Ok(()), true);
    let expected = (Failed, Some(ErrorType::BrokerUnreachable));
    assert_eq!((check.status, check.error_type), expected);
}

fn reach(host: &str, failure: Option<Cause>) -> Reach {
    let endpoint = Endpoint {
        address: "10.0.0.1:9092".into(),
        advertised: true,
        ..Endpoint::default()
    };
    let detail = String::new();
    let connected = failure.map_or(Ok(std::time::Duration::ZERO), |cause| {
        Err(ConnectionError {
            cause,
            endpoint,
            detail,
        })
    });
    Reach {
        server: Server {
            host: host.into(),
            port: 9092,
            advertised: true,
        },
        addresses: Ok(vec![("10.0.0.1".parse().expect("an address"), connected)]),
    }
}

#[test]
fn a_broker_that_advertises_an_unreachable_address_is_named() {
    let fine = of_brokers(&[reach("a", None), reach("b", None)]);
    assert_eq!(fine.len(), 1);
    assert_eq!(fine[0].what, "2 brokers, reached as advertised: a:9092, b:9092");
    let one = of_brokers(&[reach("a", None), reach("b", Some(Cause::Refused))]);
    assert_eq!(one.len(), 1);
    let (name, target) = (one[0].name, one[0].target.as_deref());
    assert_eq!((name, one[0].status, target), ("brokers", Failed, Some("b:9092")));
    let next = one[0].next.as_ref().expect("a next step");
    assert!(next.contains("advertised.listeners"), "{next}");
}

#[test]
fn a_failed_check_of_the_network_or_of_tls_is_an_obstacle() {
    let (open, closed) = (reach("a", None), reach("a", Some(Cause::ConnectTimeout)));
    let (passed, skipped) = (Check::ok("tls", "x"), Check::skipped("tls", "x"));
    let own = Check::failed("client_certificate", ErrorType::InvalidConfiguration, "x", "y");
    let tls = [own, skipped, passed];
    assert_eq!(obstacle(&[closed], &tls[1..2]), Some("no bootstrap server is reached"));
    let unusable = obstacle(std::slice::from_ref(&open), &tls[..2]);
    assert_eq!(unusable, Some("no bootstrap server can be used"));
    assert_eq!(obstacle(&[open], &tls), None);
}

#[test]
fn a_missing_permission_on_the_group_is_no_failure() {
    let (denied, unreachable) = (error(ErrorType::NotAuthorized), error(ErrorType::BrokerUnreachable));
    let rows = [
        (Ok(true), Fine),
        (Ok(false), Fine),
        (Err(&denied), Fine),
        (Err(&unreachable), Skipped),
    ];
    for (has_offsets, expected) in rows {
        assert_eq!(of_group(has_offsets).status, expected, "{has_offsets:?}");
    }
}
