//! The headers of requests to HTTP endpoints, from a secret.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::sync::Mutex;

use super::manager::Manager;
use super::secret::Unusable;
use crate::config::SecretArn;
use crate::error::Error;

const SETTING: &str = "HTTP_HEADERS_SECRET_ARN";

/// The next step where the secret has another shape.
const STORE: &str = r#"Store a JSON object of headers, {"Authorization": ...}"#;

/// Headers that the HTTP client sets, or that are about the connection. Those of events begin with `ce-`.
const OWNED: [&str; 11] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The headers of one secret. It is read for the first request, and kept.
pub(crate) struct SecretHeaders {
    arn: SecretArn,
    /// Locked while the secret is read, so that it is read once.
    kept: Mutex<Option<Arc<HeaderMap>>>,
}

impl SecretHeaders {
    pub(crate) fn new(arn: SecretArn) -> Self {
        Self {
            arn,
            kept: Mutex::default(),
        }
    }

    pub(crate) fn arn(&self) -> &SecretArn {
        &self.arn
    }

    /// The headers, as last read.
    ///
    /// # Errors
    /// `InvalidConfiguration` when the secret cannot be read or is misshapen, naming it and the
    /// header, never a value.
    pub(crate) async fn current(&self, limit: Duration) -> Result<Arc<HeaderMap>, Error> {
        let mut kept = self.kept.lock().await;
        if let Some(kept) = &*kept {
            return Ok(Arc::clone(kept));
        }
        let read = Arc::new(self.read(limit).await?);
        *kept = Some(Arc::clone(&read));
        Ok(read)
    }

    /// The headers, read again because an endpoint refused `refused`. `None`: they are unchanged.
    ///
    /// # Errors
    /// As for [`current`](Self::current).
    pub(crate) async fn renewed(
        &self,
        refused: &Arc<HeaderMap>,
        limit: Duration,
    ) -> Result<Option<Arc<HeaderMap>>, Error> {
        let mut kept = self.kept.lock().await;
        // Another request has read it since.
        if let Some(other) = kept.clone().filter(|kept| !Arc::ptr_eq(kept, refused)) {
            return Ok(Some(other));
        }
        let read = Arc::new(self.read(limit).await?);
        if read == *refused {
            return Ok(None);
        }
        *kept = Some(Arc::clone(&read));
        Ok(Some(read))
    }

    async fn read(&self, limit: Duration) -> Result<HeaderMap, Error> {
        let text = Manager::new(limit).read(&self.arn).await;
        let headers = text.and_then(|text| headers(&text));
        headers.map_err(|unusable| unusable.of(&self.arn, SETTING))
    }
}

/// The headers in the text of a secret. Each that cannot be sent is named.
fn headers(text: &SecretString) -> Result<HeaderMap, Unusable> {
    let fields = match serde_json::from_str(text.expose_secret()) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Err(Unusable::new("it is JSON, and not an object", STORE)),
        // serde_json's message may quote the text.
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let what = format!("it is not JSON from line {line} column {column} on");
            return Err(Unusable::new(what, STORE));
        }
    };
    if fields.is_empty() {
        return Err(Unusable::new("it is an object without headers", STORE));
    }
    let mut headers = HeaderMap::new();
    let mut problems = vec![];
    for (name, value) in &fields {
        match header(name, value) {
            Ok((name, value)) => {
                if headers.insert(&name, value).is_some() {
                    problems.push(format!("the header {name} is in it twice, in upper and lower case"));
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        Ok(headers)
    } else {
        Err(Unusable::new(problems.join("; "), "Correct them in the secret"))
    }
}

fn header(name: &str, value: &Value) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("{:?} is not the name of a header", shortened(name)))?;
    let is_owned = OWNED.contains(&parsed.as_str()) || parsed.as_str().starts_with("ce-");
    if is_owned {
        return Err(format!("the header {parsed} is set by this program"));
    }
    let Value::String(text) = value else {
        return Err(format!("the value of the header {parsed} is not a string"));
    };
    if text.trim() != text || text.is_empty() {
        let what = "is empty, or begins or ends with white space or a line break";
        return Err(format!("the value of the header {parsed} {what}"));
    }
    let not_ascii = || format!("the value of the header {parsed} has characters other than printable ASCII");
    let mut value = HeaderValue::from_str(text).map_err(|_| not_ascii())?;
    if !text.is_ascii() {
        return Err(not_ascii());
    }
    value.set_sensitive(true);
    Ok((parsed, value))
}

/// The beginning of a name that is none: it may be a value in the wrong place.
fn shortened(name: &str) -> String {
    const SHOWN_CHARS: usize = 8;
    let start: String = name.chars().take(SHOWN_CHARS).collect();
    if start.len() < name.len() { start + "..." } else { start }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let problem = headers(&text.into()).expect_err(text).to_string();
        assert!(!problem.contains("planted"), "{problem}");
        problem
    }

    #[test]
    fn each_field_is_a_header_that_is_never_logged() {
        let headers = headers(&r#" {"Authorization":"Bearer a b=","X-Api-Key":"k"} "#.into()).expect("headers");
        assert_eq!(headers.get("authorization").expect("it is there"), "Bearer a b=");
        assert_eq!(headers.get("x-api-key").expect("it is there"), "k");
        assert!(headers.values().all(HeaderValue::is_sensitive));
        assert!(!format!("{headers:?}").contains("Bearer"), "{headers:?}");
    }

    #[test]
    fn each_header_that_cannot_be_sent_is_named_without_its_value() {
        let rows = [
            ("planted", "it is not JSON from line 1 column 1 on. Store a JSON object"),
            ("[\"planted\"]", "it is JSON, and not an object"),
            ("{}", "it is an object without headers"),
            (
                r#"{"X-Key":"planted\n"}"#,
                "the header x-key is empty, or begins or ends with white space",
            ),
            (
                r#"{"X-Key":" planted"}"#,
                "the header x-key is empty, or begins or ends",
            ),
            (r#"{"X-Key":""}"#, "the header x-key is empty"),
            (r#"{"X-Key":17}"#, "the value of the header x-key is not a string"),
            (
                r#"{"X-Key":"planted\u00e9"}"#,
                "the header x-key has characters other than printable ASCII",
            ),
            (r#"{"X-Key":"a\nplanted"}"#, "the header x-key has characters"),
            (r#"{"a b":"planted"}"#, "\"a b\" is not the name of a header"),
            (
                r#"{"Bearer my-planted":"x"}"#,
                "\"Bearer m...\" is not the name of a header",
            ),
            (r#"{"Host":"planted"}"#, "the header host is set by this program"),
            (r#"{"ce-id":"planted"}"#, "the header ce-id is set by this program"),
            (r#"{"a":"planted","A":"planted"}"#, "the header a is in it twice"),
        ];
        for (text, expected) in rows {
            let problem = wrong(text);
            assert!(problem.contains(expected), "{text}: {problem}");
        }
        let problem = wrong(r#"{"Host":"planted","X":1,"Y":"planted"}"#);
        assert!(
            problem.contains("header host") && problem.contains("header x "),
            "{problem}"
        );
    }
}
