//! `DESTINATION` as routes: what each topic gets, and the place of each problem.

use kafka_consumer_lambda::config::{Config, Destination, MessageFormat};
use kafka_consumer_lambda::record::{Record, TopicPartition};
use proptest::prelude::*;
use serde_json::json;

use super::{accepted, read, refused};

const FUNCTION: &str = "arn:aws:lambda:eu-central-1:123456789012:function:f";

/// What is allowed, as messages name it.
const DESTINATIONS: &str = "`log`, `discard`, `kafka://<topic>`, an https:// URL, or the ARN of a Lambda function, an SQS queue, an SNS topic, an EventBridge bus or a DynamoDB table";

#[track_caller]
fn routed(topics: &str, routes: &str, more: &[(&str, &str)]) -> Config {
    accepted(&[&[("KAFKA_TOPIC", topics), ("DESTINATION", routes)], more].concat())
}

/// Asserts on the lines of all problems.
#[track_caller]
fn assert_problems(routes: &str, expected: &[&str]) {
    let problems = refused(&[("KAFKA_TOPIC", "orders"), ("DESTINATION", routes)]);
    assert_eq!(problems.lines().collect::<Vec<_>>(), expected, "{routes}");
}

fn to(config: &Config, topic: &str) -> String {
    config.routes.of(topic).expect(topic).to.to_string()
}

#[test]
fn each_topic_has_the_route_of_its_name_its_longest_prefix_or_the_star() {
    let routes = json!({"*": "log", "orders-*": "discard", "orders-eu": FUNCTION, "orders-eu-*": "log"}).to_string();
    let config = routed("orders-eu,orders-us,users,orders-eu-1", &routes, &[]);
    let rows = [
        ("orders-eu", FUNCTION),
        ("orders-us", "discard"),
        ("orders-eu-1", "log"),
        ("users", "log"),
        ("not-read", "log"),
    ];
    for (topic, expected) in rows {
        assert_eq!(to(&config, topic), expected, "{topic}");
    }
    assert!(config.warnings.is_empty());
}

#[test]
fn the_settings_apply_to_a_route_for_what_it_does_not_name() {
    let filters = json!([{"key": ["b"]}]);
    let routes = json!({
        "plain": "log",
        "own": {"to": "log", "format": "text", "filters": filters, "batch_size": 7, "parallelization_factor": 8},
        "function": FUNCTION,
    });
    let settings = [
        ("LOG_VALUES", "true"),
        ("BATCH_SIZE", "50"),
        ("PARALLELIZATION_FACTOR", "4"),
        ("FILTER_PATTERNS", r#"[{"key":["a"]}]"#),
    ];
    let config = routed("plain,own,function", &routes.to_string(), &settings);
    let batch_size = |topic| {
        config
            .routes
            .of(topic)
            .and_then(|route| route.batch_size)
            .map(usize::from)
    };
    let factor = |config: &Config, topic| config.routes.of(topic).map(|route| route.parallelization_factor.get());
    let passes = |topic: &str, key: &'static str| {
        let record = Record {
            key: Some(key.into()),
            ..Record::new(TopicPartition::new(topic, 0), 0)
        };
        config.filter(topic).is_none_or(|filter| filter.matches(&record))
    };
    let log = Destination::Log { values: true };
    assert_eq!(config.routes.of("plain").map(|route| &route.to), Some(&log));
    assert_eq!(config.routes.of("own").map(|route| &route.to), Some(&log));
    assert_eq!((batch_size("plain"), batch_size("own")), (Some(50), Some(7)));
    assert_eq!((factor(&config, "plain"), factor(&config, "own")), (Some(4), Some(8)));
    assert!(passes("plain", "a") && !passes("plain", "b"));
    assert!(passes("own", "b") && !passes("own", "a"));
    assert_eq!(config.message_format("plain"), MessageFormat::Json);
    assert_eq!(config.message_format("own"), MessageFormat::Text);
    assert_eq!(config.message_format("function"), MessageFormat::Bytes);
    let in_text = [("MESSAGE_FORMAT", "text")];
    let config = routed("plain,own,function", &routes.to_string(), &in_text);
    assert_eq!(config.message_format("function"), MessageFormat::Text);
    assert_eq!(factor(&config, "function"), Some(1));
}

#[test]
fn each_field_takes_what_its_setting_takes() {
    for field in [
        json!({"batch_size": 1}),
        json!({"batch_size": 10_000}),
        json!({"batch_size": "100"}),
        json!({"batch_size": 1e2}),
        json!({"parallelization_factor": 100}),
        json!({"parallelization_factor": "2"}),
        json!({"format": "JSON"}),
        json!({"format": "bytes"}),
        json!({"filters": [{"value": {"a": [1]}}, {"key": ["k"]}]}),
        json!({}),
    ] {
        let mut route = field.clone();
        route["to"] = json!(" Log ");
        routed("orders", &json!({ "orders": route }).to_string(), &[]);
    }
    routed("orders", " \n{\"orders\"\n:\t\"discard\"} ", &[]);
}

