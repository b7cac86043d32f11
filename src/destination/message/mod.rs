//! What a queue or a topic gets: a body of text, attributes beside it, and the ids of FIFO
//! queues and topics. Pure.
//!
//! - `record`: a record -> its message.
//! - `id`: ids within the limits of SQS and SNS.

pub(crate) mod id;
mod record;

use bytes::Bytes;

pub(crate) use record::RecordMessages;

/// A message of SQS or SNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// At least one character, and only those that [`is_allowed`].
    pub(crate) body: String,
    /// At most [`MAX_ATTRIBUTES`], each name once.
    pub(crate) attributes: Vec<Attribute>,
    /// In a FIFO queue or topic: messages of one group keep their order.
    pub(crate) group: String,
    /// In a FIFO queue or topic: messages of one id within 5 minutes are one message.
    pub(crate) deduplication: String,
}

/// An attribute of a message. Its value is not empty: SQS and SNS refuse that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attribute {
    /// The attribute's name.
    pub(crate) name: String,
    /// The attribute's value.
    pub(crate) value: AttributeValue,
}

/// The value of an attribute, by its data type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AttributeValue {
    /// `String`.
    Text(String),
    /// `Number`.
    Number(String),
    /// `Binary`.
    Bytes(Bytes),
}

/// SQS takes no more, and SNS hands no more on to a queue with raw delivery.
pub(crate) const MAX_ATTRIBUTES: usize = 10;

impl AttributeValue {
    /// The name of the data type.
    pub(crate) const fn data_type(&self) -> &'static str {
        match self {
            Self::Text(_) => "String",
            Self::Number(_) => "Number",
            Self::Bytes(_) => "Binary",
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(text) | Self::Number(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

impl Attribute {
    pub(crate) fn text(name: &str, value: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            value: AttributeValue::Text(value.into()),
        }
    }

    pub(crate) fn number(name: &str, value: impl Into<i64>) -> Self {
        Self {
            name: name.to_owned(),
            value: AttributeValue::Number(value.into().to_string()),
        }
    }
}

impl Message {
    /// The size of the message as SQS and SNS count it: names, types and values of the
    /// attributes are part of it.
    pub(crate) fn bytes(&self) -> usize {
        let attribute = |it: &Attribute| it.name.len() + it.value.data_type().len() + it.value.len();
        self.body.len() + self.attributes.iter().map(attribute).sum::<usize>()
    }
}

/// Whether SQS and SNS take this character: those of XML 1.0.
pub(crate) const fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// JSON with only characters that SQS and SNS take. The two that they refuse and JSON
/// allows can only be inside of strings.
pub(crate) fn allowed_json(json: String) -> String {
    if json.contains(['\u{FFFE}', '\u{FFFF}']) {
        json.replace('\u{FFFE}', "\\uFFFE").replace('\u{FFFF}', "\\uFFFF")
    } else {
        json
    }
}
