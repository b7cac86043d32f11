//! The plan against a model that knows offsets one by one and adds up nothing.

use std::collections::BTreeSet;

use kafka_consumer_lambda::claim::{Cursor, LONGEST_BELIEVED_MS};
use kafka_consumer_lambda::config::{OnRetentionLoss, OnTruncation, StartPosition};
use kafka_consumer_lambda::plan::{Decision, PartitionState, Policy, Reading, Why, decide_all, demand, fair_shares};
use kafka_consumer_lambda::record::{OffsetRange, TopicPartition};
use proptest::prelude::*;

use super::{NOW_MS, backing_off, invalid, next, nobody, policies};

/// The logs of these tests lie within.
const OFFSETS: std::ops::Range<i64> = 0..16;

type Offsets = BTreeSet<i64>;

/// What becomes of one partition.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fate {
    /// The offsets that are read.
    read: Offsets,
    /// The offsets that are passed over, and named.
    named: Offsets,
}

fn offsets(keep: impl Fn(&i64) -> bool) -> Offsets {
    OFFSETS.filter(keep).collect()
}

/// The log `earliest <= offset < end` and what was asked of it, if it was answered.
fn bounds(states: &PartitionState) -> Option<(i64, i64)> {
    let end = states.end.clone()?.ok()?;
    let earliest = states.earliest.clone()?.ok()?;
    Some((earliest.get(), end.get()))
}

fn is_left_alone(cursor: &Cursor) -> bool {
    let is_believable = |until: i64| (1..=LONGEST_BELIEVED_MS).contains(&(until - NOW_MS));
    let failure = cursor.failure.as_ref().filter(|failure| failure.offset == cursor.next);
    let next_try = failure.and_then(|failure| failure.next_try_at_ms);
    cursor.paused || cursor.claim_until_ms.is_some_and(is_believable) || next_try.is_some_and(|at| at > NOW_MS)
}

/// What must become of a partition, offset by offset.
fn expected(states: &PartitionState, is_later: bool, policy: &Policy) -> Fate {
    let (Some((earliest, end)), Ok(cursor)) = (bounds(states), states.cursor.clone().transpose()) else {
        return Fate::default();
    };
    match cursor {
        Some(cursor) if is_left_alone(&cursor) => Fate::default(),
        Some(cursor) => after(cursor.next.get(), (earliest, end), policy),
        None => {
            let is_earliest = is_later || policy.start_position == StartPosition::Earliest;
            let start = states.start.clone().and_then(Result::ok).filter(|_| !is_earliest);
            let start = start.map_or(earliest, kafka_consumer_lambda::record::NextOffset::get);
            Fate {
                read: offsets(|at| *at >= start && *at < end),
                ..Fate::default()
            }
        }
    }
}

/// The same for a cursor that is free.
fn after(stored: i64, (earliest, end): (i64, i64), policy: &Policy) -> Fate {
    let there = offsets(|at| *at >= earliest && *at < end);
    if stored > end {
        return match policy.on_truncation {
            OnTruncation::Halt => Fate::default(),
            OnTruncation::Earliest => Fate {
                read: there,
                ..Fate::default()
            },
            OnTruncation::Latest => Fate {
                named: there,
                ..Fate::default()
            },
        };
    }
    let unread = offsets(|at| *at >= stored && *at < end);
    let gone: Offsets = unread.difference(&there).copied().collect();
    let halts = policy.on_retention_loss == OnRetentionLoss::Halt && !gone.is_empty();
    Fate {
        read: if halts { Offsets::new() } else { &unread & &there },
        named: gone,
    }
}

/// What a decision says, offset by offset.
fn decided(decision: &Decision) -> Fate {
    let within = |range: &OffsetRange| offsets(|at| (range.first..=range.last).contains(at));
    match decision {
        Decision::Read(Reading { from, to, why, .. }) => Fate {
            read: offsets(|at| *at >= from.get() && *at < to.get()),
            named: match why {
                Why::Lost(range) => within(range),
                Why::Truncated { passed_over, .. } => passed_over.as_ref().map(within).unwrap_or_default(),
                Why::Resumed | Why::StartPosition | Why::AppearedLater => Offsets::new(),
            },
        },
        Decision::RetentionLoss(range) => Fate {
            named: within(range),
            ..Fate::default()
        },
        _ => Fate::default(),
    }
}

prop_compose! {
    fn any_cursor()(
        at in OFFSETS,
        claim_until_ms in proptest::option::weighted(0.2, prop_oneof![
            NOW_MS - 2..NOW_MS + 2, NOW_MS + LONGEST_BELIEVED_MS - 1..NOW_MS + LONGEST_BELIEVED_MS + 3,
        ]),
        failure in proptest::option::weighted(0.3, (-1..2_i64, NOW_MS - 2..NOW_MS + 2)),
        paused in proptest::bool::weighted(0.1),
    ) -> Cursor {
        let failure = failure.map(|(beside, try_at_ms)| backing_off((at + beside).max(0), try_at_ms));
        Cursor { claim_until_ms, failure, paused, ..Cursor::at(next(at)) }
    }
}

prop_compose! {
    /// A partition with a log that is what it is; all was asked, and nearly all answered.
    fn any_facts()(
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
                (false, true) => Some(nobody()),
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
        proptest::collection::vec(any_facts(), 0..5).prop_map(move |states| {
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
        let decisions = decide_all(&states, &policy);
        prop_assert_eq!(decisions.len(), states.len());
        for (i, decision) in decisions.iter().enumerate() {
            prop_assert_eq!(decided(decision), expected(&states[i], is_later(&states, i), &policy), "{:?}", decision);
        }
    }

    /// P9: one partition's failure is its own.
    #[test]
    fn what_is_true_of_one_partition_changes_nothing_for_another(
        states in any_plan(), other in any_facts(), which: prop::sample::Index, policy in any_policy(),
    ) {
        prop_assume!(!states.is_empty());
        let which = which.index(states.len());
        let mut changed = states.clone();
        changed[which] = PartitionState {
            partition: states[which].partition.clone(),
            // That there is an item tells which partitions appeared later.
            cursor: states[which].cursor.as_ref().map(|_| other.cursor.clone().unwrap_or_else(|| Err(invalid()))),
            ..other
        };
        let (before, after) = (decide_all(&states, &policy), decide_all(&changed, &policy));
        for i in (0..states.len()).filter(|i| *i != which) {
            prop_assert_eq!(&before[i], &after[i]);
        }
    }

    /// The budget goes to partitions that are read, and to no other.
    #[test]
    fn a_partition_that_is_not_read_gets_no_share(
        states in any_plan(), policy in any_policy(), budget in proptest::option::of(0..40_u64),
    ) {
        let decisions = decide_all(&states, &policy);
        let demands: Vec<_> = states.iter().zip(&decisions).map(|(state, decision)| demand(state, decision)).collect();
        let shares = fair_shares(&demands, budget);
        for (decision, share) in decisions.iter().zip(shares) {
            prop_assert!(share <= decided(decision).read.len() as u64, "{}: {:?}", share, decision);
        }
    }
}
