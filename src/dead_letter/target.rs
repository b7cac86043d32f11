//! The target of dead letters: the processor that `ON_FAILURE` names.

use std::sync::Arc;

use super::kafka::KafkaTopic;
use super::sqs::SqsQueue;
use crate::config::{Config, OnFailure, Target};
use crate::processor::{Failure, Processor, Progress, RunContext};
use crate::record::Chunk;
use crate::security::Security;

/// The target of dead letters, which are made by
/// [`dead_letter`](super::dead_letter). What it settles is written and
/// acknowledged, and only then may the cursor move.
///
/// Every failure is a [`Failure::Retry`] that names the target, what went
/// wrong, and what to do: a target that fails blocks the partition and loses no
/// dead letter. A dead letter may be written twice.
///
/// | what ended the wait | |
/// |---|---|
/// | the target acknowledged | settled |
/// | it refused, or timed out | [`Failure::Retry`] |
/// | the run's `stop_at` | no `stop`: out of time |
pub enum DeadLetters {
    /// `halt` and `skip`: there is none, and it takes no record.
    None,
    /// `kafka://topic`.
    Kafka(Box<KafkaTopic>),
    /// The ARN of an SQS queue.
    Sqs(Box<SqsQueue>),
}

impl DeadLetters {
    /// The target for these settings. Nothing is connected, and no thread is
    /// started, before the first dead letter: most runs have none.
    #[must_use]
    pub fn new(config: &Config, security: &Arc<Security>) -> Self {
        match &config.on_failure {
            OnFailure::Halt | OnFailure::Skip => Self::None,
            OnFailure::DeadLetter(Target::Kafka(topic)) => {
                Self::Kafka(Box::new(KafkaTopic::new(config, Arc::clone(security), topic)))
            }
            OnFailure::DeadLetter(Target::Sqs(queue)) => Self::Sqs(Box::new(SqsQueue::new(queue.clone()))),
        }
    }

    /// Whether there is a target.
    #[must_use]
    pub fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }
}

impl Processor for DeadLetters {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        match self {
            Self::None => Progress {
                settled: 0,
                stop: Some(Failure::Retry(
                    "there is no target for dead letters. Set ON_FAILURE to kafka://<topic> or the ARN of an SQS queue"
                        .to_owned(),
                )),
            },
            Self::Kafka(topic) => topic.process(chunk, run).await,
            Self::Sqs(queue) => queue.process(chunk, run).await,
        }
    }

    /// The values need not be of `MESSAGE_FORMAT`: that may be why they failed.
    fn decodes(&self, _topic: &str) -> bool {
        true
    }
}
