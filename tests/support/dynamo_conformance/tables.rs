//! Tables that are missing, or have other keys.

use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use kafka_consumer_lambda::claim::{Cursor, CursorWrite, pin};
use kafka_consumer_lambda::error::{Error, ErrorType};
use kafka_consumer_lambda::store::Store;
use kafka_consumer_lambda::store::dynamodb::{DynamoStore, TableCreated};

use super::super::store_histories::{Bench, consumer, next};
use super::super::table::Table;
use super::DynamoBench;

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

pub(crate) async fn creating_a_table_that_exists_with_other_keys_is_an_error(endpoint: &str) {
    let bench = DynamoBench::without_table(endpoint);
    create_with(&bench.table, OTHER_KEYS[2]).await;
    let error = bench.store.create_table().await.unwrap_err();
    assert_eq!(error.kind, ErrorType::InvalidConfiguration);
    let message = "its keys are consumer_id (S), partition (S), not consumer_id (S), partition (N)";
    assert!(error.message().contains(message), "{error}");
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
