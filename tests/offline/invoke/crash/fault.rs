//! The effects of one process, numbered, and what happens at one of them.
//!
//! An effect is: a write of the table before it is applied; the same write before its response;
//! the start of a call of the handler, and its end.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The fault of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// The process ends at this effect: neither it nor a later one happens.
    CrashAt(usize),
    /// The process freezes at this effect until [`resume`](FaultInjector::resume).
    FreezeAt(usize),
    /// This write, counted from 0, gets no response.
    NoResponseTo(usize, LostResponse),
    /// An operator edits partition 0 just before this effect of partition 0.
    EditAt(usize, Edit),
}

impl Fault {
    /// The same fault for the next process: effects are counted over all processes, so those of the
    /// previous one are subtracted.
    pub(super) fn after(self, faults: &FaultInjector) -> Self {
        let left = |at: usize, had: &AtomicUsize| at - had.load(Ordering::SeqCst);
        match self {
            Self::None => Self::None,
            Self::CrashAt(at) => Self::CrashAt(left(at, &faults.effects)),
            Self::FreezeAt(at) => Self::FreezeAt(left(at, &faults.effects)),
            Self::NoResponseTo(at, lost) => Self::NoResponseTo(left(at, &faults.writes), lost),
            Self::EditAt(at, edit) => Self::EditAt(left(at, &faults.effects_of_0), edit),
        }
    }
}

/// Whether and when a write without a response is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LostResponse {
    pub(super) when: Applied,
    /// Whether the item can be read immediately afterwards.
    pub(super) can_be_read: bool,
}

/// When a write without a response is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applied {
    Never,
    AtOnce,
    /// Delayed: just before the next write of that partition.
    BeforeTheNext,
    /// Delayed: after the run.
    AfterTheRun,
}

/// What an operator does to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    /// Writes the whole item, with this next offset.
    Put(i64),
    /// Changes its offset, so that this is the next.
    Update(i64),
    Delete,
}

/// Counts the effects of one process and injects its fault.
pub(super) struct FaultInjector {
    fault: Fault,
    seed: usize,
    steps: AtomicUsize,
    effects: AtomicUsize,
    effects_of_0: AtomicUsize,
    writes: AtomicUsize,
    is_frozen: AtomicBool,
    was_injected: AtomicBool,
    injected: Notify,
    resumed: Notify,
}

impl FaultInjector {
    /// `seed` chooses an order in which the partitions take turns.
    pub(super) fn new(fault: Fault, seed: usize) -> Self {
        Self {
            fault,
            seed,
            steps: AtomicUsize::new(0),
            effects: AtomicUsize::new(0),
            effects_of_0: AtomicUsize::new(0),
            writes: AtomicUsize::new(0),
            is_frozen: AtomicBool::new(false),
            was_injected: AtomicBool::new(false),
            injected: Notify::new(),
            resumed: Notify::new(),
        }
    }

    /// Whether the fault was injected.
    pub(super) fn was_injected(&self) -> bool {
        self.was_injected.load(Ordering::SeqCst)
    }

    pub(super) fn has_lost_a_response(&self) -> bool {
        self.was_injected() && matches!(self.fault, Fault::NoResponseTo(..))
    }

    pub(super) fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    /// Resolves once the process has crashed or is frozen.
    pub(super) async fn stopped(&self) {
        self.injected.notified().await;
    }

    /// Resumes a frozen process.
    pub(super) fn resume(&self) {
        self.is_frozen.store(false, Ordering::SeqCst);
        self.resumed.notify_waiters();
    }

    /// The next effect, of `partition`. Returns the edit that an operator makes just before it.
    pub(super) async fn effect(&self, partition: i32) -> Option<Edit> {
        self.take_turns().await;
        self.while_frozen().await;
        let effect = self.effects.fetch_add(1, Ordering::SeqCst);
        let of_0 = if partition == 0 {
            self.effects_of_0.fetch_add(1, Ordering::SeqCst)
        } else {
            usize::MAX
        };
        match self.fault {
            Fault::CrashAt(at) | Fault::FreezeAt(at) if at == effect => {
                self.was_injected.store(true, Ordering::SeqCst);
                self.is_frozen.store(true, Ordering::SeqCst);
                self.injected.notify_one();
                self.while_frozen().await;
                None
            }
            Fault::EditAt(at, edit) if at == of_0 => {
                self.was_injected.store(true, Ordering::SeqCst);
                Some(edit)
            }
            _ => None,
        }
    }

    /// The next write. Returns `Some` if its response is lost.
    pub(super) fn write(&self) -> Option<LostResponse> {
        let write = self.writes.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::NoResponseTo(at, lost) if at == write => {
                self.was_injected.store(true, Ordering::SeqCst);
                Some(lost)
            }
            _ => None,
        }
    }

    /// Yields to other partitions: never, once or twice, depending on the seed.
    async fn take_turns(&self) {
        let step = self.steps.fetch_add(1, Ordering::SeqCst);
        let mixed = (step + 1).wrapping_mul(self.seed.wrapping_mul(2_654_435_769)) >> 7;
        for _ in 0..mixed % 3 {
            tokio::task::yield_now().await;
        }
    }

    async fn while_frozen(&self) {
        loop {
            let resumed = self.resumed.notified();
            if !self.is_frozen.load(Ordering::SeqCst) {
                return;
            }
            resumed.await;
        }
    }
}
