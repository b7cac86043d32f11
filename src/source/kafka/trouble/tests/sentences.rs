//! What a trouble is told as.

use super::*;

fn manner(mechanism: &str, shows_certificate: bool) -> Manner {
    Manner {
        mechanism: mechanism.to_owned(),
        shows_certificate,
        checks_host: true,
        line_break_behind: None,
    }
}

#[test]
fn a_user_or_password_with_a_line_break_behind_it_is_hinted_at_where_it_is_refused() {
    let refused =
        "sasl_ssl://b:1/bootstrap: SASL authentication error: Authentication failed (after 3ms in state AUTH_REQ)";
    let refused = Trouble::heard(refused).expect("it is about a connection");
    let told = |user: &str, password: &str| {
        let mut properties = crate::config::Properties::default();
        properties.set("sasl.username", user);
        properties.set("sasl.password", password);
        refused.sentence(&Manner::of(&properties), Hints::default())
    };
    for (user, password, what) in [("u", "planted\n", "the password"), ("planted\r\n", "p", "the user")] {
        let told = told(user, password);
        assert!(told.contains(&format!("{what} ends with a line break")), "{told}");
        assert!(!told.contains("planted"), "{told}");
    }
    assert!(!told("u", " p ").contains("line break"));
}

#[test]
fn each_trouble_is_told_in_the_words_of_the_settings_with_the_next_step() {
    let none = manner("", false);
    let rows = [
        (
            "b:9092/bootstrap: Failed to resolve 'b:9092': Name or service not known (after 2ms in state CONNECT)",
            &none,
            "the name of b:9092 is not known: Name or service not known. Correct it in KAFKA_BOOTSTRAP_SERVERS",
        ),
        (
            "kafka:9092/1: Failed to resolve 'kafka:9092': Name or service not known (after 2ms in state CONNECT)",
            &none,
            "the brokers give kafka:9092 as an address of theirs (advertised.listeners)",
        ),
        (
            "b:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
            &none,
            "nobody listens at b:1: connection refused. Check that the broker runs, and the port in KAFKA_BOOTSTRAP_SERVERS",
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
            "b:1 wants TLS, and was spoken to without. Set KAFKA_SECURITY_PROTOCOL=SSL,",
        ),
        (
            "sasl_plaintext://b:1/bootstrap: Receive failed: Invalid response size 352518912 (0..100000000): increase \
             receive.message.max.bytes (after 1ms in state APIVERSION_QUERY)",
            &none,
            "b:1 wants TLS, and was spoken to without. Set KAFKA_SECURITY_PROTOCOL=SASL_SSL,",
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
            &manner("PLAIN", false),
            "b:1 is a listener without SASL. Set KAFKA_SECURITY_PROTOCOL=SSL,",
        ),
        (
            "sasl_ssl://b:1/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: \
             broker's supported mechanisms: OAUTHBEARER,SCRAM-SHA-512 (after 302ms in state AUTH_HANDSHAKE)",
            &manner("PLAIN", false),
            "b:1 does not offer PLAIN, but OAUTHBEARER,SCRAM-SHA-512. Set KAFKA_SASL_MECHANISM",
        ),
        (
            "sasl_ssl://b:1/bootstrap: SASL authentication error: Authentication failed: Invalid username or password \
             (after 339ms in state AUTH_REQ)",
            &manner("PLAIN", false),
            "b:1 refused the user or the password (PLAIN): Authentication failed: Invalid username or password. Check \
             KAFKA_SECRET_ARN",
        ),
        (
            "sasl_ssl://b:1/bootstrap: SASL authentication error: {\"status\":\"invalid_token\"} (after 307ms in state \
             AUTH_REQ)",
            &manner("OAUTHBEARER", false),
            "b:1 refused the token: {\"status\":\"invalid_token\"}. Check whom it is for",
        ),
        (
            "ssl://b:1/bootstrap: Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate: SSL alert \
             number 42 (after 0ms in state APIVERSION_QUERY)",
            &none,
            "b:1 asks for a client certificate, and none is set. Set KAFKA_SECRET_ARN",
        ),
        (
            "ssl://b:1/bootstrap: Receive failed: error:0A000412:SSL routines::ssl/tls alert unknown ca: SSL alert \
             number 48 (after 0ms in state APIVERSION_QUERY)",
            &manner("", true),
            "b:1 refused the client certificate: ssl/tls alert unknown ca: SSL alert number 48. It must be signed",
        ),
        (
            "b:1/bootstrap: Receive failed: Invalid response size 1213486160 (0..100000000): increase \
             receive.message.max.bytes (after 1ms in state APIVERSION_QUERY)",
            &none,
            "what answers at b:1 is no Kafka: ",
        ),
    ];
    for (line, manner, expected) in rows {
        let sentence = heard(line).sentence(manner, Hints::default());
        assert!(sentence.contains(expected), "{sentence}");
    }
}

