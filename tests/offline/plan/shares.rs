//! Fair shares against the simplest way to be fair: deal one record at a time.

use std::time::Duration;

use kafka_consumer_lambda::plan::{Demand, fair_shares};
use proptest::prelude::*;
use tokio::time::Instant;

/// Deals the budget one by one, round after round, to all that still wish:
/// those first that were written the longest ago.
fn dealt_one_by_one(wishes: &[Demand], mut budget: u64) -> Vec<u64> {
    let mut order: Vec<usize> = (0..wishes.len()).collect();
    order.sort_by_key(|&i| wishes[i].updated_at_ms);
    let mut shares = vec![0; wishes.len()];
    loop {
        let mut dealt = false;
        for &i in &order {
            if budget > 0 && shares[i] < wishes[i].records {
                shares[i] += 1;
                budget -= 1;
                dealt = true;
            }
        }
        if !dealt {
            return shares;
        }
    }
}

fn wishes(records: impl Strategy<Value = u64>) -> impl Strategy<Value = Vec<Demand>> {
    let wish = (records, proptest::option::of(-3..3_i64));
    let wish = wish.prop_map(|(records, updated_at_ms)| Demand { records, updated_at_ms });
    proptest::collection::vec(wish, 0..12)
}

fn huge() -> impl Strategy<Value = u64> {
    prop_oneof![0..9_u64, any::<u64>(), u64::MAX - 9..=u64::MAX]
}

fn total(numbers: impl IntoIterator<Item = u64>) -> u128 {
    numbers.into_iter().map(u128::from).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn shares_are_as_if_dealt_one_by_one_the_oldest_first(wishes in wishes(0..40_u64), budget in 0..300_u64) {
        prop_assert_eq!(fair_shares(&wishes, Some(budget)), dealt_one_by_one(&wishes, budget));
    }

    #[test]
    fn the_budget_is_used_up_or_every_wish_is_met(wishes in wishes(huge()), budget in huge()) {
        let shares = fair_shares(&wishes, Some(budget));
        let wished = total(wishes.iter().map(|wish| wish.records));
        prop_assert_eq!(total(shares), wished.min(budget.into()));
    }

    #[test]
    fn nobody_gets_more_than_it_wished_for(wishes in wishes(huge()), budget in proptest::option::of(huge())) {
        let shares = fair_shares(&wishes, budget);
        prop_assert_eq!(shares.len(), wishes.len());
        prop_assert!(shares.iter().zip(&wishes).all(|(share, wish)| *share <= wish.records));
    }

    #[test]
    fn nobody_with_a_wish_left_gets_less_than_another_by_more_than_one(wishes in wishes(huge()), budget in huge()) {
        let shares = fair_shares(&wishes, Some(budget));
        let most = shares.iter().max().copied().unwrap_or(0);
        let unmet = || shares.iter().zip(&wishes).filter(|(share, wish)| **share < wish.records);
        prop_assert!(unmet().all(|(share, _)| most - share <= 1), "{:?}", shares);
        // And the one more goes to those that were written the longest ago.
        for (more, older) in unmet() {
            for (less, newer) in unmet() {
                prop_assert!(more <= less || older.updated_at_ms <= newer.updated_at_ms, "{:?}", shares);
            }
        }
    }

    #[test]
    fn without_a_limit_every_wish_is_met(wishes in wishes(huge())) {
        prop_assert_eq!(fair_shares(&wishes, None), wishes.iter().map(|wish| wish.records).collect::<Vec<_>>());
    }
}

#[test]
fn the_table_of_shares_is_true() {
    let shares = |records: &[u64], budget| {
        let wish = |&records| Demand {
            records,
            updated_at_ms: Some(0),
        };
        fair_shares(&records.iter().map(wish).collect::<Vec<_>>(), budget)
    };
    assert_eq!(shares(&[5, 2000], None), [5, 2000]);
    assert_eq!(shares(&[5, 2000], Some(1000)), [5, 995]);
    assert_eq!(shares(&[600, 600, 10], Some(1000)), [495, 495, 10]);
    assert_eq!(shares(&[9, 9, 9], Some(2)), [1, 1, 0]);
}

#[test]
fn with_a_limit_below_the_number_of_partitions_nobody_waits_for_longer_than_a_round() {
    let mut wishes = [Demand {
        records: 100,
        updated_at_ms: None,
    }; 7];
    for run in 0..30 {
        let shares = fair_shares(&wishes, Some(2));
        for (wish, _) in wishes.iter_mut().zip(shares).filter(|(_, share)| *share > 0) {
            wish.updated_at_ms = Some(run);
        }
        // Two in each run: four runs go round all seven.
        assert!(
            run < 3 || wishes.iter().all(|wish| wish.updated_at_ms > Some(run - 4)),
            "{run}: {wishes:?}"
        );
    }
}

#[test]
fn what_is_over_when_several_wishes_are_just_met_goes_to_the_one_that_can_use_it() {
    let wish = |records| Demand {
        records,
        updated_at_ms: Some(0),
    };
    assert_eq!(fair_shares(&[5, 5, 5, 100].map(wish), Some(23)), [5, 5, 5, 8]);
}

#[test]
fn ten_thousand_partitions_are_shared_among_at_once() {
    let wish = |i: u64| Demand {
        records: i * i % 1013,
        updated_at_ms: Some(i64::try_from(i * 31 % 997).expect("it is small")),
    };
    let wishes: Vec<Demand> = (0..10_000).map(wish).collect();
    let start = Instant::now();
    let shares = fair_shares(&wishes, Some(1_000_003));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(total(shares), 1_000_003);
}
