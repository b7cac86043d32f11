//! The conversation with a port. It asks what every Kafka answers before
//! anybody logs in, and changes nothing.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use openssl::ssl::{self, ErrorCode, HandshakeError, Ssl, SslContext, SslRef, SslVerifyMode};
use openssl::x509::X509VerifyResult;

use super::certificate::Certificate;
use crate::cli::doctor::now;

/// `ApiVersions`, version 0, without a client's name: length, kind, version,
/// the number that the answer bears too, name.
const QUESTION: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, b'd', b'o', b'c', b't', 0xff, 0xff];

/// What came back to the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Kafka,
    Closed,
    Silent,
    /// Bytes that are no answer of Kafka's.
    Other,
}

/// How a conversation over TLS ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// With Kafka's answer.
    Kafka,
    Closed,
    Silent,
    /// With bytes that are no answer of Kafka's, or no TLS.
    Strange,
    /// With an alert of TLS, by its number.
    Alert(u8),
    Other(String),
}

/// What is wrong with the certificate that a broker shows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Problem {
    /// Of whom.
    Expired(String),
    NotYetValid(String),
    OtherHost,
    Authority,
    Other(String),
}

/// How TLS went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Handshake {
    /// The version; `None`: it did not come to that.
    pub(super) protocol: Option<String>,
    /// What the broker shows. Its end is that of the chain.
    pub(super) certificate: Option<Certificate>,
    /// In the order in which they matter, none twice.
    pub(super) problems: Vec<Problem>,
    pub(super) end: End,
}

/// Asks without TLS.
pub(super) fn clear(address: SocketAddr, until: Instant) -> Said {
    let asked = connect(address, until).and_then(|mut stream| {
        stream.write_all(&QUESTION)?;
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).map(|()| is_answer(answer))
    });
    match asked {
        Ok(true) => Said::Kafka,
        Ok(false) => Said::Other,
        Err(error) if is_timeout(&error) => Said::Silent,
        Err(_) => Said::Closed,
    }
}

/// Asks over TLS. The host is told to the server; the certificate must be for
/// `name`, if there is one.
pub(super) fn tls(
    address: SocketAddr,
    host: &str,
    name: Option<&str>,
    context: &SslContext,
    until: Instant,
) -> Handshake {
    let mut handshake = Handshake {
        protocol: None,
        certificate: None,
        problems: vec![],
        end: End::Closed,
    };
    let stream = match connect(address, until) {
        Ok(stream) => stream,
        Err(error) => {
            handshake.end = end_of_io(&error);
            return handshake;
        }
    };
    let problems = Arc::<Mutex<Vec<Problem>>>::default();
    let ssl = match prepare(context, host, name, Arc::clone(&problems)) {
        Ok(ssl) => ssl,
        Err(error) => {
            handshake.end = End::Other(error.to_string());
            return handshake;
        }
    };
    match ssl.connect(stream) {
        Ok(mut stream) => {
            handshake.protocol = Some(stream.ssl().version_str().to_owned());
            handshake.certificate = shown(stream.ssl());
            handshake.end = ask(&mut stream);
        }
        Err(HandshakeError::Failure(failed)) => {
            handshake.certificate = shown(failed.ssl());
            handshake.end = end(failed.error());
        }
        Err(HandshakeError::WouldBlock(waiting)) => {
            handshake.certificate = shown(waiting.ssl());
            handshake.end = End::Silent;
        }
        Err(HandshakeError::SetupFailure(error)) => handshake.end = End::Other(error.to_string()),
    }
    let mut found = std::mem::take(&mut *problems.lock().unwrap_or_else(PoisonError::into_inner));
    found.sort();
    found.dedup();
    handshake.problems = found;
    handshake
}

fn prepare(
    context: &SslContext,
    host: &str,
    name: Option<&str>,
    problems: Arc<Mutex<Vec<Problem>>>,
) -> Result<Ssl, openssl::error::ErrorStack> {
    let mut ssl = Ssl::new(context)?;
    if host.parse::<IpAddr>().is_err() {
        ssl.set_hostname(host)?;
    }
    if let Some(name) = name {
        match name.parse::<IpAddr>() {
            Ok(address) => ssl.param_mut().set_ip(address)?,
            Err(_) => ssl.param_mut().set_host(name)?,
        }
    }
    ssl.set_verify_callback(SslVerifyMode::PEER, move |fine, chain| {
        if !fine {
            let subject = chain.current_cert().map(|it| Certificate::of(it).subject);
            let problem = Problem::of(chain.error(), subject.unwrap_or_default());
            problems.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
        }
        true
    });
    Ok(ssl)
}

