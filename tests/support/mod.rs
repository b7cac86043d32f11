//! The support of the tests on real services: the services themselves, and helpers for topics
//! and tables.
//!
//! Names of topics, tables and groups come from [`kafka::unique`], so that tests run side by side
//! on the same services.

#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "each test binary uses a part of this"
)]

pub(crate) mod certificates;
pub(crate) mod dead_letters;
pub(crate) mod dynamo_conformance;
pub(crate) mod endpoints;
pub(crate) mod entry_api;
pub(crate) mod function_api;
pub(crate) mod handlers;
pub(crate) mod http_endpoint;
pub(crate) mod kafka;
pub(crate) mod listeners;
pub(crate) mod midway;
pub(crate) mod proxy;
pub(crate) mod runtime_api;
pub(crate) mod scripted_dynamodb;
pub(crate) mod secrets;
pub(crate) mod services;
pub(crate) mod sqs;
pub(crate) mod states;
pub(crate) mod store_conformance;
pub(crate) mod store_histories;
pub(crate) mod table;
pub(crate) mod world;

mod containers;
mod http;
mod jvm;
mod prepared;
pub(crate) mod process;
mod producer;
