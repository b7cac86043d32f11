//! The state of one partition within a run: polled, settled, failed -> the
//! next step.
//!
//! The ledger reads no clock and does no I/O. The run executes what
//! [`Ledger::step`] returns and records the result in the ledger.
//!
//! | state | step |
//! |---|---|
//! | the partition has failed | [`Stop`](Step::Stop): `Failed` |
//! | settled up to the end | [`Stop`](Step::Stop): `CaughtUp` |
//! | the run must stop | [`Stop`](Step::Stop): `OutOfTime` |
//! | settled records, not written for 5 s (in quarantine: not written) | [`Flush`](Step::Flush) |
//! | buffered records in quarantine, without a mark at the first one | [`Flush`](Step::Flush) |
//! | buffered records | [`Process`](Step::Process) |
//! | share used up | [`Stop`](Step::Stop): `ShareUsed` |
//! | else | [`Poll`](Step::Poll) |

mod chunk;
mod quarantine;

use std::num::NonZeroUsize;

use crate::claim::{Quarantine, SMALL_CHUNK};
use crate::record::{NextOffset, Record};
use chunk::ChunkSize;
pub(crate) use chunk::parallel_chunk;
use quarantine::QuarantineProgress;

/// How long settled records may wait for the write of their cursor: what a
/// crash repeats at most, besides the chunk in flight.
pub const FLUSH_EVERY_MS: u64 = 5_000;

/// Target for the processing time of one chunk. Long enough that reading the
/// clocks between chunks costs nothing; short enough that an interrupted run
/// has something settled.
pub const CHUNK_TARGET_MS: u64 = 250;

/// The first chunk, before the speed is known.
pub const FIRST_CHUNK: usize = 16;

/// The largest chunk, in records.
pub const MAX_CHUNK: usize = 4_096;

/// A quarantine ends after this many small chunks that the process survived:
/// as many records as the largest chunk holds, if the handler is fast.
pub const CLEAN_CHUNKS: usize = MAX_CHUNK / SMALL_CHUNK;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Wait for up to this many records.
    Poll(usize),
    /// Process up to this many of the buffered records that match the filter, from
    /// the first on, and the filtered ones between them.
    Process(usize),
    /// Write the cursor and go on.
    Flush,
    /// Nothing more to do here, for now or for good.
    Stop(Stop),
}

/// Why a partition's work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Settled up to the end seen at the start.
    CaughtUp,
    /// Its share of the budget is used; a later grant may follow.
    ShareUsed,
    /// The run's time has expired, or the run was interrupted.
    OutOfTime,
    /// A record failed, or the partition cannot be read on.
    Failed,
}

/// Progress of one partition within one run: offsets, share, chunk size and
/// quarantine.
#[derive(Debug, Clone)]
pub struct Ledger {
    stored: NextOffset,
    settled: NextOffset,
    polled: NextOffset,
    to: NextOffset,
    buffered: usize,
    share: u64,
    chunk: ChunkSize,
    quarantine: QuarantineProgress,
    /// The quarantine stored on the item: a crash is judged by it.
    stored_quarantine: Option<Quarantine>,
    /// The offset of the mark on the item.
    marked: Option<NextOffset>,
    /// Nothing is handed over for now.
    waiting: bool,
    flushed_at_ms: u64,
    failed: bool,
}

impl Ledger {
    /// A partition with its cursor stored at `stored`, to be read from `from`
    /// up to `to` (exclusive); at most `share` records.
    ///
    /// `quarantine` is set if an earlier run crashed. `now_ms` is a monotonic clock.
    #[must_use]
    pub fn new(
        stored: NextOffset,
        (from, to): (NextOffset, NextOffset),
        share: u64,
        quarantine: Option<Quarantine>,
        now_ms: u64,
    ) -> Self {
        Self {
            stored,
            settled: from,
            polled: from,
            to,
            buffered: 0,
            share,
            chunk: ChunkSize::new(None, NonZeroUsize::MIN),
            quarantine: QuarantineProgress::new(quarantine, from),
            stored_quarantine: quarantine,
            marked: None,
            waiting: false,
            flushed_at_ms: now_ms,
            failed: false,
        }
    }

    /// The same, with chunks of `batch` records where so many can be had.
    #[must_use]
    pub fn in_batches(self, batch: Option<usize>) -> Self {
        self.in_parallel(batch, NonZeroUsize::MIN)
    }

