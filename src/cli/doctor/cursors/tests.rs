use super::*;
use crate::claim::{Cursor, Failures, InvalidCursor, ObservedItem};
use crate::cli::doctor::check::Status::{self, Failed, Ok as Fine, Warning};
use crate::plan::PartitionState;
use crate::record::OffsetRange;
use crate::record::{NextOffset, TopicPartition};

fn next(offset: i64) -> NextOffset {
    NextOffset::new(offset).expect("an offset")
}

fn facts() -> PartitionState {
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
        ..facts()
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
    let range = OffsetRange { first: 4, last: 5 };
    let words = || "words".to_owned();
    let jump = Why::Truncated {
        stored: next(99),
        passed_over: None,
    };
    let rows: [(PartitionState, Decision, Status, Option<ErrorType>); 13] = [
        (facts(), reading(Why::Resumed), Fine, None),
        (facts(), Decision::Idle, Fine, None),
        (facts(), Decision::Paused, Fine, None),
        (facts(), Decision::Held(1), Fine, None),
        (facts(), Decision::Unavailable(words()), Fine, None),
        (facts(), reading(Why::Lost(range)), Warning, None),
        (facts(), reading(jump), Warning, None),
        (
            blocked(),
            reading(Why::Resumed),
            Failed,
            Some(ErrorType::PartitionBlocked),
        ),
        (
            blocked(),
            Decision::BackingOff,
            Failed,
            Some(ErrorType::PartitionBlocked),
        ),
        (blocked(), Decision::Paused, Fine, None),
        (
            facts(),
            Decision::RetentionLoss(range),
            Failed,
            Some(ErrorType::RetentionLoss),
        ),
        (
            facts(),
            Decision::Truncated(words()),
            Failed,
            Some(ErrorType::Truncated),
        ),
        (
            facts(),
            Decision::Invalid(InvalidCursor::new(words())),
            Failed,
            Some(ErrorType::InvalidCursor),
        ),
    ];
    for (facts, decision, status, error_type) in rows {
        let check = judged(vec![(facts, decision.clone())]);
        assert_eq!(
            (check.status, check.error_type),
            (status, error_type),
            "{decision:?}: {check:?}"
        );
    }
}

#[test]
fn the_most_serious_status_of_a_topic_decides_and_all_cursors_are_counted() {
    let check = judged(vec![
        (facts(), reading(Why::Resumed)),
        (blocked(), Decision::BackingOff),
        (facts(), Decision::Paused),
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
        ..facts()
    };
    let check = judged(vec![(new, reading(Why::StartPosition))]);
    assert_eq!(
        (check.status, check.what.as_str()),
        (Fine, "0 cursors; 1 partition: 1 new; lag 6")
    );
}
