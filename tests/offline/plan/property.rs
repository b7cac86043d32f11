//! What holds for every decision, whatever the facts, also those of a log that
//! changed between two questions.

use kafka_consumer_lambda::claim::{Cursor, ObservedItem};
use kafka_consumer_lambda::config::OnTruncation;
use kafka_consumer_lambda::plan::{
    Decision, PartitionState, Policy, Reading, Why, appeared_later, decide, decide_all, demand, highest_cursors,
    needs_earliest,
};
use kafka_consumer_lambda::record::{NextOffset, TopicPartition};
use kafka_consumer_lambda::source::ListedOffset;
use proptest::prelude::*;

use super::{LAST, NOW_MS, backing_off, invalid, next, nobody, policies};

fn any_offset() -> impl Strategy<Value = NextOffset> {
    prop_oneof![0..12_i64, LAST - 9..=i64::MAX, 0..=i64::MAX].prop_map(next)
}

fn any_looked() -> impl Strategy<Value = Option<ListedOffset>> {
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
    /// The state of a partition of any kind, also of a log that changed between two questions.
    fn any_facts()(
        partition in 0..4,
        end in any_looked(),
        earliest in any_looked(),
        cursor in proptest::option::of(prop_oneof![9 => any_cursor().prop_map(Ok), 1 => Just(Err(invalid()))]),
        start in any_looked(),
    ) -> PartitionState {
        PartitionState { partition: TopicPartition::new("t", partition), end, high_watermark: None, earliest, cursor, start }
    }
}

fn any_policy() -> impl Strategy<Value = Policy> {
    proptest::sample::select(policies())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_first_offset_decides_nothing_where_it_is_not_asked_for(
        states in any_facts(), earliest in any_looked(), policy in any_policy(), later: bool,
    ) {
        let other = PartitionState { earliest, ..states.clone() };
        if !needs_earliest(&states) {
            prop_assert_eq!(decide(&states, later, &policy), decide(&other, later, &policy));
        }
    }

    #[test]
    fn no_offset_is_passed_over_without_being_named(states in any_facts(), policy in any_policy(), later: bool) {
        let Decision::Read(Reading { from, to, why, observed }) = decide(&states, later, &policy) else { return Ok(()) };
        match (observed, why) {
            (ObservedItem::Missing { start }, Why::StartPosition | Why::AppearedLater) => prop_assert_eq!(start, from),
            (ObservedItem::Present(item), Why::Resumed) => prop_assert_eq!(item.next, from),
            (ObservedItem::Present(item), Why::Lost(lost)) => {
                prop_assert_eq!((lost.first, lost.last + 1), (item.next.get(), from.get()));
                prop_assert_eq!(lost.count(), item.next.distance_to(from));
            }
            (ObservedItem::Present(item), Why::Truncated { stored, passed_over }) => {
                prop_assert!(item.next == stored && stored > to && from <= to);
                let earliest = states.earliest.clone().expect("it was asked for").expect("it was answered");
                match passed_over {
                    Some(range) => prop_assert_eq!((range.first, range.last + 1), (earliest.get(), from.get())),
                    None => prop_assert!(from <= earliest),
                }
            }
            (observed, why) => prop_assert!(false, "{:?} {:?}", observed, why),
        }
    }

    #[test]
    fn nothing_is_read_below_what_is_stored_unless_on_truncation_says_so(
        states in any_facts(), policy in any_policy(), later: bool,
    ) {
        if let Decision::Read(Reading { from, observed: ObservedItem::Present(item), why, .. }) = decide(&states, later, &policy)
            && from < item.next
        {
            let is_truncated = matches!(why, Why::Truncated { .. });
            prop_assert!(is_truncated && policy.on_truncation != OnTruncation::Halt);
        }
    }

    #[test]
    fn nothing_is_read_past_the_end_that_was_seen(states in any_facts(), policy in any_policy(), later: bool) {
        let decision = decide(&states, later, &policy);
        if let Decision::Read(Reading { from, to, .. }) = &decision {
            prop_assert_eq!(states.end.clone(), Some(Ok(*to)));
            prop_assert_eq!(demand(&states, &decision).records, from.distance_to(*to));
        }
    }

    #[test]
    fn each_partition_is_decided_as_if_it_were_alone(
        states in proptest::collection::vec(any_facts(), 0..6), policy in any_policy(),
    ) {
        let highest = highest_cursors(&states);
        let alone: Vec<_> =
            states.iter().map(|state| decide(state, appeared_later(&state.partition, &highest), &policy)).collect();
        prop_assert_eq!(decide_all(&states, &policy), alone);
    }
}
