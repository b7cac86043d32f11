//! The scheduled job with its services.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use serde::Serialize;
use tokio::sync::watch;

use super::clock::DemoClock;
use super::handler::{Crash, HandledCounts, Handler};
use super::items::{self, Item};
use super::orders::{AT_FIRST, Produced, TOPIC};
use crate::clock::Deadline;
use crate::config::Config;
use crate::dead_letter::target::DeadLetters;
use crate::embedded::Embedded;
use crate::error::{Error, ErrorType};
use crate::event::{Request, RunRequest};
use crate::invoke::{self, Interrupt, Invoked, Parts, Response};
use crate::report::RunReport;
use crate::security::Security;
use crate::source::kafka::KafkaSource;
use crate::store::dynamodb::DynamoStore;

const BROKERS: u8 = 3;
const GROUP: &str = "demo";
const TABLE: &str = "kafka-consumer-offsets";
const MAX_MESSAGES: &str = "1000";

/// With the margin of 10 seconds a claim expires before the next minute.
const TIME_LIMIT_SECONDS: &str = "30";

/// The result of one scheduled run.
#[derive(Debug, Serialize)]
pub(super) struct Tick {
    /// Counts from 1.
    number: u32,
    /// Whether the process crashed in it.
    crashed: bool,
    /// The report of the run; a crashed run has none.
    pub(super) report: Option<RunReport>,
    /// The table after it.
    pub(super) items: Vec<Item>,
}

type DemoParts = Parts<(DynamoStore, KafkaSource, Handler, DeadLetters, DemoClock)>;

/// The job. Its process is kept between runs, as Lambda keeps an execution environment, until it crashes.
pub(super) struct Job {
    // Dropped before the services to which it is connected.
    process: Option<DemoParts>,
    config: Arc<Config>,
    clock: DemoClock,
    handler: Handler,
    produced: Produced,
    ticks: u32,
    client: Client,
    embedded: Embedded,
}

impl Job {
    /// Starts the services, with an empty topic and an empty table.
    pub(super) async fn start() -> Result<Self, Error> {
        let embedded = Embedded::start(BROKERS).await?;
        let partitions = u16::try_from(AT_FIRST.len()).unwrap_or(u16::MAX);
        embedded.kafka().create_topic(TOPIC, partitions).await?;
        embedded.store(TABLE).create_table().await?;
        Ok(Self {
            process: None,
            config: Arc::new(config(embedded.bootstrap_servers())?),
            clock: DemoClock::default(),
            handler: Handler::default(),
            produced: Produced::default(),
            ticks: 0,
            client: embedded.dynamodb_client(),
            embedded,
        })
    }

    pub(super) fn produced(&self) -> &Produced {
        &self.produced
    }

    pub(super) fn handled(&self) -> HandledCounts {
        self.handler.handled()
    }

    pub(super) async fn items(&self) -> Result<Vec<Item>, Error> {
        items::read(&self.client, TABLE).await
    }

    /// Produces more orders.
    pub(super) async fn produce(&mut self, counts: [u64; AT_FIRST.len()]) -> Result<(), Error> {
        self.produced.add(self.embedded.kafka(), counts).await
    }

    /// Moves the clock to the next run.
    pub(super) fn advance(&self, time: Duration) {
        self.clock.advance(time);
    }

    /// One scheduled run.
    pub(super) async fn tick(&mut self) -> Result<Tick, Error> {
        let process = self.process();
        let response = run(&process).await?.response;
        self.process = Some(process);
        let Response::Run(report) = response else {
            return Err(unexpected("a run returned a plan"));
        };
        if let Some(error) = report.error {
            return Err(error);
        }
        self.ended(Some(*report)).await
    }

    /// One run whose process crashes while each partition that has records is in
    /// the middle of a chunk.
    pub(super) async fn tick_that_crashes(&mut self) -> Result<Tick, Error> {
        let with_records = self.partitions_with_records(&self.items().await?);
        let crash = Arc::new(Crash::new(self.clock.clone()));
        let mut process = self.process();
        process.processor = self.handler.crashing(crash.clone());
        tokio::select! {
            ended = run(&process) => {
                ended?;
                return Err(unexpected("the run ended before it could be stopped"));
            }
            // This drops the run, as a crash does.
            () = crash.reached(with_records) => {}
        }
        drop(process);
        self.ended(None).await
    }

    /// The process of the last run, or a new one.
    fn process(&mut self) -> DemoParts {
        if let Some(process) = self.process.take() {
            return process;
        }
        let security = Arc::new(Security::new(&self.config));
        Parts {
            dead_letters: DeadLetters::new(&self.config, &security),
            store: self.embedded.store(TABLE),
            source: KafkaSource::new(&self.config, security),
            processor: self.handler.clone(),
            clock: self.clock.clone(),
            config: self.config.clone(),
        }
    }

    async fn ended(&mut self, report: Option<RunReport>) -> Result<Tick, Error> {
        self.ticks += 1;
        Ok(Tick {
            number: self.ticks,
            crashed: report.is_none(),
            report,
            items: self.items().await?,
        })
    }

    fn partitions_with_records(&self, items: &[Item]) -> u32 {
        let caught_up = |item: &&Item| {
            let produced = usize::try_from(item.partition)
                .ok()
                .and_then(|at| self.produced.counts.get(at));
            produced.is_some_and(|produced| i64::try_from(*produced).is_ok_and(|end| item.offset + 1 >= end))
        };
        let caught_up = items.iter().filter(caught_up).count();
        u32::try_from(self.produced.counts.len() - caught_up).unwrap_or(u32::MAX)
    }
}

/// What `bootstrap` does in Lambda, and `kafka-consumer run` on a command line.
async fn run(process: &DemoParts) -> Result<Invoked, Error> {
    let deadline = Deadline::after(process.config.time_limit, &process.clock);
    let (_sender, interrupt) = watch::channel(Interrupt::No);
    invoke::invoke(process, &Request::Run(RunRequest::default()), deadline, interrupt).await
}

/// Only these settings: the environment is not read.
fn config(bootstrap_servers: &str) -> Result<Config, Error> {
    let settings = [
        ("KAFKA_BOOTSTRAP_SERVERS", bootstrap_servers),
        ("KAFKA_TOPIC", TOPIC),
        ("KAFKA_GROUP_ID", GROUP),
        ("DYNAMODB_TABLE", TABLE),
        ("MAX_MESSAGES", MAX_MESSAGES),
        ("TIME_LIMIT", TIME_LIMIT_SECONDS),
    ];
    Config::from_lookup(settings.map(|(name, value)| (name.to_owned(), value.to_owned())))
        .map_err(|invalid| Error::new(ErrorType::InvalidConfiguration, invalid.to_string()))
}

fn unexpected(what: &str) -> Error {
    Error::new(ErrorType::DestinationFailed, format!("the demo failed: {what}")).next("This is a bug: please report it")
}
