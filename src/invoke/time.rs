//! The time limits of a run, and its interruption.
//!
//! Each wait of a run ends at one of these limits. No other module calculates
//! with deadlines:
//!
//! | wait | limit |
//! |---|---|
//! | reading the table, storing starts | `stop` |
//! | a request to the brokers | [`request_until`](Run::request_until): `POLL_TIMEOUT` from now, at most `stop` |
//! | the start of a claim | [`may_claim`](Run::may_claim): a second before `stop` |
//! | records, the pause before a retry, the next chunk | `begin_until`: `stop`, or the end of a slice |
//! | the handler, a call of a function, a dead letter | `cut_at`: `stop`, or the end of a slice |
//! | the pause before a destination that is throttled or not ready is called again | `begin_until` |
//! | the response to a claim | [`claim_response_until`](Run::claim_response_until): half of the reserve |
//! | the response to a flush | [`flush_response_until`](Run::flush_response_until): two thirds of it |
//! | the read that decides after it; the response to a release; the removal of `unreported` | [`last_write_at`](Run::last_write_at): four fifths of it |
//!
//! The reserve lies between `stop` and the deadline. Only the partitions that
//! are in flight at `stop`, 16 at most, have a write to make in it, and they make
//! it at once: the reserve does not depend on the number of partitions.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::run::Run;
use super::{Backend, Interrupt};
use crate::claim;
use crate::clock::Clock;
use crate::error::{Error, ErrorType};

/// A run with less time than this until its deadline does not start: the last
/// writes, and a handler that blocks its thread, could overrun it.
const MIN_RUN: Duration = Duration::from_millis(900);

/// No claim starts with less than this left for work, or with less than half of
/// the working time where that is shorter: it would be released at once.
pub(crate) const MIN_WORK: Duration = Duration::from_secs(1);

/// A shorter slice is not started: it would end before the first fetch.
const MIN_SLICE: Duration = Duration::from_millis(250);

/// The time for writes of a process that was frozen past its deadline.
const WRITE_TIME_AFTER_FREEZE: Duration = Duration::from_secs(2);

/// The time slices of partitions that are read one after the other.
///
/// One of them, chosen at random in each run, has a long slice, so that a slow
/// handler gets enough time in some run. An order that follows from the items
/// would be the same in every run, since each slice writes them. The others have
/// equal slices of the rest.
///
/// | left | long slice | partition | slice |
/// |---|---|---|---|
/// | 16 s | 6 s | 1st of 3; the 2nd has the long slice | 5 s |
/// | 11 s | 6 s | 2nd, with the long slice | 6 s |
/// | 5 s | | 3rd | 5 s |
/// | 16 s | 6 s | the only one | 16 s |
#[derive(Debug)]
pub(super) struct Slices {
    left: usize,
    /// How many slices come before the long one; `None`: it is used.
    before_the_long: Option<usize>,
}

impl Slices {
    pub(super) fn new(partitions: usize, random: u64) -> Self {
        let drawn = |partitions| usize::try_from(random % partitions).ok();
        let partitions_or_none = u64::try_from(partitions).ok().filter(|partitions| *partitions > 0);
        Self {
            left: partitions,
            before_the_long: partitions_or_none.and_then(drawn),
        }
    }

    /// The next slice, with so much time left for all.
    fn next(&mut self, left: Duration, long: Duration) -> Option<Duration> {
        let slices = u32::try_from(self.left).ok().filter(|slices| *slices > 0)?;
        self.left -= 1;
        match self.before_the_long {
            Some(0) => {
                self.before_the_long = None;
                Some((left / slices).max(long).min(left))
            }
            Some(before) => {
                self.before_the_long = Some(before - 1);
                Some(left.saturating_sub(long.max(left / slices)) / (slices - 1).max(1))
            }
            None => Some(left / slices),
        }
    }
}

