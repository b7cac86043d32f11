//! The Lambda function's program, before it has anything to connect to.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::runtime_api::{Function, InitError};

const BOOTSTRAP: &str = env!("CARGO_BIN_EXE_bootstrap");

/// Starts the program with settings that it must refuse.
fn refused(settings: &[(&str, &str)]) -> InitError {
    *Function::start(BOOTSTRAP, settings.iter().copied(), Duration::from_secs(3)).expect_err("must be refused")
}

#[test]
fn wrong_settings_are_an_initialisation_error_that_names_each_of_them() {
    let error = refused(&[
        ("MAX_MESSAGES", "0"),
        ("POLL_TIMEOUT", "soon"),
        ("KAFKA_TOPIC", "a topic"),
        ("ON_FAILURE", "ignore"),
        ("KAFKA_GROUP_ID", ""),
        ("KAFKA_ENABLE_AUTO_COMMIT", "true"),
        ("KAFKA_NO_SUCH_PROPERTY", "1"),
    ]);
    assert_eq!(error.error.error_type, "InvalidConfiguration", "{error:?}");
    assert_eq!(error.error.header.as_deref(), Some("InvalidConfiguration"), "{error:?}");
    let lines: Vec<&str> = error.error.message.lines().collect();
    for wrong in [
        "MAX_MESSAGES=\"0\": ",
        "POLL_TIMEOUT=\"soon\": ",
        "KAFKA_TOPIC=\"a topic\": ",
        "ON_FAILURE=\"ignore\": ",
        "KAFKA_ENABLE_AUTO_COMMIT",
        "KAFKA_NO_SUCH_PROPERTY",
    ] {
        assert_eq!(
            lines.iter().filter(|line| line.starts_with(wrong)).count(),
            1,
            "{wrong} in {lines:#?}"
        );
    }
    assert_eq!(lines.len(), 6, "an empty setting is no wrong one: {lines:#?}");
}

#[test]
fn a_program_that_cannot_start_exits_with_code_1() {
    assert_eq!(refused(&[("MAX_MESSAGES", "none")]).exit_code, Some(1));
}

