//! Tests on a real Apache Kafka and a real DynamoDB Local, and on `ElasticMQ` for SQS.

#![allow(clippy::disallowed_methods, reason = "these tests run in real time")]

mod backfill;
mod bootstrap;
mod commands;
mod dead_letter;
mod doctor;
mod doubt;
mod failure;
mod headers;
mod inspect;
mod leaks;
mod limits;
mod offsets;
mod operator;
mod overlap;
mod redrive;
mod rot;
mod run;
mod secrets;
mod security;
mod stale;
mod store;
#[path = "../support/mod.rs"]
mod support;
mod support_works;
mod terminal;
mod tokens;
mod topics;
mod transactions;
