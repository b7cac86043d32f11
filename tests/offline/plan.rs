//! The plan: each row of its table, the order of the rows, and what holds for every decision.

mod shares;

use std::collections::BTreeMap;

use kafka_consumer_lambda::claim::{Cursor, Failures, LONGEST_BELIEVED_MS, Seen};
use kafka_consumer_lambda::config::{OnRetentionLoss, OnTruncation, StartPosition};
use kafka_consumer_lambda::plan::{
    Decision, Facts, LostRange, Policy, Why, appeared_later, decide, decide_all, highest_cursors, needs_earliest,
    standing_at, wish,
};
use kafka_consumer_lambda::record::{NextOffset, TopicPartition};
use kafka_consumer_lambda::source::{Looked, Unavailable};
use kafka_consumer_lambda::store::InvalidCursor;
use proptest::prelude::*;

const NOW_MS: i64 = 1_800_000_000_000;
const LAST: i64 = i64::MAX - 1;

const POLICY: Policy = Policy {
    start_position: StartPosition::Earliest,
    on_retention_loss: OnRetentionLoss::Continue,
    on_truncation: OnTruncation::Halt,
    now_ms: NOW_MS,
};

fn next(offset: i64) -> NextOffset {
    NextOffset::new(offset).expect("offsets of tests are in range")
}

fn nobody<T>() -> Result<T, Unavailable> {
    Err(Unavailable("no leader".into()))
}

/// Partition 0 of a log from `earliest` to `end`, without an item.
fn log(earliest: i64, end: i64) -> Facts {
    Facts {
        partition: TopicPartition::new("t", 0),
        end: Some(Ok(next(end))),
        earliest: Some(Ok(next(earliest))),
        cursor: None,
        start: None,
    }
}

fn with(facts: Facts, cursor: Cursor) -> Facts {
    Facts {
        cursor: Some(Ok(cursor)),
        ..facts
    }
}

/// The log from `earliest` to `end` with a cursor at `at`.
fn stored(at: i64, (earliest, end): (i64, i64)) -> Facts {
    with(log(earliest, end), Cursor::at(next(at)))
}

fn decided(facts: &Facts) -> Decision {
    decide(facts, false, &POLICY)
}

fn read(from: i64, to: i64, why: Why, seen: Seen) -> Decision {
    Decision::Read {
        from: next(from),
        to: next(to),
        why,
        seen,
    }
}

fn resumed(from: i64, to: i64) -> Decision {
    read(from, to, Why::Resumed, Seen::Item(Cursor::at(next(from))))
}

fn range(first: i64, last: i64) -> LostRange {
    LostRange { first, last }
}

fn invalid() -> InvalidCursor {
    InvalidCursor("offset is a word".into())
}

fn backing_off(at: i64, try_at_ms: i64) -> Failures {
    Failures {
        offset: next(at),
        attempts: 1,
        next_try_at_ms: Some(try_at_ms),
        ..Failures::default()
    }
}