#[test]
fn a_text_that_is_not_json_is_an_error_with_its_line_and_column() {
    for (text, at) in [
        ("{", "EOF while parsing an object at line 1 column 1"),
        ("{\"orders\": log}", "expected value at line 1 column 12"),
        ("{\"orders\":\n \"log\",}", "trailing comma at line 2 column 8"),
        ("{\"orders\": \"log\"} x", "trailing characters at line 1 column 19"),
        ("{orders: \"log\"}", "key must be a string at line 1 column 2"),
    ] {
        let expected =
            format!("DESTINATION={text:?}: is not JSON: {at}; routes are a JSON object from topic to {DESTINATIONS}");
        assert_problems(text, &[&expected]);
    }
}

#[test]
fn an_empty_object_is_an_error() {
    assert_problems(
        "{}",
        &[r#"DESTINATION="{}": is an empty object: no topic has a route; add one, or `*` for every topic"#],
    );
}

#[test]
fn every_problem_of_every_route_is_reported_with_its_topic_and_field() {
    let routes = r#"{
        "orders": {"to": "printer", "format": "avro", "batch_size": 0, "filters": []},
        "a*b": "log",
        "users": {"format": "json", "shape": "value", "envelope": "values"},
        "x": 5,
        "y": {"to": "log", "to": "discard", "parallel": 2},
        "orders": "discard",
        "z": {"to": ["log",
                     "discard"], "filters": [{"value": {"a": 1}}], "batch_size": 1.5,
              "parallelization_factor": 101}
    }"#;
    let must_be = format!("must be {DESTINATIONS}");
    let is_not_a_field = "is not a field; the fields are `to`, `filters`, `format`, `batch_size`, `parallelization_factor` and \
         `envelope`";
    assert_problems(
        routes,
        &[
            &format!("DESTINATION: route \"orders\", to=\"printer\": {must_be}"),
            "DESTINATION: route \"orders\", format=\"avro\": must be `json`, `text` or `bytes`",
            "DESTINATION: route \"orders\", batch_size=0: must be a whole number of records, 1 to 10000",
            "DESTINATION: route \"orders\", filters: is an empty array: no record would reach the handler. Remove it to pass on all",
            "DESTINATION: route \"a*b\": must be the name of a topic (1 to 249 of a-z, A-Z, 0-9, `.`, `_` and `-`, not `.` or `..`), `prefix*` or `*`, with `*` at the end only",
            &format!("DESTINATION: route \"users\", \"shape\": {is_not_a_field}"),
            "DESTINATION: route \"users\", envelope=\"values\": must be `value` or `record`",
            &format!("DESTINATION: route \"users\", to: is missing; it {must_be}"),
            &format!("DESTINATION: route \"x\", to=5: {must_be}"),
            "DESTINATION: route \"y\", \"to\": is written twice; write each field once",
            &format!("DESTINATION: route \"y\", \"parallel\": {is_not_a_field}"),
            "DESTINATION: route \"orders\": is written twice; write each topic once",
            &format!("DESTINATION: route \"z\", to=[\"log\",                      \"discard\"]: {must_be}"),
            "DESTINATION: route \"z\", filters: pattern 1, at value.a: a field takes a list of values and operators, or an object of fields",
            "DESTINATION: route \"z\", batch_size=1.5: must be a whole number of records, 1 to 10000",
            "DESTINATION: route \"z\", parallelization_factor=101: must be a whole number of batches, 1 to 100",
        ],
    );
}

