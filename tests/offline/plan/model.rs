//! Random states against a model that lists offsets one by one.

use std::collections::BTreeSet;

use kafka_consumer_lambda::claim::{Cursor, MAX_CLAIM_MS};
use kafka_consumer_lambda::config::{OnRetentionLoss, OnTruncation, StartPosition};
use kafka_consumer_lambda::plan::{
    Decision, PartitionPlan, PartitionState, Policy, Reading, Why, appeared_later, decide, decide_all, fair_shares,
    highest_cursors,
};
use kafka_consumer_lambda::record::{OffsetRange, TopicPartition};
use proptest::prelude::*;

use super::{NOW_MS, backing_off, decisions, invalid, next, policies, unavailable};

/// The logs of these tests lie within.
const OFFSETS: std::ops::Range<i64> = 0..16;

type Offsets = BTreeSet<i64>;

/// The offsets of one partition that are read, and those that are skipped.
#[derive(Debug, Default, PartialEq, Eq)]
struct Handled {
    /// The offsets that are read.
    read: Offsets,
    /// The offsets that are skipped, and named.
    named: Offsets,
}

fn offsets(keep: impl Fn(&i64) -> bool) -> Offsets {
    OFFSETS.filter(keep).collect()
}

/// The log start and end offset, if both were returned.
fn bounds(state: &PartitionState) -> Option<(i64, i64)> {
    let end = state.end.clone()?.ok()?;
    let earliest = state.earliest.clone()?.ok()?;
    Some((earliest.get(), end.get()))
}

fn is_left_alone(cursor: &Cursor) -> bool {
    let is_believable = |until: i64| (1..=MAX_CLAIM_MS).contains(&(until - NOW_MS));
    let failure = cursor.failure.as_ref().filter(|failure| failure.offset == cursor.next);
    let next_try = failure.and_then(|failure| failure.next_try_at_ms);
    cursor.paused || cursor.claim_until_ms.is_some_and(is_believable) || next_try.is_some_and(|at| at > NOW_MS)
}

/// What a run must do with a partition, offset by offset.
fn expected(state: &PartitionState, is_later: bool, policy: &Policy) -> Handled {
    let (Some((earliest, end)), Ok(cursor)) = (bounds(state), state.cursor.clone().transpose()) else {
        return Handled::default();
    };
    match cursor {
        Some(cursor) if is_left_alone(&cursor) => Handled::default(),
        Some(cursor) => after(cursor.next.get(), (earliest, end), policy),
        None => {
            let is_earliest = is_later || policy.start_position == StartPosition::Earliest;
            let start = state.start.clone().and_then(Result::ok).filter(|_| !is_earliest);
            let start = start.map_or(earliest, kafka_consumer_lambda::record::NextOffset::get);
            Handled {
                read: offsets(|at| *at >= start && *at < end),
                ..Handled::default()
            }
        }
    }
}

/// The same for a cursor that is free.
fn after(stored: i64, (earliest, end): (i64, i64), policy: &Policy) -> Handled {
    let there = offsets(|at| *at >= earliest && *at < end);
    if stored > end {
        return match policy.on_truncation {
            OnTruncation::Halt => Handled::default(),
            OnTruncation::Earliest => Handled {
                read: there,
                ..Handled::default()
            },
            OnTruncation::Latest => Handled {
                named: there,
                ..Handled::default()
            },
        };
    }
    let unread = offsets(|at| *at >= stored && *at < end);
    let gone: Offsets = unread.difference(&there).copied().collect();
    let halts = policy.on_retention_loss == OnRetentionLoss::Halt && !gone.is_empty();
    Handled {
        read: if halts { Offsets::new() } else { &unread & &there },
        named: gone,
    }
}

/// A decision, offset by offset.
fn decided(decision: &Decision) -> Handled {
    let within = |range: &OffsetRange| offsets(|at| (range.first..=range.last).contains(at));
    match decision {
        Decision::Read(Reading { from, to, why, .. }) => Handled {
            read: offsets(|at| *at >= from.get() && *at < to.get()),
            named: match why {
                Why::Lost(range) => within(range),
                Why::Truncated { passed_over, .. } => passed_over.as_ref().map(within).unwrap_or_default(),
                Why::Resumed | Why::StartPosition | Why::AppearedLater => Offsets::new(),
            },
        },
        Decision::RetentionLoss(range) => Handled {
            named: within(range),
            ..Handled::default()
        },
        _ => Handled::default(),
    }
}

