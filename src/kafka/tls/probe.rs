//! One TLS handshake with a broker, to its end: errors of certificates are
//! collected and do not end it. Nothing else is sent.

use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use openssl::error::ErrorStack;
use openssl::ssl::{self, ErrorCode, HandshakeError, Ssl, SslContext, SslMethod, SslRef, SslStream, SslVerifyMode};
use tokio::net::TcpStream;
use tokio::time::timeout_at;

use super::CertificateError;
use super::certificate::Certificate;
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
    let stream = timeout_at(until.into(), TcpStream::connect(address)).await.ok()?.ok()?;
    let context = SslContext::builder(SslMethod::tls_client()).ok()?.build();
    let (handshake, _) = handshake(stream, host, verifies_host, &context, until).await;
    handshake.errors.into_iter().next()
}

/// How a handshake went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Handshake {
    /// The version of TLS; `None`: there is no TLS connection.
    pub(crate) version: Option<String>,
    /// The broker's certificate. It ends with the first of its chain.
    pub(crate) certificate: Option<Certificate>,
    /// In the order of precedence, each once.
    pub(crate) errors: Vec<CertificateError>,
    /// Why it failed, if it did.
    pub(crate) failure: Option<Failure>,
}

/// How an exchange of bytes failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server closed the connection.
    Closed,
    /// Nothing arrived in time.
    TimedOut,
    /// Bytes arrived that are not of the protocol.
    OtherProtocol,
    /// A TLS alert, by its number in RFC 8446.
    Alert(u8),
    /// Anything else, in OpenSSL's or the system's words.
    Other(String),
}

/// A tokio stream for OpenSSL, which awaits nothing: it returns `WouldBlock`.
#[derive(Debug)]
pub(crate) struct NonBlocking(TcpStream);

impl Read for NonBlocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for NonBlocking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A TLS connection of a probe.
pub(crate) type TlsStream = SslStream<NonBlocking>;

/// Shakes hands until `until`. The server gets the host's name; with
/// `verifies_host` the certificate must be for it.
pub(crate) async fn handshake(
    stream: TcpStream,
    host: &str,
    verifies_host: bool,
    context: &SslContext,
    until: Instant,
) -> (Handshake, Option<TlsStream>) {
    let mut handshake = Handshake {
        version: None,
        certificate: None,
        errors: vec![],
        failure: None,
    };
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
        if !ready(waiting.get_ref(), waiting.error().code(), until).await {
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
            handshake.failure = Some(Failure::of(failed.error()));
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

/// Waits until OpenSSL can go on; `false`: the time ended.
async fn ready(stream: &NonBlocking, code: ErrorCode, until: Instant) -> bool {
    let ready = async {
        if code == ErrorCode::WANT_WRITE {
            stream.0.writable().await
        } else {
            stream.0.readable().await
        }
    };
    // An error of the stream comes again when it is used.
    timeout_at(until.into(), ready).await.is_ok()
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

impl Failure {
    fn of(error: &ssl::Error) -> Self {
        match error.code() {
            ErrorCode::ZERO_RETURN => Self::Closed,
            _ => match (error.io_error(), error.ssl_error()) {
                (Some(error), _) => Self::from(error),
                (None, Some(stack)) => Self::of_stack(stack),
                (None, None) => Self::Closed,
            },
        }
    }

    /// By OpenSSL's reason codes: that of an alert is 1000 and its number.
    fn of_stack(stack: &ErrorStack) -> Self {
        /// The server has closed the connection.
        const UNEXPECTED_EOF: i32 = 294;
        /// Wrong version number, HTTP, or a length that no record of TLS has.
        const NOT_TLS: [i32; 5] = [267, 155, 156, 198, 116];
        for error in stack.errors() {
            match error.reason_code() {
                UNEXPECTED_EOF => return Self::Closed,
                reason if NOT_TLS.contains(&reason) => return Self::OtherProtocol,
                reason @ 1000..=1255 => return u8::try_from(reason - 1000).map_or(Self::OtherProtocol, Self::Alert),
                _ => {}
            }
        }
        let reasons = stack.errors().iter().filter_map(openssl::error::Error::reason);
        Self::Other(reasons.collect::<Vec<_>>().join(": "))
    }
}

impl From<&io::Error> for Failure {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::TimedOut,
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Other(error.to_string()),
        }
    }
}
