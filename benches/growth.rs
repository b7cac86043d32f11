//! Time and memory of a run per partition, from 1,000 to 10,000 partitions, without Kafka and
//! `DynamoDB`. Prints a table; a figure is flat if it does not grow with the number of partitions.
//!
//! Each row is measured in a separate process, so that its peak of memory is that of the row.

#![allow(clippy::disallowed_methods, reason = "a bench runs in real time")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::cast_precision_loss, reason = "far below 2^52")]

#[path = "../tests/support/simulated_kafka.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod simulated_kafka;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use kafka_consumer_lambda::claim::Cursor;
use kafka_consumer_lambda::clock::{Deadline, SystemClock};
use kafka_consumer_lambda::config::Config;
use kafka_consumer_lambda::dead_letter::target::DeadLetters;
use kafka_consumer_lambda::event::{Request, RunRequest};
use kafka_consumer_lambda::invoke::{Interrupt, Parts, Response, invoke};
use kafka_consumer_lambda::record::NextOffset;
use kafka_consumer_lambda::store::Consumer;
use kafka_consumer_lambda::store::memory::MemoryStore;
use kafka_consumer_lambda::{Record, each};
use simulated_kafka::SimulatedKafka;
use tokio::sync::watch;

/// The variable that selects the row of a process.
const VARIABLE: &str = "BENCH_GROWTH";

const PARTITIONS: [i32; 4] = [1_000, 2_000, 5_000, 10_000];

/// Records after each cursor.
const RECORDS: i64 = 10;

const ROUNDS: usize = 5;

/// A figure per partition is flat up to this multiple of that for the fewest partitions: more
/// partitions fit less well into the processor's caches.
const FLAT: f64 = 2.0;

/// The cases: name, whether there is something to read, `MAX_MESSAGES`.
const CASES: [(&str, bool, &str); 3] = [
    ("idle", false, "1000"),
    ("10 records in each", true, "unlimited"),
    ("10 records in each, MAX_MESSAGES=1000", true, "1000"),
];

/// The figures of one row.
struct Row {
    partitions: i32,
    /// Median over the rounds.
    millis: f64,
    /// The memory of a run above that of the process before it.
    kibibytes: f64,
}

fn main() {
    if let Ok(which) = env::var(VARIABLE) {
        let (case, partitions) = which.split_once(' ').expect("a case and a number");
        let case = CASES[case.parse::<usize>().expect("a case")];
        let row = measure(case, partitions.parse().expect("a number of partitions"));
        println!("{} {}", row.millis, row.kibibytes);
        return;
    }
    println!("| run | partitions | ms | µs for each | KiB for each |\n|---|---|---|---|---|");
    let mut steep = vec![];
    for (index, (name, ..)) in CASES.into_iter().enumerate() {
        let rows = PARTITIONS.map(|partitions| in_a_process(index, partitions));
        for row in &rows {
            println!(
                "| {name} | {} | {:.1} | {:.1} | {:.2} |",
                row.partitions,
                row.millis,
                row.millis * 1000.0 / f64::from(row.partitions),
                row.kibibytes / f64::from(row.partitions),
            );
        }
        let times = |of: fn(&Row) -> f64| {
            let each = rows.each_ref().map(|row| of(row) / f64::from(row.partitions));
            each.into_iter().fold(0.0, f64::max) / each[0]
        };
        for (what, times) in [
            ("time", times(|row| row.millis)),
            ("memory", times(|row| row.kibibytes)),
        ] {
            if times > FLAT {
                steep.push(format!("{name}: {times:.1} x the {what} for each partition"));
            }
        }
    }
    println!("\n{} of {} figures are not flat", steep.len(), CASES.len() * 2);
    for what in steep {
        println!("  {what}");
    }
}

fn in_a_process(case: usize, partitions: i32) -> Row {
    let output = Command::new(env::current_exe().expect("this program has a path"))
        .env(VARIABLE, format!("{case} {partitions}"))
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<f64> = text.split_whitespace().filter_map(|it| it.parse().ok()).collect();
    let [millis, kibibytes] = figures[..] else {
        panic!("{text}{}", String::from_utf8_lossy(&output.stderr))
    };
    Row {
        partitions,
        millis,
        kibibytes,
    }
}

fn measure((_, work, max_messages): (&str, bool, &str), partitions: i32) -> Row {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a thread");
    let mut kibibytes = 0.0;
    let mut millis: Vec<f64> = (0..ROUNDS)
        .map(|round| {
            let store = store(partitions, work);
            let before = resident("VmRSS");
            let took = runtime.block_on(run(store, partitions, max_messages));
            if round == 0 {
                kibibytes = resident("VmHWM") - before;
            }
            took.as_secs_f64() * 1000.0
        })
        .collect();
    millis.sort_by(f64::total_cmp);
    Row {
        partitions,
        millis: millis[ROUNDS / 2],
        kibibytes,
    }
}

/// A table with a cursor for each partition.
fn store(partitions: i32, work: bool) -> MemoryStore {
    let store = MemoryStore::new();
    let consumer = Consumer {
        group_id: "g".into(),
        topic: "t".into(),
        backfill: None,
    };
    let next = NextOffset::new(if work { 0 } else { RECORDS }).expect("an offset");
    for partition in 0..partitions {
        store.put(&consumer, partition, Cursor::at(next));
    }
    store
}

/// One run, from the request to the JSON of its report.
async fn run(store: MemoryStore, partitions: i32, max_messages: &str) -> Duration {
    let settings = [
        ("KAFKA_TOPIC", "t"),
        ("KAFKA_GROUP_ID", "g"),
        ("MAX_MESSAGES", max_messages),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let parts: Parts<(_, _, _, _, _)> = Parts {
        config: Arc::new(Config::from_lookup(settings).expect("settings")),
        store,
        source: SimulatedKafka::new("t", partitions, RECORDS, "{\"n\":1}"),
        processor: each(|_: Record| async { Ok(()) }),
        dead_letters: DeadLetters::None,
        clock: SystemClock,
    };
    let (_sender, interrupt) = watch::channel(Interrupt::No);
    let started = Instant::now();
    let deadline = Deadline::after(Duration::from_mins(5), &SystemClock);
    let invoked = invoke(&parts, &Request::Run(RunRequest::default()), deadline, interrupt).await;
    let response = invoked.expect("a run always has a report").response;
    let json = serde_json::to_string(&response).expect("JSON");
    let took = started.elapsed();
    let Response::Run(report) = response else {
        panic!("no run: {json}")
    };
    assert_eq!(report.error, None);
    took
}

/// A line of `/proc/self/status`, in KiB.
fn resident(line: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let found = status.lines().find_map(|it| it.strip_prefix(line));
    let number = found.and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
    number.unwrap_or_else(|| panic!("no {line} in {status}"))
}