#[test]
fn settings_are_checked_before_any_connection() {
    let service = TcpListener::bind("127.0.0.1:0").expect("a free port");
    service.set_nonblocking(true).expect("a socket");
    let address = service.local_addr().expect("a bound port").to_string();
    let error = refused(&[
        ("KAFKA_BOOTSTRAP_SERVERS", &address),
        ("AWS_ENDPOINT_URL", &format!("http://{address}")),
        ("MESSAGE_FORMAT", "avro"),
    ]);
    assert_eq!(error.error.error_type, "InvalidConfiguration", "{error:?}");
    let connection = service.accept().expect_err("nothing may connect");
    assert_eq!(connection.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn the_error_of_a_start_that_fails_is_in_the_log_as_json() {
    let error = refused(&[("ON_TRUNCATION", "guess")]);
    let [line] = error.stdout.as_slice() else {
        panic!("one line: {error:?}")
    };
    let line: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["error_type"], "InvalidConfiguration");
    assert_eq!(line["error"], error.error.message);
}

#[test]
fn a_log_level_that_does_not_exist_hides_no_error() {
    for level in ["verbose", "FATAL", ""] {
        let error = refused(&[("AWS_LAMBDA_LOG_LEVEL", level), ("ON_TRUNCATION", "guess")]);
        assert_eq!(error.stdout.len(), 1, "{level:?}: {error:?}");
    }
}

#[test]
fn a_password_in_a_wrong_setting_is_never_shown() {
    let error = refused(&[
        ("KAFKA_SASL_PASSWORD", "planted"),
        ("KAFKA_SSL_KEY_PASSWORT", "planted"),
    ]);
    assert!(!format!("{error:?}").contains("planted"), "{error:?}");
    assert!(error.error.message.contains("KAFKA_SSL_KEY_PASSWORT"), "{error:?}");
}

#[test]
fn a_program_starts_although_no_service_responds() {
    let closed = [
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
    ];
    let region = [("AWS_REGION", "us-east-1")];
    let function = Function::start(BOOTSTRAP, closed.into_iter().chain(region), Duration::from_secs(3));
    let function = function.expect("connections are for invocations");
    assert!(function.init < Duration::from_secs(5), "{function:?}");
}

#[test]
fn an_event_that_json_libraries_refuse_is_an_invalid_event_and_the_function_continues() {
    let closed = [
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("POLL_TIMEOUT", "0.1"),
    ];
    let mut function = Function::start(BOOTSTRAP, closed, Duration::from_secs(5)).expect("it starts");
    let deep = format!("{{\"note\":{}{}}}", "[".repeat(130), "]".repeat(130));
    for (event, named) in [
        (r#"{"note":"\ud800"}"#, "the event cannot be read as JSON: "),
        (&deep, "recursion limit exceeded"),
        ("planted", "expected value at line 1 column 1"),
        (r#"{"action":"plan"} {"#, "trailing characters"),
        ("", "EOF while parsing a value"),
        (r#"{"shard":"1/2","shard":"2/2"}"#, "has the key `shard` twice"),
    ] {
        let invocation = function.invoke_text(event);
        let message = invocation.failure("InvalidEvent");
        assert!(message.contains(named) && !message.contains("planted"), "{message}");
        assert!(
            !invocation.stdout.iter().any(|line| line.contains("planted")),
            "{invocation:?}"
        );
        let log: Value = serde_json::from_str(&invocation.stdout[0]).expect("JSON");
        assert_eq!(log["error_type"], "InvalidEvent");
    }
    // A valid one is still read.
    function.invoke_text("{}").failure("TableUnreachable");
}

/// Which topics AWS's mapping pushes is not a setting; which a run reads is.
#[test]
fn a_function_for_pushed_events_needs_no_topic_and_refuses_those_without_a_route() {
    let settings = [
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_REGION", "us-east-1"),
        ("DESTINATION", r#"{"orders": "log", "user-*": "discard"}"#),
    ];
    let mut function = Function::start(BOOTSTRAP, settings, Duration::from_secs(5)).expect("it starts");
    let event = |topics: &[&str]| {
        let records = topics.iter().map(|topic| {
            let record = json!({"topic": topic, "partition": 0, "offset": 7, "value": "e30="});
            (format!("{topic}-0"), json!([record]))
        });
        let records: serde_json::Map<_, _> = records.collect();
        json!({"eventSource": "SelfManagedKafka", "bootstrapServers": "b:9092", "records": records})
    };
    let logged = |lines: &[String]| {
        lines
            .iter()
            .filter(|line| line.contains("\"message\":\"record\""))
            .count()
    };
    let pushed = function.invoke(&event(&["orders", "user-eu"]));
    assert_eq!(pushed.success(), &json!({"batchItemFailures": []}));
    assert_eq!(logged(&pushed.stdout), 1);
    let pushed = function.invoke(&event(&["orders", "payments"]));
    let message = pushed.failure("InvalidEvent");
    assert!(message.starts_with("No handler for topic payments."), "{message}");
    assert_eq!(logged(&pushed.stdout), 0);
    let run = function.invoke(&json!({}));
    let message = run.failure("InvalidConfiguration");
    assert!(
        message.starts_with("no handler for topic test-topic of KAFKA_TOPIC."),
        "{message}"
    );
}

#[test]
fn settings_that_are_not_utf_8_are_named_together_and_never_shown() {
    let not_text = OsStr::from_bytes(b"planted\xe9");
    let settings =
        ["KAFKA_GROUP_ID", "ON_FAILURE", "KAFKA_SASL_PASSWORD", "DYNAMODB_TABLE"].map(|name| (name, not_text));
    let error = Function::start(BOOTSTRAP, settings, Duration::from_secs(3)).expect_err("must be refused");
    assert_eq!(error.error.error_type, "InvalidConfiguration");
    let named = |name: &(&str, &OsStr)| error.error.message.contains(&format!("{}: is not UTF-8", name.0));
    assert!(settings.iter().all(named), "{error:?}");
    assert!(!format!("{error:?}").contains("planted"), "{error:?}");
}

#[test]
fn valid_settings_with_surprising_effects_are_warned_of_once_at_the_start() {
    let settings = [
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_REGION", "us-east-1"),
        ("KAFKA_GROUP_ID", "café"),
        ("KAFKA_PORT", "tcp://10.0.0.1:9092"),
        ("KAFKA_HEAP_OPTS", "-Xmx1G"),
    ];
    let function = Function::start(BOOTSTRAP, settings, Duration::from_secs(3)).expect("it starts");
    let log = function.stdout();
    for warning in [
        "ConsumerGroup=\\\"caf%C3%A9\\\"",
        "KAFKA_PORT: ignored, it is a service variable of Kubernetes",
        "KAFKA_HEAP_OPTS: ignored, it is a setting of Kafka's own scripts",
    ] {
        let lines = log
            .iter()
            .filter(|line| line.contains(warning) && line.contains("WARN"))
            .count();
        assert_eq!(lines, 1, "{warning} in {log:#?}");
    }
}

#[test]
fn a_program_that_does_not_respond_is_killed_at_its_timeout() {
    let region = [("AWS_REGION", "us-east-1")];
    let mut function = Function::start(BOOTSTRAP, region, Duration::from_millis(300)).expect("it starts");
    let frozen = Command::new("kill")
        .args(["-s", "STOP", &function.pid().to_string()])
        .status();
    assert!(frozen.expect("`kill` runs").success());
    let error = function.invoke(&json!({})).result.expect_err("the program is frozen");
    assert_eq!(error.error_type, "Sandbox.Timedout");
    assert_eq!(error.message, "Task timed out after 0.30 seconds");
}