#[test]
fn an_item_that_cannot_be_read_stops_its_partition_and_says_why() {
    let facts = Facts {
        cursor: Some(Err(invalid())),
        ..log(0, 10)
    };
    assert_eq!(decided(&facts), Decision::Invalid("offset is a word".into()));
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
        let facts = Facts {
            end: None,
            ..stored(3, (0, 10))
        };
        let decision = decide(
            &facts,
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
fn a_partition_that_no_broker_answers_for_is_unavailable_and_says_why() {
    for facts in [stored(3, (0, 10)), log(0, 10)] {
        let facts = Facts {
            end: Some(nobody()),
            ..facts
        };
        assert_eq!(decided(&facts), Decision::Unavailable("no leader".into()));
    }
}

#[test]
fn a_partition_whose_first_offset_nobody_tells_is_unavailable() {
    for earliest in [None, Some(nobody())] {
        for facts in [stored(3, (0, 10)), stored(11, (0, 10)), log(0, 10)] {
            let facts = Facts {
                earliest: earliest.clone(),
                ..facts
            };
            let decision = decided(&facts);
            assert!(matches!(decision, Decision::Unavailable(_)), "{decision:?}");
        }
    }
}

#[test]
fn a_live_claim_is_respected_until_its_very_end() {
    let claimed = |until_ms| {
        let cursor = Cursor {
            claim_until_ms: Some(until_ms),
            ..Cursor::at(next(3))
        };
        decided(&with(log(0, 10), cursor))
    };
    assert_eq!(claimed(NOW_MS + 1), Decision::Held(NOW_MS + 1));
    assert_eq!(
        claimed(NOW_MS + LONGEST_BELIEVED_MS),
        Decision::Held(NOW_MS + LONGEST_BELIEVED_MS)
    );
    for over in [NOW_MS, NOW_MS - 1, 0, -1, NOW_MS + LONGEST_BELIEVED_MS + 1, i64::MAX] {
        assert!(matches!(claimed(over), Decision::Read { .. }), "{over}");
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
    assert!(matches!(failed(NOW_MS), Decision::Read { .. }));
    assert!(matches!(failed(NOW_MS - 1), Decision::Read { .. }));
}

#[test]
fn a_cursor_that_was_moved_away_from_a_failed_record_is_not_held_up_by_it() {
    for at in [2, 4] {
        let cursor = Cursor {
            failure: Some(backing_off(3, NOW_MS + 1)),
            ..Cursor::at(next(at))
        };
        assert!(matches!(decided(&with(log(0, 10), cursor)), Decision::Read { .. }));
    }
}

#[test]
fn a_cursor_at_the_end_is_idle() {
    for (at, earliest) in [(0, 0), (10, 0), (10, 10), (LAST, 0), (i64::MAX, 0)] {
        assert_eq!(decided(&stored(at, (earliest, at))), Decision::Idle, "{at}");
    }
}

#[test]
fn a_cursor_at_the_end_is_idle_although_nobody_asked_for_the_first_offset() {
    let facts = Facts {
        earliest: None,
        ..stored(10, (0, 10))
    };
    assert!(!needs_earliest(&facts));
    assert_eq!(decided(&facts), Decision::Idle);
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
        assert_eq!(decision, read(earliest, end, why, Seen::Item(Cursor::at(next(at)))));
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
        assert_eq!(decision, read(end, end, why, Seen::Item(Cursor::at(next(at)))));
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
        let item = Seen::Item(Cursor::at(next(at)));
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
fn a_log_that_retention_emptied_while_it_was_looked_at_has_nothing_to_read() {
    // The end was 10 when it was asked for, and the first offset is 15 since.
    let facts = stored(3, (15, 10));
    let decision = decided(&facts);
    let item = Seen::Item(Cursor::at(next(3)));
    assert_eq!(decision, read(15, 10, Why::Lost(range(3, 14)), item));
    assert_eq!(wish(&facts, &decision).records, 0);
}

#[test]
fn a_partition_without_an_item_begins_at_start_position() {
    let facts = Facts {
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
        let begin = read(from, 10, Why::StartPosition, Seen::Nothing { start: next(from) });
        assert_eq!(decide(&facts, false, &policy), begin);
    }
}

#[test]
fn a_partition_that_appeared_later_begins_at_its_earliest_whatever_start_position_says() {
    let facts = Facts {
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
        let begin = read(2, 10, Why::AppearedLater, Seen::Nothing { start: next(2) });
        assert_eq!(decide(&facts, true, &policy), begin);
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
fn a_start_position_that_nobody_tells_is_never_replaced_by_a_guess() {
    for start_position in [StartPosition::Latest, StartPosition::At { unix_ms: 5 }] {
        for start in [None, Some(nobody())] {
            let facts = Facts { start, ..log(0, 10) };
            let policy = Policy {
                start_position,
                ..POLICY
            };
            let decision = decide(&facts, false, &policy);
            assert!(matches!(decision, Decision::Unavailable(_)), "{decision:?}");
        }
    }
}

#[test]
fn a_partition_appeared_later_if_it_is_above_every_item_of_its_own_topic() {
    let fact = |topic, partition, cursor| Facts {
        partition: TopicPartition::new(topic, partition),
        cursor,
        start: Some(Ok(next(7))),
        ..log(0, 10)
    };
    let item = || Some(Ok(Cursor::at(next(10))));
    let facts = [
        fact("a", 0, None),
        fact("a", 1, item()),
        // An item that cannot be read is an item.
        fact("a", 2, Some(Err(invalid()))),
        fact("a", 3, None),
        fact("b", 9, None),
    ];
    let highest = highest_cursors(&facts);
    assert_eq!(highest, BTreeMap::from([("a".into(), 2)]));
    assert_eq!(
        facts.clone().map(|fact| appeared_later(&fact.partition, &highest)),
        [false, false, false, true, false]
    );
    let policy = Policy {
        start_position: StartPosition::Latest,
        ..POLICY
    };
    let at_start = read(7, 10, Why::StartPosition, Seen::Nothing { start: next(7) });
    assert_eq!(
        decide_all(&facts, &policy),
        [
            at_start.clone(),
            Decision::Idle,
            Decision::Invalid("offset is a word".into()),
            read(0, 10, Why::AppearedLater, Seen::Nothing { start: next(0) }),
            at_start,
        ]
    );
}

#[test]
fn an_item_of_a_partition_that_is_gone_counts_among_the_cursors() {
    let gone = Facts {
        partition: TopicPartition::new("t", 5),
        end: None,
        ..stored(3, (0, 10))
    };
    let highest = highest_cursors(&[log(0, 10), gone]);
    assert!(!appeared_later(&TopicPartition::new("t", 5), &highest));
    assert!(appeared_later(&TopicPartition::new("t", 6), &highest));
}

#[test]
fn a_wish_is_the_distance_from_the_first_offset_read_to_the_end() {
    let written = Cursor {
        updated_at_ms: Some(5),
        ..Cursor::at(next(3))
    };
    let facts = with(log(0, 10), written);
    let wished = wish(&facts, &decided(&facts));
    assert_eq!((wished.records, wished.updated_at_ms), (7, Some(5)));
    let facts = log(0, i64::MAX);
    let wished = wish(&facts, &decided(&facts));
    assert_eq!((wished.records, wished.updated_at_ms), (LAST.unsigned_abs() + 1, None));
    let facts = stored(10, (0, 10));
    assert_eq!(wish(&facts, &decided(&facts)).records, 0);
}

#[test]
fn a_lag_is_counted_from_where_the_partition_is_read_or_else_from_where_it_stands() {
    let standing = |facts: &Facts| standing_at(facts, &decided(facts));
    assert_eq!(standing(&stored(3, (5, 10))), Some(next(5)));
    assert_eq!(standing(&log(2, 10)), Some(next(2)));
    assert_eq!(standing(&log(10, 10)), Some(next(10)));
    let paused = Cursor {
        paused: true,
        ..Cursor::at(next(3))
    };
    assert_eq!(standing(&with(log(0, 10), paused)), Some(next(3)));
    let unread = Facts {
        cursor: Some(Err(invalid())),
        ..log(0, 10)
    };
    assert_eq!(standing(&unread), None);
    let unanswered = Facts {
        end: Some(nobody()),
        ..log(0, 10)
    };
    assert_eq!(standing(&unanswered), None);
}

/// The table, once more: the first row that fits, in the words of the table.
fn first_row_that_fits(facts: &Facts, appeared_later: bool, policy: &Policy) -> &'static str {
    let item = facts.cursor.as_ref().and_then(|cursor| cursor.as_ref().ok());
    let end = facts.end.as_ref().and_then(|end| end.as_ref().ok());
    let earliest = facts.earliest.as_ref().and_then(|earliest| earliest.as_ref().ok());
    let claim = item.and_then(|item| item.claim_until_ms);
    let believable = NOW_MS + 1..=NOW_MS + LONGEST_BELIEVED_MS;
    let failing = item.and_then(|item| {
        let failure = item.failure.as_ref()?;
        (failure.offset == item.next).then_some(failure.next_try_at_ms?)
    });
    let begins_at_start = facts.cursor.is_none() && !appeared_later && policy.start_position != StartPosition::Earliest;
    let rows = [
        (matches!(facts.cursor, Some(Err(_))), "invalid"),
        (item.is_some_and(|item| item.paused), "paused"),
        (facts.end.is_none(), "truncated"),
        (end.is_none(), "unavailable"),
        (claim.is_some_and(|until| believable.contains(&until)), "held"),
        (failing.is_some_and(|try_at| try_at > NOW_MS), "backing off"),
        (item.is_some_and(|item| Some(&item.next) == end), "idle"),
        (earliest.is_none() && !begins_at_start, "unavailable"),
        (
            item.is_some_and(|item| Some(&item.next) > end),
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
            begins_at_start && facts.start.as_ref().is_none_or(Result::is_err),
            "unavailable",
        ),
        (
            begins_at_start && facts.start.as_ref().and_then(|start| start.as_ref().ok()) >= end,
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
        Decision::Read { why, .. } => return format!("read: {}", why.as_str()),
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

#[test]
fn the_first_row_that_fits_decides_in_every_combination() {
    let looked: [Looked; 3] = [nobody(), Ok(next(5)), Ok(next(10))];
    let maybe_looked = || looked.iter().cloned().map(Some).chain([None]);
    let (items, policies) = (items(), policies());
    for cursor in &items {
        for end in [None, Some(nobody()), Some(Ok(next(10)))] {
            for (earliest, start) in
                maybe_looked().flat_map(|first| maybe_looked().map(move |start| (first.clone(), start)))
            {
                let facts = Facts {
                    end: end.clone(),
                    earliest,
                    cursor: cursor.clone(),
                    start,
                    ..log(5, 10)
                };
                // A partition of which there is neither a log nor an item is none.
                if facts.end.is_none() && facts.cursor.is_none() {
                    continue;
                }
                for policy in &policies {
                    for later in [false, true] {
                        let decision = decide(&facts, later, policy);
                        assert_eq!(
                            row_of(&decision),
                            first_row_that_fits(&facts, later, policy),
                            "{facts:?} {policy:?}"
                        );
                    }
                }
            }
        }
    }
}

fn any_offset() -> impl Strategy<Value = NextOffset> {
    prop_oneof![0..12_i64, LAST - 9..=i64::MAX, 0..=i64::MAX].prop_map(next)
}

fn any_looked() -> impl Strategy<Value = Option<Looked>> {
    prop_oneof![
        8 => any_offset().prop_map(|offset| Some(Ok(offset))),
        1 => Just(Some(nobody())),
        1 => Just(None),
    ]
}

prop_compose! {
    fn any_cursor()(
        next in any_offset(),
        claim_until_ms in proptest::option::weighted(0.2, NOW_MS - 2..NOW_MS + 2),
        failure in proptest::option::weighted(0.2, (0..12_i64, NOW_MS - 2..NOW_MS + 2)),
        paused in proptest::bool::weighted(0.1),
    ) -> Cursor {
        let failure = failure.map(|(at, try_at_ms)| backing_off(at, try_at_ms));
        Cursor { claim_until_ms, failure, paused, ..Cursor::at(next) }
    }
}

prop_compose! {
    /// Facts of any kind, also those of a log that changed between two questions.
    fn any_facts()(
        partition in 0..4,
        end in any_looked(),
        earliest in any_looked(),
        cursor in proptest::option::of(prop_oneof![9 => any_cursor().prop_map(Ok), 1 => Just(Err(invalid()))]),
        start in any_looked(),
    ) -> Facts {
        Facts { partition: TopicPartition::new("t", partition), end, earliest, cursor, start }
    }
}

fn any_policy() -> impl Strategy<Value = Policy> {
    proptest::sample::select(policies())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_first_offset_decides_nothing_where_it_is_not_asked_for(
        facts in any_facts(), earliest in any_looked(), policy in any_policy(), later: bool,
    ) {
        let other = Facts { earliest, ..facts.clone() };
        if !needs_earliest(&facts) {
            prop_assert_eq!(decide(&facts, later, &policy), decide(&other, later, &policy));
        }
    }

    #[test]
    fn no_offset_is_passed_over_without_being_named(facts in any_facts(), policy in any_policy(), later: bool) {
        let Decision::Read { from, to, why, seen } = decide(&facts, later, &policy) else { return Ok(()) };
        match (seen, why) {
            (Seen::Nothing { start }, Why::StartPosition | Why::AppearedLater) => prop_assert_eq!(start, from),
            (Seen::Item(item), Why::Resumed) => prop_assert_eq!(item.next, from),
            (Seen::Item(item), Why::Lost(lost)) => {
                prop_assert_eq!((lost.first, lost.last + 1), (item.next.get(), from.get()));
                prop_assert_eq!(lost.count(), item.next.distance_to(from));
            }
            (Seen::Item(item), Why::Truncated { stored, passed_over }) => {
                prop_assert!(item.next == stored && stored > to && from <= to);
                let earliest = facts.earliest.clone().expect("it was asked for").expect("it was answered");
                match passed_over {
                    Some(range) => prop_assert_eq!((range.first, range.last + 1), (earliest.get(), from.get())),
                    None => prop_assert!(from <= earliest),
                }
            }
            (seen, why) => prop_assert!(false, "{:?} {:?}", seen, why),
        }
    }

    #[test]
    fn nothing_is_read_below_what_is_stored_unless_on_truncation_says_so(
        facts in any_facts(), policy in any_policy(), later: bool,
    ) {
        if let Decision::Read { from, seen: Seen::Item(item), why, .. } = decide(&facts, later, &policy)
            && from < item.next
        {
            let is_truncated = matches!(why, Why::Truncated { .. });
            prop_assert!(is_truncated && policy.on_truncation != OnTruncation::Halt);
        }
    }

    #[test]
    fn nothing_is_read_past_the_end_that_was_seen(facts in any_facts(), policy in any_policy(), later: bool) {
        let decision = decide(&facts, later, &policy);
        if let Decision::Read { from, to, .. } = &decision {
            prop_assert_eq!(facts.end.clone(), Some(Ok(*to)));
            prop_assert_eq!(wish(&facts, &decision).records, from.distance_to(*to));
        }
    }

    #[test]
    fn each_partition_is_decided_as_if_it_were_alone(
        facts in proptest::collection::vec(any_facts(), 0..6), policy in any_policy(),
    ) {
        let highest = highest_cursors(&facts);
        let alone: Vec<_> =
            facts.iter().map(|fact| decide(fact, appeared_later(&fact.partition, &highest), &policy)).collect();
        prop_assert_eq!(decide_all(&facts, &policy), alone);
    }
}
