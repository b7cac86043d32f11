//! TLS connections to brokers beside librdkafka's: it reports that a certificate
//! cannot be verified, and not why.
//!
//! | file | |
//! |---|---|
//! | `certificate` | a certificate's names and validity, and why it cannot be verified |
//! | `context` | properties -> CAs, client certificate and key, as librdkafka reads them |
//! | `probe` | one handshake, to its end |
//! | `stream` | the connection of a probe, and how it fails |

#[cfg(feature = "broker-certificates")]
pub(crate) mod certificate;
#[cfg(feature = "cli")]
pub(crate) mod context;
#[cfg(feature = "broker-certificates")]
pub(crate) mod probe;
#[cfg(feature = "broker-certificates")]
pub(crate) mod stream;

/// Why a broker's certificate cannot be verified, in the order of precedence:
/// where it has expired or is for another host, its CA is not reported.
#[cfg_attr(
    not(feature = "broker-certificates"),
    expect(dead_code, reason = "certificates are read with OpenSSL")
)]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CertificateError {
    /// It, or one of its chain, has expired.
    Expired { subject: String, until: String },
    /// It, or one of its chain, is not valid yet.
    NotYetValid { subject: String, from: String },
    /// It is for other hosts: these names, or its subject if it has none.
    OtherHost { names: String },
    /// None of the client's CAs has signed it.
    UnknownAuthority { issuer: String },
    /// Anything else, in OpenSSL's words.
    Other { reason: String },
}
