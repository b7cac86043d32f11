//! What a certificate says, and how long it holds.

use std::fmt;
use std::time::Duration;

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::x509::{X509NameRef, X509Ref};

use crate::cli::output;
use crate::source::kafka::certificate;

const DAY: i64 = 24 * 60 * 60;

/// Below this a certificate that nobody renews becomes an outage soon.
const SHORT: u64 = 30 * DAY.unsigned_abs();

/// Of a name that somebody else chose, so much is shown.
const SHOWN_CHARS: usize = 200;

/// The names of a certificate and when it holds, in seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) subject: String,
    pub(super) issuer: String,
    /// The hosts that it is for.
    pub(super) hosts: Vec<String>,
    pub(super) begins: i64,
    /// When it ends, or one of those that vouch for it.
    pub(super) ends: i64,
}

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

impl Certificate {
    pub(super) fn of(certificate: &X509Ref) -> Self {
        Self {
            subject: name(certificate.subject_name()),
            issuer: name(certificate.issuer_name()),
            hosts: certificate::hosts(certificate).iter().map(|host| shown(host)).collect(),
            begins: unix(certificate.not_before()).unwrap_or(i64::MIN),
            ends: unix(certificate.not_after()).unwrap_or(i64::MAX),
        }
    }

    pub(super) fn life(&self, now: i64) -> Life {
        let ends = self.ends;
        let left = u64::try_from(ends.saturating_sub(now)).unwrap_or(0);
        match left {
            _ if self.begins > now => Life::Early { begins: self.begins },
            0 => Life::Over { ends },
            1..SHORT => Life::Short { ends, left },
            _ => Life::Long { ends, left },
        }
    }

    /// What it says of itself, a line each.
    pub(super) fn words(&self) -> Vec<String> {
        let mut words = vec![format!("subject {}, issuer {}", self.subject, self.issuer)];
        if !self.hosts.is_empty() {
            words.push(format!("for {}", self.hosts.join(", ")));
        }
        words
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |unix| {
            let at = jiff::Timestamp::from_second(unix);
            at.map_or("at no time".into(), |at| format!("on {}", at.strftime("%F")))
        };
        match *self {
            Self::Early { begins } => write!(f, "begins {}", on(begins)),
            Self::Over { ends } => write!(f, "ended {}", on(ends)),
            Self::Short { ends, left } | Self::Long { ends, left } => {
                write!(f, "ends {}, in {}", on(ends), output::coarse(Duration::from_secs(left)))
            }
        }
    }
}

/// A name that somebody else chose, as one line.
pub(super) fn name(name: &X509NameRef) -> String {
    match certificate::name(name) {
        text if text.is_empty() => "nobody".into(),
        text => shown(&text),
    }
}

fn shown(text: &str) -> String {
    text.escape_debug().take(SHOWN_CHARS).collect()
}

fn unix(time: &Asn1TimeRef) -> Option<i64> {
    let since = Asn1Time::from_unix(0).ok()?.diff(time).ok()?;
    Some(i64::from(since.days) * DAY + i64::from(since.secs))
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
            assert_eq!(holding(begins, ends).life(now), expected, "{begins} {ends}");
        }
    }

    #[test]
    fn a_life_is_told_as_a_date() {
        let now = 1_795_000_000;
        let told = |certificate: Certificate| certificate.life(now).to_string();
        assert_eq!(told(holding(0, now + 3 * DAY)), "ends on 2026-11-21, in 3 days");
        assert_eq!(told(holding(0, now + 7_200)), "ends on 2026-11-18, in 2 h");
        assert_eq!(told(holding(0, now)), "ended on 2026-11-18");
        assert_eq!(told(holding(now + DAY, i64::MAX)), "begins on 2026-11-19");
    }
}
