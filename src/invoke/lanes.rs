//! The lanes of a run: which are waiting, parked and done, and what is left of
//! the budget.

use std::collections::VecDeque;

use super::lane::Lane;
use crate::error::Error;
use crate::ledger::Stop;
use crate::plan::{self, Wish};

/// The lanes of a run, by what they are at.
#[derive(Default)]
pub(super) struct Lanes {
    /// To be started.
    pub(super) waiting: VecDeque<Lane>,
    /// Runs have died there: each is worked on alone, after all others.
    pub(super) suspects: VecDeque<Lane>,
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
    /// Sorts a new lane in. Without a share a partition is not even claimed; a
    /// jump needs none.
    pub(super) fn add(&mut self, lane: Lane, share: u64, wish: u64) {
        if lane.suspicion().is_some() {
            self.suspects.push_back(lane);
        } else if share == 0 && wish > 0 {
            self.parked.push(lane);
        } else {
            self.waiting.push_back(lane);
        }
    }

    /// The least suspect of the suspects, with what is left of the budget: so
    /// that one that kills the run again does so when all others are stored.
    pub(super) fn next_suspect(&mut self) -> bool {
        self.suspects.make_contiguous().sort_by_key(Lane::suspicion);
        let Some(mut lane) = self.suspects.pop_front() else {
            return false;
        };
        let share = lane
            .wish()
            .records
            .saturating_sub(lane.ledger.share())
            .min(self.leftover);
        self.leftover -= share;
        lane.ledger.grant(share);
        if lane.ledger.share() == 0 && lane.wish().records > 0 {
            self.done.push(lane);
        } else {
            self.waiting.push_back(lane);
        }
        true
    }

    pub(super) fn ended(&mut self, mut lane: Lane) {
        if lane.outcome.stop == Some(Stop::ShareUsed) {
            self.parked.push(lane);
        } else {
            self.leftover = self.leftover.saturating_add(lane.ledger.give_back());
            self.done.push(lane);
        }
    }

    /// The time is over: what was not begun is not begun any more, nor
    /// claimed. What was begun waits for its last write.
    pub(super) fn out_of_time(&mut self) {
        for mut lane in self.waiting.drain(..) {
            lane.outcome.stop = Some(Stop::OutOfTime);
            if lane.is_claimed() {
                self.parked.push(lane);
            } else {
                self.done.push(lane);
            }
        }
    }

    /// The lanes whose settled records have waited long enough for a write.
    pub(super) fn take_due(&mut self, now_ms: u64) -> impl Iterator<Item = Lane> + use<> {
        let (due, parked): (Vec<Lane>, Vec<Lane>) = std::mem::take(&mut self.parked)
            .into_iter()
            .partition(|lane| lane.is_due(now_ms));
        self.parked = parked;
        due.into_iter()
    }

    pub(super) fn next_due_ms(&self) -> Option<u64> {
        self.parked.iter().filter_map(|lane| lane.ledger.due_at_ms()).min()
    }

    pub(super) fn refused(&mut self, starting: Vec<Lane>, error: &Error) {
        for mut lane in starting {
            lane.outcome.error = Some(error.clone());
            if lane.is_claimed() {
                self.parked.push(lane);
            } else {
                self.done.push(lane);
            }
        }
    }

    /// Gives the leftover to those that can use it; false if there is none, or nobody can.
    pub(super) fn share_leftover(&mut self) -> bool {
        if !self.limited || self.leftover == 0 {
            return false;
        }
        let wishes: Vec<Wish> = self.parked.iter().map(Lane::wish).collect();
        let shares = plan::fair_shares(&wishes, Some(self.leftover));
        let parked = std::mem::take(&mut self.parked);
        for (mut lane, share) in parked.into_iter().zip(shares) {
            if share > 0 {
                self.leftover -= share;
                lane.ledger.grant(share);
                self.waiting.push_back(lane);
            } else {
                self.parked.push(lane);
            }
        }
        !self.waiting.is_empty()
    }
}
