//! What `make package` builds, unpacked and started as Lambda starts it: with the environment and the events
//! that the template gives it, on a real Kafka and a real DynamoDB.
//!
//! `make check-deploy` builds and unpacks the packages for these tests, and names the folder in `PACKAGES`.

#![allow(clippy::disallowed_methods, reason = "these tests run in real time")]

mod events;
mod figures;
mod handler;
mod kafka;
mod layer;
mod packages;
mod requests;
mod starts;

#[path = "../support"]
#[allow(dead_code, unused_imports, reason = "each test binary uses a part of this")]
mod support {
    pub(crate) mod certificates;
    pub(crate) mod entry_api;
    pub(crate) mod function_api;
    pub(crate) mod kafka;
    pub(crate) mod listeners;
    pub(crate) mod proxy;
    pub(crate) mod runtime_api;
    pub(crate) mod scripted_dynamodb;
    pub(crate) mod secrets;
    pub(crate) mod services;
    pub(crate) mod sqs;
    pub(crate) mod table;
    pub(crate) mod world;

    mod containers;
    mod http;
    mod jvm;
    mod prepared;
    pub(crate) mod process;
    mod producer;
}
