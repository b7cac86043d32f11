use std::collections::BTreeMap;

use super::*;
use crate::claim::{Failures, RunId};
use crate::config::{OnRetentionLoss, OnTruncation, StartPosition};
use crate::error::ErrorType;
use crate::plan::{PartitionState, Policy};
use crate::record::TopicPartition;
use crate::source::Unavailable;
use crate::store::InvalidCursor;

const NOW_MS: i64 = 1_800_000_000_000;
const MINUTE_MS: i64 = 60_000;

const HALT: Policy = Policy {
    start_position: StartPosition::Earliest,
    on_retention_loss: OnRetentionLoss::Halt,
    on_truncation: OnTruncation::Halt,
    now_ms: NOW_MS,
};

const JUMP: Policy = Policy {
    on_retention_loss: OnRetentionLoss::Continue,
    on_truncation: OnTruncation::Earliest,
    ..HALT
};

fn next(offset: i64) -> NextOffset {
    NextOffset::new(offset).expect("offsets of tests are in range")
}

fn cursor(at: i64) -> Cursor {
    Cursor {
        next: next(at),
        run: Some(RunId::new("3f6c7a52-7a0e-4a1c-9d0f-0d6f2a7b1c11")),
        updated_at_ms: Some(NOW_MS - MINUTE_MS + 123),
        ..Cursor::default()
    }
}

fn failed(at: i64, next_try_at_ms: i64) -> Cursor {
    let failure = Failures {
        offset: next(at),
        attempts: 3,
        crashes: 0,
        next_try_at_ms: Some(next_try_at_ms),
        error: Some("the payment service returned 503".into()),
    };
    Cursor {
        failure: Some(failure),
        ..cursor(at)
    }
}

fn claimed(at: i64, until_ms: i64) -> Cursor {
    Cursor {
        claim_until_ms: Some(until_ms),
        ..cursor(at)
    }
}

fn paused(cursor: Cursor) -> Cursor {
    Cursor { paused: true, ..cursor }
}

/// A partition with a log from 100 to 5000.
fn with(cursor: Option<Cursor>) -> PartitionState {
    let partition = TopicPartition::new("orders", 0);
    PartitionState {
        earliest: Some(Ok(next(100))),
        ..PartitionState::new(partition, Some(Ok(next(5_000))), cursor.map(Ok))
    }
}

fn silent(base: PartitionState) -> PartitionState {
    PartitionState {
        end: Some(Err(Unavailable("it has no leader".into()))),
        earliest: None,
        ..base
    }
}

fn gone(base: PartitionState) -> PartitionState {
    PartitionState {
        end: None,
        earliest: None,
        ..base
    }
}

fn unread(base: PartitionState) -> PartitionState {
    PartitionState {
        cursor: Some(Err(InvalidCursor::new("the table could not be read"))),
        ..base
    }
}

/// The states of partitions 0, 1, 2, ... as a inspection.
fn inspection(states: Vec<PartitionState>, policy: &Policy, errors: Vec<Error>) -> Inspection {
    let states: Vec<PartitionState> = (0..)
        .zip(states)
        .map(|(partition, base)| PartitionState {
            partition: TopicPartition::new("orders", partition),
            ..base
        })
        .collect();
    BestEffortSnapshot {
        partitions: plan::decide_all(states, policy),
        errors,
        table: None,
        brokers: BTreeMap::new(),
        at_ms: NOW_MS,
    }
    .into()
}

/// A topic with a partition in each state.
pub(in crate::cli) fn every_state() -> Inspection {
    let moved = Cursor {
        previous: Some(next(4_200)),
        ..cursor(1_500)
    };
    let states = vec![
        with(Some(cursor(5_000))),
        with(Some(moved)),
        with(Some(claimed(4_000, NOW_MS + MINUTE_MS))),
        with(Some(failed(17_017 - 13_000, NOW_MS + 4 * MINUTE_MS))),
        with(Some(paused(cursor(4_999)))),
        with(Some(cursor(40))),
        with(Some(cursor(9_000))),
        silent(with(Some(cursor(4_990)))),
        with(None),
    ];
    inspection(states, &HALT, vec![])
}