/// A load balancer accepts for a broker that is down: who reads this during an outage must not be
/// made to change a setting that was right.
#[test]
fn a_connection_that_was_only_closed_may_be_an_outage_first_and_another_protocol_second() {
    let closed = "Disconnected: connection closed by peer";
    let rows = [
        ("", "APIVERSION_QUERY", "may want TLS: set KAFKA_SECURITY_PROTOCOL=SSL,"),
        (
            "sasl_plaintext://",
            "APIVERSION_QUERY",
            "may want TLS: set KAFKA_SECURITY_PROTOCOL=SASL_SSL,",
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
            "may want a login: set KAFKA_SECURITY_PROTOCOL=SASL_SSL with KAFKA_SASL_MECHANISM and KAFKA_SECRET_ARN",
        ),
        (
            "ssl://",
            "APIVERSION_QUERY",
            "may ask for a client certificate: set KAFKA_SECRET_ARN",
        ),
    ];
    for (protocol, state, setting) in rows {
        let line = format!("{protocol}b:1/bootstrap: {closed} (after 5ms in state {state})");
        let sentence = heard(&line).sentence(&manner("", false), Hints::default());
        let outage = sentence.find("worked before, the broker is down or starting");
        let second = sentence.find(setting);
        assert!(outage.is_some() && outage < second, "{line}: {sentence}");
    }
}

#[test]
fn a_certificate_is_told_with_what_was_found_to_be_wrong_with_it() {
    let trouble =
        heard("ssl://b:1/bootstrap: error:0A000086:SSL routines::certificate verify failed (after 1ms in state X)");
    let (text, manner) = (str::to_owned, manner("", false));
    let rows = [
        (
            None,
            "does not pass: its authority is not trusted, its time is over, or it is for another host",
        ),
        (
            Some(Flaw::Expired { until: text("D") }),
            "the certificate of b:1 has expired: it ended D.",
        ),
        (
            Some(Flaw::NotYetValid { from: text("D") }),
            "is not valid yet: it begins D.",
        ),
        (
            Some(Flaw::OtherHost {
                names: text("other.example"),
            }),
            "is for another host: other.example.",
        ),
        (
            Some(Flaw::Authority { issuer: text("CN=Us") }),
            "is signed by CN=Us, which is not trusted. Set KAFKA_CA_",
        ),
    ];
    for (flaw, expected) in rows {
        let hints = Hints {
            flaw: flaw.as_ref(),
            kept_back: false,
        };
        let sentence = trouble.sentence(&manner, hints);
        assert!(sentence.contains(expected), "{sentence}");
    }
}

#[test]
fn a_certificate_that_the_broker_would_not_take_and_that_was_not_shown_is_told_apart() {
    let trouble = heard("ssl://b:1/1: error:1:SSL routines::ssl/tls alert bad certificate: SSL alert number 42");
    let hints = Hints {
        flaw: None,
        kept_back: true,
    };
    let sentence = trouble.sentence(&manner("", true), hints);
    assert!(sentence.contains("ours is of none of them"), "{sentence}");
}

#[test]
fn settings_that_librdkafka_quotes_are_not_repeated() {
    let line = "Failed to acquire SASL OAUTHBEARER token: Unrecognized sasl.oauthbearer.config beginning at: planted";
    assert_eq!(printable(line), line.trim_end_matches(" beginning at: planted"));
    let sentence = heard(printable(line)).sentence(&manner("OAUTHBEARER", false), Hints::default());
    let told =
        "there is no OAUTHBEARER token: Unrecognized sasl.oauthbearer.config. Check the KAFKA_SASL_OAUTHBEARER_*";
    assert!(sentence.contains(told), "{sentence}");
    assert_eq!(printable("anything else"), "anything else");
}
