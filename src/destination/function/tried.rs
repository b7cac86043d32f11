//! What calls have shown of the records of one partition in one run. Pure.

use std::collections::BTreeSet;
use std::ops::Range;

/// The records that succeeded ahead of the settled ones, and where batches are split.
///
/// | a call with the offsets | ended with | then |
/// |---|---|---|
/// | 5, 6, 7, 8 | success | all are settled |
/// | 5, 6, 7, 8 | a failure | 5, 6 |
/// | 5, 6 | success, after that failure | both are settled; then 7, 8 |
/// | 7, 8 | a failure | 7 |
/// | 7 | a failure | an attempt of 7 has failed |
/// | 5, 6, 7 | 6 reported as failed | 5 is settled; then 6; 7 is not sent again |
/// | 5, 6, 7, 8 | 6 and 8 reported as failed | 5 is settled; then 6, then 8; 7 is not sent again |
///
/// The next batch of a call's records is always the first that is not settled, so that what is
/// settled grows from the front. Several calls at once, each with other records, share this: each
/// reads and changes what is known of its own records alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tried {
    /// The offsets that succeeded, and are not settled yet.
    done: BTreeSet<i64>,
    /// The records that begin a batch.
    begins: BTreeSet<i64>,
    /// The records that are sent alone.
    alone: BTreeSet<i64>,
}

impl Tried {
    /// Forgets these records: they are settled.
    pub(super) fn forget(&mut self, settled: &[i64]) {
        for offset in settled {
            self.done.remove(offset);
            self.begins.remove(offset);
            self.alone.remove(offset);
        }
    }

    /// How many of the first of these records have succeeded.
    pub(super) fn settled(&self, offsets: &[i64]) -> usize {
        offsets.iter().take_while(|offset| self.done.contains(offset)).count()
    }

    /// The longest next batch of these records: indexes; `None`: all have succeeded.
    pub(super) fn next(&self, offsets: &[i64]) -> Option<Range<usize>> {
        let first = self.settled(offsets);
        let (start, behind) = offsets.get(first..)?.split_first()?;
        if self.alone.contains(start) {
            return Some(first..first + 1);
        }
        let fits = |offset: &&i64| {
            ![&self.done, &self.begins, &self.alone]
                .iter()
                .any(|set| set.contains(offset))
        };
        Some(first..first + 1 + behind.iter().take_while(fits).count())
    }

    /// The records of a batch succeeded.
    pub(super) fn succeeded(&mut self, batch: &[i64]) {
        self.done.extend(batch);
    }

    /// A batch of several records failed: the next one holds half of them.
    pub(super) fn failed(&mut self, batch: &[i64]) {
        self.begins.extend(batch.get(batch.len() / 2));
    }

    /// Of a batch of several records those of `failed` were reported as failed, and
    /// the others succeeded: the next batch holds the first of the failed ones alone.
    pub(super) fn reported(&mut self, batch: &[i64], failed: &BTreeSet<i64>) {
        self.done.extend(batch.iter().filter(|offset| !failed.contains(offset)));
        if let Some(first) = failed.first() {
            self.alone(*first);
        }
    }

