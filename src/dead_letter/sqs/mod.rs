//! Dead letters into an SQS queue: `ON_FAILURE=<ARN of the queue>`.
//!
//! One message for each, whose body is JSON: the record in the shape of
//! Lambda's own `aws:kafka` events, and an `error` beside it.
//!
//! ```json
//! {"topic": "orders", "partition": 3, "offset": 17, "timestamp": 1762000000123,
//!  "key": "aw==", "value": "ew==", "headers": [{"trace": [49]}],
//!  "error": {"message": "not JSON at byte 1", "type": "DecodeError", "stage": "VALUE_CONVERTER",
//!            "attempts": 3, "group": "billing"}}
//! ```
//!
//! `key` and `value` are base64; a null one is `null`. A header is an object of
//! one name, with its bytes as signed numbers, because that is how Lambda
//! writes them. `error` is described in [`dead_letter`](crate::dead_letter), of
//! whose headers it is made. Topic, partition and offset are message attributes too.
//!
//! **Permissions.** `sqs:SendMessage` on the queue and nothing else. For a queue
//! with a KMS key of its own also `kms:GenerateDataKey` and `kms:Decrypt`.
//!
//! **Size.** SQS takes messages of up to 1 MiB, a queue's `MaximumMessageSize`
//! may be less. A record that is too large is sent as a [`pointer()`], with
//! `omitted_bytes` in its `error`.
//!
//! **Time.** A call has 8 seconds, with three attempts in it. Where the run ends
//! before that, the target reports that it is out of time, which is no failure:
//! the record comes again in the next run.
//!
//! **FIFO queues.** The message group is the partition, so that its dead
//! letters keep their order. The deduplication id is the record's
//! [`id`](crate::Record::id): within SQS's 5 minutes a record has one dead
//! letter, however often it is sent.
//!
//! | file | |
//! |---|---|
//! | `message.rs` | a dead letter -> body, group and deduplication id; pure |
//! | `refusal.rs` | why a call failed, and what to do next; pure |

mod message;
mod refusal;

use std::time::Duration;

use aws_config::Region;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::MessageAttributeValue;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::pointer;
use crate::aws::{self, CallLimits};
use crate::config::QueueArn;
use crate::processor::{Failure, Processor, Progress, RunContext};
use crate::record::{Chunk, Record};
use refusal::{Call, Refusal};

/// With less time than this a new connection with TLS is not even tried.
const MIN_TIME: Duration = Duration::from_millis(500);

/// The size limit of SQS, attributes included: 1 MiB since August 2025.
const MAX_BYTES: usize = 1024 * 1024;

/// A queue for dead letters. The SQS client is created for the first one.
pub struct SqsQueue {
    arn: QueueArn,
    patience: CallLimits,
    client: OnceCell<Client>,
}

impl SqsQueue {
    /// The queue `arn`, in its own region. Nothing is connected, and no
    /// credentials are resolved, before the first dead letter.
    #[must_use]
    pub fn new(arn: QueueArn) -> Self {
        Self {
            arn,
            patience: CallLimits::default(),
            client: OnceCell::new(),
        }
    }

    /// The queue `arn`, reached by `client`.
    #[must_use]
    pub fn with_client(arn: QueueArn, client: Client) -> Self {
        Self {
            client: OnceCell::new_with(Some(client)),
            ..Self::new(arn)
        }
    }

    async fn client(&self) -> &Client {
        let make = async || {
            let region = Region::new(self.arn.region().to_owned());
            Client::new(&aws::config(region, self.patience).await)
        };
        self.client.get_or_init(make).await
    }

    /// Sends one dead letter, or the pointer to its record if that is too large.
    async fn send(&self, letter: &Record) -> Result<(), String> {
        if let Some(body) = message::body(letter).filter(|body| body.len() <= message::max_body_bytes(letter)) {
            match self.send_body(letter, body).await {
                Err(Refusal::TooLarge) => {}
                Err(Refusal::Other(text)) => return Err(text),
                Ok(()) => return Ok(()),
            }
        }
        let small = pointer(letter);
        let body = message::body(&small).unwrap_or_default();
        self.send_body(&small, body).await.map_err(|refusal| match refusal {
            Refusal::TooLarge => {
                "not even a pointer to the record fits. Raise the queue's MaximumMessageSize".to_owned()
            }
            Refusal::Other(text) => text,
        })
    }

    async fn send_body(&self, letter: &Record, body: String) -> Result<(), Refusal> {
        let call = Call::new(&self.arn);
        let mut request = self
            .client()
            .await
            .send_message()
            .queue_url(self.arn.url())
            .message_body(body);
        for (name, kind, value) in message::attributes(letter) {
            let attribute = MessageAttributeValue::builder()
                .data_type(kind)
                .string_value(value)
                .build();
            let attribute = attribute.map_err(|error| Refusal::Other(error.to_string()))?;
            request = request.message_attributes(name, attribute);
        }
        if self.arn.is_fifo() {
            request = request
                .message_group_id(message::group(letter))
                .message_deduplication_id(message::deduplication(letter));
        }
        let response = request.customize().interceptor(call.observer()).send().await;
        response.map(|_| ()).map_err(|error| call.refusal(&error))
    }

    fn failure(&self, what: &str) -> Failure {
        Failure::Retry(format!("dead letters cannot be sent to {}: {what}", self.arn))
    }
}

impl Processor for SqsQueue {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        for (settled, letter) in chunk.records().iter().enumerate() {
            let left = run.time_left();
            if left < MIN_TIME {
                return Progress { settled, stop: None };
            }
            match timeout(left, self.send(letter)).await {
                Ok(Ok(())) => {}
                Ok(Err(what)) => {
                    let stop = Some(self.failure(&what));
                    return Progress { settled, stop };
                }
                // The end of the run is no failure of the queue.
                Err(_) => {
                    tracing::warn!(
                        queue = %self.arn,
                        waited_ms = left.as_millis(),
                        "the run ended before a dead letter was acknowledged"
                    );
                    return Progress { settled, stop: None };
                }
            }
        }
        Progress::all(chunk)
    }

    fn decodes(&self, _topic: &str) -> bool {
        true
    }
}
