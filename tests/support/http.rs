//! HTTP/1.1 as the local servers of these tests need it, on blocking sockets: they serve also where a test blocks its
//! runtime.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use openssl::ssl::SslAcceptor;

/// A request with its whole body.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// With the query, as it was sent.
    pub(super) path: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// The next request of a connection; `None` if the client has closed it.
    pub(super) fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut request = Self {
            method,
            path,
            headers: vec![],
            body: vec![],
        };
        let mut header = String::new();
        while reader.read_line(&mut header)? > 2 {
            let (name, value) = header.trim().split_once(':').unwrap_or_default();
            request
                .headers
                .push((name.to_ascii_lowercase(), value.trim().to_owned()));
            header.clear();
        }
        request.body = if request.header("transfer-encoding").is_some() {
            chunks(reader)?
        } else {
            let length = request.header("content-length").map_or(Ok(0), str::parse);
            let length: usize = length.map_err(|_| io::Error::other("a length that is no number"))?;
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            body
        };
        Ok(Some(request))
    }

    /// A header by its name in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(header, _)| header == name)?;
        Some(value)
    }
}

/// A body in chunks, as clients send it that do not have all of it at first.
fn chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = vec![];
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim(), 16).map_err(|_| io::Error::other("a chunk without a length"))?;
        reader.by_ref().take(length).read_to_end(&mut body)?;
        reader.read_line(&mut line)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

/// A response. Each of the `headers` ends with a line break.
pub(super) fn response(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = match status {
        204 => String::new(),
        _ => format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()),
    };
    let mut response = format!("HTTP/1.1 {status} \r\n{headers}{length}\r\n").into_bytes();
    response.extend_from_slice(body);
    response
}

/// Whether the head of a response has `Connection: close`.
fn closes(response: &[u8]) -> bool {
    let mut head = response.split(|byte| *byte == b'\n').take_while(|line| line.len() > 1);
    head.any(|line| line == b"Connection: close\r")
}

/// Starts a server on a free port. `serve` gets each request and returns the response, or `None` to close the
/// connection; `accepted` is called for each connection.
///
/// The server ends with the process.
pub(super) fn start(
    accepted: impl Fn() + Send + 'static,
    serve: impl Fn(Request) -> Option<Vec<u8>> + Clone + Send + 'static,
) -> SocketAddr {
    start_with(None, accepted, serve)
}

/// As [`start`], with TLS if there is an acceptor.
pub(super) fn start_with(
    tls: Option<SslAcceptor>,
    accepted: impl Fn() + Send + 'static,
    serve: impl Fn(Request) -> Option<Vec<u8>> + Clone + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound port");
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            accepted();
            let (serve, tls) = (serve.clone(), tls.clone());
            // A connection fails when its client has ended.
            thread::spawn(move || {
                connection.set_nodelay(true)?;
                match tls {
                    None => connected(connection, serve),
                    Some(tls) => connected(tls.accept(connection).map_err(io::Error::other)?, serve),
                }
            });
        }
    });
    address
}

fn connected(connection: impl Read + Write, serve: impl Fn(Request) -> Option<Vec<u8>>) -> io::Result<()> {
    let mut reader = BufReader::new(connection);
    while let Some(request) = Request::read(&mut reader)? {
        let Some(response) = serve(request) else { return Ok(()) };
        reader.get_mut().write_all(&response)?;
        reader.get_mut().flush()?;
        if closes(&response) {
            return Ok(());
        }
    }
    Ok(())
}
