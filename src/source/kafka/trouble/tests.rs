//! Every line here was said by librdkafka 2.12.1 to a real broker or port.

use Kind::*;

use super::*;

const SSL_ERROR: &str = "ssl/statem/statem_clnt.c:2125:tls_post_process_server_certificate error:0A000086:SSL routines";

fn heard(line: &str) -> Trouble {
    Trouble::heard(line).unwrap_or_else(|| panic!("{line} tells of nothing"))
}

fn manner(mechanism: &str, shows_certificate: bool) -> Manner {
    Manner {
        mechanism: mechanism.to_owned(),
        shows_certificate,
        checks_host: true,
    }
}

#[test]
fn each_line_of_librdkafka_is_the_trouble_that_it_was_recorded_for() {
    let verify = format!(
        "ssl://localhost:39979/bootstrap: SSL handshake failed: {SSL_ERROR}::certificate verify failed: broker \
         certificate could not be verified, verify that ssl.ca.location is correctly configured or root CA certificates \
         are installed (install ca-certificates package) (after 11ms in state SSL_HANDSHAKE)"
    );
    let verify_later =
        format!("ssl://localhost:34401/1: {SSL_ERROR}::certificate verify failed (after 1ms in state SSL_HANDSHAKE)");
    let rows = [
        (
            "sasl_plaintext://127.0.0.1:37429/bootstrap: SASL authentication error: Authentication failed: Invalid \
             username or password (after 339ms in state AUTH_REQ)",
            Credentials,
        ),
        (
            "sasl_ssl://localhost:38057/bootstrap: SASL authentication error: Authentication failed during \
             authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512 (after 310ms in state \
             AUTH_REQ, 1 identical error(s) suppressed)",
            Credentials,
        ),
        (
            "sasl_plaintext://127.0.0.1:37421/bootstrap: SASL authentication error: {\"status\":\"invalid_token\"} \
             (after 307ms in state AUTH_REQ)",
            Credentials,
        ),
        (
            "sasl_plaintext://127.0.0.1:37421/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Unsupported \
             SASL mechanism: broker's supported mechanisms: OAUTHBEARER (after 302ms in state AUTH_HANDSHAKE)",
            Mechanism,
        ),
        (
            "sasl_ssl://localhost:36855/bootstrap: SASL SCRAM-SHA-512 mechanism handshake failed: Broker: Request not \
             valid in current SASL state: broker's supported mechanisms:  (after 7ms in state AUTH_HANDSHAKE)",
            NoSasl,
        ),
        (
            "Failed to acquire SASL OAUTHBEARER token: Invalid sasl.oauthbearer.config: value out of range of positive \
             int 'lifeSeconds=': -100",
            Token,
        ),
        (
            "no-such-host.invalid:9092/bootstrap: Failed to resolve 'no-such-host.invalid:9092': Name or service not \
             known (after 2ms in state CONNECT)",
            Name,
        ),
        (
            "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
            Refused,
        ),
        (
            "localhost:9092/bootstrap: Connect to ipv6#[::1]:9092 failed: Network is unreachable (after 0ms in state \
             CONNECT)",
            NoRoute,
        ),
        (
            "10.255.255.1:9092/bootstrap: Receive failed: Invalid response size 1213486160 (0..100000000): increase \
             receive.message.max.bytes (after 1ms in state APIVERSION_QUERY)",
            NotKafka,
        ),
        (
            "b:9092/bootstrap: Receive failed: Invalid response size 352518912 (0..100000000): increase \
             receive.message.max.bytes (after 1ms in state APIVERSION_QUERY)",
            WantsTls,
        ),
        (
            "localhost:36855/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN (after 25ms in \
             state APIVERSION_QUERY)",
            WantsTls,
        ),
        (
            "[thrd:localhost:37119/bootstrap]: localhost:37119/bootstrap: Disconnected: connection reset by peer (after \
             1ms in state APIVERSION_QUERY, 1 identical error(s) suppressed)",
            WantsTls,
        ),
        (
            "sasl_plaintext://localhost:38057/bootstrap: Disconnected: connection closed by peer: receive 0 after \
             POLLIN (after 2ms in state APIVERSION_QUERY)",
            WantsTls,
        ),
        (
            "sasl_ssl://127.0.0.1:37429/bootstrap: SSL handshake failed: Disconnected: SSL connection closed by peer: \
             connecting to a PLAINTEXT broker listener? (after 129ms in state SSL_HANDSHAKE)",
            NoTls,
        ),
        (
            "ssl://127.0.0.1:36169/bootstrap: Disconnected: SSL connection closed by peer (after 5ms in state \
             SSL_HANDSHAKE)",
            NoTls,
        ),
        (
            "ssl://localhost:38057/bootstrap: Disconnected: SSL connection closed by peer (after 1ms in state UP)",
            WantsSasl,
        ),
        (
            "127.0.0.1:37429/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN (after 0ms in \
             state UP, 1 identical error(s) suppressed)",
            WantsSasl,
        ),
        (
            "127.0.0.1:37429/bootstrap: Send failed: Broken pipe (after 1ms in state UP)",
            WantsSasl,
        ),
        (
            "b:9092/2: Disconnected: connection closed by peer: receive 0 after POLLIN (after 2000ms in state UP)",
            Lost,
        ),
        (
            "sasl_ssl://b:9096/2: Disconnected: SSL connection closed by peer (after 1ms in state UP)",
            Lost,
        ),
        (&verify, Certificate),
        (&verify_later, Certificate),
        (
            "ssl://localhost:41443/bootstrap: Receive failed: ssl/record/rec_layer_s3.c:918:ssl3_read_bytes \
             error:0A000412:SSL routines::ssl/tls alert bad certificate: SSL alert number 42 (after 0ms in state \
             APIVERSION_QUERY)",
            ClientCertificate,
        ),
        (
            "ssl://b:9094/bootstrap: SSL handshake failed: error:0A000410:SSL routines::ssl/tls alert handshake \
             failure: SSL alert number 40 (after 3ms in state SSL_HANDSHAKE)",
            Tls,
        ),
        (
            "ssl://b:9094/bootstrap: Disconnected: connection reset by peer (after 0ms in state APIVERSION_QUERY)",
            ClosedAfterTls,
        ),
        (
            "sasl_ssl://b:9096/3: Disconnected: SSL connection closed by peer (after 4ms in state AUTH_REQ)",
            LoginCut,
        ),
        (
            "b:9092/bootstrap: Connection setup timed out in state APIVERSION_QUERY (after 30002ms in state \
             APIVERSION_QUERY)",
            SilentPort,
        ),
        (
            "b:9092/1: 1 request(s) timed out: disconnect (average rtt 1.0ms) (after 60000ms in state UP)",
            SilentUp,
        ),
        (
            "GroupCoordinator: b:9092: Disconnected (after 9000ms in state UP)",
            Lost,
        ),
        ("b:9092/1: something new (after 1ms in state UP)", Unknown),
    ];
    for (line, kind) in rows {
        assert_eq!(heard(line).kind, kind, "{line}");
    }
}

