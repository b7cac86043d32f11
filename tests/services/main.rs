//! Tests on a real Apache Kafka and a real DynamoDB Local, and on `ElasticMQ` for SQS.

#![allow(clippy::disallowed_methods, reason = "these tests run in real time")]

mod ambiguous_writes;
mod backfill;
mod bootstrap;
mod commands;
mod concurrent_runs;
mod corrupt_logs;
mod dead_letter;
mod destinations;
mod doctor;
mod event;
mod failure;
mod filters;
mod functions;
mod harness;
mod headers;
mod inspect;
mod limits;
mod offsets;
mod operator;
mod redrive;
mod run;
mod secret_redaction;
mod secrets;
mod security;
mod stale_connections;
mod store;
#[path = "../support/mod.rs"]
mod support;
mod terminal;
mod tokens;
mod topics;
mod transactions;
