//! The Lambda function's program, before it has anything to connect to.

use std::net::TcpListener;
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
fn a_program_that_cannot_start_ends_with_a_code_of_failure() {
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
    let nobody = service.accept().expect_err("nothing may connect");
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn why_a_program_cannot_start_is_in_its_log_as_json() {
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
fn a_password_in_a_wrong_setting_is_shown_nowhere() {
    let error = refused(&[
        ("KAFKA_SASL_PASSWORD", "planted"),
        ("KAFKA_SSL_KEY_PASSWORT", "planted"),
    ]);
    assert!(!format!("{error:?}").contains("planted"), "{error:?}");
    assert!(error.error.message.contains("KAFKA_SSL_KEY_PASSWORT"), "{error:?}");
}

#[test]
fn a_program_starts_without_a_service_that_answers() {
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
fn a_program_that_does_not_answer_is_killed_when_its_time_is_over() {
    let region = [("AWS_REGION", "us-east-1")];
    let mut function = Function::start(BOOTSTRAP, region, Duration::from_millis(300)).expect("it starts");
    let frozen = Command::new("kill")
        .args(["-s", "STOP", &function.pid().to_string()])
        .status();
    assert!(frozen.expect("`kill` runs").success());
    let error = function.invoke(&json!({})).result.expect_err("nobody answers");
    assert_eq!(error.error_type, "Sandbox.Timedout");
    assert_eq!(error.message, "Task timed out after 0.30 seconds");
}
