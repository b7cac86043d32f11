use aws_sdk_dynamodb::types::{AttributeDefinition, KeySchemaElement};

use super::*;

fn described(keys: &[(&str, &str)]) -> TableDescription {
    let mut table = TableDescription::builder();
    // DynamoDB's order of the elements is not part of the contract.
    for (place, (name, kind)) in keys.iter().enumerate().rev() {
        let role = if place == 0 { KeyType::Hash } else { KeyType::Range };
        let element = KeySchemaElement::builder().attribute_name(*name).key_type(role).build();
        let kind = ScalarAttributeType::from(*kind);
        let definition = AttributeDefinition::builder()
            .attribute_name(*name)
            .attribute_type(kind)
            .build();
        table = table.key_schema(element.expect("an element"));
        table = table.attribute_definitions(definition.expect("a definition"));
    }
    table.build()
}

/// The schema of a table with these key attributes and types, the partition key first.
pub(in super::super) fn schema(keys: &[(&str, &str)]) -> KeySchema {
    KeySchema::of(&described(keys)).expect("a schema")
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn n(text: &str) -> AttributeValue {
    AttributeValue::N(text.to_owned())
}

fn fields(attributes: &[(&str, AttributeValue)]) -> Item {
    attributes
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

/// The values of the key of a tombstone with this key.
fn of_key(schema: &KeySchema, key: &str) -> Result<Vec<AttributeValue>, String> {
    let key = schema.key_of(None, Some(key.as_bytes()))?;
    Ok(key.into_iter().map(|(_, value)| value).collect())
}

#[test]
fn the_partition_key_comes_first_and_is_shown_with_its_type() {
    assert_eq!(schema(&[("id", "S"), ("at", "N")]).to_string(), "`id` (S), `at` (N)");
}

#[test]
fn a_table_whose_keys_no_record_can_have_is_refused() {
    for (keys, expected) in [
        (&[("id", "B")][..], "`id` is neither a string (S) nor a number (N)"),
        (
            &[("id", "S"), ("kafka_offset", "N")],
            "`kafka_offset` is an attribute that this destination writes",
        ),
        (&[], "no key attributes"),
    ] {
        let why = KeySchema::of(&described(keys)).expect_err("refused");
        assert!(why.contains(expected), "{why}");
    }
}

#[test]
fn the_key_is_taken_from_the_value_and_what_is_missing_there_from_the_record_s_key() {
    let both = schema(&[("id", "S"), ("at", "N")]);
    let value = fields(&[("id", s("a")), ("at", n("7")), ("x", s("y"))]);
    let found = both.key_of(Some(&value), Some(b"ignored")).expect("a key");
    assert_eq!(found, [("id".to_owned(), s("a")), ("at".to_owned(), n("7"))]);
    let part = fields(&[("id", s("a"))]);
    let found = both.key_of(Some(&part), Some(br#"{"id":"b","at":8}"#)).expect("a key");
    assert_eq!(found, [("id".to_owned(), s("a")), ("at".to_owned(), n("8"))]);
}

#[test]
fn the_record_s_key_is_a_json_object_or_for_a_single_attribute_the_text_itself() {
    let (text, number) = (schema(&[("id", "S")]), schema(&[("id", "N")]));
    let both = schema(&[("id", "S"), ("at", "N")]);
    for (schema, key, expected) in [
        (&text, "c1", s("c1")),
        (&text, "17", s("17")),
        (&text, "\"c1\"", s("\"c1\"")),
        (&text, "{no json", s("{no json")),
        (&text, r#" {"id":"c1","x":2}"#, s("c1")),
        (&text, r#"{"id":"c1","id":"c2"}"#, s("c2")),
        (&number, "17", n("17")),
        (&number, "1.70e1", n("17")),
        (&number, r#"{"id":17}"#, n("17")),
    ] {
        assert_eq!(of_key(schema, key), Ok(vec![expected]), "{key}");
    }
    assert_eq!(of_key(&both, r#"{"at":1,"id":"a"}"#), Ok(vec![s("a"), n("1")]));
}

#[test]
fn a_key_that_is_missing_or_of_another_type_never_passes_and_names_the_attribute_alone() {
    let (text, number) = (schema(&[("id", "S")]), schema(&[("id", "N")]));
    let both = schema(&[("id", "S"), ("at", "N")]);
    let long = "x".repeat(2_049);
    for (schema, key, expected) in [
        (
            &text,
            "",
            "`id` (S) of the table is an empty string in the record's key",
        ),
        (
            &text,
            &*long,
            "has 2049 bytes in the record's key, and DynamoDB takes 2048 at most",
        ),
        (&text, r#"{"planted":1}"#, "a JSON object without a field of this name"),
        (
            &text,
            r#"{"id":4711}"#,
            "`id` (S) of the table is not a string in the record's key",
        ),
        (&text, r#"{"id":null}"#, "is not a string in the record's key"),
        (&number, "planted", "the record's key is not a number"),
        (&number, "17 planted", "the record's key is not a number"),
        (&number, "\"4711\"", "the record's key is not a number"),
        (&number, "1e126", "the record's key is or contains a number outside"),
        (
            &number,
            r#"{"id":"planted"}"#,
            "`id` (N) of the table is not a number in the record's key",
        ),
        (
            &both,
            "planted",
            "not a JSON object with the table's two key attributes",
        ),
        (
            &both,
            r#"{"id":"planted"}"#,
            "`at` (N) of the table is not a field of the record's value, and",
        ),
    ] {
        let why = of_key(schema, key).expect_err(key);
        assert!(why.contains(expected), "{key}: {why}");
        assert!(!why.contains("planted") && !why.contains("4711"), "{key}: {why}");
    }
    let why = text.key_of(None, Some(b"\xff")).expect_err("bytes");
    assert!(why.contains("not UTF-8"), "{why}");
    let why = text
        .key_of(Some(&fields(&[("id", n("4711"))])), Some(b"c1"))
        .expect_err("a number");
    assert_eq!(
        why,
        "the key attribute `id` (S) of the table is not a string in the value"
    );
    let sort = fields(&[("id", s("a")), ("at", s(&"x".repeat(1_025)))]);
    let why = schema(&[("id", "S"), ("at", "S")])
        .key_of(Some(&sort), None)
        .expect_err("long");
    assert!(
        why.contains("`at` (S) of the table has 1025 bytes in the value, and DynamoDB takes 1024"),
        "{why}"
    );
}

#[test]
fn equal_keys_are_of_one_item_however_they_are_written() {
    let schema = schema(&[("id", "N")]);
    let key = |text: &str| ItemKey::new(&schema.key_of(None, Some(text.as_bytes())).expect(text));
    assert_eq!(key("100"), key("1.00e2"));
    assert_ne!(key("100"), key("101"));
}
