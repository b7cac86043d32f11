//! Selects the records of a backfill by time, where timestamps are not in the
//! order of offsets.
//!
//! A bound that is a time is looked up as the first offset with that time or a
//! later one. No record of the window lies before the first offset with a time
//! at or after `from`. But records of the window may lie after the first offset
//! with a time at or after `to`: producers send late, and set their own clocks.
//! So a backfill reads up to the first record that is [`READ_ON_MS`] later than
//! `to`, and selects each record by its timestamp:
//!
//! | the record's timestamp | |
//! |---|---|
//! | none | processed |
//! | before `from`, at `to` or after it, where these are times | settled without being processed |
//! | else | processed |
//!
//! A record of the window that comes after one with a time [`READ_ON_MS`] past
//! `to` is not found. With `message.timestamp.type=LogAppendTime` there is none.

use crate::event::{BackfillRequest, Bound};
use crate::record::Record;

/// How far past `to` a backfill by time looks for records of its window, in
/// milliseconds of their timestamps: an hour. Its cost is to read, not to
/// process, that part of the log.
pub const READ_ON_MS: i64 = 3_600_000;

/// The times of a backfill's bounds, in milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Inclusive; `None`: `from` is no time.
    from_ms: Option<i64>,
    /// Exclusive; `None`: `to` is no time.
    to_ms: Option<i64>,
}

impl Window {
    /// The window of a backfill; `None` if none of its bounds is a time.
    #[must_use]
    pub fn of(request: &BackfillRequest) -> Option<Self> {
        let time = |bound: &Bound| match bound {
            Bound::At(unix_ms) => Some(*unix_ms),
            _ => None,
        };
        let (from_ms, to_ms) = (time(&request.from), time(&request.to));
        (from_ms.is_some() || to_ms.is_some()).then_some(Self { from_ms, to_ms })
    }

    /// Whether the record is processed: the table at the top of this module.
    #[must_use]
    pub fn selects(&self, record: &Record) -> bool {
        record
            .timestamp_ms()
            .is_none_or(|time| self.from_ms.is_none_or(|from| time >= from) && self.to_ms.is_none_or(|to| time < to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, TopicPartition};

    fn window(from: Bound, to: Bound) -> Option<Window> {
        let name = "b".parse().expect("a name");
        Window::of(&BackfillRequest::new(name, from, to, None).expect("the bounds fit"))
    }

    /// The rows of the table.
    #[test]
    fn records_are_selected_by_their_own_timestamps() {
        let at = Bound::At;
        for (from, to, time, selected) in [
            (at(10), at(20), None, true),
            (at(10), at(20), Some(9), false),
            (at(10), at(20), Some(10), true),
            (at(10), at(20), Some(19), true),
            (at(10), at(20), Some(20), false),
            (at(10), Bound::Latest, Some(9), false),
            (at(10), Bound::Latest, Some(i64::MAX), true),
            (Bound::Earliest, at(20), Some(0), true),
            (Bound::Earliest, at(20), Some(20), false),
        ] {
            let record = Record {
                timestamp: time.map(Timestamp::create_time),
                ..Record::new(TopicPartition::new("t", 0), 0)
            };
            let window = window(from, to).expect("a time is a bound");
            assert_eq!(window.selects(&record), selected, "{window:?} {time:?}");
        }
    }

    #[test]
    fn offsets_and_words_select_by_offset_alone() {
        assert_eq!(window(Bound::Earliest, Bound::Latest), None);
    }
}
