//! The state that outlives a process: logs, table, wall clock, and the history of the handler.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use kafka_consumer_lambda::Failure;
use kafka_consumer_lambda::claim::Cursor;
use kafka_consumer_lambda::config::{Config, OnFailure, StartPosition};
use kafka_consumer_lambda::event::{BackfillRequest, Request, RunRequest};
use kafka_consumer_lambda::record::{Chunk, NextOffset};
use kafka_consumer_lambda::report::{RunReport, Status};
use kafka_consumer_lambda::store::Consumer;
use kafka_consumer_lambda::store::memory::MemoryStore;

use super::super::consumer as live;
use super::brokers::Log;
use super::fault::{Edit, Fault};
use super::process::Process;

/// 2027-01-15, in milliseconds since the epoch.
pub(super) const BEGIN_MS: i64 = 1_800_000_000_000;

/// Longer than the back-off of a record that failed.
pub(super) const BACK_OFF: Duration = Duration::from_mins(16);

/// A call of the handler with one record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// How often the record failed before.
    pub(super) failed_before: u32,
    /// How many runs ended before.
    pub(super) runs_before: u32,
}

/// The initial state of a world.
#[derive(Clone)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) logs: Vec<Log>,
    pub(super) cursors: Vec<(i32, Cursor)>,
    pub(super) settings: &'static [(&'static str, &'static str)],
    pub(super) handler: fn(Call) -> Result<(), Failure>,
    /// How many calls of one partition are made at once, by key.
    pub(super) at_once: usize,
    /// How long one call of the handler takes.
    pub(super) call_ms: u32,
    pub(super) limit: Duration,
    /// How long after the end of every claim the next run starts.
    pub(super) pause: Duration,
    /// Whether records and a partition are added after the first run.
    pub(super) grows: bool,
    /// A backfill instead of live runs.
    pub(super) backfill: Option<fn() -> BackfillRequest>,
    /// The maximum number of runs without a fault until one is idle, that one included.
    pub(super) most_runs: usize,
}

impl Spec {
    pub(super) fn new(name: &'static str, logs: Vec<Log>) -> Self {
        Self {
            name,
            logs,
            cursors: vec![],
            settings: &[],
            handler: |_| Ok(()),
            at_once: 1,
            call_ms: 0,
            limit: Duration::from_mins(1),
            pause: Duration::from_secs(1),
            grows: false,
            backfill: None,
            most_runs: 2,
        }
    }
}

pub(super) fn cursor_at(next: i64) -> Cursor {
    Cursor::at(NextOffset::new(next).expect("an offset"))
}

/// What happened to the records, over all processes.
#[derive(Default)]
pub(super) struct History {
    /// In the order in which the handler settled them.
    pub(super) handled: Vec<(i32, i64)>,
    pub(super) failed: BTreeMap<(i32, i64), u32>,
    pub(super) poison: BTreeSet<(i32, i64)>,
    /// The first cursor of each partition.
    pub(super) starts: BTreeMap<i32, i64>,
    /// An operator's edit of partition 0, and how many records were handled before it.
    pub(super) edit: Option<(Edit, usize)>,
    /// The jumps that reports have named: partition, first and last offset.
    pub(super) named_lost: Vec<(i32, i64, i64)>,
    /// The jumps that were stored.
    pub(super) stored_lost: Vec<(i32, i64, i64)>,
    /// The records that were passed over, and those that reports have named.
    pub(super) stored_skipped: Vec<(i32, i64)>,
    pub(super) named_skipped: Vec<(i32, i64, i64)>,
    pub(super) runs: u32,
    /// Whether there was an item when the new partition was added.
    pub(super) grew_after_items: bool,
}

pub(super) struct World {
    pub(super) spec: Spec,
    pub(super) config: Arc<Config>,
    pub(super) table: MemoryStore,
    pub(super) logs: Arc<Mutex<Vec<Log>>>,
    pub(super) wall_ms: Arc<AtomicI64>,
    history: Mutex<History>,
}

/// How a run ended.
pub(super) struct Ended {
    /// `None`: the process crashed.
    pub(super) report: Option<RunReport>,
    writes: usize,
    /// The run could not determine whether a write was applied.
    pub(super) has_unknown_write: bool,
    /// Records were added since.
    has_grown: bool,
}

