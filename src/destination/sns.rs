//! An SNS topic.
//!
//! **Calls.** `PublishBatch` with at most 10 messages and 256 KiB. A message of up to 1 MiB
//! is sent alone: topics take more than 256 KiB if their `MaximumMessageSize` says so. A call
//! has 8 seconds, with three attempts in it.
//!
//! **FIFO topics.** As with a FIFO [queue](super::sqs).
//!
//! **Permissions.** `sns:Publish` on the topic. For a topic with a KMS key of its own also
//! `kms:GenerateDataKey` and `kms:Decrypt`.

use aws_config::Region;
use aws_sdk_sns::Client;
use aws_sdk_sns::primitives::Blob;
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use tokio::sync::OnceCell;

use super::SETTING;
use super::batched::{CallFailure, EntryOutcome, Limits, Sender};
use super::message::{AttributeValue, Message};
use super::refusal::{Refusals, Service};
use crate::aws::{self, CallLimits};
use crate::config::SnsTopicArn;

/// The size limit of a call, attributes included, and of a message unless the topic takes more.
const CALL_BYTES: usize = 256 * 1024;

/// The highest `MaximumMessageSize` of a topic.
const ENTRY_BYTES: usize = 1024 * 1024;

pub(super) static SERVICE: Service = Service {
    name: "SNS",
    a_name: "an SNS",
    thing: "topic",
    action: "sns:Publish",
    variable: "AWS_ENDPOINT_URL_SNS",
    if_throttled: "Raise the account's quota of messages published a second, or lower BATCH_SIZE",
    is_too_large: |code, reason| {
        code.starts_with("BatchRequestTooLong") || code.starts_with("InvalidParameter") && reason.ends_with("too long")
    },
};

/// A topic. The SNS client is created for the first call.
pub(super) struct SnsSender {
    arn: SnsTopicArn,
    client: OnceCell<Client>,
}

impl SnsSender {
    /// The topic `arn`, in its own region. Nothing is connected before the first call.
    pub(super) fn new(arn: SnsTopicArn) -> Self {
        Self {
            arn,
            client: OnceCell::new(),
        }
    }

    async fn client(&self) -> &Client {
        let make = async || {
            let region = Region::new(self.arn.region().to_owned());
            Client::new(&aws::config(region, CallLimits::default()).await)
        };
        self.client.get_or_init(make).await
    }

    fn entry(&self, id: usize, message: &Message) -> Result<PublishBatchRequestEntry, CallFailure> {
        let invalid = |error: &dyn std::fmt::Display| CallFailure::Invalid(error.to_string());
        let mut entry = PublishBatchRequestEntry::builder()
            .id(id.to_string())
            .message(&message.body);
        for attribute in &message.attributes {
            let value = MessageAttributeValue::builder().data_type(attribute.value.data_type());
            let value = match &attribute.value {
                AttributeValue::Text(text) | AttributeValue::Number(text) => value.string_value(text),
                AttributeValue::Bytes(bytes) => value.binary_value(Blob::new(bytes.to_vec())),
            };
            entry = entry.message_attributes(&attribute.name, value.build().map_err(|error| invalid(&error))?);
        }
        if self.arn.is_fifo() {
            entry = entry
                .message_group_id(&message.group)
                .message_deduplication_id(&message.deduplication);
        }
        entry.build().map_err(|error| invalid(&error))
    }
}

impl Sender for SnsSender {
    type Entry = Message;

    fn limits(&self) -> Limits {
        Limits {
            entries: 10,
            call_bytes: CALL_BYTES,
            entry_bytes: ENTRY_BYTES,
        }
    }

    fn bytes(&self, entry: &Message) -> usize {
        entry.bytes()
    }

    async fn send(&self, entries: &[Message]) -> Result<Vec<EntryOutcome>, CallFailure> {
        let refusals = Refusals::new(&SERVICE, self.arn.region(), SETTING);
        let mut request = self.client().await.publish_batch().topic_arn(self.arn.as_str());
        for (id, message) in entries.iter().enumerate() {
            request = request.publish_batch_request_entries(self.entry(id, message)?);
        }
        let response = request.customize().interceptor(refusals.observer()).send().await;
        let response = response.map_err(|error| refusals.of_call(&error))?;
        Ok((0..entries.len())
            .map(|id| {
                let id = id.to_string();
                if response.successful().iter().any(|it| it.id() == Some(&id)) {
                    return EntryOutcome::Accepted;
                }
                match response.failed().iter().find(|it| it.id == id) {
                    Some(failed) => {
                        refusals.of_entry(&failed.code, failed.message().unwrap_or_default(), failed.sender_fault)
                    }
                    None => refusals.of_unnamed_entry(),
                }
            })
            .collect())
    }
}
