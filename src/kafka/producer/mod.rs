//! A producer: each record has an acknowledgement of its own, and the kept
//! connections can be checked.
//!
//! | file | |
//! |---|---|
//! | `settings.rs` | the producer's settings; pure |
//! | `explain.rs` | why a record was not acknowledged, and what to do next |

mod explain;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Message as _};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::client::connection::close;
use super::context::Context;
use super::errors::response::is_from_broker;
use super::{headers, time_left};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::record::{Header, Record};
use crate::security::{Access, Security};

/// For so long after a broker's response its connection is used unchecked.
/// Connections die unnoticed only while the process is frozen, which it is not
/// while it sends one record after another.
const FRESH_MS: i64 = 1000;

type Acknowledge = oneshot::Sender<KafkaResult<()>>;

/// The acknowledgement of a record that was sent; see [`acknowledged`].
pub(crate) type Sent = oneshot::Receiver<KafkaResult<()>>;

/// Waits until a record is acknowledged, or fails.
pub(crate) async fn acknowledged(sent: Sent) -> KafkaResult<()> {
    sent.await.unwrap_or(Err(KafkaError::Canceled))
}

/// The leader of each partition of the topic, as of the last metadata.
type Leaders = BTreeMap<i32, i32>;

/// A producer for one topic, with a thread of its own.
pub(crate) struct KafkaProducer {
    // `None` only while it is dropped.
    producer: Option<ThreadedProducer<Deliveries>>,
    leaders: Mutex<Leaders>,
    access: Arc<Access>,
}

impl KafkaProducer {
    /// Creates the producer and its threads. It connects for the first request.
    pub(crate) fn new(
        config: &Config,
        access: Arc<Access>,
        security: &Arc<Security>,
        patience: Duration,
    ) -> KafkaResult<Self> {
        let deliveries = Deliveries {
            context: Context::new(patience, Arc::clone(security), &access.properties),
            acknowledged: Mutex::default(),
            responded_ms: AtomicI64::new(0),
        };
        let settings = settings::settings(config, &access.properties, patience);
        Ok(Self {
            producer: Some(settings.create_with_context(deliveries)?),
            leaders: Mutex::default(),
            access,
        })
    }

    /// The credentials that it connects with.
    pub(crate) fn access(&self) -> &Arc<Access> {
        &self.access
    }

    fn deliveries(&self) -> Option<&Arc<Deliveries>> {
        self.producer.as_ref().map(|it| it.client().context())
    }

    fn leaders(&self) -> MutexGuard<'_, Leaders> {
        self.leaders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether to try other credentials for what was sent at `since`.
    pub(crate) fn needs_other_credentials(&self, since: Instant) -> bool {
        let (since, now) = (since.into_std(), Instant::now().into_std());
        self.deliveries()
            .is_some_and(|it| it.context.needs_other_credentials(since, now))
    }

    /// Whether the topic was found in the metadata.
    pub(crate) fn has_topic(&self) -> bool {
        !self.leaders().is_empty()
    }

    /// Requests the topic's metadata and waits. Brokers with
    /// `auto.create.topics.enable` create the topic now.
    ///
    /// Twice, because librdkafka requests its producer id when metadata arrives
    /// while a broker is connected, and else only half a second later. The
    /// first response may come from the bootstrap broker, which librdkafka
    /// leaves with it; the second comes from a broker that stays.
    pub(crate) fn find_topic(&self, topic: &str, limit: Duration) -> KafkaResult<()> {
        let until = Instant::now() + limit;
        self.metadata(topic, limit)?;
        *self.leaders() = self.metadata(topic, time_left(until.into_std()))?;
        Ok(())
    }

