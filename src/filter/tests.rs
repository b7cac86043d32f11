//! What AWS's own matcher decides, and what a record adds to it.

use proptest::prelude::*;

use super::*;
use crate::record::{Header, Timestamp, TopicPartition};

/// `cases.tsv`: what Event Ruler 2.0.1 (`addRule`, `rulesForJSONEvent`) decides
/// about each pattern on `event.json`: `true`, `false`, or `error` where it
/// refuses the pattern.
const CASES: &str = include_str!("cases.tsv");
const EVENT: &str = include_str!("event.json");

fn parse(pattern: &str) -> Result<Pattern, PatternError> {
    let raw: &RawValue = serde_json::from_str(pattern).unwrap();
    Pattern::parse(raw)
}

fn matches_json(pattern: &Pattern, event: &str) -> bool {
    let mut fields = Fields::new(&pattern.conditions);
    fields.add_members(event).unwrap();
    pattern.matches_fields(&fields)
}

/// Event Ruler takes the last of two members of one name; here they are
/// refused, because a pattern that is half ignored drops records.
fn has_a_name_twice(pattern: &str) -> bool {
    pattern == r#"{"value":{"n":[300],"n":[1]}}"#
}

#[test]
fn each_case_is_decided_as_by_awss_matcher() {
    for case in CASES.lines() {
        let (expected, pattern) = case.split_once('\t').unwrap();
        let decided = match parse(pattern) {
            Ok(pattern) => matches_json(&pattern, EVENT).to_string(),
            Err(_) => "error".to_owned(),
        };
        let expected = if has_a_name_twice(pattern) { "error" } else { expected };
        assert_eq!(decided, expected, "{pattern}");
    }
    assert_eq!(CASES.lines().count(), 81);
}

