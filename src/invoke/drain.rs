//! Runs the workers: how many at once, in which order, and which of them get
//! what others leave of the limit.

use std::sync::atomic::Ordering;

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt};
use tokio::sync::watch;

use super::run::Run;
use super::time::Slices;
use super::worker::PartitionWorker;
use super::workers::Workers;
use super::{Backend, Interrupt};
use crate::error::Error;
use crate::source::Source;

impl<B: Backend> Run<'_, B> {
    /// Runs all workers. Those of partitions where a run crashed come last: if one
    /// crashes this run too, everything else is stored.
    ///
    /// | workers | how many at once | time |
    /// |---|---|---|
    /// | where no run crashed | as memory allows | all that is not reserved for single records; half of it if small chunks follow |
    /// | quarantined, with small chunks | as memory allows | what is left of that |
    /// | quarantined, with single records, by [precedence](PartitionWorker::precedence) | one | a [slice](Run::slice) |
    pub(super) async fn work(&self, workers: &mut Workers, interrupt: &watch::Receiver<Interrupt>) {
        let singles = workers.single_records.len();
        let until = self.before_single_records(singles > 0);
        let small_chunks_follow = !workers.small_chunks.is_empty();
        self.first_part(until, small_chunks_follow)
            .drain(workers, interrupt.clone())
            .await;
        if workers.begin_small_chunks() {
            self.until(until, until).drain(workers, interrupt.clone()).await;
        }
        let mut slices = Slices::new(singles, self.random);
        while let Some(slice) = self.slice(&mut slices) {
            workers.begin_single_records();
            self.until(slice, slice).drain(workers, interrupt.clone()).await;
        }
        workers.out_of_slices();
    }

    /// Runs the queued workers, some at a time, and then the parked ones on what
    /// others left of the limit.
    pub(super) async fn drain(&self, workers: &mut Workers, mut interrupt: watch::Receiver<Interrupt>) {
        let mut running = FuturesUnordered::new();
        let mut interruptible = true;
        workers.interrupted |= self.interrupt(*interrupt.borrow_and_update());
        loop {
            if !self.may_claim() {
                workers.out_of_time();
            }
            if running.is_empty() && workers.waiting.is_empty() && (!self.may_claim() || !workers.share_leftover(self))
            {
                break;
            }
            workers.stop(|topic| self.is_stopped(topic));
            let free = self
                .sizes
                .partitions_at_once
                .saturating_sub(running.len())
                .min(workers.waiting.len());
            let starting: Vec<PartitionWorker> = workers.waiting.drain(..free).collect();
            self.waiting.store(workers.waiting.len(), Ordering::Relaxed);
            match self.assign(starting) {
                Ok(assigned) => running.extend(assigned.into_iter().map(|worker| worker.work(self).boxed())),
                Err((starting, error)) => {
                    workers.not_assigned(starting, &error);
                    self.abort();
                    continue;
                }
            }
            tokio::select! {
                // First: no worker starts after an interrupt.
                biased;
                changed = interrupt.changed(), if interruptible => {
                    // Once the sender is dropped there is no interrupt any more.
                    interruptible = changed.is_ok();
                    workers.interrupted |= self.interrupt(*interrupt.borrow());
                }
                Some(worker) = running.next(), if !running.is_empty() => workers.ended(worker),
            }
        }
        workers.done.append(&mut workers.parked);
    }

    /// Assigns the partitions of these workers to the client, with one call.
    fn assign(&self, mut workers: Vec<PartitionWorker>) -> Result<Vec<PartitionWorker>, (Vec<PartitionWorker>, Error)> {
        let mut positions = vec![];
        for worker in &mut workers {
            if let Some(position) = worker.position() {
                worker.set_assigned();
                positions.push(position);
            }
        }
        if positions.is_empty() {
            return Ok(workers);
        }
        match self.source.assign(&positions) {
            Ok(()) => Ok(workers),
            Err(error) => Err((workers, error)),
        }
    }
}