#[test]
fn what_is_not_about_a_connection_is_no_trouble() {
    for line in [
        "Fetch from broker 1 failed: Broker: Topic authorization failed",
        "FindCoordinator response error: Broker: Group authorization failed",
        "1/1 brokers are down",
        "",
    ] {
        assert_eq!(Trouble::heard(line), None, "{line}");
    }
}

#[test]
fn a_silent_connection_is_a_trouble_of_the_state_it_is_in() {
    let rows = [
        ("CONNECT", Some(SilentTcp)),
        ("SSL_HANDSHAKE", Some(SilentTls)),
        ("APIVERSION_QUERY", Some(SilentPort)),
        ("AUTH_HANDSHAKE", Some(SilentLogin)),
        ("AUTH_REQ", Some(SilentLogin)),
        ("UP", Some(SilentUp)),
        ("INIT", None),
        ("DOWN", None),
        ("TRY_CONNECT", None),
    ];
    for (state, kind) in rows {
        let trouble = Trouble::silent("ssl://b:9094/bootstrap", state);
        assert_eq!(trouble.map(|it| it.kind), kind, "{state}");
    }
    assert_eq!(Trouble::silent("GroupCoordinator", "UP"), None);
}

/// A closed port on `::1` beside a refused login on `127.0.0.1`, a broker that is down beside one
/// whose certificate does not pass.
#[test]
fn of_several_troubles_the_one_of_the_connection_that_got_furthest_is_the_cause() {
    let order = [
        Unknown,
        Lost,
        Name,
        Refused,
        NoRoute,
        SilentTcp,
        NoTls,
        Certificate,
        WantsTls,
        ClientCertificate,
        WantsSasl,
        NoSasl,
        Mechanism,
        Credentials,
        SilentUp,
    ];
    assert!(order.is_sorted(), "{order:?}");
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
            "nobody listens at b:1: connection refused. Check the port in KAFKA_BOOTSTRAP_SERVERS",
        ),
        (
            "b:1/bootstrap: Connect to ipv4#10.0.0.1:1 failed: No route to host (after 0ms in state CONNECT)",
            &none,
            "b:1 cannot be reached: No route to host. Check routes",
        ),
        (
            "b:1/bootstrap: Disconnected: connection reset by peer (after 1ms in state APIVERSION_QUERY)",
            &none,
            "wants TLS, and was spoken to without. Set KAFKA_SECURITY_PROTOCOL=SSL,",
        ),
        (
            "sasl_plaintext://b:1/bootstrap: Disconnected: connection reset by peer (after 1ms in state APIVERSION_QUERY)",
            &none,
            "wants TLS, and was spoken to without. Set KAFKA_SECURITY_PROTOCOL=SASL_SSL,",
        ),
        (
            "ssl://b:1/bootstrap: Disconnected: SSL connection closed by peer (after 5ms in state SSL_HANDSHAKE)",
            &none,
            "seems to be a listener without TLS. Set KAFKA_SECURITY_PROTOCOL=PLAINTEXT,",
        ),
        (
            "sasl_ssl://b:1/bootstrap: Disconnected: SSL connection closed by peer (after 5ms in state SSL_HANDSHAKE)",
            &none,
            "seems to be a listener without TLS. Set KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT,",
        ),
        (
            "ssl://b:1/bootstrap: Disconnected: SSL connection closed by peer (after 5ms in state UP)",
            &none,
            "seems to want a login. Set KAFKA_SECURITY_PROTOCOL=SASL_SSL with KAFKA_SASL_MECHANISM and KAFKA_SECRET_ARN",
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

#[test]
fn a_certificate_is_told_with_what_was_found_to_be_wrong_with_it() {
    let trouble = heard(&format!(
        "ssl://b:1/bootstrap: {SSL_ERROR}::certificate verify failed (after 1ms in state X)"
    ));
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
    let sentence = heard(line).sentence(&manner("OAUTHBEARER", false), Hints::default());
    assert!(
        !sentence.contains("planted") && sentence.contains("cannot be read"),
        "{sentence}"
    );
}
