use super::*;
use crate::cli::doctor::check::Status::{self, Failed, Ok as Fine, Warning};
use crate::error::ErrorType;

const NOW: i64 = 1_795_000_000;
const DAY: i64 = 86_400;

fn wanted(tls: bool) -> Terms<'static> {
    Terms {
        host: "b-1.example",
        tls,
        verifies: true,
        shows: false,
        now: NOW,
    }
}

fn certificate(days: i64) -> Certificate {
    Certificate {
        subject: "CN=b".into(),
        issuer: "CN=ca".into(),
        hosts: vec!["b".into()],
        begins: 0,
        ends: NOW + days * DAY,
    }
}

fn shaken(end: End) -> Handshake {
    Handshake {
        protocol: Some("TLSv1.3".into()),
        certificate: Some(certificate(90)),
        problems: vec![],
        end,
    }
}

/// TLS that did not come to be.
fn broken(end: End) -> Handshake {
    Handshake {
        protocol: None,
        certificate: None,
        ..shaken(end)
    }
}

fn seen(clear: Option<Said>, tls: Option<Handshake>) -> ObservedItem {
    ObservedItem { clear, tls }
}

fn is(check: &Check, status: Status, error_type: Option<ErrorType>, what: &str) {
    assert_eq!((check.status, check.error_type), (status, error_type), "{check:?}");
    assert!(check.what.contains(what), "{check:?}");
    assert_eq!(check.next.is_some(), status != Fine, "{check:?}");
}

#[test]
fn a_port_without_tls_is_as_it_was_asked_for() {
    let down = Some(BrokerUnreachable);
    let speaks_tls = || Some(shaken(End::Closed));
    let silent = || Some(broken(End::Silent));
    let rows = [
        (
            Some(Said::Kafka),
            None,
            Fine,
            None,
            "not used, as KAFKA_SECURITY_PROTOCOL sets",
        ),
        (Some(Said::Closed), speaks_tls(), Failed, down, "uses TLS (TLSv1.3)"),
        (Some(Said::Silent), speaks_tls(), Failed, down, "uses TLS (TLSv1.3)"),
        (Some(Said::Other), speaks_tls(), Failed, down, "uses TLS (TLSv1.3)"),
        (Some(Said::Closed), silent(), Failed, down, "closes the connection"),
        (Some(Said::Silent), silent(), Failed, down, "does not respond"),
        (
            Some(Said::Other),
            silent(),
            Failed,
            down,
            "responds, but not as Kafka does",
        ),
        (None, None, Failed, down, "does not respond"),
    ];
    for (clear, tls, status, error_type, what) in rows {
        is(&judge(&seen(clear, tls), wanted(false)), status, error_type, what);
    }
}

#[test]
fn a_port_with_tls_is_judged_by_how_far_it_went() {
    let (down, refused) = (Some(BrokerUnreachable), Some(AuthenticationFailed));
    let kafka = Some(Said::Kafka);
    let rows = [
        (
            None,
            shaken(End::Kafka),
            Fine,
            None,
            "TLSv1.3, verified, the certificate ends on 2027-02-16",
        ),
        (
            None,
            shaken(End::Strange),
            Failed,
            down,
            "TLSv1.3 was negotiated, and then the port responds, but not as Kafka",
        ),
        (
            None,
            shaken(End::Closed),
            Failed,
            down,
            "TLSv1.3 was negotiated, and then the port closes",
        ),
        (
            None,
            shaken(End::Silent),
            Failed,
            down,
            "TLSv1.3 was negotiated, and then the port accepts",
        ),
        (
            None,
            shaken(End::Alert(116)),
            Failed,
            refused,
            "requires a client certificate",
        ),
        (
            None,
            shaken(End::Alert(42)),
            Failed,
            refused,
            "requires a client certificate",
        ),
        (
            None,
            shaken(End::Alert(40)),
            Failed,
            refused,
            "requires a client certificate",
        ),
        (
            None,
            broken(End::Alert(40)),
            Failed,
            down,
            "TLS fails: the port sends the TLS alert 40",
        ),
        (
            None,
            broken(End::Alert(70)),
            Failed,
            down,
            "alert 70 (protocol version)",
        ),
        (None, broken(End::Alert(80)), Failed, down, "alert 80 (internal error)"),
        (kafka, broken(End::Closed), Failed, down, "uses no TLS"),
        (kafka, broken(End::Strange), Failed, down, "uses no TLS"),
        (
            Some(Said::Closed),
            broken(End::Closed),
            Failed,
            down,
            "TLS fails: the port closes",
        ),
        (
            Some(Said::Other),
            broken(End::Strange),
            Failed,
            down,
            "TLS fails: the port responds, but not",
        ),
        (
            None,
            broken(End::Silent),
            Failed,
            down,
            "TLS fails: the port accepts the connection",
        ),
        (None, broken(End::Other("oops".into())), Failed, down, "oops"),
    ];
    for (clear, tls, status, error_type, what) in rows {
        is(&judge(&seen(clear, Some(tls)), wanted(true)), status, error_type, what);
    }
}