impl Ended {
    /// Whether the run read and wrote nothing, and nothing was added since.
    pub(super) fn is_idle(&self) -> bool {
        let is_well = |report: &RunReport| report.status == Status::Success && report.lag == Some(0);
        !self.has_grown && self.writes == 0 && self.report.as_ref().is_some_and(is_well)
    }
}

impl World {
    pub(super) fn new(spec: &Spec) -> Self {
        let own = [("KAFKA_TOPIC", "t"), ("KAFKA_GROUP_ID", "g")];
        let pairs = own.iter().chain(spec.settings);
        let pairs = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let world = Self {
            config: Arc::new(Config::from_lookup(pairs).expect("these are settings")),
            table: MemoryStore::new(),
            logs: Arc::new(Mutex::new(spec.logs.clone())),
            wall_ms: Arc::new(AtomicI64::new(BEGIN_MS)),
            history: Mutex::default(),
            spec: spec.clone(),
        };
        for (partition, cursor) in &spec.cursors {
            world.table.put(&world.consumer(), *partition, cursor.clone());
            world.history().starts.insert(*partition, cursor.next.get());
        }
        world
    }

    /// The consumer whose cursors the runs move.
    pub(super) fn consumer(&self) -> Consumer {
        let name = self.spec.backfill.map(|request| request().name.shared());
        Consumer {
            backfill: name,
            ..live()
        }
    }

    /// The request of each run.
    pub(super) fn request(&self) -> Request {
        let backfill = self.spec.backfill.map(|request| Request::Backfill(request()));
        backfill.unwrap_or_else(|| Request::Run(RunRequest::default()))
    }

