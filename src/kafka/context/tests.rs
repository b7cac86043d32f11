//! Which of a client's events is the cause, and how long it is kept.

use rdkafka::ClientContext as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::callbacks::FAIL;
use super::*;
use crate::config::Config;

const REFUSED: &str =
    "sasl_ssl://b:1/bootstrap: Connect to ipv6#[::1]:1 failed: Connection refused (after 0ms in state CONNECT)";
const LOGIN: &str = "sasl_ssl://b:1/bootstrap: SASL authentication error: no (after 3ms in state AUTH_REQ)";

/// With a `POLL_TIMEOUT` of 4 seconds.
fn context() -> Context {
    let config = Config::from_lookup([]).expect("all have defaults");
    let security = Arc::new(Security::new(&config));
    Context::new(Duration::from_secs(4), security, &config.kafka_properties)
}

fn logs(context: &Context, line: &str) {
    context.log(RDKafkaLogLevel::Info, FAIL, line);
}

fn fails(context: &Context, code: RDKafkaErrorCode, reason: &str) {
    context.error(KafkaError::Global(code), reason);
}

/// Statistics of one broker.
fn states(context: &Context, state: &str, age_s: u64, waiting: u32) {
    let micros = age_s * 1_000_000;
    let broker = format!(
        r#"{{"state":"{state}","stateage":{micros},"waitresp_cnt":{waiting},"rxidle":{micros},"name":"b:1/1"}}"#
    );
    context.read_statistics();
    context.stats_raw(format!(r#"{{"topics":{{}},"brokers":{{"b:1/1":{broker}}}}}"#).as_bytes());
}

fn cause(context: &Context) -> Option<ErrorType> {
    context.cause().map(|(error_type, _)| error_type)
}

#[test]
fn the_connection_that_got_furthest_is_the_cause_in_whatever_order_they_end() {
    for lines in [[REFUSED, LOGIN], [LOGIN, REFUSED]] {
        let context = context();
        for line in lines {
            logs(&context, line);
        }
        assert_eq!(cause(&context), Some(ErrorType::AuthenticationFailed));
    }
}

#[test]
fn refused_credentials_or_client_certificates_count_until_a_broker_responds() {
    const ALERT: &str = "ssl://b:1/1: Receive failed: ssl/tls alert bad certificate: SSL alert number 42 (after 0ms in \
                         state APIVERSION_QUERY)";
    for line in [LOGIN, ALERT] {
        let context = context();
        logs(&context, REFUSED);
        assert!(context.refused_since().is_none());
        logs(&context, line);
        assert!(context.refused_since().is_some());
        context.response_received();
        assert_eq!((context.refused_since().is_some(), cause(&context)), (false, None));
    }
    let context = context();
    fails(&context, RDKafkaErrorCode::Authentication, "something new");
    assert_eq!(cause(&context), Some(ErrorType::AuthenticationFailed));
}

#[test]
fn an_event_that_is_not_about_a_connection_is_no_cause() {
    let context = context();
    fails(
        &context,
        RDKafkaErrorCode::AllBrokersDown,
        "b:1/1: all brokers are down",
    );
    fails(
        &context,
        RDKafkaErrorCode::GroupAuthorizationFailed,
        "b:1/1: FindCoordinator: refused",
    );
    context.log(RDKafkaLogLevel::Warning, "CONFWARN", "b:1/1: a property is deprecated");
    assert_eq!(cause(&context), None);
    assert!(context.group_refused());
}

/// With half of `POLL_TIMEOUT` to wait.
#[test]
fn a_silent_connection_is_a_cause_after_half_of_poll_timeout() {
    let rows = [
        ("CONNECT", 2, 0, true),
        ("APIVERSION_QUERY", 2, 1, true),
        ("APIVERSION_QUERY", 1, 1, false),
        ("UP", 2, 1, true),
        ("UP", 1, 1, false),
        ("UP", 9, 0, false),
        ("TRY_CONNECT", 9, 0, false),
    ];
    for (state, age_s, waiting, is_cause) in rows {
        let context = context();
        states(&context, state, age_s, waiting);
        assert_eq!(cause(&context).is_some(), is_cause, "{state} for {age_s} s");
        states(&context, "UP", 9, 0);
        assert_eq!(cause(&context), None, "the connection is idle");
    }
}

#[test]
fn a_certificate_error_is_reported_for_its_own_broker_alone() {
    let context = context();
    assert_eq!(context.unverified_broker(), None);
    logs(
        &context,
        "ssl://b:1/1: certificate verify failed (after 1ms in state SSL_HANDSHAKE)",
    );
    assert_eq!(context.unverified_broker(), Some(("b:1".to_owned(), true)));
    let expired = || CertificateError::Expired {
        subject: "CN=b".to_owned(),
        until: "yesterday".to_owned(),
    };
    context.set_certificate_error("other:1".to_owned(), expired());
    assert!(
        context
            .cause()
            .is_some_and(|(_, words)| words.to_string().contains("cannot be verified"))
    );
    context.set_certificate_error("b:1".to_owned(), expired());
    assert!(
        context
            .cause()
            .is_some_and(|(_, words)| words.to_string().contains("yesterday"))
    );
    logs(&context, LOGIN);
    assert_eq!(context.unverified_broker(), None, "it is not the cause");
}

#[test]
fn other_credentials_are_tried_at_once_or_when_no_other_broker_responds() {
    let context = context();
    let sent = now();
    assert!(!context.needs_other_credentials(sent, sent + REFUSAL_PATIENCE));
    logs(&context, LOGIN);
    assert!(context.needs_other_credentials(sent, sent), "since it was sent");
    let later = now() + Duration::from_mins(1);
    assert!(!context.needs_other_credentials(later, later), "before it was sent");
    assert!(context.needs_other_credentials(later, later + REFUSAL_PATIENCE));
    context.response_received();
    assert!(!context.needs_other_credentials(sent, later));
}

fn timed_out() -> KafkaError {
    KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut)
}

#[test]
fn the_time_is_the_one_that_was_waited_and_its_setting_is_named_where_that_ended_the_wait() {
    let rows = [
        (41, "within 41 ms: "),
        (1500, "within 1.5 s: "),
        (3900, "within 3.9 s (POLL_TIMEOUT): "),
        (4000, "within 4.0 s (POLL_TIMEOUT): "),
    ];
    for (waited_ms, expected) in rows {
        let context = context();
        logs(&context, REFUSED);
        let error = context.explain("b:1", Duration::from_millis(waited_ms), &timed_out());
        let start = format!("no broker of b:1 responded {expected}nothing listens at b:1");
        assert!(error.message().starts_with(&start), "{error}");
    }
}

/// A broker that goes down, behind a load balancer or not, must not make people change what works.
#[test]
fn a_connection_that_is_closed_after_a_broker_has_responded_was_lost() {
    for line in [
        "b:1/bootstrap: Disconnected: connection closed by peer (after 1ms in state APIVERSION_QUERY)",
        "ssl://b:1/bootstrap: Disconnected: SSL connection closed by peer (after 5ms in state SSL_HANDSHAKE)",
        "b:1/1: Disconnected: connection closed by peer (after 3ms in state UP)",
    ] {
        let context = context();
        let explained = || context.cause().map(|(_, words)| words.to_string()).unwrap_or_default();
        logs(&context, line);
        assert!(explained().contains("set KAFKA_SECURITY_PROTOCOL="), "{}", explained());
        context.response_received();
        logs(&context, line);
        assert!(
            explained().contains("was lost") && !explained().contains("KAFKA_"),
            "{}",
            explained()
        );
        logs(&context, REFUSED);
        assert!(
            explained().contains("nothing listens at"),
            "the next attempt is newer: {}",
            explained()
        );
    }
}

/// Where brokers were connected to, or returned an error, no setting of the connection is wrong.
#[test]
fn settings_are_named_only_where_no_broker_was_ever_connected() {
    const SETTING: &str = "KAFKA_";
    let explained = |context: &Context, error: &KafkaError| {
        let explained = context.explain("b:1", Duration::from_secs(4), error);
        assert_eq!(explained.kind, ErrorType::BrokerUnreachable);
        explained.message()
    };
    let silent = context();
    assert!(explained(&silent, &timed_out()).contains("Check KAFKA_BOOTSTRAP_SERVERS"));

    let moved = KafkaError::OffsetFetch(RDKafkaErrorCode::NotLeaderForPartition);
    let text = explained(&silent, &moved);
    let start = "the brokers of b:1 returned NotLeaderForPartition";
    assert!(
        text.starts_with(start) && text.contains("leader is moving") && !text.contains(SETTING),
        "{text}"
    );

    let (responded, connected) = (context(), context());
    responded.response_received();
    states(&connected, "UP", 0, 0);
    for context in [&responded, &connected] {
        let text = explained(context, &timed_out());
        assert!(text.contains("leader is moving") && !text.contains(SETTING), "{text}");
        logs(
            context,
            "b:1/1: Disconnected: connection closed by peer (after 90000ms in state UP)",
        );
        let text = explained(context, &timed_out());
        assert!(
            text.contains("the connection to b:1 was lost") && !text.contains(SETTING),
            "{text}"
        );
    }
}
/// Statistics of partitions that are fetched, each at this offset.
fn fetched(partitions: i32, offset: i64) -> String {
    let partition = |number| {
        format!(r#""{number}":{{"partition":{number},"fetch_state":"active","next_offset":{offset},"rest":1}}"#)
    };
    let partitions: Vec<String> = (0..partitions).map(partition).collect();
    format!(
        r#"{{"brokers":{{}},"topics":{{"t":{{"partitions":{{{}}}}}}}}}"#,
        partitions.join(",")
    )
}

#[test]
fn a_partition_whose_position_moves_is_not_silent() {
    let context = context();
    let partition = TopicPartition::new("t", 0);
    let since = now()
        .checked_sub(Duration::from_secs(3))
        .expect("the clock has run for so long");
    let silent = || context.silence(&partition, since) >= Duration::from_secs(3);
    assert!(silent());
    for (offset, is_silent) in [(7, true), (7, true), (9, false)] {
        context.stats_raw(fetched(1, offset).as_bytes());
        assert_eq!(silent(), is_silent, "{offset}");
    }
}

#[test]
fn statistics_are_read_during_waits_alone() {
    let context = context();
    context.stats_raw(b"no statistics at all");
    context.stats_raw(fetched(10_000, 1).as_bytes());
    assert!(context.observed().fetched.is_empty());
    assert_eq!(context.served(), 2, "they are events like others");
    context.read_statistics();
    context.stats_raw(fetched(3, 1).as_bytes());
    assert_eq!(context.observed().fetched.len(), 3);
}
