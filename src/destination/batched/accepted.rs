//! Which records of a partition a service has accepted, and which are sent next. Pure.

use std::collections::BTreeSet;

/// The records that were accepted behind one that was not.
///
/// | offsets | accepted | settled | next call |
/// |---|---|---|---|
/// | 5, 6, 7, 8 | none | 0 | 5, 6, 7, 8 |
/// | 5, 6, 7, 8 | 5, 6 | 2 | 7, 8 |
/// | 5, 6, 7, 8, 9 | 5, 7 | 1 | 6 alone: before anything behind what was sent with it |
/// | 5, 6, 7, 8, 9 | 5, 8 | 1 | 6, 7 |
/// | 5, 6 | 5, 6 | 2 | none |
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Accepted(BTreeSet<i64>);

impl Accepted {
    /// The record at this offset was accepted.
    pub(super) fn add(&mut self, offset: i64) {
        self.0.insert(offset);
    }

    /// How many of the first of these records were accepted.
    pub(super) fn settled(&self, offsets: &[i64]) -> usize {
        offsets.iter().take_while(|offset| self.0.contains(offset)).count()
    }

    /// The records of the next call, at most `most`: indexes, ascending.
    pub(super) fn next(&self, offsets: &[i64], most: usize) -> Vec<usize> {
        let first = offsets.get(self.settled(offsets));
        // What was sent together and refused is sent again before anything later.
        let sent_with_it = first.and_then(|first| self.0.range(first..).next_back());
        let is_next = |offset: &i64| !self.0.contains(offset) && sent_with_it.is_none_or(|last| offset < last);
        let next = offsets.iter().enumerate().filter(|(_, offset)| is_next(offset));
        next.map(|(index, _)| index).take(most).collect()
    }

    /// Forgets these records: the caller has stored that they are settled.
    pub(super) fn forget(&mut self, offsets: &[i64]) {
        for offset in offsets {
            self.0.remove(offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepted(offsets: &[i64]) -> Accepted {
        Accepted(offsets.iter().copied().collect())
    }

    #[test]
    fn each_row_of_the_table_holds() {
        type Row<'a> = (&'a [i64], &'a [i64], usize, &'a [i64]);
        let rows: [Row<'_>; 5] = [
            (&[5, 6, 7, 8], &[], 0, &[5, 6, 7, 8]),
            (&[5, 6, 7, 8], &[5, 6], 2, &[7, 8]),
            (&[5, 6, 7, 8, 9], &[5, 7], 1, &[6]),
            (&[5, 6, 7, 8, 9], &[5, 8], 1, &[6, 7]),
            (&[5, 6], &[5, 6], 2, &[]),
        ];
        for (offsets, of, settled, expected) in rows {
            let accepted = accepted(of);
            assert_eq!(accepted.settled(offsets), settled, "{offsets:?} {of:?}");
            let next: Vec<i64> = accepted
                .next(offsets, 10)
                .into_iter()
                .map(|index| offsets[index])
                .collect();
            assert_eq!(next, expected, "{offsets:?} {of:?}");
        }
    }

    #[test]
    fn a_call_holds_no_more_records_than_it_may() {
        assert_eq!(accepted(&[]).next(&[5, 6, 7], 2), vec![0, 1]);
        assert_eq!(accepted(&[8]).next(&[5, 6, 7, 8], 2), vec![0, 1]);
    }

    #[test]
    fn what_was_accepted_in_an_earlier_chunk_holds_no_record_back() {
        let mut accepted = accepted(&[1, 2, 7]);
        assert_eq!(accepted.next(&[5, 6], 10), vec![0, 1], "7 lies behind the chunk");
        accepted.forget(&[1, 2]);
        assert_eq!(accepted, self::accepted(&[7]));
    }

    proptest! {
        /// However a service refuses entries, every record is accepted exactly once, and none is
        /// sent behind one that was refused before, unless they were in one call.
        #[test]
        fn refused_records_are_sent_again_before_later_ones(
            records in 1..40_usize,
            most in 1..12_usize,
            refusals in prop::collection::vec(prop::collection::vec(any::<bool>(), 12), 0..30),
        ) {
            let offsets: Vec<i64> = (100..).step_by(3).take(records).collect();
            let mut accepted = Accepted::default();
            let mut refusals = refusals.into_iter();
            let mut delivered: Vec<i64> = vec![];
            let mut refused_last: Vec<i64> = vec![];
            while accepted.settled(&offsets) < offsets.len() {
                let call = accepted.next(&offsets, most);
                prop_assert!(!call.is_empty() && call.len() <= most);
                let refused = refusals.next().unwrap_or_default();
                let sent: Vec<i64> = call.iter().map(|&index| offsets[index]).collect();
                if let (Some(first), true) = (refused_last.first(), sent.iter().any(|it| !refused_last.contains(it))) {
                    // A new record may be sent with refused ones only if all of the earlier call were refused.
                    prop_assert!(delivered.iter().all(|it| it < first));
                }
                refused_last.clear();
                for (at, offset) in sent.iter().enumerate() {
                    if refused.get(at).copied().unwrap_or(false) {
                        refused_last.push(*offset);
                    } else {
                        prop_assert!(!delivered.contains(offset));
                        delivered.push(*offset);
                        accepted.add(*offset);
                    }
                }
            }
            delivered.sort_unstable();
            prop_assert_eq!(delivered, offsets);
        }
    }
}
