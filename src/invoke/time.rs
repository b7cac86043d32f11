//! The time of a run: when work ends, when a write is late, and who may stop it.
//!
//! Each wait of a run ends at one of these limits, and nothing else calculates
//! with deadlines:
//!
//! | wait | limit |
//! |---|---|
//! | reading the table, storing starts | `stop` |
//! | a request to the brokers | [`ask_until`](Run::ask_until): `POLL_TIMEOUT`, `stop` at most |
//! | the beginning of a claim | [`may_claim`](Run::may_claim): a second before `stop` |
//! | records, a pause between tries, the next chunk | `begin_until`: `stop`, or the end of a slice |
//! | the handler, a dead letter | `cut_at`: `stop`, or the end of a slice |
//! | the answer to a claim | [`claim_answer_until`](Run::claim_answer_until): half of the reserve |
//! | the answer to a flush | [`flush_answer_until`](Run::flush_answer_until): two thirds of it |
//! | the read that decides after it; the answer to a release; the removal of a note | [`last_write_at`](Run::last_write_at): four fifths of it |
//!
//! The reserve lies between `stop` and the deadline. Only the partitions that
//! are at work when the time ends, 16 at most, have a write to make in it, and
//! they make it at once: it does not depend on the number of partitions.

use std::future::Future;
use std::time::{Duration, Instant};

use super::{Interrupt, Run, Seams};
use crate::claim;
use crate::clock::Clock;
use crate::error::{Error, ErrorType};

/// With less time than this until its deadline a run does not begin: the last
/// writes, and a handler that blocks its thread, could overrun it.
const LEAST_RUN: Duration = Duration::from_millis(900);

/// No claim begins with less than this left for work, or with less than half of
/// the time for work where that is shorter: it would be released at once.
const LEAST_WORK: Duration = Duration::from_secs(1);

/// A slice that is shorter than this is not begun: the claim and the first fetch
/// would not be done in it.
const LEAST_SLICE: Duration = Duration::from_millis(250);

/// What a write may take for a process that was frozen past its deadline.
const TO_FIND_OUT: Duration = Duration::from_secs(2);

/// The turns of partitions that are worked on one after the other.
///
/// One of them, drawn by lot in each run, has a long slice, so that a handler
/// that takes long gets its time in some run; a place that follows from the
/// items would be the same in every run, since each turn writes them. The
/// others have equal slices of the rest.
///
/// | left | long slice | turn | slice |
/// |---|---|---|---|
/// | 16 s | 6 s | 1st of 3, the 2nd has the lot | 5 s |
/// | 11 s | 6 s | 2nd, with the lot | 6 s |
/// | 5 s | | 3rd | 5 s |
/// | 16 s | 6 s | the only one | 16 s |
#[derive(Debug)]
pub(super) struct Turns {
    left: usize,
    /// How many turns come before the one with the long slice; `None`: it is over.
    before_the_lot: Option<usize>,
}

impl Turns {
    pub(super) fn new(partitions: usize, lot: u64) -> Self {
        let drawn = |partitions| usize::try_from(lot % partitions).ok();
        let partitions_or_none = u64::try_from(partitions).ok().filter(|partitions| *partitions > 0);
        Self {
            left: partitions,
            before_the_lot: partitions_or_none.and_then(drawn),
        }
    }

    /// The next turn, with so much time left for all.
    fn next(&mut self, left: Duration, long: Duration) -> Option<Duration> {
        let turns = u32::try_from(self.left).ok().filter(|turns| *turns > 0)?;
        self.left -= 1;
        match self.before_the_lot {
            Some(0) => {
                self.before_the_lot = None;
                Some((left / turns).max(long).min(left))
            }
            Some(before) => {
                self.before_the_lot = Some(before - 1);
                Some(left.saturating_sub(long.max(left / turns)) / (turns - 1).max(1))
            }
            None => Some(left / turns),
        }
    }
}