/// The brokers are down: three partitions known from the table alone.
pub(in crate::cli) fn without_brokers() -> Inspection {
    let unknown = |base| PartitionState {
        end: Some(Err(Unavailable("its end is not known (BrokerUnreachable)".into()))),
        ..silent(base)
    };
    let states = vec![
        unknown(with(Some(cursor(5)))),
        unknown(with(Some(claimed(7, NOW_MS + MINUTE_MS)))),
        unknown(with(Some(paused(cursor(9))))),
    ];
    let error = Error::new(ErrorType::BrokerUnreachable, "no broker of localhost:9092 responded");
    inspection(states, &HALT, vec![error])
}

fn state(base: PartitionState, policy: &Policy) -> &'static str {
    inspection(vec![base], policy, vec![]).partitions[0].state.as_str()
}

#[test]
fn each_state_has_its_row_and_the_first_row_that_fits_wins() {
    let due = NOW_MS - 1;
    let later = NOW_MS + MINUTE_MS;
    let both = |cursor: &Cursor, expected| {
        for policy in [&HALT, &JUMP] {
            assert_eq!(
                state(with(Some(cursor.clone())), policy),
                expected,
                "{cursor:?} {policy:?}"
            );
        }
    };
    both(&cursor(5_000), "ok");
    both(&cursor(100), "ok");
    both(&cursor(99), "lost");
    both(&cursor(5_001), "truncated");
    both(&claimed(40, later), "claimed");
    both(&claimed(4_000, due), "ok");
    both(&failed(200, later), "blocked");
    both(&failed(200, due), "blocked");
    both(&failed(40, due), "lost");
    both(&paused(claimed(9_000, later)), "paused");
    both(&paused(failed(200, later)), "paused");
    for policy in [&HALT, &JUMP] {
        assert_eq!(state(with(None), policy), "new");
        assert_eq!(state(unread(with(None)), policy), "unknown");
        assert_eq!(state(unread(gone(with(None))), policy), "unknown");
        assert_eq!(state(silent(with(None)), policy), "unknown");
        assert_eq!(state(silent(with(Some(claimed(40, later)))), policy), "unknown");
        assert_eq!(state(silent(with(Some(paused(cursor(40))))), policy), "paused");
        assert_eq!(state(gone(with(Some(cursor(40)))), policy), "truncated");
        assert_eq!(state(gone(with(Some(paused(cursor(40))))), policy), "paused");
    }
}

/// next, end, lag, earliest, last
type Numbers = (Option<i64>, Option<i64>, Option<u64>, Option<i64>, Option<i64>);

fn numbers(base: PartitionState, policy: &Policy) -> Numbers {
    let row = inspection(vec![base], policy, vec![]).partitions.remove(0);
    (
        row.next_offset,
        row.end_offset,
        row.lag,
        row.earliest_offset,
        row.last_offset,
    )
}

#[test]
fn the_lag_is_what_a_run_could_still_read_and_null_where_cursor_or_log_is_unknown() {
    let (end, earliest) = (Some(5_000), Some(100));
    let stored = with(Some(cursor(4_000)));
    assert_eq!(
        numbers(stored.clone(), &HALT),
        (Some(4_000), end, Some(1_000), earliest, Some(3_999))
    );
    assert_eq!(
        numbers(silent(stored.clone()), &HALT),
        (Some(4_000), None, None, None, Some(3_999))
    );
    assert_eq!(
        numbers(gone(stored.clone()), &HALT),
        (Some(4_000), None, None, None, Some(3_999))
    );
    assert_eq!(numbers(unread(stored), &HALT), (None, end, None, earliest, None));
    let new = with(None);
    assert_eq!(numbers(new, &HALT), (Some(100), end, Some(4_900), earliest, None));
    let lost = with(Some(cursor(40)));
    assert_eq!(
        numbers(lost.clone(), &JUMP),
        (Some(40), end, Some(4_900), earliest, Some(39)),
        "counted from where a run would jump to"
    );
    assert_eq!(numbers(lost, &HALT), (Some(40), end, Some(4_960), earliest, Some(39)));
    let past = with(Some(cursor(9_000)));
    assert_eq!(
        numbers(past.clone(), &HALT),
        (Some(9_000), end, Some(0), earliest, Some(8_999))
    );
    assert_eq!(
        numbers(past, &JUMP),
        (Some(9_000), end, Some(4_900), earliest, Some(8_999))
    );
}

