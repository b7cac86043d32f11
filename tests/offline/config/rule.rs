//! Each setting's rule, with accepted and refused values.

use std::collections::BTreeSet;

use kafka_consumer_lambda::config::SETTINGS;

use super::{accepted, read};

/// Variable, values that are allowed, values that are not; separated by `|`.
const RULES: &[(&str, &str, &str)] = &[
    (
        "KAFKA_BOOTSTRAP_SERVERS",
        "b:1|b:65535|b|a:1, b:2|10.0.0.1:9092|[::1]:9092|[::1]|PLAINTEXT://b:9092|b-1.x_y.z:9096",
        "b:0|b:65536|b:|b:x|b:+1|:9092|a:1,,b:2|a:1,| |::1|[::1|[x]:1|http://b:1|SSL://b:1|u:p@b:1|a b:1|b:1/x",
    ),
    (
        "KAFKA_TOPIC",
        "a|a,b| a , b |A.b_c-9|...",
        ".|..|a,,b|a,|,| |a,a|ä|a/b|a\nb",
    ),
    ("KAFKA_GROUP_ID", "g|my group|gruppe-ä|a/b#c", " | g|g\n|g\tg|\u{0}"),
    (
        "DYNAMODB_TABLE",
        "abc|a.b|A_b-9| abc |arn:aws:dynamodb:eu-central-1:123456789012:table/offsets|arn:aws-cn:dynamodb:cn-north-1:1:table/abc",
        "ab|a b c|täble|arn:|arn:aws:sqs:eu:1:abc|arn:aws:dynamodb:eu:1:table/ab|arn:aws:dynamodb:eu:1:table/abc/index/x|arn:aws:dynamodb:::table/abc",
    ),
    (
        "MAX_MESSAGES",
        "1|1000|unlimited|Unlimited| 5 |5.0|1e3|18446744073709551615",
        "0|-1|1.5|1_000|+5|010|none| |18446744073709551616|1e20",
    ),
    ("POLL_TIMEOUT", "0.1|5|5.0|300|2.5", "0|0.09|300.1|-1|NaN|inf|5s|5,0| "),
    ("TIME_LIMIT", "1|60|900|1800|5400|1.5", "0|0.9|5401|60s|x"),
    (
        "START_POSITION",
        "earliest|LATEST|2026-11-01T06:00:00Z|2026-11-01T06:00:00.5+02:00|1970-01-01T00:00:00Z|2026-11-01|2026-11-01T06:00:00",
        "beginning|2026-11|2026-13-01|20261101|1969-12-31T23:59:59Z|1969-12-31|1762000000000|-1| ",
    ),
    ("MESSAGE_FORMAT", "json|text|bytes|JSON", "avro|utf8| "),
    (
        "DESTINATION",
        "log|discard|Log|arn:aws:lambda:eu-central-1:123456789012:function:f|\
         arn:aws-cn:lambda:cn-north-1:123456789012:function:f_2-a:live| arn:aws:lambda:eu:123456789012:function:f:$LATEST |\
         arn:aws:sqs:eu:123456789012:q.fifo|arn:aws:sns:eu:123456789012:t|arn:aws:events:eu:123456789012:event-bus/b|kafka://t|\
         https://example.com/a?b=c|HTTPS://example.com:8443|http://127.0.0.1:8080/|http://localhost|http://[::1]/|\
         {\"*\":\"log\"}| {\"a-*\": {\"to\": \"discard\", \"format\": \"text\"}} ",
        "logs|http://example.com|https://|https://u:p@example.com/|https://example.com/#a|https://example.com/a b|ftp://example.com|\
         arn:aws:sqs:eu:1:q|arn:aws:sns:eu:1:t|arn:aws:events:eu:123456789012:rule/b|\
         arn:aws:s3:::bucket|kafka://|kafka://a/b|arn:aws:lambda:eu:1:function:f|\
         arn:aws:lambda:eu:123456789012:function:f:a:b|lambda|f| |{}|{|{\"*\":log}|[\"log\"]|\"log\"",
    ),
    ("ENVELOPE", "value|record|Record", "json|values| "),
    ("BATCH_SIZE", "1|100|10000|1e4", "0|10001|-1|1.5|all| "),
    ("PARALLELIZATION_FACTOR", "1|10|100|1e2", "0|101|-1|1.5|all| "),
    (
        "MSK_CLUSTER_ARN",
        "arn:aws:kafka:eu-central-1:123456789012:cluster/shop/6f8e-22",
        "shop|arn:aws:kafka:eu-central-1:123456789012:cluster/shop|arn:aws:kafka:eu-central-1:1:cluster/shop/x| ",
    ),
    ("LOG_VALUES", "true|false|True", "1|yes| "),
    (
        "FILTER_PATTERNS",
        r#"[{"topic":["t"]}]|[{"value":{"a":[1]}},{"key":["k"]}]"#,
        r#"x|{}|[]|[{}]|[{"value":{"a":[]}}]|[{"valu":["x"]}]| "#,
    ),
    ("REPORT_BATCH_ITEM_FAILURES", "true|false|True", "1|yes| "),
    (
        "ON_FAILURE",
        "halt|skip|Halt|kafka://dead|kafka://A.b_c-9|arn:aws:sqs:eu-central-1:123456789012:dead|\
         arn:aws:sqs:eu-central-1:123456789012:dead.fifo|arn:aws-us-gov:sqs:us-gov-west-1:123456789012:d_-",
        "stop|dead|kafka:dead|kafka://|kafka://.|kafka://a/b|kafka://a,b|kafka://host:9092/dead|KAFKA://dead|arn:|\
         arn:aws:sns:eu-central-1:123456789012:dead|arn:aws:sqs:eu-central-1:123456789012:|\
         arn:aws:sqs:eu-central-1:123456789012:.fifo|arn:aws:sqs:eu-central-1:123456789012:a.b|\
         arn:aws:sqs:eu-central-1:123456789012:a/b|arn:aws:sqs:eu-central-1:123456789012:a:b|\
         arn:aws:sqs:eu-central-1:12345678901:a|arn:aws:sqs::123456789012:a|arn:aws:sqs:EU:123456789012:a|\
         arn:aws-:sqs:eu:123456789012:a|arn:awsx:sqs:eu:123456789012:a|arn:x:sqs:eu:123456789012:a|\
         https://sqs.eu-central-1.amazonaws.com/123456789012/dead| ",
    ),
    ("MAX_ATTEMPTS", "1|10000|1e4|3.0", "0|10001|-1|1.5|4294967296|unlimited"),
    ("ON_RETENTION_LOSS", "continue|halt", "skip|earliest"),
    ("ON_TRUNCATION", "halt|earliest|latest", "continue|2026-11-01T06:00:00Z"),
    (
        "MAX_MEMORY_BYTES",
        "1048576|10737418240",
        "1048575|10737418241|64MiB|-1|1.5",
    ),
];

