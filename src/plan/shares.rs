//! The budget of a run, shared fairly.

/// How many records one partition could use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Offsets between its position and the end.
    pub records: u64,
    /// When its cursor was written last, in milliseconds since the epoch; `None`: never.
    pub updated_at_ms: Option<i64>,
}

/// Shares a run's budget fairly, in the order of `demands`; `None`: no limit.
///
/// Each partition gets the same share, up to its demand; the rest goes to the
/// others. An indivisible remainder goes, one by one, to the partitions that
/// were written the longest ago, so that with a limit below their number each
/// is read in turn.
///
/// | budget | demands | shares |
/// |---|---|---|
/// | none | 5, 2000 | 5, 2000 |
/// | 1000 | 5, 2000 | 5, 995 |
/// | 1000 | 600, 600, 10 | 495, 495, 10 |
/// | 2 | 9, 9, 9 | 1, 1, 0 |
#[must_use]
pub fn fair_shares(demands: &[Demand], budget: Option<u64>) -> Vec<u64> {
    let Some(budget) = budget else {
        return demands.iter().map(|demand| demand.records).collect();
    };
    let (level, mut rest) = level(demands, budget);
    let mut shares: Vec<u64> = demands.iter().map(|demand| demand.records.min(level)).collect();
    let mut oldest_first: Vec<usize> = (0..demands.len()).filter(|&i| demands[i].records > level).collect();
    oldest_first.sort_by_key(|&i| (demands[i].updated_at_ms, i));
    for i in oldest_first {
        if rest > 0 {
            shares[i] += 1;
            rest -= 1;
        }
    }
    shares
}

/// How many runs of this budget read `demands`. The unused part of a share goes
/// to the others, so each run but the last uses the whole budget. Offsets without a record (compacted, aborted) cost nothing,
/// so it may take fewer; and more, where a run's time ends before its budget.
///
/// | budget | demands | runs |
/// |---|---|---|
/// | any | none, or 0 | 0 |
/// | none | 5, 2000 | 1 |
/// | 1000 | 5, 2000 | 3 |
/// | 2 | 9, 9, 9 | 14 |
#[must_use]
pub fn runs_to_catch_up(demands: &[Demand], budget: Option<u64>) -> u64 {
    let total = demands
        .iter()
        .fold(0, |sum: u64, demand| sum.saturating_add(demand.records));
    match budget {
        // A budget of 0 is no budget that a setting allows.
        Some(budget) => total.div_ceil(budget.max(1)),
        None => u64::from(total > 0),
    }
}

/// The highest share that every partition with that demand can have, and the
/// remainder of the budget: less than one for each of those.
fn level(demands: &[Demand], mut budget: u64) -> (u64, u64) {
    let mut ascending: Vec<u64> = demands.iter().map(|demand| demand.records).collect();
    ascending.sort_unstable();
    let mut left = ascending.len() as u64;
    for demand in ascending {
        if demand > budget / left {
            return (budget / left, budget % left);
        }
        budget -= demand;
        left -= 1;
    }
    (u64::MAX, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demands(records: &[u64]) -> Vec<Demand> {
        records
            .iter()
            .map(|&records| Demand {
                records,
                updated_at_ms: Some(0),
            })
            .collect()
    }

    #[test]
    fn small_demands_are_met_and_the_rest_goes_to_the_others() {
        assert_eq!(fair_shares(&demands(&[5, 2000]), None), [5, 2000]);
        assert_eq!(fair_shares(&demands(&[5, 2000]), Some(1000)), [5, 995]);
        assert_eq!(fair_shares(&demands(&[600, 600, 10]), Some(1000)), [495, 495, 10]);
        assert_eq!(fair_shares(&demands(&[1, 2]), Some(1000)), [1, 2]);
        assert_eq!(fair_shares(&[], Some(1000)), [0; 0]);
    }

    #[test]
    fn as_many_runs_catch_up_as_their_shares_need() {
        let cases: [(&[u64], Option<u64>); 8] = [
            (&[], Some(1000)),
            (&[0, 0], Some(1)),
            (&[5, 2000], None),
            (&[5, 2000], Some(1000)),
            (&[9, 9, 9], Some(2)),
            (&[1000], Some(1000)),
            (&[1001], Some(1000)),
            (&[u64::MAX, u64::MAX], Some(u64::MAX)),
        ];
        for (records, budget) in cases {
            let mut left = demands(records);
            let mut runs = 0;
            while left.iter().any(|demand| demand.records > 0) {
                let shares = fair_shares(&left, budget);
                left.iter_mut()
                    .zip(shares)
                    .for_each(|(demand, share)| demand.records -= share);
                runs += 1;
            }
            // More than a number holds is shown as the most that it holds.
            let expected = if records == [u64::MAX, u64::MAX] { 1 } else { runs };
            assert_eq!(
                runs_to_catch_up(&demands(records), budget),
                expected,
                "{records:?} by {budget:?}"
            );
        }
    }

    #[test]
    fn the_remainder_goes_to_the_partitions_written_the_longest_ago() {
        let demand = |updated_at_ms| Demand {
            records: 9,
            updated_at_ms,
        };
        assert_eq!(
            fair_shares(&[demand(Some(30)), demand(Some(20)), demand(Some(10))], Some(2)),
            [0, 1, 1]
        );
        assert_eq!(
            fair_shares(&[demand(Some(30)), demand(None), demand(Some(10))], Some(1)),
            [0, 1, 0]
        );
    }
}
