//! Tests that need no server: plain `cargo test`.

#![allow(clippy::disallowed_methods, reason = "these tests run in real time")]

mod backfill;
mod bootstrap;
mod by_key;
mod claim;
#[cfg(feature = "cli")]
mod command_line;
mod config;
mod dead_letter;
mod decode;
#[cfg(all(feature = "cli", feature = "embedded"))]
mod demo;
mod docs;
mod event;
#[cfg(feature = "embedded")]
mod invoke;
mod ledger;
#[cfg(all(feature = "cli", feature = "embedded"))]
mod offsets;
mod plan;
mod push;
mod routes;
mod semantics;
#[cfg(feature = "embedded")]
mod source;
mod store;

// Only what needs no server.
#[path = "../support"]
#[allow(dead_code, reason = "each test binary uses a part of this")]
mod support {
    pub(crate) mod dead_letters;
    pub(crate) mod dynamo_conformance;
    mod http;
    pub(crate) mod runtime_api;
    pub(crate) mod scripted_dynamodb;
    #[cfg(feature = "embedded")]
    pub(crate) mod simulated_kafka;
    pub(crate) mod states;
    pub(crate) mod store_conformance;
    pub(crate) mod store_histories;
    pub(crate) mod table;
}
