//! What a store in `DynamoDB` must do beyond any store, against the embedded
//! one and DynamoDB Local alike; run by [`dynamo_conformance_tests`].

#![allow(clippy::unwrap_used, reason = "a test fails by it")]
#![allow(
    unused_macros,
    unused_imports,
    reason = "without the feature `embedded` the offline tests do not run this"
)]

use std::sync::Arc;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use kafka_consumer_lambda::claim::{
    BatchLimit, Bounds, Claim, CommandId, CrashGuard, Cursor, CursorWrite, Ending, Failures, Flush, LastWrite,
    ObservedItem, RunId, Unreported, claim, flush, pin, release,
};
use kafka_consumer_lambda::error::{Error, ErrorType};
use kafka_consumer_lambda::record::NextOffset;
use kafka_consumer_lambda::store::dynamodb::{DynamoStore, TableCreated};
use kafka_consumer_lambda::store::{Consumer, Store, WriteResult};

use super::states::next;
use super::store_histories::{Bench, consumer, raw};
use super::table::{Item, Table, five_attributes};

/// A store and the table that it works on.
pub(crate) struct DynamoBench {
    store: DynamoStore,
    table: Table,
}

impl DynamoBench {
    /// A table of its own at `endpoint`.
    pub(crate) async fn create(endpoint: &str) -> Self {
        let bench = Self::without_table(endpoint);
        assert_eq!(bench.store.create_table().await, Ok(TableCreated::Created));
        bench
    }

    /// The name of a table that does not exist.
    fn without_table(endpoint: &str) -> Self {
        let table = Table::named(endpoint, &format!("cursors-{}", uuid::Uuid::new_v4()));
        Self {
            store: DynamoStore::new(table.client.clone(), &table.name),
            table,
        }
    }
}

impl Bench for DynamoBench {
    type Store = DynamoStore;

    fn store(&self) -> &DynamoStore {
        &self.store
    }

    async fn put(&self, consumer: &Consumer, partition: i32, next: NextOffset) {
        self.table
            .put_cursor(&consumer.group_id, &consumer.topic, partition, next.last_processed())
            .await;
    }

    async fn move_to(&self, consumer: &Consumer, partition: i32, next: NextOffset) {
        self.table
            .update_offset(&consumer.to_string(), partition, next.last_processed())
            .await;
    }

    async fn pause(&self, consumer: &Consumer, partition: i32) {
        let mut item = self
            .table
            .get_item(&consumer.to_string(), partition)
            .await
            .expect("there is an item");
        item.insert("paused".to_owned(), AttributeValue::Bool(true));
        self.table.put_item(item).await;
    }

    async fn delete(&self, consumer: &Consumer, partition: i32) {
        self.table.delete_item(&consumer.to_string(), partition).await;
    }
}

/// Makes a test of each behaviour, at the endpoint that `$endpoint` gives.
macro_rules! dynamo_conformance_tests {
    ($endpoint:expr) => {
        dynamo_conformance_tests! {
            $endpoint;
            the_attributes_are_those_that_people_know
            attributes_of_others_survive_every_write
            an_item_that_is_no_cursor_stops_only_its_own_partition
            an_item_of_a_group_with_the_same_key_is_refused
            a_sort_key_that_is_no_partition_fails_the_load
            a_number_is_read_however_it_was_written
            a_missing_table_is_not_found
            a_table_with_other_keys_is_not_found
            a_name_that_no_table_can_have_is_not_found
            a_table_is_created_once_and_then_left_as_it_is
            a_table_with_other_keys_is_never_taken_for_ours
        }
    };
    ($endpoint:expr; $($name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let endpoint: String = $endpoint.await;
                crate::support::dynamo_conformance::$name(&endpoint).await;
            }
        )*
    };
}
pub(crate) use dynamo_conformance_tests;

