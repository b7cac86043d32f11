//! A Kafka cluster and a `DynamoDB` inside this process, for `kafka-consumer
//! demo` and for tests without servers. Both listen on free ports of 127.0.0.1,
//! keep everything in memory, and stop when they are dropped.
//!
//! | file | |
//! |---|---|
//! | `kafka.rs` | librdkafka's mock cluster, and a producer for it |
//! | `dynamodb.rs` | a `DynamoDB` on an in-memory database, and clients for it |
//!
//! No environment variable is read, so settings for real services have no
//! effect here, and no real service is ever called.

mod dynamodb;
mod kafka;

pub use dynamodb::EmbeddedDynamoDb;
pub use kafka::EmbeddedKafka;

use aws_sdk_dynamodb::Client;

use crate::error::Error;
use crate::store::dynamodb::DynamoStore;

/// Both services. They stop when it is dropped.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use kafka_consumer_lambda::embedded::Embedded;
///
/// let embedded = Embedded::start(1).await?;
/// embedded.kafka().create_topic("orders", 4).await?;
/// let offsets = embedded.kafka().produce("orders", 2, [r#"{"id":1}"#, r#"{"id":2}"#]).await?;
/// assert_eq!(offsets, [0, 1]);
///
/// let store = embedded.store("offsets");
/// store.create_table().await?;
/// # Ok(())
/// # }
/// ```
pub struct Embedded {
    kafka: EmbeddedKafka,
    dynamodb: EmbeddedDynamoDb,
}

impl Embedded {
    /// Starts a Kafka of `brokers` brokers, 1 to 3, and a `DynamoDB`.
    ///
    /// # Errors
    /// When one of them cannot be started: no port or no thread is left.
    pub async fn start(brokers: u8) -> Result<Self, Error> {
        Ok(Self {
            kafka: EmbeddedKafka::start(brokers)?,
            dynamodb: EmbeddedDynamoDb::start().await?,
        })
    }

    /// The Kafka cluster, to create topics and to produce records.
    #[must_use]
    pub fn kafka(&self) -> &EmbeddedKafka {
        &self.kafka
    }

    /// `host:port` of the brokers, comma-separated.
    #[must_use]
    pub fn bootstrap_servers(&self) -> &str {
        self.kafka.bootstrap_servers()
    }

    /// The URL of the `DynamoDB`.
    #[must_use]
    pub fn dynamodb_endpoint(&self) -> &str {
        self.dynamodb.endpoint()
    }

    /// A client for the `DynamoDB`, to read and write items directly.
    #[must_use]
    pub fn dynamodb_client(&self) -> Client {
        self.dynamodb.client()
    }

    /// A store of cursors in the table `table`, which
    /// [`create_table`](DynamoStore::create_table) creates.
    #[must_use]
    pub fn store(&self, table: &str) -> DynamoStore {
        DynamoStore::new(self.dynamodb_client(), table)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::store::dynamodb::TableCreated;

    #[tokio::test]
    async fn produce_returns_the_acknowledged_offsets() {
        let kafka = EmbeddedKafka::start(3).expect("it starts");
        kafka.create_topic("t", 2).await.expect("the topic is created");
        let values = |count: usize| (0..count).map(|i| i.to_string());
        assert_eq!(kafka.produce("t", 1, values(2)).await.expect("acknowledged"), [0, 1]);
        assert_eq!(kafka.produce("t", 1, values(1)).await.expect("acknowledged"), [2]);
        assert_eq!(kafka.produce("t", 0, values(1)).await.expect("acknowledged"), [0]);
    }

    #[tokio::test]
    async fn a_partition_that_does_not_exist_is_an_error() {
        let kafka = EmbeddedKafka::start(1).expect("it starts");
        kafka.create_topic("t", 2).await.expect("the topic is created");
        let error = kafka
            .produce("t", 2, ["lost"])
            .await
            .expect_err("there is no partition 2");
        assert!(error.message().contains("t-2"), "{error}");
    }

    #[tokio::test]
    async fn a_dropped_service_accepts_no_connections() {
        let embedded = Embedded::start(1).await.expect("they start");
        assert_eq!(
            embedded.store("cursors").create_table().await,
            Ok(TableCreated::Created)
        );
        let addresses = BTreeMap::from([
            ("kafka", embedded.bootstrap_servers().to_owned()),
            (
                "dynamodb",
                embedded.dynamodb_endpoint().trim_start_matches("http://").to_owned(),
            ),
        ]);
        drop(embedded);
        // Its task closes the listener, as soon as it is scheduled.
        for (service, address) in addresses {
            let mut accepts = true;
            for _ in 0..100 {
                accepts = tokio::net::TcpStream::connect(&address).await.is_ok();
                if !accepts {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            assert!(!accepts, "{service} still accepts connections at {address}");
        }
    }
}
