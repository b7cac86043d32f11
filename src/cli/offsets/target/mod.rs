//! Targets of `offsets reset`, and the offsets that they resolve to.

use std::fmt;

use jiff::{SignedDuration, Span, SpanRelativeTo};

use crate::config::{self, InvalidTime, TIME_ALLOWED};
use crate::record::NextOffset;

/// The target of a cursor in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// This offset is the next to read.
    Offset(i64),
    /// The earliest offset of the log.
    Earliest,
    /// The end of the log.
    Latest,
    /// So many offsets forward, or back, from the cursor.
    Shift(i64),
    /// The first record at or after a time. `None`: there is none.
    Found(Option<NextOffset>),
}

/// A partition's log, and its cursor. `earliest` is not above `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) standing: NextOffset,
    pub(super) earliest: NextOffset,
    pub(super) end: NextOffset,
}

/// How the new offset differs from the requested one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clamped {
    /// The requested offset is below the log start offset.
    ToEarliest { requested: i64, earliest: NextOffset },
    /// The requested offset is past the end.
    ToEnd { requested: i64, end: NextOffset },
    /// No record has that time or a later one.
    NoneSince,
}

impl fmt::Display for Clamped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ToEarliest { requested, earliest } => {
                write!(f, "{requested} is below the earliest offset: {earliest} instead")
            }
            Self::ToEnd { requested, end } => write!(f, "{requested} is past the end: {end} instead"),
            Self::NoneSince => f.write_str("no record at or after that time: the end"),
        }
    }
}

/// The next offset to read that `target` resolves to. It always lies in the log.
///
/// | target | new position | clamped |
/// |---|---|---|
/// | `Offset(n)` | `n` | below the earliest: the earliest; past the end: the end |
/// | `Earliest` | the earliest | |
/// | `Latest` | the end | |
/// | `Shift(n)` | the cursor + `n` | as `Offset` |
/// | `Found(offset)` | `offset` | a record after the end was read: the end |
/// | `Found(none)` | the end | no record at or after that time |
pub(super) fn resolve(target: Target, log: Log) -> (NextOffset, Option<Clamped>) {
    let Log {
        standing,
        earliest,
        end,
    } = log;
    match target {
        Target::Offset(requested) => within(requested, earliest, end),
        Target::Earliest => (earliest, None),
        Target::Latest => (end, None),
        Target::Shift(by) => within(standing.get().saturating_add(by), earliest, end),
        Target::Found(Some(found)) => (found.min(end).max(earliest), None),
        Target::Found(None) => (end, Some(Clamped::NoneSince)),
    }
}

fn within(requested: i64, earliest: NextOffset, end: NextOffset) -> (NextOffset, Option<Clamped>) {
    match NextOffset::new(requested) {
        Some(next) if next > end => (end, Some(Clamped::ToEnd { requested, end })),
        Some(next) if next >= earliest => (next, None),
        _ => (earliest, Some(Clamped::ToEarliest { requested, earliest })),
    }
}

/// A point in time, in milliseconds since the epoch, as settings and events write it.
pub(super) fn datetime(text: &str) -> Result<i64, String> {
    config::unix_ms(text).map_err(|invalid| match invalid {
        InvalidTime::Unreadable => format!("allowed: {TIME_ALLOWED}; without an offset it is UTC"),
        InvalidTime::Before1970 => "allowed: a time from 1970 on; for everything there is, --to-earliest".into(),
    })
}

/// A length of time in milliseconds: `2h 30m`, or ISO 8601 as in kafka-consumer-groups. `m` is a
/// minute, and `M` a month.
pub(super) fn duration(text: &str) -> Result<i64, String> {
    let iso = || {
        let span: Span = text.parse().ok()?;
        let length: SignedDuration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        i64::try_from(length.as_millis()).ok()
    };
    let plain = || i64::try_from(humantime::parse_duration(text).ok()?.as_millis()).ok();
    let length = if text.starts_with(['P', 'p']) { iso() } else { plain() };
    length.filter(|ms| *ms >= 0).ok_or_else(|| {
        "allowed: 90s, 2m (minutes), 2h, 1d 12h, 2M (months), or ISO 8601 such as PT2H and P1DT12H".into()
    })
}

#[cfg(test)]
mod tests;
