//! This machine's clock compared with AWS's, by the `Date` headers of responses.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodb::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;

use super::check::Check;
use crate::claim::{MARGIN_MS, MAX_CLAIM_MS};
use crate::clock::{Clock as _, SystemClock};
use crate::error::ErrorType;

const SECOND_MS: i64 = 1000;

/// Half of the clock difference that claims tolerate.
const TOLERATED_MS: i64 = MARGIN_MS / 2;

/// Beyond it AWS rejects every signature.
const REJECTED_MS: i64 = 5 * 60 * SECOND_MS;

/// How far this clock is ahead of AWS's, in milliseconds, by all responses.
#[derive(Debug, Clone, Default)]
pub(super) struct AwsClock(Arc<Mutex<Option<i64>>>);

impl AwsClock {
    /// For one client, whose requests are sent in sequence.
    pub(super) fn interceptor(&self) -> DateInterceptor {
        DateInterceptor {
            clock: self.clone(),
            sent_ms: AtomicI64::default(),
        }
    }

    /// Each response is a lower bound, and a slow one is a small bound: the
    /// largest one counts.
    fn add(&self, ahead_ms: i64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *known = known.into_iter().chain([ahead_ms]).max_by_key(|it| it.unsigned_abs());
    }

    /// The check of the difference to AWS's clock.
    pub(super) fn check(&self) -> Check {
        let ahead_ms = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        judge(ahead_ms).on("AWS")
    }
}

#[derive(Debug)]
pub(super) struct DateInterceptor {
    clock: AwsClock,
    sent_ms: AtomicI64,
}

impl Intercept for DateInterceptor {
    fn name(&self) -> &'static str {
        "DateInterceptor"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.sent_ms.store(SystemClock.wall_ms(), Ordering::Relaxed);
        Ok(())
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date_ms) = context.response().headers().get("date").and_then(unix_ms) {
            let sent_ms = self.sent_ms.load(Ordering::Relaxed);
            self.clock.add(ahead_ms(sent_ms, SystemClock.wall_ms(), date_ms));
        }
        Ok(())
    }
}

/// `Sat, 21 Nov 2026 18:50:30 GMT`.
fn unix_ms(date: &str) -> Option<i64> {
    let date = jiff::fmt::rfc2822::parse(date).ok()?;
    Some(date.timestamp().as_millisecond())
}

/// How far this clock is ahead, in milliseconds: the least difference that is
/// possible. AWS sent the response at some time between request and response,
/// and the header has whole seconds.
///
/// | the second of the header | |
/// |---|---|
/// | overlaps the time between request and response | 0 |
/// | ends before the request was sent | ahead: from its end to the request |
/// | begins after the response was received | behind: from the response to its begin |
fn ahead_ms(sent_ms: i64, received_ms: i64, date_ms: i64) -> i64 {
    let least = sent_ms - (date_ms + SECOND_MS - 1);
    let most = received_ms - date_ms;
    0.clamp(least, most.max(least))
}

/// The check of a difference.
///
/// | difference | |
/// |---|---|
/// | unknown | not checked |
/// | up to 5 s | ok |
/// | up to 5 minutes | warning: claims tolerate a difference of 10 s |
/// | more | failed: AWS rejects signatures |
fn judge(ahead_ms: Option<i64>) -> Check {
    let name = "clock";
    let Some(ahead) = ahead_ms else {
        return Check::skipped(name, "no response from AWS had a Date header");
    };
    let difference = ahead.saturating_abs();
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    let what = format!("this clock is {} s {side} AWS's", (difference + 500) / SECOND_MS);
    let next = "Set this machine's clock by NTP, such as chrony with 169.254.169.123 in AWS";
    if difference < SECOND_MS {
        Check::ok(name, "within a second of AWS's")
    } else if difference <= TOLERATED_MS {
        Check::ok(name, what)
    } else if difference <= REJECTED_MS {
        Check::warning(name, what, next).with([claims()])
    } else {
        let rejected = "AWS rejects signatures that are more than 5 minutes off".to_owned();
        Check::failed(name, ErrorType::TableUnreachable, what, next).with([rejected, claims()])
    }
}

fn claims() -> String {
    format!(
        "where clocks differ by more than {} s, a run may treat a live claim as expired; a claim that expires more \
         than {} minutes ahead is ignored",
        MARGIN_MS / SECOND_MS,
        MAX_CLAIM_MS / SECOND_MS / 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Status;

    #[test]
    fn each_difference_has_the_status_of_the_table() {
        let rows = [
            (None, Status::Skipped, "not checked"),
            (Some(0), Status::Ok, "within a second"),
            (Some(-999), Status::Ok, "within a second"),
            (Some(1_000), Status::Ok, "1 s ahead of AWS's"),
            (Some(-5_000), Status::Ok, "5 s behind AWS's"),
            (Some(5_001), Status::Warning, "5 s ahead"),
            (Some(-300_000), Status::Warning, "300 s behind"),
            (Some(300_001), Status::Failed, "300 s ahead"),
            (Some(-86_400_000), Status::Failed, "behind"),
        ];
        for (ahead, status, what) in rows {
            let check = judge(ahead);
            assert_eq!(check.status, status, "{ahead:?}: {check:?}");
            assert!(check.what.contains(what), "{ahead:?}: {check:?}");
        }
    }

    #[test]
    fn a_difference_is_the_least_that_is_possible() {
        let rows = [
            // Sent and received, against a second that begins at 0.
            (0, 0, 0),
            (999, 999, 0),
            (1_000, 1_500, 1),
            (61_000, 61_200, 60_001),
            (-500, 10, 0),
            (-500, -1, -1),
            (-60_200, -60_000, -60_000),
            (-5_000, 5_000, 0),
        ];
        for (sent, received, expected) in rows {
            let date = 1_795_000_000_000;
            let ahead = ahead_ms(date + sent, date + received, date);
            assert_eq!(ahead, expected, "{sent} {received}");
        }
    }

    #[test]
    fn of_several_responses_the_largest_difference_counts() {
        let clock = AwsClock::default();
        for ahead_ms in [1, -7_000, 6_000, 0] {
            clock.add(ahead_ms);
        }
        assert!(clock.check().what.contains("7 s behind"), "{clock:?}");
    }

    #[test]
    fn the_date_of_an_http_response_is_parsed() {
        assert_eq!(unix_ms("Wed, 18 Nov 2026 11:06:40 GMT"), Some(1_795_000_000_000));
        assert_eq!(unix_ms("yesterday"), None);
    }
}
