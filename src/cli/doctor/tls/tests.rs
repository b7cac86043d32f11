use super::*;
use crate::cli::doctor::check::Status::{self, Failed, Ok as Fine, Warning};
use crate::error::ErrorType::{self, AuthenticationFailed};
use crate::kafka::tls::CertificateError;
use crate::kafka::tls::certificate::Certificate;

const NOW_S: i64 = 1_795_000_000;
const DAY_SECONDS: i64 = 86_400;

fn client(tls: bool) -> Client {
    Client {
        endpoint: Endpoint {
            address: "b:9096".into(),
            tls,
            ..Endpoint::default()
        },
        auth: ClientAuth {
            verifies_host: true,
            ..ClientAuth::default()
        },
        verifies: true,
        now_s: NOW_S,
    }
}

fn unverified() -> Client {
    Client {
        verifies: false,
        ..client(true)
    }
}

fn certificate(days: i64) -> Certificate {
    Certificate {
        subject: "CN=b".into(),
        issuer: "CN=ca".into(),
        hosts: vec!["b".into()],
        begins: 0,
        ends: NOW_S + days * DAY_SECONDS,
    }
}

/// TLS 1.3 was negotiated; what failed after that.
fn after_tls(failure: Option<Failure>) -> Handshake {
    Handshake {
        version: Some("TLSv1.3".into()),
        certificate: Some(certificate(90)),
        errors: vec![],
        failure,
    }
}

fn in_tls(failure: Failure) -> Handshake {
    Handshake {
        failure: Some(failure),
        ..Handshake::default()
    }
}

fn tls(handshake: Handshake) -> Observed {
    Observed::Tls(handshake, false)
}

fn alert(number: u8) -> Failure {
    let name = format!("alert of {number}");
    Failure::Alert { number, name }
}

fn is(check: &Check, status: Status, error_type: Option<ErrorType>, what: &str) {
    assert_eq!((check.status, check.error_type), (status, error_type), "{check:?}");
    assert!(check.what.contains(what), "{check:?}");
    assert_eq!(check.next.is_some(), status != Fine, "{check:?}");
}

#[test]
fn a_port_without_tls_is_judged_by_its_response_and_by_a_handshake() {
    use Failure::{Closed, Other, OtherProtocol, TimedOut};
    let check = judge(&Observed::Plain(Ok(())), &client(false));
    is(&check, Fine, None, "not used, as KAFKA_SECURITY_PROTOCOL sets");
    let judged = |failure, handshake, what| {
        let check = judge(&Observed::Plain(Err((failure, handshake))), &client(false));
        is(&check, Failed, Some(BrokerUnreachable), what);
    };
    for failure in [Closed, TimedOut, OtherProtocol] {
        let what = "b:9096 requires TLS, and the client connected without TLS";
        judged(failure, after_tls(Some(Closed)), what);
    }
    let rows = [
        (Closed, "accepts the connection and closes it"),
        (TimedOut, "accepts the connection and sends no response"),
        (OtherProtocol, "does not speak the Kafka protocol"),
        (Other("oops".into()), "oops"),
    ];
    for (failure, what) in rows {
        judged(failure, in_tls(TimedOut), what);
    }
}

#[test]
fn a_failure_of_tls_is_judged_by_how_far_the_connection_got() {
    use Failure::{Closed, Other, OtherProtocol, TimedOut};
    let judged = |handshake: Handshake, error_type, what| {
        let is_negotiated = handshake.version.is_some();
        let check = judge(&tls(handshake), &client(true));
        is(&check, Failed, Some(error_type), what);
        let details = check.details.iter().any(|line| line == "TLSv1.3 was negotiated");
        assert_eq!(details, is_negotiated, "{check:?}");
    };
    let after = [
        (OtherProtocol, "does not speak the Kafka protocol"),
        (Closed, "closes the connection after the TLS handshake"),
        (TimedOut, "accepts the connection and sends no response"),
    ];
    for (failure, what) in after {
        judged(after_tls(Some(failure)), BrokerUnreachable, what);
    }
    for number in [116, 42, 40] {
        let handshake = after_tls(Some(alert(number)));
        judged(handshake, AuthenticationFailed, "requires a client certificate");
    }
    let before = [
        (alert(40), "the TLS handshake with b:9096 failed: alert of 40"),
        (alert(70), "failed: alert of 70 (TLS alert 70)"),
        (alert(80), "failed: alert of 80 (TLS alert 80)"),
        (Closed, "closes it during the TLS handshake"),
        (OtherProtocol, "does not speak the Kafka protocol"),
        (TimedOut, "the connection, and the TLS handshake timed out"),
        (Other("oops".into()), "oops"),
    ];
    for (failure, what) in before {
        judged(in_tls(failure), BrokerUnreachable, what);
    }
}

