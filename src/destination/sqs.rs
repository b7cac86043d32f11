//! An SQS queue: of records, or of dead letters.
//!
//! **Calls.** `SendMessageBatch` with at most 10 messages and 1 MiB. A call has 8 seconds,
//! with three attempts in it.
//!
//! **FIFO queues.** The message group is the partition, so that its records keep their
//! order; the deduplication id is the record's [`id`](crate::Record::id): within SQS's 5
//! minutes a record is one message, however often it is sent. SQS may refuse a message of
//! a call and accept one behind it: the refused one is then sent again first. Where this
//! must not happen, `BATCH_SIZE` is 1.
//!
//! **Permissions.** `sqs:SendMessage` on the queue and nothing else. For a queue with a KMS
//! key of its own also `kms:GenerateDataKey` and `kms:Decrypt`.

use aws_config::Region;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use tokio::sync::OnceCell;

use super::batched::{CallFailure, EntryOutcome, Limits, Sender};
use super::message::{AttributeValue, Message};
use super::refusal::{Refusals, Service};
use crate::aws::{self, CallLimits};
use crate::config::QueueArn;

/// The size limit of SQS for a message and for a call, attributes included: 1 MiB since
/// August 2025. A queue's `MaximumMessageSize` may be less.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;

pub(super) static SERVICE: Service = Service {
    name: "SQS",
    a_name: "an SQS",
    thing: "queue",
    action: "sqs:SendMessage",
    variable: "AWS_ENDPOINT_URL_SQS",
    if_throttled: "A FIFO queue takes more in high throughput mode",
    is_too_large,
};

/// Of a queue with a lower limit than the service's there is only a text: there is no code
/// for it alone.
fn is_too_large(code: &str, reason: &str) -> bool {
    (code.starts_with("InvalidParameterValue") && reason.contains("must be shorter than"))
        || reason == "MessageTooLong"
        || code.ends_with("BatchRequestTooLong")
}

/// A queue. The SQS client is created for the first call.
pub(crate) struct QueueSender {
    arn: QueueArn,
    /// The setting that names the queue, for messages.
    setting: &'static str,
    client: OnceCell<Client>,
}

impl QueueSender {
    /// The queue `arn` of `setting`, in its own region. Nothing is connected, and no
    /// credentials are resolved, before the first call.
    pub(crate) fn new(arn: QueueArn, setting: &'static str) -> Self {
        Self {
            arn,
            setting,
            client: OnceCell::new(),
        }
    }

    /// The same, reached by `client`.
    pub(crate) fn with_client(self, client: Client) -> Self {
        Self {
            client: OnceCell::new_with(Some(client)),
            ..self
        }
    }

    async fn client(&self) -> &Client {
        let make = async || {
            let region = Region::new(self.arn.region().to_owned());
            Client::new(&aws::config(region, CallLimits::default()).await)
        };
        self.client.get_or_init(make).await
    }

    fn entry(&self, id: usize, message: &Message) -> Result<SendMessageBatchRequestEntry, CallFailure> {
        let invalid = |error: &dyn std::fmt::Display| CallFailure::Invalid(error.to_string());
        let mut entry = SendMessageBatchRequestEntry::builder()
            .id(id.to_string())
            .message_body(&message.body);
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

impl Sender for QueueSender {
    type Entry = Message;

    fn limits(&self) -> Limits {
        Limits {
            entries: 10,
            call_bytes: MAX_BYTES,
            entry_bytes: MAX_BYTES,
        }
    }

    fn bytes(&self, entry: &Message) -> usize {
        entry.bytes()
    }

    async fn send(&self, entries: &[Message]) -> Result<Vec<EntryOutcome>, CallFailure> {
        let refusals = Refusals::new(&SERVICE, self.arn.region(), self.setting);
        let mut request = self.client().await.send_message_batch().queue_url(self.arn.url());
        for (id, message) in entries.iter().enumerate() {
            request = request.entries(self.entry(id, message)?);
        }
        let response = request.customize().interceptor(refusals.observer()).send().await;
        let response = response.map_err(|error| refusals.of_call(&error))?;
        Ok((0..entries.len())
            .map(|id| {
                let id = id.to_string();
                if response.successful().iter().any(|it| it.id == id) {
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
