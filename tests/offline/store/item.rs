//! Items of any attributes, as a server returns them: a cursor, or an error. The model is the table in
//! the rustdoc of the reader, independent of its code.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use kafka_consumer_lambda::claim::{Bounds, ChunkLimit, CommandId, Cursor, Failures, RunId, Unreported};
use kafka_consumer_lambda::record::NextOffset;
use kafka_consumer_lambda::store::dynamodb::{CallLimits, DynamoStore};
use kafka_consumer_lambda::store::{Consumer, Store, StoredCursor};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::scripted_dynamodb::{Act, Scripted};

/// Items of one response.
const ITEMS_AT_ONCE: usize = 8;

pub(crate) type Item = BTreeMap<String, Value>;

fn consumer() -> Consumer {
    Consumer {
        group_id: "a".into(),
        topic: "b_c".into(),
        backfill: None,
    }
}

fn store(endpoint: &str) -> DynamoStore {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("test", "test", None, None, "test"));
    DynamoStore::new(
        Client::from_conf(CallLimits::default().apply(config).build()),
        "cursors",
    )
}

fn any_number() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (-3..50_i64).prop_map(|number| number.to_string()),
        2 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<u32>().prop_map(|number| number.to_string()),
        // What DynamoDB's numbers also are: 38 digits, fractions, exponents.
        1 => "-?[1-9][0-9]{0,37}",
        1 => "-?[0-9]{1,5}\\.[0-9]{1,5}",
        1 => "[1-9]E[+-][0-9]{1,2}",
    ]
}

fn any_attribute() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("a".to_owned()),
        Just("b_c".to_owned()),
        any::<String>(),
        "[a-z]{70,200}"
    ];
    prop_oneof![
        8 => any_number().prop_map(|number| json!({ "N": number })),
        4 => text.prop_map(|text| json!({ "S": text })),
        2 => any::<bool>().prop_map(|flag| json!({ "BOOL": flag })),
        1 => Just(json!({"NULL": true})),
        1 => Just(json!({"L": [{"N": "1"}]})),
        1 => Just(json!({"M": {"offset": {"N": "1"}}})),
        1 => Just(json!({"B": "AAEC"})),
        1 => Just(json!({"NS": ["1"]})),
        1 => Just(json!({"SS": ["x"]})),
    ]
}

/// An item with some of our attributes, of any kind, and some of others.
pub(crate) fn any_item() -> impl Strategy<Value = Item> {
    let name = prop_oneof![
        9 => proptest::sample::select(vec![
            "offset", "topic", "group_id", "run", "claim_until", "claim_to", "handed_over", "unreported", "fail_offset", "attempts", "crashes",
            "next_try_at", "error", "updated_at", "claim_chunk", "command_id", "paused", "previous_offset", "backfill", "backfill_from", "backfill_to",
        ])
        .prop_map(str::to_owned),
        1 => "[a-z_]{1,12}",
    ];
    let offset = prop_oneof![9 => any_number().prop_map(|number| json!({ "N": number })), 1 => any_attribute()];
    let attributes = proptest::collection::btree_map(name, any_attribute(), 0..4);
    (attributes, proptest::option::weighted(0.95, offset)).prop_map(|(mut item, offset)| {
        item.extend(offset.map(|offset| ("offset".to_owned(), offset)));
        item.insert("consumer_id".to_owned(), json!({"S": "a_b_c"}));
        item
    })
}

/// An item, and which of its attributes are bad.
struct Model<'a> {
    item: &'a Item,
    bad: Vec<&'static str>,
}

impl Model<'_> {
    /// An attribute if it is there and good.
    fn optional<T>(&mut self, name: &'static str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let value = self.item.get(name)?;
        let good = read(value);
        if good.is_none() {
            self.bad.push(name);
        }
        good
    }

    fn number<T>(&mut self, name: &'static str, check: impl Fn(i64) -> Option<T>) -> Option<T> {
        self.optional(name, |value| value.get("N")?.as_str()?.parse().ok().and_then(&check))
    }

    fn text(&mut self, name: &'static str) -> Option<String> {
        self.optional(name, |value| Some(value.get("S")?.as_str()?.to_owned()))
    }

    fn failures(&mut self) -> Option<Failures> {
        let count = |count: i64| u32::try_from(count).ok();
        let offset = self.number("fail_offset", NextOffset::new);
        let failures = Failures {
            offset: offset.unwrap_or_default(),
            attempts: self.number("attempts", count).unwrap_or(0),
            crashes: self.number("crashes", count).unwrap_or(0),
            next_try_at_ms: self.number("next_try_at", not_negative),
            error: self.text("error"),
        };
        offset.map(|_| failures)
    }

    /// All three attributes or none of them.
    fn bounds(&mut self) -> Option<Arc<Bounds>> {
        let requested = self.text("backfill");
        let from = self.number("backfill_from", NextOffset::new);
        let to = self.number("backfill_to", NextOffset::new);
        let names = ["backfill", "backfill_from", "backfill_to"];
        let (there, missing): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| self.item.contains_key(*name));
        if !there.is_empty() {
            self.bad.extend(missing);
        }
        let (requested, from, to) = (requested?, from?, to?);
        Some(Arc::new(Bounds { from, to, requested }))
    }
}

