//! The targets of dead letters: a Kafka topic or an SQS queue, validated when parsed.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::arn::Arn;
use super::name::is_topic;
use super::problem::NotAllowed;

/// The length of a queue's name, in characters, with `.fifo`.
const QUEUE_CHARS: RangeInclusive<usize> = 1..=80;

/// The end of the name of a FIFO queue.
const FIFO: &str = ".fifo";

/// The target of dead letters, as `ON_FAILURE` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `kafka://<topic>`: a topic of the same brokers.
    Kafka(TopicName),
    /// The ARN of an SQS queue.
    Sqs(QueueArn),
}

impl Target {
    /// The beginning of the text of a topic.
    pub(crate) const KAFKA: &'static str = "kafka://";

    /// Parses the text of a target; `None` for a text that has the form of none.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, NotAllowed> {
        if let Some(topic) = text.strip_prefix(Self::KAFKA) {
            topic.parse().map(Self::Kafka).map(Some)
        } else if text.starts_with("arn:") {
            text.parse().map(Self::Sqs).map(Some)
        } else {
            Ok(None)
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kafka(topic) => write!(f, "{}{topic}", Self::KAFKA),
            Self::Sqs(queue) => queue.fmt(f),
        }
    }
}

/// The name of a Kafka topic: 1 to 249 of a-z, A-Z, 0-9, `.`, `_` and `-`, not `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicName(String);

impl TopicName {
    /// The topic's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TopicName {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Self, NotAllowed> {
        if is_topic(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAllowed::new(
                "must name a topic behind kafka://, with 1 to 249 of a-z, A-Z, 0-9, `.`, `_` and `-`, not `.` or `..`",
            ))
        }
    }
}

/// The ARN of an SQS queue: `arn:<partition>:sqs:<region>:<account>:<name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueArn {
    partition: String,
    region: String,
    account: String,
    name: String,
}

impl QueueArn {
    /// The region that the queue is in, whatever region the function is in.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The queue's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a FIFO queue: ordered within a message group, without duplicates.
    #[must_use]
    pub fn is_fifo(&self) -> bool {
        self.name.ends_with(FIFO)
    }

    /// The queue's URL, derived from the ARN: no permission `sqs:GetQueueUrl` is needed.
    #[must_use]
    pub fn url(&self) -> String {
        let Self {
            region, account, name, ..
        } = self;
        format!("https://sqs.{region}.{}/{account}/{name}", self.dns_suffix())
    }

    /// The DNS suffix of AWS's endpoints in the partition of the account.
    fn dns_suffix(&self) -> &'static str {
        match self.partition.as_str() {
            "aws-cn" => "amazonaws.com.cn",
            "aws-eusc" => "amazonaws.eu",
            "aws-iso" => "c2s.ic.gov",
            "aws-iso-b" => "sc2s.sgov.gov",
            "aws-iso-e" => "cloud.adc-e.uk",
            "aws-iso-f" => "csp.hci.ic.gov",
            // `aws` and `aws-us-gov`.
            _ => "amazonaws.com",
        }
    }
}

impl fmt::Display for QueueArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            partition,
            region,
            account,
            name,
        } = self;
        write!(f, "arn:{partition}:sqs:{region}:{account}:{name}")
    }
}

impl FromStr for QueueArn {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Self, NotAllowed> {
        match Arn::parse(text, "sqs") {
            Some(arn) if is_queue(arn.resource) => Ok(Self {
                partition: arn.partition.to_owned(),
                region: arn.region.to_owned(),
                account: arn.account.to_owned(),
                name: arn.resource.to_owned(),
            }),
            _ => Err(NotAllowed::new(
                "must be the ARN of an SQS queue, arn:aws:sqs:<region>:<account of 12 digits>:<name>, such as \
                 arn:aws:sqs:eu-central-1:123456789012:dead-letters",
            )),
        }
    }
}

/// Whether it is a label of a host name: the SDK uses the region as one.
pub(crate) fn is_host_label(text: &str) -> bool {
    let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(valid) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_queue(text: &str) -> bool {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    let name = text.strip_suffix(FIFO).unwrap_or(text);
    QUEUE_CHARS.contains(&text.len()) && !name.is_empty() && name.bytes().all(valid)
}
