//! Arbitrary settings, with secrets among them.

use std::collections::BTreeMap;

use kafka_consumer_lambda::config::{Config, SETTINGS, property_of};
use proptest::prelude::*;

/// Part of every secret here: it must never be shown.
const PLANTED: &str = "hunter2";

/// Variables that hold secrets, and misspelt names of such variables.
const SECRETS: [&str; 16] = [
    "KAFKA_SASL_PASSWORD",
    "KAFKA_SASL_USERNAME",
    "KAFKA_SASL_PASWORD",
    "KAFKA_SASLPASSWORD",
    "KAFKA_sasl_password",
    "KAFKA_SSL_KEY_PEM",
    "KAFKA_SSL_KEY_PASSWORD",
    "KAFKA_SSL_KEYSTORE_PASSWORD",
    "KAFKA_SSL_CERTIFICATE_PEM",
    "KAFKA_SSL_CA_PEM",
    "KAFKA_SASL_JAAS_CONFIG",
    "KAFKA_SASL_OAUTHBEARER_CONFIG",
    "KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET",
    "KAFKA_SECRET_ARN",
    "KAFKA_CA_SECRET_ARN",
    "KAFKA_PASWORD",
];

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,40}",
        proptest::sample::select(vec![
            "",
            " ",
            "0",
            "1",
            "-1",
            "1e9",
            "NaN",
            "inf",
            "99999999999999999999",
            "true",
            "false",
            "unlimited",
            "earliest",
            "latest",
            "2026-11-20T10:00:00Z",
            "json",
            "skip",
            "halt",
            "kafka://t",
            "a,b",
            "SASL_SSL",
            "PLAIN",
            "SCRAM-SHA-512",
            "ssl",
            "b:9092",
            r#"{"a":"log","*":"discard"}"#,
            r#"{"t":{"to":"x","filters":[]}}"#,
        ])
        .prop_map(str::to_owned),
    ]
}

fn any_variable() -> impl Strategy<Value = String> {
    let ours: Vec<&str> = SETTINGS.iter().map(|setting| setting.variable).collect();
    prop_oneof![
        4 => proptest::sample::select(ours).prop_map(str::to_owned),
        3 => proptest::sample::select(vec![
            "KAFKA_SECURITY_PROTOCOL", "KAFKA_SASL_MECHANISM", "KAFKA_SASL_MECHANISMS", "KAFKA_CLIENT_ID",
            "KAFKA_SOCKET_TIMEOUT_MS", "KAFKA_ISOLATION_LEVEL", "KAFKA_ENABLE_AUTO_COMMIT", "KAFKA_DEBUG",
            "KAFKA_SSL_ENDPOINT_IDENTIFICATION_ALGORITHM", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "PATH",
        ])
        .prop_map(str::to_owned),
        1 => "KAFKA_[A-Z_]{0,12}",
        1 => any::<String>(),
    ]
}

fn any_secret() -> impl Strategy<Value = (String, String)> {
    let value = (any::<String>(), "[\u{0}-~]{0,3}").prop_map(|(before, after)| format!("{before}{PLANTED}{after}"));
    (
        proptest::sample::select(SECRETS.to_vec()).prop_map(str::to_owned),
        value,
    )
}

fn any_settings() -> impl Strategy<Value = Vec<(String, String)>> {
    let setting = (any_variable(), any_value());
    let settings = proptest::collection::vec(setting, 0..8);
    (settings, proptest::collection::vec(any_secret(), 0..3))
        .prop_map(|(settings, secrets)| [settings, secrets].concat())
}

/// A variable that is needed because of another one.
fn is_needed(variable: &str) -> bool {
    ["KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"].contains(&variable)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_settings_are_accepted_or_each_problem_names_its_variable(settings in any_settings()) {
        let Err(problems) = Config::from_lookup(settings.clone()) else { return Ok(()) };
        prop_assert!(!problems.problems().is_empty());
        let given: BTreeMap<_, _> = settings.into_iter().collect();
        for problem in problems.problems() {
            let variable = problem.variable();
            prop_assert!(given.contains_key(variable) || is_needed(variable), "{}", problem);
            let name = variable.escape_debug().to_string();
            prop_assert!(problem.to_string().starts_with(&name), "{}", problem);
        }
        prop_assert_eq!(problems.to_string().lines().count(), problems.problems().len());
    }

    #[test]
    fn a_secret_is_never_shown_with_any_other_settings(settings in any_settings()) {
        let shown = match Config::from_lookup(settings) {
            Ok(config) => format!("{config:?}"),
            Err(problems) => format!("{problems} {problems:?}"),
        };
        prop_assert!(!shown.contains(PLANTED), "{}", shown);
    }

    #[test]
    fn the_order_of_settings_changes_nothing(settings in any_settings()) {
        let once: BTreeMap<String, String> = settings.into_iter().collect();
        let backwards: Vec<_> = once.clone().into_iter().rev().collect();
        let read = |result: Result<Config, _>| result.map_err(|problems: kafka_consumer_lambda::config::InvalidSettings| problems.to_string());
        prop_assert_eq!(read(Config::from_lookup(once)), read(Config::from_lookup(backwards)));
    }

    #[test]
    fn only_a_name_that_begins_with_kafka_is_a_property(name: String) {
        prop_assert_eq!(property_of(&name).is_some(), name.starts_with("KAFKA_"));
    }
}