    /// The record at `offset` is sent alone.
    pub(super) fn alone(&mut self, offset: i64) {
        self.alone.insert(offset);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use proptest::prelude::*;

    use super::*;

    /// The sizes of the calls for these records, where a call that holds one of
    /// `poison` fails, up to the first that fails alone; and how many are settled.
    fn calls(offsets: &[i64], poison: &[i64]) -> (Vec<usize>, usize) {
        let mut tried = Tried::default();
        let mut sizes = vec![];
        while let Some(next) = tried.next(offsets) {
            let batch = &offsets[next];
            sizes.push(batch.len());
            if !batch.iter().any(|offset| poison.contains(offset)) {
                tried.succeeded(batch);
            } else if batch.len() == 1 {
                break;
            } else {
                tried.failed(batch);
            }
        }
        (sizes, tried.settled(offsets))
    }

    #[test]
    fn a_failed_batch_is_halved_in_order_until_the_record_that_fails_is_alone() {
        assert_eq!(calls(&[5, 6, 7, 8], &[7]), (vec![4, 2, 2, 1], 2));
        assert_eq!(calls(&[5, 6, 7, 8], &[5]), (vec![4, 2, 1], 0));
        assert_eq!(calls(&[5, 6, 7, 8], &[8]), (vec![4, 2, 2, 1, 1], 3));
        assert_eq!(calls(&[5, 9, 11], &[11]), (vec![3, 1, 2, 1, 1], 2));
        assert_eq!(calls(&[5], &[5]), (vec![1], 0));
        assert_eq!(calls(&[5, 6], &[]), (vec![2], 2));
    }

    #[test]
    fn a_record_reported_as_failed_is_sent_alone_and_those_that_succeeded_are_not_sent_again() {
        let offsets = [5, 6, 7, 8, 9];
        let mut tried = Tried::default();
        tried.reported(&offsets, &BTreeSet::from([6, 8, 9]));
        assert_eq!(tried.settled(&offsets), 1);
        assert_eq!(tried.next(&offsets), Some(1..2), "6 alone");
        tried.succeeded(&[6]);
        assert_eq!(tried.settled(&offsets), 3, "7 has succeeded before");
        assert_eq!(tried.next(&offsets), Some(3..5), "8 and 9");
    }

    #[test]
    fn what_succeeded_and_the_splits_hold_for_the_next_chunk_which_begins_behind_what_is_settled() {
        let mut tried = Tried::default();
        tried.failed(&[5, 6, 7, 8]);
        tried.succeeded(&[5, 6]);
        tried.forget(&[5, 6]);
        assert_eq!(tried.next(&[7, 8, 9, 10]), Some(0..4), "a split at the front is none");
        tried.failed(&[7, 8, 9, 10]);
        tried.reported(&[7, 8], &BTreeSet::from([7]));
        assert_eq!(tried.next(&[7, 8, 9, 10]), Some(0..1));
        tried.succeeded(&[7]);
        assert_eq!(tried.next(&[8, 9, 10]), Some(1..3), "8 is done, 9 and 10 are not");
    }

    #[test]
    fn calls_with_other_records_share_what_is_known_without_a_change_of_each_other() {
        let mut tried = Tried::default();
        tried.failed(&[5, 7, 9, 11]);
        tried.reported(&[6, 8, 10], &BTreeSet::from([8]));
        assert_eq!(tried.next(&[5, 7, 9, 11]), Some(0..2), "split by its own failure alone");
        assert_eq!(tried.settled(&[6, 8, 10]), 1);
        tried.forget(&[6]);
        tried.succeeded(&[5, 7]);
        tried.forget(&[5, 7]);
        assert_eq!(tried.next(&[8, 10, 12]), Some(0..1), "8 alone");
        assert_eq!(tried.next(&[10, 12]), Some(1..2), "10 has succeeded");
        tried.succeeded(&[8, 9, 11]);
        tried.forget(&[8, 9, 10, 11]);
        assert_eq!(tried, Tried::default(), "nothing is kept of what is settled");
    }

    proptest! {
        /// Every record before the first that fails is settled, none behind it is
        /// sent before it has failed alone, and the calls are few.
        #[test]
        fn the_first_record_that_fails_is_found_in_few_calls(
            records in 1..200_usize,
            poison in prop::collection::btree_set(0..200_i64, 0..5),
        ) {
            let offsets: Vec<i64> = (0..).take(records).collect();
            let poison: Vec<i64> = poison.into_iter().filter(|offset| offsets.contains(offset)).collect();
            let (sizes, settled) = calls(&offsets, &poison);
            let expected = poison.first().map_or(records, |first| usize::try_from(*first).expect("small"));
            prop_assert_eq!(settled, expected);
            let halvings = NonZeroUsize::new(records).expect("not zero").ilog2() as usize + 1;
            prop_assert!(sizes.len() <= 2 * halvings + 1, "{:?}", sizes);
        }
    }
}
