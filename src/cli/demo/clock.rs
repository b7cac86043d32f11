//! The demo's clock, which is moved forward instead of waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::{Clock, SystemClock};

/// The machine's clocks, moved forward. Clones move together.
#[derive(Debug, Clone, Default)]
pub(super) struct DemoClock {
    wall_ahead_ms: Arc<AtomicU64>,
    monotonic_ahead_ms: Arc<AtomicU64>,
}

impl DemoClock {
    /// Time between runs. The monotonic clock stays: no duration is measured over
    /// this time.
    pub(super) fn advance(&self, time: Duration) {
        self.wall_ahead_ms.fetch_add(millis(time), Ordering::SeqCst);
    }

    /// Time within a run, which measures its own duration.
    pub(super) fn advance_in_run(&self, time: Duration) {
        self.advance(time);
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