#[test]
fn an_alert_for_a_certificate_that_was_shown_refuses_it() {
    let terms = Terms {
        shows: true,
        ..wanted(true)
    };
    for alert in [42, 46, 48, 49] {
        let check = judge(&seen(None, Some(shaken(End::Alert(alert)))), terms);
        is(
            &check,
            Failed,
            Some(AuthenticationFailed),
            "the broker refuses the client certificate",
        );
    }
    let check = judge(&seen(None, Some(broken(End::Alert(40)))), terms);
    is(&check, Failed, Some(BrokerUnreachable), "alert 40");
}

#[test]
fn each_problem_of_a_certificate_has_words_and_the_first_decides() {
    let whose = || "CN=b".to_owned();
    let rows = [
        (Problem::Expired(whose()), "the certificate of CN=b has expired"),
        (
            Problem::NotYetValid(whose()),
            "the certificate of CN=b does not hold yet",
        ),
        (Problem::OtherHost, "the certificate is not for b-1.example"),
        (Problem::Authority, "an unknown CA: CN=ca"),
        (Problem::Other("weak".into()), "not accepted: weak"),
    ];
    for (problem, what) in rows.clone() {
        let tls = Handshake {
            problems: vec![problem],
            ..shaken(End::Kafka)
        };
        is(
            &judge(&seen(None, Some(tls.clone())), wanted(true)),
            Failed,
            Some(BrokerUnreachable),
            what,
        );
        let unverified = Terms {
            verifies: false,
            ..wanted(true)
        };
        let check = judge(&seen(None, Some(tls)), unverified);
        is(&check, Warning, None, what);
        assert!(check.what.ends_with(", and it is not verified"), "{check:?}");
    }
    let mut problems: Vec<Problem> = rows.into_iter().map(|(problem, _)| problem).rev().collect();
    problems.sort();
    let all = Handshake {
        problems,
        ..shaken(End::Kafka)
    };
    let check = judge(&seen(None, Some(all)), wanted(true));
    is(&check, Failed, Some(BrokerUnreachable), "has expired");
    assert_eq!(
        check.details.len(),
        4 + 2,
        "the other problems, and the certificate: {check:?}"
    );
}

#[test]
fn a_certificate_that_ends_soon_or_that_nobody_verifies_is_a_warning() {
    let soon = Handshake {
        certificate: Some(certificate(29)),
        ..shaken(End::Kafka)
    };
    is(
        &judge(&seen(None, Some(soon)), wanted(true)),
        Warning,
        None,
        "ends on 2026-12-17, in 29 days",
    );
    let unverified = Terms {
        verifies: false,
        ..wanted(true)
    };
    let check = judge(&seen(None, Some(shaken(End::Kafka))), unverified);
    is(&check, Warning, None, "TLSv1.3, not verified");
}

#[test]
fn a_switch_is_off_as_librdkafka_reads_it() {
    for (switch, off) in [
        (None, false),
        (Some("true"), false),
        (Some("False"), true),
        (Some("0"), true),
        (Some(" f "), true),
    ] {
        assert_eq!(is_off(switch), off, "{switch:?}");
    }
}
