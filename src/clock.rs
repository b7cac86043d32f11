//! The monotonic and the wall clock, as a seam: tests and the demo move them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time. The monotonic clock measures durations. The wall clock is for times
/// that other machines read, such as the end of a claim.
pub trait Clock: Send + Sync {
    /// The time of the monotonic clock.
    fn now(&self) -> Instant;

    /// The time of the wall clock, in milliseconds since the epoch.
    fn wall_ms(&self) -> i64;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn now(&self) -> Instant {
        Instant::now()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn wall_ms(&self) -> i64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// When a run must have ended, by both clocks: while a process is frozen, its
/// monotonic clock may stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// By the monotonic clock.
    pub at: Instant,
    /// By the wall clock, in milliseconds since the epoch.
    pub wall_ms: i64,
}

impl Deadline {
    /// A deadline `limit` from now.
    #[must_use]
    pub fn after(limit: Duration, clock: &impl Clock) -> Self {
        let limit_ms = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
        Self {
            at: clock.now() + limit,
            wall_ms: clock.wall_ms().saturating_add(limit_ms),
        }
    }

    /// The deadline at `wall_ms` (milliseconds since the epoch), as Lambda passes it.
    #[must_use]
    pub fn at_wall_ms(wall_ms: i64, clock: &impl Clock) -> Self {
        let left_ms = u64::try_from(wall_ms.saturating_sub(clock.wall_ms())).unwrap_or(0);
        Self {
            at: clock.now() + Duration::from_millis(left_ms),
            wall_ms,
        }
    }

    /// When processing must stop so that there is time for the last writes.
    ///
    /// The reserve is 5 % of `limit` and at least one second, but never more
    /// than half of it: a run of one second still works for half of it.
    #[must_use]
    pub fn less_reserve(self, clock: &impl Clock) -> Self {
        let left = self.at.saturating_duration_since(clock.now());
        let reserve = (left / 20).max(Duration::from_secs(1)).min(left / 2);
        let reserve_ms = i64::try_from(reserve.as_millis()).unwrap_or(0);
        Self {
            at: self.at.checked_sub(reserve).unwrap_or(self.at),
            wall_ms: self.wall_ms.saturating_sub(reserve_ms),
        }
    }

    /// Whether either clock has reached it.
    #[must_use]
    pub fn is_expired(&self, clock: &impl Clock) -> bool {
        clock.now() >= self.at || clock.wall_ms() >= self.wall_ms
    }
}