pub(crate) async fn the_attributes_are_those_that_people_know(endpoint: &str) {
    let (bench, consumer) = (DynamoBench::create(endpoint).await, consumer());
    let failure = Failures {
        offset: next(5),
        attempts: 2,
        crashes: 1,
        next_try_at_ms: Some(30),
        error: Some("no JSON".to_owned()),
    };
    let cursor = Cursor {
        next: next(5),
        run: Some(RunId::new("run-1")),
        claim_until_ms: Some(20),
        claim_to: Some(next(9)),
        claim_chunk: Some(BatchLimit::Small),
        handed_over: Some(next(5)),
        failure: Some(failure),
        paused: true,
        updated_at_ms: Some(10),
        previous: Some(next(3)),
        command: Some(CommandId::new("command-1")),
        backfill: Some(Arc::new(Bounds {
            from: next(1),
            to: next(7),
            requested: "all".to_owned(),
        })),
        unreported: Some(Arc::new(Unreported::default())),
    };
    assert_eq!(
        bench.store.write(&consumer, 3, &raw(&cursor)).await,
        Ok(WriteResult::Applied)
    );
    let mut expected = five_attributes(&consumer.group_id, &consumer.topic, 3, 4);
    expected.extend(
        [
            ("claim_until", 20),
            ("claim_to", 9),
            ("claim_chunk", 128),
            ("handed_over", 5),
            ("fail_offset", 5),
            ("attempts", 2),
            ("crashes", 1),
        ]
        .into_iter()
        .chain([("next_try_at", 30), ("updated_at", 10)])
        .chain([("previous_offset", 2), ("backfill_from", 1), ("backfill_to", 7)])
        .map(|(name, number)| (name.to_owned(), AttributeValue::N(number.to_string()))),
    );
    expected.insert("run".to_owned(), AttributeValue::S("run-1".to_owned()));
    expected.insert("error".to_owned(), AttributeValue::S("no JSON".to_owned()));
    expected.insert("backfill".to_owned(), AttributeValue::S("all".to_owned()));
    let note = r#"{"skipped":[],"skipped_records":0,"lost":[]}"#;
    expected.insert("unreported".to_owned(), AttributeValue::S(note.to_owned()));
    expected.insert("paused".to_owned(), AttributeValue::Bool(true));
    assert_eq!(bench.table.get_item(&consumer.to_string(), 3).await, Some(expected));
}

pub(crate) async fn attributes_of_others_survive_every_write(endpoint: &str) {
    let (bench, consumer) = (DynamoBench::create(endpoint).await, consumer());
    let mut item = five_attributes(&consumer.group_id, &consumer.topic, 0, 4);
    item.insert(
        "owner".to_owned(),
        AttributeValue::Ss(vec!["a".to_owned(), "b".to_owned()]),
    );
    bench.table.put_item(item).await;
    let run = RunId::new("me");
    let ours = Claim {
        run: run.clone(),
        until_ms: 200,
        to: next(9),
        now_ms: 100,
    };
    let interim = Flush {
        hands_over: false,
        unreported: None,
        unknown: None,
        run: run.clone(),
        last_write: LastWrite {
            next: next(5),
            updated_at_ms: 100,
        },
        next: next(6),
        guard: Some(CrashGuard {
            until: next(9),
            limit: BatchLimit::Single,
        }),
        ending: Ending::Interim,
        now_ms: 101,
    };
    let blocked = Flush {
        hands_over: false,
        unreported: None,
        unknown: None,
        last_write: LastWrite {
            next: next(6),
            updated_at_ms: 101,
        },
        next: next(8),
        ending: Ending::Final(Some(Failures {
            offset: next(8),
            ..Failures::default()
        })),
        now_ms: 102,
        ..interim.clone()
    };
    let writes = [
        claim(&ObservedItem::Present(Cursor::at(next(5))), &ours),
        flush(&interim),
        flush(&blocked),
        release(&run, None),
    ];
    for write in writes {
        assert_eq!(
            bench.store.write(&consumer, 0, &write).await,
            Ok(WriteResult::Applied),
            "{write:?}"
        );
        let item = bench.table.get_item(&consumer.to_string(), 0).await.unwrap();
        assert!(item["owner"].is_ss(), "{write:?} left {item:?}");
    }
}

