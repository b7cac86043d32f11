//! The time that AWS's answers tell.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_dynamodb::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;

use crate::clock::{Clock as _, SystemClock};

pub(super) const SECOND_MS: i64 = 1000;

/// What one answer told of AWS's clock, in milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    /// When this machine asked and had the answer, by its own clock.
    asked: i64,
    answered: i64,
    /// The second in which the service answered, by its clock.
    date: i64,
}

/// Reads the time from the answers to calls that follow each other.
#[derive(Debug, Clone, Default)]
pub(super) struct Dates(Arc<Mutex<(i64, Option<Told>)>>);

impl Dates {
    /// What the last answer with a date told.
    pub(super) fn told(&self) -> Option<Told> {
        self.state().1
    }

    fn state(&self) -> MutexGuard<'_, (i64, Option<Told>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for Dates {
    fn name(&self) -> &'static str {
        "Dates"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.state().0 = SystemClock.wall_ms();
        Ok(())
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").and_then(unix_ms);
        let mut state = self.state();
        if let Some(date) = date {
            state.1 = Some(Told {
                asked: state.0,
                answered: SystemClock.wall_ms(),
                date,
            });
        }
        Ok(())
    }
}

/// `Sat, 21 Nov 2026 18:50:30 GMT`.
fn unix_ms(date: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(date)
        .ok()
        .map(|at| at.timestamp().as_millisecond())
}

impl Told {
    /// How far this clock is ahead, in milliseconds: the least that explains
    /// what was seen. The service answered at some moment between question and
    /// answer, and of its clock only the second is known.
    ///
    /// | the second of the date | |
    /// |---|---|
    /// | overlaps the time between question and answer | 0 |
    /// | was over before the question | ahead: question less end of the second |
    /// | begins after the answer | behind: answer less begin of the second |
    pub(super) fn ahead_ms(self) -> i64 {
        let least = self.asked - (self.date + SECOND_MS - 1);
        let most = self.answered - self.date;
        0.clamp(least, most.max(least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_the_least_that_explains_what_was_seen() {
        let date = 1_795_000_000_000;
        let rows = [
            // (asked, answered) against a second that begins at 0.
            (0, 0, 0),
            (999, 999, 0),
            (1_000, 1_500, 1),
            (61_000, 61_200, 60_001),
            (-500, 10, 0),
            (-500, -1, -1),
            (-60_200, -60_000, -60_000),
            (-5_000, 5_000, 0),
        ];
        for (asked, answered, expected) in rows {
            let told = Told {
                asked: date + asked,
                answered: date + answered,
                date,
            };
            assert_eq!(told.ahead_ms(), expected, "{asked} {answered}");
        }
    }

    #[test]
    fn a_date_of_http_is_read() {
        assert_eq!(unix_ms("Wed, 18 Nov 2026 11:06:40 GMT"), Some(1_795_000_000_000));
        assert_eq!(unix_ms("yesterday"), None);
    }
}
