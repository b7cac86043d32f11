use super::*;
use crate::claim::{self, Cursor, Failures, ObservedItem};
use crate::cli::doctor::check::Status::{self, Failed, Ok as Fine, Warning};
use crate::plan::PartitionState;
use crate::record::{NextOffset, OffsetRange, TopicPartition};

fn next(offset: i64) -> NextOffset {
    NextOffset::new(offset).expect("an offset")
}

fn state() -> PartitionState {
    PartitionState {
        partition: TopicPartition::new("t", 0),
        end: Some(Ok(next(10))),
        high_watermark: None,
        earliest: None,
        cursor: Some(Ok(Cursor::at(next(4)))),
        start: None,
    }
}

fn blocked() -> PartitionState {
    let failure = Failures {
        offset: next(4),
        attempts: 2,
        next_try_at_ms: Some(1),
        error: Some("no JSON".into()),
        ..Failures::default()
    };
    let cursor = Cursor {
        failure: Some(failure),
        ..Cursor::at(next(4))
    };
    PartitionState {
        cursor: Some(Ok(cursor)),
        ..state()
    }
}

fn reading(why: Why) -> Decision {
    Decision::Read(Reading {
        from: next(4),
        to: next(10),
        why,
        observed: ObservedItem::Missing { start: next(4) },
    })
}

fn judged(all: Vec<(PartitionState, Decision)>) -> Check {
    let plan = |(state, decision)| PartitionPlan { state, decision };
    judge(&BestEffortSnapshot {
        partitions: all.into_iter().map(plan).collect(),
        errors: vec![],
        table: None,
        brokers: [].into(),
        at_ms: 0,
    })
}

#[test]
fn each_decision_of_the_next_run_has_its_status_and_its_type_of_error() {
    use ErrorType::{InvalidCursor, PartitionBlocked, RetentionLoss, Truncated};
    let range = OffsetRange { first: 4, last: 5 };
    let text = || "text".to_owned();
    let jump = Why::Truncated {
        stored: next(99),
        passed_over: None,
    };
    let fails = |error_type| (Failed, Some(error_type));
    let rows: [(PartitionState, Decision, (Status, Option<ErrorType>)); 13] = [
        (state(), reading(Why::Resumed), (Fine, None)),
        (state(), Decision::Idle, (Fine, None)),
        (state(), Decision::Paused, (Fine, None)),
        (state(), Decision::Held(1), (Fine, None)),
        (state(), Decision::Unavailable(text()), (Fine, None)),
        (state(), reading(Why::Lost(range)), (Warning, None)),
        (state(), reading(jump), (Warning, None)),
        (blocked(), reading(Why::Resumed), fails(PartitionBlocked)),
        (blocked(), Decision::BackingOff, fails(PartitionBlocked)),
        (blocked(), Decision::Paused, (Fine, None)),
        (state(), Decision::RetentionLoss(range), fails(RetentionLoss)),
        (state(), Decision::Truncated(text()), fails(Truncated)),
        (
            state(),
            Decision::Invalid(claim::InvalidCursor::new(text())),
            fails(InvalidCursor),
        ),
    ];
    for (state, decision, expected) in rows {
        let check = judged(vec![(state, decision.clone())]);
        let found = (check.status, check.error_type);
        assert_eq!(found, expected, "{decision:?}: {check:?}");
    }
}

#[test]
fn the_most_severe_failure_of_a_topic_decides_and_all_cursors_are_counted() {
    let check = judged(vec![
        (state(), reading(Why::Resumed)),
        (blocked(), Decision::BackingOff),
        (state(), Decision::Paused),
    ]);
    assert_eq!(check.error_type, Some(ErrorType::PartitionBlocked));
    assert!(
        check
            .what
            .starts_with("3 cursors; 3 partitions: 1 ok, 1 paused, 1 blocked; lag "),
        "{check:?}"
    );
    assert!(check.details.iter().any(|line| line.contains("no JSON")), "{check:?}");
}

#[test]
fn a_topic_without_cursors_is_no_failure() {
    let new = PartitionState {
        cursor: None,
        ..state()
    };
    let check = judged(vec![(new, reading(Why::StartPosition))]);
    assert_eq!(
        (check.status, check.what.as_str()),
        (Fine, "0 cursors; 1 partition: 1 new; lag 6")
    );
}
