//! The one Kafka client: it connects, authenticates, requests metadata and
//! offsets, and explains what failed. [`source`](crate::source) fetches records
//! with it; [`dead_letter`](crate::dead_letter) and others send with
//! `producer`.
//!
//! | file | |
//! |---|---|
//! | `client/` | [`KafkaClient`]: created when it is needed, kept between runs, recovered once when it fails |
//! | `context/` | librdkafka's callbacks: errors, logs, statistics, tokens |
//! | `metadata` | the partitions of topics, their leaders, and the brokers |
//! | `list_offsets` | earliest and end offsets, and offsets by time |
//! | `group_offsets` | the committed offsets of a consumer group, without joining it |
//! | `fetch` | how much librdkafka fetches ahead; pure |
//! | `headers` | headers whose names are any bytes |
//! | `producer/` | a producer whose sends have an acknowledgement each |
//! | `tls/` | one handshake, and why a certificate cannot be verified |
//! | `errors/` | why a connection or a request failed, and what to do next |
//! | `linked` | which librdkafka is loaded |

mod client;
pub mod context;
pub(crate) mod errors;
pub mod fetch;
pub mod group_offsets;
pub mod headers;
pub(crate) mod linked;
mod list_offsets;
pub mod metadata;
pub(crate) mod producer;
pub(crate) mod tls;

use std::time::{Duration, Instant};

pub use client::KafkaClient;

/// The time until `until`. Never zero: for librdkafka a timeout of 0 is "do not
/// wait at all".
pub(crate) fn time_left(until: Instant) -> Duration {
    until.saturating_duration_since(now()).max(Duration::from_millis(1))
}

#[expect(clippy::disallowed_methods, reason = "brokers respond in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
