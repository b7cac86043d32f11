//! The rate at which a lag changes.

use std::fmt;
use std::time::Duration;

use crate::cli::inspect::Inspection;
use crate::cli::output::coarse;

/// The change of the lag between two inspections.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LagRate {
    per_second: f64,
    /// In records.
    lag: u64,
}

impl LagRate {
    /// Over the partitions whose lag is known in both; `None` where there is none.
    pub(super) fn between(before: &Inspection, now: &Inspection) -> Option<Self> {
        let seconds = Duration::from_millis(u64::try_from(now.at - before.at).ok()?).as_secs_f64();
        let mut change = None;
        let mut lag = 0;
        for row in &now.partitions {
            let earlier = before
                .partitions
                .iter()
                .find(|earlier| earlier.partition == row.partition);
            if let (Some(then), Some(left)) = (earlier.and_then(|earlier| earlier.lag), row.lag) {
                #[expect(clippy::cast_precision_loss, reason = "a rate is shown in whole records a second")]
                let grown = left as f64 - then as f64;
                change = Some(change.unwrap_or(0.0) + grown);
                lag += left;
            }
        }
        (seconds > 0.0).then_some(Self {
            per_second: change? / seconds,
            lag,
        })
    }

    /// The time until the lag is 0 at this rate, if it shrinks.
    fn left(self) -> Option<Duration> {
        /// Beyond this an estimate from two inspections is meaningless.
        const MAX_SECONDS: f64 = 30.0 * 24.0 * 3600.0;
        #[expect(clippy::cast_precision_loss, reason = "it is shown in whole seconds, or coarser")]
        let seconds = self.lag as f64 / -self.per_second;
        (self.lag > 0 && self.per_second < 0.0 && seconds < MAX_SECONDS).then(|| Duration::from_secs_f64(seconds))
    }
}

impl fmt::Display for LagRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_possible_truncation, reason = "a lag that fits an offset, less another")]
        let rounded = self.per_second.round() as i64;
        let sign = if rounded > 0 { "+" } else { "" };
        write!(f, "{sign}{}/s", thousands(rounded))?;
        match self.left() {
            Some(left) => write!(f, ", caught up in ~{}", coarse(left)),
            None => Ok(()),
        }
    }
}

/// `-4,000`.
fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: f64, lag: u64) -> String {
        LagRate { per_second, lag }.to_string()
    }

    #[test]
    fn a_rate_is_shown_with_the_time_to_catch_up_if_the_lag_shrinks() {
        assert_eq!(rate(120.4, 5_000), "+120/s");
        assert_eq!(rate(0.0, 5_000), "0/s");
        assert_eq!(rate(-4_000.0, 480_000), "-4,000/s, caught up in ~2 min");
        assert_eq!(rate(-1_234_567.0, 9_000_000), "-1,234,567/s, caught up in ~7 s");
        assert_eq!(rate(-10.0, 108_000), "-10/s, caught up in ~3 h");
        assert_eq!(rate(-1.0, 259_200), "-1/s, caught up in ~3 days");
        assert_eq!(rate(-500.0, 0), "-500/s");
        assert_eq!(rate(-0.001, 1_000_000), "0/s");
    }
}
