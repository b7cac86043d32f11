//! Your own Kafka event source for AWS Lambda: a schedule starts it, it reads
//! what is new, hands it to your handler, and remembers where it was in a
//! `DynamoDB` table that people can read and move.
//!
//! The way the data goes, and the module that does it:
//!
//! ```text
//! invocation event -> request -> plan -> claim -> poll -> decode -> process -> settle -> commit -> report
//!       event         event     plan    claim   source   decode   processor   ledger    store    report
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`event`] | invocation JSON -> [`Request`](event::Request) |
//! | [`config`] | settings -> validated [`Config`](config::Config) |
//! | [`record`] | the domain's words: record, partition, offset, chunk |
//! | [`plan`] | pure: stored cursors + log bounds + policy -> what to read, what was lost |
//! | [`claim`] | pure: who may work on a partition, and what a refused write means |
//! | [`ledger`] | pure: polled, settled, failed -> the next step |
//! | [`decode`] | pure: bytes -> value |
//! | [`backfill`] | pure: a part of the log, read again under a cursor of its own |
//! | [`dead_letter`] | a failed record -> its dead letter, and the topic or queue that it is sent to |
//! | [`report`] | pure: what a run says of itself, as JSON and as metrics |
//! | [`error`] | the types of failure, and their words |
//! | [`clock`] | the time, as a seam |
//! | [`security`] | how the brokers are told who this is: properties, secrets, tokens |
//! | [`kafka`] | the Kafka client: connections, metadata, offsets, producer, errors |
//! | [`source`] | records from Kafka |
//! | [`store`] | cursors and claims in `DynamoDB`, or in memory |
//! | [`processor`] | what happens to records: your handler |
//! | [`invoke`] | the only place where the stages are joined |
//! | [`live`] | the real parts: settings from the environment, Kafka, `DynamoDB` |
//! | [`lambda`] | the way in from Lambda |
//! | `embedded` | an in-process Kafka and `DynamoDB`, for the demo and tests (feature `embedded`) |

mod aws;
pub mod backfill;
pub mod claim;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod config;
pub mod dead_letter;
pub mod decode;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod error;
pub mod event;
pub mod invoke;
pub mod kafka;
pub mod lambda;
pub mod ledger;
pub mod live;
pub mod plan;
pub mod processor;
pub mod record;
pub mod report;
pub mod security;
pub mod source;
pub mod store;
mod text;

pub use processor::Failure;
pub use processor::closure::{each, json};
pub use record::Record;
