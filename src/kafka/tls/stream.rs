//! A connection of a probe, with or without TLS, and how it fails.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Instant;

use openssl::error::ErrorStack;
use openssl::ssl::{self, ErrorCode};
use tokio::io::Interest;
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::time::timeout_at;

/// Connects until `until`.
pub(crate) async fn connect(address: impl ToSocketAddrs, until: Instant) -> io::Result<TcpStream> {
    let connected = timeout_at(until.into(), TcpStream::connect(address)).await;
    connected.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

/// How a handshake, or an exchange of bytes, failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the connection was closed")]
    Closed,
    #[error("no response in time")]
    TimedOut,
    #[error("the response is of another protocol")]
    OtherProtocol,
    /// By its number in RFC 8446, and OpenSSL's name for it.
    #[error("{name} (TLS alert {number})")]
    Alert { number: u8, name: String },
    /// OpenSSL's or the system's text.
    #[error("{0}")]
    Other(String),
}

/// A tokio stream for OpenSSL, which awaits nothing: it returns `WouldBlock`.
#[derive(Debug)]
pub(crate) struct NonBlocking(pub(crate) TcpStream);

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
pub(crate) type TlsStream = ssl::SslStream<NonBlocking>;

impl NonBlocking {
    /// Waits until the socket is ready; `false`: the time ended. An error of the
    /// socket is returned when it is used.
    pub(super) async fn ready(&self, interest: Interest, until: Instant) -> bool {
        timeout_at(until.into(), self.0.ready(interest)).await.is_ok()
    }
}

/// A connection that bytes are exchanged on.
#[cfg(feature = "cli")]
pub(crate) trait Connection: Read + Write {
    fn socket(&self) -> &NonBlocking;
}

#[cfg(feature = "cli")]
impl Connection for NonBlocking {
    fn socket(&self) -> &NonBlocking {
        self
    }
}

#[cfg(feature = "cli")]
impl Connection for TlsStream {
    fn socket(&self) -> &NonBlocking {
        self.get_ref()
    }
}

/// Sends `request` and reads the first `N` bytes of the response, until `until`.
#[cfg(feature = "cli")]
pub(crate) async fn exchange<const N: usize>(
    connection: &mut impl Connection,
    request: &[u8],
    until: Instant,
) -> Result<[u8; N], Failure> {
    let mut response = [0; N];
    let (mut sent, mut received) = (0, 0);
    let mut write_failure = None;
    while received < N {
        let is_sent = sent == request.len() || write_failure.is_some();
        let (result, interest) = if is_sent {
            (connection.read(&mut response[received..]), Interest::READABLE)
        } else {
            (connection.write(&request[sent..]), Interest::WRITABLE)
        };
        match result {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !connection.socket().ready(interest, until).await {
                    return Err(Failure::TimedOut);
                }
            }
            // A server that refuses the client certificate sends an alert before
            // it closes: it is read even if the request cannot be written.
            Err(error) if !is_sent => write_failure = Some(Failure::from(&error)),
            Ok(0) => return Err(write_failure.unwrap_or(Failure::Closed)),
            Ok(count) if is_sent => received += count,
            Ok(count) => sent += count,
            Err(error) => {
                let failure = Failure::from(&error);
                return Err(write_failure.filter(|_| failure == Failure::Closed).unwrap_or(failure));
            }
        }
    }
    Ok(response)
}

impl From<&io::Error> for Failure {
    fn from(error: &io::Error) -> Self {
        if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<ssl::Error>()) {
            return Self::from(error);
        }
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

impl From<&ssl::Error> for Failure {
    fn from(error: &ssl::Error) -> Self {
        match error.code() {
            ErrorCode::ZERO_RETURN => Self::Closed,
            _ => match (error.io_error(), error.ssl_error()) {
                (Some(error), _) => Self::from(error),
                (None, Some(stack)) => Self::from(stack),
                (None, None) => Self::Closed,
            },
        }
    }
}

impl From<&ErrorStack> for Failure {
    /// By OpenSSL's reason codes: that of an alert is 1000 and its number.
    fn from(stack: &ErrorStack) -> Self {
        /// The server has closed the connection.
        const UNEXPECTED_EOF: i32 = 294;
        /// Wrong version number, HTTP, or a length that no record of TLS has.
        const NOT_TLS: [i32; 5] = [267, 155, 156, 198, 116];
        for error in stack.errors() {
            match error.reason_code() {
                UNEXPECTED_EOF => return Self::Closed,
                reason if NOT_TLS.contains(&reason) => return Self::OtherProtocol,
                reason @ 1000..=1255 => {
                    let name = error.reason().unwrap_or("alert").to_owned();
                    return u8::try_from(reason - 1000)
                        .map_or(Self::OtherProtocol, |number| Self::Alert { number, name });
                }
                _ => {}
            }
        }
        let reasons = stack.errors().iter().filter_map(openssl::error::Error::reason);
        Self::Other(reasons.collect::<Vec<_>>().join(": "))
    }
}
