//! What a certificate says, and how long it holds.

use std::fmt;

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::x509::{X509NameRef, X509Ref};

use crate::source::kafka::certificate;

const DAY: i64 = 24 * 60 * 60;

/// Below this a certificate that nobody renews becomes an outage soon.
const SHORT_DAYS: i64 = 30;

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
    Early { begins: i64 },
    Over { ends: i64 },
    Short { ends: i64, days: i64 },
    Long { ends: i64, days: i64 },
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
        let (ends, days) = (self.ends, self.ends.saturating_sub(now).div_euclid(DAY));
        match days {
            _ if self.begins > now => Life::Early { begins: self.begins },
            _ if ends <= now => Life::Over { ends },
            ..SHORT_DAYS => Life::Short { ends, days },
            _ => Life::Long { ends, days },
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
            Self::Early { begins } => write!(f, "later, and begins {}", on(begins)),
            Self::Over { ends } => write!(f, "already {}", on(ends)),
            Self::Short { ends, days } | Self::Long { ends, days } => write!(f, "{}, in {days} days", on(ends)),
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

    pub(in crate::cli::doctor::tls) fn holding(begins: i64, ends: i64) -> Certificate {
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
        let rows = [
            (now + 1, now + DAY, Life::Early { begins: now + 1 }),
            (now, now, Life::Over { ends: now }),
            (0, now - 1, Life::Over { ends: now - 1 }),
            (0, now + 1, Life::Short { ends: now + 1, days: 0 }),
            (
                0,
                now + 30 * DAY - 1,
                Life::Short {
                    ends: now + 30 * DAY - 1,
                    days: 29,
                },
            ),
            (
                now,
                now + 30 * DAY,
                Life::Long {
                    ends: now + 30 * DAY,
                    days: 30,
                },
            ),
            (
                i64::MIN,
                i64::MAX,
                Life::Long {
                    ends: i64::MAX,
                    days: (i64::MAX - now) / DAY,
                },
            ),
        ];
        for (begins, ends, expected) in rows {
            assert_eq!(holding(begins, ends).life(now), expected, "{begins} {ends}");
        }
    }

    #[test]
    fn a_life_is_told_as_a_date() {
        let now = 1_795_000_000;
        assert_eq!(
            holding(0, now + 3 * DAY).life(now).to_string(),
            "on 2026-11-21, in 3 days"
        );
        assert_eq!(holding(0, now).life(now).to_string(), "already on 2026-11-18");
    }
}
