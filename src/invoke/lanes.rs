//! The lanes of a run: which are waiting, parked and done, and what is left of
//! the limit.

use std::collections::VecDeque;

use super::lane::{End, Lane};
use super::{Run, Seams};
use crate::claim::BatchLimit;
use crate::error::Error;
use crate::plan::{self, Demand};

/// The lanes of a run, by what they are at. None of them has a claim: a lane
/// claims its partition when it begins, and ends its claim before it comes back.
#[derive(Default)]
pub(super) struct Lanes {
    /// To be started.
    pub(super) waiting: VecDeque<Lane>,
    /// Quarantined: a run has died there. Worked on after all others, with small chunks.
    pub(super) small_chunks: Vec<Lane>,
    /// Quarantined more strictly: worked on one after the other, record by record.
    pub(super) single_records: Vec<Lane>,
    /// Without a share, or with all of it used.
    pub(super) parked: Vec<Lane>,
    /// Ended for good.
    pub(super) done: Vec<Lane>,
    /// What is left of the budget.
    pub(super) leftover: u64,
    /// Whether there is a limit at all.
    pub(super) limited: bool,
    pub(super) interrupted: bool,
}

impl Lanes {
    /// Sorts a new lane in.
    pub(super) fn add(&mut self, lane: Lane) {
        match lane.quarantine() {
            None => self.begin(lane),
            Some(BatchLimit::Small) => self.small_chunks.push(lane),
            Some(BatchLimit::Single) => self.single_records.push(lane),
        }
    }

    /// Without a share a partition is not even claimed; a jump needs none.
    fn begin(&mut self, lane: Lane) {
        if lane.ledger.share() == 0 && lane.wish().records > 0 {
            self.parked.push(lane);
        } else {
            self.waiting.push_back(lane);
        }
    }

    /// All quarantined lanes with small chunks begin; false if there is none.
    pub(super) fn begin_small_chunks(&mut self) -> bool {
        let lanes = std::mem::take(&mut self.small_chunks);
        let any = !lanes.is_empty();
        for lane in lanes {
            self.begin(lane);
        }
        any
    }

    /// The first lane of those with single records begins, with what is left of
    /// the limit.
    pub(super) fn begin_single_records(&mut self) {
        let first = (0..self.single_records.len()).min_by_key(|&i| self.single_records[i].precedence());
        let Some(mut lane) = first.map(|i| self.single_records.remove(i)) else {
            return;
        };
        let wanted = lane.wish().records.saturating_sub(lane.ledger.share());
        let share = wanted.min(self.leftover);
        self.leftover -= share;
        lane.ledger.grant(share);
        self.begin(lane);
    }

    /// Those with single records for which no time is left in this run.
    pub(super) fn out_of_turn(&mut self) {
        self.waiting.extend(self.single_records.drain(..));
        self.out_of_time();
    }

    pub(super) fn ended(&mut self, mut lane: Lane) {
        if matches!(lane.outcome.end, Some(End::ShareUsed)) && lane.outcome.write_error.is_none() {
            self.parked.push(lane);
        } else {
            self.leftover = self.leftover.saturating_add(lane.ledger.give_back());
            self.done.push(lane);
        }
    }

    /// The time is over: what was not begun is not begun any more, nor claimed.
    pub(super) fn out_of_time(&mut self) {
        for mut lane in self.waiting.drain(..) {
            lane.outcome.end = Some(End::OutOfTime);
            self.done.push(lane);
        }
    }

    pub(super) fn refused(&mut self, starting: Vec<Lane>, error: &Error) {
        for mut lane in starting {
            lane.outcome.end = Some(End::Failed(error.clone()));
            self.done.push(lane);
        }
    }

    /// Gives the leftover to those that can use it; false if there is none, or
    /// none can.
    pub(super) fn share_leftover<D: Seams>(&mut self, run: &Run<'_, D>) -> bool {
        if !self.limited || self.leftover == 0 {
            return false;
        }
        let wishes: Vec<Demand> = self.parked.iter().map(Lane::wish).collect();
        let shares = plan::fair_shares(&wishes, Some(self.leftover));
        let parked = std::mem::take(&mut self.parked);
        for (mut lane, share) in parked.into_iter().zip(shares) {
            if share > 0 {
                self.leftover -= share;
                lane.reopen(run, share);
                self.waiting.push_back(lane);
            } else {
                self.parked.push(lane);
            }
        }
        !self.waiting.is_empty()
    }
}
