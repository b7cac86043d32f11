//! What a certificate says, and how long it holds.

use std::fmt;
use std::time::Duration;

use crate::cli::output;
pub(super) use crate::kafka::tls::certificate::Certificate;
use crate::kafka::tls::certificate::date;

const DAY: i64 = 24 * 60 * 60;

/// Below this a certificate that nobody renews becomes an outage soon.
const SHORT: u64 = 30 * DAY.unsigned_abs();

/// How a certificate stands at a time.
///
/// | | |
/// |---|---|
/// | it begins later | `Early` |
/// | it ended, or ends now | `Over` |
/// | less than 30 days are left | `Short` |
/// | else | `Long` |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Early {
        begins: i64,
    },
    Over {
        ends: i64,
    },
    /// With the seconds that are left.
    Short {
        ends: i64,
        left: u64,
    },
    Long {
        ends: i64,
        left: u64,
    },
}

pub(super) fn life(certificate: &Certificate, now: i64) -> Life {
    let ends = certificate.ends;
    let left = u64::try_from(ends.saturating_sub(now)).unwrap_or(0);
    match left {
        _ if certificate.begins > now => Life::Early {
            begins: certificate.begins,
        },
        0 => Life::Over { ends },
        1..SHORT => Life::Short { ends, left },
        _ => Life::Long { ends, left },
    }
}

/// A certificate's names, a line each.
pub(super) fn names(certificate: &Certificate) -> Vec<String> {
    let mut lines = vec![format!(
        "subject {}, issuer {}",
        certificate.subject, certificate.issuer
    )];
    if !certificate.hosts.is_empty() {
        lines.push(format!("for {}", certificate.hosts.join(", ")));
    }
    lines
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Early { begins } => write!(f, "begins {}", date(begins)),
            Self::Over { ends } => write!(f, "ended {}", date(ends)),
            Self::Short { ends, left } | Self::Long { ends, left } => {
                write!(
                    f,
                    "ends {}, in {}",
                    date(ends),
                    output::coarse(Duration::from_secs(left))
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(begins: i64, ends: i64) -> Certificate {
        Certificate {
            subject: "CN=b".into(),
            issuer: "CN=ca".into(),
            hosts: vec!["b".into()],
            begins,
            ends,
        }
    }

    #[test]
    fn the_table_of_lives_is_true() {
        let now = 1_000 * DAY;
        let short = |ends, left| Life::Short { ends, left };
        let long = |ends, left| Life::Long { ends, left };
        let (day, month) = (DAY.unsigned_abs(), 30 * DAY.unsigned_abs());
        let rows = [
            (now + 1, now + DAY, Life::Early { begins: now + 1 }),
            (now, now, Life::Over { ends: now }),
            (0, now - 1, Life::Over { ends: now - 1 }),
            (0, now + 1, short(now + 1, 1)),
            (0, now + DAY, short(now + DAY, day)),
            (0, now + 30 * DAY - 1, short(now + 30 * DAY - 1, month - 1)),
            (now, now + 30 * DAY, long(now + 30 * DAY, month)),
            (i64::MIN, i64::MAX, long(i64::MAX, (i64::MAX - now).unsigned_abs())),
        ];
        for (begins, ends, expected) in rows {
            assert_eq!(life(&holding(begins, ends), now), expected, "{begins} {ends}");
        }
    }

    #[test]
    fn a_life_is_told_as_a_date() {
        let now = 1_795_000_000;
        let told = |certificate: Certificate| life(&certificate, now).to_string();
        assert_eq!(told(holding(0, now + 3 * DAY)), "ends on 2026-11-21, in 3 days");
        assert_eq!(told(holding(0, now + 7_200)), "ends on 2026-11-18, in 2 h");
        assert_eq!(told(holding(0, now)), "ended on 2026-11-18");
        assert_eq!(told(holding(now + DAY, i64::MAX)), "begins on 2026-11-19");
    }
}
