//! A point in time in settings, events and flags.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// The spellings of a time, for messages.
pub(crate) const TIME_ALLOWED: &str = "an RFC 3339 time such as 2026-11-01T06:00:00Z, or a date such as 2026-11-01";

/// Why a text is not a valid time. The caller adds what else it accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidTime {
    /// It has none of the spellings.
    Unreadable,
    /// Kafka gives -1 and -2 other meanings.
    Before1970,
}

/// A time in Kafka's unit, milliseconds since the epoch. Rounded up: a record is included if its
/// timestamp, in whole milliseconds, is not earlier.
///
/// | text | |
/// |---|---|
/// | `2026-11-01T08:00:00+02:00`, `2026-11-01T06:00:00Z` | RFC 3339 |
/// | `2026-11-01T06:00:00`, `2026-11-01 06:00` | without an offset it is UTC, as in kafka-consumer-groups |
/// | `2026-11-01` | midnight UTC |
/// | a time before 1970 | refused |
pub(crate) fn unix_ms(text: &str) -> Result<i64, InvalidTime> {
    // ISO 8601's other spellings, such as 20261101, are too near to plain numbers.
    if text.as_bytes().get(4) != Some(&b'-') {
        return Err(InvalidTime::Unreadable);
    }
    let in_utc = |time: DateTime| Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp());
    let time: Timestamp = text
        .parse()
        .ok()
        .or_else(|| in_utc(text.parse().ok()?))
        .or_else(|| in_utc(text.parse::<Date>().ok()?.to_datetime(jiff::civil::Time::midnight())))
        .ok_or(InvalidTime::Unreadable)?;
    let unix_ms = time.as_millisecond() + i64::from(time.subsec_nanosecond() % 1_000_000 > 0);
    if unix_ms < 0 {
        Err(InvalidTime::Before1970)
    } else {
        Ok(unix_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_rfc_3339_or_utc_without_an_offset_or_a_date_at_midnight() {
        let six = 1_793_512_800_000;
        for (text, expected) in [
            ("2026-11-01T06:00:00Z", six),
            ("2026-11-01T08:00:00+02:00", six),
            ("2026-11-01T06:00:00", six),
            ("2026-11-01 06:00:00", six),
            ("2026-11-01T06:00", six),
            ("2026-11-01", six - 6 * 3_600_000),
            ("1970-01-01", 0),
            ("2026-11-01T06:00:00.0001Z", six + 1),
        ] {
            assert_eq!(unix_ms(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_not_a_time_or_before_1970_is_refused() {
        for text in [
            "",
            "yesterday",
            "1762000000000",
            "20261101",
            "2026",
            "2026-11",
            "2026-13-01",
            "2026-02-30",
            "06:00:00",
            "1969-12-31",
            "1969-12-31T23:59:59Z",
            "-1",
            "2026-11-01T25:00:00Z",
            "2026-11-01x",
        ] {
            assert!(unix_ms(text).is_err(), "{text}");
        }
    }
}