#[test]
fn a_field_of_another_type_is_refused() {
    for field in [
        "to",
        "format",
        "batch_size",
        "parallelization_factor",
        "envelope",
        "filters",
    ] {
        for value in ["null", "true", "-1", "{}", "\"\"", "[1]", "\"\\ud800\""] {
            let routes = format!(r#"{{"orders": {{"to": "log", "{field}": {value}}}}}"#)
                .replace(r#""to": "log", "to""#, r#""to""#);
            let problems = refused(&[("KAFKA_TOPIC", "orders"), ("DESTINATION", &routes)]);
            assert!(
                problems.starts_with(&format!("DESTINATION: route \"orders\", {field}"))
                    && problems.lines().count() == 1,
                "{routes}: {problems}"
            );
        }
    }
    for route in ["null", "true", "7", "[]", "[\"log\"]", "\"\"", "\"ftp://example.com\""] {
        let routes = format!(r#"{{"orders": {route}}}"#);
        let problems = refused(&[("KAFKA_TOPIC", "orders"), ("DESTINATION", &routes)]);
        assert!(problems.starts_with("DESTINATION: route \"orders\", to="), "{problems}");
    }
    assert!(refused(&[("DESTINATION", r#"["log"]"#)]).ends_with("a JSON object from topic to one of these"));
}

#[test]
fn routes_are_reported_together_with_other_wrong_settings() {
    let problems = refused(&[
        ("DESTINATION", r#"{"orders": "printer"}"#),
        ("BATCH_SIZE", "0"),
        ("LOG_VALUES", "maybe"),
        ("FILTER_PATTERNS", "[]"),
        ("MAX_MESSAGES", "0"),
    ]);
    let variables: Vec<&str> = problems
        .lines()
        .filter_map(|line| line.split(['=', ':']).next())
        .collect();
    assert_eq!(
        variables,
        [
            "MAX_MESSAGES",
            "DESTINATION",
            "LOG_VALUES",
            "BATCH_SIZE",
            "FILTER_PATTERNS"
        ]
    );
}

#[test]
fn a_topic_without_a_route_is_an_error_that_names_it() {
    let routes = [("DESTINATION", r#"{"orders": "log", "user-*": "log"}"#)];
    let problems = refused(&[&routes[..], &[("KAFKA_TOPIC", "orders,users,user-eu,payments")]].concat());
    assert_eq!(
        problems,
        "DESTINATION: has no route for \"users\", \"payments\" of KAFKA_TOPIC; add it, or `*` for every other topic"
    );
    let with_another = [("KAFKA_TOPIC", "orders,users"), ("LOG_VALUES", "maybe")];
    assert_eq!(refused(&[&routes[..], &with_another].concat()).lines().count(), 2);
    accepted(&[&routes[..], &[("KAFKA_TOPIC", "orders,user-eu")]].concat());
}

/// A function behind AWS's mapping reads no topic of its own.
#[test]
fn where_kafka_topic_is_not_set_routes_need_not_have_its_default() {
    let config = accepted(&[("DESTINATION", r#"{"orders": "log"}"#)]);
    assert!(config.has_default_topic() && config.warnings.is_empty());
    assert!(config.routes.of("test-topic").is_none());
    assert!(!accepted(&[("KAFKA_TOPIC", "orders")]).has_default_topic());
}

#[test]
fn routes_that_no_topic_has_are_a_warning() {
    let routes = r#"{"orders": "log", "order*": "log", "users": "log", "*": "discard"}"#;
    assert_eq!(
        routed("orders", routes, &[]).warnings,
        [
            "DESTINATION: no topic of KAFKA_TOPIC has the routes \"order*\", \"users\", \"*\"; only events of AWS's mapping \
          can use them"
        ]
    );
    assert_eq!(routed("orders,orders-2,users,x", routes, &[]).warnings, [""; 0]);
}

#[test]
fn a_route_to_this_function_itself_is_refused() {
    let of_lambda = [
        ("AWS_LAMBDA_FUNCTION_NAME", "f"),
        ("AWS_REGION", "eu-central-1"),
        ("KAFKA_TOPIC", "a"),
    ];
    let aliased = format!("{FUNCTION}:live");
    let routes = format!(r#"{{"a": "log", "b*": "{FUNCTION}", "*": {{"to": "{aliased}"}}}}"#);
    let problems = refused(&[&of_lambda[..], &[("DESTINATION", &routes)]].concat());
    let is_itself = "is this function itself, which would invoke itself without end; name the function that handles the \
                     records";
    assert_eq!(
        problems,
        format!("DESTINATION: route \"b*\": {FUNCTION} {is_itself}\nDESTINATION: route \"*\": {aliased} {is_itself}")
    );
}

#[test]
fn a_value_that_may_hold_credentials_is_not_shown() {
    let routes = r#"{"orders": "https://user:hunter2@example.com", "b@hunter2": "log", "c": ["@hunter2"]}"#;
    let problems = refused(&[("KAFKA_TOPIC", "orders"), ("DESTINATION", routes)]);
    assert!(
        problems.lines().count() == 3 && !problems.contains("hunter2"),
        "{problems}"
    );
}

proptest! {
    #[test]
    fn any_object_is_accepted_or_each_problem_is_a_line_that_names_the_setting(
        routes in proptest::collection::vec(("[a-c*.]{0,3}|[ -~]{0,4}", any_route()), 0..5),
    ) {
        let members: Vec<String> = routes.iter().map(|(topic, route)| format!("{}:{route}", json!(topic))).collect();
        let text = format!("{{{}}}", members.join(","));
        let Err(problems) = read(&[("DESTINATION", &text)]) else { return Ok(()) };
        for line in problems.to_string().lines() {
            prop_assert!(line.starts_with("DESTINATION"), "{}: {}", text, line);
            prop_assert!(line.len() < 700, "{}", line);
        }
        prop_assert_eq!(problems.to_string().lines().count(), problems.problems().len());
    }
}

/// A route as JSON, rarely valid.
fn any_route() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("\"log\"".to_owned()),
        Just("\"json\"".to_owned()),
        Just("[{\"key\":[\"k\"]}]".to_owned()),
        any::<String>().prop_map(|text| json!(text).to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        Just("null".to_owned()),
        Just("[\n[]]".to_owned()),
    ];
    let field = (
        "to|filters|format|batch_size|parallelization_factor|[a-z]{1,3}",
        value.clone(),
    );
    let object = proptest::collection::vec(field, 0..4).prop_map(|fields| {
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        format!("{{{}}}", fields.join(",\n"))
    });
    prop_oneof![value, object]
}
