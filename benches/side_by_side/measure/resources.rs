//! Memory, instructions and throughput.

use std::fs;

use super::{Bench, PARTITIONS, RECORDS, produce};
use crate::bare::Event;
use crate::figures::{Bar, Row, Sample};
use crate::programs::{self, Bare, Poller, run};
use crate::support::kafka;

impl Bench {
    pub(super) fn memory(&self) -> Vec<Row> {
        let mut world = self.world("memory", PARTITIONS);
        let [mut peak, mut poller] = [const { Sample(vec![]) }; 2];
        produce(&world, RECORDS);
        for _ in 0..self.rounds(3) {
            let own = world.of_another_group("memory");
            let mut product = programs::product(&own);
            run(&mut product, RECORDS);
            peak.add(mebibytes(product.pid(), "VmHWM"));
            if let Some(python) = &self.python {
                let mut python = Poller::start(python, &world);
                python.run(RECORDS);
                poller.add(mebibytes(python.pid(), "VmHWM"));
            }
        }
        let most = peak.max();
        let peak = Row::new("peak memory, 1,000 records", "MiB", peak)
            .beside("the usual poller", poller)
            .bar(Bar::at_most(most, 40.0, "MiB"));
        let runs = self.rounds(1_000);
        let records_each = 100;
        world.set("MAX_MESSAGES", records_each);
        produce(&world, u64::from(runs) * records_each);
        let mut product = programs::product(&world);
        let mut resident = Sample::default();
        for i in 0..runs {
            run(&mut product, records_each);
            if i >= runs / 10 {
                resident.add(mebibytes(product.pid(), "VmRSS"));
            }
        }
        let (earlier, later) = resident.0.split_at(resident.0.len() / 2);
        let grown = Sample(later.to_vec()).median() - Sample(earlier.to_vec()).median();
        let flat = Row::new(
            format!("memory over {runs} warm runs, from a tenth of them on"),
            "MiB",
            resident,
        )
        .bar(Bar::at_most(grown, 1.0, "MiB more in the later half"));
        vec![peak, flat]
    }

    /// Instructions, which are comparable on any machine under any load.
    pub(super) fn instructions(&self) -> Vec<Row> {
        let mut world = self.world("instructions", PARTITIONS);
        world.set("MAX_MESSAGES", "unlimited");
        let mut rows = vec![];
        for (more, records) in [(0, 0), (RECORDS, RECORDS), (9 * RECORDS, 10 * RECORDS)] {
            produce(&world, more);
            let mut taken = Sample::default();
            for _ in 0..self.rounds(3) {
                world.group = kafka::unique("instructions");
                if records == 0 {
                    // The first run may have to store start positions; the next one is idle.
                    world.run();
                }
                let Some(instructions) = programs::instructions(&world) else {
                    return rows;
                };
                taken.add(instructions);
            }
            let what = if records == 0 {
                "idle".to_owned()
            } else {
                format!("{records} records")
            };
            rows.push(Row::new(
                format!("instructions of a cold run, {what}"),
                "million",
                taken,
            ));
        }
        rows
    }

    pub(super) fn throughput(&self) -> Vec<Row> {
        let mut rows = self.unfiltered_throughput();
        rows.push(self.filtered_throughput());
        rows
    }

    /// With a filter that one of 1,000 records matches, beside the same run without.
    fn filtered_throughput(&self) -> Row {
        let records = 100_000;
        let mut world = self.world("filtered", PARTITIONS);
        world.set("MAX_MESSAGES", "unlimited");
        produce(&world, records);
        let mut without = programs::product(&world);
        // Each partition holds the same orders, from number 0 on.
        world.set(
            "FILTER_PATTERNS",
            r#"[{"value":{"id":[{"suffix":"000"}],"status":["placed"]}}]"#,
        );
        let mut with = programs::product(&world);
        let (mut speed, mut unfiltered) = (Sample::default(), Sample::default());
        for _ in 0..self.rounds(10) {
            self.forget_cursors(&world);
            speed.add(per_second(records, run(&mut with, records / 1_000)));
            self.forget_cursors(&world);
            unfiltered.add(per_second(records, run(&mut without, records)));
        }
        let what = format!("{records} records, of which a filter lets one in 1,000 pass");
        Row::new(what, "records/s", speed)
            .beside("without a filter", unfiltered)
            // A filter may take half as long again.
            .at_least_times(0.67)
    }

    fn unfiltered_throughput(&self) -> Vec<Row> {
        let mut rows = vec![];
        for (records, rounds) in [(100_000, self.rounds(10)), (1_000_000, self.rounds(4))] {
            let mut world = self.world("throughput", PARTITIONS);
            world.set("MAX_MESSAGES", "unlimited");
            produce(&world, records);
            let mut product = programs::product(&world);
            let mut bare = Bare::start(&world);
            let (mut speed, mut bare_speed) = (Sample::default(), Sample::default());
            for _ in 0..rounds {
                self.forget_cursors(&world);
                speed.add(per_second(records, run(&mut product, records)));
                let event = Event::Read { records, again: true };
                bare_speed.add(per_second(records, bare.invoke(&event).inside));
            }
            let peak = mebibytes(product.pid(), "VmHWM");
            let bare_peak = mebibytes(bare.pid(), "VmHWM");
            let row = Row::new(
                format!("{records} records, unlimited, JSON checked"),
                "records/s",
                speed,
            );
            rows.push(row.beside("bare", bare_speed).at_least_times(0.8));
            let row = Row::new(format!("peak memory, {records} records"), "MiB", Sample(vec![peak]));
            let budget = mebibytes_of(function_budget());
            rows.push(
                row.beside("bare", Sample(vec![bare_peak]))
                    .bar(Bar::at_most(peak, 40.0 + budget, "MiB")),
            );
        }
        rows
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(super) fn per_second(records: u64, millis: f64) -> f64 {
    records as f64 / millis * 1000.0
}

/// A line of `/proc/PID/status`.
pub(super) fn mebibytes(pid: u32, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there, on Linux");
    let of_line = status
        .lines()
        .find_map(|it| it.strip_prefix(line)?.split_whitespace().nth(1)?.parse().ok());
    let kibibytes: f64 = of_line.unwrap_or_else(|| panic!("no {line} in {status}"));
    kibibytes / 1024.0
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn mebibytes_of(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

/// The memory limit for records, in a function with the test support's memory.
fn function_budget() -> u64 {
    let lookup = [("AWS_LAMBDA_FUNCTION_MEMORY_SIZE".to_owned(), "256".to_owned())];
    let config = kafka_consumer_lambda::config::Config::from_lookup(lookup);
    config.expect("valid settings").max_memory_bytes
}
