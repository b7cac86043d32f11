//! The ARNs of SNS topics and of EventBridge buses, validated when parsed.

use std::fmt;
use std::str::FromStr;

use super::arn::Arn;
use super::problem::NotAllowed;

/// The longest name, in characters: of topics and of buses.
const MAX_NAME_CHARS: usize = 256;

/// The end of the name of a FIFO topic.
const FIFO: &str = ".fifo";

/// The ARN of an SNS topic: `arn:<partition>:sns:<region>:<account>:<name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnsTopicArn {
    arn: String,
    region: String,
}

impl SnsTopicArn {
    /// The ARN, as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.arn
    }

    /// The region that the topic is in, whatever region this program runs in.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Whether it is a FIFO topic: ordered within a message group, without duplicates.
    #[must_use]
    pub fn is_fifo(&self) -> bool {
        self.arn.ends_with(FIFO)
    }
}

impl fmt::Display for SnsTopicArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

impl FromStr for SnsTopicArn {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Self, NotAllowed> {
        let is_topic = |name: &str| is_word(name.strip_suffix(FIFO).unwrap_or(name), &['-', '_']);
        match Arn::parse(text, "sns") {
            Some(arn) if is_topic(arn.resource) => Ok(Self {
                arn: text.to_owned(),
                region: arn.region.to_owned(),
            }),
            _ => Err(NotAllowed::new(
                "must be the ARN of an SNS topic, arn:aws:sns:<region>:<account of 12 digits>:<name>, such as \
                 arn:aws:sns:eu-central-1:123456789012:orders",
            )),
        }
    }
}

/// The ARN of an EventBridge bus: `arn:<partition>:events:<region>:<account>:event-bus/<name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventBusArn {
    arn: String,
    region: String,
}

impl EventBusArn {
    /// The ARN, as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.arn
    }

    /// The region that the bus is in, whatever region this program runs in.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }
}

impl fmt::Display for EventBusArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

impl FromStr for EventBusArn {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Self, NotAllowed> {
        let arn = Arn::parse(text, "events");
        let name = arn.and_then(|arn| arn.resource.strip_prefix("event-bus/"));
        match (arn, name) {
            (Some(arn), Some(name)) if is_word(name, &['-', '_', '.', '/']) => Ok(Self {
                arn: text.to_owned(),
                region: arn.region.to_owned(),
            }),
            _ => Err(NotAllowed::new(
                "must be the ARN of an EventBridge bus, arn:aws:events:<region>:<account of 12 digits>:event-bus/<name>, \
                 such as arn:aws:events:eu-central-1:123456789012:event-bus/default",
            )),
        }
    }
}

fn is_word(text: &str, others: &[char]) -> bool {
    let valid = |c: char| c.is_ascii_alphanumeric() || others.contains(&c);
    (1..=MAX_NAME_CHARS).contains(&text.len()) && text.chars().all(valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arn_of_a_topic_is_taken_and_a_fifo_topic_recognised() {
        let topic: SnsTopicArn = "arn:aws:sns:eu-west-1:123456789012:orders".parse().expect("an ARN");
        assert_eq!((topic.region(), topic.is_fifo()), ("eu-west-1", false));
        let fifo: SnsTopicArn = "arn:aws-cn:sns:cn-north-1:123456789012:o_1-x.fifo"
            .parse()
            .expect("an ARN");
        assert!(fifo.is_fifo());
        for wrong in [
            "arn:aws:sns:eu-west-1:123456789012:",
            "arn:aws:sns:eu-west-1:123456789012:.fifo",
            "arn:aws:sns:eu-west-1:123456789012:a.b",
            "arn:aws:sns:eu-west-1:123456789012:orders:4b6f",
            "arn:aws:sqs:eu-west-1:123456789012:orders",
            "arn:aws:sns::123456789012:orders",
        ] {
            assert!(wrong.parse::<SnsTopicArn>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_arn_of_a_bus_is_taken_with_the_names_that_partners_have() {
        for name in ["default", "orders_1", "aws.partner/example.com/1/x"] {
            let arn = format!("arn:aws:events:eu-west-1:123456789012:event-bus/{name}");
            let bus: EventBusArn = arn.parse().expect(name);
            assert_eq!((bus.as_str(), bus.region()), (&*arn, "eu-west-1"));
        }
        for wrong in [
            "arn:aws:events:eu-west-1:123456789012:event-bus/",
            "arn:aws:events:eu-west-1:123456789012:rule/orders",
            "arn:aws:events:eu-west-1:123456789012:event-bus/a b",
            "arn:aws:events:eu-west-1:1:event-bus/default",
        ] {
            assert!(wrong.parse::<EventBusArn>().is_err(), "{wrong}");
        }
    }
}
