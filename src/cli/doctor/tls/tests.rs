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

/// TLS 1.3 was negotiated.
fn negotiated(failure: Option<Failure>) -> Handshake {
    Handshake {
        version: Some("TLSv1.3".into()),
        certificate: Some(certificate(90)),
        errors: vec![],
        failure,
    }
}

fn failed(failure: Failure) -> Handshake {
    Handshake {
        failure: Some(failure),
        ..Handshake::default()
    }
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
    use Failure::{Closed, OtherProtocol, TimedOut};
    let fine = judge(&Observed::Plain(Ok(())), &client(false));
    is(&fine, Fine, None, "not used, as KAFKA_SECURITY_PROTOCOL sets");
    let with_tls = || negotiated(Some(Closed));
    let rows = [
        (
            Closed,
            with_tls(),
            "b:9096 requires TLS, and the client connected without",
        ),
        (TimedOut, with_tls(), "requires TLS"),
        (OtherProtocol, with_tls(), "requires TLS"),
        (Closed, failed(TimedOut), "accepts the connection and closes it"),
        (
            TimedOut,
            failed(TimedOut),
            "accepts the connection and sends no response",
        ),
        (OtherProtocol, failed(TimedOut), "does not speak the Kafka protocol"),
        (Failure::Other("oops".into()), failed(TimedOut), "oops"),
    ];
    for (failure, handshake, what) in rows {
        let observed = Observed::Plain(Err((failure, handshake)));
        let check = judge(&observed, &client(false));
        is(&check, Failed, Some(BrokerUnreachable), what);
    }
}

#[test]
fn a_port_with_tls_is_judged_by_how_far_the_connection_got() {
    use Failure::{Closed, OtherProtocol, TimedOut};
    let check = judge(&Observed::Tls(negotiated(None), false), &client(true));
    is(
        &check,
        Fine,
        None,
        "TLSv1.3, verified, the certificate ends on 2027-02-16",
    );
    let (down, denied) = (BrokerUnreachable, AuthenticationFailed);
    let rows = [
        (
            negotiated(Some(OtherProtocol)),
            false,
            down,
            "does not speak the Kafka protocol",
        ),
        (
            negotiated(Some(Closed)),
            false,
            down,
            "closes the connection after the TLS handshake",
        ),
        (
            negotiated(Some(TimedOut)),
            false,
            down,
            "accepts the connection and sends no response",
        ),
        (
            negotiated(Some(alert(116))),
            false,
            denied,
            "requires a client certificate",
        ),
        (
            negotiated(Some(alert(42))),
            false,
            denied,
            "requires a client certificate",
        ),
        (
            negotiated(Some(alert(40))),
            false,
            denied,
            "requires a client certificate",
        ),
        (
            failed(alert(40)),
            false,
            down,
            "TLS handshake with b:9096 failed: alert of 40 (TLS alert 40)",
        ),
        (failed(alert(70)), false, down, "failed: alert of 70 (TLS alert 70)"),
        (failed(alert(80)), false, down, "failed: alert of 80 (TLS alert 80)"),
        (failed(Closed), true, down, "is a listener without TLS"),
        (failed(OtherProtocol), true, down, "is a listener without TLS"),
        (failed(Closed), false, down, "closes it during the TLS handshake"),
        (failed(OtherProtocol), false, down, "does not speak the Kafka protocol"),
        (
            failed(TimedOut),
            false,
            down,
            "accepts the connection, and the TLS handshake timed out",
        ),
        (failed(Failure::Other("oops".into())), false, down, "oops"),
    ];
    for (handshake, is_plain, error_type, what) in rows {
        let negotiated = handshake.version.is_some();
        let check = judge(&Observed::Tls(handshake, is_plain), &client(true));
        is(&check, Failed, Some(error_type), what);
        let details = check.details.iter().any(|line| line == "TLSv1.3 was negotiated");
        assert_eq!(details, negotiated, "{check:?}");
    }
}

#[test]
fn an_alert_about_a_certificate_that_was_sent_refuses_it() {
    let mut client = client(true);
    client.auth.has_certificate = true;
    for number in [42, 46, 48, 49] {
        let check = judge(&Observed::Tls(negotiated(Some(alert(number))), false), &client);
        is(
            &check,
            Failed,
            Some(AuthenticationFailed),
            "refused the client certificate",
        );
    }
    let check = judge(&Observed::Tls(failed(alert(40)), false), &client);
    is(&check, Failed, Some(BrokerUnreachable), "alert of 40");
}

#[test]
fn each_error_of_a_certificate_is_explained_and_the_first_decides() {
    let (subject, date) = (|| "CN=b".to_owned(), || "on D".to_owned());
    let rows = [
        (
            CertificateError::Expired {
                subject: subject(),
                until: date(),
            },
            "has expired: that of CN=b ended on D",
        ),
        (
            CertificateError::NotYetValid {
                subject: subject(),
                from: date(),
            },
            "is not valid yet: that of CN=b begins on D",
        ),
        (
            CertificateError::OtherHost { names: "a".into() },
            "the certificate of b:9096 is for another host: a",
        ),
        (
            CertificateError::UnknownAuthority { issuer: "CN=ca".into() },
            "an unknown CA: CN=ca",
        ),
        (
            CertificateError::Other { reason: "weak".into() },
            "cannot be verified: weak",
        ),
    ];
    let with = |errors: Vec<CertificateError>| {
        let handshake = negotiated(None);
        Observed::Tls(Handshake { errors, ..handshake }, false)
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
    let soon = Handshake {
        certificate: Some(certificate(29)),
        ..negotiated(None)
    };
    let check = judge(&Observed::Tls(soon, false), &client(true));
    is(&check, Warning, None, "ends on 2026-12-17, in 29 days");
    let check = judge(&Observed::Tls(negotiated(None), false), &unverified());
    is(&check, Warning, None, "TLSv1.3, not verified");
}

#[test]
fn a_boolean_is_parsed_as_librdkafka_does() {
    let rows = [
        (None, false),
        (Some("true"), false),
        (Some("False"), true),
        (Some("0"), true),
        (Some(" f "), true),
    ];
    for (switch, off) in rows {
        assert_eq!(is_off(switch), off, "{switch:?}");
    }
}
