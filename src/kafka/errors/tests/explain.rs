//! What each connection error is explained as.

use super::super::cause::{ClientAuth, ConnectionError, Evidence, printable};
use super::parsed;
use crate::kafka::tls::CertificateError;

fn auth(mechanism: &str, has_certificate: bool) -> ClientAuth {
    ClientAuth {
        mechanism: mechanism.to_owned(),
        has_certificate,
        verifies_host: true,
        trailing_line_break: None,
    }
}

#[test]
fn a_trailing_line_break_of_a_user_or_password_is_named_where_it_is_refused() {
    let refused =
        "sasl_ssl://b:1/bootstrap: SASL authentication error: Authentication failed (after 3ms in state AUTH_REQ)";
    let refused = ConnectionError::parse(refused).expect("a connection error");
    let explained = |user: &str, password: &str| {
        let mut properties = crate::config::Properties::default();
        properties.set("sasl.username", user);
        properties.set("sasl.password", password);
        refused
            .explain(&ClientAuth::of(&properties), Evidence::default())
            .to_string()
    };
    for (user, password, what) in [("u", "planted\n", "the password"), ("planted\r\n", "p", "the user")] {
        let explained = explained(user, password);
        assert!(
            explained.contains(&format!("{what} ends with a line break")),
            "{explained}"
        );
        assert!(!explained.contains("planted"), "{explained}");
    }
    assert!(!explained("u", " p ").contains("line break"));
}

#[test]
fn each_error_is_explained_in_terms_of_the_settings_with_the_next_step() {
    let none = auth("", false);
    let rows = [
        (
            "b:9092/bootstrap: Failed to resolve 'b:9092': Name or service not known (after 2ms in state CONNECT)",
            &none,
            "the host name of b:9092 does not resolve: Name or service not known. Correct it in KAFKA_BOOTSTRAP_SERVERS",
        ),
        (
            "b:9092/bootstrap: Failed to resolve 'b:9092': Temporary failure in name resolution (after 2ms in state \
             CONNECT)",
            &none,
            "the host name of b:9092 does not resolve: Temporary failure in name resolution. Check the DNS of this network",
        ),
        (
            "kafka:9092/1: Failed to resolve 'kafka:9092': Name or service not known (after 2ms in state CONNECT)",
            &none,
            "the brokers advertise kafka:9092 (advertised.listeners)",
        ),
        (
            "b:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
            &none,
            "nothing listens at b:1: connection refused. Check that the broker runs, and the port in KAFKA_BOOTSTRAP_SERVERS",
        ),
        (
            "b:1/bootstrap: Connect to ipv4#10.0.0.1:1 failed: No route to host (after 0ms in state CONNECT)",
            &none,
            "b:1 cannot be reached: No route to host. Check routes",
        ),
        (
            "b:1/bootstrap: Receive failed: Invalid response size 352518912 (0..100000000): increase \
             receive.message.max.bytes (after 1ms in state APIVERSION_QUERY)",
            &none,
            "b:1 requires TLS, and the client connected without TLS. Set KAFKA_SECURITY_PROTOCOL=SSL,",
        ),
        (
            "sasl_plaintext://b:1/bootstrap: Receive failed: Invalid response size 352518912 (0..100000000): increase \
             receive.message.max.bytes (after 1ms in state APIVERSION_QUERY)",
            &none,
            "b:1 requires TLS, and the client connected without TLS. Set KAFKA_SECURITY_PROTOCOL=SASL_SSL,",
        ),
        (
            "ssl://b:1/bootstrap: SSL handshake failed: error:0A00010B:SSL routines::wrong version number (after 1ms in \
             state SSL_HANDSHAKE)",
            &none,
            "it is a listener without TLS. Set KAFKA_SECURITY_PROTOCOL=PLAINTEXT,",
        ),
        (
            "b:9092/2: Disconnected: connection closed by peer: receive 0 after POLLIN (after 90000ms in state UP)",
            &none,
            "the connection to b:9092 was lost (Disconnected: connection closed by peer: receive 0 after POLLIN). The \
             next run connects again;",
        ),
        (
            "sasl_ssl://b:1/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Request not valid in current SASL \
             state: broker's supported mechanisms:  (after 7ms in state AUTH_HANDSHAKE)",
            &auth("PLAIN", false),
            "b:1 is a listener without SASL. Set KAFKA_SECURITY_PROTOCOL=SSL,",
        ),
        (
            "sasl_ssl://b:1/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: \
             broker's supported mechanisms: OAUTHBEARER,SCRAM-SHA-512 (after 302ms in state AUTH_HANDSHAKE)",
            &auth("PLAIN", false),
            "b:1 does not support PLAIN, but OAUTHBEARER,SCRAM-SHA-512. Set KAFKA_SASL_MECHANISM",
        ),
        (
            "sasl_ssl://b:1/bootstrap: SASL authentication error: Authentication failed: Invalid username or password \
             (after 339ms in state AUTH_REQ)",
            &auth("PLAIN", false),
            "b:1 refused the user or the password (PLAIN): Authentication failed: Invalid username or password. Check \
             KAFKA_SECRET_ARN",
        ),
        (
            "sasl_ssl://b:1/bootstrap: SASL authentication error: {\"status\":\"invalid_token\"} (after 307ms in state \
             AUTH_REQ)",
            &auth("OAUTHBEARER", false),
            "b:1 refused the token: {\"status\":\"invalid_token\"}. Check its audience",
        ),
        (
            "ssl://b:1/bootstrap: Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate: SSL alert \
             number 42 (after 0ms in state APIVERSION_QUERY)",
            &none,
            "b:1 requires a client certificate, and none is set. Set KAFKA_SECRET_ARN",
        ),
        (
            "ssl://b:1/bootstrap: Receive failed: error:0A000412:SSL routines::ssl/tls alert unknown ca: SSL alert \
             number 48 (after 0ms in state APIVERSION_QUERY)",
            &auth("", true),
            "b:1 refused the client certificate: ssl/tls alert unknown ca: SSL alert number 48. It must be signed",
        ),
        (
            "b:1/bootstrap: Receive failed: Invalid response size 1213486160 (0..100000000): increase \
             receive.message.max.bytes (after 1ms in state APIVERSION_QUERY)",
            &none,
            "the server at b:1 does not speak the Kafka protocol: ",
        ),
    ];
    for (line, auth, expected) in rows {
        let text = parsed(line).explain(auth, Evidence::default()).to_string();
        assert!(text.contains(expected), "{text}");
    }
}

