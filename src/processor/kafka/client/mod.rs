//! The producer: one record -> one answer, and whether its connections live.
//!
//! | file | |
//! |---|---|
//! | `settings.rs` | the producer's settings; pure |
//! | `explain.rs` | what an error means, and what to do next |

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

use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::record::{Header, Record};
use crate::security::{Access, Security};
use crate::source::kafka::close;
use crate::source::kafka::context::{Context, is_from_broker};
use crate::source::kafka::headers;

/// For so long after a broker has answered, its connection is used unchecked.
/// Only what is frozen in between can lose connections unnoticed, and a
/// process is not frozen while it writes dead letters one after another.
const FRESH_MS: i64 = 1000;

/// Where the answer to a record goes.
type Answer = oneshot::Sender<KafkaResult<()>>;

/// The answer to a record that was sent; see [`answer`].
pub(super) type Sent = oneshot::Receiver<KafkaResult<()>>;

/// Waits for a broker's answer.
pub(super) async fn answer(sent: Sent) -> KafkaResult<()> {
    sent.await.unwrap_or(Err(KafkaError::Canceled))
}

/// The leader of each partition of the topic, as the brokers said last.
type Leaders = BTreeMap<i32, i32>;

/// A producer with a thread of its own.
pub(super) struct Client {
    // `None` only while it is dropped.
    producer: Option<ThreadedProducer<Listener>>,
    leaders: Mutex<Leaders>,
    access: Arc<Access>,
}

impl Client {
    /// Makes the producer and its threads; it connects when it is asked something.
    pub(super) fn new(
        config: &Config,
        access: Arc<Access>,
        security: &Arc<Security>,
        patience: Duration,
    ) -> KafkaResult<Self> {
        let listener = Listener {
            context: Context::new(patience, Arc::clone(security), &access.properties),
            acknowledged: Mutex::default(),
            answered_ms: AtomicI64::new(0),
        };
        let settings = settings::settings(config, &access.properties, patience);
        Ok(Self {
            producer: Some(settings.create_with_context(listener)?),
            leaders: Mutex::default(),
            access,
        })
    }

    /// What it connects with.
    pub(super) fn access(&self) -> &Arc<Access> {
        &self.access
    }

    fn listener(&self) -> Option<&Arc<Listener>> {
        self.producer.as_ref().map(|it| it.client().context())
    }

    fn leaders(&self) -> MutexGuard<'_, Leaders> {
        self.leaders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether other credentials might help what was begun at `since`.
    pub(super) fn is_curable(&self, since: Instant) -> bool {
        let (since, now) = (since.into_std(), Instant::now().into_std());
        self.listener().is_some_and(|it| it.context.is_curable(since, now))
    }

    /// Whether the brokers know the topic, as far as they were asked.
    pub(super) fn knows_topic(&self) -> bool {
        !self.leaders().is_empty()
    }

