//! Where dead letters go: a Kafka topic or an SQS queue, each checked when it is parsed.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::name::is_topic;
use super::problem::NotAllowed;

/// The limits of a queue's name, in characters; `.fifo` counts.
const QUEUE_CHARS: RangeInclusive<usize> = 1..=80;

/// How the name of a queue ends that keeps the order and drops duplicates.
const FIFO: &str = ".fifo";

/// The digits of an account's number.
const ACCOUNT_DIGITS: usize = 12;

/// The name of a Kafka topic: 1 to 249 of a-z, A-Z, 0-9, `.`, `_` and `-`, not `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicName(String);

impl TopicName {
    /// The name as text.
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

    /// Whether the queue keeps the order within a message group and drops duplicates.
    #[must_use]
    pub fn is_fifo(&self) -> bool {
        self.name.ends_with(FIFO)
    }

    /// The queue's URL. Made from the ARN, so that no right to look it up (`sqs:GetQueueUrl`) is
    /// needed.
    #[must_use]
    pub fn url(&self) -> String {
        let Self {
            region, account, name, ..
        } = self;
        format!("https://sqs.{region}.{}/{account}/{name}", self.dns_suffix())
    }

    /// How the names of AWS's hosts end, by the partition that the account is in.
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
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            ["arn", partition, "sqs", region, account, name]
                if is_partition(partition) && is_region(region) && is_account(account) && is_queue(name) =>
            {
                Ok(Self {
                    partition: (*partition).to_owned(),
                    region: (*region).to_owned(),
                    account: (*account).to_owned(),
                    name: (*name).to_owned(),
                })
            }
            _ => Err(NotAllowed::new(
                "must be the ARN of an SQS queue, arn:aws:sqs:<region>:<account of 12 digits>:<name>, such as \
                 arn:aws:sqs:eu-central-1:123456789012:dead-letters",
            )),
        }
    }
}

pub(super) fn is_partition(text: &str) -> bool {
    let rest = text.strip_prefix("aws");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-') && is_region(&rest[1..]))
}

/// Regions are not listed here: new ones come every year.
pub(super) fn is_region(text: &str) -> bool {
    let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(valid)
}

/// What may stand between two dots of a host's name: the SDK makes one of the region.
pub(crate) fn is_host_label(text: &str) -> bool {
    let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(valid) && !text.starts_with('-') && !text.ends_with('-')
}

pub(super) fn is_account(text: &str) -> bool {
    text.len() == ACCOUNT_DIGITS && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_queue(text: &str) -> bool {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    let name = text.strip_suffix(FIFO).unwrap_or(text);
    QUEUE_CHARS.contains(&text.len()) && !name.is_empty() && name.bytes().all(valid)
}
