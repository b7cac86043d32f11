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
fn a_topic_whose_offsets_are_listed_is_judged_by_them_and_by_a_fetch() {
    use ErrorType::{BrokerUnreachable, NotAuthorized};
    let down = Some(BrokerUnreachable);
    let rows = [
        (0, Ok(()), None, "3 partitions; this user may describe and read it"),
        (0, Err(error(NotAuthorized)), Some(NotAuthorized), "it is down"),
        (0, Err(not_fetched("late")), down, "a fetch gets no response: late"),
        (2, Ok(()), down, "of 3 partitions, 2 cannot be reached"),
        (3, Ok(()), down, "of 3 partitions, 3 cannot"),
    ];
    for (unavailable, fetched, error_type, what) in rows {
        let check = authorization(&topic(&"t".into(), None, unavailable), &fetched, false);
        let status = if error_type.is_some() { Failed } else { Fine };
        assert_eq!((check.status, check.error_type), (status, error_type), "{check:?}");
        assert!(check.what.contains(what), "{check:?}");
    }
}

#[test]
fn an_error_about_a_topic_fails_and_without_authentication_it_is_not_checked() {
    use ErrorType::{AuthenticationFailed, BrokerUnreachable, InvalidConfiguration, NotAuthorized, UnknownTopic};
    let rows = [
        (UnknownTopic, false, Failed, "it is down"),
        (NotAuthorized, false, Failed, "it is down"),
        (AuthenticationFailed, false, Skipped, "no user is authenticated"),
        (BrokerUnreachable, false, Skipped, "no broker responds"),
        (InvalidConfiguration, false, Skipped, "no broker responds"),
        (BrokerUnreachable, true, Failed, "it is down"),
    ];
    for (error_type, is_authenticated, status, what) in rows {
        let check = authorization(
            &topic(&"t".into(), Some(&error(error_type)), 0),
            &Ok(()),
            is_authenticated,
        );
        let expected = (status == Failed).then_some(error_type);
        assert_eq!((check.status, check.error_type), (status, expected), "{check:?}");
        assert!(check.what.contains(what), "{check:?}");
    }
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