pub(crate) async fn an_item_that_is_no_cursor_stops_only_its_own_partition(endpoint: &str) {
    let (bench, consumer) = (DynamoBench::create(endpoint).await, consumer());
    bench.put(&consumer, 0, next(5)).await;
    let bad = five_attributes(&consumer.group_id, &consumer.topic, 1, 4);
    bench
        .table
        .put_item(with(bad, "offset", AttributeValue::S("4".to_owned())))
        .await;

    let items = bench.store.load(&consumer).await.unwrap();
    assert_eq!(items[0].cursor, Ok(Cursor::at(next(5))));
    let why = items[1].cursor.clone().unwrap_err();
    assert!(why.what.contains("partition 1: offset is \"4\" (S)"), "{why}");

    let error = bench.store.load_one(&consumer, 1).await.unwrap_err();
    assert_eq!(error, Error::from(why.clone()));
    assert_eq!(error.kind, ErrorType::InvalidCursor);
    let refused = bench.store.write(&consumer, 1, &pin(next(0), 100)).await;
    assert_eq!(refused, Ok(WriteResult::Refused(Some(Err(why)))));
}

pub(crate) async fn an_item_of_a_group_with_the_same_key_is_refused(endpoint: &str) {
    let bench = DynamoBench::create(endpoint).await;
    let ours = Consumer {
        group_id: "a".into(),
        topic: "b_c".into(),
        backfill: None,
    };
    let theirs = Consumer {
        group_id: "a_b".into(),
        topic: "c".into(),
        backfill: None,
    };
    bench.put(&theirs, 0, next(5)).await;
    let items = bench.store.load(&ours).await.unwrap();
    let why = items[0].cursor.clone().unwrap_err();
    assert!(
        why.what.contains("topic is \"c\" (S), but \"b_c\" (S) belongs there"),
        "{why}"
    );
    assert_eq!(
        bench.store.load(&theirs).await.unwrap()[0].cursor,
        Ok(Cursor::at(next(5)))
    );
}

pub(crate) async fn a_sort_key_that_is_no_partition_fails_the_load(endpoint: &str) {
    let bench = DynamoBench::create(endpoint).await;
    for key in ["-1", "1.5", "1099511627776"] {
        let consumer = consumer();
        bench.put(&consumer, 0, next(5)).await;
        let item = five_attributes(&consumer.group_id, &consumer.topic, 0, 4);
        bench
            .table
            .put_item(with(item, "partition", AttributeValue::N(key.to_owned())))
            .await;
        let error = bench.store.load(&consumer).await.unwrap_err();
        assert_eq!(error.kind, ErrorType::InvalidCursor);
        assert!(error.message().contains(&format!("partition is {key} (N)")), "{error}");
    }
}

pub(crate) async fn a_number_is_read_however_it_was_written(endpoint: &str) {
    let bench = DynamoBench::create(endpoint).await;
    for (written, offset) in [("7.0", 7), ("1E2", 100), ("007", 7), ("+7", 7), ("-1.00", -1)] {
        let consumer = consumer();
        let item = five_attributes(&consumer.group_id, &consumer.topic, 0, 0);
        bench
            .table
            .put_item(with(item, "offset", AttributeValue::N(written.to_owned())))
            .await;
        let cursor = bench.store.load_one(&consumer, 0).await.unwrap().unwrap();
        assert_eq!(cursor.next.last_processed(), offset, "{written}");
        let ours = Claim {
            run: RunId::new("me"),
            until_ms: 200,
            to: next(1000),
            now_ms: 100,
        };
        let claimed = bench
            .store
            .write(&consumer, 0, &claim(&ObservedItem::Present(cursor), &ours))
            .await;
        assert_eq!(claimed, Ok(WriteResult::Applied), "{written}");
    }
}

