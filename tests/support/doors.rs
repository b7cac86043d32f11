//! Ports at which something other than a Kafka is, or nothing.

use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use openssl::ssl::{SslAcceptor, SslAcceptorBuilder, SslMethod, SslVerifyMode};

use super::certificates::{Authority, Pair};

/// The standard library asks for a queue of 128; a process may have some 1,000 files open.
const MOST_QUEUED: usize = 500;

/// A port at which nobody listens.
pub(crate) fn closed() -> u16 {
    // No program is given one below 1024 unless it asks for it.
    1
}

/// A port that takes connections and never says a word, for as long as it is kept.
#[derive(Debug)]
pub(crate) struct Silent(TcpListener);

/// A new one.
pub(crate) fn silent() -> Silent {
    // The system takes the connections; nobody reads what is sent.
    Silent(listener())
}

impl Silent {
    pub(crate) fn port(&self) -> u16 {
        port(&self.0)
    }
}

/// A port that is so busy that it takes no more connections, and refuses none, for as long as it
/// is kept: as behind a security group that lets nothing in.
#[derive(Debug)]
pub(crate) struct Full {
    port: u16,
    // The system drops what comes once its queue of these is full.
    _queue: (TcpListener, Vec<TcpStream>),
}

/// A new one.
///
/// # Panics
/// If the system takes connections without end.
pub(crate) fn full() -> Full {
    let listener = listener();
    let address = listener.local_addr().expect("a bound socket has an address");
    let queue: Vec<TcpStream> = (0..MOST_QUEUED)
        .map_while(|_| TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok())
        .collect();
    assert!(queue.len() < MOST_QUEUED, "the queue of connections has no end");
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

/// A port that takes connections and closes them: a load balancer before a broker that is down. It
/// is there until the process ends.
pub(crate) fn closing() -> u16 {
    serve(drop)
}

/// A port at which something answers that is no Kafka: as HTTP does. It is there until the process
/// ends.
pub(crate) fn http() -> u16 {
    serve(|mut client| {
        let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        drain(client);
    })
}

/// A port at which TLS is spoken, with this certificate, and nothing is said over it. It is there
/// until the process ends.
pub(crate) fn tls(server: &Pair) -> u16 {
    serve_tls(acceptor(server).build())
}

/// As [`tls`], for clients that show a certificate of this authority. Unlike Kafka it does not say
/// of which.
pub(crate) fn tls_for_clients_of(authority: &Authority, server: &Pair) -> u16 {
    let mut acceptor = acceptor(server);
    let trusted = acceptor.cert_store_mut().add_cert(authority.certificate().clone());
    trusted.expect("a certificate");
    acceptor.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    serve_tls(acceptor.build())
}

fn acceptor(server: &Pair) -> SslAcceptorBuilder {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("OpenSSL can do TLS");
    acceptor.set_private_key(&server.key).expect("a key");
    acceptor.set_certificate(&server.certificate).expect("a certificate");
    acceptor
}

fn serve_tls(acceptor: SslAcceptor) -> u16 {
    serve(move |client| {
        // A client that goes away, or is refused or refuses, is what this is for.
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
