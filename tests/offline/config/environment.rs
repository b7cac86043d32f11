//! The raw environment: values that are not UTF-8, and variables that the AWS SDK reads.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use kafka_consumer_lambda::config::{Config, InvalidSettings, SETTINGS};
use proptest::prelude::*;

use super::{accepted, assert_refused, refused};

/// Part of every value that is not UTF-8: it must never be shown.
const PLANTED: &[u8] = b"hunter2";

fn not_text() -> OsString {
    OsString::from_vec([PLANTED, b"\xe9"].concat())
}

fn read(vars: impl IntoIterator<Item = (impl Into<OsString>, OsString)>) -> Result<Config, InvalidSettings> {
    Config::from_environment(vars.into_iter().map(|(name, value)| (name.into(), value)))
}

#[test]
fn each_setting_that_is_not_utf_8_is_named_and_not_shown() {
    let mut variables: Vec<&str> = SETTINGS.iter().map(|setting| setting.variable).collect();
    variables.extend([
        "KAFKA_SASL_PASSWORD",
        "KAFKA_SASL_MECHANISM",
        "KAFKA_SECURITY_PROTOCOL",
        "KAFKA_SSL_CA_PEM",
        "KAFKA_NO_SUCH_PROPERTY",
        "AWS_REGION",
        "AWS_PROFILE",
        "AWS_ENDPOINT_URL_DYNAMODB",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "RUST_LOG",
    ]);
    for variable in &variables {
        let problems = read([(*variable, not_text())]).expect_err(variable);
        assert_eq!(
            problems.to_string(),
            format!("{variable}: is not UTF-8; set it again, as UTF-8")
        );
    }
    // Together, and beside other problems; a problem that follows from one of them is not reported.
    let all = variables.iter().map(|variable| (*variable, not_text()));
    let problems = read(all.chain([("LOG_VALUES", "maybe".into()), ("KAFKA_X", "1".into())])).expect_err("wrong");
    assert_eq!(problems.problems().len(), variables.len() + 1, "{problems}");
    assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
}

#[test]
fn a_password_that_is_not_utf_8_is_not_reported_as_missing() {
    let sasl = [
        ("KAFKA_SECURITY_PROTOCOL", OsString::from("SASL_SSL")),
        ("KAFKA_SASL_MECHANISM", "PLAIN".into()),
        ("KAFKA_SASL_USERNAME", "u".into()),
        ("KAFKA_SASL_PASSWORD", not_text()),
    ];
    let problems = read(sasl).expect_err("no password").to_string();
    assert_eq!(problems, "KAFKA_SASL_PASSWORD: is not UTF-8; set it again, as UTF-8");
}

#[test]
fn a_later_utf_8_value_applies_and_a_variable_that_is_not_read_may_hold_any_bytes() {
    let group = "KAFKA_GROUP_ID";
    let config = read([(group, not_text()), (group, "g".into()), ("LS_COLORS", not_text())]).expect("it is text");
    assert_eq!(&*config.group_id, "g");
    let name = OsString::from_vec(b"KAFKA_\xe9".to_vec());
    let problems = read([(name, "x".into())]).expect_err("no name").to_string();
    assert!(
        problems.starts_with("KAFKA_") && problems.ends_with("is not UTF-8; set it again, as UTF-8"),
        "{problems}"
    );
}

#[test]
fn an_endpoint_of_aws_must_be_a_url() {
    let must = "must be a URL with its scheme, such as http://127.0.0.1:8000";
    for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SQS"] {
        for url in [
            "127.0.0.1:8000",
            "localhost",
            "localhost:8000",
            "//localhost:8000",
            "ftp://localhost",
            "http://",
            "http:/localhost",
            "http://local host",
            "http://localhost:port",
            "http://localhost:0",
            "http://localhost:99999",
            "dynamodb.eu-central-1.amazonaws.com",
        ] {
            assert_refused(variable, url, &format!("={url:?}: {must}"));
        }
        for url in [
            "http://localhost:8000",
            "https://dynamodb.eu-central-1.amazonaws.com/",
            "http://[::1]:8000",
            "http://u:p@gateway:8000/path",
            "HTTP://localhost",
        ] {
            accepted(&[(variable, url)]);
        }
    }
    let hidden = refused(&[("AWS_ENDPOINT_URL", "u:hunter2@gateway:8000")]);
    assert_eq!(hidden, format!("AWS_ENDPOINT_URL=***: {must}"));
    accepted(&[
        ("AWS_ENDPOINT_URL", "x"),
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
    ]);
    accepted(&[("AWS_ENDPOINT_URLS", "x"), ("AWS_ENDPOINT", "x")]);
}

#[test]
fn a_region_must_be_a_valid_label_of_a_host_name() {
    for variable in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        for region in [
            "eu central 1",
            "eu-central-1 ",
            "eu_central_1",
            "-",
            "eu.central",
            "http://x",
        ] {
            assert_refused(
                variable,
                region,
                &format!("={region:?}: must be the name of a region, such as eu-central-1"),
            );
        }
        for region in ["eu-central-1", "local", "us-gov-east-1"] {
            accepted(&[(variable, region)]);
        }
    }
}

fn any_os_string() -> impl Strategy<Value = OsString> {
    prop_oneof![
        any::<String>().prop_map(OsString::from),
        any::<Vec<u8>>().prop_map(OsString::from_vec),
        proptest::sample::select(vec!["1", "PLAIN", "SASL_SSL", "a\u{0}b", " x", "5.0"]).prop_map(OsString::from),
    ]
}

fn any_name() -> impl Strategy<Value = OsString> {
    let known: Vec<&str> = SETTINGS
        .iter()
        .map(|setting| setting.variable)
        .chain([
            "KAFKA_SASL_PASSWORD",
            "KAFKA_SECURITY_PROTOCOL",
            "KAFKA_SSL_KEY_PEM",
            "AWS_ENDPOINT_URL",
            "AWS_REGION",
        ])
        .collect();
    let behind = any_os_string().prop_map(|name| [OsString::from("KAFKA_"), name].into_iter().collect());
    prop_oneof![3 => proptest::sample::select(known).prop_map(OsString::from), 1 => behind, 1 => any_os_string()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_environment_is_accepted_or_each_problem_is_a_line_that_names_its_variable(
        vars in proptest::collection::vec((any_name(), any_os_string()), 0..8),
    ) {
        if let Err(problems) = read(vars) {
            prop_assert_eq!(problems.to_string().lines().count(), problems.problems().len());
            for problem in problems.problems() {
                let name = problem.variable().escape_debug().to_string();
                prop_assert!(problem.to_string().starts_with(&name), "{}", problem);
            }
        }
    }
}