impl Problem {
    /// By the numbers of OpenSSL's `X509_V_ERR_*`.
    fn of(result: X509VerifyResult, subject: String) -> Self {
        match result.as_raw() {
            9 => Self::NotYetValid(subject),
            10 => Self::Expired(subject),
            // No issuer; signed by itself; a signature that is not the authority's.
            2 | 7 | 18..=21 | 27 => Self::Authority,
            // The name, or the address.
            62 | 64 => Self::OtherHost,
            _ => Self::Other(format!("{} ({subject})", result.error_string())),
        }
    }
}

/// The certificate that was shown. It holds no longer than those that vouch for it.
fn shown(ssl: &SslRef) -> Option<Certificate> {
    let leaf = ssl.peer_certificate()?;
    let leaf = Certificate::of(&leaf);
    let chain = ssl.peer_cert_chain();
    let ends = chain.into_iter().flatten().map(|it| Certificate::of(it).ends);
    let ends = ends.fold(leaf.ends, i64::min);
    Some(Certificate { ends, ..leaf })
}

fn ask(stream: &mut ssl::SslStream<TcpStream>) -> End {
    // An alert explains a write that fails; it is read after it.
    let written = stream.ssl_write(&QUESTION);
    let mut answer = [0; 8];
    let mut length = 0;
    while length < answer.len() {
        match stream.ssl_read(&mut answer[length..]) {
            Ok(0) => return End::Closed,
            Ok(more) => length += more,
            Err(error) => {
                let read = end(&error);
                return match written {
                    Err(error) if read == End::Closed => end(&error),
                    _ => read,
                };
            }
        }
    }
    if is_answer(answer) { End::Kafka } else { End::Strange }
}

fn is_answer(answer: [u8; 8]) -> bool {
    answer[4..] == QUESTION[8..12]
}

fn connect(address: SocketAddr, until: Instant) -> io::Result<TcpStream> {
    let left = until.saturating_duration_since(now()).max(Duration::from_millis(1));
    let stream = TcpStream::connect_timeout(&address, left)?;
    stream.set_read_timeout(Some(left))?;
    stream.set_write_timeout(Some(left))?;
    Ok(stream)
}

fn end(error: &ssl::Error) -> End {
    match error.code() {
        ErrorCode::ZERO_RETURN => End::Closed,
        ErrorCode::WANT_READ | ErrorCode::WANT_WRITE => End::Silent,
        _ => match (error.io_error(), error.ssl_error()) {
            (Some(error), _) => end_of_io(error),
            (None, Some(stack)) => end_of_stack(stack),
            (None, None) => End::Closed,
        },
    }
}

fn end_of_io(error: &io::Error) -> End {
    match error.kind() {
        _ if is_timeout(error) => End::Silent,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => End::Closed,
        _ => End::Other(error.to_string()),
    }
}

/// OpenSSL's reasons: an alert is 1000 and its number.
fn end_of_stack(stack: &openssl::error::ErrorStack) -> End {
    /// The other side has closed.
    const UNEXPECTED_EOF: i32 = 294;
    /// What came is no TLS: wrong version number, HTTP, a length that cannot be.
    const NO_TLS: [i32; 5] = [267, 155, 156, 198, 116];
    for error in stack.errors() {
        match error.reason_code() {
            UNEXPECTED_EOF => return End::Closed,
            reason if NO_TLS.contains(&reason) => return End::Strange,
            reason @ 1000..=1255 => return u8::try_from(reason - 1000).map_or(End::Strange, End::Alert),
            _ => {}
        }
    }
    let reasons = stack.errors().iter().filter_map(openssl::error::Error::reason);
    End::Other(reasons.collect::<Vec<_>>().join(": "))
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kafka => "responds as Kafka does",
            Self::Closed => "closes the connection without a response",
            Self::Silent => "accepts the connection and does not respond",
            Self::Other => "responds, but not as Kafka does",
        })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kafka => Said::Kafka.fmt(f),
            Self::Closed => Said::Closed.fmt(f),
            Self::Silent => Said::Silent.fmt(f),
            Self::Strange => Said::Other.fmt(f),
            Self::Alert(alert) => write!(f, "sends the TLS alert {alert}{}", alert_words(*alert)),
            Self::Other(said) => f.write_str(said),
        }
    }
}

/// The names of RFC 8446 for those that are met.
fn alert_words(alert: u8) -> &'static str {
    match alert {
        40 => " (handshake failure)",
        42 => " (bad certificate)",
        43 => " (unsupported certificate)",
        44 => " (certificate revoked)",
        45 => " (certificate expired)",
        46 => " (certificate unknown)",
        48 => " (unknown CA)",
        49 => " (access denied)",
        70 => " (protocol version)",
        71 => " (insufficient security)",
        80 => " (internal error)",
        112 => " (unrecognized name)",
        116 => " (certificate required)",
        _ => "",
    }
}
