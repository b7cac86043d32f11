//! The demo's clock: nobody waits a minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::{Clock, SystemClock};

/// The machine's clocks, moved on. Clones move together.
#[derive(Debug, Clone, Default)]
pub(super) struct DemoClock {
    wall_ahead_ms: Arc<AtomicU64>,
    monotonic_ahead_ms: Arc<AtomicU64>,
}

impl DemoClock {
    /// Time goes by while nobody works. The monotonic clock stays: nothing
    /// measures by it over this time.
    pub(super) fn pass(&self, time: Duration) {
        self.wall_ahead_ms.fetch_add(millis(time), Ordering::SeqCst);
    }

    /// Time goes by while somebody works, and measures how long it takes.
    pub(super) fn work(&self, time: Duration) {
        self.pass(time);
        self.monotonic_ahead_ms.fetch_add(millis(time), Ordering::SeqCst);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Clock for DemoClock {
    fn now(&self) -> Instant {
        SystemClock.now() + Duration::from_millis(self.monotonic_ahead_ms.load(Ordering::SeqCst))
    }

    fn wall_ms(&self) -> i64 {
        SystemClock
            .wall_ms()
            .saturating_add_unsigned(self.wall_ahead_ms.load(Ordering::SeqCst))
    }
}