pub(crate) async fn a_missing_table_is_not_found(endpoint: &str) {
    let bench = DynamoBench::without_table(endpoint);
    for error in failures_of_every_call(&bench.store).await {
        assert_eq!(error.kind, ErrorType::TableNotFound, "{error}");
        let place = format!(
            "there is no table \"{}\" (region us-east-1, endpoint {endpoint})",
            bench.table.name
        );
        assert!(error.message().starts_with(&place), "{error}");
        assert!(error.message().contains("kafka-consumer table create"), "{error}");
    }
}

pub(crate) async fn a_table_with_other_keys_is_not_found(endpoint: &str) {
    for keys in OTHER_KEYS {
        let bench = DynamoBench::without_table(endpoint);
        create_with(&bench.table, keys).await;
        let failures = failures_of_every_call(&bench.store).await;
        assert!(failures[2].message().contains("Its keys are "), "{}", failures[2]);
        for error in failures {
            assert_eq!(error.kind, ErrorType::TableNotFound, "{keys:?}: {error}");
            assert!(
                error.message().contains("are not consumer_id (S) and partition (N)"),
                "{keys:?}: {error}"
            );
        }
    }
}

pub(crate) async fn a_name_that_no_table_can_have_is_not_found(endpoint: &str) {
    let store = DynamoStore::new(Table::named(endpoint, "").client, "a table!");
    for error in failures_of_every_call(&store).await {
        assert_eq!(error.kind, ErrorType::TableNotFound, "{error}");
        assert!(
            error.message().contains("no table can be called \"a table!\""),
            "{error}"
        );
    }
}

pub(crate) async fn a_table_is_created_once_and_then_left_as_it_is(endpoint: &str) {
    let (bench, consumer) = (DynamoBench::create(endpoint).await, consumer());
    bench.put(&consumer, 0, next(5)).await;
    assert_eq!(bench.store.create_table().await, Ok(TableCreated::AlreadyThere));
    assert_eq!(bench.store.load_one(&consumer, 0).await, Ok(Some(Cursor::at(next(5)))));
}

pub(crate) async fn a_table_with_other_keys_is_never_taken_for_ours(endpoint: &str) {
    let bench = DynamoBench::without_table(endpoint);
    create_with(&bench.table, OTHER_KEYS[2]).await;
    let error = bench.store.create_table().await.unwrap_err();
    assert_eq!(error.kind, ErrorType::InvalidConfiguration);
    let words = "its keys are consumer_id (S), partition (S), not consumer_id (S), partition (N)";
    assert!(error.message().contains(words), "{error}");
}

const OTHER_KEYS: [&[(&str, ScalarAttributeType)]; 4] = [
    &[("id", ScalarAttributeType::S)],
    &[("consumer_id", ScalarAttributeType::S)],
    &[
        ("consumer_id", ScalarAttributeType::S),
        ("partition", ScalarAttributeType::S),
    ],
    &[
        ("consumer_id", ScalarAttributeType::N),
        ("partition", ScalarAttributeType::N),
    ],
];

/// The errors of a load, a load of one and a write.
async fn failures_of_every_call(store: &DynamoStore) -> [Error; 3] {
    let consumer = consumer();
    let write: CursorWrite = pin(next(0), 100);
    [
        store.load_one(&consumer, 0).await.expect_err("load_one"),
        store.write(&consumer, 0, &write).await.expect_err("write"),
        store.load(&consumer).await.expect_err("load"),
    ]
}

fn with(mut item: Item, name: &str, value: AttributeValue) -> Item {
    item.insert(name.to_owned(), value);
    item
}

async fn create_with(table: &Table, keys: &[(&str, ScalarAttributeType)]) {
    let mut request = table
        .client
        .create_table()
        .table_name(&table.name)
        .billing_mode(BillingMode::PayPerRequest);
    for ((name, kind), role) in keys.iter().zip([KeyType::Hash, KeyType::Range]) {
        let key = KeySchemaElement::builder().attribute_name(*name).key_type(role).build();
        let attribute = AttributeDefinition::builder()
            .attribute_name(*name)
            .attribute_type(kind.clone())
            .build();
        request = request
            .key_schema(key.unwrap())
            .attribute_definitions(attribute.unwrap());
    }
    request.send().await.expect("the table can be made");
}
