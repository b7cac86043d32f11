//! The values of single settings, each with its text form.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use jiff::Timestamp;

use super::endpoint::EndpointUrl;
use super::function::FunctionArn;
use super::number::whole_number;
use super::problem::NotAllowed;
use super::resource::{EventBusArn, SnsTopicArn};
use super::table::TableArn;
use super::target::{QueueArn, Target, TopicName};
use super::time::{self, InvalidTime, TIME_ALLOWED};

/// `Display` and `FromStr` for an enum whose values are words. Case does not matter, as in
/// librdkafka's own properties.
macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal),+ $(,)? } allowed: $allowed:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),+ })
            }
        }

        impl FromStr for $type {
            type Err = NotAllowed;

            fn from_str(text: &str) -> Result<Self, NotAllowed> {
                $(if text.eq_ignore_ascii_case($word) { return Ok(Self::$variant); })+
                Err(NotAllowed::new(concat!("must be ", $allowed)))
            }
        }
    };
}

/// How many records a run may handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageLimit {
    /// At most so many records.
    At(NonZeroU64),
    /// Until caught up with the ends seen at the start, or the deadline.
    Unlimited,
}

impl MessageLimit {
    /// The values of a limit, for messages.
    pub(crate) const ALLOWED: &'static str = "must be a whole number, 1 or more, or `unlimited`";
}

impl fmt::Display for MessageLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(limit) => limit.fmt(f),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

impl FromStr for MessageLimit {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Self, NotAllowed> {
        if text.eq_ignore_ascii_case("unlimited") {
            return Ok(Self::Unlimited);
        }
        whole_number(text)
            .and_then(NonZeroU64::new)
            .map(Self::At)
            .ok_or_else(|| NotAllowed::new(Self::ALLOWED))
    }
}

/// Where a topic without cursors starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartPosition {
    /// The log start offset.
    Earliest,
    /// The end offset.
    Latest,
    /// The first record with this timestamp or a later one.
    At {
        /// Milliseconds since 1970-01-01T00:00:00Z, Kafka's own unit. Never negative when parsed:
        /// Kafka gives -1 and -2 other meanings.
        unix_ms: i64,
    },
}

impl fmt::Display for StartPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => f.write_str("earliest"),
            Self::Latest => f.write_str("latest"),
            Self::At { unix_ms } => match Timestamp::from_millisecond(*unix_ms) {
                Ok(time) => time.fmt(f),
                Err(_) => write!(f, "{unix_ms} ms"),
            },
        }
    }
}

impl FromStr for StartPosition {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Self, NotAllowed> {
        if text.eq_ignore_ascii_case("earliest") {
            return Ok(Self::Earliest);
        }
        if text.eq_ignore_ascii_case("latest") {
            return Ok(Self::Latest);
        }
        let unix_ms = time::unix_ms(text).map_err(|invalid| match invalid {
            InvalidTime::Unreadable => NotAllowed::new(format!("must be `earliest`, `latest` or {TIME_ALLOWED}")),
            InvalidTime::Before1970 => NotAllowed::new("must not be before 1970; to read everything, use `earliest`"),
        })?;
        Ok(Self::At { unix_ms })
    }
}

/// How the value of a record is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageFormat {
    /// A JSON document.
    Json,
    /// UTF-8 text.
    Text,
    /// Bytes that are not decoded.
    Bytes,
}

words!(MessageFormat { Json = "json", Text = "text", Bytes = "bytes" }
    allowed: "`json`, `text` or `bytes`");

/// What queues, topics and HTTP endpoints get of a record, `ENVELOPE`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MessageEnvelope {
    /// The value, with topic, partition, offset, timestamp, key and headers beside it.
    #[default]
    Value,
    /// The whole record as JSON.
    Record,
}

words!(MessageEnvelope { Value = "value", Record = "record" } allowed: "`value` or `record`");

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// One structured log line each.
    Log {
        /// Whether the lines contain keys and values too. Set by `LOG_VALUES`; parsing gives `false`.
        values: bool,
    },
    /// Nowhere: the records are dropped, and the cursors advance.
    Discard,
    /// A Lambda function, which gets AWS's Kafka event.
    Function(FunctionArn),
    /// An SQS queue.
    Sqs(QueueArn),
    /// An SNS topic.
    Sns(SnsTopicArn),
    /// An EventBridge bus.
    EventBridge(EventBusArn),
    /// A topic of the brokers that records are read from.
    Kafka(TopicName),
    /// A `DynamoDB` table, which holds the newest value of each key.
    DynamoDb(TableArn),
    /// An HTTP endpoint, which gets events of CloudEvents 1.0.
    Http(EndpointUrl),
}

