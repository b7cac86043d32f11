//! A certificate's names and validity, and why it cannot be verified.

use std::net::IpAddr;

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::x509::{GeneralNameRef, X509NameEntryRef, X509NameRef, X509Ref, X509StoreContextRef};

use super::CertificateError;

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// A certificate's names are arbitrary text: at most this much of each is shown.
const MAX_NAME_CHARS: usize = 200;

/// Of a certificate for many hosts the first ones are named.
const MAX_HOSTS: usize = 5;

/// The names of a certificate and its validity, in seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    /// The subject alternative names: DNS names and addresses.
    pub(crate) hosts: Vec<String>,
    pub(crate) begins: i64,
    pub(crate) ends: i64,
}

impl Certificate {
    pub(crate) fn of(certificate: &X509Ref) -> Self {
        let host = |name: &GeneralNameRef| {
            let dns = name.dnsname().map(str::to_owned);
            dns.or_else(|| name.ipaddress().and_then(ip))
        };
        let hosts = certificate.subject_alt_names();
        Self {
            subject: name(certificate.subject_name()),
            issuer: name(certificate.issuer_name()),
            hosts: hosts
                .iter()
                .flatten()
                .filter_map(host)
                .map(|host| printable(&host))
                .collect(),
            begins: unix_seconds(certificate.not_before()).unwrap_or(i64::MIN),
            ends: unix_seconds(certificate.not_after()).unwrap_or(i64::MAX),
        }
    }

    fn for_hosts(&self) -> String {
        if self.hosts.is_empty() {
            self.subject.clone()
        } else {
            self.hosts[..self.hosts.len().min(MAX_HOSTS)].join(", ")
        }
    }
}

impl CertificateError {
    /// Why OpenSSL refuses a certificate of the chain; by the numbers of its
    /// `X509_V_ERR_*`.
    pub(super) fn of(chain: &X509StoreContextRef) -> Self {
        let result = chain.error();
        let certificate = chain.current_cert().map(Certificate::of);
        match (result.as_raw(), certificate) {
            (9, Some(certificate)) => Self::NotYetValid {
                from: date(certificate.begins),
                subject: certificate.subject,
            },
            (10, Some(certificate)) => Self::Expired {
                until: date(certificate.ends),
                subject: certificate.subject,
            },
            // Its name, or its address.
            (62 | 64, Some(certificate)) => Self::OtherHost {
                names: certificate.for_hosts(),
            },
            // No issuer; self-signed; a signature that is not the CA's.
            (2 | 7 | 18..=21 | 27, Some(certificate)) => Self::UnknownAuthority {
                issuer: certificate.issuer,
            },
            (_, certificate) => Self::Other {
                reason: format!(
                    "{} ({})",
                    result.error_string(),
                    certificate.map_or(String::new(), |it| it.subject)
                ),
            },
        }
    }
}

fn ip(bytes: &[u8]) -> Option<String> {
    let address = match *bytes {
        [a, b, c, d] => IpAddr::from([a, b, c, d]),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    Some(address.to_string())
}

/// A name as OpenSSL's tools print it: `CN=Test Authority, O=..`.
fn name(name: &X509NameRef) -> String {
    let part = |entry: &X509NameEntryRef| {
        let kind = entry.object().nid().short_name().ok()?;
        Some(format!("{kind}={}", entry.data().to_string().ok()?))
    };
    let parts: Vec<String> = name.entries().filter_map(part).collect();
    if parts.is_empty() {
        "no name".to_owned()
    } else {
        printable(&parts.join(", "))
    }
}

/// On one line.
fn printable(text: &str) -> String {
    text.escape_debug().take(MAX_NAME_CHARS).collect()
}

fn unix_seconds(time: &Asn1TimeRef) -> Option<i64> {
    let since = Asn1Time::from_unix(0).ok()?.diff(time).ok()?;
    Some(i64::from(since.days) * DAY_SECONDS + i64::from(since.secs))
}

/// `on 2026-11-18`, in UTC.
pub(crate) fn date(unix_seconds: i64) -> String {
    let at = jiff::Timestamp::from_second(unix_seconds);
    at.map_or("at no time".to_owned(), |at| format!("on {}", at.strftime("%F")))
}
