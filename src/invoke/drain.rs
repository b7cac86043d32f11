//! The lanes of a run at work: which at once, which after which, and what is
//! left of the limit to those that can use it.

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt};
use tokio::sync::watch;

use super::lane::Lane;
use super::lanes::Lanes;
use super::time::Turns;
use super::{Interrupt, Run, Seams};
use crate::error::Error;
use crate::source::Source;

impl<D: Seams> Run<'_, D> {
    /// Works through all lanes. Those where a run has died come last: if one
    /// kills this run too, everything else is stored.
    ///
    /// | lanes | how many at once | time |
    /// |---|---|---|
    /// | where no run has died | as memory allows | all that is not kept for single records; half of it while small chunks wait |
    /// | quarantined, with small chunks | as memory allows | what is left of that |
    /// | quarantined, with single records, by [precedence](Lane::precedence) | one | a [slice](Run::slice) |
    pub(super) async fn work(&self, lanes: &mut Lanes, interrupt: &watch::Receiver<Interrupt>) {
        let singles = lanes.single_records.len();
        let until = self.before_single_records(singles > 0);
        let others_wait = !lanes.small_chunks.is_empty();
        self.first_part(until, others_wait)
            .drain(lanes, interrupt.clone())
            .await;
        if lanes.begin_small_chunks() {
            self.until(until, until).drain(lanes, interrupt.clone()).await;
        }
        let mut turns = Turns::new(singles, self.lot);
        while let Some(slice) = self.slice(&mut turns) {
            lanes.begin_single_records();
            self.until(slice, slice).drain(lanes, interrupt.clone()).await;
        }
        lanes.out_of_turn();
    }

    /// Works through the lanes that wait, some at a time, and hands what one
    /// could not use of the limit to those that can.
    pub(super) async fn drain(&self, lanes: &mut Lanes, mut interrupt: watch::Receiver<Interrupt>) {
        let mut running = FuturesUnordered::new();
        let mut interruptible = true;
        lanes.interrupted |= self.interrupted(*interrupt.borrow_and_update());
        loop {
            if !self.may_claim() {
                lanes.out_of_time();
            }
            if running.is_empty() && lanes.waiting.is_empty() && (!self.may_claim() || !lanes.share_leftover(self)) {
                break;
            }
            let free = self
                .sizes
                .partitions_at_once
                .saturating_sub(running.len())
                .min(lanes.waiting.len());
            let starting: Vec<Lane> = lanes.waiting.drain(..free).collect();
            match self.assign(starting) {
                Ok(assigned) => running.extend(assigned.into_iter().map(|lane| lane.work(self).boxed())),
                Err((refused, error)) => {
                    lanes.refused(refused, &error);
                    self.abort();
                    continue;
                }
            }
            tokio::select! {
                // First: no lane begins anything once it is known.
                biased;
                changed = interrupt.changed(), if interruptible => {
                    // Nobody can interrupt any more once the sender is gone.
                    interruptible = changed.is_ok();
                    lanes.interrupted |= self.interrupted(*interrupt.borrow());
                }
                Some(lane) = running.next(), if !running.is_empty() => lanes.ended(lane),
            }
        }
        lanes.done.append(&mut lanes.parked);
    }

    /// Fetches the partitions of these lanes from now on, with one call.
    fn assign(&self, mut lanes: Vec<Lane>) -> Result<Vec<Lane>, (Vec<Lane>, Error)> {
        let mut positions = vec![];
        for lane in &mut lanes {
            if let Some(position) = lane.position() {
                lane.is_assigned();
                positions.push(position);
            }
        }
        if positions.is_empty() {
            return Ok(lanes);
        }
        match self.source.assign(&positions) {
            Ok(()) => Ok(lanes),
            Err(error) => Err((lanes, error)),
        }
    }
}
