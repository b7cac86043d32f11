//! A request of the API, decoded.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::http::Request;

/// An invocation as the function's side gets it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The function's name.
    pub(crate) function: String,
    /// The function as the client named it: an ARN, or a name.
    pub(crate) arn: String,
    /// The alias or version, of the ARN or the query.
    pub(crate) qualifier: Option<String>,
    /// `X-Amz-Invocation-Type`; `RequestResponse` where it is missing.
    pub(crate) invocation_type: String,
    /// `X-Amz-Log-Type`.
    pub(crate) log_type: Option<String>,
    /// `X-Amz-Client-Context`, decoded; `null` where it is missing.
    pub(crate) client_context: Value,
    /// The length of the client context as it was sent, in bytes.
    pub(super) context_length: usize,
    /// The event as it was sent.
    pub(crate) payload: Vec<u8>,
    /// The same, parsed; `null` if it is no JSON.
    pub(crate) event: Value,
    /// The time at which the request was complete.
    pub(crate) at: Instant,
}

impl Call {
    pub(super) fn of(id: &str, request: Request) -> Self {
        let header = |name| request.header(name).map(str::to_owned);
        let arn = decode(id);
        let mut parts = arn.split(':').skip(if arn.starts_with("arn:") { 6 } else { 0 });
        let function = parts.next().unwrap_or_default().to_owned();
        let query = request
            .path
            .split_once("Qualifier=")
            .map(|(_, qualifier)| decode(qualifier));
        let qualifier = parts.next().map(str::to_owned).or(query);
        let context = header("x-amz-client-context").unwrap_or_default();
        let client_context = STANDARD
            .decode(&context)
            .ok()
            .and_then(|context| serde_json::from_slice(&context).ok())
            .unwrap_or_default();
        Self {
            function,
            arn,
            qualifier,
            invocation_type: header("x-amz-invocation-type").unwrap_or_else(|| "RequestResponse".to_owned()),
            log_type: header("x-amz-log-type"),
            client_context,
            context_length: context.len(),
            event: serde_json::from_slice(&request.body).unwrap_or_default(),
            payload: request.body,
            at: Instant::now(),
        }
    }

    /// The event as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.payload.clone()).expect("JSON is UTF-8")
    }

    /// The records of the event, in its order within each partition.
    pub(crate) fn records(&self) -> Vec<&Value> {
        let partitions = self.event["records"].as_object();
        let lists = partitions.into_iter().flat_map(serde_json::Map::values);
        lists.filter_map(Value::as_array).flatten().collect()
    }

    /// The offsets of [`records`](Self::records).
    pub(crate) fn offsets(&self) -> Vec<i64> {
        self.records()
            .iter()
            .filter_map(|record| record["offset"].as_i64())
            .collect()
    }

    /// The keys of the event's `records`, such as `orders-0`.
    pub(crate) fn partitions(&self) -> Vec<&str> {
        let partitions = self.event["records"].as_object();
        partitions
            .into_iter()
            .flat_map(serde_json::Map::keys)
            .map(String::as_str)
            .collect()
    }

    /// `X-Amz-Executed-Version` of the response.
    pub(super) fn version(&self) -> &str {
        self.qualifier.as_deref().unwrap_or("$LATEST")
    }
}

/// Replaces `%3A` and its like.
fn decode(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut decoded = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let code = piece.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok());
        decoded.push(code.expect("a percent-encoded byte"));
        decoded.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(decoded).expect("a path of UTF-8")
}
