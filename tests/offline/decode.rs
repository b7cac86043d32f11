//! Values of any bytes, in each format: decoded unchanged, or an error that names the record and
//! shows nothing of it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_consumer_lambda::Record;
use kafka_consumer_lambda::config::MessageFormat;
use kafka_consumer_lambda::decode::{DecodeError, Value, decode, json};
use kafka_consumer_lambda::record::TopicPartition;
use proptest::prelude::*;
use serde::Deserialize;

const FORMATS: [MessageFormat; 3] = [MessageFormat::Json, MessageFormat::Text, MessageFormat::Bytes];

/// Part of every value, which no message may contain.
const PLANTED: &str = "planted";

fn record(value: impl Into<Bytes>) -> Record {
    Record {
        key: Some(Bytes::from_static(b"planted-key")),
        value: Some(value.into()),
        ..Record::new(TopicPartition::new("orders", 2), 41)
    }
}

#[expect(dead_code, reason = "it is only parsed")]
#[derive(Debug, Deserialize)]
struct Order {
    id: u64,
    note: Option<String>,
    lines: Vec<(String, i32)>,
    kind: Kind,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Big,
    Small,
}

/// The error names the record, on one short line, and shows nothing of it.
fn check_error(error: &DecodeError) -> Result<(), TestCaseError> {
    let text = error.to_string();
    prop_assert_eq!(
        (&*error.partition.topic, error.partition.partition, error.offset),
        ("orders", 2, 41)
    );
    prop_assert!(
        text.starts_with("the record at offset 41 of orders-2 is not "),
        "{}",
        text
    );
    prop_assert!(text.len() < 200 && text.lines().count() == 1, "{}", text);
    prop_assert!(
        !text.contains(PLANTED) && !format!("{error:?}").contains(PLANTED),
        "{}",
        text
    );
    Ok(())
}

/// JSON that contains the planted text, with names and shapes of an order.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let name = proptest::sample::select(vec!["id", "note", "lines", "kind", PLANTED]);
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        proptest::sample::select(vec![PLANTED, "big", "planted\n\"\u{0}", ""]).prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::vec((name.clone().prop_map(str::to_owned), inner), 0..5)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Any bytes: text, JSON, JSON that is cut or damaged, and none of these.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let damaged = (any_json(), any::<proptest::sample::Index>(), any::<Option<u8>>());
    let damaged = damaged.prop_map(|(json, at, byte)| {
        let mut text = json.to_string().into_bytes();
        let at = at.index(text.len());
        match byte {
            Some(byte) => text[at] = byte,
            None => text.truncate(at),
        }
        text
    });
    prop_oneof![
        any::<Vec<u8>>(),
        any::<String>().prop_map(String::into_bytes),
        any_json().prop_map(|json| json.to_string().into_bytes()),
        any_json().prop_map(|json| format!("\u{feff}{json}").into_bytes()),
        damaged,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_bytes_are_passed_on_unchanged_or_refused_by_name(bytes in any_bytes()) {
        let record = record(bytes.clone());
        for format in FORMATS {
            match decode(format, &record) {
                Ok(Value::Json(raw)) => {
                    let without_mark = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
                    prop_assert_eq!(raw.get().as_bytes(), without_mark.trim_ascii());
                }
                Ok(Value::Text(text)) => prop_assert_eq!(text.as_bytes(), &bytes),
                Ok(Value::Bytes(same)) => prop_assert_eq!(same, &bytes),
                Ok(Value::Tombstone) => prop_assert!(false, "it has a value"),
                Err(error) => check_error(&error)?,
            }
        }
    }

    #[test]
    fn only_values_of_another_format_are_refused(bytes in any_bytes()) {
        let record = record(bytes.clone());
        let without_mark = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(without_mark).is_ok();
        prop_assert_eq!(decode(MessageFormat::Json, &record).is_ok(), is_json);
        prop_assert_eq!(decode(MessageFormat::Text, &record).is_ok(), std::str::from_utf8(&bytes).is_ok());
        prop_assert!(decode(MessageFormat::Bytes, &record).is_ok());
    }

    #[test]
    fn any_bytes_are_parsed_as_an_order_or_refused_by_name(bytes in any_bytes()) {
        if let Err(error) = json::<Order>(&record(bytes)) {
            check_error(&error)?;
        }
    }

    #[test]
    fn the_debug_format_of_a_record_shows_no_value(bytes in any_bytes()) {
        let shown = format!("{:?}", record(bytes));
        prop_assert!(!shown.contains(PLANTED), "{}", shown);
    }
}

/// Extreme nesting and numbers.
fn extreme_values() -> Vec<String> {
    let deep = |open: &str, close: &str| open.repeat(100_000) + &close.repeat(100_000);
    vec![
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        deep("[", "]"),
        deep("{\"a\":", "}").replacen('}', "1}", 1),
        deep("[{\"a\":", "}]").replacen('}', "1}", 1),
        "9".repeat(1_000_000),
        format!("-{}", "9".repeat(1_000_000)),
        format!("0.{}1", "0".repeat(1_000_000)),
        "1e999999999999999999".to_owned(),
        "-1E-999999999999999999".to_owned(),
        format!("1e{}", "9".repeat(100_000)),
        format!("{{\"id\":{}}}", "9".repeat(100_000)),
        format!("\"{}\"", "\\u0000".repeat(100_000)),
        format!("\"{}\"", "\\ud800".repeat(100_000)),
        format!("[{}1]", "1,".repeat(1_000_000)),
    ]
}

#[test]
fn no_nesting_or_number_crashes_the_decoder() {
    // The stack of the threads on which handlers run.
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    let worker = thread.spawn(|| {
        for value in extreme_values() {
            let start: String = value.chars().take(20).collect();
            let record = record(value);
            let began = Instant::now();
            for format in FORMATS {
                let _ = decode(format, &record).map(|value| format!("{value:?}"));
            }
            let _ = json::<serde_json::Value>(&record).map(drop);
            let _ = json::<Order>(&record).map(drop);
            let took = began.elapsed();
            assert!(took < Duration::from_secs(5), "{start}: {took:?}");
        }
    });
    worker.expect("a thread").join().expect("no overflow, no panic");
}

#[test]
fn a_null_in_json_is_a_value_and_no_tombstone() {
    assert!(matches!(
        decode(MessageFormat::Json, &record("null")),
        Ok(Value::Json(_))
    ));
    assert!(json::<u64>(&record("null")).is_err());
    assert_eq!(json::<Option<u64>>(&record("null")), Ok(Some(None)));
}