    /// Requests the topic's metadata and waits. Where brokers make topics by
    /// themselves, it is being made from now on.
    ///
    /// Twice, because librdkafka requests its producer id when metadata arrives
    /// while a broker is connected, and else only half a second later. The
    /// first response may come from the bootstrap broker, which librdkafka
    /// leaves with it; the second comes from a broker that stays.
    pub(super) fn find(&self, topic: &str, limit: Duration) -> KafkaResult<()> {
        let until = Instant::now() + limit;
        self.metadata(topic, limit)?;
        // Never zero, which librdkafka takes for "do not wait at all".
        let left = until
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(1));
        *self.leaders() = self.metadata(topic, left)?;
        Ok(())
    }

    fn metadata(&self, topic: &str, limit: Duration) -> KafkaResult<Leaders> {
        let producer = self.producer.as_ref().ok_or(KafkaError::Canceled)?;
        let metadata = producer.client().fetch_metadata(Some(topic), limit)?;
        producer.client().context().answered();
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

    /// Whether each broker that has acknowledged a record still answers, within
    /// `limit`. Where one has just answered, it is not checked.
    pub(super) async fn is_alive(self: &Arc<Self>, topic: &str, limit: Duration) -> bool {
        let Some(listener) = self.listener() else { return false };
        if is_fresh(listener.answered_ms.load(Ordering::Relaxed), SystemClock.wall_ms()) {
            return true;
        }
        let answers = self.probes().into_iter().map(|partition| {
            let (client, topic) = (Arc::clone(self), topic.to_owned());
            tokio::task::spawn_blocking(move || client.answers_for(&topic, partition, limit))
        });
        join_all(answers).await.into_iter().all(|it| it.unwrap_or(false))
    }

    /// One partition of each broker that has acknowledged a record.
    fn probes(&self) -> Vec<i32> {
        let leaders = self.leaders();
        let acknowledged = self.listener().map(|it| it.acknowledged().clone());
        let led = acknowledged.into_iter().flatten().map(|it| (leaders.get(&it), it));
        led.collect::<BTreeMap<_, _>>().into_values().collect()
    }

    /// Whether the leader of a partition answers, whatever it answers. What is
    /// requested (the ends of its log) goes to that broker and to no other.
    fn answers_for(&self, topic: &str, partition: i32, limit: Duration) -> bool {
        let Some(producer) = &self.producer else { return false };
        let answered = match producer.client().fetch_watermarks(topic, partition, limit) {
            Ok(_) => true,
            Err(error) => error.rdkafka_error_code().is_some_and(is_from_broker),
        };
        if answered {
            producer.client().context().answered();
        }
        answered
    }

    /// Hands a record to the producer. What is wrong with it at once is part of
    /// the answer as well.
    pub(super) fn send(&self, topic: &str, record: &Record) -> Sent {
        let (answer, sent) = oneshot::channel();
        let Some(producer) = &self.producer else {
            return sent;
        };
        // Without a time of its own: it is written now.
        let mut message: BaseRecord<'_, [u8], [u8], Box<Answer>> = BaseRecord::with_opaque_to(topic, Box::new(answer));
        message.key = record.key.as_deref();
        message.payload = record.value.as_deref();
        message.headers = headers(record);
        if let Err((error, message)) = producer.send(message) {
            // Whoever asked is still here to take it.
            let _ = message.delivery_opaque.send(Err(error));
        }
        sent
    }
}

impl Drop for Client {
    /// Ending a producer takes up to a second, which no task may wait for. It
    /// takes what was not acknowledged with it.
    fn drop(&mut self) {
        if let Some(producer) = self.producer.take() {
            close(producer);
        }
    }
}

/// By the wall clock: the other one may stand still while a process is frozen.
fn is_fresh(answered_ms: i64, now_ms: i64) -> bool {
    (answered_ms..answered_ms.saturating_add(FRESH_MS)).contains(&now_ms)
}

fn headers(record: &Record) -> Option<OwnedHeaders> {
    if record.headers.is_empty() {
        return None;
    }
    let all = OwnedHeaders::new_with_capacity(record.headers.len());
    let add = |all, header: &Header| headers::add(all, header.name_bytes(), header.value.as_deref());
    Some(record.headers.iter().fold(all, add))
}

/// Hears what the client says, and hands the brokers' answers on.
struct Listener {
    context: Context,
    /// The partitions that have acknowledged a record.
    acknowledged: Mutex<BTreeSet<i32>>,
    /// When a broker last answered, in milliseconds since the epoch; 0: never.
    answered_ms: AtomicI64,
}

impl Listener {
    fn acknowledged(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self) {
        self.context.answered();
        self.answered_ms.store(SystemClock.wall_ms(), Ordering::Relaxed);
    }
}

impl ClientContext for Listener {
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

impl ProducerContext for Listener {
    type DeliveryOpaque = Box<Answer>;

    fn delivery(&self, result: &DeliveryResult<'_>, answer: Box<Answer>) {
        let result = match result {
            Ok(message) => {
                self.answered();
                self.acknowledged().insert(message.partition());
                Ok(())
            }
            Err((error, _)) => Err(error.clone()),
        };
        // Whoever asked may have stopped waiting.
        let _ = answer.send(result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_settings_make_a_producer() {
        let pairs = [("KAFKA_BOOTSTRAP_SERVERS".to_owned(), "127.0.0.1:1".to_owned())];
        let config = Config::from_lookup(pairs).expect("these are settings");
        let security = Arc::new(Security::new(&config));
        let access = security
            .access(Duration::from_secs(1))
            .await
            .expect("there is no secret");
        assert!(Client::new(&config, access, &security, Duration::from_secs(1)).is_ok());
    }

    #[test]
    fn an_answer_is_fresh_for_a_second_of_the_wall_clock_and_never_before_it_came() {
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
