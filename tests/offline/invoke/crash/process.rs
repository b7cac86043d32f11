//! One process: the real `invoke`, with a table and a handler that count their effects and check the
//! promises at each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use kafka_consumer_lambda::by_key;
use kafka_consumer_lambda::claim::{Cursor, CursorWrite, RunId};
use kafka_consumer_lambda::clock::Deadline;
use kafka_consumer_lambda::config::StartPosition;
use kafka_consumer_lambda::dead_letter::target::DeadLetters;
use kafka_consumer_lambda::error::{Error, ErrorType};
use kafka_consumer_lambda::invoke::{Interrupt, Parts, Response, invoke};
use kafka_consumer_lambda::processor::{Processor, Progress, RunContext};
use kafka_consumer_lambda::record::Chunk;
use kafka_consumer_lambda::report::{RunReport, UnprocessedRange};
use kafka_consumer_lambda::store::{Consumer, Store, StoredCursor, WriteResult};
use tokio::sync::watch;

use super::brokers::{Brokers, key};
use super::clock::ProcessClock;
use super::fault::{Applied, Edit, Fault, FaultInjector};
use super::world::World;

/// A run here takes milliseconds of real time: one that takes longer than this hangs.
const HANGS_AFTER: Duration = Duration::from_secs(20);

pub(super) struct Process<'a> {
    pub(super) faults: FaultInjector,
    world: &'a World,
    brokers: Brokers,
    clock: ProcessClock,
    changes: Mutex<Changes>,
}

/// The changes that this process has made to the table.
#[derive(Default)]
struct Changes {
    /// The partitions that it has claimed, and the run of each claim.
    claims: BTreeMap<i32, Option<RunId>>,
    /// Records that were passed over without the handler.
    skipped: Vec<(i32, i64)>,
    /// Jumps over offsets that retention deleted: first and last.
    lost: Vec<(i32, i64, i64)>,
    /// Writes without a response that are still to be applied.
    late: Vec<(i32, CursorWrite, Applied)>,
    /// Reads of this item fail.
    unreadable: Option<i32>,
    /// What the handler settled.
    handled: BTreeSet<(i32, i64)>,
    /// Partitions with a write whose result the run could not determine.
    may_have_been_applied: Vec<i32>,
}

impl<'a> Process<'a> {
    pub(super) fn new(world: &'a World, fault: Fault, seed: usize) -> Self {
        Self {
            faults: FaultInjector::new(fault, seed),
            brokers: Brokers::new(&world.logs),
            clock: ProcessClock::new(&world.wall_ms),
            changes: Mutex::default(),
            world,
        }
    }

    /// The whole run; `None` if the process crashes, which drops all that is in flight.
    pub(super) async fn work(&self) -> Option<RunReport> {
        tokio::select! {
            biased;
            () = self.faults.stopped() => None,
            report = self.invoked() => Some(report),
        }
    }

    /// The whole run.
    pub(super) async fn invoked(&self) -> RunReport {
        let parts: Parts<(_, _, _, _, _)> = Parts {
            dead_letters: DeadLetters::None,
            config: self.world.config.clone(),
            store: self,
            source: &self.brokers,
            processor: by_key(self.world.spec.at_once, self),
            clock: self.clock.clone(),
        };
        let (_sender, interrupt) = watch::channel(Interrupt::No);
        let deadline = Deadline::after(self.world.spec.limit, &self.clock);
        let request = self.world.request();
        let invoked = tokio::time::timeout(HANGS_AFTER, invoke(&parts, &request, deadline, interrupt));
        let invoked = invoked.await.expect("the run hangs").expect("a run has a report");
        match invoked.response {
            Response::Run(report) => *report,
            Response::Plan(_) => unreachable!("the request is a run"),
        }
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().expect("no panic with the lock held")
    }

