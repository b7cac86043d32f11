//! Records that crash the process, or that use up its time.
//!
//! | after MAX_ATTEMPTS crashes with the record at the cursor alone in the handler | action |
//! |---|---|
//! | `ON_FAILURE=halt`, the last run crashed | blocked, and tried again alone after the back-off |
//! | `ON_FAILURE=halt`, the back-off has ended | tried again alone |
//! | another `ON_FAILURE` | applied without another try |
//! | another `ON_FAILURE`, and as many more crashes while it was applied | blocked |

use std::time::Duration;

use super::failed::GivenUp;
use super::{EndReason, PartitionWorker};
use crate::claim::ChunkLimit;
use crate::config::OnFailure;
use crate::dead_letter::Stage;
use crate::error::{Error, ErrorType};
use crate::invoke::Backend;
use crate::invoke::run::Run;
use crate::record::Chunk;

impl PartitionWorker {
    /// Decides by the crashes of earlier runs, before anything is read.
    pub(super) fn apply_crash_policy<B: Backend>(&mut self, run: &Run<'_, B>) {
        let most = run.config.max_attempts.get();
        let crashes = self.crash_history.crashes;
        if crashes < most {
            return;
        }
        let gives_up = run.config.on_failure != OnFailure::Halt;
        let crashed_giving_up = crashes >= most.saturating_mul(2);
        if gives_up && !(self.crash_history.just_died && crashed_giving_up) {
            self.skip_without_retry = true;
        } else if self.crash_history.just_died {
            self.block(run, crash_message(crashes));
        }
    }

    /// Why the first buffered record is given up without a try, if it is.
    pub(super) fn crash_give_up(&mut self) -> Option<GivenUp> {
        let first = self.buffered.front()?.offset;
        // If another record is first, the one that crashed is no longer in the log.
        self.skip_without_retry &= first == self.seen.stored().get();
        self.skip_without_retry.then(|| GivenUp {
            stage: Stage::Died,
            text: crash_message(self.crash_history.crashes),
            without_place: None,
            policy_applies: true,
        })
    }

    /// How many runs crashed, or ran out of time, with the record at the cursor
    /// alone in the handler.
    pub(super) fn crashes(&self) -> u32 {
        let earlier = if self.ledger.settled_at() == self.seen.stored() {
            self.crash_history.crashes
        } else {
            0
        };
        earlier.saturating_add(u32::from(self.tries.ran_out_of_time))
    }

    /// The time ended before the handler did: the next run uses smaller chunks. A
    /// record that had the time to itself counts as a crash.
    pub(super) fn unfinished<B: Backend>(&mut self, run: &Run<'_, B>, chunk: &Chunk, took: Duration) {
        let alone = self
            .ledger
            .quarantine()
            .is_some_and(|quarantine| quarantine.limit == ChunkLimit::Single);
        self.ledger.tighten_quarantine();
        self.outcome.failed_tries += 1;
        if alone && took * 3 >= run.working_time() {
            self.tries.ran_out_of_time = true;
            let crashes = self.crashes();
            if run.config.on_failure == OnFailure::Halt && crashes >= run.config.max_attempts.get() {
                return self.block(run, crash_message(crashes));
            }
        }
        let records = chunk.records();
        let (first, last) = (records[0].offset, records[records.len() - 1].offset);
        let what = format!(
            "the handler was not finished at the deadline with offsets {first} to {last} of {}. What was settled \
             before is stored, and the next run reads these again",
            self.partition
        );
        let error = Error::new(ErrorType::Timeout, what);
        self.end(EndReason::Failed(
            error.next("Give the function more time, or make the handler faster"),
        ));
    }
}

fn crash_message(crashes: u32) -> String {
    format!("{crashes} runs crashed, or ran out of time, with this record alone in the handler")
}
