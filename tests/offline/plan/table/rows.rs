//! Each row of the table of decisions, on each side of its boundary.

use kafka_consumer_lambda::claim::{Cursor, MAX_CLAIM_MS, ObservedItem};
use kafka_consumer_lambda::config::{OnRetentionLoss, OnTruncation, StartPosition};
use kafka_consumer_lambda::plan::{Decision, PartitionState, Policy, Why, decide, needs_earliest};

use super::super::{
    LAST, NOW_MS, POLICY, backing_off, decided, invalid, log, next, plan, range, read, resumed, stored, unavailable,
    with,
};

#[test]
fn an_item_that_cannot_be_read_stops_its_partition_with_the_reason() {
    let state = PartitionState {
        cursor: Some(Err(invalid())),
        ..log(0, 10)
    };
    assert_eq!(decided(&state), Decision::Invalid(invalid()));
}

#[test]
fn a_paused_partition_is_left_alone() {
    let paused = Cursor {
        paused: true,
        ..Cursor::at(next(3))
    };
    assert_eq!(decided(&with(log(0, 10), paused)), Decision::Paused);
}

#[test]
fn a_cursor_whose_partition_is_gone_is_truncated_whatever_the_policy_says() {
    for on_truncation in [OnTruncation::Halt, OnTruncation::Earliest, OnTruncation::Latest] {
        let state = PartitionState {
            end: None,
            ..stored(3, (0, 10))
        };
        let decision = decide(
            &state,
            false,
            &Policy {
                on_truncation,
                ..POLICY
            },
        );
        assert!(matches!(decision, Decision::Truncated(_)), "{decision:?}");
    }
}

#[test]
fn a_partition_that_no_broker_serves_is_unavailable_with_the_reason() {
    for state in [stored(3, (0, 10)), log(0, 10)] {
        let state = PartitionState {
            end: Some(unavailable()),
            ..state
        };
        assert_eq!(decided(&state), Decision::Unavailable("no leader".into()));
    }
}

#[test]
fn a_partition_whose_log_start_offset_is_unknown_is_unavailable() {
    for earliest in [None, Some(unavailable())] {
        for state in [stored(3, (0, 10)), stored(11, (0, 10)), log(0, 10)] {
            let state = PartitionState {
                earliest: earliest.clone(),
                ..state
            };
            let decision = decided(&state);
            assert!(matches!(decision, Decision::Unavailable(_)), "{decision:?}");
        }
    }
}

#[test]
fn a_live_claim_is_respected_until_its_end() {
    let claimed = |until_ms| {
        let cursor = Cursor {
            claim_until_ms: Some(until_ms),
            ..Cursor::at(next(3))
        };
        decided(&with(log(0, 10), cursor))
    };
    assert_eq!(claimed(NOW_MS + 1), Decision::Held(NOW_MS + 1));
    assert_eq!(claimed(NOW_MS + MAX_CLAIM_MS), Decision::Held(NOW_MS + MAX_CLAIM_MS));
    for over in [NOW_MS, NOW_MS - 1, 0, -1, NOW_MS + MAX_CLAIM_MS + 1, i64::MAX] {
        assert!(matches!(claimed(over), Decision::Read(_)), "{over}");
    }
}

#[test]
fn a_record_that_failed_is_not_tried_before_its_time() {
    let failed = |try_at_ms| {
        let cursor = Cursor {
            failure: Some(backing_off(3, try_at_ms)),
            ..Cursor::at(next(3))
        };
        decided(&with(log(0, 10), cursor))
    };
    assert_eq!(failed(NOW_MS + 1), Decision::BackingOff);
    assert!(matches!(failed(NOW_MS), Decision::Read(_)));
    assert!(matches!(failed(NOW_MS - 1), Decision::Read(_)));
}

#[test]
fn a_cursor_that_was_moved_away_from_a_failed_record_is_not_held_up_by_it() {
    for at in [2, 4] {
        let cursor = Cursor {
            failure: Some(backing_off(3, NOW_MS + 1)),
            ..Cursor::at(next(at))
        };
        assert!(matches!(decided(&with(log(0, 10), cursor)), Decision::Read(_)));
    }
}

#[test]
fn a_cursor_at_the_end_is_idle() {
    for (at, earliest) in [(0, 0), (10, 0), (10, 10), (LAST, 0), (i64::MAX, 0)] {
        assert_eq!(decided(&stored(at, (earliest, at))), Decision::Idle, "{at}");
    }
}

#[test]
fn a_cursor_at_the_end_is_idle_without_the_log_start_offset() {
    let state = PartitionState {
        earliest: None,
        ..stored(10, (0, 10))
    };
    assert!(!needs_earliest(&state));
    assert_eq!(decided(&state), Decision::Idle);
}

#[test]
fn a_cursor_below_the_end_is_read_from_up_to_the_end() {
    for (at, earliest, end) in [
        (9, 0, 10),
        (0, 0, 1),
        (5, 5, 10),
        (0, 0, i64::MAX),
        (LAST, 0, i64::MAX),
        (0, 0, LAST),
    ] {
        assert_eq!(
            decided(&stored(at, (earliest, end))),
            resumed(at, end),
            "{at} in {earliest}..{end}"
        );
    }
}

