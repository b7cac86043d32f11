//! The lines are those of librdkafka 2.12.1: most were logged about a real broker or port, and those
//! that could not be provoked follow its source.

mod explain;

use super::cause::Cause::{self, *};
use super::cause::ConnectionError;

fn parsed(line: &str) -> ConnectionError {
    ConnectionError::parse(line).unwrap_or_else(|| panic!("{line} is not about a connection"))
}

const LINES: [(&str, Cause); 33] = [
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
        SaslNotSupported,
    ),
    (
        "Failed to acquire SASL OAUTHBEARER token: Invalid sasl.oauthbearer.config: value out of range of positive \
         int 'lifeSeconds=': -100",
        Token,
    ),
    (
        "no-such-host.invalid:9092/bootstrap: Failed to resolve 'no-such-host.invalid:9092': Name or service not \
         known (after 2ms in state CONNECT)",
        UnknownHost,
    ),
    (
        "b-1.example:9092/bootstrap: Failed to resolve 'b-1.example:9092': Temporary failure in name resolution (after \
         9ms in state CONNECT)",
        DnsTimeout,
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
        TlsRequired,
    ),
    (
        "localhost:36855/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN (after 25ms in \
         state APIVERSION_QUERY)",
        Closed,
    ),
    (
        "[thrd:localhost:37119/bootstrap]: localhost:37119/bootstrap: Disconnected: connection reset by peer (after \
         1ms in state APIVERSION_QUERY, 1 identical error(s) suppressed)",
        Closed,
    ),
    (
        "sasl_plaintext://localhost:38057/bootstrap: Disconnected: connection closed by peer: receive 0 after \
         POLLIN (after 2ms in state APIVERSION_QUERY)",
        Closed,
    ),
    (
        "sasl_ssl://127.0.0.1:37429/bootstrap: SSL handshake failed: Disconnected: SSL connection closed by peer: \
         connecting to a PLAINTEXT broker listener? (after 129ms in state SSL_HANDSHAKE)",
        ClosedInTls,
    ),
    (
        "ssl://127.0.0.1:36169/bootstrap: Disconnected: SSL connection closed by peer (after 5ms in state \
         SSL_HANDSHAKE)",
        ClosedInTls,
    ),
    (
        "ssl://127.0.0.1:36169/bootstrap: SSL handshake failed: error:0A00010B:SSL routines::wrong version number \
         (after 1ms in state SSL_HANDSHAKE)",
        NotTls,
    ),
    (
        "ssl://localhost:38057/bootstrap: Disconnected: SSL connection closed by peer (after 1ms in state UP)",
        ClosedAtOnce,
    ),
    (
        "127.0.0.1:37429/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN (after 0ms in \
         state UP, 1 identical error(s) suppressed)",
        ClosedAtOnce,
    ),
    (
        "127.0.0.1:37429/bootstrap: Send failed: Broken pipe (after 1ms in state UP)",
        ClosedAtOnce,
    ),
    (
        "b:9092/2: Disconnected: connection closed by peer: receive 0 after POLLIN (after 2000ms in state UP)",
        Lost,
    ),
    (
        "sasl_ssl://b:9096/2: Disconnected: SSL connection closed by peer (after 1ms in state UP)",
        Lost,
    ),
    (
        "ssl://localhost:39979/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify \
         failed: broker certificate could not be verified, verify that ssl.ca.location is correctly configured or \
         root CA certificates are installed (install ca-certificates package) (after 11ms in state SSL_HANDSHAKE)",
        Certificate,
    ),
    (
        "ssl://localhost:34401/1: ssl/statem/statem_clnt.c:2125:tls_post_process_server_certificate \
         error:0A000086:SSL routines::certificate verify failed (after 1ms in state SSL_HANDSHAKE)",
        Certificate,
    ),
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
        ClosedInSasl,
    ),
    (
        "b:9092/bootstrap: Connection setup timed out in state APIVERSION_QUERY (after 30002ms in state \
         APIVERSION_QUERY)",
        ApiVersionsTimeout,
    ),
    (
        "b:9092/1: 1 request(s) timed out: disconnect (average rtt 1.0ms) (after 60000ms in state UP)",
        RequestTimeout,
    ),
    (
        "GroupCoordinator: b:9092: Disconnected (after 9000ms in state UP)",
        Lost,
    ),
    ("b:9092/1: something new (after 1ms in state UP)", Unknown),
];

#[test]
fn each_line_of_librdkafka_has_the_cause_that_it_was_recorded_for() {
    for (line, cause) in LINES {
        assert_eq!(parsed(line).cause, cause, "{line}");
    }
}

#[test]
fn a_line_that_is_not_about_a_connection_is_no_error() {
    for line in [
        "Fetch from broker 1 failed: Broker: Topic authorization failed",
        "FindCoordinator response error: Broker: Group authorization failed",
        "1/1 brokers are down",
        "",
    ] {
        assert_eq!(ConnectionError::parse(line), None, "{line}");
    }
}

#[test]
fn a_connection_that_receives_nothing_has_the_cause_of_its_state() {
    let rows = [
        ("CONNECT", Some(ConnectTimeout)),
        ("SSL_HANDSHAKE", Some(TlsTimeout)),
        ("APIVERSION_QUERY", Some(ApiVersionsTimeout)),
        ("AUTH_HANDSHAKE", Some(SaslTimeout)),
        ("AUTH_REQ", Some(SaslTimeout)),
        ("UP", Some(RequestTimeout)),
        ("INIT", None),
        ("DOWN", None),
        ("TRY_CONNECT", None),
    ];
    for (state, cause) in rows {
        let error = ConnectionError::timed_out("ssl://b:9094/bootstrap", state);
        assert_eq!(error.map(|it| it.cause), cause, "{state}");
    }
    assert_eq!(ConnectionError::timed_out("GroupCoordinator", "UP"), None);
}

/// A closed port on `::1` beside a refused password on `127.0.0.1`; a broker that is down beside one
/// whose certificate cannot be verified.
#[test]
fn of_several_errors_that_of_the_connection_that_got_furthest_is_the_cause() {
    let order = [
        Unknown,
        Lost,
        UnknownHost,
        DnsTimeout,
        Refused,
        NoRoute,
        ConnectTimeout,
        ClosedInTls,
        NotTls,
        Certificate,
        Closed,
        TlsRequired,
        ClientCertificate,
        ClosedAtOnce,
        SaslNotSupported,
        Mechanism,
        Credentials,
        RequestTimeout,
    ];
    assert!(order.is_sorted(), "{order:?}");
}
