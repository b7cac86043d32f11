//! Tests on a real Apache Kafka and a real DynamoDB Local.

#![allow(clippy::disallowed_methods, reason = "these tests run in real time")]

#[path = "../support/mod.rs"]
mod support;

mod bootstrap;
mod commands;
mod doubt;
mod failure;
mod limits;
mod operator;
mod overlap;
mod rot;
mod run;
mod store;
mod support_works;