impl<D: Seams> Run<'_, D> {
    /// When the partitions that are not read record by record must have ended:
    /// before [`long_slice`](Self::long_slice), if there are such.
    pub(super) fn before_single_records(&self, are_there: bool) -> Instant {
        let reserved = if are_there { self.long_slice() } else { Duration::ZERO };
        self.stop.at.checked_sub(reserved).unwrap_or(self.stop.at)
    }

    /// Time for a handler that takes long: more than the third of the run's
    /// time after which a record counts as deadly.
    fn long_slice(&self) -> Duration {
        self.whole_time() * 3 / 8
    }

    /// The same run, that begins work up to the middle between now and `until`
    /// if others wait for the rest, else up to `until`.
    pub(super) fn first_part(&self, until: Instant, others_wait: bool) -> Self {
        let until = if others_wait { self.half_way_to(until) } else { until };
        self.until(until, self.stop.at)
    }

    /// When the slice of the next partition ends, of those that are worked on
    /// one after the other; `None`: none is left, or no time for it.
    pub(super) fn slice(&self, turns: &mut Turns) -> Option<Instant> {
        let now = self.clock.now();
        let left = self.stop.at.saturating_duration_since(now);
        let slice = turns.next(left, self.long_slice())?;
        (slice >= LEAST_SLICE && !self.must_stop(Duration::ZERO)).then(|| now + slice)
    }

    /// The same run, that begins nothing more from `begin_until` on, and whose
    /// handlers are cut off at `cut_at`.
    pub(super) fn until(&self, begin_until: Instant, cut_at: Instant) -> Self {
        Self {
            begin_until,
            cut_at,
            id: self.id.clone(),
            halt: self.halt.clone(),
            dead_letters_left: self.dead_letters_left.clone(),
            ..*self
        }
    }

    /// The time for work, from the run's start to its last writes.
    pub(super) fn whole_time(&self) -> Duration {
        self.stop.at.saturating_duration_since(self.started)
    }

    /// The monotonic clock, in milliseconds since the run began.
    pub(super) fn now_ms(&self) -> u64 {
        let since = self.clock.now().saturating_duration_since(self.started);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// When a wait must end: when a cursor is due to be written, or the time is over.
    pub(super) fn wake_at(&self, due_ms: Option<u64>) -> Instant {
        due_ms.map_or(self.begin_until, |due| {
            (self.started + Duration::from_millis(due)).min(self.begin_until)
        })
    }

    /// Until when the answer to a claim is awaited: late enough for a slow
    /// table, and early enough for the release that follows.
    pub(super) fn claim_answer_until(&self) -> Instant {
        self.in_reserve(50)
    }

    /// Until when the answer to a flush is awaited.
    pub(super) fn flush_answer_until(&self) -> Instant {
        self.in_reserve(66)
    }

    /// When the last write must have been answered: a little before the
    /// deadline, so that the report still gets out.
    pub(super) fn last_write_at(&self) -> Instant {
        self.in_reserve(80)
    }

    /// So many per cent into the time between `stop` and the deadline. A
    /// process that wakes up after its deadline has a moment to find out whose
    /// the partitions are now.
    fn in_reserve(&self, percent: u32) -> Instant {
        let reserve = self.deadline.at.saturating_duration_since(self.stop.at);
        let now = self.clock.now();
        if now < self.deadline.at {
            self.stop.at + reserve * percent / 100
        } else {
            now + TO_FIND_OUT * percent / 100
        }
    }

    /// The middle between now and `until`.
    pub(super) fn half_way_to(&self, until: Instant) -> Instant {
        let now = self.clock.now();
        now + until.saturating_duration_since(now) / 2
    }

    /// When this run's claims end, in milliseconds since the epoch.
    pub(super) fn claim_until_ms(&self) -> i64 {
        self.deadline.wall_ms.saturating_add(claim::MARGIN_MS)
    }

    /// What the table answers by `until`, or an error that says that it did not.
    pub(super) async fn in_time<T>(
        &self,
        until: Instant,
        asked: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::time::timeout_at(until.into(), asked)
            .await
            .unwrap_or_else(|_| Err(self.too_late()))
    }

    /// Why a request to the table was not answered in time: the table, or this
    /// process, which was not running.
    fn too_late(&self) -> Error {
        let table = &self.config.table;
        if self.deadline.is_over(self.clock) {
            let message = format!(
                "this process was stopped past its deadline while a request to the table {table} was on its way. What \
                 is not stored comes again in the next run. Look at the function's timeout and its share of a processor"
            );
            return Error::new(ErrorType::Timeout, message);
        }
        let message = format!(
            "the table {table} did not answer before the run had to end. What is not stored comes again in the next \
             run. Look at DynamoDB's latency and throttling, or give the function more time"
        );
        Error::new(ErrorType::TableUnreachable, message)
    }

    /// Until when a question to the brokers may take.
    pub(super) fn ask_until(&self) -> Instant {
        (self.clock.now() + self.config.poll_timeout).min(self.stop.at)
    }

    /// Whether work that will take `expected` must not begin any more.
    pub(super) fn must_stop(&self, expected: Duration) -> bool {
        self.halting() || self.stop.is_over(self.clock) || self.clock.now() + expected > self.begin_until
    }

    /// Why nothing can be done in the time there is, if it is too short.
    pub(super) fn too_short(&self) -> Option<Error> {
        let left = self.deadline.at.saturating_duration_since(self.started);
        (left < LEAST_RUN).then(|| {
            Error::new(
                ErrorType::Timeout,
                format!(
                    "only {} ms are left until the deadline, and a run needs {} ms to store what it does. Nothing was \
                     read. Give the function more time",
                    left.as_millis(),
                    LEAST_RUN.as_millis()
                ),
            )
        })
    }

    /// Whether a partition may still be claimed.
    pub(super) fn may_claim(&self) -> bool {
        !self.must_stop(Duration::ZERO) && self.clock.now() + self.least_work() <= self.stop.at
    }

    fn least_work(&self) -> Duration {
        LEAST_WORK.min(self.whole_time() / 2)
    }

    /// Whether so little time is left that a handler, or the target of dead
    /// letters, may well decline to begin.
    pub(super) fn is_nearly_over(&self) -> bool {
        self.clock.now() + LEAST_WORK > self.begin_until
    }

    pub(super) fn halting(&self) -> bool {
        *self.halt.borrow() > Interrupt::No
    }

    /// Stops every lane after the chunk at work.
    pub(super) fn abort(&self) {
        self.interrupted(Interrupt::Finish);
    }

    pub(super) fn interrupted(&self, interrupt: Interrupt) -> bool {
        self.halt
            .send_if_modified(|halt| std::mem::replace(halt, interrupt.max(*halt)) < interrupt);
        interrupt > Interrupt::No
    }

    /// Resolves once the run is to end as urgently as `interrupt`.
    pub(super) async fn halted(&self, interrupt: Interrupt) {
        // The sender lives as long as the run: waiting cannot fail.
        let _ = self.halt.subscribe().wait_for(|halt| *halt >= interrupt).await;
    }

    /// Waits, but not past the time for work, nor when the run is stopped.
    pub(super) async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep_until((self.clock.now() + pause).min(self.begin_until).into()) => {}
            () = self.halted(Interrupt::Finish) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slices(partitions: usize, lot: u64, mut left: u64) -> Vec<u64> {
        let mut turns = Turns::new(partitions, lot);
        let mut slices = vec![];
        while let Some(slice) = turns.next(Duration::from_secs(left), Duration::from_secs(6)) {
            left -= slice.as_secs();
            slices.push(slice.as_secs());
        }
        slices
    }

    #[test]
    fn the_table_of_turns_is_true() {
        assert_eq!(slices(3, 1, 16), [5, 6, 5]);
        assert_eq!(slices(1, 7, 16), [16]);
        assert_eq!(slices(0, 7, 16), [0_u64; 0]);
    }

    #[test]
    fn wherever_the_lot_falls_one_has_the_long_slice_and_the_others_equal_ones() {
        for lot in 0..3 {
            let mut expected = vec![5; 3];
            expected[usize::try_from(lot).expect("small")] = 6;
            assert_eq!(slices(3, lot, 16), expected);
        }
        assert_eq!(slices(2, 3, 16), [8, 8], "an equal share is longer");
    }
}