#[test]
fn a_cursor_past_the_end_halts_by_default_and_names_both_offsets() {
    for (at, end) in [(11, 10), (1, 0), (LAST, 10), (i64::MAX, LAST)] {
        match decided(&stored(at, (0, end))) {
            Decision::Truncated(what) => {
                assert!(
                    what.contains(&at.to_string()) && what.contains(&end.to_string()),
                    "{what}"
                );
            }
            other => panic!("{at} of {end}: {other:?}"),
        }
    }
}

#[test]
fn on_truncation_earliest_reads_the_log_that_is_there_from_its_first_record() {
    let policy = Policy {
        on_truncation: OnTruncation::Earliest,
        ..POLICY
    };
    for (at, earliest, end) in [(11, 0, 10), (11, 4, 10), (11, 10, 10), (1, 0, 0), (LAST, 0, 10)] {
        let why = Why::Truncated {
            stored: next(at),
            passed_over: None,
        };
        let decision = decide(&stored(at, (earliest, end)), false, &policy);
        assert_eq!(
            decision,
            read(earliest, end, why, ObservedItem::Present(Cursor::at(next(at))))
        );
    }
}

#[test]
fn on_truncation_latest_passes_the_log_over_and_names_every_offset_of_it() {
    let policy = Policy {
        on_truncation: OnTruncation::Latest,
        ..POLICY
    };
    for (at, earliest, end, passed_over) in [
        (11, 0, 10, Some(range(0, 9))),
        (11, 9, 10, Some(range(9, 9))),
        (11, 10, 10, None),
        (1, 0, 0, None),
        (i64::MAX, 0, LAST, Some(range(0, LAST - 1))),
    ] {
        let why = Why::Truncated {
            stored: next(at),
            passed_over,
        };
        let decision = decide(&stored(at, (earliest, end)), false, &policy);
        assert_eq!(
            decision,
            read(end, end, why, ObservedItem::Present(Cursor::at(next(at))))
        );
    }
}

#[test]
fn records_lost_to_retention_are_named_and_the_rest_is_read() {
    for (at, earliest, end, lost) in [
        (4, 5, 10, range(4, 4)),
        (0, 5, 10, range(0, 4)),
        (4, 10, 10, range(4, 9)),
        (0, LAST, i64::MAX, range(0, LAST - 1)),
    ] {
        let decision = decided(&stored(at, (earliest, end)));
        let item = ObservedItem::Present(Cursor::at(next(at)));
        assert_eq!(decision, read(earliest, end, Why::Lost(lost), item), "{at}");
    }
}

#[test]
fn on_retention_loss_halt_leaves_the_cursor_and_names_what_was_lost() {
    let policy = Policy {
        on_retention_loss: OnRetentionLoss::Halt,
        ..POLICY
    };
    let decision = |at, earliest| decide(&stored(at, (earliest, 10)), false, &policy);
    assert_eq!(decision(4, 5), Decision::RetentionLoss(range(4, 4)));
    assert_eq!(decision(0, 10), Decision::RetentionLoss(range(0, 9)));
    assert_eq!(decision(5, 5), resumed(5, 10));
}

#[test]
fn a_log_that_retention_emptied_while_it_was_listed_has_nothing_to_read() {
    // The end was 10 when it was listed, and the log start offset is 15 since.
    let plan = plan(stored(3, (15, 10)));
    let item = ObservedItem::Present(Cursor::at(next(3)));
    assert_eq!(plan.decision, read(15, 10, Why::Lost(range(3, 14)), item));
    assert_eq!(plan.demand().records, 0);
}

#[test]
fn a_partition_without_an_item_begins_at_start_position() {
    let state = PartitionState {
        start: Some(Ok(next(7))),
        ..log(2, 10)
    };
    for (start_position, from) in [
        (StartPosition::Earliest, 2),
        (StartPosition::Latest, 7),
        (StartPosition::At { unix_ms: 5 }, 7),
    ] {
        let policy = Policy {
            start_position,
            ..POLICY
        };
        let begin = read(
            from,
            10,
            Why::StartPosition,
            ObservedItem::Missing { start: next(from) },
        );
        assert_eq!(decide(&state, false, &policy), begin);
    }
}

#[test]
fn a_partition_that_appeared_later_begins_at_its_earliest_whatever_start_position_says() {
    let state = PartitionState {
        start: Some(Ok(next(7))),
        ..log(2, 10)
    };
    for start_position in [
        StartPosition::Earliest,
        StartPosition::Latest,
        StartPosition::At { unix_ms: 5 },
    ] {
        let policy = Policy {
            start_position,
            ..POLICY
        };
        let begin = read(2, 10, Why::AppearedLater, ObservedItem::Missing { start: next(2) });
        assert_eq!(decide(&state, true, &policy), begin);
    }
}

#[test]
fn a_partition_without_an_item_and_without_records_is_idle() {
    for (start, end) in [(10, 10), (11, 10), (0, 0)] {
        assert_eq!(decided(&log(start, end)), Decision::Idle);
        assert_eq!(decide(&log(start, end), true, &POLICY), Decision::Idle);
    }
}

#[test]
fn a_start_position_that_unavailable_tells_is_never_replaced_by_a_guess() {
    for start_position in [StartPosition::Latest, StartPosition::At { unix_ms: 5 }] {
        for start in [None, Some(unavailable())] {
            let state = PartitionState { start, ..log(0, 10) };
            let policy = Policy {
                start_position,
                ..POLICY
            };
            let decision = decide(&state, false, &policy);
            assert!(matches!(decision, Decision::Unavailable(_)), "{decision:?}");
        }
    }
}