    /// The present cursors on which this process has a claim.
    pub(super) fn claimed(&self) -> Vec<(i32, Cursor)> {
        let partitions: Vec<i32> = self.changes().claims.keys().copied().collect();
        let cursors = partitions.into_iter().filter_map(|i| Some((i, self.world.cursor(i)?)));
        cursors.collect()
    }

    /// The next effect, and an operator's edit just before it.
    async fn effect(&self, partition: i32) {
        if let Some(edit) = self.faults.effect(partition).await {
            self.edit(edit);
        }
    }

    fn edit(&self, edit: Edit) {
        let table = &self.world.table;
        match (edit, self.world.cursor(0)) {
            (Edit::Put(next), _) => table.put(&self.world.consumer(), 0, super::world::cursor_at(next)),
            // Writing the same offset is no edit.
            (Edit::Update(next), Some(cursor)) if cursor.next.get() != next => {
                let next = super::world::cursor_at(next).next;
                table.put(&self.world.consumer(), 0, Cursor { next, ..cursor });
            }
            (Edit::Delete, Some(_)) => table.delete(&self.world.consumer(), 0),
            // Nothing to change.
            (Edit::Update(_) | Edit::Delete, _) => return,
        }
        self.changes().claims.remove(&0);
        let mut history = self.world.history();
        history.edit = Some((edit, history.handled.len()));
        if let Edit::Put(next) = edit {
            history.starts.entry(0).or_insert(next);
        }
    }

    /// Applies a write under its conditions, and checks what it did.
    async fn apply(&self, partition: i32, write: &CursorWrite) -> WriteResult {
        let before = self.world.cursor(partition);
        let table = &self.world.table;
        let written = table.write(&self.world.consumer(), partition, write).await;
        let written = written.expect("a table in memory");
        if written == WriteResult::Applied {
            let after = self.world.cursor(partition).expect("it was written");
            self.note_acknowledged(partition, before.as_ref(), &after);
            self.note_claim(partition, before.as_ref(), &after);
            self.check_move(partition, before.as_ref(), &after);
        }
        written
    }

    /// A note is removed only after the report that names it was logged. A process that crashes after
    /// that returns no report here.
    fn note_acknowledged(&self, partition: i32, before: Option<&Cursor>, after: &Cursor) {
        let noted = before.and_then(|before| before.unreported.as_ref());
        let Some(note) = noted.filter(|_| after.unreported.is_none()) else {
            return;
        };
        let mut history = self.world.history();
        let lost = note.lost.iter().map(|it| (partition, it.range.first, it.range.last));
        history.named_lost.extend(lost);
        let skipped = note.skipped.iter().map(|it| (partition, it.range.first, it.range.last));
        history.named_skipped.extend(skipped);
    }

    fn note_claim(&self, partition: i32, before: Option<&Cursor>, after: &Cursor) {
        let had = before.and_then(|before| before.claim_until_ms);
        if after.claim_until_ms.is_none() {
            self.changes().claims.remove(&partition);
        } else if after.claim_until_ms != had {
            self.changes().claims.insert(partition, after.run.clone());
        }
    }

    /// P1 and P2, for one write.
    fn check_move(&self, partition: i32, before: Option<&Cursor>, after: &Cursor) {
        let log = self.world.log(partition);
        let after = after.next.get();
        let Some(before) = before.map(|before| before.next.get()) else {
            let mut history = self.world.history();
            history.starts.entry(partition).or_insert(after);
            let is_live = self.world.spec.backfill.is_none();
            let is_earliest = is_live && self.world.config.start_position == StartPosition::Earliest;
            assert!(
                !is_earliest || after <= log.earliest,
                "a new cursor of {partition} at {after}"
            );
            return;
        };
        if after == before {
            return;
        }
        assert!(
            after >= before || before > log.end,
            "the cursor of {partition} moved back from {before} to {after}"
        );
        for offset in log.between(self.world.readable_from(partition, before), after) {
            assert!(
                self.world.may_be_passed(partition, offset),
                "the cursor of {partition} moved from {before} to {after} past {offset}, which was not settled"
            );
            if !self.world.is_handled(partition, offset) {
                self.changes().skipped.push((partition, offset));
                self.world.history().stored_skipped.push((partition, offset));
            }
        }
        if before < log.earliest && after >= log.earliest {
            self.changes().lost.push((partition, before, log.earliest - 1));
            self.world
                .history()
                .stored_lost
                .push((partition, before, log.earliest - 1));
        }
    }

