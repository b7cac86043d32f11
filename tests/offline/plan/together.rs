//! What depends on several partitions, or is added up: partitions that appeared
//! later, demand, and lag.

use std::collections::BTreeMap;

use kafka_consumer_lambda::claim::{Cursor, ObservedItem};
use kafka_consumer_lambda::config::StartPosition;
use kafka_consumer_lambda::plan::{Decision, PartitionState, Policy, Why, appeared_later, highest_cursors};
use kafka_consumer_lambda::record::TopicPartition;

use super::{LAST, POLICY, decisions, invalid, log, next, plan, read, stored, unavailable, with};

#[test]
fn a_partition_appeared_later_if_it_is_above_every_item_of_its_own_topic() {
    let state = |topic, partition, cursor| PartitionState {
        partition: TopicPartition::new(topic, partition),
        cursor,
        start: Some(Ok(next(7))),
        ..log(0, 10)
    };
    let item = || Some(Ok(Cursor::at(next(10))));
    let states = [
        state("a", 0, None),
        state("a", 1, item()),
        // An item that cannot be read is an item.
        state("a", 2, Some(Err(invalid()))),
        state("a", 3, None),
        state("b", 9, None),
    ];
    let highest = highest_cursors(&states);
    assert_eq!(highest, BTreeMap::from([("a".into(), 2)]));
    assert_eq!(
        states.clone().map(|state| appeared_later(&state.partition, &highest)),
        [false, false, false, true, false]
    );
    let policy = Policy {
        start_position: StartPosition::Latest,
        ..POLICY
    };
    let at_start = read(7, 10, Why::StartPosition, ObservedItem::Missing { start: next(7) });
    assert_eq!(
        decisions(&states, &policy),
        [
            at_start.clone(),
            Decision::Idle,
            Decision::Invalid(invalid()),
            read(0, 10, Why::AppearedLater, ObservedItem::Missing { start: next(0) }),
            at_start,
        ]
    );
}

#[test]
fn an_item_of_a_partition_that_is_gone_counts_among_the_cursors() {
    let gone = PartitionState {
        partition: TopicPartition::new("t", 5),
        end: None,
        ..stored(3, (0, 10))
    };
    let highest = highest_cursors(&[log(0, 10), gone]);
    assert!(!appeared_later(&TopicPartition::new("t", 5), &highest));
    assert!(appeared_later(&TopicPartition::new("t", 6), &highest));
}

#[test]
fn demand_is_the_distance_from_the_first_offset_read_to_the_end() {
    let written = Cursor {
        updated_at_ms: Some(5),
        ..Cursor::at(next(3))
    };
    let demand = plan(with(log(0, 10), written)).demand();
    assert_eq!((demand.records, demand.updated_at_ms), (7, Some(5)));
    let demand = plan(log(0, i64::MAX)).demand();
    assert_eq!((demand.records, demand.updated_at_ms), (LAST.unsigned_abs() + 1, None));
    assert_eq!(plan(stored(10, (0, 10))).demand().records, 0);
}

#[test]
fn a_lag_is_counted_from_the_first_offset_read_or_else_from_the_cursor() {
    let next_offset = |state| plan(state).next_offset();
    assert_eq!(next_offset(stored(3, (5, 10))), Some(next(5)));
    assert_eq!(next_offset(log(2, 10)), Some(next(2)));
    assert_eq!(next_offset(log(10, 10)), Some(next(10)));
    let paused = Cursor {
        paused: true,
        ..Cursor::at(next(3))
    };
    assert_eq!(next_offset(with(log(0, 10), paused)), Some(next(3)));
    let unread = PartitionState {
        cursor: Some(Err(invalid())),
        ..log(0, 10)
    };
    assert_eq!(next_offset(unread), None);
    let without_leader = PartitionState {
        end: Some(unavailable()),
        ..log(0, 10)
    };
    assert_eq!(next_offset(without_leader), None);
}