    /// The same, with chunks for calls that are made so many at once; `batch` is the number of
    /// records in all of these, or `None` if each takes one.
    #[must_use]
    pub fn in_parallel(self, batch: Option<usize>, at_once: NonZeroUsize) -> Self {
        Self {
            chunk: ChunkSize::new(batch, at_once),
            ..self
        }
    }

    /// The size of a batch: a call costs the same for any number of records up to it.
    /// `None`: chunks are no batches.
    #[must_use]
    pub fn batch(&self) -> Option<usize> {
        self.chunk.batch()
    }

    /// What to do next. `stop`: the run's time has expired, or it was interrupted.
    #[must_use]
    pub fn step(&self, stop: bool, now_ms: u64) -> Step {
        if self.failed {
            return Step::Stop(Stop::Failed);
        }
        if self.settled >= self.to {
            return Step::Stop(Stop::CaughtUp);
        }
        if stop {
            return Step::Stop(Stop::OutOfTime);
        }
        if self.flush_due(now_ms) {
            return Step::Flush;
        }
        if self.buffered > 0 && self.hands_over() && self.marked != Some(self.settled) {
            return Step::Flush;
        }
        if self.buffered > 0 {
            return Step::Process(self.buffered.min(self.chunk_now()));
        }
        if self.share == 0 {
            return Step::Stop(Stop::ShareUsed);
        }
        Step::Poll(self.poll_limit())
    }

    /// How many records the next poll may return.
    #[must_use]
    pub fn poll_limit(&self) -> usize {
        let most = if self.quarantine.is_active() {
            self.chunk_now()
        } else {
            MAX_CHUNK
        };
        usize::try_from(self.share).unwrap_or(usize::MAX).min(most)
    }

    /// Whether the next flush writes the mark at [`settled_at`](Self::settled_at):
    /// a quarantine is active, and records are buffered.
    #[must_use]
    pub fn hands_over(&self) -> bool {
        self.quarantine.is_active() && self.buffered > 0 && !self.waiting
    }

    /// Whether the run waits before it hands anything over: until then no flush writes
    /// the mark, and the next hand-over writes it again.
    pub fn set_waiting(&mut self, waiting: bool) {
        self.waiting = waiting;
    }

    fn flush_due(&self, now_ms: u64) -> bool {
        // The stored quarantine, because a crash from here on is judged by it.
        let in_quarantine = self.stored_quarantine.is_some();
        self.unwritten() && (in_quarantine || now_ms.saturating_sub(self.flushed_at_ms) >= FLUSH_EVERY_MS)
    }

    /// Unequal, not above: `ON_TRUNCATION=earliest` moves a cursor back.
    fn unwritten(&self) -> bool {
        self.settled != self.stored
    }

    fn chunk_now(&self) -> usize {
        self.quarantine.limited(self.chunk.get())
    }

    /// Adds a poll's records: those before the end are buffered, and their
    /// number is returned. The rest belongs to a later run.
    pub fn polled(&mut self, records: &[Record]) -> usize {
        let taken = records
            .iter()
            .take_while(|record| record.offset < self.to.get())
            .count();
        if self.buffered == 0 && taken > 0 {
            self.stand_at(&records[0]);
        }
        if let Some(next) = records[..taken].last().and_then(|last| NextOffset::after(last.offset)) {
            self.polled = next;
        }
        if taken < records.len() {
            // Everything before the end was delivered: only gaps remain.
            self.polled = self.to;
        }
        self.buffered += taken;
        self.share = self.share.saturating_sub(taken as u64);
        self.settle_gap();
        taken
    }

    /// `first` is the first buffered record. Nothing lies between the settled
    /// offset and it, so the cursor may move to the record itself.
    pub fn stand_at(&mut self, first: &Record) {
        if let Some(at) = NextOffset::new(first.offset) {
            debug_assert!(at >= self.settled);
            self.settled = at;
            self.quarantine.relax(at, 0);
        }
    }

    /// The end of the partition was reached, and it is not below the end seen
    /// at the start: what lies between are control records and gaps.
    pub fn reached_end(&mut self) {
        self.polled = self.to;
        self.settle_gap();
    }

    /// The first `count` buffered records are settled; `last` is the last of them.
    pub fn settled(&mut self, count: usize, last: &Record) {
        self.move_past(count, last);
        self.quarantine.relax(self.settled, count);
    }

    /// As [`settled`](Self::settled), of records that the handler did not get: they
    /// do not show that it survives a small chunk.
    pub fn settled_without_handler(&mut self, count: usize, last: &Record) {
        self.move_past(count, last);
        let singles = if self.quarantine.is_single() { count } else { 0 };
        self.quarantine.relax(self.settled, singles);
    }

