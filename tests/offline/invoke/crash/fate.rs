//! The effects of one process, numbered, and what happens at one of them.
//!
//! An effect is: a write of the table before it is applied; the same write
//! before it is answered; a call of the handler before it works, and after.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// What goes wrong in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Nothing,
    /// The process ends at this effect: neither it nor a later one happens.
    DeathAt(usize),
    /// The process stands still at this effect until somebody lets it go on.
    FrozenAt(usize),
    /// This write, counted from 0, gets no answer.
    NoAnswerTo(usize, Lost),
    /// An operator edits partition 0 just before this effect of partition 0.
    EditAt(usize, Edit),
}

impl Trouble {
    /// The same trouble as the next process sees it, once one without it has
    /// had its effects: what is counted goes on over all processes.
    pub(super) fn after(self, fate: &Fate) -> Self {
        let left = |at: usize, had: &AtomicUsize| at - had.load(Ordering::SeqCst);
        match self {
            Self::Nothing => Self::Nothing,
            Self::DeathAt(at) => Self::DeathAt(left(at, &fate.effects)),
            Self::FrozenAt(at) => Self::FrozenAt(left(at, &fate.effects)),
            Self::NoAnswerTo(at, lost) => Self::NoAnswerTo(left(at, &fate.writes), lost),
            Self::EditAt(at, edit) => Self::EditAt(left(at, &fate.effects_of_0), edit),
        }
    }
}

/// What becomes of a write without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) when: Applied,
    /// Whether the item can be read right afterwards.
    pub(super) can_be_read: bool,
}

/// When a write without an answer is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applied {
    Never,
    AtOnce,
    /// Still on its way: just before the next write of that partition.
    BeforeTheNext,
    /// Still on its way: after the run.
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

/// One process's way through its effects.
pub(super) struct Fate {
    trouble: Trouble,
    seed: usize,
    steps: AtomicUsize,
    effects: AtomicUsize,
    effects_of_0: AtomicUsize,
    writes: AtomicUsize,
    stands_still: AtomicBool,
    has_struck: AtomicBool,
    struck: Notify,
    thawed: Notify,
}

impl Fate {
    /// `seed` chooses an order in which the partitions take turns.
    pub(super) fn new(trouble: Trouble, seed: usize) -> Self {
        Self {
            trouble,
            seed,
            steps: AtomicUsize::new(0),
            effects: AtomicUsize::new(0),
            effects_of_0: AtomicUsize::new(0),
            writes: AtomicUsize::new(0),
            stands_still: AtomicBool::new(false),
            has_struck: AtomicBool::new(false),
            struck: Notify::new(),
            thawed: Notify::new(),
        }
    }

    /// Whether the trouble has come.
    pub(super) fn has_struck(&self) -> bool {
        self.has_struck.load(Ordering::SeqCst)
    }

    pub(super) fn has_lost_an_answer(&self) -> bool {
        self.has_struck() && matches!(self.trouble, Trouble::NoAnswerTo(..))
    }

    pub(super) fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    /// Resolves once the process is dead, or stands still.
    pub(super) async fn stopped(&self) {
        self.struck.notified().await;
    }

    /// Lets a process that stands still go on.
    pub(super) fn thaw(&self) {
        self.stands_still.store(false, Ordering::SeqCst);
        self.thawed.notify_waiters();
    }

    /// The next effect, of `partition`. The answer is what an operator does
    /// just before it.
    pub(super) async fn effect(&self, partition: i32) -> Option<Edit> {
        self.take_turns().await;
        self.while_it_stands().await;
        let effect = self.effects.fetch_add(1, Ordering::SeqCst);
        let of_0 = if partition == 0 {
            self.effects_of_0.fetch_add(1, Ordering::SeqCst)
        } else {
            usize::MAX
        };
        match self.trouble {
            Trouble::DeathAt(at) | Trouble::FrozenAt(at) if at == effect => {
                self.has_struck.store(true, Ordering::SeqCst);
                self.stands_still.store(true, Ordering::SeqCst);
                self.struck.notify_one();
                self.while_it_stands().await;
                None
            }
            Trouble::EditAt(at, edit) if at == of_0 => {
                self.has_struck.store(true, Ordering::SeqCst);
                Some(edit)
            }
            _ => None,
        }
    }

    /// The next write. The answer is what becomes of it if it gets no answer.
    pub(super) fn write(&self) -> Option<Lost> {
        let write = self.writes.fetch_add(1, Ordering::SeqCst);
        match self.trouble {
            Trouble::NoAnswerTo(at, lost) if at == write => {
                self.has_struck.store(true, Ordering::SeqCst);
                Some(lost)
            }
            _ => None,
        }
    }

    /// Steps aside for other partitions: never, once or twice, by the seed.
    async fn take_turns(&self) {
        let step = self.steps.fetch_add(1, Ordering::SeqCst);
        let mixed = (step + 1).wrapping_mul(self.seed.wrapping_mul(2_654_435_769)) >> 7;
        for _ in 0..mixed % 3 {
            tokio::task::yield_now().await;
        }
    }

    async fn while_it_stands(&self) {
        loop {
            let thawed = self.thawed.notified();
            if !self.stands_still.load(Ordering::SeqCst) {
                return;
            }
            thawed.await;
        }
    }
}
