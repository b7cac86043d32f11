//! A Secrets Manager of a test's own: `GetSecretValue` and its refusals.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::proxy;
use super::scripted_dynamodb::{body, operation, read_message};

/// What a secret holds; or the code and the words of a refusal.
type Known = Result<String, (String, String)>;

/// The ARN of a secret with this name.
pub(crate) fn arn(name: &str) -> String {
    format!("arn:aws:secretsmanager:eu-central-1:123456789012:secret:{name}-AbCdEf")
}

/// A running server. It lives as long as the process.
#[derive(Debug, Clone)]
pub(crate) struct Secrets {
    /// A value for `AWS_ENDPOINT_URL_SECRETS_MANAGER`.
    pub(crate) endpoint: String,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    known: Mutex<BTreeMap<String, Known>>,
    asked: AtomicUsize,
}

impl Secrets {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        listener.set_nonblocking(true).expect("a socket of this system");
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        proxy::runtime().spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a socket of this system");
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, Arc::clone(&serving)));
            }
        });
        Self {
            endpoint: format!("http://127.0.0.1:{port}"),
            shared,
        }
    }

    /// From here on the secret holds this.
    pub(crate) fn put(&self, arn: &str, text: impl std::fmt::Display) {
        self.know(arn, Ok(text.to_string()));
    }

    /// From here on nobody may read the secret.
    pub(crate) fn refuse(&self, arn: &str, code: &str, message: &str) {
        self.know(arn, Err((code.to_owned(), message.to_owned())));
    }

    /// How often a secret was asked for.
    pub(crate) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    fn know(&self, arn: &str, answer: Known) {
        let mut known = self.shared.known.lock().expect("nobody panicked");
        known.insert(arn.to_owned(), answer);
    }
}

impl Shared {
    fn answer(&self, request: &[u8]) -> (u16, Value) {
        if operation(request).as_deref() != Some("GetSecretValue") {
            return (400, json!({"__type": "UnknownOperationException"}));
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        let asked: Value = serde_json::from_slice(body(request)).unwrap_or_default();
        let arn = asked["SecretId"].as_str().unwrap_or_default();
        match self.known.lock().expect("nobody panicked").get(arn) {
            Some(Ok(text)) => (
                200,
                json!({"ARN": arn, "Name": "x", "VersionId": "1", "SecretString": text}),
            ),
            Some(Err((code, message))) => (400, json!({"__type": code, "Message": message})),
            None => {
                let message = "Secrets Manager can't find the specified secret.";
                (400, json!({"__type": "ResourceNotFoundException", "Message": message}))
            }
        }
    }
}

async fn serve(mut client: TcpStream, shared: Arc<Shared>) {
    while let Some(request) = read_message(&mut client).await {
        let (status, answer) = shared.answer(&request);
        let body = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} Answer\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if client.write_all((head + &body).as_bytes()).await.is_err() {
            return;
        }
    }
}
