//! Fair shares against the simplest way to be fair: deal one record at a time.

use std::time::Duration;

use kafka_consumer_lambda::plan::{Demand, fair_shares};
use proptest::prelude::*;
use tokio::time::Instant;

/// Deals the budget one by one, round after round, to all that still wish:
/// those first that were written the longest ago.
fn dealt_one_by_one(demands: &[Demand], mut budget: u64) -> Vec<u64> {
    let mut order: Vec<usize> = (0..demands.len()).collect();
    order.sort_by_key(|&i| demands[i].updated_at_ms);
    let mut shares = vec![0; demands.len()];
    loop {
        let mut dealt = false;
        for &i in &order {
            if budget > 0 && shares[i] < demands[i].records {
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

fn demands(records: impl Strategy<Value = u64>) -> impl Strategy<Value = Vec<Demand>> {
    let demand = (records, proptest::option::of(-3..3_i64));
    let demand = demand.prop_map(|(records, updated_at_ms)| Demand { records, updated_at_ms });
    proptest::collection::vec(demand, 0..12)
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
    fn shares_are_as_if_dealt_one_by_one_the_oldest_first(demands in demands(0..40_u64), budget in 0..300_u64) {
        prop_assert_eq!(fair_shares(&demands, Some(budget)), dealt_one_by_one(&demands, budget));
    }

    #[test]
    fn the_budget_is_used_up_or_every_wish_is_met(demands in demands(huge()), budget in huge()) {
        let shares = fair_shares(&demands, Some(budget));
        let wished = total(demands.iter().map(|demand| demand.records));
        prop_assert_eq!(total(shares), wished.min(budget.into()));
    }

    #[test]
    fn nobody_gets_more_than_it_wished_for(demands in demands(huge()), budget in proptest::option::of(huge())) {
        let shares = fair_shares(&demands, budget);
        prop_assert_eq!(shares.len(), demands.len());
        prop_assert!(shares.iter().zip(&demands).all(|(share, demand)| *share <= demand.records));
    }

    #[test]
    fn nobody_with_a_wish_left_gets_less_than_another_by_more_than_one(demands in demands(huge()), budget in huge()) {
        let shares = fair_shares(&demands, Some(budget));
        let most = shares.iter().max().copied().unwrap_or(0);
        let unmet = || shares.iter().zip(&demands).filter(|(share, demand)| **share < demand.records);
        prop_assert!(unmet().all(|(share, _)| most - share <= 1), "{:?}", shares);
        // And the one more goes to those that were written the longest ago.
        for (more, older) in unmet() {
            for (less, newer) in unmet() {
                prop_assert!(more <= less || older.updated_at_ms <= newer.updated_at_ms, "{:?}", shares);
            }
        }
    }

    #[test]
    fn without_a_limit_every_wish_is_met(demands in demands(huge())) {
        prop_assert_eq!(fair_shares(&demands, None), demands.iter().map(|demand| demand.records).collect::<Vec<_>>());
    }
}

#[test]
fn the_table_of_shares_is_true() {
    let shares = |records: &[u64], budget| {
        let demand = |&records| Demand {
            records,
            updated_at_ms: Some(0),
        };
        fair_shares(&records.iter().map(demand).collect::<Vec<_>>(), budget)
    };
    assert_eq!(shares(&[5, 2000], None), [5, 2000]);
    assert_eq!(shares(&[5, 2000], Some(1000)), [5, 995]);
    assert_eq!(shares(&[600, 600, 10], Some(1000)), [495, 495, 10]);
    assert_eq!(shares(&[9, 9, 9], Some(2)), [1, 1, 0]);
}

#[test]
fn with_a_limit_below_the_number_of_partitions_nobody_waits_for_longer_than_a_round() {
    let mut demands = [Demand {
        records: 100,
        updated_at_ms: None,
    }; 7];
    for run in 0..30 {
        let shares = fair_shares(&demands, Some(2));
        for (demand, _) in demands.iter_mut().zip(shares).filter(|(_, share)| *share > 0) {
            demand.updated_at_ms = Some(run);
        }
        // Two in each run: four runs go round all seven.
        assert!(
            run < 3 || demands.iter().all(|demand| demand.updated_at_ms > Some(run - 4)),
            "{run}: {demands:?}"
        );
    }
}

#[test]
fn what_is_over_when_several_wishes_are_just_met_goes_to_the_one_that_can_use_it() {
    let demand = |records| Demand {
        records,
        updated_at_ms: Some(0),
    };
    assert_eq!(fair_shares(&[5, 5, 5, 100].map(demand), Some(23)), [5, 5, 5, 8]);
}

#[test]
fn ten_thousand_partitions_are_shared_among_at_once() {
    let demand = |i: u64| Demand {
        records: i * i % 1013,
        updated_at_ms: Some(i64::try_from(i * 31 % 997).expect("it is small")),
    };
    let demands: Vec<Demand> = (0..10_000).map(demand).collect();
    let start = Instant::now();
    let shares = fair_shares(&demands, Some(1_000_003));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(total(shares), 1_000_003);
}