    /// P1 and P3, for one call of the handler.
    fn check_call(&self, chunk: &Chunk) {
        let partition = chunk.partition().partition;
        if partition == 0 && self.world.history().edit.is_some() {
            // The run has not detected the edit yet.
            return;
        }
        let ours = self.changes().claims.get(&partition).cloned();
        let stored = self.world.cursor(partition).expect("it is claimed");
        assert!(
            ours == Some(stored.run) && stored.claim_until_ms.is_some(),
            "{partition} is processed without a claim"
        );
        let log = self.world.log(partition);
        let offsets: Vec<i64> = chunk.records().iter().map(|record| record.offset).collect();
        if self.world.spec.at_once > 1 {
            return self.check_parallel(partition, stored.next.get(), &offsets);
        }
        let (first, end) = (offsets[0], offsets[offsets.len() - 1] + 1);
        assert_eq!(
            offsets,
            log.between(first, end).collect::<Vec<_>>(),
            "a chunk with a hole"
        );
        for offset in log.between(self.world.readable_from(partition, stored.next.get()), first) {
            assert!(
                self.world.may_be_passed(partition, offset),
                "{partition}-{first} is handled before {offset}"
            );
        }
    }

    /// No record is handled twice in a run, nor before an earlier one of its key.
    fn check_parallel(&self, partition: i32, stored: i64, offsets: &[i64]) {
        let log = self.world.log(partition);
        for offset in offsets {
            let is_repeated = self.changes().handled.contains(&(partition, *offset));
            assert!(!is_repeated, "{partition}-{offset} is handled twice");
            for earlier in log.between(self.world.readable_from(partition, stored), *offset) {
                assert!(
                    key(*offset).is_none_or(|key_here| key(earlier) != Some(key_here))
                        || offsets.contains(&earlier)
                        || self.world.may_be_passed(partition, earlier),
                    "{partition}-{offset} is handled before {earlier} of its key"
                );
            }
        }
    }

    /// P5: what was passed over is named, and nothing else.
    pub(super) fn check_report(&self, report: &RunReport) {
        let mut skipped = self.changes().skipped.clone();
        let mut lost = self.changes().lost.clone();
        skipped.sort_unstable();
        lost.sort_unstable();
        let named = report
            .skipped
            .iter()
            .map(|skipped| (skipped.place.partition, skipped.range.first));
        let named: Vec<_> = named.collect();
        assert!(
            skipped.iter().all(|passed| named.contains(passed)),
            "passed over: {skipped:?}; named: {named:?}"
        );
        let named = ranges(&report.lost);
        // A jump whose write is unknown is named here, and again by the run that stores it.
        let is_certain = self.changes().may_have_been_applied.is_empty();
        // What an earlier run stored and did not report is named by a later one.
        let earlier = self.world.history().stored_lost.clone();
        let is_stored = |range: &(i32, i64, i64)| lost.contains(range) || earlier.contains(range);
        assert!(
            lost.iter().all(|range| named.contains(range)) && (!is_certain || named.iter().all(is_stored)),
            "lost, as named: {named:?}; as stored: {lost:?}, and before: {earlier:?}"
        );
        let mut history = self.world.history();
        history.named_lost.extend(named);
        history.named_skipped.extend(ranges(&report.skipped));
        drop(history);
        self.check_last_offsets(report);
    }

