//! A DynamoDB table as destination: the real program, a real Kafka and a real DynamoDB Local.

mod items;
mod newest;
mod refusals;

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use serde_json::{Map, Value, json};

use crate::support::kafka::{Message, unique};
use crate::support::scripted_dynamodb::Scripted;
use crate::support::table::{Item, Table};
use crate::support::world::{Ran, World};

/// A topic whose records go to a table of their own.
pub(crate) struct View {
    pub(crate) world: World,
    pub(crate) table: Table,
}

pub(crate) fn arn(table: &str) -> String {
    format!("arn:aws:dynamodb:us-east-1:123456789012:table/{table}")
}

impl View {
    /// Of a table with the key attribute `id`, a string.
    pub(crate) async fn new(partitions: i32) -> Self {
        Self::keyed(partitions, &[("id", ScalarAttributeType::S)]).await
    }

    /// Of a table with these key attributes, the partition key first.
    pub(crate) async fn keyed(partitions: i32, keys: &[(&str, ScalarAttributeType)]) -> Self {
        let mut world = World::new("view", partitions).await;
        let table = Table::named(&world.endpoint, &unique("view"));
        let create = table.client.create_table().table_name(&table.name);
        let mut create = create.billing_mode(BillingMode::PayPerRequest);
        for ((name, kind), role) in keys.iter().zip([KeyType::Hash, KeyType::Range]) {
            let key = KeySchemaElement::builder().attribute_name(*name).key_type(role).build();
            let attribute = AttributeDefinition::builder()
                .attribute_name(*name)
                .attribute_type(kind.clone())
                .build();
            create = create
                .key_schema(key.expect("name and role are set"))
                .attribute_definitions(attribute.expect("name and type are set"));
        }
        create.send().await.expect("the table can be made");
        world.set("DESTINATION", arn(&table.name)).set("TIME_LIMIT", 30);
        Self { world, table }
    }

    /// With these records in partition 0.
    async fn with(records: &[Message]) -> Self {
        let view = Self::new(1).await;
        view.world.produce_these(0, records);
        view
    }

    /// From now on the requests go through a server that responds as a test decides.
    async fn scripted(&mut self) -> Scripted {
        let proxy = Scripted::start(self.world.endpoint.trim_start_matches("http://")).await;
        self.world.set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
        proxy
    }

    /// Skips a record after its first failed attempt.
    fn skip_at_once(&mut self) -> &mut Self {
        self.world.set("ON_FAILURE", "skip").set("MAX_ATTEMPTS", "1");
        self
    }

    fn ran(&self, arguments: &[&str]) -> Ran {
        tokio::task::block_in_place(|| self.world.ran(arguments))
    }

    fn run(&self) -> Ran {
        self.ran(&["run", "--output", "json"])
    }

    /// All items, whole.
    pub(crate) async fn raw(&self) -> Vec<Item> {
        let request = self
            .table
            .client
            .scan()
            .table_name(&self.table.name)
            .consistent_read(true);
        let items = request.into_paginator().items().send().try_collect().await;
        items.expect("the table can be read")
    }

    /// Each item as JSON without topic and timestamp, by the text of its key `id`. A number is
    /// `{"N": "1.5"}`.
    async fn items(&self) -> BTreeMap<String, Value> {
        let items = self.raw().await.into_iter();
        let shown = items.map(|mut item| {
            let topic = item.remove("kafka_topic");
            assert_eq!(topic, Some(AttributeValue::S(self.world.topic.clone())), "{item:?}");
            let timestamp = item.remove("kafka_timestamp");
            assert!(matches!(timestamp, Some(AttributeValue::N(_))), "{item:?}");
            let id = shown(&item["id"]);
            (id.as_str().map_or_else(|| id.to_string(), str::to_owned), object(&item))
        });
        shown.collect()
    }

    /// The attribute `v` of each item that is not deleted, by its key.
    async fn values(&self) -> BTreeMap<String, i64> {
        let items = self
            .raw()
            .await
            .into_iter()
            .filter(|item| !item.contains_key("kafka_deleted"));
        let value = |item: &Item| item["v"].as_n().expect("a number").parse().expect("a whole number");
        items
            .map(|item| (item["id"].as_s().expect("a text").clone(), value(&item)))
            .collect()
    }
}

/// `{"id": id, "v": value}`, and its key.
pub(crate) fn upsert(id: &str, value: i64) -> Message {
    Message::value(json!({"id": id, "v": value}).to_string()).key(id)
}

fn object(item: &Item) -> Value {
    item.iter()
        .map(|(name, value)| (name.clone(), shown(value)))
        .collect::<Map<_, _>>()
        .into()
}

fn shown(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!(text),
        AttributeValue::N(number) => json!({"N": number}),
        AttributeValue::Bool(it) => json!(it),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::L(list) => list.iter().map(shown).collect(),
        AttributeValue::M(map) => object(map),
        other => panic!("{other:?}"),
    }
}