    fn move_past(&mut self, count: usize, last: &Record) {
        debug_assert!(count <= self.buffered && last.offset >= self.settled.get());
        if let Some(next) = NextOffset::after(last.offset) {
            self.settled = next;
        }
        self.buffered -= count;
        self.settle_gap();
    }

    /// A chunk was not finished in time: smaller chunks from here on, as if the
    /// run had crashed.
    pub fn tighten_quarantine(&mut self) {
        self.quarantine.tighten(self.settled, self.to);
    }

    /// The quarantine that applies from [`settled_at`](Self::settled_at) on.
    #[must_use]
    pub fn quarantine(&self) -> Option<Quarantine> {
        self.quarantine.get()
    }

    /// Where all that was delivered is settled, the cursor may pass the gap to
    /// the end as well.
    fn settle_gap(&mut self) {
        if self.buffered == 0 && self.polled >= self.to {
            self.settled = self.to;
        }
    }

    /// Adapts the chunk size: a chunk of `count` records took `took_ms`, and
    /// the next one aims at [`CHUNK_TARGET_MS`].
    /// In batches, only their size counts.
    pub fn measured(&mut self, count: usize, took_ms: u64) {
        self.chunk.measured(count, took_ms);
    }

    /// How long a call takes at least, after a chunk of which `count` records were settled in `took_ms`.
    #[must_use]
    pub fn call_ms(&self, count: usize, took_ms: u64) -> u64 {
        self.chunk.call_ms(count, took_ms)
    }

    /// The next chunk holds one record.
    pub fn hand_over_one(&mut self) {
        self.chunk.one();
    }

    /// Whether `matching` buffered records, that match the filter, do not fill a batch, or the
    /// batches of calls that are made at once, and more can be fetched.
    #[must_use]
    pub fn awaits_more(&self, matching: usize) -> bool {
        self.chunk.worth_waiting_for().is_some_and(|records| matching < records) && !self.has_all()
    }

    /// The cursor was written at [`settled_at`](Self::settled_at).
    pub fn flushed(&mut self, now_ms: u64) {
        self.stored = self.settled;
        self.stored_quarantine = self.quarantine.get();
        self.marked = self.hands_over().then_some(self.settled);
        self.flushed_at_ms = now_ms;
    }

    /// The partition's work ends here, with an error.
    pub fn fail(&mut self) {
        self.failed = true;
    }

    /// Adds a share that other partitions did not use.
    pub fn grant(&mut self, share: u64) {
        self.share = self.share.saturating_add(share);
    }

    /// How many records more may be read here.
    #[must_use]
    pub fn share(&self) -> u64 {
        self.share
    }

    /// Returns the unused share: nothing more can be read here.
    pub fn give_back(&mut self) -> u64 {
        std::mem::take(&mut self.share)
    }

    /// Where the cursor may be written: everything before is settled.
    #[must_use]
    pub fn settled_at(&self) -> NextOffset {
        self.settled
    }

    /// Where the cursor is stored.
    #[must_use]
    pub fn stored_at(&self) -> NextOffset {
        self.stored
    }

    /// The end seen at the start.
    #[must_use]
    pub fn to(&self) -> NextOffset {
        self.to
    }

    /// Whether to fetch nothing more for now: everything up to the end is
    /// polled, the share is used, or a quarantine is active, in which nothing is
    /// fetched while the handler works.
    #[must_use]
    pub fn has_all(&self) -> bool {
        self.polled >= self.to || self.share == 0 || self.quarantine.is_active()
    }

    /// A write with an unknown result turned out to be applied: the stored
    /// cursor is `stored`.
    pub fn found_at(&mut self, stored: NextOffset) {
        self.stored = stored;
    }

    /// Whether nothing more is left to fetch once `records` are
    /// [`polled`](Self::polled).
    #[must_use]
    pub fn completed_by(&self, records: &[Record]) -> bool {
        let up_to = records.last().and_then(|last| NextOffset::after(last.offset));
        up_to.is_some_and(|next| next >= self.to) || records.len() as u64 >= self.share
    }

    /// How many offsets remain to be read, 0 after a failure.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        if self.failed {
            0
        } else {
            self.polled.distance_to(self.to)
        }
    }

    /// When a cursor that is settled but not written is due, by the monotonic clock.
    #[must_use]
    pub fn due_at_ms(&self) -> Option<u64> {
        // A failed write is not repeated.
        (self.unwritten() && !self.failed).then(|| self.flushed_at_ms.saturating_add(FLUSH_EVERY_MS))
    }
}
