//! JSON -> an attribute's value, with its size as `DynamoDB` counts it. Pure.
//!
//! Numbers are read as text: as doubles they would lose digits.

use std::collections::HashMap;
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::value::RawValue;

use crate::filter::{Decimal, Members};

/// The most significant digits of a number.
const MAX_DIGITS: usize = 38;

/// A number is zero, or at least `0.1 * 10^MIN_POINT`, and below `10^MAX_POINT`: 1E-130 to
/// 9.99E+125, negative too.
const MIN_POINT: i64 = -129;
const MAX_POINT: i64 = 126;

/// Lists and maps within each other. With the value in the innermost these are the 32 levels
/// of `DynamoDB`.
const MAX_DEPTH: usize = 31;

/// What a list or a map takes beside its elements, in bytes.
const COLLECTION_BYTES: usize = 3;

/// What an element of a list or of a map takes beside its name and value, in bytes.
const ELEMENT_BYTES: usize = 1;

/// A value, and its size.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sized {
    pub(super) value: AttributeValue,
    /// As `DynamoDB` documents it. Numbers are its approximation.
    pub(super) bytes: usize,
}

/// Why `DynamoDB` takes no such value. The texts hold nothing of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsupported {
    Digits,
    Magnitude,
    Depth,
    EmptyName,
    /// An unpaired surrogate in a text or in a name.
    Text,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Digits => {
                "is or contains a number with more than 38 significant digits, the most that DynamoDB stores"
            }
            Self::Magnitude => {
                "is or contains a number outside of DynamoDB's range, 1E-130 to 9.99E+125 and the same below zero"
            }
            Self::Depth => "is nested deeper than the 32 levels that DynamoDB stores",
            Self::EmptyName => "contains a field with an empty name, which DynamoDB does not store",
            Self::Text => "contains an unpaired surrogate (\\ud800 to \\udfff), which is no Unicode text",
        })
    }
}

/// The value of an attribute.
///
/// | JSON | |
/// |---|---|
/// | text, also an empty one | `S` |
/// | number | `N`, with all its digits |
/// | `true`, `false` | `BOOL` |
/// | `null` | `NULL` |
/// | array | `L` |
/// | object | `M`; of a name that repeats, the last value |
pub(super) fn attribute(json: &RawValue) -> Result<Sized, Unsupported> {
    at_depth(json, 0)
}

/// `depth`: in how many lists and maps it lies.
fn at_depth(json: &RawValue, depth: usize) -> Result<Sized, Unsupported> {
    let sized = |value, bytes| Ok(Sized { value, bytes });
    match json.get().as_bytes() {
        [b'{' | b'[', ..] if depth == MAX_DEPTH => Err(Unsupported::Depth),
        [b'{', ..] => map(json, depth),
        [b'[', ..] => list(json, depth),
        [b'"', ..] => {
            let text: String = serde_json::from_str(json.get()).map_err(|_| Unsupported::Text)?;
            let bytes = text.len();
            sized(AttributeValue::S(text), bytes)
        }
        b"null" => sized(AttributeValue::Null(true), 1),
        b"true" => sized(AttributeValue::Bool(true), 1),
        b"false" => sized(AttributeValue::Bool(false), 1),
        _ => number(json.get()),
    }
}

fn map(json: &RawValue, depth: usize) -> Result<Sized, Unsupported> {
    let Members(members) = serde_json::from_str(json.get()).map_err(|_| Unsupported::Text)?;
    let mut sizes = HashMap::new();
    let mut values = HashMap::new();
    for (name, raw) in members {
        if name.is_empty() {
            return Err(Unsupported::EmptyName);
        }
        let Sized { value, bytes } = at_depth(raw, depth + 1)?;
        sizes.insert(name.clone(), name.len() + bytes + ELEMENT_BYTES);
        values.insert(name, value);
    }
    Ok(Sized {
        value: AttributeValue::M(values),
        bytes: COLLECTION_BYTES + sizes.values().sum::<usize>(),
    })
}

fn list(json: &RawValue, depth: usize) -> Result<Sized, Unsupported> {
    let elements: Vec<&RawValue> = serde_json::from_str(json.get()).map_err(|_| Unsupported::Text)?;
    let mut bytes = COLLECTION_BYTES;
    let mut values = Vec::with_capacity(elements.len());
    for element in elements {
        let element = at_depth(element, depth + 1)?;
        bytes += element.bytes + ELEMENT_BYTES;
        values.push(element.value);
    }
    Ok(Sized {
        value: AttributeValue::L(values),
        bytes,
    })
}

