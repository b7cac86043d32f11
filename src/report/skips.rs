//! The skipped records of one partition, as ranges.

use super::UnprocessedRange;
use super::limit::MAX_TEXT_BYTES;
use crate::record::{OffsetRange, TopicPartition};
use crate::text::cut;

/// A run keeps them in memory until its end, for each partition. Beyond this
/// number, later records widen the last range.
const MAX_RANGES: usize = 100;

/// Skipped records of one partition, in ascending order.
///
/// Neighbours with the same reason are one range, also where the texts name
/// different offsets and positions. Every skipped offset lies in a range, whatever their
/// number; [`count`](Self::count) is exact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SkippedRecords {
    ranges: Vec<Range>,
    count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    offsets: OffsetRange,
    records: u64,
    /// The first record's.
    reason: SkipReason,
    /// Whether the texts differ, and only in offset and position.
    places_differ: bool,
    is_mixed: bool,
}

/// Why a record was skipped: the text of its error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkipReason {
    text: String,
    /// The part that is the same for all records with this problem.
    without_place: Option<String>,
}

impl SkipReason {
    /// The error of one record, which may name its offset and a position in its
    /// value. `without_place` is the same without them, if it is known.
    #[must_use]
    pub fn new(text: &str, without_place: Option<&str>) -> Self {
        Self {
            text: cut(text, MAX_TEXT_BYTES).into_owned(),
            without_place: without_place.map(|text| cut(text, MAX_TEXT_BYTES).into_owned()),
        }
    }

    fn without_place(&self) -> &str {
        self.without_place.as_deref().unwrap_or(&self.text)
    }
}

impl SkippedRecords {
    /// The record at `offset` was skipped: a higher one than all before.
    pub fn add(&mut self, offset: i64, reason: SkipReason) {
        self.count += 1;
        let is_full = self.ranges.len() == MAX_RANGES;
        if let Some(last) = self.ranges.last_mut() {
            let same = last.reason.without_place() == reason.without_place();
            let is_neighbour = same && last.offsets.is_followed_by(offset);
            if is_neighbour || is_full {
                last.offsets.last = offset;
                last.records += 1;
                last.places_differ |= last.reason != reason;
                last.is_mixed |= !is_neighbour;
                return;
            }
        }
        self.ranges.push(Range {
            offsets: OffsetRange::of_one(offset),
            records: 1,
            reason,
            places_differ: false,
            is_mixed: false,
        });
    }

    /// How many records were skipped.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The ranges, as the report shows them.
    pub fn ranges(&self, place: &TopicPartition) -> impl Iterator<Item = UnprocessedRange> {
        self.ranges.iter().map(|range| UnprocessedRange {
            place: place.clone(),
            range: range.offsets,
            reason: range.words(),
        })
    }
}

impl Range {
    fn words(&self) -> String {
        if self.is_mixed {
            format!(
                "{} records among these, each with its reason in the log; the first: {}",
                self.records, self.reason.text
            )
        } else if self.places_differ {
            self.reason.without_place().to_owned()
        } else {
            self.reason.text.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MessageFormat;
    use crate::decode::decode;
    use crate::record::Record;

    fn ranges(skipped: impl IntoIterator<Item = (i64, &'static str)>) -> Vec<(i64, i64, String)> {
        let mut skips = SkippedRecords::default();
        let mut count = 0;
        for (offset, reason) in skipped {
            skips.add(offset, SkipReason::new(reason, None));
            count += 1;
        }
        assert_eq!(skips.count(), count);
        let place = TopicPartition {
            topic: "t".into(),
            partition: 0,
        };
        skips
            .ranges(&place)
            .map(|it| (it.range.first, it.range.last, it.reason))
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
    fn neighbours_whose_reasons_differ_by_place_alone_are_one_range_without_the_place() {
        let error = |offset, value: &'static str| {
            let record = Record {
                value: Some(value.into()),
                ..Record::new(TopicPartition::new("t", 0), offset)
            };
            decode(MessageFormat::Json, &record).map(|_| ()).expect_err("not JSON")
        };
        let early = "the record at offset 6 of t-0 is not valid JSON: it ends too early at line 1, column 8";
        let mut skips = SkippedRecords::default();
        for (offset, value) in [(4, "x"), (5, r#"{"a": 1, x}"#), (6, r#"{"a": 1,"#)] {
            let error = error(offset, value);
            skips.add(offset, SkipReason::new(&error.to_string(), Some(&error.reason)));
        }
        let place = TopicPartition {
            topic: "t".into(),
            partition: 0,
        };
        let found: Vec<_> = skips
            .ranges(&place)
            .map(|it| (it.range.first, it.range.last, it.reason))
            .collect();
        let expected = [(4, 5, "not valid JSON: a syntax error"), (6, 6, early)];
        assert_eq!(
            found,
            expected.map(|(first, last, reason)| (first, last, reason.to_owned()))
        );
    }

    #[test]
    fn a_million_skipped_records_are_few_short_ranges_and_counted_exactly() {
        let (mut skips, long) = (SkippedRecords::default(), "x".repeat(1_000));
        for offset in 0..1_000_000 {
            skips.add(offset * 2, SkipReason::new(&long, None));
        }
        let place = TopicPartition {
            topic: "t".into(),
            partition: 0,
        };
        assert_eq!(skips.count(), 1_000_000);
        assert_eq!(skips.ranges(&place).count(), MAX_RANGES);
        assert!(
            skips
                .ranges(&place)
                .all(|range| range.reason.len() < MAX_TEXT_BYTES + 100)
        );
    }

    #[test]
    fn the_largest_offset_has_no_neighbour() {
        assert_eq!(ranges([(i64::MAX - 1, "a"), (i64::MAX, "a")]).len(), 1);
    }

    #[test]
    fn however_many_there_are_each_lies_in_a_range_and_the_ranges_stay_few() {
        let found = ranges((0..1_000).map(|n| (n * 2, "a")));
        assert_eq!(found.len(), MAX_RANGES);
        let (first, last, words) = &found[MAX_RANGES - 1];
        assert_eq!((*first, *last), (198, 1_998));
        assert!(words.starts_with("901 records among these"), "{words}");
    }
}
