//! The plan of partitions.
//!
//! | file | |
//! |---|---|
//! | `table/` | the table of decisions: each row at its boundaries, and every combination |
//! | `model` | random states, against a model that knows offsets one by one |
//! | `together` | several partitions, demand and lag |
//! | `shares` | the shares of the limit |

mod model;
mod shares;
mod table;
mod together;

use kafka_consumer_lambda::claim::{Cursor, Failures, ObservedItem};
use kafka_consumer_lambda::config::{OnRetentionLoss, OnTruncation, StartPosition};
use kafka_consumer_lambda::plan::{Decision, PartitionPlan, PartitionState, Policy, Reading, Why, decide, decide_all};
use kafka_consumer_lambda::record::OffsetRange;
use kafka_consumer_lambda::source::Unavailable;
use kafka_consumer_lambda::store::InvalidCursor;

use crate::support::states::{log, next};

const NOW_MS: i64 = 1_800_000_000_000;
const LAST: i64 = i64::MAX - 1;

const POLICY: Policy = Policy {
    start_position: StartPosition::Earliest,
    on_retention_loss: OnRetentionLoss::Continue,
    on_truncation: OnTruncation::Halt,
    now_ms: NOW_MS,
};

fn unavailable<T>() -> Result<T, Unavailable> {
    Err(Unavailable("no leader".into()))
}

fn with(state: PartitionState, cursor: Cursor) -> PartitionState {
    PartitionState {
        cursor: Some(Ok(cursor)),
        ..state
    }
}

/// The log from `earliest` to `end` with a cursor at `at`.
fn stored(at: i64, (earliest, end): (i64, i64)) -> PartitionState {
    with(log(earliest, end), Cursor::at(next(at)))
}

fn decided(state: &PartitionState) -> Decision {
    decide(state, false, &POLICY)
}

fn plan(state: PartitionState) -> PartitionPlan {
    let decision = decided(&state);
    PartitionPlan { state, decision }
}

fn decisions(states: &[PartitionState], policy: &Policy) -> Vec<Decision> {
    let plans = decide_all(states.to_vec(), policy);
    plans.into_iter().map(|plan| plan.decision).collect()
}

fn read(from: i64, to: i64, why: Why, observed: ObservedItem) -> Decision {
    Decision::Read(Reading {
        from: next(from),
        to: next(to),
        why,
        observed,
    })
}

fn resumed(from: i64, to: i64) -> Decision {
    read(from, to, Why::Resumed, ObservedItem::Present(Cursor::at(next(from))))
}

fn range(first: i64, last: i64) -> OffsetRange {
    OffsetRange { first, last }
}

fn invalid() -> InvalidCursor {
    InvalidCursor::new("offset is a word")
}

fn backing_off(at: i64, try_at_ms: i64) -> Failures {
    Failures {
        offset: next(at),
        attempts: 1,
        next_try_at_ms: Some(try_at_ms),
        ..Failures::default()
    }
}

fn policies() -> Vec<Policy> {
    let mut policies = vec![];
    for on_truncation in [OnTruncation::Halt, OnTruncation::Earliest, OnTruncation::Latest] {
        for on_retention_loss in [OnRetentionLoss::Continue, OnRetentionLoss::Halt] {
            for start_position in [
                StartPosition::Earliest,
                StartPosition::Latest,
                StartPosition::At { unix_ms: 5 },
            ] {
                policies.push(Policy {
                    start_position,
                    on_retention_loss,
                    on_truncation,
                    now_ms: NOW_MS,
                });
            }
        }
    }
    policies
}
