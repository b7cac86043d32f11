//! Your own Kafka event source for AWS Lambda: a schedule starts it, it reads
//! what is new, hands it to your handler, and stores its position in a
//! `DynamoDB` table that people can read and edit.
//!
//! A whole function, in a crate that depends on this one:
//!
//! ```no_run
//! use kafka_consumer_lambda::{Failure, Record, json, lambda, lambda_runtime};
//!
//! #[derive(serde::Deserialize)]
//! struct Order {
//!     quantity: u32,
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), lambda_runtime::Error> {
//!     lambda::run(|_config| json(handle)).await
//! }
//!
//! async fn handle(order: Option<Order>, record: Record) -> Result<(), Failure> {
//!     match order {
//!         Some(order) => tracing::info!(id = record.id(), order.quantity, "order received"),
//!         None => tracing::info!(id = record.id(), "order deleted"), // a tombstone
//!     }
//!     Ok(())
//! }
//! ```
//!
//! `make package HANDLER=path/to/crate` packages it; `examples/handler` is such a crate.
//!
//! # For the author of a handler
//!
//! | item | what it is |
//! |---|---|
//! | [`lambda`] | the entry point of a function |
//! | [`each()`], [`json()`] | a processor from an async function, called for each record |
//! | [`by_key()`] | a processor that handles different keys of a partition at once |
//! | [`routes()`] | a processor that passes records to several of them, by topic and header |
//! | [`Failure`] | why a record is not settled: try again, never, or stop |
//! | [`Record`], [`record`] | record, partition, offset, chunk |
//! | [`processor`] | the [`Processor`](processor::Processor) trait, for work on whole chunks |
//! | [`config`] | settings -> validated [`Config`](config::Config) |
//! | `cli` | the command line, with your handler (feature `cli`) |
//!
//! # Inside
//!
//! The way of the data, and the module of each stage:
//!
//! ```text
//! event -> request -> plan -> claim -> fetch -> decode -> process -> settle -> flush -> report
//! event    event      plan    claim    source   decode    processor  ledger    store    report
//! ```
//!
//! `docs/ARCHITECTURE.md` has all modules, the walk of one offset from the event to the table, and the glossary.

#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod destination;
pub mod lambda;
pub mod processor;
pub mod record;

// Public for tests and benches, which are crates of their own, and hidden because their items may change
// in any version.
#[doc(hidden)]
pub mod backfill;
#[doc(hidden)]
pub mod claim;
#[doc(hidden)]
pub mod clock;
#[doc(hidden)]
pub mod dead_letter;
#[doc(hidden)]
pub mod decode;
#[cfg(feature = "embedded")]
#[doc(hidden)]
pub mod embedded;
#[doc(hidden)]
pub mod error;
#[doc(hidden)]
pub mod event;
#[doc(hidden)]
pub mod filter;
#[doc(hidden)]
pub mod invoke;
#[doc(hidden)]
pub mod kafka;
#[doc(hidden)]
pub mod kafka_event;
#[doc(hidden)]
pub mod ledger;
#[doc(hidden)]
pub mod live;
#[doc(hidden)]
pub mod plan;
#[doc(hidden)]
pub mod push;
#[doc(hidden)]
pub mod report;
#[doc(hidden)]
pub mod security;
#[doc(hidden)]
pub mod source;
#[doc(hidden)]
pub mod store;

mod aws;
mod text;
mod words;

// Its `Error` is what `lambda::run` returns.
pub use lambda_runtime;
pub use processor::Failure;
pub use processor::by_key::by_key;
pub use processor::closure::{each, json};
pub use processor::routes::routes;
pub use record::Record;
