//! The time of a run: when work ends, when a write is late, and who may stop it.

use std::future::Future;
use std::time::{Duration, Instant};

use super::{Interrupt, Run, Seams};
use crate::claim;
use crate::clock::Clock;
use crate::error::{Error, ErrorType};

/// What a write may take for a process that was frozen past its deadline.
const TO_FIND_OUT: Duration = Duration::from_secs(2);

impl<D: Seams> Run<'_, D> {
    /// The same run, with half of the time that is left: the rest is for others.
    pub(super) fn until_half_time(&self) -> Self {
        let left = self.stop.at.saturating_duration_since(self.clock.now());
        self.until(self.stop.at.checked_sub(left / 2).unwrap_or(self.stop.at))
    }

    /// The same run, that begins nothing more from `begin_until` on.
    pub(super) fn until(&self, begin_until: Instant) -> Self {
        Self {
            begin_until,
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

    /// When the last write must have been answered: a little before the
    /// deadline, so that the report still gets out. A process that wakes up
    /// after its deadline has a moment to find out whose the partitions are now.
    pub(super) fn last_write_at(&self) -> Instant {
        let left = self.deadline.at.saturating_duration_since(self.stop.at);
        let in_time = self.deadline.at.checked_sub(left / 10).unwrap_or(self.deadline.at);
        let now = self.clock.now();
        if now < self.deadline.at {
            in_time
        } else {
            now + TO_FIND_OUT
        }
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
        tokio::time::timeout_at(until.into(), asked).await.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorType::TableUnreachable,
                format!(
                    "the table {} did not answer before the run had to end. What is not stored comes again in the \
                     next run. Look at DynamoDB's latency and throttling, or give the function more time",
                    self.config.table
                ),
            ))
        })
    }

    /// Until when a question to the brokers may take.
    pub(super) fn ask_until(&self) -> Instant {
        (self.clock.now() + self.config.poll_timeout).min(self.stop.at)
    }

    /// Whether work that will take `expected` must not begin any more.
    pub(super) fn must_stop(&self, expected: Duration) -> bool {
        self.halting() || self.stop.is_over(self.clock) || self.clock.now() + expected > self.begin_until
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
