//! The text of an event: invalid JSON, and keys that are given twice.

use kafka_consumer_lambda::event::{InvalidEvent, Request, RunRequest};
use proptest::prelude::*;
use serde_json::json;

use super::{any_event, limit, rule, scheduler};

#[track_caller]
fn refused(text: impl AsRef<[u8]>) -> String {
    Request::from_json(text.as_ref())
        .expect_err("must be refused")
        .to_string()
}

#[test]
fn an_event_as_text_is_the_same_request_as_its_value() {
    for (text, expected) in [
        ("{}", RunRequest::default()),
        (" null\n", RunRequest::default()),
        (
            r#"{"max_messages": 1E3, "partitions": [1.0, "2", 3e0]}"#,
            RunRequest {
                max_messages: Some(limit(1000)),
                partitions: Some(vec![1, 2, 3]),
                ..RunRequest::default()
            },
        ),
    ] {
        assert_eq!(
            Request::from_json(text.as_bytes()),
            Ok(Request::Run(expected)),
            "{text}"
        );
    }
}

#[test]
fn invalid_json_is_an_invalid_event_with_line_and_column() {
    let deep = format!("{{\"note\":{}{}}}", "[".repeat(130), "]".repeat(130));
    let rows: [(&[u8], &str); 8] = [
        (b"", "EOF while parsing a value at line 1 column 0"),
        (b"go", "expected value at line 1 column 1"),
        (b"{\"note\":\"\\ud800\"}", "at line 1 column"),
        (deep.as_bytes(), "recursion limit exceeded at line 1 column"),
        (b"{\"action\":\"plan\"} x", "trailing characters at line 1 column 19"),
        (b"{\"note\":\"\xff\"}", "invalid unicode code point at line 1 column"),
        (b"{\"note\":1e999}", "number out of range at line 1 column"),
        (b"\xef\xbb\xbf{}", "expected value at line 1 column 1"),
    ];
    for (text, problem) in rows {
        let error = refused(text);
        assert!(error.starts_with("the event cannot be read as JSON: "), "{error}");
        assert!(
            error.contains(problem) && error.ends_with("it must be a JSON object, such as {}"),
            "{error}"
        );
    }
    assert_eq!(
        InvalidEvent::NotUtf8.to_string(),
        "the event is not UTF-8; it must be a JSON object, such as {}"
    );
}

#[test]
fn a_key_that_is_twice_in_one_object_is_refused_by_name() {
    let twice = r#"{"shard":"1/2","shard":"2/2"}"#;
    for (text, expected) in [
        (
            twice.to_owned(),
            "the event has the key `shard` twice in one object, at line 1 column 22; give it once".to_owned(),
        ),
        (
            r#"{"action":"backfill","name":"x","from":{"0":1,"0":2}}"#.to_owned(),
            "the event has the key `0` twice in one object, at line 1 column 49; give it once".to_owned(),
        ),
        (
            r#"{"x":[{"a":1,"a":1}]}"#.to_owned(),
            "the event has the key `a` twice in one object, at line 1 column 16; give it once".to_owned(),
        ),
        (
            scheduler(&json!(twice)).to_string(),
            "the text in `detail` has the key `shard` twice in one object, at line 1 column 22; give it once"
                .to_owned(),
        ),
    ] {
        assert_eq!(refused(&text), expected, "{text}");
    }
    // The same key in different objects is valid.
    let both = rule(&json!({"partitions": [0]})).to_string();
    assert!(Request::from_json(both.as_bytes()).is_ok());
}

#[test]
fn a_float_that_is_not_exact_is_refused() {
    for number in ["1e300", "9007199254740993.0", "1e16"] {
        let text = format!(r#"{{"action":"backfill","name":"x","from":{{"0":{number}}}}}"#);
        let error = refused(&text);
        assert!(
            error.starts_with("`from.0` is ") && error.ends_with("it must be the next offset to read, 0 or more"),
            "{error}"
        );
    }
    let exact = r#"{"action":"backfill","name":"x","from":{"0":9007199254740993}}"#;
    assert!(Request::from_json(exact.as_bytes()).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_text_is_a_request_or_an_error_on_one_short_line(
        text in prop_oneof![
            any::<Vec<u8>>(),
            any::<String>().prop_map(String::into_bytes),
            "(\\{|\\}|\\[|\\]|\"action\"|\"shard\"|\"0\"|\"\\\\ud800\"|:|,|[0-9.eE+-]{1,9}|null| ){0,20}".prop_map(String::into_bytes),
        ],
    ) {
        if let Err(error) = Request::from_json(&text) {
            let error = error.to_string();
            prop_assert!(error.len() < 600 && error.lines().count() == 1, "{}", error);
        }
    }

    #[test]
    fn the_text_of_an_event_is_the_same_request_as_its_value(event in any_event()) {
        let (text, value) = (Request::from_json(event.to_string().as_bytes()), Request::from_event(&event));
        prop_assert_eq!(text.is_ok(), value.is_ok());
        if let (Ok(text), Ok(value)) = (text, value) {
            prop_assert_eq!(text, value);
        }
    }
}
