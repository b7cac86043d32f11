//! The budget of a run, shared fairly.

/// One partition's wish for records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Records it could use: offsets between its position and the end.
    pub records: u64,
    /// When it was written last, in milliseconds since the epoch; `None`: never.
    pub updated_at_ms: Option<i64>,
}

/// Shares a run's budget fairly, in the order of `wishes`; `None`: no limit.
///
/// Each partition gets the same, as far as it can use it; what it cannot use
/// goes to the others. What cannot be divided goes, one by one, to those that
/// were written the longest ago: with a limit below their number, each gets
/// its turn.
///
/// | budget | wishes | shares |
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

/// How many runs of this budget read what `wishes` name: what one partition
/// leaves of its share goes to the others, so each run but the last uses all
/// of the budget. Offsets without a record (compacted, aborted) cost nothing,
/// so it may take fewer; and more, where a run's time ends before its budget.
///
/// | budget | wishes | runs |
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

/// The highest share that all can have which could use it, and what is then
/// left of the budget: less than one for each of those.
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
    fn small_wishes_are_met_and_what_they_leave_goes_to_the_others() {
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
    fn what_cannot_be_divided_goes_to_those_written_the_longest_ago() {
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
