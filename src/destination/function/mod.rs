//! A Lambda function as destination, in any language. It gets AWS's
//! [Kafka event](crate::kafka_event), so that a handler written for AWS's event source
//! mapping works unchanged.
//!
//! **Calls.** A synchronous `Invoke` with at most `BATCH_SIZE` records and 6,291,456
//! bytes. One at a time for each partition, in the order of offsets; with
//! `PARALLELIZATION_FACTOR` as many at once, with the records of each key in one at a time.
//!
//! **Outcomes.** `outcome.rs` has the table. A batch that fails is
//! halved, in order, until the record that fails is alone: only then an attempt counts.
//! Records that succeeded behind it are not sent again in this run; the next run sends
//! them again, because only a cursor is stored.
//!
//! **Repetition.** A call whose response is lost, or that the end of the run cuts off,
//! is made again: the function may handle a record twice. Topic, partition and offset
//! identify it.
//!
//! **Time.** A call has no time-out of its own: the run ends it. The function then goes
//! on by itself, up to its own timeout.
//!
//! **Permissions.** `lambda:InvokeFunction` on the ARN, with its alias or version.
//!
//! | file | |
//! |---|---|
//! | `tried.rs` | which records the next call holds; pure |
//! | `outcome.rs` | what the end of a call means; pure |
//! | `client.rs` | the call |
//! | `emulator.rs` | where emulators of Lambda differ from it; pure |

mod client;
mod emulator;
mod outcome;
mod tried;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::ops::Range;

use crate::config::{Config, FunctionArn};
use crate::kafka_event::MAX_PAYLOAD_BYTES;
use crate::kafka_event::write::{Batch, Envelope, Payload};
use crate::processor::{Failure, Processor, Progress, RunContext, RunMemory};
use crate::record::{Chunk, Record};
use client::{FunctionClient, Response};
pub(crate) use outcome::Outcome;
#[cfg(feature = "cli")]
pub(crate) use outcome::Refusal;
use tried::Tried;

/// `BatchSize` of AWS's event source mappings, where none is set.
const BATCH_SIZE: NonZeroUsize = NonZeroUsize::new(100).expect("not zero");

/// A function as destination.
pub struct Function {
    arn: FunctionArn,
    envelope: Envelope,
    batch_size: NonZeroUsize,
    client: FunctionClient,
    tried: RunMemory<Tried>,
}

impl Function {
    /// The function `arn`. Nothing is connected before the first record.
    #[must_use]
    pub fn new(config: &Config, arn: FunctionArn, batch_size: Option<NonZeroUsize>) -> Self {
        Self {
            envelope: config.envelope(),
            batch_size: batch_size.unwrap_or(BATCH_SIZE),
            client: FunctionClient::new(arn.clone()),
            arn,
            tried: RunMemory::default(),
        }
    }

    /// Calls the function until the first record is settled, or has failed.
    async fn work(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        let offsets: Vec<i64> = chunk.records().iter().map(|record| record.offset).collect();
        let next = |tried: &mut Tried| match tried.settled(&offsets) {
            0 => tried.next(&offsets).ok_or(offsets.len()),
            settled => {
                tried.forget(&offsets[..settled]);
                Err(settled)
            }
        };
        loop {
            let next = match self.tried.with(chunk.partition(), run, next) {
                Ok(next) => next,
                Err(settled) => return Progress { settled, stop: None },
            };
            let (batch, outcome) = self.call(chunk, next, run).await;
            let failure = self
                .tried
                .with(chunk.partition(), run, |tried| apply(tried, &offsets[batch], outcome));
            if let Some(failure) = failure {
                return Progress {
                    settled: 0,
                    stop: Some(failure),
                };
            }
        }
    }

    /// Calls the function with the first of the records `next`, as many as a call takes.
    /// Returns which they were.
    async fn call(&self, chunk: &Chunk, next: Range<usize>, run: &RunContext) -> (Range<usize>, Outcome) {
        let first = next.start;
        let most = NonZeroUsize::new(next.len()).map_or(NonZeroUsize::MIN, |most| most.min(self.batch_size));
        let batch = self
            .envelope
            .encode(chunk)
            .map(|encoded| encoded.batch(first, most, MAX_PAYLOAD_BYTES));
        let Ok(Some(Batch { records, payload })) = batch else {
            let what = "the records could not be written as an event".to_owned();
            return (first..first + 1, Outcome::Failed(what));
        };
        let outcome = match payload {
            Payload::TooLarge { .. } => Outcome::TooLarge,
            Payload::Fits(event) => self.invoke(event, &chunk.records()[records.clone()], run).await,
        };
        (records, outcome)
    }

    /// Calls the function with the event of these records.
    async fn invoke(&self, event: Vec<u8>, sent: &[Record], run: &RunContext) -> Outcome {
        let partition = &sent[0].partition;
        let (first_offset, last_offset) = (sent[0].offset, sent[sent.len() - 1].offset);
        let mut failed_request = None;
        let outcome = match self.client.invoke(event, run).await {
            Response::Refused(outcome) => outcome,
            Response::FunctionError { payload, request_id } => {
                failed_request = request_id;
                Outcome::of_function_error(&payload)
            }
            Response::Returned(payload) => {
                let offsets: BTreeSet<i64> = sent.iter().map(|record| record.offset).collect();
                Outcome::of_response(&payload, partition, &offsets)
            }
        };
        if let Outcome::Failed(error) = &outcome {
            tracing::warn!(function = %self.arn, %partition, first_offset, last_offset, request_id = failed_request, error, "a call failed");
        }
        outcome
    }
}

/// Notes the outcome of a call with these offsets, which begin at the first that is not
/// settled. Returns the failure of that record, if it was alone in the call, or of all.
fn apply(tried: &mut Tried, batch: &[i64], outcome: Outcome) -> Option<Failure> {
    let alone = batch.len() == 1;
    match outcome {
        Outcome::Succeeded => tried.succeeded(batch),
        Outcome::Reported(_) if alone => {
            return Some(Failure::Retry("the function reported the record as failed".to_owned()));
        }
        Outcome::Reported(failed) => tried.reported(batch, &failed),
        Outcome::Failed(text) if alone => return Some(Failure::Retry(text)),
        Outcome::TooLarge if alone => {
            return Some(Failure::Poison(format!(
                "MaximumPayloadSizeExceeded: the event of this record alone is larger than {MAX_PAYLOAD_BYTES} bytes, \
                 and Lambda takes no larger one"
            )));
        }
        // The next call holds half of it.
        Outcome::Failed(_) | Outcome::TooLarge => tried.failed(batch),
        Outcome::Throttled(text) => return Some(Failure::Throttled(text)),
        Outcome::Fatal(text) => return Some(Failure::Fatal(text)),
    }
    None
}

impl Processor for Function {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        if run.attempt > 1 {
            // It has failed before: a batch with it would fail again.
            let first = chunk.records()[0].offset;
            self.tried.with(chunk.partition(), run, |tried| tried.alone(first));
        }
        self.work(chunk, run).await
    }

    fn batch_size(&self, _topic: &str) -> Option<NonZeroUsize> {
        Some(self.batch_size)
    }
}
