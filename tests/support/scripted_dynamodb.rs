//! A server that responds as scripted, for failures that a real `DynamoDB` or SQS does not show on
//! demand.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What the server does with one request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Responds with this status and body.
    Respond(u16, String),
    /// Forwards it, and its response.
    Forward,
    /// Forwards it, and closes the connection instead of responding.
    ForwardAndHangUp,
    /// Forwards it, and holds its response until the notification.
    ForwardAndHold(Arc<Notify>),
    /// Holds it until the notification, and then forwards it.
    HoldAndForward(Arc<Notify>),
    /// Closes the connection.
    HangUp,
    /// Leaves the connection open and sends nothing.
    Silence,
}

impl Act {
    /// An error in `DynamoDB`'s format.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::Respond(
            status,
            format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"{message}"}}"#),
        )
    }
}

/// A running server.
#[derive(Debug, Clone)]
pub(crate) struct Scripted {
    /// Where it listens, as a URL.
    pub(crate) endpoint: String,
    script: Arc<Mutex<VecDeque<Act>>>,
    of_operations: Arc<Mutex<HashMap<String, VecDeque<Act>>>>,
    rules: Arc<Mutex<HashMap<String, Act>>>,
    date: Arc<Mutex<Option<String>>>,
    observed: Arc<Mutex<Vec<String>>>,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Starts a server that forwards unscripted requests to `upstream`, an address like
    /// `127.0.0.1:8000`.
    pub(crate) async fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
        let server = Self {
            endpoint,
            script: Arc::default(),
            of_operations: Arc::default(),
            rules: Arc::default(),
            date: Arc::default(),
            observed: Arc::default(),
            bodies: Arc::default(),
        };
        let (serving, upstream) = (server.clone(), upstream.to_owned());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, serving.clone(), upstream.clone()));
            }
        });
        server
    }

    /// The operations of the requests since the last call.
    pub(crate) fn take_operations(&self) -> Vec<String> {
        std::mem::take(&mut *self.observed.lock().expect("no panic with the lock held"))
    }

    /// The bodies of the requests since the last call.
    pub(crate) fn take_bodies(&self) -> Vec<String> {
        std::mem::take(&mut *self.bodies.lock().expect("no panic with the lock held"))
    }

    /// Scripts the next requests; each retry of the client is one.
    pub(crate) fn next(&self, acts: impl IntoIterator<Item = Act>) {
        self.script.lock().expect("no panic with the lock held").extend(acts);
    }

    /// Scripts the next requests of an operation; each retry of the client is one.
    pub(crate) fn next_of(&self, operation: &str, acts: impl IntoIterator<Item = Act>) {
        let mut of_operations = self.of_operations.lock().expect("no panic with the lock held");
        of_operations.entry(operation.to_owned()).or_default().extend(acts);
    }

    /// Sets what to do with every request of an operation that is not scripted.
    pub(crate) fn always(&self, operation: &str, act: Act) {
        self.rules
            .lock()
            .expect("no panic with the lock held")
            .insert(operation.to_owned(), act);
    }

    /// Sets the date header of scripted responses.
    pub(crate) fn date(&self, date: &str) {
        *self.date.lock().expect("no panic with the lock held") = Some(date.to_owned());
    }

    /// How many scripted acts are left.
    pub(crate) fn left(&self) -> usize {
        self.script.lock().expect("no panic with the lock held").len()
    }
}

async fn serve(mut client: TcpStream, server: Scripted, upstream: String) {
    while let Some(request) = read_message(&mut client).await {
        let operation = operation(&request);
        server
            .observed
            .lock()
            .expect("no panic with the lock held")
            .extend(operation.clone());
        let body = String::from_utf8_lossy(body(&request)).into_owned();
        server.bodies.lock().expect("no panic with the lock held").push(body);
        let next = server.script.lock().expect("no panic with the lock held").pop_front();
        let of_operation = || {
            let mut of_operations = server.of_operations.lock().expect("no panic with the lock held");
            of_operations.get_mut(operation.as_ref()?)?.pop_front()
        };
        let next = next.or_else(of_operation);
        let rule = || {
            server
                .rules
                .lock()
                .expect("no panic with the lock held")
                .get(operation.as_ref()?)
                .cloned()
        };
        let act = next.or_else(rule).unwrap_or(Act::Forward);
        let date = server.date.lock().expect("no panic with the lock held").clone();
        let date = date.map_or(String::new(), |date| format!("date: {date}\r\n"));
        let response = match act {
            Act::Respond(status, body) => format!(
                "HTTP/1.1 {status} Scripted\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n{date}\r\n\
                 {body}",
                body.len()
            )
            .into_bytes(),
            Act::Forward => forward(&upstream, &request).await,
            Act::ForwardAndHangUp => {
                forward(&upstream, &request).await;
                return;
            }
            Act::ForwardAndHold(release) => {
                let response = forward(&upstream, &request).await;
                release.notified().await;
                response
            }
            Act::HoldAndForward(release) => {
                release.notified().await;
                forward(&upstream, &request).await
            }
            Act::HangUp => return,
            Act::Silence => std::future::pending().await,
        };
        if client.write_all(&response).await.is_err() {
            return;
        }
    }
}

async fn forward(upstream: &str, request: &[u8]) -> Vec<u8> {
    let mut server = TcpStream::connect(upstream).await.expect("upstream is there");
    server.write_all(request).await.expect("upstream reads");
    read_message(&mut server).await.expect("upstream responds")
}

/// Reads one HTTP message with a length; `None` if the connection ends first.
pub(super) async fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut message = vec![];
    loop {
        let mut buffer = [0; 8192];
        let count = stream.read(&mut buffer).await.ok()?;
        if count == 0 {
            return None;
        }
        message.extend_from_slice(&buffer[..count]);
        if let Some(end) = end_of(&message)
            && message.len() >= end
        {
            return Some(message);
        }
    }
}

/// The length of the message, once its header is complete.
fn end_of(message: &[u8]) -> Option<usize> {
    let header_end = header_end(message)?;
    let header = String::from_utf8_lossy(&message[..header_end]).to_lowercase();
    let length = header
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    Some(header_end + length.unwrap_or(0))
}

/// The body of a message.
pub(super) fn body(message: &[u8]) -> &[u8] {
    &message[header_end(message).unwrap_or(0)..]
}

fn header_end(message: &[u8]) -> Option<usize> {
    Some(message.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4)
}

/// The operation that a request's `X-Amz-Target` names.
pub(super) fn operation(request: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(request);
    let target = text
        .lines()
        .find(|line| line.to_lowercase().starts_with("x-amz-target:"))?;
    Some(target.rsplit_once('.')?.1.trim().to_owned())
}
