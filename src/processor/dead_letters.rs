//! Where dead letters go: the processor that `ON_FAILURE` names.

use std::sync::Arc;

use crate::config::{Config, OnFailure, Target};
use crate::processor::kafka::KafkaTopic;
use crate::processor::sqs::SqsQueue;
use crate::processor::{Failure, Processor, Progress, RunContext};
use crate::record::Chunk;
use crate::security::Security;

/// The target of dead letters. Give it what
/// [`dead_letter`](crate::dead_letter::dead_letter) makes of a record; what it
/// settles is written and acknowledged, and only then may the cursor move.
///
/// Every failure is a [`Failure::Retry`] that names the target, what went
/// wrong, and what to do: a target that is out of order holds dead letters up,
/// and loses none. A dead letter may be written twice.
///
/// | what ended the wait | |
/// |---|---|
/// | the target acknowledged | settled |
/// | it refused, or did not answer within its patience | [`Failure::Retry`] |
/// | the run's `stop_at` | no `stop`: out of time, whatever the target is like |
pub enum DeadLetters {
    /// `halt` and `skip`: there is none, and nothing may be given to it.
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

    /// They need not be what `MESSAGE_FORMAT` says: that may be why they are here.
    fn decodes(&self) -> bool {
        true
    }
}