impl<B: Backend> Run<'_, B> {
    /// When the partitions that are not read record by record must have ended:
    /// with a [`long_slice`](Self::long_slice) left, if there are others.
    pub(super) fn before_single_records(&self, are_any: bool) -> Instant {
        let reserved = if are_any { self.long_slice() } else { Duration::ZERO };
        self.stop.at.checked_sub(reserved).unwrap_or(self.stop.at)
    }

    /// The time for a slow handler: more than the third of the working time after
    /// which an unfinished record counts as a crash.
    fn long_slice(&self) -> Duration {
        self.working_time() * 3 / 8
    }

    /// The same run, which starts work up to the middle between now and `until`
    /// if others need the rest, else up to `until`.
    pub(super) fn first_part(&self, until: Instant, others_follow: bool) -> Self {
        let until = if others_follow { self.half_way_to(until) } else { until };
        self.until(until, self.stop.at)
    }

    /// When the slice of the next partition ends, of those that are read one
    /// after the other; `None`: none is left, or no time for it.
    pub(super) fn slice(&self, slices: &mut Slices) -> Option<Instant> {
        let now = self.clock.now();
        let left = self.stop.at.saturating_duration_since(now);
        let slice = slices.next(left, self.long_slice())?;
        (slice >= MIN_SLICE && !self.must_stop(Duration::ZERO)).then(|| now + slice)
    }

    /// The same run, which starts nothing from `begin_until` on, and cuts off
    /// handlers at `cut_at`.
    pub(super) fn until(&self, begin_until: Instant, cut_at: Instant) -> Self {
        Self {
            begin_until,
            cut_at,
            id: self.id.clone(),
            halt: self.halt.clone(),
            waiting: self.waiting.clone(),
            stopped_topics: self.stopped_topics.clone(),
            dead_letters_left: self.dead_letters_left.clone(),
            ..*self
        }
    }

    /// The time from the run's start to `stop`.
    pub(super) fn working_time(&self) -> Duration {
        self.stop.at.saturating_duration_since(self.started)
    }

    /// The monotonic clock, in milliseconds since the run began.
    pub(super) fn now_ms(&self) -> u64 {
        let since = self.clock.now().saturating_duration_since(self.started);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// When a wait must end: when a cursor is due to be written, or at `begin_until`.
    pub(super) fn wake_at(&self, due_ms: Option<u64>) -> Instant {
        due_ms.map_or(self.begin_until, |due| {
            (self.started + Duration::from_millis(due)).min(self.begin_until)
        })
    }

    /// When the wait for the response to a claim ends: late enough for a slow
    /// table, and early enough for the release that follows.
    pub(super) fn claim_response_until(&self) -> Instant {
        self.in_reserve(50)
    }

    /// When the wait for the response to a flush ends.
    pub(super) fn flush_response_until(&self) -> Instant {
        self.in_reserve(66)
    }

    /// When the wait for the last write ends: before the deadline, so that there
    /// is time for the report.
    pub(super) fn last_write_at(&self) -> Instant {
        self.in_reserve(80)
    }

    /// So many per cent into the time between `stop` and the deadline. A process
    /// that was frozen past its deadline gets a moment to find out whether its
    /// claims are still valid.
    fn in_reserve(&self, percent: u32) -> Instant {
        let reserve = self.deadline.at.saturating_duration_since(self.stop.at);
        let now = self.clock.now();
        if now < self.deadline.at {
            self.stop.at + reserve * percent / 100
        } else {
            now + WRITE_TIME_AFTER_FREEZE * percent / 100
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

    /// The result of a request to the table, or an error if there is none by `until`.
    pub(super) async fn with_time_limit<T>(
        &self,
        until: Instant,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::time::timeout_at(until.into(), request)
            .await
            .unwrap_or_else(|_| Err(self.table_timeout()))
    }

    /// The error of a request to the table that timed out, because the table was
    /// slow, or because this process was frozen.
    fn table_timeout(&self) -> Error {
        let table = &self.config.table;
        if self.deadline.is_expired(self.clock) {
            let what = format!(
                "this process was frozen past its deadline while a request to the table {table} was in flight. The \
                 next run reads again what was not stored"
            );
            return Error::new(ErrorType::Timeout, what).next("Check the function's timeout and its CPU share");
        }
        let what = format!(
            "the table {table} did not respond before the run had to end. The next run reads again what was not stored"
        );
        Error::new(ErrorType::TableUnreachable, what)
            .next("Check DynamoDB's latency and throttling, or give the function more time")
    }

    /// When a request to the brokers that starts now must end.
    pub(super) fn request_until(&self) -> Instant {
        (self.clock.now() + self.config.poll_timeout).min(self.stop.at)
    }

    /// Whether it is too late to start work that will take `expected`.
    pub(super) fn must_stop(&self, expected: Duration) -> bool {
        self.halting() || self.stop.is_expired(self.clock) || self.clock.now() + expected > self.begin_until
    }

    /// The error of a run that has too little time to start.
    pub(super) fn too_short(&self) -> Option<Error> {
        let left = self.deadline.at.saturating_duration_since(self.started);
        (left < MIN_RUN).then(|| {
            let what = format!(
                "only {} ms are left until the deadline, and a run needs {} ms to store its cursors. Nothing was read",
                left.as_millis(),
                MIN_RUN.as_millis()
            );
            Error::new(ErrorType::Timeout, what).next("Give the function more time")
        })
    }

    /// Whether a partition may still be claimed.
    pub(super) fn may_claim(&self) -> bool {
        !self.must_stop(Duration::ZERO) && self.clock.now() + self.least_work() <= self.stop.at
    }

    fn least_work(&self) -> Duration {
        MIN_WORK.min(self.working_time() / 2)
    }

    /// Whether so little time is left that a handler, or the target of dead
    /// letters, may decline to start.
    pub(super) fn is_nearly_out_of_time(&self) -> bool {
        self.clock.now() + MIN_WORK > self.begin_until
    }

    /// Whether a partition waits for one of those in flight to end. The caller makes
    /// room for it: no other does.
    pub(super) fn another_waits(&self) -> bool {
        let one_less = |waiting: usize| waiting.checked_sub(1);
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
    }

    pub(super) fn halting(&self) -> bool {
        *self.halt.borrow() > Interrupt::No
    }

    /// Stops every worker after the chunk in flight.
    pub(super) fn abort(&self) {
        self.interrupt(Interrupt::Finish);
    }

    /// Stops the workers of `topic` after the chunk in flight. Other topics may have
    /// another handler.
    pub(super) fn stop_topic(&self, topic: &Arc<str>) {
        let mut stopped = self.stopped_topics.lock().unwrap_or_else(PoisonError::into_inner);
        stopped.insert(Arc::clone(topic));
    }

    pub(super) fn is_stopped(&self, topic: &str) -> bool {
        let stopped = self.stopped_topics.lock().unwrap_or_else(PoisonError::into_inner);
        stopped.contains(topic)
    }

    /// Passes `interrupt` on to the workers, if it is more urgent than the last
    /// one. Whether the run is interrupted.
    pub(super) fn interrupt(&self, interrupt: Interrupt) -> bool {
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

    fn slices(partitions: usize, random: u64, mut left: u64) -> Vec<u64> {
        let mut next = Slices::new(partitions, random);
        let mut slices = vec![];
        while let Some(slice) = next.next(Duration::from_secs(left), Duration::from_secs(6)) {
            left -= slice.as_secs();
            slices.push(slice.as_secs());
        }
        slices
    }

    #[test]
    fn slices_are_as_in_the_table() {
        assert_eq!(slices(3, 1, 16), [5, 6, 5]);
        assert_eq!(slices(1, 7, 16), [16]);
        assert_eq!(slices(0, 7, 16), [0_u64; 0]);
    }

    #[test]
    fn whichever_partition_is_chosen_one_has_the_long_slice_and_the_others_equal_ones() {
        for random in 0..3 {
            let mut expected = vec![5; 3];
            expected[usize::try_from(random).expect("small")] = 6;
            assert_eq!(slices(3, random, 16), expected);
        }
        assert_eq!(slices(2, 3, 16), [8, 8], "an equal share is longer");
    }
}
