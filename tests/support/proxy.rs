//! A TCP proxy that delays, silences, resets or closes connections, as networks do.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Forward,
    /// It stays open on both sides, and nothing is forwarded.
    Silent,
    /// It stays open on both sides, and is reset as soon as the client sends something.
    ResetOnSend,
    Closed,
}

/// A port in front of another one.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// The port to connect to.
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// One for each connection that exists.
    connections: Mutex<Vec<watch::Sender<State>>>,
    accepted: AtomicUsize,
    delay_micros: AtomicU64,
}

impl Proxy {
    /// A proxy at a free port, which forwards to `target`.
    pub(crate) fn start(target: u16) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        listener.set_nonblocking(true).expect("a socket of this system");
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        runtime().spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a socket of this system");
            while let Ok((client, _)) = listener.accept().await {
                accepting.accepted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(client, target, Arc::clone(&accepting)));
            }
        });
        Self { port, shared }
    }

    /// From now on nothing passes through the present connections, and neither side is notified, as
    /// when a NAT gateway drops its entry for an idle connection. New ones work.
    pub(crate) fn silence(&self) {
        self.settle(State::Silent);
    }

    /// From now on the present connections are reset when the client sends something, as by a NAT
    /// gateway that responds to packets of unknown connections with RST. New ones work.
    pub(crate) fn reset_on_send(&self) {
        self.settle(State::ResetOnSend);
    }

    /// Closes the present connections. New ones work.
    pub(crate) fn cut(&self) {
        self.settle(State::Closed);
    }

    /// Delays all connections by this time in each direction.
    pub(crate) fn delay(&self, delay: Duration) {
        let micros = u64::try_from(delay.as_micros()).expect("a short delay");
        self.shared.delay_micros.store(micros, Ordering::SeqCst);
    }

    /// How many connections were accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many connections are open, silent ones included.
    pub(crate) fn open(&self) -> usize {
        let mut connections = self.shared.connections();
        connections.retain(|it| it.receiver_count() > 0);
        connections.len()
    }

    fn settle(&self, state: State) {
        for connection in self.shared.connections().iter() {
            // Fails if the connection has ended.
            let _ = connection.send(state);
        }
    }
}

/// One runtime for all proxies and servers of tests, which run until the process ends: a test's own runtime ends with it.
pub(super) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("proxy").enable_all();
        builder.build().expect("a thread")
    })
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, Vec<watch::Sender<State>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(client: TcpStream, target: u16, shared: Arc<Shared>) {
    let (sender, state) = watch::channel(State::Forward);
    shared.connections().push(sender);
    let Ok(server) = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, target))).await else {
        return;
    };
    // Requests and responses are small.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let there = pass(from_client, to_server, state.clone(), &shared);
    let back = pass(from_server, to_client, state, &shared);
    // When one side closes, both connections are closed.
    tokio::select! { () = there => {}, () = back => {} }
}

/// Forwards one direction until the connection ends.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: watch::Receiver<State>, shared: &Shared) {
    // A delayed packet does not delay the reading of the next one.
    let (delayed, mut arriving) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let mut changes = state.clone();
    #[allow(clippy::disallowed_methods, reason = "connections are in real time")]
    let read = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            tokio::select! {
                biased;
                () = settled(&mut changes) => return ended(&mut changes, &mut from).await,
                read = from.read(&mut buffer) => match read {
                    Ok(count @ 1..) => {
                        let delay = Duration::from_micros(shared.delay_micros.load(Ordering::SeqCst));
                        let _ = delayed.send((Instant::now() + delay, buffer[..count].to_vec()));
                    }
                    _ => return,
                },
            }
        }
    };
    let mut changes = state;
    let write = async {
        while let Some((at, bytes)) = arriving.recv().await {
            until(at).await;
            tokio::select! {
                biased;
                () = settled(&mut changes) => return cut(&mut changes).await,
                written = to.write_all(&bytes) => if written.is_err() { return },
            }
        }
    };
    tokio::select! { () = read => {}, () = write => {} }
}

/// Waits until that time with a precision of 0.1 ms: the runtime's timer has one of a millisecond.
#[allow(clippy::disallowed_methods, reason = "connections are in real time")]
async fn until(at: Instant) {
    let left = at.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        let _ = tokio::task::spawn_blocking(move || std::thread::sleep(left)).await;
    }
}

/// Returns when nothing is to be forwarded any more.
async fn settled(state: &mut watch::Receiver<State>) {
    // The sender is kept until the connection ends.
    let _ = state.wait_for(|state| *state != State::Forward).await;
}

/// Returns when the connection is to be closed or reset. Closing a socket with unread data sends an
/// RST.
async fn ended(state: &mut watch::Receiver<State>, from: &mut OwnedReadHalf) {
    let mut other = state.clone();
    let sent = async {
        let _ = other.wait_for(|state| *state == State::ResetOnSend).await;
        let _ = from.peek(&mut [0]).await;
    };
    tokio::select! { () = cut(state) => {}, () = sent => {} }
}

/// Returns when the connection is to be closed.
async fn cut(state: &mut watch::Receiver<State>) {
    let _ = state.wait_for(|state| *state == State::Closed).await;
}
