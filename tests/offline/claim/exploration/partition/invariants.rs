//! What holds in every state: the promises, checked at each write, and the end of the work.

use std::{fmt, mem};

use kafka_consumer_lambda::claim::{ChunkLimit, ClaimStatus, Ending};
use kafka_consumer_lambda::ledger::Step;
use kafka_consumer_lambda::store::WriteResult;

use super::{Attempt, Doing, Partition, Run, What, below, next, write};

impl Partition {
    /// The store applies a write of run `r`, or refuses it. A write that is applied must keep the promises.
    pub(super) fn apply(&mut self, r: usize, attempt: &Attempt, now_ms: i64) -> WriteResult {
        let (written, after) = write(self.item.clone(), &attempt.write);
        if written != WriteResult::Applied {
            return written;
        }
        let before = mem::replace(&mut self.item, after);
        let (before, after) = (before.as_ref(), self.item.as_ref().expect("it was written"));
        match &attempt.what {
            What::Claim(observed, _) => {
                assert!(
                    !before.is_some_and(|item| item.paused),
                    "P4: a paused partition was claimed"
                );
                let held = before.map(|item| item.claim_status(now_ms));
                assert!(
                    !matches!(held, Some(ClaimStatus::Held { .. })),
                    "P3: a live claim was taken over"
                );
                let stored = before.map_or(observed.stored(), |item| item.next);
                assert_eq!(
                    (after.next, stored),
                    (stored, observed.stored()),
                    "P4: claimed at another offset than the stored one"
                );
                self.runs[r].lost = false;
                self.runs[1 - r].lost = true;
                self.edit_is_pending = false;
            }
            What::Flush(flush) => {
                let before = before.expect("P4: a deleted item was brought back").next;
                let passed = below(flush.next.get()) & !below(before.get());
                assert_eq!(passed & !self.runs[r].settled, 0, "P1: a hole");
                assert!(before <= flush.next, "P2: moved back");
                assert!(!self.runs[r].lost, "P3: a run that lost its claim moved the cursor");
                assert!(!self.edit_is_pending, "P4: an edit was overwritten");
                if let (Some(at), Some(ChunkLimit::Single)) = (after.handed_over, after.claim_chunk) {
                    self.handed_over_alone[usize::try_from(at.get()).expect("small")] += 1;
                }
            }
            What::Release => {
                let before = before.expect("P4: a deleted item was brought back");
                assert_eq!(after.next, before.next, "a release moved the cursor");
                assert_eq!(
                    before.run.as_ref(),
                    Some(&self.runs[r].id),
                    "P3: another run's claim was removed"
                );
            }
        }
        written
    }

    /// The next run counts no more crashes of the record at the cursor than there were hand-overs of
    /// it alone.
    fn check_crashes(&self, now_ms: i64) {
        let Some(item) = &self.item else { return };
        let at = usize::try_from(item.next.get()).expect("small");
        let crashes = item.crash_history(now_ms + 1_000).crashes;
        let handed_over = self.handed_over_alone.get(at).copied().unwrap_or_default();
        assert!(
            crashes <= handed_over,
            "P14: {crashes} crashes, handed over alone {handed_over} times"
        );
    }

    /// All that [`check`](Self::check) depends on, apart from the time.
    pub(in super::super) fn stored(&self) -> impl fmt::Debug {
        (&self.item, self.done, &self.handed_over_alone)
    }

    /// In every state: nothing is lost, and one run without a fault completes the work.
    pub(in super::super) fn check(&self, now_ms: i64) {
        let stored = below(self.item.as_ref().map_or(0, |item| item.next.get()));
        assert_eq!(stored & !self.done, 0, "P1: a record was passed over");
        self.check_crashes(now_ms);
        let now_ms = now_ms + 1_000;
        let mut here = Self {
            item: self.item.clone(),
            handed_over_alone: self.handed_over_alone.clone(),
            runs: [Run::new("clean"), Run::new("none")],
            in_flight: vec![],
            edit_is_pending: false,
            ..*self
        };
        // An operator resumes the partition.
        here.item.iter_mut().for_each(|item| item.paused = false);
        loop {
            match here.runs[0].doing.clone() {
                Doing::Begin => here.begin(0, now_ms),
                Doing::Write(attempt) => here.receive_response(0, &attempt, now_ms),
                Doing::Work => match here.runs[0].ledger.step(false, 0) {
                    Step::Process(_) => here.settle_one(0),
                    Step::Flush => here.flush(0, Ending::Interim, now_ms),
                    _ => here.close(0, now_ms),
                },
                Doing::Verify(_) => unreachable!("every write gets a response"),
                Doing::Ended => break,
            }
        }
        let finished = here.item.map(|item| item.next);
        assert_eq!(finished, Some(next(self.end)), "the work is not complete");
        assert_eq!(here.done, below(self.end), "P1: a record is lost");
    }
}
