//! AWS's Kafka event: what its event source mapping sends to a function, and
//! what the function returns.
//!
//! - [`write`](self::write): the event for records, byte for byte as AWS writes it.
//! - [`read`](self::read): the records of an event, as each known sender writes it.
//! - [`response`]: a function's response, and `batchItemFailures` of our own.
//!
//! The sources are AWS's guides
//! [for MSK](https://docs.aws.amazon.com/lambda/latest/dg/with-msk.html) and
//! [for self-managed Kafka](https://docs.aws.amazon.com/lambda/latest/dg/with-kafka.html).

mod parts;
pub mod read;
pub mod response;
pub mod write;

pub(crate) use parts::{OneHeader, base64};

/// The longest payload of a synchronous `Invoke`, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 6_291_456;

/// `eventSource` of a cluster that is not MSK.
const SELF_MANAGED: &str = "SelfManagedKafka";

/// `eventSource` of an MSK cluster.
const MSK: &str = "aws:kafka";

/// Which kind of cluster an event names as its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventSource {
    /// A cluster of one's own, or of another provider: `SelfManagedKafka`.
    SelfManaged,
    /// An MSK cluster: `aws:kafka`.
    Msk {
        /// The ARN of the cluster.
        arn: String,
    },
}
