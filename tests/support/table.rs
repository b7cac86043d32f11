//! Tables in the services' DynamoDB, as another program or an operator would use them.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};

/// An item as the table holds it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// A client for an endpoint that does not verify credentials.
pub(crate) fn client(endpoint: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("test", "test", None, None, "the tests"))
        .build();
    Client::from_conf(config)
}

/// A table of offsets.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) client: Client,
    pub(crate) name: String,
}

impl Table {
    /// A handle on a table that may not exist.
    pub(crate) fn named(endpoint: &str, name: &str) -> Self {
        Self {
            client: client(endpoint),
            name: name.to_owned(),
        }
    }

    /// Creates an empty table with the right keys.
    pub(crate) async fn create(endpoint: &str, name: &str) -> Self {
        let table = Self::named(endpoint, name);
        table.create_again().await;
        table
    }

    /// Creates the table of this name, which must not exist.
    pub(crate) async fn create_again(&self) {
        let mut request = self
            .client
            .create_table()
            .table_name(&self.name)
            .billing_mode(BillingMode::PayPerRequest);
        let keys = [
            ("consumer_id", KeyType::Hash, ScalarAttributeType::S),
            ("partition", KeyType::Range, ScalarAttributeType::N),
        ];
        for (name, role, kind) in keys {
            let key = KeySchemaElement::builder().attribute_name(name).key_type(role).build();
            let attribute = AttributeDefinition::builder()
                .attribute_name(name)
                .attribute_type(kind)
                .build();
            request = request
                .key_schema(key.expect("name and role are set"))
                .attribute_definitions(attribute.expect("name and type are set"));
        }
        request.send().await.expect("the table can be made");
    }

    /// Writes an item, replacing what was there, as an operator's `PutItem` does.
    pub(crate) async fn put_item(&self, item: Item) {
        let request = self.client.put_item().table_name(&self.name).set_item(Some(item));
        request.send().await.expect("the item can be written");
    }

    /// Writes an item of just the five attributes. `offset` is the last processed one.
    pub(crate) async fn put_cursor(&self, group: &str, topic: &str, partition: i32, offset: i64) {
        self.put_item(five_attributes(group, topic, partition, offset)).await;
    }

    /// Reads an item.
    pub(crate) async fn get_item(&self, consumer_id: &str, partition: i32) -> Option<Item> {
        let request = self.client.get_item().table_name(&self.name).consistent_read(true);
        let request = request.set_key(Some(key(consumer_id, partition)));
        request.send().await.expect("the item can be read").item
    }

    /// The stored `offset` of a partition, that is the last processed one.
    pub(crate) async fn offset(&self, consumer_id: &str, partition: i32) -> Option<i64> {
        self.get_item(consumer_id, partition)
            .await
            .map(|item| number(&item, "offset"))
    }

    /// All items, by key.
    pub(crate) async fn items(&self) -> Vec<Item> {
        let request = self.client.scan().table_name(&self.name).consistent_read(true);
        let pages = request.into_paginator().items().send();
        let mut items: Vec<Item> = pages
            .try_collect()
            .await
            .expect("the table can be read")
            .into_iter()
            .collect();
        items.sort_by_key(|item| (text(item, "consumer_id"), number(item, "partition")));
        items
    }

    /// Removes an item.
    pub(crate) async fn delete_item(&self, consumer_id: &str, partition: i32) {
        let request = self.client.delete_item().table_name(&self.name);
        let request = request.set_key(Some(key(consumer_id, partition)));
        request.send().await.expect("the item can be removed");
    }

    /// Changes only `offset`, as an operator's `UpdateItem` does.
    pub(crate) async fn update_offset(&self, consumer_id: &str, partition: i32, offset: i64) {
        let offset = AttributeValue::N(offset.to_string());
        self.set_attribute(consumer_id, partition, "offset", offset).await;
    }

    /// Changes one attribute and leaves the others as they are.
    pub(crate) async fn set_attribute(&self, consumer_id: &str, partition: i32, name: &str, value: AttributeValue) {
        self.update(consumer_id, partition, "SET #name = :value", name, Some(value))
            .await;
    }

    /// Removes one attribute.
    pub(crate) async fn remove_attribute(&self, consumer_id: &str, partition: i32, name: &str) {
        self.update(consumer_id, partition, "REMOVE #name", name, None).await;
    }

    async fn update(&self, consumer_id: &str, partition: i32, change: &str, name: &str, value: Option<AttributeValue>) {
        let values = value.map(|value| HashMap::from([(":value".to_owned(), value)]));
        self.client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key(consumer_id, partition)))
            .update_expression(change)
            .expression_attribute_names("#name", name)
            .set_expression_attribute_values(values)
            .send()
            .await
            .expect("the item can be changed");
    }

    /// Removes the table.
    pub(crate) async fn delete(&self) {
        let request = self.client.delete_table().table_name(&self.name);
        request.send().await.expect("the table can be removed");
    }
}

/// The item of a program that writes only the five attributes.
pub(crate) fn five_attributes(group: &str, topic: &str, partition: i32, offset: i64) -> Item {
    let mut item = key(&format!("{group}_{topic}"), partition);
    item.insert("offset".to_owned(), AttributeValue::N(offset.to_string()));
    item.insert("topic".to_owned(), AttributeValue::S(topic.to_owned()));
    item.insert("group_id".to_owned(), AttributeValue::S(group.to_owned()));
    item
}

/// A text attribute that must be there.
pub(crate) fn text(item: &Item, name: &str) -> String {
    match item.get(name) {
        Some(AttributeValue::S(value)) => value.clone(),
        other => panic!("`{name}` is {other:?} instead of a text in {item:?}"),
    }
}

/// A whole-number attribute that must be there.
pub(crate) fn number(item: &Item, name: &str) -> i64 {
    match item.get(name) {
        Some(AttributeValue::N(value)) => value.parse().expect("offsets are whole numbers"),
        other => panic!("`{name}` is {other:?} instead of a number in {item:?}"),
    }
}

fn key(consumer_id: &str, partition: i32) -> Item {
    HashMap::from([
        ("consumer_id".to_owned(), AttributeValue::S(consumer_id.to_owned())),
        ("partition".to_owned(), AttributeValue::N(partition.to_string())),
    ])
}