    /// The stored bounds of a backfill.
    pub(super) fn bounds(&self, partition: i32) -> Option<(i64, i64)> {
        let bounds = self.cursor(partition)?.backfill?;
        Some((bounds.from.get(), bounds.to.get()))
    }

    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().expect("no panic with the lock held")
    }

    pub(super) fn log(&self, partition: i32) -> Log {
        let logs = self.logs.lock().expect("no panic with the lock held");
        logs[usize::try_from(partition).expect("a partition")].clone()
    }

    pub(super) fn partitions(&self) -> i32 {
        i32::try_from(self.logs.lock().expect("no panic with the lock held").len()).expect("a few")
    }

    pub(super) fn cursor(&self, partition: i32) -> Option<Cursor> {
        self.table.get(&self.consumer(), partition)
    }

    fn pass(&self, time: Duration) {
        let ms = i64::try_from(time.as_millis()).expect("minutes");
        self.wall_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// The whole table.
    pub(super) fn cursors(&self) -> Vec<Option<Cursor>> {
        (0..self.partitions()).map(|i| self.cursor(i)).collect()
    }

    /// Lets every claim expire, and then `pause` elapse.
    pub(super) fn pass_claims(&self) {
        self.pass(self.spec.limit + Duration::from_secs(10) + self.spec.pause);
    }

    /// Runs until `fault` is injected, with effects counted over all runs; `None`: the work was
    /// complete before. `seed` chooses the order of the partitions.
    pub(super) async fn run_until_fault(&self, mut fault: Fault, seed: usize) -> Option<Ended> {
        for _ in 0..=self.spec.most_runs {
            let process = Process::new(self, fault, seed);
            let report = process.work().await;
            process.lost_writes_arrive().await;
            let ended = self.ended(&process, report);
            if process.faults.was_injected() {
                return Some(ended);
            }
            if ended.is_idle() {
                return None;
            }
            fault = fault.after(&process.faults);
            self.pass_claims();
        }
        panic!("not done after {} runs", self.spec.most_runs)
    }

    /// Checks the promises for a run that has ended.
    pub(super) fn ended(&self, process: &Process<'_>, report: Option<RunReport>) -> Ended {
        if let Some(report) = &report {
            process.check_report(report);
            process.check_release();
        }
        let has_grown = self.spec.grows && self.history().runs == 0;
        self.history().runs += 1;
        if has_grown {
            self.grow();
        }
        Ended {
            report,
            has_grown,
            has_unknown_write: process.has_unknown_write(),
            writes: process.faults.writes(),
        }
    }

    /// Adds records to every partition, and a partition.
    fn grow(&self) {
        let mut logs = self.logs.lock().expect("no panic with the lock held");
        logs.iter_mut().for_each(Log::grow);
        let has_item = |i| {
            self.table
                .get(&self.consumer(), i32::try_from(i).expect("a few"))
                .is_some()
        };
        self.history().grew_after_items = (0..logs.len()).any(has_item);
        logs.push(Log::of([0, 1]));
    }

    /// Runs without a fault until one is idle, and returns how many that took. Then the work must be
    /// complete.
    pub(super) async fn recover(&self, seed: usize) -> usize {
        for runs in 1..=self.spec.most_runs {
            self.pass_claims();
            let process = Process::new(self, Fault::None, seed + runs);
            let report = process.work().await;
            if self.ended(&process, report).is_idle() {
                self.check_all_is_done();
                return runs;
            }
        }
        panic!(
            "not done after {} clean runs: {:?}",
            self.spec.most_runs,
            self.cursors()
        )
    }

    /// One run without a fault, at once.
    pub(super) async fn one_run(&self, seed: usize) -> RunReport {
        let process = Process::new(self, Fault::None, seed);
        let report = process.work().await.expect("it did not crash");
        process.check_report(&report);
        report
    }

    /// The partitions with a live claim, and their cursors.
    pub(super) fn claimed(&self) -> Vec<(i32, Cursor)> {
        let now = Some(self.wall_ms.load(Ordering::SeqCst));
        let cursors = (0..self.partitions()).filter_map(|i| Some((i, self.cursor(i)?)));
        cursors.filter(|(_, cursor)| cursor.claim_until_ms > now).collect()
    }

    /// Calls the handler with a chunk. Returns how many records it settles, and why not more.
    pub(super) fn handle(&self, chunk: &Chunk) -> (usize, Option<Failure>) {
        let mut history = self.history();
        let partition = chunk.partition().partition;
        for (settled, record) in chunk.records().iter().enumerate() {
            let key = (partition, record.offset);
            let call = Call {
                partition,
                offset: record.offset,
                failed_before: history.failed.get(&key).copied().unwrap_or(0),
                runs_before: history.runs,
            };
            if let Err(failure) = (self.spec.handler)(call) {
                *history.failed.entry(key).or_default() += 1;
                if matches!(failure, Failure::Poison(_)) {
                    history.poison.insert(key);
                }
                return (settled, Some(failure));
            }
            history.handled.push(key);
        }
        (chunk.len(), None)
    }

    /// Whether a cursor may be past this record.
    pub(super) fn may_be_passed(&self, partition: i32, offset: i64) -> bool {
        self.is_handled(partition, offset) || self.may_be_skipped(partition, offset)
    }

    pub(super) fn is_handled(&self, partition: i32, offset: i64) -> bool {
        self.history().handled.contains(&(partition, offset))
    }

    pub(super) fn may_be_skipped(&self, partition: i32, offset: i64) -> bool {
        let key = (partition, offset);
        let failed = self.history().failed.get(&key).copied().unwrap_or(0);
        self.config.on_failure == OnFailure::Skip
            && (self.log(partition).broken.contains(&offset)
                || self.history().poison.contains(&key)
                || failed >= self.config.max_attempts.get())
    }

    /// The first offset to read from a stored offset on: past deleted records or, with
    /// `ON_TRUNCATION=earliest`, the first record.
    pub(super) fn readable_from(&self, partition: i32, stored: i64) -> i64 {
        let log = self.log(partition);
        if stored > log.end {
            log.earliest
        } else {
            stored.max(log.earliest)
        }
    }

    /// The start of a partition that has existed from the beginning.
    pub(super) fn start_of(&self, partition: i32) -> i64 {
        let Some(log) = self.spec.logs.get(usize::try_from(partition).expect("a partition")) else {
            return 0;
        };
        if let Some((from, _)) = self.bounds(partition) {
            return from;
        }
        match self.config.start_position {
            StartPosition::Earliest => log.earliest,
            StartPosition::Latest => log.end,
            StartPosition::At { unix_ms } => log.between(unix_ms, i64::MAX).next().unwrap_or(log.end),
        }
    }
}
