//! Settings: defaults, every rule with accepted and refused values, and that secrets are never shown.

mod arbitrary;
mod authentication;
mod dead_letter;
mod destination;
mod destination_table;
mod environment;
mod property;
mod routes;
mod rule;

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_consumer_lambda::config::{
    Config, Destination, InvalidSettings, MessageFormat, MessageLimit, OnFailure, OnRetentionLoss, OnTruncation,
    SETTINGS, StartPosition, Target,
};
use proptest::prelude::*;

fn read(vars: &[(&str, &str)]) -> Result<Config, InvalidSettings> {
    Config::from_lookup(
        vars.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

#[track_caller]
fn accepted(vars: &[(&str, &str)]) -> Config {
    read(vars).unwrap_or_else(|problems| panic!("{vars:?} was refused: {problems}"))
}

#[track_caller]
fn refused(vars: &[(&str, &str)]) -> String {
    read(vars).expect_err("must be refused").to_string()
}

/// The whole text for one wrong setting.
#[track_caller]
fn assert_refused(variable: &str, value: &str, expected: &str) {
    assert_eq!(refused(&[(variable, value)]), format!("{variable}{expected}"));
}

fn limit(number: u64) -> MessageLimit {
    number.to_string().parse().expect("a number is a limit")
}

#[test]
fn without_any_variable_the_contract_s_defaults_apply() {
    let config = accepted(&[]);
    assert_eq!(config.bootstrap_servers, "localhost:9092");
    assert_eq!(config.topics, ["test-topic".into()]);
    assert_eq!(&*config.group_id, "lambda-consumer-group");
    assert_eq!(config.table, "kafka-consumer-offsets");
    assert_eq!(config.max_messages, limit(1000));
    assert_eq!(config.poll_timeout, Duration::from_secs(5));
    assert_eq!(config.time_limit, Duration::from_mins(1));
    assert_eq!(config.start_position, StartPosition::Earliest);
    assert_eq!(config.message_format("test-topic"), MessageFormat::Json);
    assert_eq!(destination(&config), Destination::Log { values: false });
    assert_eq!(config.on_failure, OnFailure::Halt);
    assert_eq!(config.max_attempts.get(), 3);
    assert_eq!(config.on_retention_loss, OnRetentionLoss::Continue);
    assert_eq!(config.on_truncation, OnTruncation::Halt);
    assert_eq!(config.max_memory_bytes, 256 * 1024 * 1024);
    assert!(config.kafka_properties.iter().next().is_none());
    assert!(config.warnings.is_empty());
}

#[test]
fn an_empty_value_counts_as_unset() {
    let vars: Vec<_> = SETTINGS.iter().map(|setting| (setting.variable, "")).collect();
    assert_eq!(accepted(&vars), accepted(&[]));
    assert_eq!(
        accepted(&[("KAFKA_NO_SUCH_THING", ""), ("KAFKA_SECRET_ARN", "")]),
        accepted(&[])
    );
}

#[test]
fn the_default_in_the_table_is_the_one_that_applies() {
    for setting in SETTINGS {
        let Some(default) = setting.default else {
            continue;
        };
        assert_eq!(
            accepted(&[(setting.variable, default)]),
            accepted(&[]),
            "{}",
            setting.variable
        );
    }
}

#[test]
fn the_table_has_each_setting_once_and_each_is_read() {
    let variables: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.variable).collect();
    assert_eq!(variables.len(), SETTINGS.len());
    let flags: BTreeSet<_> = SETTINGS
        .iter()
        .flat_map(|s| [Some(s.flag()), s.alias.map(str::to_owned)])
        .flatten()
        .collect();
    assert_eq!(
        flags.len(),
        SETTINGS.len() + SETTINGS.iter().filter(|s| s.alias.is_some()).count()
    );
    assert!(flags.contains("kafka-bootstrap-servers") && flags.contains("bootstrap-servers"));
    for setting in SETTINGS {
        assert!(!setting.meaning.is_empty() && !setting.meaning.contains('\n'));
        // No setting accepts this value, so each that is read is reported.
        let problems = read(&[(setting.variable, "\u{1}:,\u{1}")]).expect_err(setting.variable);
        assert_eq!(problems.problems()[0].variable(), setting.variable);
    }
}

#[test]
fn the_later_of_two_values_applies() {
    assert_eq!(
        accepted(&[("MAX_MESSAGES", "1"), ("MAX_MESSAGES", "2")]).max_messages,
        limit(2)
    );
    assert_eq!(
        accepted(&[("MAX_MESSAGES", "1"), ("MAX_MESSAGES", "")]).max_messages,
        limit(1)
    );
}

#[test]
fn all_wrong_settings_are_reported_together() {
    let problems = refused(&[
        ("ON_FAILURE", "explode"),
        ("MAX_MESSAGES", "0"),
        ("KAFKA_SECURITY_PROTOCL", "SASL_SSL"),
        ("KAFKA_CHECK_CRCS", "true"),
        ("KAFKA_TOPIC", "a b"),
        ("LOG_VALUES", "maybe"),
        ("DESTINATION", "printer"),
    ]);
    assert_eq!(
        problems,
        "KAFKA_TOPIC=\"a b\": must be topic names, comma-separated: 1 to 249 of a-z, A-Z, 0-9, `.`, `_` and `-` each, not `.` or `..`\n\
         MAX_MESSAGES=\"0\": must be a whole number, 1 or more, or `unlimited`\n\
         DESTINATION=\"printer\": must be `log`, `discard`, `kafka://<topic>`, an https:// URL, or the ARN of a Lambda function, an SQS queue, an SNS topic, an EventBridge bus or a DynamoDB table, or routes: a JSON object from topic to one of these\n\
         LOG_VALUES=\"maybe\": must be `true` or `false`\n\
         ON_FAILURE=\"explode\": must be `halt`, `skip`, `kafka://<topic>` or the ARN of an SQS queue\n\
         KAFKA_CHECK_CRCS: owned by the program: damaged records are always detected; remove it\n\
         KAFKA_SECURITY_PROTOCL: librdkafka has no property \"security.protocl\"; did you mean KAFKA_SECURITY_PROTOCOL?"
    );
}

#[test]
fn each_value_is_parsed_as_documented() {
    let config = accepted(&[
        ("KAFKA_BOOTSTRAP_SERVERS", "a:1, b:2"),
        ("KAFKA_TOPIC", "z, a"),
        ("MAX_MESSAGES", "unlimited"),
        ("POLL_TIMEOUT", "0.25"),
        ("TIME_LIMIT", "900"),
        ("START_POSITION", "2026-11-01T06:00:00.0001Z"),
        ("DESTINATION", "log"),
        ("LOG_VALUES", "true"),
        ("ON_FAILURE", "skip"),
        ("MAX_ATTEMPTS", "7"),
    ]);
    assert_eq!(config.bootstrap_servers, "a:1,b:2");
    assert_eq!(config.topics, ["z".into(), "a".into()]);
    assert_eq!(config.max_messages, MessageLimit::Unlimited);
    assert_eq!(config.poll_timeout, Duration::from_millis(250));
    assert_eq!(config.time_limit, Duration::from_mins(15));
    // Rounded up to Kafka's milliseconds: no record before the time is read.
    assert_eq!(
        config.start_position,
        StartPosition::At {
            unix_ms: 1_793_512_800_001
        }
    );
    assert_eq!(destination(&config), Destination::Log { values: true });
    assert_eq!(config.on_failure, OnFailure::Skip);
    assert_eq!(config.max_attempts.get(), 7);
    assert_eq!(
        destination(&accepted(&[("DESTINATION", "discard"), ("LOG_VALUES", "true")])),
        Destination::Discard
    );
}

#[test]
fn the_default_memory_limit_follows_the_function_s_memory() {
    const MIB: u64 = 1024 * 1024;
    let bytes = |mb: &str| accepted(&[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", mb)]).max_memory_bytes;
    assert_eq!(bytes("128"), 88 * MIB * 2 / 5);
    assert_eq!(bytes("1024"), 984 * MIB * 2 / 5);
    assert_eq!(bytes("1"), 8 * MIB);
    assert_eq!(bytes("10240"), 4080 * MIB);
    assert_eq!(bytes("18446744073709551615"), 4080 * MIB);
    let both = [
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "x"),
        ("MAX_MEMORY_BYTES", "2097152"),
    ];
    assert_eq!(accepted(&both).max_memory_bytes, 2 * MIB);
    assert_refused(
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "x",
        "=\"x\": must be a whole number of MB; or set MAX_MEMORY_BYTES",
    );
}

#[test]
fn group_and_topic_fit_into_the_key_together() {
    let topic = "t".repeat(249);
    let vars = |bytes: usize| {
        [
            ("KAFKA_TOPIC", format!("a,{topic}")),
            ("KAFKA_GROUP_ID", "g".repeat(bytes)),
        ]
    };
    let read = |bytes| Config::from_lookup(vars(bytes).map(|(name, value)| (name.to_owned(), value)));
    assert!(read(2048 - 249 - 1).is_ok());
    let problems = read(2048 - 249).expect_err("one byte too long").to_string();
    assert!(problems.starts_with("KAFKA_GROUP_ID=\"ggg"), "{problems}");
    assert!(
        problems.ends_with("(1799 characters): must have at most 1798 bytes beside this topic, and has 1799"),
        "{problems}"
    );
}

#[test]
fn long_and_many_line_values_stay_on_one_short_line() {
    let problems = refused(&[("MAX_MESSAGES", &"x\n".repeat(10_000)), ("KAFKA_A\nB", "x")]);
    assert_eq!(problems.lines().count(), 2);
    assert!(problems.len() < 500, "{problems}");
}

proptest! {
    #[test]
    fn any_text_for_any_setting_parses_or_names_the_variable(
        setting in prop::sample::select(SETTINGS),
        value in prop_oneof![any::<String>(), "[a-z0-9.,:/-]{0,30}", "[0-9.+-]{1,25}"],
    ) {
        if let Err(problems) = read(&[(setting.variable, &value)]) {
            prop_assert_eq!(problems.problems().len(), 1);
            prop_assert_eq!(problems.problems()[0].variable(), setting.variable);
            let text = problems.to_string();
            prop_assert!(text.starts_with(setting.variable));
            prop_assert_eq!(text.lines().count(), 1);
        }
    }

    #[test]
    fn limits_and_times_are_parsed_from_their_own_text(number in 1..=u64::MAX, unix_ms in 0..253_402_207_200_000_i64) {
        prop_assert_eq!(limit(number).to_string().parse(), Ok(limit(number)));
        let at = StartPosition::At { unix_ms };
        prop_assert_eq!(at.to_string().parse(), Ok(at));
    }
}

#[test]
fn enum_values_are_parsed_from_their_own_text() {
    fn check<T: std::fmt::Display + std::str::FromStr + PartialEq + std::fmt::Debug>(values: &[T]) {
        for value in values {
            assert_eq!(value.to_string().parse().ok().as_ref(), Some(value));
        }
    }
    check(&[MessageLimit::Unlimited]);
    check(&[StartPosition::Earliest, StartPosition::Latest]);
    check(&[MessageFormat::Json, MessageFormat::Text, MessageFormat::Bytes]);
    check(&[Destination::Log { values: false }, Destination::Discard]);
    check(&[
        OnFailure::Halt,
        OnFailure::Skip,
        OnFailure::DeadLetter(Target::Kafka("dead.Letters-1_a".parse().expect("a topic"))),
        OnFailure::DeadLetter(Target::Sqs(
            "arn:aws-cn:sqs:cn-north-1:123456789012:dead.fifo"
                .parse()
                .expect("a queue"),
        )),
    ]);
    check(&[OnRetentionLoss::Continue, OnRetentionLoss::Halt]);
    check(&[OnTruncation::Halt, OnTruncation::Earliest, OnTruncation::Latest]);
}

/// The destination of the first topic.
fn destination(config: &Config) -> Destination {
    let route = config.routes.of(&config.topics[0]).expect("it has a route");
    route.to.clone()
}
