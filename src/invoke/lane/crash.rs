//! Records that kill the process, or that take all of its time.
//!
//! | the record at the cursor, after MAX_ATTEMPTS crashes with it alone in the handler | what is done |
//! |---|---|
//! | `ON_FAILURE=halt`, its run has just died | blocked, and tried again alone after the back-off |
//! | `ON_FAILURE=halt`, the back-off is over | tried again alone |
//! | another `ON_FAILURE` | passed over as it says, without another try |
//! | another `ON_FAILURE`, and as many runs died of that | blocked |

use std::time::Duration;

use super::failed::GivenUp;
use super::{End, Lane};
use crate::claim::BatchLimit;
use crate::config::OnFailure;
use crate::dead_letter::Stage;
use crate::error::{Error, ErrorType};
use crate::invoke::{Run, Seams};
use crate::record::Chunk;

impl Lane {
    /// What is to be done about the runs that died here, before anything is read.
    pub(super) fn judge_crashes<D: Seams>(&mut self, run: &Run<'_, D>) {
        let most = run.config.max_attempts.get();
        let crashes = self.legacy.crashes;
        if crashes < most {
            return;
        }
        let passing_over = run.config.on_failure != OnFailure::Halt;
        let fatal_anyway = crashes >= most.saturating_mul(2);
        if passing_over && !(self.legacy.just_died && fatal_anyway) {
            self.condemned = true;
        } else if self.legacy.just_died {
            self.block(run, died(crashes));
        }
    }

    /// Why the first record in hand is not handed over, if it must not be.
    pub(super) fn condemnation(&mut self) -> Option<GivenUp> {
        let first = self.in_hand.front()?.offset;
        // Another record there, and the one that killed is gone from the log.
        self.condemned &= first == self.seen.stored().get();
        self.condemned.then(|| GivenUp {
            stage: Stage::Died,
            text: died(self.legacy.crashes),
            policy_applies: true,
        })
    }

    /// How many runs died, or ran out of time, with the record at the cursor alone.
    pub(super) fn crashes(&self) -> u32 {
        let of_others = if self.ledger.settled_at() == self.seen.stored() {
            self.legacy.crashes
        } else {
            0
        };
        of_others.saturating_add(u32::from(self.tries.ran_out_of_time))
    }

    /// The time was over before the handler was: next time with more care. A
    /// record that had the time to itself is to blame.
    pub(super) fn unfinished<D: Seams>(&mut self, run: &Run<'_, D>, chunk: &Chunk, took: Duration) {
        let alone = self
            .ledger
            .crash_guard()
            .is_some_and(|care| care.limit == BatchLimit::Single);
        self.ledger.tighten_crash_guard();
        self.outcome.failed_tries += 1;
        if alone && took * 3 >= run.whole_time() {
            self.tries.ran_out_of_time = true;
            let crashes = self.crashes();
            if run.config.on_failure == OnFailure::Halt && crashes >= run.config.max_attempts.get() {
                return self.block(run, died(crashes));
            }
        }
        let records = chunk.records();
        let (first, last) = (records[0].offset, records[records.len() - 1].offset);
        self.end(End::Failed(Error::new(
            ErrorType::Timeout,
            format!(
                "the handler was not finished at the deadline with offsets {first} to {last} of {}. What was settled \
                 before is stored, and these come again. Give the function more time, or make the handler faster",
                self.partition
            ),
        )));
    }
}

fn died(crashes: u32) -> String {
    format!("{crashes} runs died, or ran out of time, with this record alone in the handler's hands")
}