#[test]
fn a_listener_that_responds_without_tls_is_named() {
    for failure in [Failure::Closed, Failure::OtherProtocol] {
        let check = judge(&Observed::Tls(in_tls(failure), true), &client(true));
        is(&check, Failed, Some(BrokerUnreachable), "is a listener without TLS");
    }
}

#[test]
fn an_alert_about_a_certificate_that_was_sent_refuses_it() {
    let mut client = client(true);
    client.auth.has_certificate = true;
    for number in [42, 46, 48, 49] {
        let check = judge(&tls(after_tls(Some(alert(number)))), &client);
        let what = "refused the client certificate";
        is(&check, Failed, Some(AuthenticationFailed), what);
    }
    let check = judge(&tls(in_tls(alert(40))), &client);
    is(&check, Failed, Some(BrokerUnreachable), "alert of 40");
}

#[test]
fn each_error_of_a_certificate_is_explained_and_the_first_decides() {
    use CertificateError::{Expired, NotYetValid, Other, OtherHost, UnknownAuthority};
    let (subject, date, text) = ("CN=b".to_owned(), "on D".to_owned(), str::to_owned);
    let (until, from) = (date.clone(), date);
    let expired = Expired {
        subject: subject.clone(),
        until,
    };
    let rows = [
        (expired, "has expired: that of CN=b ended on D"),
        (NotYetValid { subject, from }, "that of CN=b begins on D"),
        (OtherHost { names: text("a") }, "b:9096 is for another host: a"),
        (UnknownAuthority { issuer: text("CN=ca") }, "an unknown CA: CN=ca"),
        (Other { reason: text("weak") }, "cannot be verified: weak"),
    ];
    let with = |errors: Vec<CertificateError>| {
        let handshake = after_tls(None);
        tls(Handshake { errors, ..handshake })
    };
    for (error, what) in rows.clone() {
        let observed = with(vec![error]);
        is(&judge(&observed, &client(true)), Failed, Some(BrokerUnreachable), what);
        let check = judge(&observed, &unverified());
        is(&check, Warning, None, what);
        assert!(check.what.ends_with(", and it is not verified"), "{check:?}");
    }
    let mut errors: Vec<CertificateError> = rows.into_iter().map(|(error, _)| error).rev().collect();
    errors.sort();
    let check = judge(&with(errors), &client(true));
    is(&check, Failed, Some(BrokerUnreachable), "has expired");
    let details = check.details.len();
    assert_eq!(details, 4 + 2, "the other errors, and the certificate: {check:?}");
}

#[test]
fn a_certificate_that_expires_soon_or_is_not_verified_is_a_warning() {
    let check = judge(&tls(after_tls(None)), &client(true));
    let what = "TLSv1.3, verified, the certificate ends on 2027-02-16";
    is(&check, Fine, None, what);
    let mut soon = after_tls(None);
    soon.certificate = Some(certificate(29));
    let check = judge(&tls(soon), &client(true));
    is(&check, Warning, None, "ends on 2026-12-17, in 29 days");
    let check = judge(&tls(after_tls(None)), &unverified());
    is(&check, Warning, None, "TLSv1.3, not verified");
}

#[test]
fn a_boolean_is_parsed_as_librdkafka_does() {
    assert!(["False", "0", " f "].into_iter().all(|switch| is_off(Some(switch))));
    assert!(!is_off(Some("true")) && !is_off(None));
}
