use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn origin(topic: &str, partition: i32, offset: i64, timestamp_ms: Option<i64>) -> Origin {
    Origin {
        topic: topic.into(),
        partition,
        offset,
        timestamp_ms,
    }
}

/// An item as it is written from this record.
fn item(origin: &Origin) -> Item {
    let attributes = origin.attributes().into_iter();
    attributes.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn with(mut item: Item, name: &str, value: Option<AttributeValue>) -> Item {
    item.remove(name);
    item.extend(value.map(|value| (name.to_owned(), value)));
    item
}

/// A write of offset 5 of t-0 at the time 100 against items of all kinds, and what it is.
fn rows() -> Vec<(Origin, Item, Comparison)> {
    use Comparison::{Applies, LowerOffsetLaterTime, Older, Repeated, Unreadable};
    let new = origin("t", 0, 5, Some(100));
    let timeless = origin("t", 0, 5, None);
    let text = || Some(AttributeValue::S("x".to_owned()));
    let other = |timestamp_ms| item(&origin("t", 1, 900, timestamp_ms));
    let mut rows = vec![
        (new.clone(), Item::new(), Applies),
        (new.clone(), with(item(&new), name::OFFSET, None), Applies),
        (new.clone(), with(item(&new), name::OFFSET, text()), Unreadable),
        (new.clone(), with(item(&new), name::TOPIC, None), Applies),
        (new.clone(), with(item(&new), name::PARTITION, text()), Applies),
        (new.clone(), with(other(None), name::TIMESTAMP, text()), Unreadable),
        (timeless.clone(), with(other(None), name::TIMESTAMP, text()), Applies),
        (timeless.clone(), other(Some(101)), Applies),
        (new.clone(), item(&origin("u", 0, 900, Some(99))), Applies),
        (new.clone(), item(&origin("u", 0, 1, Some(101))), Older),
    ];
    for (offset, timestamp_ms, expected) in [
        (4, Some(100), Applies),
        (4, Some(200), Applies),
        (4, None, Applies),
        (5, Some(100), Repeated),
        (5, Some(1), Repeated),
        (6, Some(100), Older),
        (6, Some(200), Older),
        (6, None, Older),
        (6, Some(99), LowerOffsetLaterTime),
    ] {
        rows.push((new.clone(), item(&origin("t", 0, offset, timestamp_ms)), expected));
    }
    for (timestamp_ms, expected) in [
        (Some(99), Applies),
        (Some(100), Applies),
        (None, Applies),
        (Some(101), Older),
    ] {
        rows.push((new.clone(), other(timestamp_ms), expected));
    }
    rows
}

#[test]
fn each_row_of_the_table_holds() {
    for (new, item, expected) in rows() {
        assert_eq!(new.compare(&item), expected, "{new:?} {item:?}");
    }
}

/// The same rows as a `DynamoDB` evaluates the condition.
#[cfg(feature = "embedded")]
#[tokio::test]
async fn the_condition_applies_where_the_table_says_so_and_nowhere_else() {
    use crate::embedded::EmbeddedDynamoDb;
    use aws_sdk_dynamodb::types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType::S,
    };

    let server = EmbeddedDynamoDb::start().await.expect("it starts");
    let client = server.client();
    let key = KeySchemaElement::builder()
        .attribute_name("id")
        .key_type(KeyType::Hash)
        .build();
    let attribute = AttributeDefinition::builder()
        .attribute_name("id")
        .attribute_type(S)
        .build();
    let create = client
        .create_table()
        .table_name("view")
        .billing_mode(BillingMode::PayPerRequest);
    let create = create
        .key_schema(key.expect("a key"))
        .attribute_definitions(attribute.expect("an attribute"));
    create.send().await.expect("a table");
    for (row, (new, old, expected)) in rows().into_iter().enumerate() {
        let id = ("id".to_owned(), AttributeValue::S(row.to_string()));
        let put = |item: Item| {
            let item: Item = item.into_iter().chain([id.clone()]).collect();
            client.put_item().table_name("view").set_item(Some(item))
        };
        if !old.is_empty() {
            put(old.clone()).send().await.expect("it is written");
        }
        let Condition {
            expression,
            names,
            values,
        } = new.condition();
        let write = put(item(&new)).condition_expression(expression);
        let write = write.set_expression_attribute_names(Some(names));
        let applied = write.set_expression_attribute_values(Some(values)).send().await.is_ok();
        assert_eq!(applied, expected == Comparison::Applies, "{new:?} {old:?}");
    }
}

/// The item after these writes, one after the other.
fn after<'a>(writes: impl IntoIterator<Item = &'a Origin>) -> Item {
    writes
        .into_iter()
        .fold(Item::new(), |current, write| match write.compare(&current) {
            Comparison::Applies => item(write),
            _ => current,
        })
}

proptest! {
    /// However often the records of a key are written, and in which order, the newest remains.
    #[test]
    fn any_order_and_repetition_of_the_records_of_a_key_ends_with_the_newest(
        times in prop::collection::vec(prop::option::of(0..50_i64), 1..8),
        writes in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        complete in any::<prop::sample::Index>(),
    ) {
        let records: Vec<Origin> =
            (7..).step_by(3).zip(times).map(|(offset, time)| origin("t", 0, offset, time)).collect();
        let newest = records.last().expect("a record");
        let mut writes: Vec<&Origin> = writes.iter().map(|index| index.get(&records)).collect();
        writes.insert(complete.index(writes.len() + 1), newest);
        prop_assert_eq!(after(writes), item(newest));
    }

    /// The same where the key moved to other partitions, and time passed meanwhile.
    #[test]
    fn between_partitions_the_record_of_the_latest_time_remains(
        order in Just((0..6_usize).collect::<Vec<_>>()).prop_shuffle(),
        repeated in prop::collection::vec(0..6_usize, 0..12),
    ) {
        // The offsets of the new partition are below those of the old one.
        let records: Vec<Origin> = (0..6).map(|n| {
            let moved = n >= 3;
            origin("t", i32::from(moved), if moved { n } else { 1000 + n }, Some(100 + n))
        }).collect();
        let writes = order.iter().chain(&repeated).map(|&index| &records[index]);
        prop_assert_eq!(after(writes), item(&records[5]));
    }
}

#[test]
fn the_condition_names_no_timestamp_where_the_record_has_none() {
    let condition = origin("t", 0, 5, None).condition();
    assert!(!condition.expression.contains("timestamp"), "{condition:?}");
    let names: HashMap<_, _> = condition.names;
    assert_eq!(names.len(), 3, "DynamoDB refuses a name that is not used");
    assert_eq!(condition.values.len(), 3);
}
