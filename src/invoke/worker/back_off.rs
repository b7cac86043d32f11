//! How long a record that failed waits for its next try. Pure.
//!
//! Between two tries in one run ([`pause`]):
//!
//! | failed tries in this run | pause |
//! |---|---|
//! | 1 | 100 ms |
//! | 2 | 400 ms |
//! | each further one | four times as long |
//!
//! While the destination is throttled or not ready ([`throttled_pause`]):
//!
//! | refusals since the last progress | pause |
//! |---|---|
//! | 1 | 100 ms |
//! | each further one | twice as long, at most 10 seconds |
//!
//! Between two runs ([`delay_ms`]):
//!
//! | back-offs before this one | delay |
//! |---|---|
//! | 0 | 1 minute |
//! | 1 | 2 minutes |
//! | 2 | 4 minutes |
//! | 3 | 8 minutes |
//! | 4 or more | 15 minutes |
//!
//! An item stores no count of back-offs, but the time of its last write and of the
//! next try: [`after_ms`] finds the next row by the delay between the two. After a
//! write of the item that is later than the next try, it is the first row.

use std::time::Duration;

const FIRST_PAUSE: Duration = Duration::from_millis(100);

const MAX_THROTTLED_PAUSE: Duration = Duration::from_secs(10);

const FIRST_DELAY_MS: i64 = 60_000;

const MAX_DELAY_MS: i64 = 15 * 60_000;

/// The pause after `failed_tries` (1 or more) in one run.
pub(crate) fn pause(failed_tries: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(4_u32.saturating_pow(failed_tries.saturating_sub(1)))
}

/// The pause after a destination has taken nothing for the `refusals`th time (1 or
/// more) since the last progress.
pub(crate) fn throttled_pause(refusals: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(refusals.saturating_sub(1)))
        .min(MAX_THROTTLED_PAUSE)
}

/// The delay after `back_offs` earlier ones, in milliseconds.
pub(super) fn delay_ms(back_offs: u32) -> i64 {
    FIRST_DELAY_MS.saturating_mul(1 << back_offs.min(10)).min(MAX_DELAY_MS)
}

/// The delay after one of `last_ms`, in milliseconds; `None`: there was none. At or
/// below half of the first delay it starts over.
pub(super) fn after_ms(last_ms: Option<i64>) -> i64 {
    last_ms.map_or(FIRST_DELAY_MS, |last| {
        last.saturating_mul(2).clamp(FIRST_DELAY_MS, MAX_DELAY_MS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttled_destination_is_tried_again_after_100_ms_and_then_ever_more_rarely() {
        let rows = [
            (1, 100),
            (2, 200),
            (3, 400),
            (7, 6_400),
            (8, 10_000),
            (u32::MAX, 10_000),
        ];
        for (refusals, ms) in rows {
            assert_eq!(throttled_pause(refusals), Duration::from_millis(ms), "{refusals}");
        }
    }

    #[test]
    fn a_record_that_fails_again_and_again_waits_1_2_4_8_and_then_15_minutes() {
        let rows = [(0, 1), (1, 2), (2, 4), (3, 8), (4, 15), (5, 15), (u32::MAX, 15)];
        for (back_offs, minutes) in rows {
            assert_eq!(delay_ms(back_offs), minutes * 60_000, "{back_offs}");
        }
    }

    #[test]
    fn the_delay_after_a_stored_one_is_the_next_row() {
        assert_eq!(after_ms(None), delay_ms(0));
        for back_offs in 0..6 {
            assert_eq!(after_ms(Some(delay_ms(back_offs))), delay_ms(back_offs + 1));
        }
    }

    #[test]
    fn a_stored_delay_that_ended_before_the_last_write_starts_over() {
        for last_ms in [i64::MIN, -1, 0, 1, 30_000] {
            assert_eq!(after_ms(Some(last_ms)), delay_ms(0), "{last_ms}");
        }
        assert_eq!(after_ms(Some(i64::MAX)), MAX_DELAY_MS);
    }

    #[test]
    fn tries_in_one_run_are_100_and_then_400_ms_apart() {
        for (failed_tries, ms) in [(1, 100), (2, 400), (3, 1_600)] {
            assert_eq!(pause(failed_tries), Duration::from_millis(ms));
        }
    }
}
