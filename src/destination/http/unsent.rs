//! Why a request has no response, and what to do next.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, Error as TlsError};

use crate::aws::call::chain;
use crate::destination::batched::CallFailure;

/// The next step where a server is not reached.
const CHECK_NETWORK: &str = "Check the URL of DESTINATION and the network: a function in a VPC needs a NAT gateway, or an \
                             endpoint of the VPC for an address in AWS";

/// The meaning of a request that has no response.
///
/// | | |
/// |---|---|
/// | the certificate cannot be verified; the server refuses TLS, or the client | [`Fatal`](CallFailure::Fatal): it does not pass by itself |
/// | no address, no connection, no response | [`Throttled`](CallFailure::Throttled): sent again |
pub(super) fn failure(error: reqwest::Error, address: &str, connect_timeout: Duration) -> CallFailure {
    // The URL has the query.
    let error = error.without_url();
    if let Some(text) = tls_error(&error).and_then(|tls| of_tls(tls, address)) {
        return CallFailure::Fatal(text);
    }
    let reason = error.source().map_or_else(|| error.to_string(), chain);
    CallFailure::Throttled(if error.is_dns() {
        format!("the host name of {address} does not resolve: {reason}. {CHECK_NETWORK}")
    } else if error.is_connect() && error.is_timeout() {
        format!("no connection to {address} within {connect_timeout:?}. {CHECK_NETWORK}")
    } else if error.is_connect() {
        format!("no connection to {address}: {reason}. {CHECK_NETWORK}")
    } else {
        format!("no response from {address}: {reason}. The endpoint may have handled the request, and it is sent again")
    })
}

/// No response within `limit`.
pub(super) fn no_response(address: &str, limit: Duration) -> CallFailure {
    CallFailure::Throttled(format!(
        "no response from {address} within {limit:?}. The endpoint may have handled the request, and it is sent again; \
         reduce BATCH_SIZE, or the time that the endpoint takes"
    ))
}

/// No client can be made.
pub(super) fn no_client(error: &reqwest::Error) -> CallFailure {
    CallFailure::Fatal(format!(
        "no HTTP client can be made: {}. Check the CA certificates of the system, or SSL_CERT_FILE if it is set",
        chain(error)
    ))
}

/// The error of TLS that caused `error`.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a TlsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<TlsError>() {
            return Some(tls);
        }
        // An error of the standard library hides the one in it from the chain.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(inner) = inner {
            let inner: &(dyn StdError + 'static) = inner;
            return tls_error(inner);
        }
        next = error.source();
    }
    None
}

/// The text of an error that does not pass by itself.
fn of_tls(error: &TlsError, address: &str) -> Option<String> {
    Some(match error {
        TlsError::InvalidCertificate(error) => of_certificate(error, address),
        TlsError::AlertReceived(alert) => match alert {
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity
            | AlertDescription::UnrecognisedName => format!(
                "{address} refuses the TLS handshake ({alert:?}). It must take TLS 1.2 or 1.3 for this host name"
            ),
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::AccessDenied => {
                format!("{address} demands a client certificate ({alert:?}), which HTTP destinations do not support")
            }
            _ => return None,
        },
        TlsError::InvalidMessage(_) | TlsError::PeerIncompatible(_) => {
            format!(
                "{address} does not use TLS, or no version of it that is allowed: {error}. Correct the URL of DESTINATION"
            )
        }
        _ => return None,
    })
}

fn of_certificate(error: &CertificateError, address: &str) -> String {
    let (what, next) = match error {
        CertificateError::UnknownIssuer => (
            "is of a CA that is not trusted here".to_owned(),
            "For a private CA, set SSL_CERT_FILE to a PEM file with its certificate and with those of the public CAs, which \
             the AWS services need",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ("has expired".to_owned(), "Renew it at the endpoint")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            "is not valid yet".to_owned(),
            "Check the clock of this machine, and the certificate",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            "is for another host name".to_owned(),
            "Correct the URL of DESTINATION, or the certificate of the endpoint",
        ),
        other => (
            format!("cannot be verified: {other}"),
            "Correct the certificate of the endpoint",
        ),
    };
    format!("the certificate of {address} {what}. {next}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_cannot_be_verified_names_the_reason_and_the_next_step() {
        let rows = [
            (
                CertificateError::UnknownIssuer,
                "is of a CA that is not trusted here. For a private CA, set SSL_CERT_FILE",
            ),
            (CertificateError::Expired, "has expired. Renew it"),
            (CertificateError::NotValidYet, "is not valid yet. Check the clock"),
            (
                CertificateError::NotValidForName,
                "is for another host name. Correct the URL",
            ),
            (CertificateError::BadEncoding, "cannot be verified: "),
        ];
        for (error, expected) in rows {
            let text = of_tls(&TlsError::InvalidCertificate(error), "h:443").expect("it does not pass");
            let expected = format!("the certificate of h:443 {expected}");
            assert!(text.starts_with(&expected), "{text}");
        }
    }

    #[test]
    fn alerts_about_the_client_do_not_pass_and_others_do() {
        let alert = |alert| of_tls(&TlsError::AlertReceived(alert), "h:443");
        assert!(alert(AlertDescription::CertificateRequired).is_some());
        assert!(alert(AlertDescription::HandshakeFailure).is_some());
        assert_eq!(alert(AlertDescription::InternalError), None);
    }

    #[test]
    fn an_error_of_tls_is_found_inside_errors_of_the_standard_library() {
        let inner = io::Error::other(TlsError::InvalidCertificate(CertificateError::Expired));
        let outer = io::Error::other(inner);
        assert!(matches!(tls_error(&outer), Some(TlsError::InvalidCertificate(_))));
        assert_eq!(tls_error(&io::Error::other("x")), None);
    }
}