    /// Every reported offset is stored, unless an operator or a late write changed it.
    fn check_last_offsets(&self, report: &RunReport) {
        for (partition, last) in &report.last_offsets.entries {
            let changes = self.changes();
            let is_late = changes.late.iter().any(|(of, ..)| *of == partition.partition);
            let is_edited = partition.partition == 0 && self.world.history().edit.is_some();
            let stored = self
                .world
                .cursor(partition.partition)
                .map(|cursor| cursor.next.last_processed());
            assert!(
                is_late || is_edited || stored.is_some_and(|stored| stored >= *last),
                "{partition}: reported {last}, stored {stored:?}"
            );
        }
    }

    /// Whether the run could not determine whether a write was applied.
    pub(super) fn has_unknown_write(&self) -> bool {
        !self.changes().may_have_been_applied.is_empty()
    }

    /// A run that ends leaves no claim, unless a response was lost.
    pub(super) fn check_release(&self) {
        let claimed = self.claimed();
        assert!(
            claimed.is_empty() || self.faults.has_lost_a_response(),
            "left behind: {claimed:?}"
        );
    }

    /// Applies the writes that were delayed when the run ended.
    pub(super) async fn lost_writes_arrive(&self) {
        let late = std::mem::take(&mut self.changes().late);
        for (partition, write, _) in late {
            self.apply(partition, &write).await;
        }
    }

    /// Applies the delayed writes of `partition` before its next write.
    async fn earlier_writes_arrive(&self, partition: i32) {
        let late = std::mem::take(&mut self.changes().late);
        for (of, write, when) in late {
            if of == partition && when == Applied::BeforeTheNext {
                self.apply(partition, &write).await;
            } else {
                self.changes().late.push((of, write, when));
            }
        }
    }
}

/// What a report names as skipped or lost: partition, first and last offset.
fn ranges(named: &[UnprocessedRange]) -> Vec<(i32, i64, i64)> {
    let range = |it: &UnprocessedRange| (it.place.partition, it.range.first, it.range.last);
    named.iter().map(range).collect()
}

impl Store for &Process<'_> {
    async fn load(&self, consumer: &Consumer) -> Result<Vec<StoredCursor>, Error> {
        self.world.table.load(consumer).await
    }

    async fn load_one(&self, consumer: &Consumer, partition: i32) -> Result<Option<Cursor>, Error> {
        if self.changes().unreadable == Some(partition) {
            self.changes().may_have_been_applied.push(partition);
            return Err(Error::new(ErrorType::TableUnreachable, "the table does not respond"));
        }
        self.world.table.load_one(consumer, partition).await
    }

    async fn write(&self, consumer: &Consumer, partition: i32, write: &CursorWrite) -> Result<WriteResult, Error> {
        assert_eq!(*consumer, self.world.consumer(), "the cursor of another consumer");
        self.effect(partition).await;
        self.earlier_writes_arrive(partition).await;
        let Some(lost) = self.faults.write() else {
            let written = self.apply(partition, write).await;
            self.effect(partition).await;
            return Ok(written);
        };
        match lost.when {
            Applied::Never => {}
            Applied::AtOnce => {
                self.apply(partition, write).await;
            }
            when => self.changes().late.push((partition, write.clone(), when)),
        }
        self.changes().unreadable = (!lost.can_be_read).then_some(partition);
        Ok(WriteResult::Unknown("the response was lost".into()))
    }
}

impl Processor for &Process<'_> {
    async fn process(&self, chunk: &Chunk, _: &RunContext) -> Progress {
        self.check_call(chunk);
        let partition = chunk.partition().partition;
        self.effect(partition).await;
        self.clock.work(self.world.spec.call_ms);
        let (settled, stop) = self.world.handle(chunk);
        let handled = chunk.records()[..settled].iter();
        let handled = handled.map(|record| (partition, record.offset));
        self.changes().handled.extend(handled);
        self.effect(partition).await;
        Progress { settled, stop }
    }
}
