//! The order of the rows: the first that fits decides, in every combination.

use kafka_consumer_lambda::claim::{Cursor, LONGEST_BELIEVED_MS};
use kafka_consumer_lambda::config::{OnRetentionLoss, OnTruncation, StartPosition};
use kafka_consumer_lambda::plan::{Decision, PartitionState, Policy, decide};
use kafka_consumer_lambda::record::NextOffset;
use kafka_consumer_lambda::source::ListedOffset;
use kafka_consumer_lambda::store::InvalidCursor;

use super::{LAST, NOW_MS, backing_off, invalid, log, next, nobody, policies};

/// The table, once more: the first row that fits, in the words of the table.
fn first_row_that_fits(states: &PartitionState, appeared_later: bool, policy: &Policy) -> &'static str {
    let item = states.cursor.as_ref().and_then(|cursor| cursor.as_ref().ok());
    let end = states.end.as_ref().and_then(|end| end.as_ref().ok());
    let earliest = states.earliest.as_ref().and_then(|earliest| earliest.as_ref().ok());
    let claim = item.and_then(|item| item.claim_until_ms);
    let believable = NOW_MS + 1..=NOW_MS + LONGEST_BELIEVED_MS;
    let failing = item.and_then(|item| {
        let failure = item.failure.as_ref()?;
        (failure.offset == item.next).then_some(failure.next_try_at_ms?)
    });
    let begins_at_start =
        states.cursor.is_none() && !appeared_later && policy.start_position != StartPosition::Earliest;
    let is_past_the_end = item.is_some_and(|item| Some(&item.next) > end);
    let high = states.high_watermark.as_ref();
    let reaches = |high: &NextOffset| item.is_some_and(|item| item.next <= *high);
    let rows = [
        (matches!(states.cursor, Some(Err(_))), "invalid"),
        (item.is_some_and(|item| item.paused), "paused"),
        (states.end.is_none(), "truncated"),
        (end.is_none(), "unavailable"),
        (claim.is_some_and(|until| believable.contains(&until)), "held"),
        (failing.is_some_and(|try_at| try_at > NOW_MS), "backing off"),
        (item.is_some_and(|item| Some(&item.next) == end), "idle"),
        (
            is_past_the_end && high.is_some_and(|high| high.as_ref().is_ok_and(reaches)),
            "idle",
        ),
        (is_past_the_end && high.is_some_and(Result::is_err), "unavailable"),
        (earliest.is_none() && !begins_at_start, "unavailable"),
        (
            is_past_the_end,
            match policy.on_truncation {
                OnTruncation::Halt => "truncated",
                OnTruncation::Earliest | OnTruncation::Latest => "read: truncated",
            },
        ),
        (
            item.is_some_and(|item| Some(&item.next) < earliest),
            match policy.on_retention_loss {
                OnRetentionLoss::Halt => "retention loss",
                OnRetentionLoss::Continue => "read: lost to retention",
            },
        ),
        (item.is_some(), "read: resumed"),
        (
            begins_at_start && states.start.as_ref().is_none_or(Result::is_err),
            "unavailable",
        ),
        (
            begins_at_start && states.start.as_ref().and_then(|start| start.as_ref().ok()) >= end,
            "idle",
        ),
        (begins_at_start, "read: start position"),
        (earliest >= end, "idle"),
        (appeared_later, "read: new partition"),
        (true, "read: start position"),
    ];
    rows.iter().find(|(fits, _)| *fits).expect("the last row fits").1
}

fn row_of(decision: &Decision) -> String {
    match decision {
        Decision::Read(reading) => return format!("read: {}", reading.why.reason().as_str()),
        Decision::Idle => "idle",
        Decision::Paused => "paused",
        Decision::Held(_) => "held",
        Decision::BackingOff => "backing off",
        Decision::Truncated(_) => "truncated",
        Decision::RetentionLoss(_) => "retention loss",
        Decision::Unavailable(_) => "unavailable",
        Decision::Invalid(_) => "invalid",
    }
    .to_owned()
}

/// Every kind of item, with the boundaries of the log 5..10 and of the range of numbers.
fn items() -> Vec<Option<Result<Cursor, InvalidCursor>>> {
    let mut items = vec![None, Some(Err(invalid()))];
    for at in [0, 4, 5, 6, 9, 10, 11, LAST, i64::MAX] {
        for claim_until_ms in [
            None,
            Some(NOW_MS),
            Some(NOW_MS + 1),
            Some(NOW_MS + LONGEST_BELIEVED_MS + 1),
        ] {
            for failure in [
                None,
                Some(backing_off(at, NOW_MS)),
                Some(backing_off(at, NOW_MS + 1)),
                Some(backing_off(7, NOW_MS + 1)),
            ] {
                for paused in [false, true] {
                    items.push(Some(Ok(Cursor {
                        claim_until_ms,
                        failure: failure.clone(),
                        paused,
                        ..Cursor::at(next(at))
                    })));
                }
            }
        }
    }
    items
}

#[test]
fn the_first_row_that_fits_decides_in_every_combination() {
    let looked: [ListedOffset; 3] = [nobody(), Ok(next(5)), Ok(next(10))];
    let maybe_looked = || looked.iter().cloned().map(Some).chain([None]);
    let (items, policies) = (items(), policies());
    for cursor in &items {
        for end in [None, Some(nobody()), Some(Ok(next(10)))] {
            let high_watermarks = [None, Some(nobody()), Some(Ok(next(10))), Some(Ok(next(11)))];
            for (earliest, start, high_watermark) in maybe_looked().flat_map(|first| {
                let high_watermarks = high_watermarks.clone();
                maybe_looked().flat_map(move |start| {
                    let first = first.clone();
                    high_watermarks.clone().map(|high| (first.clone(), start.clone(), high))
                })
            }) {
                let states = PartitionState {
                    end: end.clone(),
                    high_watermark,
                    earliest,
                    cursor: cursor.clone(),
                    start,
                    ..log(5, 10)
                };
                // A partition of which there is neither a log nor an item is none.
                if states.end.is_none() && states.cursor.is_none() {
                    continue;
                }
                for policy in &policies {
                    for later in [false, true] {
                        let decision = decide(&states, later, policy);
                        assert_eq!(
                            row_of(&decision),
                            first_row_that_fits(&states, later, policy),
                            "{states:?} {policy:?}"
                        );
                    }
                }
            }
        }
    }
}
