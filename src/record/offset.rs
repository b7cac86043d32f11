//! Offsets of one partition: the next to read, a range, and a listed one.

use std::fmt;

use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

/// The offset of the next record to read: 0 or more.
///
/// The table stores the **last processed** offset, one less. Only the store
/// converts, so that no other code can be one off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct NextOffset(i64);

impl NextOffset {
    /// The start of every log.
    pub const ZERO: Self = Self(0);

    /// `offset` as the next to read; `None` below 0.
    #[must_use]
    pub const fn new(offset: i64) -> Option<Self> {
        if offset < 0 { None } else { Some(Self(offset)) }
    }

    /// The next offset after `last_processed`, where -1 means that nothing was
    /// processed yet; `None` below -1, and at the end of the number range.
    #[must_use]
    pub const fn after(last_processed: i64) -> Option<Self> {
        match last_processed.checked_add(1) {
            Some(next) => Self::new(next),
            None => None,
        }
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The last processed offset: one less, -1 at the start of the log.
    #[must_use]
    pub const fn last_processed(self) -> i64 {
        self.0 - 1
    }

    /// How many offsets lie between `self` and `end`; 0 if `end` is not ahead.
    #[must_use]
    pub const fn distance_to(self, end: Self) -> u64 {
        if end.0 > self.0 { end.0.abs_diff(self.0) } else { 0 }
    }
}

impl fmt::Display for NextOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A range of offsets, both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetRange {
    /// The first offset.
    pub first: i64,
    /// The last offset, not below `first`.
    pub last: i64,
}

impl OffsetRange {
    /// The range of this offset alone.
    #[must_use]
    pub const fn of_one(offset: i64) -> Self {
        Self {
            first: offset,
            last: offset,
        }
    }

    /// Whether `offset` is the one after the last.
    #[must_use]
    pub fn is_followed_by(self, offset: i64) -> bool {
        self.last.checked_add(1) == Some(offset)
    }

    /// As `first_offset` and `last_offset`, the fields of reports.
    pub(crate) fn serialize_as_fields<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut range = serializer.serialize_struct("OffsetRange", 2)?;
        range.serialize_field("first_offset", &self.first)?;
        range.serialize_field("last_offset", &self.last)?;
        range.end()
    }

    /// The number of offsets. Logs may have gaps, so there may be fewer records.
    #[must_use]
    pub fn count(self) -> u64 {
        self.last.abs_diff(self.first).saturating_add(1)
    }
}

/// A listed offset of one partition, or why no broker returned it.
pub type ListedOffset = Result<NextOffset, Unavailable>;

/// Why no broker serves a partition: it has no leader, or its broker does not
/// respond. It concerns this partition only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_offset_and_the_next_to_read_are_one_apart() {
        assert_eq!(NextOffset::after(-1), Some(NextOffset::ZERO));
        assert_eq!(NextOffset::after(12_345).map(NextOffset::get), Some(12_346));
        assert_eq!(NextOffset::after(12_345).map(NextOffset::last_processed), Some(12_345));
    }

    #[test]
    fn offsets_outside_the_log_are_refused() {
        assert_eq!(NextOffset::after(-2), None);
        assert_eq!(NextOffset::after(i64::MAX), None);
        assert_eq!(NextOffset::after(i64::MIN), None);
        assert_eq!(NextOffset::new(-1), None);
        assert!(NextOffset::after(i64::MAX - 1).is_some());
    }

    #[test]
    fn a_distance_is_never_negative() {
        let (five, nine) = (NextOffset(5), NextOffset(9));
        assert_eq!(five.distance_to(nine), 4);
        assert_eq!(nine.distance_to(five), 0);
        assert_eq!(five.distance_to(five), 0);
    }
}
