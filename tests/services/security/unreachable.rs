//! The errors of a run that can reach no broker, or no table.

use super::{Refusals, at, localhost, wrong};
use crate::support::certificates::{CertificateAuthority, Pair};
use crate::support::endpoints;
use crate::support::listeners::{ALICE, Listener};
use crate::support::services::start_private_broker;
use crate::support::world::World;

#[tokio::test]
async fn a_listener_of_another_protocol_is_an_error_with_the_protocol_to_set() {
    let requires_tls = |protocol| format!("may require TLS: set KAFKA_SECURITY_PROTOCOL={protocol},");
    let no_tls = |protocol| format!("may be one without TLS: set KAFKA_SECURITY_PROTOCOL={protocol},");
    let requires_login =
        |protocol| format!("may require SASL: set KAFKA_SECURITY_PROTOCOL={protocol} with KAFKA_SASL_MECHANISM");
    Refusals::new("protocol")
        .await
        .add(&[&requires_tls("SSL")], |it| {
            it.set("KAFKA_BOOTSTRAP_SERVERS", at(Listener::Tls));
        })
        .add(&[&requires_tls("SASL_SSL")], |it| {
            it.connect(Listener::Scram).log_in("SCRAM-SHA-512", ALICE);
            it.set("KAFKA_BOOTSTRAP_SERVERS", at(Listener::ScramSsl));
        })
        .add(&[&no_tls("PLAINTEXT")], |it| {
            it.connect(Listener::Tls);
            it.set("KAFKA_BOOTSTRAP_SERVERS", at(Listener::Plaintext));
        })
        .add(&[&no_tls("SASL_PLAINTEXT")], |it| {
            it.connect(Listener::ScramSsl).log_in("SCRAM-SHA-512", ALICE);
            it.set("KAFKA_BOOTSTRAP_SERVERS", at(Listener::Scram));
        })
        .add(&[&requires_login("SASL_PLAINTEXT")], |it| {
            it.set("KAFKA_BOOTSTRAP_SERVERS", at(Listener::Scram));
        })
        .add(&[&requires_login("SASL_SSL")], |it| {
            it.connect(Listener::Tls);
            it.set("KAFKA_BOOTSTRAP_SERVERS", at(Listener::ScramSsl));
        })
        .fail_with("BrokerUnreachable");
}

#[tokio::test]
async fn a_brokers_certificate_that_is_not_valid_is_an_error_with_the_reason() {
    let endpoint = |server: Pair| localhost(endpoints::tls(&server));
    let expired = endpoint(CertificateAuthority::trusted().server("localhost", -1));
    let other = endpoint(CertificateAuthority::trusted().server("other.example", 24));
    let untrusted = endpoint(CertificateAuthority::untrusted().server("localhost", 24));
    Refusals::new("authority")
        .await
        .add(
            &["is signed by an unknown CA: CN=Test CA. Set KAFKA_CA_SECRET_ARN, "],
            |it| {
                it.connect(Listener::Tls);
                it.set("KAFKA_SSL_CA_PEM", CertificateAuthority::untrusted().pem());
            },
        )
        // The machine's own CAs are trusted then.
        .add(&["is signed by an unknown CA: CN=Test CA"], |it| {
            it.connect(Listener::ScramSsl).log_in("PLAIN", ALICE);
            it.set("KAFKA_SSL_CA_PEM", "");
        })
        .add(&["is signed by an unknown CA: CN=Other CA"], |it| {
            it.connect(Listener::Tls).set("KAFKA_BOOTSTRAP_SERVERS", &untrusted);
        })
        .add(&["has expired: that of CN=", "Renew it at the broker"], |it| {
            it.connect(Listener::Tls).set("KAFKA_BOOTSTRAP_SERVERS", &expired);
        })
        .add(
            &["is for another host: other.example. Use such a name in KAFKA_BOOTSTRAP_SERVERS"],
            |it| {
                it.connect(Listener::Tls).set("KAFKA_BOOTSTRAP_SERVERS", &other);
            },
        )
        .fail_with("BrokerUnreachable");
}