fn not_negative(number: i64) -> Option<i64> {
    (number >= 0).then_some(number)
}

/// The cursor of an item, or all its invalid attributes.
fn expected(item: &Item) -> Result<Cursor, Vec<&'static str>> {
    let mut model = Model { item, bad: vec![] };
    for (name, ours) in [("topic", "b_c"), ("group_id", "a")] {
        model.optional(name, |value| (*value == json!({ "S": ours })).then_some(()));
    }
    if !item.contains_key("offset") {
        model.bad.push("offset");
    }
    let last_processed = |last: i64| last.checked_add(1).and_then(NextOffset::new);
    let cursor = Cursor {
        next: model.number("offset", last_processed).unwrap_or_default(),
        run: model.text("run").map(RunId::new),
        claim_until_ms: model.number("claim_until", not_negative),
        claim_to: model.number("claim_to", NextOffset::new),
        claim_chunk: model.number("claim_chunk", |records| u64::try_from(records).ok().map(ChunkLimit::of)),
        handed_over: model.number("handed_over", NextOffset::new),
        failure: model.failures(),
        paused: model
            .optional("paused", |value| value.get("BOOL")?.as_bool())
            .unwrap_or(false),
        // Only a hint: every value is accepted.
        updated_at_ms: Model { item, bad: vec![] }.number("updated_at", Some),
        previous: model.number("previous_offset", last_processed),
        command: model.text("command_id").map(CommandId::new),
        backfill: model.bounds(),
        unreported: model
            .optional("unreported", |value| Unreported::from_text(value.get("S")?.as_str()?))
            .map(Arc::new),
    };
    if model.bad.is_empty() {
        Ok(cursor)
    } else {
        Err(model.bad)
    }
}

fn check(stored: &StoredCursor, item: &Item) -> Result<(), TestCaseError> {
    match (&stored.cursor, expected(item)) {
        (Ok(cursor), Ok(expected)) => prop_assert_eq!(cursor, &expected),
        (Err(invalid), Err(bad)) => {
            let place = format!(
                "table \"cursors\", consumer_id \"a_b_c\", partition {}: ",
                stored.partition
            );
            let message = invalid.to_string();
            let rest = message.strip_prefix(&place);
            let is_named = |name: &&str| rest.is_some_and(|rest| rest.starts_with(&format!("{name} is ")));
            prop_assert!(bad.iter().any(is_named), "{} of {:?}", invalid, bad);
            prop_assert!(message.lines().count() == 1 && message.len() < 600, "{}", message);
        }
        (read, expected) => prop_assert!(false, "{:?}, but expected {:?}", read, expected),
    }
    Ok(())
}

/// P6: an item that is not a valid cursor stops its partition, and no other.
#[test]
fn any_item_is_a_cursor_or_an_error_that_names_its_attribute() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let server = runtime.block_on(Scripted::start("127.0.0.1:9"));
    let store = store(&server.endpoint);
    let items = proptest::collection::vec(any_item(), 1..ITEMS_AT_ONCE);
    let result = TestRunner::new(ProptestConfig::with_cases(500)).run(&items, |items| {
        let numbered = (0..).zip(&items).map(|(partition, item)| {
            let mut item = item.clone();
            item.insert("partition".to_owned(), json!({ "N": i32::to_string(&partition) }));
            item
        });
        let numbered: Vec<Item> = numbered.collect();
        let body = json!({"Count": items.len(), "ScannedCount": items.len(), "Items": numbered});
        server.next([Act::Respond(200, body.to_string())]);
        let loaded = runtime.block_on(store.load(&consumer()));
        let loaded = loaded.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(loaded.len(), items.len());
        for ((stored, item), partition) in loaded.iter().zip(&items).zip(0..) {
            prop_assert_eq!(stored.partition, partition);
            check(stored, item)?;
        }
        Ok(())
    });
    result.unwrap();
}