#[track_caller]
fn assert_only_this_is_refused(variable: &str, value: &str) {
    let problems = read(&[(variable, value)]).expect_err(&format!("{variable}={value:?}"));
    assert_eq!(problems.problems().len(), 1, "{problems}");
    assert!(problems.to_string().starts_with(&format!("{variable}=")), "{problems}");
}

#[test]
fn each_setting_accepts_and_refuses_the_values_of_its_rule() {
    let tested: BTreeSet<_> = RULES.iter().map(|rule| rule.0).collect();
    // They are valid only with others: see authentication.rs.
    let independent = |variable: &&str| !variable.ends_with("_SECRET_ARN");
    let all: BTreeSet<_> = SETTINGS
        .iter()
        .map(|setting| setting.variable)
        .filter(independent)
        .collect();
    assert_eq!(tested, all);
    for (variable, allowed, refused) in RULES {
        for value in allowed.split('|') {
            accepted(&[(variable, value)]);
        }
        for value in refused.split('|') {
            assert_only_this_is_refused(variable, value);
        }
    }
}

#[test]
fn names_have_a_maximum_length() {
    for (variable, longest_chars) in [("KAFKA_TOPIC", 249), ("DYNAMODB_TABLE", 255)] {
        accepted(&[(variable, &"t".repeat(longest_chars))]);
        assert_only_this_is_refused(variable, &"t".repeat(longest_chars + 1));
    }
}
