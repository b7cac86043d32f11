//! Reports of runs with very many entries fit a log event and a response.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_consumer_lambda::clock::{Deadline, SystemClock};
use kafka_consumer_lambda::config::Config;
use kafka_consumer_lambda::dead_letter::target::DeadLetters;
use kafka_consumer_lambda::error::Error;
use kafka_consumer_lambda::event::{Request, RunRequest};
use kafka_consumer_lambda::invoke::{Interrupt, Invoked, Parts, invoke};
use kafka_consumer_lambda::processor::Processor;
use kafka_consumer_lambda::source::Source;
use kafka_consumer_lambda::source::kafka::KafkaSource;
use kafka_consumer_lambda::store::memory::MemoryStore;
use kafka_consumer_lambda::{Failure, Record, each};
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing_subscriber::filter::LevelFilter;

use super::{World, security, settle_all};
use crate::support::simulated_kafka::SimulatedKafka;

/// The largest log event that `CloudWatch` accepts, in bytes.
const LARGEST_EVENT: usize = 256 * 1024;

const SKIP: [(&str, &str); 2] = [("ON_FAILURE", "skip"), ("MAX_MESSAGES", "unlimited")];

/// The lines of a log, as the function writes them.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic with the lock held").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Collects the log of this thread from now on, at this level and above.
    fn of_this_thread(level: LevelFilter) -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_max_level(level)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().expect("no panic with the lock held").clone()).expect("UTF-8");
        text.lines().map(str::to_owned).collect()
    }

    /// The line with the report, which must fit into one event.
    fn report(&self) -> Value {
        let lines = self.lines();
        let line = lines
            .iter()
            .find(|line| line.contains("\"report\":"))
            .expect("a report");
        assert!(line.len() < LARGEST_EVENT, "{} bytes", line.len());
        let line: Value = serde_json::from_str(line).expect("JSON");
        serde_json::from_str(line["report"].as_str().expect("text")).expect("valid JSON")
    }
}

async fn run<K: Source, P: Processor>(config: Config, source: K, processor: P) -> (Invoked, Value) {
    let parts: Parts<(_, _, _, _, _)> = Parts {
        dead_letters: DeadLetters::None,
        config: Arc::new(config),
        store: MemoryStore::new(),
        source,
        processor,
        clock: SystemClock,
    };
    let (_sender, interrupt) = watch::channel(Interrupt::No);
    let deadline = Deadline::after(Duration::from_mins(5), &SystemClock);
    let invoked = invoke(&parts, &Request::Run(RunRequest::default()), deadline, interrupt).await;
    let invoked = invoked.expect("a run always has a report");
    let response = serde_json::to_value(&invoked.response).expect("JSON");
    (invoked, response)
}

/// P5: skipped records are named with their offsets in the report, however many they are.
#[tokio::test]
async fn consecutive_undecodable_records_are_one_range_wherever_in_their_values_the_error_is() {
    let world = World::new(1, 20, 0).await;
    for partition in 0..20 {
        let values = (0..200).map(|n| format!("{}x", " ".repeat(n % 7)));
        world.kafka.produce("t", partition, values).await.expect("records");
    }
    let config = world.config(&SKIP);
    let source = KafkaSource::new(&config, security(&config));
    let (log, _logged) = Log::of_this_thread(LevelFilter::INFO);
    let (_, response) = run(config, source, settle_all()).await;
    let ranges: Vec<Value> = (0..20)
        .map(|partition| {
            json!({"topic": "t", "partition": partition, "first_offset": 0, "last_offset": 199,
                   "reason": "not valid JSON: a syntax error"})
        })
        .collect();
    assert_eq!(response["skipped"], json!(ranges));
    assert_eq!(log.report()["skipped"], response["skipped"]);
    let warnings = log.lines();
    let warnings: Vec<_> = warnings.iter().filter(|line| line.contains("record skipped")).collect();
    assert_eq!(warnings.len(), 20 * 200, "each has its own line in the log");
    assert!(warnings[0].contains("line 1, column 1"), "{}", warnings[0]);
}

#[tokio::test]
async fn the_error_of_a_handler_is_cut_in_the_report_and_in_each_line_of_the_log() {
    let world = World::new(1, 6, 100).await;
    let handler = each(|_: Record| async { Err(Failure::Poison("x".repeat(10_000))) });
    let config = world.config(&SKIP);
    let source = KafkaSource::new(&config, security(&config));
    let (log, _logged) = Log::of_this_thread(LevelFilter::INFO);
    let (_, response) = run(config, source, handler).await;
    assert_eq!(
        response["skipped"].as_array().map(Vec::len),
        Some(6),
        "one reason, one range"
    );
    assert_eq!(
        response["skipped"][0]["reason"]
            .as_str()
            .map(|reason| reason.len() <= 500),
        Some(true)
    );
    assert_eq!(log.report()["skipped"], response["skipped"]);
    assert!(log.lines().iter().all(|line| line.len() < 10_000));
}

#[tokio::test]
async fn a_handler_that_fails_with_a_long_text_fails_the_run_with_a_short_message() {
    let world = World::new(1, 1, 1).await;
    let handler = each(|_: Record| async { Err(Failure::Fatal("x".repeat(10_000))) });
    let config = world.config(&[]);
    let source = KafkaSource::new(&config, security(&config));
    let (invoked, response) = run(config, source, handler).await;
    assert_eq!(response["error"]["type"], "DestinationFailed");
    let message = invoked.error().map(Error::message).unwrap_or_default();
    assert!((500..2_000).contains(&message.len()), "{}", message.len());
}

#[tokio::test]
async fn a_thousand_blocked_partitions_fit_a_line_of_the_log() {
    let handler = each(|_: Record| async { Err(Failure::Poison("\"quoted\" ".repeat(1_000))) });
    let config = Config::from_lookup([("KAFKA_TOPIC".to_owned(), "t".to_owned())]).expect("settings");
    let (log, _logged) = Log::of_this_thread(LevelFilter::INFO);
    let (_, response) = run(config, SimulatedKafka::new("t", 1_000, 3, "1"), handler).await;
    let blocked = response["blocked"].as_array().expect("a list");
    let omitted = blocked
        .last()
        .and_then(|last| last["omitted"].as_u64())
        .expect("not all fit");
    assert_eq!(blocked.len() as u64 - 1 + omitted, 1_000);
    assert_eq!(log.report()["blocked"], response["blocked"]);
    let named = log
        .lines()
        .iter()
        .filter(|line| line.contains("partition blocked"))
        .count();
    assert_eq!(named, 1_000, "each has its own line in the log");
}

/// P5: skipped records are counted exactly in a metric.
#[tokio::test]
async fn a_million_skipped_records_of_a_thousand_partitions_are_counted_exactly() {
    let settings = [("KAFKA_TOPIC", "t"), SKIP[0], SKIP[1]];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::from_lookup(settings).expect("settings");
    let (log, _logged) = Log::of_this_thread(LevelFilter::ERROR);
    let (invoked, response) = run(config, SimulatedKafka::new("t", 1_000, 1_000, "x"), settle_all()).await;
    assert_eq!(response["status"], "success", "{response}");
    assert_eq!(response["skipped"].as_array().map(Vec::len), Some(1_000));
    assert_eq!(
        response["last_offsets"].as_object().map(serde_json::Map::len),
        Some(1_000)
    );
    let metrics: Value = serde_json::from_str(&invoked.metrics[0]).expect("JSON");
    assert_eq!(metrics["DroppedEventCount"], 1_000_000);
    assert!(log.lines().is_empty(), "nothing failed");
}
