//! The workers of a run by their state, and what is left of the limit.

use std::collections::VecDeque;

use super::Backend;
use super::run::Run;
use super::worker::{EndReason, PartitionWorker};
use crate::claim::ChunkLimit;
use crate::error::Error;
use crate::plan::{self, Demand};

/// The workers of a run that are not running. None of them has a claim: a worker
/// claims its partition when it starts, and ends its claim before it returns.
#[derive(Default)]
pub(super) struct Workers {
    /// To be started.
    pub(super) waiting: VecDeque<PartitionWorker>,
    /// Quarantined, because a run crashed there: started after all others, with
    /// small chunks.
    pub(super) small_chunks: Vec<PartitionWorker>,
    /// Quarantined, and run one after the other, with single records.
    pub(super) single_records: Vec<PartitionWorker>,
    /// Without a share, or with all of it used.
    pub(super) parked: Vec<PartitionWorker>,
    /// Done in this run.
    pub(super) done: Vec<PartitionWorker>,
    /// Records of the limit that no worker has as its share.
    pub(super) leftover: u64,
    /// Whether the run has a limit of records.
    pub(super) limited: bool,
    pub(super) interrupted: bool,
}

impl Workers {
    /// Adds a new worker.
    pub(super) fn add(&mut self, worker: PartitionWorker) {
        match worker.quarantine() {
            None => self.begin(worker),
            Some(ChunkLimit::Small) => self.small_chunks.push(worker),
            Some(ChunkLimit::Single) => self.single_records.push(worker),
        }
    }

    /// A partition without a share is not claimed, unless it only has a jump to store.
    fn begin(&mut self, worker: PartitionWorker) {
        if worker.ledger.share() == 0 && worker.demand().records > 0 {
            self.parked.push(worker);
        } else {
            self.waiting.push_back(worker);
        }
    }

    /// Queues all quarantined workers with small chunks; false if there is none.
    pub(super) fn begin_small_chunks(&mut self) -> bool {
        let workers = std::mem::take(&mut self.small_chunks);
        let any = !workers.is_empty();
        for worker in workers {
            self.begin(worker);
        }
        any
    }

    /// Queues the first worker of those with single records, with what is left of
    /// the limit.
    pub(super) fn begin_single_records(&mut self) {
        let first = (0..self.single_records.len()).min_by_key(|&i| self.single_records[i].precedence());
        let Some(mut worker) = first.map(|i| self.single_records.remove(i)) else {
            return;
        };
        let missing = worker.demand().records.saturating_sub(worker.ledger.share());
        let share = missing.min(self.leftover);
        self.leftover -= share;
        worker.ledger.grant(share);
        self.begin(worker);
    }

    /// Ends those with single records for which this run has no slice left.
    pub(super) fn out_of_slices(&mut self) {
        self.waiting.extend(self.single_records.drain(..));
        self.out_of_time();
    }

    pub(super) fn ended(&mut self, mut worker: PartitionWorker) {
        if matches!(worker.outcome.end, Some(EndReason::ShareUsed)) && worker.outcome.write_error.is_none() {
            self.parked.push(worker);
        } else {
            self.leftover = self.leftover.saturating_add(worker.ledger.give_back());
            self.done.push(worker);
        }
    }

    /// Ends what was not started, and claims none of it: the run's time has ended.
    pub(super) fn out_of_time(&mut self) {
        for mut worker in self.waiting.drain(..) {
            worker.outcome.end = Some(EndReason::OutOfTime);
            self.done.push(worker);
        }
    }

    /// Ends what was not started of the topics that are stopped.
    pub(super) fn stop(&mut self, is_stopped: impl Fn(&str) -> bool) {
        let (stopped, waiting): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|worker| is_stopped(&worker.partition.topic));
        self.waiting = waiting;
        for mut worker in stopped {
            worker.outcome.end = Some(EndReason::OutOfTime);
            self.done.push(worker);
        }
    }

    /// Ends workers whose partitions the client did not assign.
    pub(super) fn not_assigned(&mut self, starting: Vec<PartitionWorker>, error: &Error) {
        for mut worker in starting {
            worker.outcome.end = Some(EndReason::Failed(error.clone()));
            self.done.push(worker);
        }
    }

    /// Shares the leftover among the parked workers that can use it, and queues
    /// them; false if there is no leftover, or none can use it.
    pub(super) fn share_leftover<B: Backend>(&mut self, run: &Run<'_, B>) -> bool {
        if !self.limited || self.leftover == 0 {
            return false;
        }
        let demands: Vec<Demand> = self.parked.iter().map(PartitionWorker::demand).collect();
        let shares = plan::fair_shares(&demands, Some(self.leftover));
        let parked = std::mem::take(&mut self.parked);
        for (mut worker, share) in parked.into_iter().zip(shares) {
            if share > 0 {
                self.leftover -= share;
                worker.reopen(run, share);
                self.waiting.push_back(worker);
            } else {
                self.parked.push(worker);
            }
        }
        !self.waiting.is_empty()
    }
}
