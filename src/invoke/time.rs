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

/// What a write may take for a process that was frozen past its deadline.
const TO_FIND_OUT: Duration = Duration::from_secs(2);

impl<D: Seams> Run<'_, D> {
    /// The same run, with half of the time that is left to begin work in, if
    /// others wait for the rest.
    pub(super) fn first_half_if(&self, others_wait: bool) -> Self {
        let left = self.stop.at.saturating_duration_since(self.clock.now());
        let half = self.stop.at.checked_sub(left / 2).unwrap_or(self.stop.at);
        self.until(if others_wait { half } else { self.stop.at }, self.stop.at)
    }

    /// The same run, with a slice of the time that is left: where partitions
    /// are worked on one after the other, and `others` wait behind the first.
    ///
    /// The first one, which has waited the longest, has half of the time. So
    /// each has, every few runs, time for a handler that takes long. The others
    /// share what is left in equal slices.
    pub(super) fn slice(&self, is_first: bool, others: u32) -> Self {
        let now = self.clock.now();
        let left = self.stop.at.saturating_duration_since(now);
        let slice = if others == 0 {
            left
        } else if is_first {
            left / 2
        } else {
            left / (others + 1)
        };
        self.until(now + slice, now + slice)
    }

    /// The same run, that begins nothing more from `begin_until` on, and whose
    /// handlers are cut off at `cut_at`.
    fn until(&self, begin_until: Instant, cut_at: Instant) -> Self {
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
        let least = LEAST_WORK.min(self.whole_time() / 2);
        !self.must_stop(Duration::ZERO) && self.clock.now() + least <= self.stop.at
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