    fn metadata(&self, topic: &str, limit: Duration) -> KafkaResult<Leaders> {
        let producer = self.producer.as_ref().ok_or(KafkaError::Canceled)?;
        let metadata = producer.client().fetch_metadata(Some(topic), limit)?;
        producer.client().context().response_received();
        let unknown = || KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition);
        let found = metadata.topics().iter().find(|it| it.name() == topic);
        let found = found.ok_or_else(unknown)?;
        if let Some(error) = found.error() {
            return Err(KafkaError::MetadataFetch(error.into()));
        }
        let leaders: Leaders = found.partitions().iter().map(|it| (it.id(), it.leader())).collect();
        if leaders.is_empty() {
            Err(unknown())
        } else {
            Ok(leaders)
        }
    }

    /// Whether each broker that has acknowledged a record still responds within
    /// `limit`. Not checked right after a response.
    pub(crate) async fn is_alive(self: &Arc<Self>, topic: &str, limit: Duration) -> bool {
        let Some(deliveries) = self.deliveries() else {
            return false;
        };
        if is_fresh(deliveries.responded_ms.load(Ordering::Relaxed), SystemClock.wall_ms()) {
            return true;
        }
        let responses = self.probes().into_iter().map(|partition| {
            let (producer, topic) = (Arc::clone(self), topic.to_owned());
            tokio::task::spawn_blocking(move || producer.responds_for(&topic, partition, limit))
        });
        join_all(responses).await.into_iter().all(|it| it.unwrap_or(false))
    }

    /// One partition of each broker that has acknowledged a record.
    fn probes(&self) -> Vec<i32> {
        let leaders = self.leaders();
        let acknowledged = self.deliveries().map(|it| it.acknowledged().clone());
        let led = acknowledged.into_iter().flatten().map(|it| (leaders.get(&it), it));
        led.collect::<BTreeMap<_, _>>().into_values().collect()
    }

    /// Whether the leader of a partition responds, be it with an error. The
    /// request (the partition's offsets) goes to that broker and to no other.
    fn responds_for(&self, topic: &str, partition: i32, limit: Duration) -> bool {
        let Some(producer) = &self.producer else { return false };
        let responded = match producer.client().fetch_watermarks(topic, partition, limit) {
            Ok(_) => true,
            Err(error) => error.rdkafka_error_code().is_some_and(is_from_broker),
        };
        if responded {
            producer.client().context().response_received();
        }
        responded
    }

    /// Queues a record. An error of the queue is its acknowledgement as well.
    pub(crate) fn send(&self, topic: &str, record: &Record) -> Sent {
        let (acknowledge, sent) = oneshot::channel();
        let Some(producer) = &self.producer else {
            return sent;
        };
        // Without a timestamp: that is the time of the write.
        let mut message: BaseRecord<'_, [u8], [u8], Box<Acknowledge>> =
            BaseRecord::with_opaque_to(topic, Box::new(acknowledge));
        message.key = record.key.as_deref();
        message.payload = record.value.as_deref();
        message.headers = headers(record);
        if let Err((error, message)) = producer.send(message) {
            // The receiver is returned below.
            let _ = message.delivery_opaque.send(Err(error));
        }
        sent
    }
}

impl Drop for KafkaProducer {
    /// Closing a producer takes up to a second, which no task may wait for. What
    /// was not acknowledged is discarded.
    fn drop(&mut self) {
        if let Some(producer) = self.producer.take() {
            close(producer);
        }
    }
}

/// By the wall clock: the monotonic one may stop while a process is frozen.
fn is_fresh(responded_ms: i64, now_ms: i64) -> bool {
    (responded_ms..responded_ms.saturating_add(FRESH_MS)).contains(&now_ms)
}

fn headers(record: &Record) -> Option<OwnedHeaders> {
    if record.headers.is_empty() {
        return None;
    }
    let all = OwnedHeaders::new_with_capacity(record.headers.len());
    let add = |all, header: &Header| headers::add(all, header.name_bytes(), header.value.as_deref());
    Some(record.headers.iter().fold(all, add))
}

/// librdkafka's callbacks, the delivery of records among them.
struct Deliveries {
    context: Context,
    /// The partitions whose leaders have acknowledged a record.
    acknowledged: Mutex<BTreeSet<i32>>,
    /// When a broker last responded, in milliseconds since the epoch; 0: never.
    responded_ms: AtomicI64,
}

impl Deliveries {
    fn acknowledged(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn response_received(&self) {
        self.context.response_received();
        self.responded_ms.store(SystemClock.wall_ms(), Ordering::Relaxed);
    }
}

impl ClientContext for Deliveries {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, settings: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.context.generate_oauth_token(settings)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Acknowledge>;

    fn delivery(&self, result: &DeliveryResult<'_>, acknowledge: Box<Acknowledge>) {
        let result = match result {
            Ok(message) => {
                self.response_received();
                self.acknowledged().insert(message.partition());
                Ok(())
            }
            Err((error, _)) => Err(error.clone()),
        };
        // The receiver may have stopped waiting.
        let _ = acknowledge.send(result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_settings_create_a_producer() {
        let pairs = [("KAFKA_BOOTSTRAP_SERVERS".to_owned(), "127.0.0.1:1".to_owned())];
        let config = Config::from_lookup(pairs).expect("these are settings");
        let security = Arc::new(Security::new(&config));
        let access = security
            .access(Duration::from_secs(1))
            .await
            .expect("there is no secret");
        assert!(KafkaProducer::new(&config, access, &security, Duration::from_secs(1)).is_ok());
    }

    #[test]
    fn a_response_is_fresh_for_a_second_of_the_wall_clock_and_never_before_it_came() {
        let rows = [(0, true), (999, true), (1000, false), (60_000, false), (-1, false)];
        for (later_ms, fresh) in rows {
            assert_eq!(
                is_fresh(1_762_000_000_000, 1_762_000_000_000 + later_ms),
                fresh,
                "{later_ms}"
            );
        }
        assert!(!is_fresh(0, 1_762_000_000_000), "never");
    }
}