/// A load balancer accepts connections for a broker that is down: during an outage a correct setting
/// must not be changed.
#[test]
fn a_connection_that_was_only_closed_may_be_an_outage_first_and_another_protocol_second() {
    let closed = "Disconnected: connection closed by peer";
    let rows = [
        (
            "",
            "APIVERSION_QUERY",
            "may require TLS: set KAFKA_SECURITY_PROTOCOL=SSL,",
        ),
        (
            "sasl_plaintext://",
            "APIVERSION_QUERY",
            "may require TLS: set KAFKA_SECURITY_PROTOCOL=SASL_SSL,",
        ),
        (
            "ssl://",
            "SSL_HANDSHAKE",
            "may be one without TLS: set KAFKA_SECURITY_PROTOCOL=PLAINTEXT,",
        ),
        (
            "sasl_ssl://",
            "SSL_HANDSHAKE",
            "may be one without TLS: set KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT,",
        ),
        (
            "ssl://",
            "UP",
            "may require SASL: set KAFKA_SECURITY_PROTOCOL=SASL_SSL with KAFKA_SASL_MECHANISM and KAFKA_SECRET_ARN",
        ),
        (
            "ssl://",
            "APIVERSION_QUERY",
            "may require a client certificate: set KAFKA_SECRET_ARN",
        ),
    ];
    for (protocol, state, setting) in rows {
        let line = format!("{protocol}b:1/bootstrap: {closed} (after 5ms in state {state})");
        let text = parsed(&line).explain(&auth("", false), Evidence::default()).to_string();
        let outage = text.find("worked before, the broker is down or starting");
        let second = text.find(setting);
        assert!(outage.is_some() && outage < second, "{line}: {text}");
    }
}

#[test]
fn a_certificate_is_reported_with_why_it_cannot_be_verified() {
    let error =
        parsed("ssl://b:1/bootstrap: error:0A000086:SSL routines::certificate verify failed (after 1ms in state X)");
    let (text, auth) = (str::to_owned, auth("", false));
    let rows = [
        (
            None,
            "cannot be verified: its CA is unknown, it has expired, or it is for another host",
        ),
        (
            Some(CertificateError::Expired {
                subject: text("CN=b"),
                until: text("on D"),
            }),
            "the certificate of b:1 has expired: that of CN=b ended on D.",
        ),
        (
            Some(CertificateError::NotYetValid {
                subject: text("CN=b"),
                from: text("on D"),
            }),
            "is not valid yet: that of CN=b begins on D.",
        ),
        (
            Some(CertificateError::OtherHost {
                names: text("other.example"),
            }),
            "is for another host: other.example.",
        ),
        (
            Some(CertificateError::UnknownAuthority { issuer: text("CN=Us") }),
            "is signed by an unknown CA: CN=Us. Set KAFKA_CA_",
        ),
    ];
    for (certificate_error, expected) in rows {
        let evidence = Evidence {
            certificate_error: certificate_error.as_ref(),
            certificate_withheld: false,
        };
        let text = error.explain(&auth, evidence).to_string();
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_client_certificate_that_was_withheld_is_reported_as_such() {
    let error = parsed("ssl://b:1/1: error:1:SSL routines::ssl/tls alert bad certificate: SSL alert number 42");
    let evidence = Evidence {
        certificate_error: None,
        certificate_withheld: true,
    };
    let text = error.explain(&auth("", true), evidence).to_string();
    assert!(text.contains("the client certificate is of none of them"), "{text}");
}

#[test]
fn settings_that_librdkafka_quotes_are_not_repeated() {
    let line = "Failed to acquire SASL OAUTHBEARER token: Unrecognized sasl.oauthbearer.config beginning at: planted";
    assert_eq!(printable(line), line.trim_end_matches(" beginning at: planted"));
    let text = parsed(printable(line))
        .explain(&auth("OAUTHBEARER", false), Evidence::default())
        .to_string();
    let explained =
        "there is no OAUTHBEARER token: Unrecognized sasl.oauthbearer.config. Check the KAFKA_SASL_OAUTHBEARER_*";
    assert!(text.contains(explained), "{text}");
    assert_eq!(printable("anything else"), "anything else");
}
