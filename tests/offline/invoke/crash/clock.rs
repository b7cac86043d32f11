//! Clocks that only the test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kafka_consumer_lambda::clock::Clock;

/// How far a process's monotonic clock is behind the machine's: its short pauses, which wait for the
/// machine's clock, end at once. The longer waits of a run, for a write that is due or the deadline,
/// do not.
const BEHIND: Duration = Duration::from_secs(1);

/// One process's clocks: a monotonic clock of its own, and the wall clock that all share.
#[derive(Debug, Clone)]
pub(super) struct ProcessClock {
    began: Instant,
    worked_ms: Arc<AtomicU64>,
    wall_ms: Arc<AtomicI64>,
}

impl ProcessClock {
    pub(super) fn new(wall_ms: &Arc<AtomicI64>) -> Self {
        let now = Instant::now();
        Self {
            began: now.checked_sub(BEHIND).unwrap_or(now),
            worked_ms: Arc::default(),
            wall_ms: wall_ms.clone(),
        }
    }

    /// Time goes by while this process works.
    pub(super) fn work(&self, ms: u32) {
        self.worked_ms.fetch_add(ms.into(), Ordering::SeqCst);
        self.wall_ms.fetch_add(ms.into(), Ordering::SeqCst);
    }
}

impl Clock for ProcessClock {
    fn now(&self) -> Instant {
        self.began + Duration::from_millis(self.worked_ms.load(Ordering::SeqCst))
    }

    fn wall_ms(&self) -> i64 {
        self.wall_ms.load(Ordering::SeqCst)
    }
}
