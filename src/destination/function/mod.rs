//! A Lambda function, in any language: it gets AWS's Kafka event.

use std::num::NonZeroUsize;

use crate::config::{Config, FunctionArn};
use crate::processor::{Failure, Processor, Progress, RunContext};
use crate::record::Chunk;

/// `BatchSize` of AWS's mapping where none is set.
const BATCH_SIZE: NonZeroUsize = NonZeroUsize::new(100).expect("not zero");

/// A function as destination.
pub struct Function {
    arn: FunctionArn,
    batch_size: NonZeroUsize,
}

impl Function {
    /// The function `arn`. Nothing is connected before the first record.
    #[must_use]
    pub fn new(_config: &Config, arn: FunctionArn, batch_size: Option<NonZeroUsize>) -> Self {
        Self {
            arn,
            batch_size: batch_size.unwrap_or(BATCH_SIZE),
        }
    }
}

impl Processor for Function {
    async fn process(&self, _chunk: &Chunk, _run: &RunContext) -> Progress {
        Progress {
            settled: 0,
            stop: Some(Failure::Fatal(format!("{} cannot be invoked yet", self.arn))),
        }
    }

    fn batch_size(&self, _topic: &str) -> Option<NonZeroUsize> {
        Some(self.batch_size)
    }
}
