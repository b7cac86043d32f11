//! Accounts for every order: pure.

use std::collections::BTreeSet;

use serde::Serialize;

use super::handler::HandledCounts;
use super::items::Item;

/// The result of the check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// Orders in the topic.
    pub(super) orders: u64,
    /// Of those, how many were handled, once or more often.
    pub(super) handled: u64,
    /// How many were handled twice.
    pub(super) handled_twice: u64,
    /// How many were handled more than twice.
    pub(super) handled_more_often: u64,
    /// How many were never handled.
    pub(super) skipped: u64,
    /// How many the crashed process had handled and not stored.
    pub(super) unstored_at_the_crash: u64,
    /// Whether each order was handled as often as it had to be, and the table
    /// says so.
    pub(super) passed: bool,
}

/// The orders that were handled before the crash and are not stored: they are handled again.
pub(super) fn not_stored(handled: &HandledCounts, left: &[Item]) -> BTreeSet<(i32, i64)> {
    let stored = |partition: i32| {
        left.iter()
            .find(|item| item.partition == partition)
            .map_or(-1, |item| item.offset)
    };
    handled
        .keys()
        .copied()
        .filter(|(partition, offset)| *offset > stored(*partition))
        .collect()
}

/// Compares the handled orders with those produced, those not stored at the
/// crash, and the offsets at the end.
pub(super) fn check(
    produced: &[u64],
    handled: &HandledCounts,
    not_stored: &BTreeSet<(i32, i64)>,
    items: &[Item],
) -> Check {
    let orders: BTreeSet<(i32, i64)> = (0..)
        .zip(produced)
        .flat_map(|(partition, count)| {
            (0..)
                .take(usize::try_from(*count).unwrap_or(usize::MAX))
                .map(move |at| (partition, at))
        })
        .collect();
    let times = |order: &(i32, i64)| handled.get(order).copied().unwrap_or(0);
    let count = |predicate: &dyn Fn(u32) -> bool| orders.iter().filter(|order| predicate(times(order))).count() as u64;
    let as_often_as_expected = orders
        .iter()
        .all(|order| times(order) == 1 + u32::from(not_stored.contains(order)));
    let only_orders = handled.keys().all(|order| orders.contains(order));
    let stored = items.len() == produced.len()
        && items.iter().zip(produced).all(|(item, count)| {
            item.claim_until.is_none() && u64::try_from(item.offset + 1).is_ok_and(|next| next == *count)
        });
    Check {
        orders: orders.len() as u64,
        handled: count(&|times| times > 0),
        handled_twice: count(&|times| times == 2),
        handled_more_often: count(&|times| times > 2),
        skipped: count(&|times| times == 0),
        unstored_at_the_crash: not_stored.len() as u64,
        passed: as_often_as_expected && only_orders && stored,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(partition: i32, offset: i64, claim_until: Option<i64>) -> Item {
        Item {
            consumer_id: "g_t".into(),
            partition,
            offset,
            claim_until,
            run: None,
        }
    }

    /// Three orders, of which the last was handled and not stored at the crash;
    /// the counts are `times`, and the table ends at `offset`.
    fn passed(times: [u32; 3], offset: i64, claim_until: Option<i64>) -> bool {
        let at_the_crash = HandledCounts::from([((0, 0), 1), ((0, 2), 1)]);
        let not_stored = not_stored(&at_the_crash, &[item(0, 1, Some(7))]);
        assert_eq!(not_stored, BTreeSet::from([(0, 2)]));
        let handled = (0..)
            .zip(times)
            .filter(|(_, times)| *times > 0)
            .map(|(at, times)| ((0, at), times))
            .collect();
        check(&[3], &handled, &not_stored, &[item(0, offset, claim_until)]).passed
    }

    #[test]
    fn it_passes_only_if_every_order_was_handled_as_often_as_required() {
        assert!(passed([1, 1, 2], 2, None));
        for times in [[1, 0, 2], [1, 2, 2], [1, 1, 1], [1, 1, 3], [0, 1, 2]] {
            assert!(!passed(times, 2, None), "{times:?}");
        }
    }

    #[test]
    fn it_passes_only_if_the_table_has_the_last_offsets_and_no_claim() {
        assert!(!passed([1, 1, 2], 1, None));
        assert!(!passed([1, 1, 2], 3, None));
        assert!(!passed([1, 1, 2], 2, Some(9)));
    }

    #[test]
    fn the_figures_count_orders() {
        let handled = HandledCounts::from([((0, 0), 1), ((0, 1), 3), ((1, 0), 2)]);
        let check = check(&[3, 1], &handled, &BTreeSet::from([(1, 0)]), &[]);
        let figures = (
            check.orders,
            check.handled,
            check.handled_twice,
            check.handled_more_often,
            check.skipped,
        );
        assert_eq!(figures, (4, 3, 1, 1, 1));
        assert!(!check.passed);
    }
}
