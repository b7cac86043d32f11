//! An HTTP endpoint that takes CloudEvents, and replies as the test decides.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::certificates::Pair;
use super::endpoints::acceptor;
use super::http::{self, Request};

/// A request that arrived, whatever the reply was.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) at: Instant,
    /// The number of the reply: 200 and the like; 0 if the connection was closed.
    pub(crate) status: u16,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(header, _)| header == name)?;
        Some(value)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// Partition and offset of each event.
    pub(crate) fn events(&self) -> Vec<(i32, i64)> {
        if let Some(offset) = self.header("ce-offset") {
            let partition = self.header("ce-partition").expect("beside the offset");
            return vec![(partition.parse().expect("a number"), offset.parse().expect("a number"))];
        }
        let events: Vec<Value> = serde_json::from_slice(&self.body).expect("a batch");
        let number = |event: &Value| {
            let offset = event["offset"].as_str().expect("text").parse().expect("a number");
            (
                event["partition"]
                    .as_i64()
                    .expect("a number")
                    .try_into()
                    .expect("small"),
                offset,
            )
        };
        events.iter().map(number).collect()
    }

    /// The offset of each event.
    pub(crate) fn offsets(&self) -> Vec<i64> {
        self.events().into_iter().map(|(_, offset)| offset).collect()
    }
}

/// The reply to one request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// This status, with header lines that each end with a line break.
    Status(u16, String),
    /// Waits before it replies.
    After(Duration, Box<Reply>),
    /// The events are accepted, and the connection is closed before the response.
    Close,
    /// These bytes of HTTP. With `Connection: close` in them the connection is closed then.
    Raw(Vec<u8>),
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::Status(status, String::new())
    }

    /// With one header more.
    pub(crate) fn with(self, name: &str, value: impl fmt::Display) -> Self {
        match self {
            Self::Status(status, headers) => Self::Status(status, format!("{headers}{name}: {value}\r\n")),
            other => other,
        }
    }

    pub(crate) fn after(self, time: Duration) -> Self {
        Self::After(time, Box::new(self))
    }
}

type Rule = Box<dyn Fn(&Received) -> Reply + Send + Sync>;

#[derive(Default)]
struct State {
    script: VecDeque<Reply>,
    rule: Option<Arc<Rule>>,
    received: Vec<Received>,
}

/// A running server. Clones are the same server; it ends with the process.
#[derive(Clone)]
pub(crate) struct HttpEndpoint {
    address: SocketAddr,
    scheme: &'static str,
    connections: Arc<AtomicUsize>,
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for HttpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpEndpoint")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl HttpEndpoint {
    /// Starts a server that accepts everything with 204.
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    /// As [`start`](Self::start), with TLS and this certificate.
    pub(crate) fn start_tls(server: &Pair) -> Self {
        Self::start_with(Some(server))
    }

    fn start_with(server: Option<&Pair>) -> Self {
        let (state, connections) = (Arc::<Mutex<State>>::default(), Arc::<AtomicUsize>::default());
        let (serving, counting) = (Arc::clone(&state), Arc::clone(&connections));
        let count = move || _ = counting.fetch_add(1, Ordering::SeqCst);
        let tls = server.map(|server| acceptor(server).build());
        let address = http::start_with(tls, count, move |request| serve(request, &serving));
        Self {
            address,
            scheme: if server.is_some() { "https" } else { "http" },
            connections,
            state,
        }
    }

    /// The URL of this path, which begins with `/`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.address.port())
    }

    /// From now on `rule` decides the replies.
    pub(crate) fn on(&self, rule: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> &Self {
        lock(&self.state).rule = Some(Arc::new(Box::new(rule)));
        self
    }

    /// The replies to the next requests; afterwards the rule decides again, or everything is accepted.
    pub(crate) fn script(&self, replies: impl IntoIterator<Item = Reply>) -> &Self {
        lock(&self.state).script.extend(replies);
        self
    }

    /// Every request so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        lock(&self.state).received.clone()
    }

    /// The offsets of each request so far.
    pub(crate) fn offsets(&self) -> Vec<Vec<i64>> {
        self.received().iter().map(Received::offsets).collect()
    }

    /// The number of connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

#[allow(clippy::disallowed_methods, reason = "tests in real time")]
fn serve(request: Request, state: &Mutex<State>) -> Option<Vec<u8>> {
    let mut received = Received {
        method: request.method,
        path: request.path,
        headers: request.headers,
        body: request.body,
        at: Instant::now(),
        status: 0,
    };
    let (scripted, rule) = {
        let mut state = lock(state);
        (state.script.pop_front(), state.rule.clone())
    };
    let reply = match (scripted, rule) {
        (Some(reply), _) => reply,
        (None, Some(rule)) => rule(&received),
        (None, None) => Reply::status(204),
    };
    let (wait, reply) = match reply {
        Reply::After(wait, reply) => (wait, *reply),
        reply => (Duration::ZERO, reply),
    };
    let response = match reply {
        Reply::Status(status, headers) => {
            received.status = status;
            Some(http::response(
                status,
                &headers,
                if status == 204 {
                    b""
                } else {
                    b"{\"secret\":\"planted-response\"}"
                },
            ))
        }
        Reply::Close | Reply::After(..) => None,
        Reply::Raw(bytes) => Some(bytes),
    };
    lock(state).received.push(received);
    thread::sleep(wait);
    response
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no panic with the lock held")
}
