//! `Retry-After`: when an endpoint takes the next request. Pure.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A longer time counts as this one, the longest back-off between runs: then one request shows
/// whether the endpoint is back.
const LONGEST_MS: i64 = 15 * 60_000;

/// HTTP's three forms of a date: of RFC 9110, RFC 850 and C's asctime. All are in UTC.
const DATES: [&str; 3] = [
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %e %H:%M:%S %Y",
];

/// How long to wait, in milliseconds: 0 to [`LONGEST_MS`]. `None`: the value is neither a number of
/// seconds nor a date.
///
/// `now_ms`: the wall clock, in milliseconds since the epoch.
pub(super) fn wait_ms(value: &str, now_ms: i64) -> Option<i64> {
    let value = value.trim();
    let ms = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has: longer than the longest.
        value.parse().unwrap_or(i64::MAX).saturating_mul(1_000)
    } else {
        date_ms(value)?.saturating_sub(now_ms)
    };
    Some(ms.clamp(0, LONGEST_MS))
}

fn date_ms(value: &str) -> Option<i64> {
    let date = DATES.iter().find_map(|form| DateTime::strptime(form, value).ok())?;
    Some(TimeZone::UTC.to_timestamp(date).ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1994-11-06T08:49:37Z, the date of RFC 9110's examples.
    const DATE_MS: i64 = 784_111_777_000;

    #[test]
    fn seconds_are_waited_for_up_to_fifteen_minutes() {
        let rows = [
            ("0", Some(0)),
            ("7", Some(7_000)),
            (" 120 ", Some(120_000)),
            ("901", Some(LONGEST_MS)),
            ("99999999999999999999999", Some(LONGEST_MS)),
        ];
        for (value, expected) in rows {
            assert_eq!(wait_ms(value, DATE_MS), expected, "{value}");
        }
    }

    #[test]
    fn a_date_is_waited_for_in_each_form_of_http() {
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(wait_ms(date, DATE_MS - 3_500), Some(3_500), "{date}");
            assert_eq!(wait_ms(date, DATE_MS + 1), Some(0), "{date} has passed");
            assert_eq!(wait_ms(date, 0), Some(LONGEST_MS), "{date}");
        }
    }

    #[test]
    fn anything_else_is_ignored() {
        for value in [
            "",
            "-1",
            "+1",
            "1.5",
            "soon",
            "Sun, 06 Nov 1994",
            "Sun, 06 Nov 1994 08:49:37 CET",
        ] {
            assert_eq!(wait_ms(value, DATE_MS), None, "{value}");
        }
    }
}
