//! Whole runs over the embedded Kafka and the memory store: what handlers and
//! a hostile world do to them.

mod ahead;
mod arbitrary;
mod backfill;
mod backfill_bounds;
mod bounded_report;
mod brokers;
mod crash;
mod dead_letters;
mod handler;
mod hostile;
mod items;
mod killer;
mod left_claims;
mod source;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kafka_consumer_lambda::claim::{Cursor, CursorWrite};
use kafka_consumer_lambda::clock::{Clock, Deadline, SystemClock};
use kafka_consumer_lambda::config::Config;
use kafka_consumer_lambda::dead_letter::target::DeadLetters;
use kafka_consumer_lambda::embedded::EmbeddedKafka;
use kafka_consumer_lambda::error::Error;
use kafka_consumer_lambda::event::{Request, RunRequest};
use kafka_consumer_lambda::invoke::{Interrupt, Invoked, Parts, invoke};
use kafka_consumer_lambda::processor::Processor;
use kafka_consumer_lambda::security::Security;
use kafka_consumer_lambda::source::Source;
use kafka_consumer_lambda::source::kafka::KafkaSource;
use kafka_consumer_lambda::store::memory::MemoryStore;
use kafka_consumer_lambda::store::{Consumer, Store, StoredCursor, WriteResult};
use serde_json::Value;
use tokio::sync::watch;

/// A topic `t` with records in each partition, and a table.
struct World {
    kafka: EmbeddedKafka,
    table: Table,
}

/// A memory store that can be slow, counts its writes, and lets an operator in.
#[derive(Default)]
struct Table {
    inner: MemoryStore,
    writes: AtomicU64,
    load_takes: Duration,
    write_takes: Duration,
    before_write: Option<Hook>,
    /// The partition whose writes are never answered once it is claimed.
    is_stuck: Option<i32>,
}

/// What happens just before a write of a partition.
type Hook = Box<dyn Fn(&MemoryStore, i32) + Send + Sync>;

impl Store for &Table {
    async fn load(&self, consumer: &Consumer) -> Result<Vec<StoredCursor>, Error> {
        tokio::time::sleep(self.load_takes).await;
        self.inner.load(consumer).await
    }

    async fn load_one(&self, consumer: &Consumer, partition: i32) -> Result<Option<Cursor>, Error> {
        self.inner.load_one(consumer, partition).await
    }

    async fn write(&self, consumer: &Consumer, partition: i32, write: &CursorWrite) -> Result<WriteResult, Error> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(self.write_takes).await;
        if let Some(hook) = &self.before_write {
            hook(&self.inner, partition);
        }
        if self.is_stuck == Some(partition) && self.inner.get(consumer, partition).is_some() {
            std::future::pending::<()>().await;
        }
        self.inner.write(consumer, partition, write).await
    }
}

impl World {
    async fn new(brokers: u8, partitions: u16, records: usize) -> Self {
        let kafka = EmbeddedKafka::start(brokers).expect("the embedded Kafka starts");
        kafka.create_topic("t", partitions).await.expect("a topic");
        for partition in 0..i32::from(partitions) {
            // One batch for each record, so that each can be fetched alone.
            for n in 0..records {
                kafka.produce("t", partition, [format!("{n}")]).await.expect("a record");
            }
        }
        Self {
            kafka,
            table: Table::default(),
        }
    }

    fn config(&self, more: &[(&str, &str)]) -> Config {
        let own = [
            ("KAFKA_BOOTSTRAP_SERVERS", self.kafka.bootstrap_servers()),
            ("KAFKA_TOPIC", "t"),
            ("KAFKA_GROUP_ID", "g"),
            ("POLL_TIMEOUT", "2"),
        ];
        let pairs = own
            .iter()
            .chain(more)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::from_lookup(pairs).expect("these are settings")
    }

    /// Makes one run and returns its report, and how long it took.
    async fn run<P: Processor>(&self, settings: &[(&str, &str)], processor: P, seconds: u64) -> (Value, Duration) {
        let config = self.config(settings);
        let source = KafkaSource::new(&config, security(&config));
        self.run_with(config, source, processor, seconds).await
    }

    async fn run_with<K: Source, P: Processor>(
        &self,
        config: Config,
        source: K,
        processor: P,
        seconds: u64,
    ) -> (Value, Duration) {
        self.run_at(config, source, processor, SystemClock, seconds).await
    }

    async fn run_at<K: Source, P: Processor, C: Clock>(
        &self,
        config: Config,
        source: K,
        processor: P,
        clock: C,
        seconds: u64,
    ) -> (Value, Duration) {
        let limit = Duration::from_secs(seconds);
        let started = Instant::now();
        let report = self.run_within(config, source, processor, clock, limit).await;
        (report, started.elapsed())
    }

    async fn run_for<K: Source, P: Processor>(
        &self,
        config: Config,
        source: K,
        processor: P,
        limit: Duration,
    ) -> Value {
        self.run_within(config, source, processor, SystemClock, limit).await
    }

    async fn run_within<K: Source, P: Processor, C: Clock>(
        &self,
        config: Config,
        source: K,
        processor: P,
        clock: C,
        limit: Duration,
    ) -> Value {
        let invoked = self.invoke_within(config, source, processor, clock, limit).await;
        let invoked = invoked.expect("a run always has a report");
        serde_json::to_value(&invoked.answer).expect("JSON")
    }

    async fn try_run<K: Source, P: Processor>(&self, config: Config, source: K, processor: P) -> Result<Value, Error> {
        let limit = Duration::from_secs(20);
        let invoked = self
            .invoke_within(config, source, processor, SystemClock, limit)
            .await?;
        Ok(serde_json::to_value(&invoked.answer).expect("JSON"))
    }

    async fn invoke_within<K: Source, P: Processor, C: Clock>(
        &self,
        config: Config,
        source: K,
        processor: P,
        clock: C,
        limit: Duration,
    ) -> Result<Invoked, Error> {
        let deadline = Deadline::after(limit, &clock);
        let parts = Parts {
            dead_letters: DeadLetters::new(&config, &security(&config)),
            config: Arc::new(config),
            store: &self.table,
            source,
            processor,
            clock,
        };
        let (_sender, interrupt) = watch::channel(Interrupt::No);
        invoke(&parts, &Request::Run(RunRequest::default()), deadline, interrupt).await
    }

    fn cursor(&self, partition: i32) -> Cursor {
        self.table.inner.get(&consumer(), partition).expect("a cursor")
    }
}

fn consumer() -> Consumer {
    Consumer {
        group_id: "g".into(),
        topic: "t".into(),
        backfill: None,
    }
}

/// Offsets that a handler saw, in its order.
#[derive(Clone, Default)]
struct ObservedItem(Arc<Mutex<Vec<i64>>>);

impl ObservedItem {
    fn note(&self, offset: i64) {
        self.0.lock().expect("nobody panicked").push(offset);
    }

    fn offsets(&self) -> Vec<i64> {
        self.0.lock().expect("nobody panicked").clone()
    }
}

/// What the settings say, and no secret.
fn security(config: &Config) -> Arc<Security> {
    Arc::new(Security::new(config))
}
