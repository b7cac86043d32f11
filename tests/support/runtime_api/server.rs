//! The four endpoints of <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use serde_json::{Value, json};

use super::FunctionError;

/// The request id of an event, and its response.
pub(super) type Response = (String, Result<Value, FunctionError>);

/// A request of a program.
#[derive(Debug)]
pub(super) enum Call {
    Next(Sender<String>),
    Response(Response),
    InitError(FunctionError),
}

/// Starts a server for one program, whose requests the receiver gets.
pub(super) fn start() -> (SocketAddr, Receiver<Call>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound port");
    let (sender, calls) = mpsc::channel();
    // The thread ends with the process.
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let sender = sender.clone();
            // A connection fails when its program has ended.
            thread::spawn(move || serve(connection, &sender));
        }
    });
    (address, calls)
}

/// The HTTP response to a request for the next event.
pub(super) fn event(headers: &str, event: &str) -> String {
    http(200, headers, event)
}

/// The parts of an HTTP request that matter here.
struct Request {
    line: String,
    error_type: Option<String>,
    body: Vec<u8>,
}

impl Request {
    fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut request = Self {
            line: String::new(),
            error_type: None,
            body: vec![],
        };
        if reader.read_line(&mut request.line)? == 0 {
            return Ok(None);
        }
        let mut header = String::new();
        while reader.read_line(&mut header)? > 2 {
            let (name, value) = header.trim().split_once(": ").unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => request.body = vec![0; value.parse().unwrap_or_default()],
                "transfer-encoding" => return Err(io::Error::other("only bodies of a known length are read")),
                "lambda-runtime-function-error-type" => request.error_type = Some(value.to_owned()),
                _ => {}
            }
            header.clear();
        }
        reader.read_exact(&mut request.body)?;
        Ok(Some(request))
    }

    fn error(&self) -> FunctionError {
        let body = self.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let header = self.error_type.clone();
        FunctionError {
            error_type: text("errorType"),
            message: text("errorMessage"),
            header,
        }
    }

    fn json(&self) -> Value {
        // A body that is not JSON is kept as text, for the test's message.
        serde_json::from_slice(&self.body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&self.body)))
    }
}

/// Serves the requests of one connection.
fn serve(mut connection: TcpStream, calls: &Sender<Call>) -> io::Result<()> {
    let ended = |_| io::Error::other("the test has ended");
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection.try_clone()?);
    while let Some(request) = Request::read(&mut reader)? {
        let mut words = request.line.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let place: Vec<&str> = path.trim_start_matches("/2018-06-01/runtime/").split('/').collect();
        let call = match (method, place.as_slice()) {
            ("GET", ["invocation", "next"]) => {
                let (sender, event) = mpsc::channel();
                calls.send(Call::Next(sender)).map_err(ended)?;
                let Ok(event) = event.recv() else { return Ok(()) };
                connection.write_all(event.as_bytes())?;
                continue;
            }
            ("POST", ["invocation", id, "response"]) => Call::Response(((*id).to_owned(), Ok(request.json()))),
            ("POST", ["invocation", id, "error"]) => Call::Response(((*id).to_owned(), Err(request.error()))),
            ("POST", ["init", "error"]) => Call::InitError(request.error()),
            _ => {
                connection.write_all(http(404, "", "").as_bytes())?;
                continue;
            }
        };
        calls.send(call).map_err(ended)?;
        connection.write_all(http(202, "", r#"{"status":"OK"}"#).as_bytes())?;
    }
    Ok(())
}

fn http(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} \r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
}
