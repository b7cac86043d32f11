//! How long a start takes, and how much memory a run needs. Printed, because they are this machine's.

use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::packages::{BOTH, Package, template};
use crate::support::services::say;
use crate::support::world::World;

const ROUNDS: usize = 9;
const PARTITIONS: i32 = 4;
const RECORDS_A_PARTITION: usize = 250;

/// What one process of a function took.
struct Start {
    init: Duration,
    first: Duration,
    warm: Duration,
    idle: Duration,
    memory_kb: u32,
}

#[tokio::test]
async fn starts_and_runs_are_printed_and_keep_to_their_memory() {
    say(&format!(
        "the median of {ROUNDS} starts, in ms: until the first event is asked for; the first run, with {all} records; \
         a warm run with {all}; a warm run with none; and the peak of the memory",
        all = PARTITIONS as usize * RECORDS_A_PARTITION
    ));
    for package in BOTH {
        let mut starts = vec![];
        for _ in 0..ROUNDS {
            starts.push(start(package).await);
        }
        let ms = |of: fn(&Start) -> Duration| median(&starts, |start| of(start).as_secs_f64() * 1000.0);
        let memory_mb = median(&starts, |start| f64::from(start.memory_kb) / 1024.0);
        say(&format!(
            "{:<8} init {:6.1}  first {:6.1}  warm {:6.1}  idle {:6.1}  memory {memory_mb:5.1} MB",
            format!("{package:?}").to_lowercase(),
            ms(|start| start.init),
            ms(|start| start.first),
            ms(|start| start.warm),
            ms(|start| start.idle),
        ));
        // A quarter of the default leaves room for a handler.
        let limit = template().memory_mb * 1024 / 4;
        assert!(
            starts.iter().all(|start| start.memory_kb < limit),
            "{package:?} took {memory_mb} MB"
        );
    }
}

async fn start(package: Package) -> Start {
    let world = World::new("start", PARTITIONS).await;
    let produce = || (0..PARTITIONS).for_each(|partition| world.produce(partition, RECORDS_A_PARTITION));
    produce();
    let mut function = package.start(&world);
    let mut run = |expected: usize| {
        let invocation = function.invoke(&json!({"action": "run"}));
        assert_eq!(invocation.success()["messages_processed"], expected);
        invocation.duration
    };
    let all = PARTITIONS as usize * RECORDS_A_PARTITION;
    let first = run(all);
    produce();
    let (warm, idle) = (run(all), run(0));
    Start {
        init: function.init,
        first,
        warm,
        idle,
        memory_kb: peak_kb(function.pid()),
    }
}

/// The most memory that a process has had at once.
pub(crate) fn peak_kb(pid: u32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    peak.expect("Linux says it")
}

fn median(starts: &[Start], of: impl Fn(&Start) -> f64) -> f64 {
    let mut values: Vec<_> = starts.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
