//! The lanes of a run at work: which at once, which after which, and what is
//! left of the budget to those that can use it.

use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt};
use tokio::sync::watch;

use super::lane::Lane;
use super::lanes::Lanes;
use super::{Interrupt, Run, Seams, WRITES_AT_ONCE};
use crate::source::Source;

impl<D: Seams> Run<'_, D> {
    /// Works through all lanes. Those where a run has died come last, each
    /// alone: if one kills this run too, everything else is stored, and it is
    /// known whose record it was.
    pub(super) async fn work(&self, lanes: &mut Lanes, interrupt: &watch::Receiver<Interrupt>) {
        let in_time_for = |suspects: bool| {
            if suspects {
                self.until_half_time()
            } else {
                self.until(self.stop.at)
            }
        };
        in_time_for(!lanes.suspects.is_empty())
            .drain(lanes, interrupt.clone())
            .await;
        while lanes.next_suspect() {
            in_time_for(!lanes.suspects.is_empty())
                .drain(lanes, interrupt.clone())
                .await;
        }
    }

    /// Works through the lanes that wait, some at a time, and hands what one
    /// could not use of the budget to those that can.
    pub(super) async fn drain(&self, lanes: &mut Lanes, mut interrupt: watch::Receiver<Interrupt>) {
        let mut running = FuturesUnordered::new();
        let mut interruptible = true;
        lanes.interrupted |= self.interrupted(*interrupt.borrow_and_update());
        loop {
            if self.must_stop(Duration::ZERO) {
                lanes.out_of_time();
            }
            if running.is_empty()
                && lanes.waiting.is_empty()
                && (self.must_stop(Duration::ZERO) || !lanes.share_leftover())
            {
                break;
            }
            let free = self
                .sizes
                .partitions_at_once
                .saturating_sub(running.len())
                .min(lanes.waiting.len());
            let starting: Vec<Lane> = lanes.waiting.drain(..free).collect();
            let positions: Vec<_> = starting.iter().filter_map(Lane::position).collect();
            if let Err(error) = if positions.is_empty() {
                Ok(())
            } else {
                self.source.start(&positions)
            } {
                lanes.refused(starting, &error);
                self.abort();
                continue;
            }
            running.extend(starting.into_iter().map(|lane| lane.work(self).boxed()));
            // Lanes that wait for a share write what is settled, beside those at work.
            running.extend(lanes.take_due(self.now_ms()).map(|lane| lane.keep(self).boxed()));
            let due = lanes.next_due_ms().filter(|_| !self.must_stop(Duration::ZERO));
            tokio::select! {
                // First: no lane begins anything once it is known.
                biased;
                changed = interrupt.changed(), if interruptible => {
                    // Nobody can interrupt any more once the sender is gone.
                    interruptible = changed.is_ok();
                    lanes.interrupted |= self.interrupted(*interrupt.borrow());
                }
                Some(lane) = running.next(), if !running.is_empty() => lanes.ended(lane),
                () = tokio::time::sleep_until(self.wake_at(due).into()), if due.is_some() => {}
            }
        }
        let parked = std::mem::take(&mut lanes.parked);
        lanes.done.extend(
            futures::stream::iter(parked)
                .map(|mut lane| async move {
                    if lane.is_claimed() {
                        lane.close(self).await;
                    }
                    lane
                })
                .buffer_unordered(WRITES_AT_ONCE)
                .collect::<Vec<_>>()
                .await,
        );
    }
}
