//! How long a start takes, and how much memory a run needs. Printed, because they are this machine's.

use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::packages::{BOTH, Package, template};
use crate::support::services::print;
use crate::support::world::World;

const ROUNDS: usize = 9;
const PARTITIONS: i32 = 4;
const RECORDS_A_PARTITION: usize = 250;
const ALL: usize = 1_000;

/// The figures of one process of a function.
struct Start {
    init: Took,
    first: Took,
    warm: Took,
    idle: Took,
    memory_kb: u32,
}

/// The figures of one part of it.
struct Took {
    time: Duration,
    /// CPU time: Lambda gives a function a share of a processor by its memory.
    processor: Duration,
}

#[tokio::test]
async fn starts_and_runs_are_measured_and_stay_within_their_memory() {
    print(&format!(
        "The median of {ROUNDS} starts. In ms, and in brackets what that is of a processor: until the first event is \
         requested; the first run, with {ALL} records; a warm run with {ALL}; a warm run with none. The peak of the memory."
    ));
    for package in BOTH {
        let mut starts = vec![];
        for _ in 0..ROUNDS {
            starts.push(start(package).await);
        }
        let ms = |of: fn(&Start) -> &Took| {
            let time = median(&starts, |start| of(start).time.as_secs_f64() * 1000.0);
            let processor = median(&starts, |start| of(start).processor.as_secs_f64() * 1000.0);
            format!("{time:6.1} ({processor:5.1})")
        };
        let memory_mb = median(&starts, |start| f64::from(start.memory_kb) / 1024.0);
        print(&format!(
            "{:<8} init {}  first {}  warm {}  idle {}  memory {memory_mb:.1} MB",
            format!("{package:?}").to_lowercase(),
            ms(|start| &start.init),
            ms(|start| &start.first),
            ms(|start| &start.warm),
            ms(|start| &start.idle),
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
    let init = Took {
        time: function.init,
        processor: processor_time(function.pid()),
    };
    let mut run = |expected: usize| {
        let before = processor_time(function.pid());
        let invocation = function.invoke(&json!({"action": "run"}));
        assert_eq!(invocation.success()["messages_processed"], expected);
        Took {
            time: invocation.duration,
            processor: processor_time(function.pid()).saturating_sub(before),
        }
    };
    let first = run(ALL);
    produce();
    let (warm, idle) = (run(ALL), run(0));
    Start {
        init,
        first,
        warm,
        idle,
        memory_kb: peak_kb(function.pid()),
    }
}

/// The CPU time of the threads of a process.
pub(crate) fn processor_time(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is there");
    let nanoseconds = threads.filter_map(|thread| {
        // A thread may have ended meanwhile.
        let statistics = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        statistics.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// The peak memory of a process.
pub(crate) fn peak_kb(pid: u32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    peak.expect("a line of Linux")
}

fn median(starts: &[Start], of: impl Fn(&Start) -> f64) -> f64 {
    let mut values: Vec<_> = starts.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
