//! Whole runs over the embedded Kafka and the memory store, with failing handlers, brokers, tables
//! and processes.

mod arbitrary;
mod backfill;
mod backfill_bounds;
mod bounded_report;
mod brokers;
mod crash;
mod crashing_records;
mod dead_letters;
mod destination;
mod faults;
mod filters;
mod handler;
mod items;
mod left_claims;
mod parallel;
mod prefetch;
mod routes;
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
use kafka_consumer_lambda::{Record, each};
use serde_json::Value;
use tokio::sync::watch;

use crate::support::states::{consumer, next as next_offset};

/// A topic `t` with records in each partition, and a table.
struct World {
    kafka: EmbeddedKafka,
    table: Table,
}

/// A memory store that can be slow, counts its writes, and calls a hook before each.
#[derive(Default)]
struct Table {
    inner: MemoryStore,
    writes: AtomicU64,
    load_takes: Duration,
    write_takes: Duration,
    before_write: Option<Hook>,
    /// The partition whose writes get no response once it is claimed.
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

    /// Makes one run with new connections, and returns its report and how long it took.
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
        let invocation = self.invocation(config, source, processor);
        invocation.within(Duration::from_secs(seconds)).report().await
    }

    /// A run of 20 seconds with the system's clocks, unless its options differ.
    fn invocation<K: Source, P: Processor>(
        &self,
        config: Config,
        source: K,
        processor: P,
    ) -> Invocation<'_, K, P, SystemClock> {
        Invocation {
            parts: Parts {
                dead_letters: DeadLetters::new(&config, &security(&config)),
                config: Arc::new(config),
                store: &self.table,
                source,
                processor,
                clock: SystemClock,
            },
            request: Request::Run(RunRequest::default()),
            limit: Duration::from_secs(20),
        }
    }

    fn put(&self, partition: i32, cursor: Cursor) {
        self.table.inner.put(&consumer(), partition, cursor);
    }

    fn cursor(&self, partition: i32) -> Cursor {
        self.table.inner.get(&consumer(), partition).expect("a cursor")
    }
}

/// One invocation of a world, and its options.
struct Invocation<'a, K: Source, P: Processor, C: Clock> {
    parts: Parts<(&'a Table, K, P, DeadLetters, C)>,
    request: Request,
    limit: Duration,
}

impl<'a, K: Source, P: Processor, C: Clock> Invocation<'a, K, P, C> {
    /// Its deadline is `limit` from its start.
    fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    fn of(self, request: Request) -> Self {
        Self { request, ..self }
    }

    fn by_clock<D: Clock>(self, clock: D) -> Invocation<'a, K, P, D> {
        Invocation {
            parts: Parts {
                config: self.parts.config,
                store: self.parts.store,
                source: self.parts.source,
                processor: self.parts.processor,
                dead_letters: self.parts.dead_letters,
                clock,
            },
            request: self.request,
            limit: self.limit,
        }
    }

    async fn result(self) -> Result<Invoked, Error> {
        let deadline = Deadline::after(self.limit, &self.parts.clock);
        let (_sender, interrupt) = watch::channel(Interrupt::No);
        invoke(&self.parts, &self.request, deadline, interrupt).await
    }

    /// The report, and how long the invocation took.
    async fn report(self) -> (Value, Duration) {
        let started = Instant::now();
        let invoked = self.result().await.expect("a run always has a report");
        let report = serde_json::to_value(&invoked.response).expect("JSON");
        (report, started.elapsed())
    }
}

/// Settles every record.
fn settle_all() -> impl Processor {
    each(|_: Record| async { Ok(()) })
}

/// The cursor whose next offset is `next`.
fn cursor_at(next: i64) -> Cursor {
    Cursor::at(next_offset(next))
}

/// The offsets that a handler was called with, in that order.
#[derive(Clone, Default)]
struct HandledOffsets(Arc<Mutex<Vec<i64>>>);

impl HandledOffsets {
    fn note(&self, offset: i64) {
        self.0.lock().expect("no panic with the lock held").push(offset);
    }

    /// A handler that settles every record, and notes its offset here.
    fn handler(&self) -> impl Processor + use<> {
        let handled = self.clone();
        each(move |record: Record| {
            handled.note(record.offset);
            async { Ok(()) }
        })
    }

    fn offsets(&self) -> Vec<i64> {
        self.0.lock().expect("no panic with the lock held").clone()
    }
}

/// The properties of the settings, without a secret.
fn security(config: &Config) -> Arc<Security> {
    Arc::new(Security::new(config))
}
