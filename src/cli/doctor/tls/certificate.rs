//! The client's own certificate, and how long certificates are valid.

use std::time::Duration;

use crate::cli::doctor::check::Check;
use crate::cli::output;
use crate::error::ErrorType::{AuthenticationFailed, InvalidConfiguration};
use crate::kafka::errors::Explanation;
use crate::kafka::errors::create::key_mismatch;
use crate::kafka::tls::certificate::{Certificate, date};
use crate::kafka::tls::context::ClientCertificate;

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// With less time left a certificate that is not renewed soon becomes an outage.
const SOON_SECONDS: u64 = 30 * DAY_SECONDS.unsigned_abs();

/// The validity of a certificate at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validity {
    NotYetValid,
    Expired,
    /// In less than 30 days.
    ExpiresSoon,
    Valid,
}

/// The validity at `now_s`, in seconds since the epoch, and its date as text.
pub(super) fn validity(certificate: &Certificate, now_s: i64) -> (Validity, String) {
    let end = date(certificate.ends);
    let left = u64::try_from(certificate.ends.saturating_sub(now_s)).unwrap_or(0);
    let ends = || format!("ends {end}, in {}", output::coarse(Duration::from_secs(left)));
    match left {
        _ if certificate.begins > now_s => (Validity::NotYetValid, format!("begins {}", date(certificate.begins))),
        0 => (Validity::Expired, format!("ended {end}")),
        1..SOON_SECONDS => (Validity::ExpiresSoon, ends()),
        _ => (Validity::Valid, ends()),
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

/// The check of the client's own certificate.
///
/// | | |
/// |---|---|
/// | it cannot be read, or the key is another's | `InvalidConfiguration` |
/// | it has expired, or is not valid yet | `AuthenticationFailed`, as from a broker |
/// | it expires in less than 30 days | warning |
/// | else | ok |
pub(super) fn check(own: &Result<ClientCertificate, Explanation>, now_s: i64) -> Check {
    let name = "client_certificate";
    let own = match own {
        Ok(own) => own,
        Err(explanation) => return Check::explained(name, InvalidConfiguration, explanation.clone()),
    };
    let certificate = own.certificate();
    let check = match validity(&certificate, now_s) {
        _ if !own.has_its_key() => Check::explained(name, InvalidConfiguration, key_mismatch()),
        (Validity::NotYetValid | Validity::Expired, dated) => Check::failed(
            name,
            AuthenticationFailed,
            format!("the client certificate {dated}"),
            "Renew it, and check this machine's clock",
        ),
        (Validity::ExpiresSoon, dated) => Check::warning(name, format!("it {dated}"), "Renew it in time"),
        (Validity::Valid, dated) => Check::ok(name, format!("it {dated}, and its key belongs to it")),
    };
    check.with(names(&certificate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid(begins: i64, ends: i64) -> Certificate {
        Certificate {
            subject: "CN=b".into(),
            issuer: "CN=ca".into(),
            hosts: vec!["b".into()],
            begins,
            ends,
        }
    }

    #[test]
    fn each_validity_has_the_status_of_the_table_and_is_shown_as_a_date() {
        use Validity::{Expired, ExpiresSoon, NotYetValid, Valid};
        let (now, day) = (1_795_000_000, DAY_SECONDS);
        let rows = [
            (now + 1, now + day, NotYetValid, "begins on 2026-11-18"),
            (now + day, i64::MAX, NotYetValid, "begins on 2026-11-19"),
            (now, now, Expired, "ended on 2026-11-18"),
            (0, now - 1, Expired, "ended on 2026-11-18"),
            (0, now + 1, ExpiresSoon, "ends on 2026-11-18, in 1 s"),
            (0, now + 7_200, ExpiresSoon, "ends on 2026-11-18, in 2 h"),
            (0, now + 3 * day, ExpiresSoon, "ends on 2026-11-21, in 3 days"),
            (0, now + 30 * day - 1, ExpiresSoon, "ends on 2026-12-18, in 30 days"),
            (now, now + 30 * day, Valid, "ends on 2026-12-18, in 30 days"),
        ];
        for (begins, ends, expected, dated) in rows {
            let found = validity(&valid(begins, ends), now);
            assert_eq!(found, (expected, dated.to_owned()), "{begins} {ends}");
        }
        assert_eq!(validity(&valid(i64::MIN, i64::MAX), now).0, Valid);
    }
}