impl Destination {
    /// The destinations that there are, for messages.
    pub(super) const ALLOWED: &'static str = "`log`, `discard`, `kafka://<topic>`, an https:// URL, or the ARN of a Lambda function, an SQS queue, an SNS topic, an EventBridge bus or a \
         DynamoDB table";

    /// Parses the text of a destination; `None` for a text that has the form of none.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, NotAllowed> {
        if text.eq_ignore_ascii_case("log") {
            return Ok(Some(Self::Log { values: false }));
        }
        if text.eq_ignore_ascii_case("discard") {
            return Ok(Some(Self::Discard));
        }
        if let Some(topic) = text.strip_prefix(Target::KAFKA) {
            return topic.parse().map(Self::Kafka).map(Some);
        }
        if EndpointUrl::is_form_of(text) {
            return text.parse().map(Self::Http).map(Some);
        }
        Ok(match text.split(':').nth(2) {
            Some("lambda") => Some(Self::Function(text.parse()?)),
            Some("sqs") => Some(Self::Sqs(text.parse()?)),
            Some("sns") => Some(Self::Sns(text.parse()?)),
            Some("events") => Some(Self::EventBridge(text.parse()?)),
            Some("dynamodb") => Some(Self::DynamoDb(text.parse()?)),
            _ => None,
        })
    }

    /// The format of values where `MESSAGE_FORMAT` does not name one: a destination
    /// that passes values on as they are does not decode them.
    #[must_use]
    pub fn message_format(&self) -> MessageFormat {
        match self {
            Self::Log { .. } | Self::Discard | Self::DynamoDb(_) => MessageFormat::Json,
            Self::Function(_) | Self::Sqs(_) | Self::Sns(_) | Self::EventBridge(_) | Self::Kafka(_) | Self::Http(_) => {
                MessageFormat::Bytes
            }
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log { .. } => f.write_str("log"),
            Self::Discard => f.write_str("discard"),
            Self::Function(function) => function.fmt(f),
            Self::Sqs(queue) => queue.fmt(f),
            Self::Sns(topic) => topic.fmt(f),
            Self::EventBridge(bus) => bus.fmt(f),
            Self::Kafka(topic) => write!(f, "{}{topic}", Target::KAFKA),
            Self::DynamoDb(table) => table.fmt(f),
            Self::Http(url) => url.fmt(f),
        }
    }
}

impl FromStr for Destination {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Self, NotAllowed> {
        Self::parse(text)?.ok_or_else(|| NotAllowed::new(format!("must be {}", Self::ALLOWED)))
    }
}

/// What happens to a record that cannot be decoded or processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnFailure {
    /// Its partition is blocked; the record is retried with back-off.
    Halt,
    /// It is skipped and listed in the report.
    Skip,
    /// It is sent to this target, as a dead letter.
    DeadLetter(Target),
}

impl fmt::Display for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Halt => f.write_str("halt"),
            Self::Skip => f.write_str("skip"),
            Self::DeadLetter(target) => target.fmt(f),
        }
    }
}

impl FromStr for OnFailure {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Self, NotAllowed> {
        if text.eq_ignore_ascii_case("halt") {
            Ok(Self::Halt)
        } else if text.eq_ignore_ascii_case("skip") {
            Ok(Self::Skip)
        } else {
            Target::parse(text)?
                .map(Self::DeadLetter)
                .ok_or_else(|| NotAllowed::new("must be `halt`, `skip`, `kafka://<topic>` or the ARN of an SQS queue"))
        }
    }
}

/// What happens when retention deleted records after the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRetentionLoss {
    /// Continue from the log start offset, and report the loss once.
    Continue,
    /// Leave the cursor unchanged, and fail the run.
    Halt,
}

words!(OnRetentionLoss { Continue = "continue", Halt = "halt" } allowed: "`continue` or `halt`");

/// What happens when the cursor lies past the end of the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTruncation {
    /// Leave the cursor unchanged, and fail the run.
    Halt,
    /// Continue from the log start offset.
    Earliest,
    /// Continue from the end offset.
    Latest,
}

words!(OnTruncation { Halt = "halt", Earliest = "earliest", Latest = "latest" }
    allowed: "`halt`, `earliest` or `latest`");
