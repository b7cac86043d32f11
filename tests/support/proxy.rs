//! A TCP proxy that does to connections what networks do to them.

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

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Forward,
    /// It stays open on both sides, and nothing passes any more.
    Hole,
    /// It stays open on both sides, and is reset as soon as the client sends something.
    Forgotten,
    Cut,
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
    connections: Mutex<Vec<watch::Sender<Fate>>>,
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

    /// From here on nothing passes through the connections that exist now, and neither side is
    /// told: as a NAT gateway does that has forgotten them. New ones work.
    pub(crate) fn black_hole(&self) {
        self.settle(Fate::Hole);
    }

    /// From here on the connections that exist now are reset by the next that is sent through them:
    /// as a NAT gateway does that has forgotten them, and says so. New ones work.
    pub(crate) fn forget(&self) {
        self.settle(Fate::Forgotten);
    }

    /// Closes the connections that exist now. New ones work.
    pub(crate) fn cut(&self) {
        self.settle(Fate::Cut);
    }

    /// What is sent arrives so much later, in each direction, on all connections.
    pub(crate) fn delay(&self, delay: Duration) {
        let micros = u64::try_from(delay.as_micros()).expect("a short delay");
        self.shared.delay_micros.store(micros, Ordering::SeqCst);
    }

    /// How many connections were made so far.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many connections exist, those in a black hole too.
    pub(crate) fn open(&self) -> usize {
        let mut connections = self.shared.connections();
        connections.retain(|it| it.receiver_count() > 0);
        connections.len()
    }

    fn settle(&self, fate: Fate) {
        for connection in self.shared.connections().iter() {
            // One that has ended needs none.
            let _ = connection.send(fate);
        }
    }
}

/// One for all proxies and servers of tests, which live as long as the process: the runtime of a test ends with it.
pub(super) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("proxy").enable_all();
        builder.build().expect("a thread")
    })
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, Vec<watch::Sender<Fate>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(client: TcpStream, target: u16, shared: Arc<Shared>) {
    let (sender, fate) = watch::channel(Fate::Forward);
    shared.connections().push(sender);
    let Ok(server) = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, target))).await else {
        return;
    };
    // Small requests and answers go back and forth.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let there = pass(from_client, to_server, fate.clone(), &shared);
    let back = pass(from_server, to_client, fate, &shared);
    // Whoever closes, closes for both.
    tokio::select! { () = there => {}, () = back => {} }
}

/// Passes on what is sent in one direction, until the connection ends.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, fate: watch::Receiver<Fate>, shared: &Shared) {
    // What is under way does not hold up what comes behind it.
    let (under_way, mut arriving) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let mut seen = fate.clone();
    #[allow(clippy::disallowed_methods, reason = "connections are in real time")]
    let read = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            tokio::select! {
                biased;
                () = settled(&mut seen) => return ended(&mut seen, &mut from).await,
                read = from.read(&mut buffer) => match read {
                    Ok(count @ 1..) => {
                        let delay = Duration::from_micros(shared.delay_micros.load(Ordering::SeqCst));
                        let _ = under_way.send((Instant::now() + delay, buffer[..count].to_vec()));
                    }
                    _ => return,
                },
            }
        }
    };
    let mut seen = fate;
    let write = async {
        while let Some((at, bytes)) = arriving.recv().await {
            until(at).await;
            tokio::select! {
                biased;
                () = settled(&mut seen) => return cut(&mut seen).await,
                written = to.write_all(&bytes) => if written.is_err() { return },
            }
        }
    };
    tokio::select! { () = read => {}, () = write => {} }
}

/// Returns at that time, to some 0.1 ms: the runtime's own timer is good for milliseconds only.
#[allow(clippy::disallowed_methods, reason = "connections are in real time")]
async fn until(at: Instant) {
    let left = at.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        let _ = tokio::task::spawn_blocking(move || std::thread::sleep(left)).await;
    }
}

/// Returns when nothing is to pass any more.
async fn settled(fate: &mut watch::Receiver<Fate>) {
    // Its sender is kept for as long as there is somebody to tell.
    let _ = fate.wait_for(|fate| *fate != Fate::Forward).await;
}

/// Returns when the connection is to be closed, by what is sent through it too. What is not read
/// then makes it a reset.
async fn ended(fate: &mut watch::Receiver<Fate>, from: &mut OwnedReadHalf) {
    let mut other = fate.clone();
    let sent = async {
        let _ = other.wait_for(|fate| *fate == Fate::Forgotten).await;
        let _ = from.peek(&mut [0]).await;
    };
    tokio::select! { () = cut(fate) => {}, () = sent => {} }
}

/// Returns when the connection is to be closed.
async fn cut(fate: &mut watch::Receiver<Fate>) {
    let _ = fate.wait_for(|fate| *fate == Fate::Cut).await;
}
