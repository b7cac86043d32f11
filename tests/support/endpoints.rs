//! Ports without a Kafka behind them: closed, silent, or with another server.

use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use openssl::ssl::{SslAcceptor, SslAcceptorBuilder, SslMethod, SslVerifyMode};

use super::certificates::{CertificateAuthority, Pair};

/// The standard library sets a backlog of 128; a process may have some 1,000 files open.
const MOST_QUEUED: usize = 500;

/// A port at which no program listens.
pub(crate) fn closed() -> u16 {
    // The system assigns no port below 1024 automatically.
    1
}

/// A port that accepts connections and sends nothing. It is open until this is dropped.
#[derive(Debug)]
pub(crate) struct Silent(TcpListener);

/// Opens a [`Silent`] port.
pub(crate) fn silent() -> Silent {
    // The system accepts the connections; no program reads from them.
    Silent(listener())
}

impl Silent {
    pub(crate) fn port(&self) -> u16 {
        port(&self.0)
    }
}

/// A port whose backlog is full: it neither accepts nor refuses connections, as behind a security
/// group without a rule for it. It is open until this is dropped.
#[derive(Debug)]
pub(crate) struct Full {
    port: u16,
    // The system drops further connections once the backlog is full.
    _queue: (TcpListener, Vec<TcpStream>),
}

/// Opens a [`Full`] port.
///
/// # Panics
/// If the system accepts more than [`MOST_QUEUED`] connections.
pub(crate) fn full() -> Full {
    let listener = listener();
    let address = listener.local_addr().expect("a bound socket has an address");
    let queue: Vec<TcpStream> = (0..MOST_QUEUED)
        .map_while(|_| TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok())
        .collect();
    assert!(queue.len() < MOST_QUEUED, "the backlog has no limit");
    Full {
        port: address.port(),
        _queue: (listener, queue),
    }
}

impl Full {
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

/// A port that accepts connections and closes them, as a load balancer in front of a broker that is
/// down does. It is open until the process ends.
pub(crate) fn closing() -> u16 {
    serve(drop)
}

/// The port of an HTTP server, which responds to Kafka's requests with an HTTP error. It is open
/// until the process ends.
pub(crate) fn http() -> u16 {
    serve(|mut client| {
        let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        drain(client);
    })
}

/// A port that completes TLS handshakes with this certificate, and then sends nothing. It is open
/// until the process ends.
pub(crate) fn tls(server: &Pair) -> u16 {
    serve_tls(acceptor(server).build())
}

/// As [`tls`], for clients with a certificate of this CA. Unlike Kafka it does not send the names of
/// accepted CAs.
pub(crate) fn tls_for_clients_of(ca: &CertificateAuthority, server: &Pair) -> u16 {
    let mut acceptor = acceptor(server);
    let trusted = acceptor.cert_store_mut().add_cert(ca.certificate().clone());
    trusted.expect("a certificate");
    acceptor.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    serve_tls(acceptor.build())
}

pub(super) fn acceptor(server: &Pair) -> SslAcceptorBuilder {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("OpenSSL can do TLS");
    acceptor.set_private_key(&server.key).expect("a key");
    acceptor.set_certificate(&server.certificate).expect("a certificate");
    acceptor
}

fn serve_tls(acceptor: SslAcceptor) -> u16 {
    serve(move |client| {
        // Failed handshakes are expected.
        if let Ok(stream) = acceptor.accept(client) {
            drain(stream);
        }
    })
}

fn serve(client: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let listener = listener();
    let port = port(&listener);
    thread::spawn(move || {
        for connection in listener.incoming().filter_map(Result::ok) {
            let client = client.clone();
            thread::spawn(move || client(connection));
        }
    });
    port
}

fn drain(mut stream: impl Read) {
    while stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {}
}

fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port")
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("a bound socket has an address").port()
}
