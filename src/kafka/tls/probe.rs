//! One TLS handshake with a broker, to its end: errors of certificates are
//! collected and do not end it. Nothing else is sent.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use openssl::error::ErrorStack;
use openssl::ssl::{ErrorCode, HandshakeError, Ssl, SslContext, SslMethod, SslRef, SslVerifyMode};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::CertificateError;
use super::certificate::Certificate;
use super::stream::{Failure, NonBlocking, TlsStream, connect};
use crate::kafka::now;

/// The time for the handshake that explains an error of librdkafka's, which
/// has just connected to the same broker.
const EXPLAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Why the certificate of the broker at `host:port` cannot be verified; `None`
/// if that could not be found out in time.
///
/// No CA is configured here: a certificate that is neither expired nor for
/// another host is therefore reported as one of an unknown CA, which is what is
/// left when librdkafka refuses it.
pub(crate) async fn certificate_error(address: &str, verifies_host: bool) -> Option<CertificateError> {
    let until = now() + EXPLAIN_TIMEOUT;
    let (host, _) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let stream = connect(address, until).await.ok()?;
    let context = SslContext::builder(SslMethod::tls_client()).ok()?.build();
    let (handshake, _) = handshake(stream, host, verifies_host, &context, until).await;
    handshake.errors.into_iter().next()
}

/// The result of a handshake.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Handshake {
    /// The version of TLS; `None`: the handshake failed.
    pub(crate) version: Option<String>,
    /// The broker's certificate. It ends with the first of its chain.
    pub(crate) certificate: Option<Certificate>,
    /// In the order of precedence, each once.
    pub(crate) errors: Vec<CertificateError>,
    /// Why the handshake failed, or what was exchanged after it.
    pub(crate) failure: Option<Failure>,
}

/// One handshake, until `until`. The host name is sent to the server; with
/// `verifies_host` the certificate must be for it.
pub(crate) async fn handshake(
    stream: TcpStream,
    host: &str,
    verifies_host: bool,
    context: &SslContext,
    until: Instant,
) -> (Handshake, Option<TlsStream>) {
    let mut handshake = Handshake::default();
    let errors = Arc::<Mutex<Vec<CertificateError>>>::default();
    let ssl = match client(context, host, verifies_host, Arc::clone(&errors)) {
        Ok(ssl) => ssl,
        Err(error) => {
            handshake.failure = Some(Failure::Other(error.to_string()));
            return (handshake, None);
        }
    };
    let mut result = ssl.connect(NonBlocking(stream));
    while let Err(HandshakeError::WouldBlock(waiting)) = result {
        let interest = match waiting.error().code() {
            ErrorCode::WANT_WRITE => Interest::WRITABLE,
            _ => Interest::READABLE,
        };
        if !waiting.get_ref().ready(interest, until).await {
            handshake.certificate = peer(waiting.ssl());
            handshake.failure = Some(Failure::TimedOut);
            return (finish(handshake, &errors), None);
        }
        result = waiting.handshake();
    }
    let stream = match result {
        Ok(stream) => {
            handshake.version = Some(stream.ssl().version_str().to_owned());
            handshake.certificate = peer(stream.ssl());
            Some(stream)
        }
        Err(HandshakeError::Failure(failed) | HandshakeError::WouldBlock(failed)) => {
            handshake.certificate = peer(failed.ssl());
            handshake.failure = Some(Failure::from(failed.error()));
            None
        }
        Err(HandshakeError::SetupFailure(error)) => {
            handshake.failure = Some(Failure::Other(error.to_string()));
            None
        }
    };
    (finish(handshake, &errors), stream)
}

fn finish(mut handshake: Handshake, errors: &Mutex<Vec<CertificateError>>) -> Handshake {
    handshake.errors = std::mem::take(&mut *errors.lock().unwrap_or_else(PoisonError::into_inner));
    handshake.errors.sort();
    handshake.errors.dedup();
    handshake
}

fn client(
    context: &SslContext,
    host: &str,
    verifies_host: bool,
    errors: Arc<Mutex<Vec<CertificateError>>>,
) -> Result<Ssl, ErrorStack> {
    let mut ssl = Ssl::new(context)?;
    match host.parse::<IpAddr>() {
        Ok(address) if verifies_host => ssl.param_mut().set_ip(address)?,
        Ok(_) => {}
        Err(_) => {
            ssl.set_hostname(host)?;
            if verifies_host {
                ssl.param_mut().set_host(host)?;
            }
        }
    }
    ssl.set_verify_callback(SslVerifyMode::PEER, move |is_valid, chain| {
        if !is_valid {
            let error = CertificateError::of(chain);
            errors.lock().unwrap_or_else(PoisonError::into_inner).push(error);
        }
        true
    });
    Ok(ssl)
}

/// The server's certificate. It ends when the first certificate of its chain does.
fn peer(ssl: &SslRef) -> Option<Certificate> {
    let certificate = ssl.peer_certificate()?;
    let own = Certificate::of(&certificate);
    let chain = ssl.peer_cert_chain().into_iter().flatten();
    let ends = chain.map(|it| Certificate::of(it).ends).fold(own.ends, i64::min);
    Some(Certificate { ends, ..own })
}
