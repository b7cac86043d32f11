//! An event -> HTTP headers and a body, as the HTTP binding of CloudEvents 1.0 defines them.

use std::fmt::Write as _;
use std::num::NonZeroUsize;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::ser::{SerializeMap as _, Serializer as _};

use super::event::{AttributeValue, Data, Event};
use crate::config::{Config, MessageEnvelope, Route};
use crate::destination::batched::{Encoder, Limits, Unfit};
use crate::kafka_event::base64;
use crate::record::Record;

/// The content type of several events.
const BATCH: &str = "application/cloudevents-batch+json";

/// The size of an entry that is an event in binary mode, beside its body.
const HEADER_OVERHEAD: usize = ": \r\n".len();

/// What one event is in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// The request's own headers and body.
    Whole { headers: HeaderMap, body: Bytes },
    /// An element of a batch, as JSON.
    Element(Vec<u8>),
}

/// Makes the messages of records.
pub(crate) struct EventMessages {
    /// The attribute `source`: a URI reference.
    source: String,
    envelope: MessageEnvelope,
    is_batch: bool,
}

impl EventMessages {
    /// The messages of the records of a route.
    pub(crate) fn new(config: &Config, route: &Route) -> Self {
        Self {
            source: source(&config.group_id),
            envelope: route.envelope,
            is_batch: is_batch(route.batch_size),
        }
    }
}

/// Whether requests have the batch format: where they may hold several events, also for one.
pub(super) fn is_batch(batch_size: Option<NonZeroUsize>) -> bool {
    batch_size.is_some_and(|size| size.get() > 1)
}

/// The source of the events of a group.
fn source(group_id: &str) -> String {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    percent_encoded("kafka-consumer/".to_owned(), group_id, is_unreserved)
}

impl Encoder<Message> for EventMessages {
    fn encode(&self, record: &Record) -> Result<Message, Unfit> {
        let event = Event::of(record, &self.source, self.envelope);
        let event = event.map_err(|error| Unfit::Invalid(error.to_string()))?;
        if self.is_batch {
            let element = element(&event).map_err(|error| Unfit::Invalid(error.to_string()))?;
            Ok(Message::Element(element))
        } else {
            Ok(whole(event))
        }
    }

    fn too_large(&self, _: Limits) -> String {
        "HTTP 413: the endpoint takes no body as large as this record's. Raise the limit of the endpoint, or of the \
         proxy in front of it"
            .to_owned()
    }
}

impl Message {
    /// The size, in bytes, as it is sent.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Whole { headers, body } => {
                let header =
                    |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + HEADER_OVERHEAD;
                body.len() + headers.iter().map(header).sum::<usize>()
            }
            // With the comma.
            Self::Element(json) => json.len() + 1,
        }
    }
}

/// The headers and the body of a request with these messages. Of those that are whole there is one.
pub(super) fn request(messages: &[Message]) -> (HeaderMap, Bytes) {
    let mut elements: Vec<&[u8]> = vec![];
    for message in messages {
        match message {
            Message::Whole { headers, body } => return (headers.clone(), body.clone()),
            Message::Element(json) => elements.push(json),
        }
    }
    let body = [&b"["[..], &elements.join(&b","[..])[..], b"]"].concat();
    let headers = [(CONTENT_TYPE, HeaderValue::from_static(BATCH))];
    (headers.into_iter().collect(), body.into())
}

/// Binary mode: each attribute is a header `ce-<name>`, and the data is the body.
fn whole(event: Event) -> Message {
    let mut headers = HeaderMap::new();
    for (name, value) in &event.attributes {
        let value = match value {
            AttributeValue::Text(text) => encoded(text),
            AttributeValue::Integer(number) => number.to_string(),
            AttributeValue::Boolean(is_true) => is_true.to_string(),
        };
        // Neither can fail: a name is of letters and digits, and an encoded value of printable ASCII.
        let name = HeaderName::from_bytes(format!("ce-{name}").as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
            headers.insert(name, value);
        }
    }
    if let Some(content_type) = event.data.content_type() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    let body = match event.data {
        Data::None => Bytes::new(),
        Data::Json(bytes) | Data::Text(bytes) | Data::Binary(bytes) => bytes,
    };
    Message::Whole { headers, body }
}

/// The JSON format of an event. Data that is JSON is written as it is, so that numbers keep their digits.
fn element(event: &Event) -> serde_json::Result<Vec<u8>> {
    let mut json = vec![];
    let mut serializer = serde_json::Serializer::new(&mut json);
    let mut map = serializer.serialize_map(None)?;
    for (name, value) in &event.attributes {
        map.serialize_entry(name, value)?;
    }
    if let Some(content_type) = event.data.content_type() {
        map.serialize_entry("datacontenttype", content_type)?;
    }
    match &event.data {
        Data::None | Data::Json(_) => {}
        Data::Text(text) => map.serialize_entry("data", &String::from_utf8_lossy(text))?,
        Data::Binary(bytes) => map.serialize_entry("data_base64", &base64(bytes))?,
    }
    map.end()?;
    if let Data::Json(data) = &event.data {
        json.pop();
        json.extend_from_slice(b",\"data\":");
        json.extend_from_slice(data);
        json.push(b'}');
    }
    Ok(json)
}

