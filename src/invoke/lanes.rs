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
    pub(super) fn ended(&mut self, mut lane: Lane) {
        if lane.outcome.stop == Some(Stop::ShareUsed) {
            self.parked.push(lane);
        } else {
            self.leftover = self.leftover.saturating_add(lane.ledger.give_back());
            self.done.push(lane);
        }
    }

    pub(super) fn refused(&mut self, starting: Vec<Lane>, error: &Error) {
        for mut lane in starting {
            lane.outcome.error = Some(error.clone());
            self.done.push(lane);
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