fn record() -> Record {
    Record {
        timestamp: Some(Timestamp::create_time(1_700_000_000_000)),
        key: Some("eu-7".into()),
        value: Some(r#"{"device_ID":"AB1234","n":300}"#.into()),
        headers: vec![
            Header::new("tenant", Some("shop".into())),
            Header::new("tenant", Some("depot".into())),
            Header::new("a.b", None),
            Header::new("binary", Some(vec![0xFF, 0xFE].into())),
        ],
        ..Record::new(TopicPartition::new("orders", 3), 17)
    }
}

fn with_value(value: Option<&[u8]>) -> Record {
    Record {
        value: value.map(|value| value.to_vec().into()),
        ..record()
    }
}

fn matches(pattern: &str, record: &Record) -> bool {
    Filter::parse(&format!("[{pattern}]")).unwrap().matches(record)
}

#[test]
fn a_pattern_may_name_each_field_of_a_record() {
    let rows = [
        (r#"{"topic":["orders"]}"#, true),
        (r#"{"topic":[{"prefix":"users"}]}"#, false),
        (r#"{"partition":[3]}"#, true),
        (r#"{"offset":[{"numeric":[">=",18]}]}"#, false),
        (r#"{"timestamp":[{"numeric":["<",1700000000001]}]}"#, true),
        (r#"{"key":[{"prefix":"eu-"}]}"#, true),
        (r#"{"key":["us-7"]}"#, false),
        (r#"{"headers":{"tenant":["depot"]}}"#, true),
        (r#"{"headers":{"tenant":["other"]}}"#, false),
        (r#"{"headers":{"a.b":[null]}}"#, true),
        (r#"{"headers":{"none":[{"exists":false}]}}"#, true),
        (r#"{"headers":{"none":["x"]}}"#, false),
        (
            r#"{"headers":{"tenant":["shop"]},"value":{"n":[300]},"partition":[3]}"#,
            true,
        ),
        (r#"{"headers":{"tenant":["shop"]},"value":{"n":[301]}}"#, false),
        (r#"{"$or":[{"key":["x"]},{"value":{"n":[300]}}]}"#, true),
    ];
    for (pattern, expected) in rows {
        assert_eq!(matches(pattern, &record()), expected, "{pattern}");
    }
}

#[test]
fn two_headers_of_a_record_meet_two_conditions() {
    assert!(matches(
        r#"{"headers":{"tenant":["depot"],"a.b":[{"exists":true}]}}"#,
        &record()
    ));
}

/// The rows of [`Fields::add_payload`]'s table.
#[test]
fn a_value_of_another_format_than_the_pattern_is_not_compared() {
    let fields = r#"{"value":{"device_ID":[{"prefix":"XY"}]}}"#;
    let list = r#"{"value":["XY"]}"#;
    let rows: [(Option<&[u8]>, bool, bool); 10] = [
        // value, matches the pattern of fields, matches the pattern of a list
        (Some(br#"{"device_ID":"AB"}"#), false, true),
        (Some(br#" [{"device_ID":"AB"}]"#), false, true),
        (Some(br#" [{"device_ID":"XYZ"}]"#), true, true),
        (Some(b"AB1234"), true, false),
        (Some(b"XY"), true, true),
        (Some(b"300"), true, false),
        (Some(b""), true, false),
        (Some(br#"{"device_ID":"AB"#), true, false),
        (Some(b"\xFF\xFE"), true, true),
        (None, true, false),
    ];
    for (value, matches_fields, matches_list) in rows {
        let record = with_value(value);
        assert_eq!(matches(fields, &record), matches_fields, "fields on {value:?}");
        assert_eq!(matches(list, &record), matches_list, "list on {value:?}");
    }
}

#[test]
fn a_pattern_can_keep_or_drop_tombstones() {
    let (tombstone, text) = (with_value(None), with_value(Some(b"x")));
    for keep in [r#"{"value":[null]}"#, r#"{"value":[{"exists":false}]}"#] {
        assert!(matches(keep, &tombstone), "{keep}");
        assert!(!matches(keep, &text), "{keep}");
    }
    let drop = r#"{"value":[{"exists":true}]}"#;
    assert!(!matches(drop, &tombstone));
    assert!(matches(drop, &text));
    assert!(matches(r#"{"value":[{"anything-but":["error"]}]}"#, &tombstone));
}

#[test]
fn a_header_that_is_not_text_passes_each_comparison() {
    assert!(matches(r#"{"headers":{"binary":["x"]}}"#, &record()));
    assert!(!matches(r#"{"headers":{"binary":[{"exists":false}]}}"#, &record()));
}

#[test]
fn a_record_without_a_timestamp_has_no_such_field() {
    let record = Record {
        timestamp: None,
        ..record()
    };
    assert!(matches(r#"{"timestamp":[{"exists":false}]}"#, &record));
    assert!(!matches(r#"{"timestamp":[{"numeric":[">",-5]}]}"#, &record));
}

#[test]
fn the_numbers_of_the_matching_patterns_are_named() {
    let filter = Filter::parse(r#"[{"key":["x"]},{"partition":[3]},{"topic":["orders"]}]"#).unwrap();
    assert_eq!(filter.matching(&record()), [2, 3]);
}

fn assert_refused(filter: &str, message: &str) {
    assert_eq!(Filter::parse(filter).unwrap_err().to_string(), message, "{filter}");
}

#[test]
fn a_filter_of_a_wrong_shape_is_refused_with_its_place() {
    let rows = [
        (
            "",
            "is not a JSON array of patterns: EOF while parsing a value at line 1 column 0",
        ),
        (
            r#"{"value":["x"]}"#,
            "is not a JSON array of patterns: invalid type: map, expected a sequence at line 1 column 0",
        ),
        (
            "[]",
            "is an empty array: no record would reach the handler. Remove it to pass on all",
        ),
        ("[5]", "pattern 1, at the pattern itself: a pattern is a JSON object"),
        (
            "[{}]",
            "pattern 1, at the pattern itself: an empty object matches nothing: name a field",
        ),
        (
            r#"[{"topic":["t"]},{"valu":{"a":[1]}}]"#,
            "pattern 2, at valu.a: a record has no field \"valu\", so no record would match: it has value, key, headers, topic, partition, offset, timestamp",
        ),
        (
            r#"[{"headers":["x"]}]"#,
            "pattern 1, at headers: name a header: {\"headers\":{\"<name>\":[...]}}",
        ),
        (
            r#"[{"topic":{"a":["x"]}}]"#,
            "pattern 1, at topic.a: topic has no fields: write {\"topic\":[...]}",
        ),
        (
            r#"[{"value":{"a":"x"}}]"#,
            "pattern 1, at value.a: a field takes a list of values and operators, or an object of fields",
        ),
        (
            r#"[{"value":{"a":[]}}]"#,
            "pattern 1, at value.a: an empty list matches nothing: name a value",
        ),
        (
            r#"[{"value":{"a":[["x"]]}}]"#,
            "pattern 1, at value.a[0]: a list holds values and operators, not lists",
        ),
        (
            r#"[{"value":{"a":[1],"a":[2]}}]"#,
            "pattern 1, at value.a: duplicate name: merge the two lists",
        ),
        (
            r#"[{"value":{"a":[1]},"$or":[{"value":{"a":[2]}},{"key":["k"]}]}]"#,
            "pattern 1, at value.a: this path has two lists that both apply: give it one list",
        ),
        (
            r#"[{"$or":[{"topic":["t"]}]}]"#,
            "pattern 1, at $or: $or takes a list of two or more objects",
        ),
        (
            r#"[{"$or":[{"prefix":["x"]},{"topic":["t"]}]}]"#,
            "pattern 1, at prefix: prefix is an operator: write \"<field>\": [{\"prefix\": ...}]",
        ),
        (
            r#"[{"value":{"a":{"numeric":[">",1]}}}]"#,
            "pattern 1, at value.a.numeric: numeric is an operator: write [{\"numeric\": [...]}]",
        ),
    ];
    for (filter, message) in rows {
        assert_refused(filter, message);
    }
}

#[test]
fn a_wrong_operator_is_refused_with_its_place() {
    let rows = [
        (
            r#"[{"value":{"a":[{"prefx":"x"}]}}]"#,
            "pattern 1, at value.a[0].prefx: there is no operator \"prefx\": write one of anything-but, cidr, equals-ignore-case, exactly, exists, numeric, prefix, suffix, wildcard",
        ),
        (
            r#"[{"value":{"a":[{"prefix":5}]}}]"#,
            "pattern 1, at value.a[0].prefix: prefix takes a text, or {\"equals-ignore-case\": text}",
        ),
        (
            r#"[{"value":{"a":[{"exists":"yes"}]}}]"#,
            "pattern 1, at value.a[0].exists: exists takes true or false",
        ),
        (
            r#"[{"value":{"a":[{"prefix":"a","suffix":"b"}]}}]"#,
            "pattern 1, at value.a[0]: one operator an object: write a list of objects for several",
        ),
        (
            r#"[{"value":{"a":[{"numeric":[">",10,"<",5]}]}}]"#,
            "pattern 1, at value.a[0].numeric: the lower limit is not below the upper one",
        ),
        (
            r#"[{"value":{"a":[{"anything-but":["x",5]}]}}]"#,
            "pattern 1, at value.a[0].anything-but: anything-but takes texts only or numbers only",
        ),
        (
            r#"[{"value":{"a":[{"wildcard":"a**b"}]}}]"#,
            "pattern 1, at value.a[0].wildcard: two asterisks in a row: write one",
        ),
        (
            r#"[{"value":{"a":[{"cidr":"10.0.0.0/32"}]}}]"#,
            "pattern 1, at value.a[0].cidr: more than 31 bits: write a single address as text",
        ),
        (
            r#"[{"value":{"a":["\ud800"]}}]"#,
            "is not a JSON array of patterns: unexpected end of hex escape at line 1 column 24",
        ),
    ];
    for (filter, message) in rows {
        assert_refused(filter, message);
    }
}

#[test]
fn a_pattern_nested_without_end_is_refused() {
    let pattern = format!("[{}{}", r#"{"value":"#.repeat(100_000), "}".repeat(100_000));
    assert!(matches!(Filter::parse(&pattern), Err(FilterError::Syntax(_))));
    let value = "[".repeat(1_000_000);
    assert!(matches(r#"{"value":{"a":["x"]}}"#, &with_value(Some(value.as_bytes()))));
}

#[test]
fn combinations_of_alternatives_are_bounded() {
    let or = |level: usize| format!(r#""$or":[{{"a{level}":[1]}},{{"b{level}":[1]}}]"#);
    let nested = (0..20).fold(r#"{"z":[1]}"#.to_owned(), |inner, level| {
        format!(r#"{{{},"n":{inner}}}"#, or(level))
    });
    let error = parse(&nested).unwrap_err();
    assert_eq!(error.problem, "$or makes more than 1024 combinations");
}

/// Two arrays of 20,000 elements with three conditions each: combining all
/// elements would take hours.
#[test]
fn large_arrays_are_matched_in_a_time_that_grows_with_their_size() {
    let elements = |name: &str| {
        let element = |n: usize| format!(r#"{{"x":1,"y":{},"z":1}}"#, n % 2);
        let all: Vec<String> = (0..20_000).map(element).collect();
        format!(r#""{name}":[{}]"#, all.join(","))
    };
    let value = format!("{{{},{}}}", elements("a"), elements("b"));
    let record = with_value(Some(value.as_bytes()));
    let both = r#"{"value":{"a":{"x":[1],"y":[1],"z":[1]},"b":{"x":[1],"y":[YY],"z":[1]}}}"#;
    assert!(matches(&both.replace("YY", "0"), &record));
    assert!(!matches(&both.replace("YY", "2"), &record));
}

#[test]
fn exists_false_within_an_array_considers_the_elements_that_are_left() {
    let event = r#"{"objs":[{"k":"Anna","l":"Smith","a":1},{"k":"Peter"}]}"#;
    let decide = |pattern: &str| matches_json(&parse(pattern).unwrap(), event);
    assert!(decide(r#"{"objs":{"k":["Peter"],"l":[{"exists":false}]}}"#));
    assert!(!decide(r#"{"objs":{"k":["Anna"],"l":[{"exists":false}]}}"#));
    // `a` comes before `k`, when both elements are still possible.
    assert!(!decide(r#"{"objs":{"a":[{"exists":false}],"k":["Peter"]}}"#));
}

proptest! {
    /// A filter of the operator must hold up against every value of a producer.
    #[test]
    fn no_value_makes_a_filter_panic(value in proptest::collection::vec(any::<u8>(), 0..64), json in "[\\[\\]{}\":,a0-9e.\\\\u-]{0,40}") {
        let filter = Filter::parse(r#"[{"value":{"a":["x",{"numeric":[">",1]}]}},{"key":["x"],"value":["a"]}]"#).unwrap();
        let _ = filter.matches(&with_value(Some(&value)));
        let _ = filter.matches(&with_value(Some(json.as_bytes())));
    }
}
