//! The offsets of selected records: `17,20-25`, or those of dead letters. Pure.

use std::str::FromStr;

use crate::record::{NextOffset, OffsetRange};

/// The most offsets of one command, as each is reported by itself.
const MAX_OFFSETS: u64 = 1_000_000;

/// Two ranges that are no further apart are read together: the records between
/// them cost less than a new fetch.
const NEAR_OFFSETS: u64 = 500;

/// Offsets of one partition: ranges in ascending order, apart from each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::cli) struct Offsets(Vec<OffsetRange>);

impl Offsets {
    /// The ranges from a first to a last offset, both inclusive, in any order. One
    /// whose last offset is below its first is empty.
    pub(in crate::cli) fn of(ranges: impl IntoIterator<Item = (i64, i64)>) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|(first, last)| first <= last).collect();
        ranges.sort_unstable();
        let mut merged: Vec<OffsetRange> = Vec::new();
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if first <= before.last.saturating_add(1) => before.last = before.last.max(last),
                _ => merged.push(OffsetRange { first, last }),
            }
        }
        Self(merged)
    }

    pub(in crate::cli) fn ranges(&self) -> &[OffsetRange] {
        &self.0
    }

    /// The number of offsets.
    pub(in crate::cli) fn count(&self) -> u64 {
        self.0.iter().map(|range| range.count()).fold(0, u64::saturating_add)
    }

    pub(in crate::cli) fn contains(&self, offset: i64) -> bool {
        let range = self.0.partition_point(|range| range.last < offset);
        self.0.get(range).is_some_and(|range| range.first <= offset)
    }

    /// Those from `from` up to `to`, exclusive.
    pub(in crate::cli) fn between(&self, from: i64, to: i64) -> Self {
        let cut = |range: &OffsetRange| (range.first.max(from), range.last.min(to.saturating_sub(1)));
        Self::of(self.0.iter().map(cut))
    }

    /// Ranges that are each read together: from, and to (exclusive).
    pub(in crate::cli) fn stretches(&self) -> Vec<(NextOffset, NextOffset)> {
        let mut stretches: Vec<OffsetRange> = Vec::new();
        for range in &self.0 {
            match stretches.last_mut() {
                Some(before) if before.last.abs_diff(range.first) <= NEAR_OFFSETS => before.last = range.last,
                _ => stretches.push(*range),
            }
        }
        let next = |range: OffsetRange| Some((NextOffset::new(range.first)?, NextOffset::after(range.last)?));
        stretches.into_iter().filter_map(next).collect()
    }
}

impl FromStr for Offsets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = "allowed: offsets and ranges of them, both ends inclusive, such as 17,20-25";
        let offset = |digits: &str| {
            digits
                .trim()
                .parse()
                .ok()
                .filter(|offset| (0..i64::MAX).contains(offset))
        };
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            offset(first).zip(offset(last)).filter(|(first, last)| first <= last)
        };
        let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
        let offsets = Self::of(ranges.ok_or(allowed)?);
        if offsets.count() > MAX_OFFSETS {
            return Err(format!(
                "{} offsets are more than {MAX_OFFSETS}; for that many use `backfill`",
                offsets.count()
            ));
        }
        Ok(offsets)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_of_offsets_and_ranges_is_parsed() {
        for (text, ranges) in [
            ("17", vec![(17, 17)]),
            ("17,20-25", vec![(17, 17), (20, 25)]),
            (" 3 , 1 - 2", vec![(1, 3)]),
            ("5-9,7-12,0", vec![(0, 0), (5, 12)]),
        ] {
            let ranges = ranges.into_iter().map(|(first, last)| OffsetRange { first, last });
            assert_eq!(text.parse(), Ok(Offsets(ranges.collect())), "{text}");
        }
    }

    #[test]
    fn a_wrong_list_of_offsets_is_rejected_with_what_is_allowed() {
        for text in ["", "a", "-1", "3-", "5-4", "1,,2", "1.5", "9223372036854775807", "1--2"] {
            let error = text.parse::<Offsets>().expect_err(text);
            assert!(error.contains("17,20-25"), "{text}: {error}");
        }
        let error = "0-1000000".parse::<Offsets>().expect_err("one too many");
        assert!(error.contains("backfill"), "{error}");
        assert!("1-1000000".parse::<Offsets>().is_ok());
    }

    #[test]
    fn ranges_that_are_near_are_read_together() {
        let stretches = |text: &str| -> Vec<(i64, i64)> {
            let offsets: Offsets = text.parse().expect("offsets");
            offsets
                .stretches()
                .iter()
                .map(|(from, to)| (from.get(), to.get()))
                .collect()
        };
        assert_eq!(stretches("17,20-25"), [(17, 26)]);
        assert_eq!(stretches("0,500,1001"), [(0, 501), (1001, 1002)]);
    }

    proptest! {
        #[test]
        fn offsets_are_the_set_of_the_ranges(
            ranges in proptest::collection::vec((0..60_i64, 0..8_i64), 0..8), from in 0..60_i64, to in 0..60_i64,
        ) {
            let set: BTreeSet<i64> = ranges.iter().flat_map(|(first, more)| *first..=first + more).collect();
            let offsets = Offsets::of(ranges.iter().map(|(first, more)| (*first, first + more)));
            prop_assert_eq!(offsets.count(), set.len() as u64);
            for offset in 0..80 {
                prop_assert_eq!(offsets.contains(offset), set.contains(&offset));
                let within = set.contains(&offset) && (from..to).contains(&offset);
                prop_assert_eq!(offsets.between(from, to).contains(offset), within);
            }
        }
    }
}