#[tokio::test]
async fn an_unknown_name_a_closed_port_and_each_kind_of_silence_have_different_errors() {
    let (silent, mute, full) = (endpoints::silent(), endpoints::silent(), endpoints::full());
    let broker = start_private_broker();
    broker.stop();
    let at = |port: u16| format!("127.0.0.1:{port}");
    Refusals::new("network")
        .await
        .add(
            &[
                "the host name of no-such-host.invalid:9092 does not resolve: ",
                "Correct it in KAFKA_BOOTSTRAP_",
            ],
            |it| {
                it.set("KAFKA_BOOTSTRAP_SERVERS", "no-such-host.invalid:9092");
            },
        )
        .add(
            &[
                "nothing listens at 127.0.0.1:",
                "connection refused. Check that the broker runs, and the port in",
            ],
            |it| {
                it.set("KAFKA_BOOTSTRAP_SERVERS", at(endpoints::closed()));
            },
        )
        .add(&["the TCP connection to ", " timed out", "security groups"], |it| {
            it.set("KAFKA_BOOTSTRAP_SERVERS", at(full.port()));
        })
        .add(&["accepts the connection and sends no response"], |it| {
            it.set("KAFKA_BOOTSTRAP_SERVERS", at(silent.port()));
        })
        .add(&["accepts the connection, and the TLS handshake timed out"], |it| {
            it.connect(Listener::Tls)
                .set("KAFKA_BOOTSTRAP_SERVERS", at(mute.port()));
        })
        .add(&["accepts the connection and sends no response"], |it| {
            it.set("KAFKA_BOOTSTRAP_SERVERS", &broker.bootstrap);
        })
        .add(
            &[
                "closes it without a response. If this worked before, the broker is down",
                "may require TLS",
            ],
            |it| {
                it.set("KAFKA_BOOTSTRAP_SERVERS", at(endpoints::closing()));
            },
        )
        .add(
            &[
                "closes it during the TLS handshake. If this worked before, the broker is down",
                "may be one without TLS",
            ],
            |it| {
                it.connect(Listener::Tls)
                    .set("KAFKA_BOOTSTRAP_SERVERS", at(endpoints::closing()));
            },
        )
        .add(&["the server at ", "does not speak the Kafka protocol"], |it| {
            it.set("KAFKA_BOOTSTRAP_SERVERS", at(endpoints::http()));
        })
        .fail_with("BrokerUnreachable");
}

#[tokio::test]
async fn a_run_with_less_time_than_the_poll_timeout_reports_the_time_that_it_waited() {
    let mut world = World::new("short", 1).await;
    world
        .set("KAFKA_BOOTSTRAP_SERVERS", format!("127.0.0.1:{}", endpoints::closed()))
        .set("TIME_LIMIT", 1);
    let report = world.run().failure("BrokerUnreachable", 1);
    let message = report["error"]["message"].as_str().expect("a message");
    let waited = message.split_once(" responded within ").map(|(_, rest)| rest);
    let ms = waited.and_then(|it| it.split_once(" ms: ")?.0.parse::<u64>().ok());
    assert!(ms.is_some_and(|ms| ms < 1000), "{message}");
    assert!(!message.contains("POLL_TIMEOUT"), "{message}");
}

/// Some addresses are closed or unknown, and at another one authentication fails: the error is that
/// of the connection that got furthest.
#[tokio::test]
async fn closed_ports_beside_it_do_not_hide_the_cause() {
    let nowhere = format!("[::1]:{0},127.0.0.1:{0},no-such-host.invalid:9092", endpoints::closed());
    let beside = |listener| format!("{nowhere},{}", at(listener));
    Refusals::new("hidden")
        .await
        .add(&["is signed by an unknown CA: CN=Test CA"], |it| {
            it.connect(Listener::Tls);
            it.set("KAFKA_SSL_CA_PEM", CertificateAuthority::untrusted().pem());
            it.set("KAFKA_BOOTSTRAP_SERVERS", beside(Listener::Tls));
        })
        .fail_with("BrokerUnreachable");
    Refusals::new("hidden")
        .await
        .add(&["refused the user or the password"], |it| {
            it.connect(Listener::Scram).log_in("PLAIN", wrong("alice"));
            it.set("KAFKA_BOOTSTRAP_SERVERS", beside(Listener::Scram));
        })
        .fail_with("AuthenticationFailed");
}

#[tokio::test]
async fn without_a_route_to_the_table_the_error_names_the_vpc_endpoint_and_the_proxy() {
    let full = endpoints::full();
    Refusals::new("table")
        .await
        .add(&["gateway endpoint", "NO_PROXY", "AWS_ENDPOINT_URL_DYNAMODB"], |it| {
            let endpoint = format!("http://127.0.0.1:{}", full.port());
            it.set("AWS_ENDPOINT_URL_DYNAMODB", endpoint);
        })
        .add(&["gateway endpoint", "NO_PROXY", "Connection refused"], |it| {
            let endpoint = format!("http://127.0.0.1:{}", endpoints::closed());
            it.set("AWS_ENDPOINT_URL_DYNAMODB", endpoint);
        })
        .fail_with("TableUnreachable");
}
