//! The table of decisions: the first row that fits decides, in every combination.

mod rows;

use kafka_consumer_lambda::claim::{Cursor, MAX_CLAIM_MS, ObservedItem};
use kafka_consumer_lambda::config::{OnRetentionLoss, OnTruncation, StartPosition};
use kafka_consumer_lambda::plan::{
    Decision, PartitionPlan, PartitionState, Policy, Reading, Why, decide, needs_earliest,
};
use kafka_consumer_lambda::record::NextOffset;
use kafka_consumer_lambda::source::ListedOffset;
use kafka_consumer_lambda::store::InvalidCursor;

use super::{LAST, NOW_MS, backing_off, invalid, log, next, policies, unavailable};

/// The table as a list: the name of the first row that fits.
fn first_row_that_fits(state: &PartitionState, appeared_later: bool, policy: &Policy) -> &'static str {
    let item = state.cursor.as_ref().and_then(|cursor| cursor.as_ref().ok());
    let end = state.end.as_ref().and_then(|end| end.as_ref().ok());
    let earliest = state.earliest.as_ref().and_then(|earliest| earliest.as_ref().ok());
    let claim = item.and_then(|item| item.claim_until_ms);
    let believable = NOW_MS + 1..=NOW_MS + MAX_CLAIM_MS;
    let failing = item.and_then(|item| {
        let failure = item.failure.as_ref()?;
        (failure.offset == item.next).then_some(failure.next_try_at_ms?)
    });
    let begins_at_start = state.cursor.is_none() && !appeared_later && policy.start_position != StartPosition::Earliest;
    let is_past_the_end = item.is_some_and(|item| Some(&item.next) > end);
    let high = state.high_watermark.as_ref();
    let reaches = |high: &NextOffset| item.is_some_and(|item| item.next <= *high);
    let rows = [
        (matches!(state.cursor, Some(Err(_))), "invalid"),
        (item.is_some_and(|item| item.paused), "paused"),
        (state.end.is_none(), "truncated"),
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
            begins_at_start && state.start.as_ref().is_none_or(Result::is_err),
            "unavailable",
        ),
        (
            begins_at_start && state.start.as_ref().and_then(|start| start.as_ref().ok()) >= end,
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

/// Items at these offsets, without claim and failure.
fn bare_items(offsets: &[i64]) -> Vec<Option<Result<Cursor, InvalidCursor>>> {
    let items = offsets.iter().map(|at| Some(Ok(Cursor::at(next(*at)))));
    [None, Some(Err(invalid()))].into_iter().chain(items).collect()
}

/// Items at these offsets, with each kind of claim, failure and pause.
fn items(offsets: &[i64]) -> Vec<Option<Result<Cursor, InvalidCursor>>> {
    let mut items = vec![None, Some(Err(invalid()))];
    for &at in offsets {
        for claim_until_ms in [None, Some(NOW_MS), Some(NOW_MS + 1), Some(NOW_MS + MAX_CLAIM_MS + 1)] {
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

/// Checks the decisions for a log that ends at `end`: each of `cursors`, with an
/// unknown, an unavailable and each of the `listed` offsets as the log start and as
/// the start position, under each policy.
fn check_all(cursors: &[Option<Result<Cursor, InvalidCursor>>], end: i64, listed: &[i64]) {
    let listed: Vec<Option<ListedOffset>> = [None, Some(unavailable())]
        .into_iter()
        .chain(listed.iter().map(|offset| Some(Ok(next(*offset)))))
        .collect();
    let high_watermarks = [None, Some(unavailable()), Some(Ok(next(end))), Some(Ok(next(end + 1)))];
    let policies = policies();
    for cursor in cursors {
        for log_end in [None, Some(unavailable()), Some(Ok(next(end)))] {
            // Neither a log nor an item: there is no such partition.
            if log_end.is_none() && cursor.is_none() {
                continue;
            }
            for earliest in &listed {
                for start in &listed {
                    for high_watermark in &high_watermarks {
                        let state = PartitionState {
                            end: log_end.clone(),
                            high_watermark: high_watermark.clone(),
                            earliest: earliest.clone(),
                            cursor: cursor.clone(),
                            start: start.clone(),
                            ..log(0, end)
                        };
                        for policy in &policies {
                            check(&state, false, policy);
                            check(&state, true, policy);
                        }
                    }
                }
            }
        }
    }
}

fn check(state: &PartitionState, appeared_later: bool, policy: &Policy) {
    let decision = decide(state, appeared_later, policy);
    let expected = first_row_that_fits(state, appeared_later, policy);
    assert_eq!(row_of(&decision), expected, "{state:?} {policy:?}");
    if !needs_earliest(state) && state.earliest.is_some() {
        let unlisted = PartitionState {
            earliest: None,
            ..state.clone()
        };
        // The log start offset decides nothing where it is not listed.
        assert_eq!(
            decide(&unlisted, appeared_later, policy),
            decision,
            "{state:?} {policy:?}"
        );
    }
    if let Decision::Read(reading) = decision {
        check_reading(state, policy, reading);
    }
}

/// Nothing is read past the end, nothing before the cursor but by `ON_TRUNCATION`,
/// and every offset between the cursor and the first offset read is named.
fn check_reading(state: &PartitionState, policy: &Policy, reading: Reading) {
    assert_eq!(state.end, Some(Ok(reading.to)));
    let plan = PartitionPlan {
        state: state.clone(),
        decision: Decision::Read(reading.clone()),
    };
    let Reading {
        from,
        to,
        why,
        observed,
    } = reading;
    assert_eq!(plan.demand().records, from.distance_to(to), "{plan:?}");
    match (observed, why) {
        (ObservedItem::Missing { start }, Why::StartPosition | Why::AppearedLater) => assert_eq!(start, from),
        (ObservedItem::Present(item), Why::Resumed) => assert_eq!(item.next, from),
        (ObservedItem::Present(item), Why::Lost(lost)) => {
            assert_eq!((lost.first, lost.last + 1), (item.next.get(), from.get()), "{plan:?}");
            assert_eq!(lost.count(), item.next.distance_to(from));
        }
        (ObservedItem::Present(item), Why::Truncated { stored, passed_over }) => {
            assert_ne!(policy.on_truncation, OnTruncation::Halt);
            assert!(item.next == stored && stored > to && from <= to, "{plan:?}");
            let earliest = state.earliest.clone().and_then(Result::ok).expect("it is listed");
            match passed_over {
                Some(range) => assert_eq!((range.first, range.last + 1), (earliest.get(), from.get())),
                None => assert!(from <= earliest, "{plan:?}"),
            }
        }
        _ => panic!("{plan:?}"),
    }
}

#[test]
fn the_first_row_that_fits_decides_in_every_combination() {
    check_all(&items(&[0, 4, 5, 6, 9, 10, 11, LAST, i64::MAX]), 10, &[5, 10]);
}

/// The log start offset is listed after the end, so retention may have moved it past
/// the end meanwhile.
#[test]
fn the_first_row_that_fits_decides_where_the_log_changed_between_two_requests() {
    let offsets = [0, 4, 5, 6, 9, 10, 11, 12, LAST, i64::MAX];
    check_all(&bare_items(&offsets), 10, &[0, 5, 10, 11, 12, i64::MAX]);
}

#[test]
fn the_first_row_that_fits_decides_at_the_end_of_the_number_range() {
    let offsets = [0, 1, LAST - 6, LAST - 5, LAST - 4, LAST - 1, LAST, i64::MAX];
    check_all(&bare_items(&offsets), LAST, &[0, LAST - 5, LAST, i64::MAX]);
    check_all(&bare_items(&offsets), 0, &[0, LAST, i64::MAX]);
}
