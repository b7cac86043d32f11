use super::*;
use crate::cli::doctor::check::Status::{Failed, Ok as Fine, Skipped};
use crate::cli::doctor::network::Shut;

const ALL: [ErrorType; 5] = [
    ErrorType::UnknownTopic,
    ErrorType::NotAuthorized,
    ErrorType::AuthenticationFailed,
    ErrorType::BrokerUnreachable,
    ErrorType::InvalidConfiguration,
];

fn error(error_type: ErrorType) -> Error {
    Error::new(error_type, "it is down. Mend it")
}

fn status(answers: &[Result<(), ErrorType>], obstacle: Option<&str>) -> Status {
    authentication(answers, obstacle, "well".into()).status
}

#[test]
fn who_gets_an_answer_about_any_topic_is_let_in() {
    for other in ALL {
        for let_in in [Ok(()), Err(ErrorType::UnknownTopic), Err(ErrorType::NotAuthorized)] {
            assert_eq!(status(&[Err(other), let_in], Some("shut")), Fine, "{other} {let_in:?}");
        }
    }
}

#[test]
fn who_is_refused_failed_and_who_is_not_heard_may_be_out_of_reach() {
    use ErrorType::{AuthenticationFailed, BrokerUnreachable, InvalidConfiguration};
    let rows = [
        (AuthenticationFailed, None, Failed),
        (AuthenticationFailed, Some("shut"), Failed),
        (BrokerUnreachable, None, Failed),
        (BrokerUnreachable, Some("shut"), Skipped),
        (InvalidConfiguration, None, Failed),
        (InvalidConfiguration, Some("a secret cannot be used"), Skipped),
    ];
    for (error_type, obstacle, expected) in rows {
        assert_eq!(
            status(&[Err(error_type)], obstacle),
            expected,
            "{error_type} {obstacle:?}"
        );
    }
}

fn topic<'a>(name: &'a Arc<str>, error: Option<&'a Error>, silent: usize) -> Topic<'a> {
    Topic {
        name,
        error,
        partitions: 3,
        silent: (0..silent)
            .map(|it| (format!("t-{it}"), "no leader".to_owned()))
            .collect(),
        end: None,
    }
}

#[test]
fn the_table_of_rights_on_a_topic_is_true() {
    let name: Arc<str> = "t".into();
    let refused = || Fetched::Refused(error(ErrorType::NotAuthorized));
    let late = || Fetched::Silent("late".into());
    let rows = [
        (
            None,
            0,
            Fetched::Proved,
            Fine,
            None,
            "3 partitions; this user may describe and read it",
        ),
        (None, 0, refused(), Failed, Some(ErrorType::NotAuthorized), "it is down"),
        (
            None,
            0,
            late(),
            Failed,
            Some(ErrorType::BrokerUnreachable),
            "a fetch gets no response: late",
        ),
        (
            None,
            2,
            Fetched::Proved,
            Failed,
            Some(ErrorType::BrokerUnreachable),
            "of 3 partitions, 2 cannot be reached",
        ),
        (
            None,
            3,
            Fetched::Nowhere,
            Failed,
            Some(ErrorType::BrokerUnreachable),
            "of 3 partitions, 3 cannot",
        ),
        (
            Some(ErrorType::UnknownTopic),
            0,
            Fetched::Nowhere,
            Failed,
            Some(ErrorType::UnknownTopic),
            "it is down",
        ),
        (
            Some(ErrorType::NotAuthorized),
            0,
            Fetched::Nowhere,
            Failed,
            Some(ErrorType::NotAuthorized),
            "it is down",
        ),
        (
            Some(ErrorType::AuthenticationFailed),
            0,
            Fetched::Nowhere,
            Skipped,
            None,
            "no user is authenticated",
        ),
        (
            Some(ErrorType::BrokerUnreachable),
            0,
            Fetched::Nowhere,
            Skipped,
            None,
            "no broker responds",
        ),
        (
            Some(ErrorType::InvalidConfiguration),
            0,
            Fetched::Nowhere,
            Skipped,
            None,
            "no broker responds",
        ),
    ];
    for (error_type, silent, fetched, expected, error_of_run, what) in rows {
        let error = error_type.map(error);
        let check = authorisation(&topic(&name, error.as_ref(), silent), &fetched, false);
        assert_eq!((check.status, check.error_type), (expected, error_of_run), "{check:?}");
        assert!(check.what.contains(what), "{check:?}");
    }
}

#[test]
fn a_topic_whose_brokers_are_out_of_reach_fails_for_who_is_let_in() {
    let (name, error): (Arc<str>, Error) = ("t".into(), error(ErrorType::BrokerUnreachable));
    let check = authorisation(&topic(&name, Some(&error), 0), &Fetched::Nowhere, true);
    assert_eq!(
        (check.status, check.error_type),
        (Failed, Some(ErrorType::BrokerUnreachable))
    );
}

fn reach(host: &str, shut: Option<Shut>) -> Reach {
    let address = "10.0.0.1".parse().expect("an address");
    Reach {
        server: Server {
            host: host.into(),
            port: 9092,
        },
        found: Ok(vec![address]),
        doors: vec![(address, shut.map_or(Ok(std::time::Duration::ZERO), Err))],
    }
}

#[test]
fn a_broker_that_advertises_an_address_out_of_reach_is_named() {
    let fine = brokers_check(&[reach("a", None), reach("b", None)]);
    assert_eq!(fine.len(), 1);
    assert_eq!(fine[0].what, "2 brokers, reached as advertised: a:9092, b:9092");
    let one = brokers_check(&[reach("a", None), reach("b", Some(Shut::Refused))]);
    assert_eq!(one.len(), 1);
    assert_eq!(
        (one[0].name, one[0].status, one[0].target.as_deref()),
        ("brokers", Failed, Some("b:9092"))
    );
    assert!(
        one[0]
            .next
            .as_ref()
            .is_some_and(|next| next.contains("advertised.listeners")),
        "{one:?}"
    );
}

#[test]
fn what_was_told_already_is_an_obstacle() {
    let (open, shut) = (reach("a", None), reach("a", Some(Shut::Silent)));
    let (well, ill) = (Check::ok("tls", "well"), Check::skipped("tls", "ill"));
    let ours = Check::failed("client_certificate", ErrorType::InvalidConfiguration, "x", "y");
    assert_eq!(
        obstacle(&[shut], std::slice::from_ref(&ill)),
        Some("no bootstrap server is reached")
    );
    assert_eq!(
        obstacle(std::slice::from_ref(&open), &[ours.clone(), ill.clone()]),
        Some("no bootstrap server can be used")
    );
    assert_eq!(obstacle(&[open], &[ours, ill, well]), None);
}

#[test]
fn a_right_on_the_group_is_never_missed() {
    let (refused, silent) = (error(ErrorType::NotAuthorized), error(ErrorType::BrokerUnreachable));
    let rows = [
        (Ok(true), Fine),
        (Ok(false), Fine),
        (Err(&refused), Fine),
        (Err(&silent), Skipped),
    ];
    for (committed, expected) in rows {
        assert_eq!(group_check(committed).status, expected, "{committed:?}");
    }
}
