//! A Secrets Manager for a single test: `GetSecretValue` and its errors.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::proxy;
use super::scripted_dynamodb::{body, operation, read_message};

/// The text of a secret; or the code and the message of an error.
type SecretResult = Result<String, (String, String)>;

/// The ARN of a secret with this name.
pub(crate) fn arn(name: &str) -> String {
    format!("arn:aws:secretsmanager:eu-central-1:123456789012:secret:{name}-AbCdEf")
}

/// A running server. It runs until the process ends.
#[derive(Debug, Clone)]
pub(crate) struct Secrets {
    /// A value for `AWS_ENDPOINT_URL_SECRETS_MANAGER`.
    pub(crate) endpoint: String,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    secrets: Mutex<BTreeMap<String, SecretResult>>,
    requests: AtomicUsize,
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

    /// From now on this is the text of the secret.
    pub(crate) fn put(&self, arn: &str, text: impl std::fmt::Display) {
        self.set(arn, Ok(text.to_string()));
    }

    /// From now on requests for the secret fail with this error.
    pub(crate) fn refuse(&self, arn: &str, code: &str, message: &str) {
        self.set(arn, Err((code.to_owned(), message.to_owned())));
    }

    /// The number of `GetSecretValue` requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    fn set(&self, arn: &str, result: SecretResult) {
        let mut secrets = self.shared.secrets.lock().expect("no panic with the lock held");
        secrets.insert(arn.to_owned(), result);
    }
}

impl Shared {
    fn respond(&self, request: &[u8]) -> (u16, Value) {
        if operation(request).as_deref() != Some("GetSecretValue") {
            return (400, json!({"__type": "UnknownOperationException"}));
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        let request: Value = serde_json::from_slice(body(request)).unwrap_or_default();
        let arn = request["SecretId"].as_str().unwrap_or_default();
        match self.secrets.lock().expect("no panic with the lock held").get(arn) {
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
        let (status, response) = shared.respond(&request);
        let body = response.to_string();
        let head = format!(
            "HTTP/1.1 {status} Response\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if client.write_all((head + &body).as_bytes()).await.is_err() {
            return;
        }
    }
}
