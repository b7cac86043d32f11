//! Tests on a real Apache Kafka and a real DynamoDB Local.

#[path = "../support/mod.rs"]
mod support;

mod store;
mod support_works;