/// A number as JSON spells it. Equal numbers get equal texts.
pub(super) fn number(json: &str) -> Result<Sized, Unsupported> {
    let decimal = Decimal::parse(json);
    let (digits, point) = (decimal.digits(), decimal.point());
    if digits.len() > MAX_DIGITS {
        return Err(Unsupported::Digits);
    }
    if digits.is_empty() {
        let value = AttributeValue::N("0".to_owned());
        return Ok(Sized { value, bytes: 1 });
    }
    if !(MIN_POINT..=MAX_POINT).contains(&point) {
        return Err(Unsupported::Magnitude);
    }
    let sign = if decimal.is_negative() { "-" } else { "" };
    let exponent = point - i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let text = match exponent {
        0 => format!("{sign}{digits}"),
        _ => format!("{sign}{digits}E{exponent}"),
    };
    Ok(Sized {
        value: AttributeValue::N(text),
        bytes: digits.len().div_ceil(2) + 1,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(json: &str) -> Result<Sized, Unsupported> {
        attribute(serde_json::from_str(json).expect(json))
    }

    fn value(json: &str) -> AttributeValue {
        of(json).expect(json).value
    }

    fn n(text: &str) -> AttributeValue {
        AttributeValue::N(text.to_owned())
    }

    #[test]
    fn each_kind_of_json_has_its_type() {
        let text = |it: &str| AttributeValue::S(it.to_owned());
        let rows = [
            ("\"a\\u00e4\\n\"", text("aä\n"), 4),
            ("\"\"", text(""), 0),
            ("true", AttributeValue::Bool(true), 1),
            ("false", AttributeValue::Bool(false), 1),
            ("null", AttributeValue::Null(true), 1),
            ("[]", AttributeValue::L(vec![]), 3),
            ("{}", AttributeValue::M(HashMap::new()), 3),
            ("[1,\"b\"]", AttributeValue::L(vec![n("1"), text("b")]), 3 + 3 + 2),
            (
                "{\"a\":{\"b\":[null]}}",
                AttributeValue::M(HashMap::from([(
                    "a".to_owned(),
                    AttributeValue::M(HashMap::from([(
                        "b".to_owned(),
                        AttributeValue::L(vec![AttributeValue::Null(true)]),
                    )])),
                )])),
                15,
            ),
        ];
        for (json, value, bytes) in rows {
            assert_eq!(of(json), Ok(Sized { value, bytes }), "{json}");
        }
    }

    #[test]
    fn of_a_name_that_repeats_the_last_value_counts_once() {
        assert_eq!(of("{\"a\":\"long\",\"a\":\"b\"}"), of("{\"a\":\"b\"}"));
    }

    #[test]
    fn numbers_keep_their_digits_and_equal_ones_are_written_the_same() {
        let longest = "12345678901234567890123456789012345678";
        let rows = [
            ("0", "0"),
            ("-0.0e7", "0"),
            ("7", "7"),
            ("-7.50", "-75E-1"),
            ("100", "1E2"),
            ("1e2", "1E2"),
            ("9007199254740993", "9007199254740993"),
            (longest, longest),
            ("1e125", "1E125"),
            ("9.9e125", "99E124"),
            ("1e-130", "1E-130"),
            ("-1.5e-130", "-15E-131"),
        ];
        for (json, expected) in rows {
            assert_eq!(value(json), n(expected), "{json}");
        }
        assert_eq!(value(&format!("{longest}000")), n(&format!("{longest}E3")));
    }

    #[test]
    fn what_dynamodb_does_not_store_is_refused_with_the_reason() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let rows = [
            (
                "123456789012345678901234567890123456789".to_owned(),
                Unsupported::Digits,
            ),
            ("1e126".to_owned(), Unsupported::Magnitude),
            ("-1e126".to_owned(), Unsupported::Magnitude),
            ("1e-131".to_owned(), Unsupported::Magnitude),
            ("1e99999999999999999999".to_owned(), Unsupported::Magnitude),
            ("1e-99999999999999999999".to_owned(), Unsupported::Magnitude),
            ("{\"\":1}".to_owned(), Unsupported::EmptyName),
            ("[{\"\":1}]".to_owned(), Unsupported::EmptyName),
            ("\"\\ud800\"".to_owned(), Unsupported::Text),
            ("{\"\\ud800\":1}".to_owned(), Unsupported::Text),
            (nested(32), Unsupported::Depth),
        ];
        for (json, reason) in rows {
            assert_eq!(of(&json), Err(reason), "{json}");
        }
        assert!(of(&nested(31)).is_ok());
    }

    proptest! {
        /// The text of a number in the table is the number of the record, digit by digit.
        #[test]
        fn a_number_of_up_to_38_digits_keeps_its_value(
            digits in "[1-9][0-9]{0,37}", fraction in 0..38_usize, exponent in -60..60_i32, negative: bool,
        ) {
            let (whole, rest) = digits.split_at(digits.len() - fraction.min(digits.len() - 1));
            let fraction = if rest.is_empty() { String::new() } else { format!(".{rest}") };
            let json = format!("{}{whole}{fraction}e{exponent}", if negative { "-" } else { "" });
            let AttributeValue::N(written) = value(&json) else { panic!("a number") };
            prop_assert_eq!(Decimal::parse(&written), Decimal::parse(&json));
        }

        #[test]
        fn no_text_is_changed(text: String) {
            let json = serde_json::to_string(&text).expect("JSON");
            prop_assert_eq!(of(&json), Ok(Sized { bytes: text.len(), value: AttributeValue::S(text) }));
        }
    }
}