prop_compose! {
    fn any_cursor()(
        at in OFFSETS,
        claim_until_ms in proptest::option::weighted(0.2, prop_oneof![
            NOW_MS - 2..NOW_MS + 2, NOW_MS + MAX_CLAIM_MS - 1..NOW_MS + MAX_CLAIM_MS + 3,
        ]),
        failure in proptest::option::weighted(0.3, (-1..2_i64, NOW_MS - 2..NOW_MS + 2)),
        paused in proptest::bool::weighted(0.1),
    ) -> Cursor {
        let failure = failure.map(|(beside, try_at_ms)| backing_off((at + beside).max(0), try_at_ms));
        Cursor { claim_until_ms, failure, paused, ..Cursor::at(next(at)) }
    }
}

prop_compose! {
    /// A partition whose offsets are listed, and nearly all returned.
    fn any_state()(
        bounds in (OFFSETS, OFFSETS, OFFSETS),
        cursor in proptest::option::of(prop_oneof![12 => any_cursor().prop_map(Ok), 1 => Just(Err(invalid()))]),
        is_silent in proptest::bool::weighted(0.05),
        is_gone in proptest::bool::weighted(0.05),
    ) -> PartitionState {
        let mut bounds = [bounds.0, bounds.1, bounds.2];
        bounds.sort_unstable();
        let [earliest, start, end] = bounds.map(next).map(Ok);
        PartitionState {
            // Placed by `any_plan`.
            partition: TopicPartition::new("t", 0),
            end: match (is_gone, is_silent) {
                (true, _) => None,
                (false, true) => Some(unavailable()),
                (false, false) => Some(end),
            },
            high_watermark: None,
            earliest: Some(earliest),
            cursor,
            start: Some(start),
        }
    }
}

/// Up to 4 partitions of each of two topics, in order.
fn any_plan() -> impl Strategy<Value = Vec<PartitionState>> {
    let topic = |name: &'static str| {
        proptest::collection::vec(any_state(), 0..5).prop_map(move |states| {
            let place = |(i, state): (usize, PartitionState)| PartitionState {
                partition: TopicPartition::new(name, i32::try_from(i).expect("a few")),
                ..state
            };
            states.into_iter().enumerate().map(place).collect::<Vec<_>>()
        })
    };
    (topic("a"), topic("b")).prop_map(|(a, b)| [a, b].concat())
}

fn any_policy() -> impl Strategy<Value = Policy> {
    proptest::sample::select(policies())
}

/// Whether no partition from this one on has an item, and one before has.
fn is_later(states: &[PartitionState], i: usize) -> bool {
    let topic = &states[i].partition.topic;
    let with_item = |state: &&PartitionState| state.partition.topic == *topic && state.cursor.is_some();
    !states[i..].iter().any(|state| with_item(&state)) && states[..i].iter().any(|state| with_item(&state))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// P5: no record is passed over silently: each offset between the cursor
    /// and the end is read, or named, or its partition is left alone.
    #[test]
    fn each_offset_is_read_or_named_as_in_the_model(states in any_plan(), policy in any_policy()) {
        let decisions = decisions(&states, &policy);
        prop_assert_eq!(decisions.len(), states.len());
        for (i, decision) in decisions.iter().enumerate() {
            prop_assert_eq!(decided(decision), expected(&states[i], is_later(&states, i), &policy), "{:?}", decision);
        }
    }

    /// P9: one partition's failure is its own.
    #[test]
    fn the_state_of_one_partition_changes_nothing_for_another(
        states in any_plan(), other in any_state(), which: prop::sample::Index, policy in any_policy(),
    ) {
        prop_assume!(!states.is_empty());
        let which = which.index(states.len());
        let mut changed = states.clone();
        changed[which] = PartitionState {
            partition: states[which].partition.clone(),
            // Which partitions appeared later depends on the items.
            cursor: states[which].cursor.as_ref().map(|_| other.cursor.clone().unwrap_or_else(|| Err(invalid()))),
            ..other
        };
        let (before, after) = (decisions(&states, &policy), decisions(&changed, &policy));
        for i in (0..states.len()).filter(|i| *i != which) {
            prop_assert_eq!(&before[i], &after[i]);
        }
    }

    /// The budget goes to partitions that are read, and to no other.
    #[test]
    fn a_partition_that_is_not_read_gets_no_share(
        states in any_plan(), policy in any_policy(), budget in proptest::option::of(0..40_u64),
    ) {
        let plans = decide_all(states, &policy);
        let demands: Vec<_> = plans.iter().map(PartitionPlan::demand).collect();
        let shares = fair_shares(&demands, budget);
        for (plan, share) in plans.iter().zip(shares) {
            prop_assert!(share <= decided(&plan.decision).read.len() as u64, "{}: {:?}", share, plan);
        }
    }

    #[test]
    fn each_partition_is_decided_as_if_it_were_alone(states in any_plan(), policy in any_policy()) {
        let highest = highest_cursors(&states);
        let alone: Vec<_> =
            states.iter().map(|state| decide(state, appeared_later(&state.partition, &highest), &policy)).collect();
        prop_assert_eq!(decisions(&states, &policy), alone);
    }
}