/// The value of an attribute as a header, percent-encoded as the HTTP binding demands.
pub(super) fn encoded(text: &str) -> String {
    let is_sent_as_it_is = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%');
    percent_encoded(String::with_capacity(text.len()), text, is_sent_as_it_is)
}

fn percent_encoded(mut encoded: String, text: &str, is_kept: impl Fn(u8) -> bool) -> String {
    for byte in text.bytes() {
        if is_kept(byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Header, Timestamp, TopicPartition};

    fn record(value: Option<&'static [u8]>) -> Record {
        Record {
            timestamp: Some(Timestamp::create_time(1_762_000_000_000)),
            key: Some("k \u{e9}".into()),
            value: value.map(Bytes::from_static),
            headers: vec![Header::new("a", Some("50%".into()))],
            ..Record::new(TopicPartition::new("orders", 3), 17)
        }
    }

    fn message(value: Option<&'static [u8]>, is_batch: bool) -> Message {
        let messages = EventMessages {
            source: source("my group"),
            envelope: MessageEnvelope::Value,
            is_batch,
        };
        messages.encode(&record(value)).expect("a message")
    }

    #[test]
    fn in_binary_mode_attributes_are_headers_and_the_value_is_the_body() {
        let (headers, body) = request(&[message(Some(b"{\"a\": 1.10}"), false)]);
        let shown: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII")))
            .collect();
        assert_eq!(
            shown,
            [
                "ce-specversion: 1.0",
                "ce-id: orders/3/17",
                "ce-source: kafka-consumer/my%2520group",
                "ce-type: kafka.record",
                "ce-time: 2025-11-01T12:26:40Z",
                "ce-topic: orders",
                "ce-partition: 3",
                "ce-offset: 17",
                "ce-key: k%20%C3%A9",
                "ce-kafkaheadera: 50%25",
                "content-type: application/json",
            ]
        );
        assert_eq!(body, "{\"a\": 1.10}");
    }

    #[test]
    fn a_tombstone_has_no_body_and_no_content_type() {
        let (headers, body) = request(&[message(None, false)]);
        assert_eq!(headers.get("ce-tombstone").expect("a tombstone"), "true");
        assert!(headers.get(CONTENT_TYPE).is_none() && body.is_empty());
    }

    #[test]
    fn a_batch_is_a_json_array_of_events_whose_values_are_json_text_or_base64() {
        let values: [Option<&[u8]>; 4] = [Some(b"{\"n\": 1.10}"), Some(b"hi"), Some(b"\xff"), None];
        let messages: Vec<Message> = values.into_iter().map(|value| message(value, true)).collect();
        let (headers, body) = request(&messages);
        assert_eq!(headers.get(CONTENT_TYPE).expect("a type"), BATCH);
        let own = r#""specversion":"1.0","id":"orders/3/17","source":"kafka-consumer/my%20group","type":"kafka.record","time":"2025-11-01T12:26:40Z","topic":"orders","partition":3,"offset":"17","key":"k é""#;
        let header = r#""kafkaheadera":"50%""#;
        let events = [
            format!(r#"{{{own},{header},"datacontenttype":"application/json","data":{{"n": 1.10}}}}"#),
            format!(r#"{{{own},{header},"datacontenttype":"text/plain; charset=utf-8","data":"hi"}}"#),
            format!(r#"{{{own},{header},"datacontenttype":"application/octet-stream","data_base64":"/w=="}}"#),
            format!(r#"{{{own},"tombstone":true,{header}}}"#),
        ];
        assert_eq!(body, format!("[{}]", events.join(",")));
        let sizes: usize = messages.iter().map(Message::bytes).sum();
        assert_eq!(sizes + 1, body.len());
    }

    #[test]
    fn one_event_is_a_batch_where_requests_may_hold_several() {
        let rows = [
            (None, false),
            (NonZeroUsize::new(1), false),
            (NonZeroUsize::new(2), true),
        ];
        for (size, expected) in rows {
            assert_eq!(is_batch(size), expected);
        }
        let (_, body) = request(&[message(Some(b"1"), true)]);
        assert!(body.starts_with(b"[{") && body.ends_with(b"}]"));
    }

    #[test]
    fn values_of_headers_are_percent_encoded() {
        let rows = [
            ("abc~!#", "abc~!#"),
            ("a b\"c%", "a%20b%22c%25"),
            ("\u{20ac}\u{1F600}", "%E2%82%AC%F0%9F%98%80"),
            ("", ""),
        ];
        for (text, expected) in rows {
            assert_eq!(encoded(text), expected);
        }
    }
}
