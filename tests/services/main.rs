//! Tests on a real Apache Kafka and a real DynamoDB Local.

#[path = "../support/mod.rs"]
mod support;

mod bootstrap;
mod commands;
mod failure;
mod run;
mod store;
mod support_works;
