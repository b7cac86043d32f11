//! Valid and invalid items.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use proptest::prelude::*;

use super::super::arbitrary::any_cursor;
use super::super::expression;
use super::{Item, ItemKey, partition, read};
use crate::claim::{Attribute, Cursor, CursorWrite, Set};
use crate::record::NextOffset;
use crate::store::{Consumer, InvalidCursor};

fn consumer() -> Consumer {
    Consumer {
        group_id: "a".into(),
        topic: "b_c".into(),
        backfill: None,
    }
}

fn n(number: &str) -> AttributeValue {
    AttributeValue::N(number.to_owned())
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn item(attributes: &[(&str, AttributeValue)]) -> Item {
    attributes
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

/// An item with the five public attributes, and one more or another.
fn with(name: &str, value: AttributeValue) -> Item {
    let mut item = five();
    item.insert(name.to_owned(), value);
    item
}

fn five() -> Item {
    item(&[
        ("consumer_id", s("a_b_c")),
        ("partition", n("3")),
        ("offset", n("41")),
        ("topic", s("b_c")),
        ("group_id", s("a")),
    ])
}

fn read_item(item: &Item) -> Result<Cursor, InvalidCursor> {
    read(
        &ItemKey {
            table: "cursors",
            consumer: &consumer(),
            partition: 3,
        },
        item,
    )
}

fn at(next: i64) -> Cursor {
    Cursor::at(NextOffset::new(next).unwrap())
}

#[test]
fn an_item_with_only_the_five_public_attributes_is_a_cursor() {
    assert_eq!(read_item(&five()), Ok(at(42)));
}

#[test]
fn an_item_without_topic_and_group_is_a_cursor() {
    assert_eq!(read_item(&item(&[("offset", n("-1"))])), Ok(at(0)));
}

#[test]
fn attributes_of_others_are_ignored() {
    assert_eq!(read_item(&with("comment", AttributeValue::L(vec![]))), Ok(at(42)));
}

#[test]
fn a_foreign_updated_at_is_ignored() {
    for foreign in [s("2026-11-20T10:00:00Z"), n("1.5"), AttributeValue::Null(true)] {
        assert_eq!(read_item(&with("updated_at", foreign)), Ok(at(42)));
    }
    assert_eq!(read_item(&with("updated_at", n("7"))).unwrap().updated_at_ms, Some(7));
}

#[test]
fn failures_that_name_no_offset_count_for_none() {
    assert_eq!(read_item(&with("attempts", n("2"))).unwrap().failure, None);
}

#[test]
fn every_offset_in_range_is_read_as_the_next() {
    for (stored, next) in [("-1", 0), ("0", 1), ("9223372036854775806", i64::MAX)] {
        assert_eq!(read_item(&with("offset", n(stored))).unwrap().next.get(), next);
    }
}

#[test]
fn a_bad_attribute_is_refused_by_name_with_what_was_found_and_what_belongs_there() {
    let whole = "belongs there";
    let rows = [
        (
            "offset",
            n("1.5"),
            "offset is 1.5 (N), but the last processed offset (N), -1 or more, belongs there",
        ),
        ("offset", n("-2"), "offset is -2 (N)"),
        ("offset", n("9223372036854775807"), whole),
        ("offset", n("9223372036854775808"), whole),
        ("offset", n("1E+30"), whole),
        ("offset", s("41"), "offset is \"41\" (S)"),
        ("offset", AttributeValue::Null(true), "offset is NULL"),
        ("topic", s("c"), "topic is \"c\" (S), but \"b_c\" (S) belongs there"),
        ("topic", n("1"), "topic is 1 (N)"),
        (
            "group_id",
            s("a_b"),
            "group_id is \"a_b\" (S), but \"a\" (S) belongs there",
        ),
        (
            "claim_until",
            s("soon"),
            "claim_until is \"soon\" (S), but a time in milliseconds since 1970 (N) belongs",
        ),
        ("claim_until", n("-1"), whole),
        ("claim_until", AttributeValue::Null(true), whole),
        (
            "claim_to",
            n("-1"),
            "claim_to is -1 (N), but an offset (N), 0 or more, belongs there",
        ),
        ("claim_to", AttributeValue::Bool(true), "claim_to is true (BOOL)"),
        ("fail_offset", n("0.5"), whole),
        (
            "fail_offset",
            AttributeValue::M(HashMap::new()),
            "fail_offset is a map (M)",
        ),
        (
            "attempts",
            n("-1"),
            "attempts is -1 (N), but a count (N), 0 or more, belongs there",
        ),
        ("attempts", n("4294967296"), whole),
        ("crashes", s("1"), whole),
        ("claim_chunk", n("-1"), whole),
        ("next_try_at", n("-5"), whole),
        ("next_try_at", AttributeValue::Ns(vec![]), "next_try_at is a set"),
        (
            "paused",
            s("true"),
            "paused is \"true\" (S), but true or false (BOOL) belongs there",
        ),
        ("paused", n("1"), whole),
        ("run", n("1"), "run is 1 (N), but a text (S) belongs there"),
        ("error", AttributeValue::L(vec![]), "error is a list (L)"),
    ];
    for (name, value, words) in rows {
        let message = read_item(&with(name, value.clone()))
            .expect_err(&format!("{name} {value:?}"))
            .to_string();
        let place = format!("table \"cursors\", consumer_id \"a_b_c\", partition 3: {name} is ");
        assert!(message.starts_with(&place) && message.contains(words), "{message}");
    }
}

#[test]
fn a_missing_offset_is_refused() {
    let message = read_item(&item(&[("consumer_id", s("a_b_c"))]))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("offset is missing, but the last processed offset (N)"),
        "{message}"
    );
    assert!(
        message.ends_with(
            "Correct it, or delete it with `kafka-consumer offsets delete`, which shows where a run starts then"
        ),
        "{message}"
    );
}

#[test]
fn a_long_text_is_cut_in_a_message() {
    let message = read_item(&with("claim_until", s(&"ä".repeat(1000))))
        .unwrap_err()
        .to_string();
    assert!(message.len() < 400, "{message}");
}

#[test]
fn a_sort_key_that_is_no_partition_is_refused() {
    assert_eq!(partition("cursors", &consumer(), &five()), Ok(3));
    for key in ["1.5", "-1", "1099511627776", "2147483648"] {
        let message = partition("cursors", &consumer(), &with("partition", n(key)))
            .unwrap_err()
            .to_string();
        let place = format!("table \"cursors\", consumer_id \"a_b_c\": partition is {key} (N), but");
        assert!(message.starts_with(&place), "{message}");
    }
}

proptest! {
    #[test]
    fn a_cursor_that_is_written_is_read_as_it_was(cursor in any_cursor()) {
        let written = expression::of(&write_all(&cursor), &consumer());
        let item: Item = written.values.into_iter().map(|(name, value)| (name[1..].to_owned(), value)).collect();
        prop_assert_eq!(read_item(&item), Ok(cursor));
    }
}

fn write_all(cursor: &Cursor) -> CursorWrite {
    let mut sets = vec![Set::Next(cursor.next), Set::Identity];
    sets.extend(cursor.run.clone().map(Set::Run));
    sets.extend(cursor.claim_until_ms.map(Set::ClaimUntil));
    sets.extend(cursor.claim_to.map(Set::ClaimTo));
    sets.extend(cursor.claim_chunk.map(Set::ClaimChunk));
    sets.extend(cursor.handed_over.map(Set::HandedOver));
    sets.extend(cursor.unreported.clone().map(Set::Unreported));
    sets.extend(cursor.failure.clone().map(Set::Failures));
    sets.extend(cursor.updated_at_ms.map(Set::UpdatedAt));
    sets.extend(cursor.paused.then_some(Set::Paused));
    sets.extend(cursor.previous.map(Set::Previous));
    sets.extend(cursor.command.clone().map(Set::Command));
    sets.extend(cursor.backfill.clone().map(Set::Backfill));
    let removes = vec![
        Attribute::ClaimUntil,
        Attribute::ClaimTo,
        Attribute::ClaimChunk,
        Attribute::Failures,
    ];
    CursorWrite {
        conditions: vec![],
        sets,
        removes,
    }
}
