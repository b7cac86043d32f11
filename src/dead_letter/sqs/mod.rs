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
//! may be less. A record that is too large is sent as a [`pointer()`](super::pointer), with
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

mod message;

use aws_sdk_sqs::Client;

use crate::config::QueueArn;
use crate::destination::batched::Batched;
use crate::destination::sqs::QueueSender;
use crate::processor::{Failure, Processor, Progress, RunContext};
use crate::record::Chunk;
use message::LetterMessages;

/// A queue for dead letters. The SQS client is created for the first one.
pub struct SqsQueue {
    arn: QueueArn,
    letters: Batched<QueueSender, LetterMessages>,
}

impl SqsQueue {
    /// The queue `arn`, in its own region. Nothing is connected, and no
    /// credentials are resolved, before the first dead letter.
    #[must_use]
    pub fn new(arn: QueueArn) -> Self {
        let sender = QueueSender::new(arn.clone(), "ON_FAILURE");
        Self::through(arn, sender)
    }

    /// The queue `arn`, reached by `client`.
    #[must_use]
    pub fn with_client(arn: QueueArn, client: Client) -> Self {
        let sender = QueueSender::new(arn.clone(), "ON_FAILURE").with_client(client);
        Self::through(arn, sender)
    }

    fn through(arn: QueueArn, sender: QueueSender) -> Self {
        Self {
            arn,
            letters: Batched::new(sender, LetterMessages, None).ending_with_the_run(),
        }
    }
}

impl Processor for SqsQueue {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        let Progress { settled, stop } = self.letters.process(chunk, run).await;
        // Whatever it is: the dead letter is sent again, and its record is kept.
        let stop =
            stop.map(|failure| Failure::Retry(format!("dead letters cannot be sent to {}: {failure}", self.arn)));
        Progress { settled, stop }
    }

    fn decodes(&self, _topic: &str) -> bool {
        true
    }
}
