//! The brokers of the cluster, as they name themselves.

use std::sync::Arc;
use std::time::Instant;

use rdkafka::consumer::Consumer;

use super::{KafkaSource, left, now};
use crate::error::Error;

/// A broker, at the address that it tells clients to connect to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Broker {
    /// Its number in the cluster.
    pub id: i32,
    /// The host that it advertises.
    pub host: String,
    /// The port that it advertises.
    pub port: u16,
}

impl KafkaSource {
    /// All brokers that a question for `topic` is told of, whether there is
    /// such a topic or not, in ascending order.
    ///
    /// # Errors
    /// When no broker answers before `until`.
    pub async fn brokers(&self, topic: &Arc<str>, until: Instant) -> Result<Vec<Broker>, Error> {
        self.connect().await?;
        let (topic, timeout, since) = (topic.clone(), left(until), now());
        let asked = self
            .blocking(move |consumer| {
                let metadata = consumer.fetch_metadata(Some(&topic), timeout)?;
                let broker = |it: &rdkafka::metadata::MetadataBroker| Broker {
                    id: it.id(),
                    host: it.host().to_owned(),
                    port: u16::try_from(it.port()).unwrap_or_default(),
                };
                Ok(metadata.brokers().iter().map(broker).collect::<Vec<_>>())
            })
            .await;
        let mut brokers = match asked {
            Ok(brokers) => brokers,
            Err(error) => return Err(self.unreachable(&error, since).await),
        };
        brokers.sort();
        Ok(brokers)
    }
}
