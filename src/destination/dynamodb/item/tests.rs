use super::*;
use crate::record::{Timestamp, TopicPartition};

const NOW_S: i64 = 1_800_000_000;

fn schema() -> KeySchema {
    crate::destination::dynamodb::key::tests::schema(&[("id", "S")])
}

fn record(key: Option<&'static str>, value: Option<&str>) -> Record {
    Record {
        timestamp: Some(Timestamp::create_time(1_762_000_000_123)),
        key: key.map(Into::into),
        value: value.map(|value| value.to_owned().into()),
        ..Record::new(TopicPartition::new("customers", 3), 17)
    }
}

fn encode(record: &Record) -> Write {
    Items.encode(record).expect("a write")
}

fn why(value: &str) -> String {
    match Items.encode(&record(None, Some(value))) {
        Err(Unfit::Invalid(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn n(text: &str) -> AttributeValue {
    AttributeValue::N(text.to_owned())
}

fn item(attributes: &[(&str, AttributeValue)]) -> Item {
    attributes
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

fn guard() -> Item {
    item(&[
        ("kafka_topic", s("customers")),
        ("kafka_partition", n("3")),
        ("kafka_offset", n("17")),
        ("kafka_timestamp", n("1762000000123")),
    ])
}

#[test]
fn the_fields_of_a_value_are_the_attributes_of_its_item_beside_the_guard() {
    let record = record(
        Some("ignored"),
        Some(r#"{"id":"c1","name":"","n":9007199254740993,"a":[1.50]}"#),
    );
    let put = encode(&record).put(&schema(), NOW_S).expect("an item");
    let fields = item(&[
        ("id", s("c1")),
        ("name", s("")),
        ("n", n("9007199254740993")),
        ("a", AttributeValue::L(vec![n("15E-1")])),
    ]);
    assert_eq!(put.item, fields.into_iter().chain(guard()).collect());
}

#[test]
fn a_record_without_a_timestamp_has_none_in_its_guard() {
    let record = Record {
        timestamp: None,
        ..record(Some("c1"), Some("{}"))
    };
    let put = encode(&record).put(&schema(), NOW_S).expect("an item");
    assert!(!put.item.contains_key("kafka_timestamp"), "{put:?}");
    assert_eq!(put.item.get("id"), Some(&s("c1")), "from the record's key");
}

#[test]
fn a_tombstone_leaves_a_marker_that_may_be_removed_after_30_days() {
    let put = encode(&record(Some("c1"), None))
        .put(&schema(), NOW_S)
        .expect("an item");
    let marker = item(&[
        ("id", s("c1")),
        ("kafka_deleted", AttributeValue::Bool(true)),
        ("kafka_expires_at", n("1802592000")),
    ]);
    assert_eq!(put.item, marker.into_iter().chain(guard()).collect());
}

#[test]
fn a_tombstone_without_a_key_never_passes() {
    let why = encode(&record(None, None)).put(&schema(), NOW_S).expect_err("no key");
    assert_eq!(
        why,
        "the key attribute `id` (S) of the table is not a field of the record's value, and the record has no key"
    );
}

#[test]
fn a_value_that_is_no_object_never_passes_and_is_not_quoted() {
    let rows = [
        ("[1]", "the value is an array,"),
        ("\"planted\"", "the value is a string,"),
        ("null", "the value is null,"),
        ("true", "the value is a boolean,"),
        ("4711", "the value is a number,"),
        ("", "not valid JSON"),
        ("{\"a\":planted}", "not valid JSON"),
        (
            "{\"a\":1e126}",
            "the field `a` of the value is or contains a number outside",
        ),
        (
            "{\"a\":[{\"b\":123456789012345678901234567890123456789}]}",
            "the field `a` of the value is or contains a number with",
        ),
        ("{\"\":1}", "a field with an empty name"),
        ("{\"\\ud800\":1}", "the name of a field"),
        (
            "{\"a\":\"\\ud800\"}",
            "the field `a` of the value contains an unpaired surrogate",
        ),
    ];
    for (value, expected) in rows {
        let why = why(value);
        assert!(why.contains(expected), "{value}: {why}");
        for planted in ["planted", "4711", "123456789"] {
            assert!(!why.contains(planted), "{value}: {why}");
        }
    }
}

#[test]
fn a_field_with_the_name_of_the_guard_never_passes() {
    for name in name::ALL {
        let why = why(&format!("{{\"{name}\":1}}"));
        assert!(why.contains(name) && why.contains("rename the field"), "{why}");
    }
}

#[test]
fn the_size_of_a_write_is_never_above_that_of_its_item() {
    let record = Record {
        timestamp: None,
        ..record(None, Some(&format!("{{\"id\":\"{}\"}}", "x".repeat(1_000))))
    };
    let write = encode(&record);
    assert_eq!(write.bytes, 1_002 + GUARD_BYTES + "customers".len());
    let item = write.put(&schema(), NOW_S).expect("an item").item;
    let names: usize = item.keys().filter(|name| *name != "id").map(String::len).sum();
    assert_eq!(names + 2 * 2, GUARD_BYTES, "two numbers of one digit");
    let limits = Limits {
        entries: 1,
        call_bytes: 1,
        entry_bytes: 1,
    };
    assert!(Items.too_large(limits).contains("409600 bytes (400 KB)"));
}
