//! The records of one partition that a policy passed over, as ranges.

use super::{OffsetRange, Place};

/// A report must fit an answer of Lambda (6 MB), also with many partitions.
/// Beyond this, what is skipped widens the last range.
const MOST_RANGES: usize = 100;

/// Skipped records of one partition, in ascending order.
///
/// Neighbours with the same reason are one range. Every skipped offset lies in
/// a range, whatever their number; [`count`](Self::count) is exact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skips {
    ranges: Vec<Range>,
    count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    first: i64,
    last: i64,
    records: u64,
    reason: String,
    is_mixed: bool,
}

impl Skips {
    /// The record at `offset` was skipped: a higher one than all before.
    pub fn add(&mut self, offset: i64, reason: String) {
        self.count += 1;
        let is_full = self.ranges.len() == MOST_RANGES;
        if let Some(last) = self.ranges.last_mut() {
            let is_neighbour = last.last.checked_add(1) == Some(offset) && last.reason == reason;
            if is_neighbour || is_full {
                last.last = offset;
                last.records += 1;
                last.is_mixed |= !is_neighbour;
                return;
            }
        }
        self.ranges.push(Range {
            first: offset,
            last: offset,
            records: 1,
            reason,
            is_mixed: false,
        });
    }

    /// How many records were skipped.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The ranges, as the report shows them.
    pub fn ranges(&self, place: &Place) -> impl Iterator<Item = OffsetRange> {
        self.ranges.iter().map(|range| OffsetRange {
            place: place.clone(),
            first_offset: range.first,
            last_offset: range.last,
            reason: range.words(),
        })
    }
}

impl Range {
    fn words(&self) -> String {
        if self.is_mixed {
            format!(
                "{} records among these, each with its reason in the log; the first: {}",
                self.records, self.reason
            )
        } else {
            self.reason.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(skipped: impl IntoIterator<Item = (i64, &'static str)>) -> Vec<(i64, i64, String)> {
        let mut skips = Skips::default();
        let mut count = 0;
        for (offset, reason) in skipped {
            skips.add(offset, reason.to_owned());
            count += 1;
        }
        assert_eq!(skips.count(), count);
        let place = Place {
            topic: "t".into(),
            partition: 0,
        };
        skips
            .ranges(&place)
            .map(|range| (range.first_offset, range.last_offset, range.reason))
            .collect()
    }

    #[test]
    fn neighbours_with_one_reason_are_one_range() {
        let found = ranges([(3, "a"), (4, "a"), (5, "b"), (7, "b"), (8, "b")]);
        let expected = [(3, 4, "a"), (5, 5, "b"), (7, 8, "b")];
        assert_eq!(
            found,
            expected.map(|(first, last, reason)| (first, last, reason.to_owned()))
        );
    }

    #[test]
    fn the_largest_offset_has_no_neighbour() {
        assert_eq!(ranges([(i64::MAX - 1, "a"), (i64::MAX, "a")]).len(), 1);
    }

    #[test]
    fn however_many_there_are_each_lies_in_a_range_and_the_ranges_stay_few() {
        let found = ranges((0..1_000).map(|n| (n * 2, "a")));
        assert_eq!(found.len(), MOST_RANGES);
        let (first, last, words) = &found[MOST_RANGES - 1];
        assert_eq!((*first, *last), (198, 1_998));
        assert!(words.starts_with("901 records among these"), "{words}");
    }
}