#[test]
fn records_of_an_open_transaction_are_shown_and_are_no_lag() {
    let row = |high, at| {
        let base = PartitionState {
            high_watermark: Some(Ok(next(high))),
            ..with(Some(cursor(at)))
        };
        let row = inspection(vec![base], &HALT, vec![]).partitions.remove(0);
        (row.high_watermark, row.lag, row.state, row.detail)
    };
    let waits = |words: &str| Some(format!("{words} for a transaction that began at offset 5000"));
    assert_eq!(
        row(5_051, 5_000),
        (Some(5_051), Some(0), State::Ok, waits("51 records wait"))
    );
    assert_eq!(
        row(5_001, 4_000),
        (Some(5_001), Some(1_000), State::Ok, waits("1 record waits"))
    );
    assert_eq!(row(5_000, 5_000), (Some(5_000), Some(0), State::Ok, None));
    // Read as `read_uncommitted` before.
    assert_eq!(
        row(5_051, 5_051),
        (Some(5_051), Some(0), State::Ok, waits("51 records wait"))
    );
    assert_eq!(row(5_051, 5_052).2, State::Truncated);
}

#[test]
fn the_document_has_the_shape_that_is_documented() {
    let mut inspection = every_state();
    inspection.partitions = vec![inspection.partitions.remove(3), inspection.partitions.remove(7)];
    inspection.errors = vec![Error::new(ErrorType::TableUnreachable, "down")];
    insta::assert_snapshot!(serde_json::to_string_pretty(&inspection).expect("an inspection is JSON"), @r#"
    {
      "at": 1800000000000,
      "lag": 15344,
      "partitions": [
        {
          "topic": "orders",
          "partition": 3,
          "next_offset": 4017,
          "end_offset": 5000,
          "high_watermark": null,
          "lag": 983,
          "earliest_offset": 100,
          "state": "blocked",
          "detail": "offset 4017 failed 3 times, tried again after 2027-01-15T08:04:00Z: the payment service returned 503",
          "last_offset": 4016,
          "previous_offset": null,
          "paused": false,
          "claim_until": null,
          "run": "3f6c7a52-7a0e-4a1c-9d0f-0d6f2a7b1c11",
          "updated_at": 1799999940123,
          "blocked": {
            "offset": 4017,
            "attempts": 3,
            "next_try_at": 1800000240000,
            "error": "the payment service returned 503"
          }
        },
        {
          "topic": "orders",
          "partition": 8,
          "next_offset": 100,
          "end_offset": 5000,
          "high_watermark": null,
          "lag": 4900,
          "earliest_offset": 100,
          "state": "new",
          "detail": null,
          "last_offset": null,
          "previous_offset": null,
          "paused": false,
          "claim_until": null,
          "run": null,
          "updated_at": null,
          "blocked": null
        }
      ],
      "errors": [
        {
          "type": "TableUnreachable",
          "message": "down"
        }
      ]
    }
    "#);
}

#[test]
fn the_sum_is_of_the_known_lags_and_null_without_any() {
    assert_eq!(every_state().lag, Some(3_500 + 1_000 + 983 + 1 + 4_960 + 4_900));
    assert_eq!(without_brokers().lag, None);
    assert_eq!(inspection(vec![], &HALT, vec![]).lag, None);
}

#[test]
fn every_state_of_a_partition_is_documented() {
    assert_eq!(
        crate::words::documented("### `state` of `lag` and `offsets list`"),
        State::WORDS
    );
}
