//! Ports at which something other than a Kafka is, or nothing.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use openssl::ssl::{SslAcceptor, SslMethod};

use super::certificates::Pair;

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

/// A port at which TLS is spoken, with this certificate, and nothing is said over it. It is there
/// until the process ends.
pub(crate) fn tls(server: &Pair) -> u16 {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("OpenSSL can do TLS");
    acceptor.set_private_key(&server.key).expect("a key");
    acceptor.set_certificate(&server.certificate).expect("a certificate");
    let acceptor = acceptor.build();
    let listener = listener();
    let port = port(&listener);
    thread::spawn(move || {
        for client in listener.incoming().filter_map(Result::ok) {
            let acceptor = acceptor.clone();
            thread::spawn(move || {
                // A client that goes away, or refuses the certificate, is what this is for.
                if let Ok(mut stream) = acceptor.accept(client) {
                    while stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {}
                }
            });
        }
    });
    port
}

fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port")
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("a bound socket has an address").port()
}
