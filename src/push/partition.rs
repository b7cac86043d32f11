//! The records of one partition of a pushed batch: decode -> process -> settle,
//! in the order of their offsets.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use super::Push;
use super::failure::{Next, next};
use crate::clock::Clock;
use crate::dead_letter::{self, Reason, Stage};
use crate::decode;
use crate::error::{Error, ErrorType};
use crate::invoke::{Backend, MAX_DEAD_LETTERS, pause_after, throttled_pause};
use crate::ledger::parallel_chunk;
use crate::processor::{Failure, Processor, Progress, RunContext, panic_message};
use crate::record::{Chunk, Record, TopicPartition};
use crate::report::{SkipReason, SkippedRecords};

/// How many records are handed over at once: of a call that is cut off at the
/// deadline, all of them are repeated.
const MAX_CHUNK: usize = 100;

/// What was done with the records of one partition.
#[derive(Debug)]
pub(super) struct PartitionOutcome {
    pub(super) partition: TopicPartition,
    pub(super) polled: u64,
    pub(super) filtered: u64,
    pub(super) first_offset: Option<i64>,
    pub(super) processed: u64,
    pub(super) bytes: u64,
    pub(super) failed_tries: u64,
    /// Of these, how many failed before the handler: the record could not be decoded.
    pub(super) undecodable: u64,
    pub(super) skipped: SkippedRecords,
    pub(super) dead_lettered: u64,
    /// Why the records of `left` are not settled.
    pub(super) failure: Option<PartitionFailure>,
    /// The offsets that are not settled, in ascending order: the one that failed
    /// and all behind it.
    pub(super) left: Vec<i64>,
}

/// Why a partition's records are left.
#[derive(Debug)]
pub(super) struct PartitionFailure {
    pub(super) error: Error,
    /// The attempts of the first record that is left.
    pub(super) attempts: u32,
}

/// Works on the records of one partition.
pub(super) struct Worker<'a, B: Backend> {
    push: &'a Push<'a, B>,
    records: VecDeque<Record>,
    outcome: PartitionOutcome,
    /// The failed attempts of the first record.
    attempts: u32,
    /// How often the destination was throttled or not ready since the last progress.
    refusals: u32,
    /// Why it did, the last time.
    refusal: Option<String>,
    /// The handler failed without naming a record: it gets one at a time.
    one_at_a_time: bool,
}

impl PartitionOutcome {
    /// Of a partition that no record was handled of.
    fn new(chunk: &Chunk) -> Self {
        Self {
            partition: chunk.partition().clone(),
            polled: chunk.len() as u64,
            filtered: 0,
            first_offset: None,
            processed: 0,
            bytes: 0,
            failed_tries: 0,
            undecodable: 0,
            skipped: SkippedRecords::default(),
            dead_lettered: 0,
            failure: None,
            left: Vec::new(),
        }
    }

    /// All records are left, because of `error` or of that of another partition.
    pub(super) fn left(chunk: &Chunk, error: Option<Error>) -> Self {
        Self {
            failure: error.map(|error| PartitionFailure { error, attempts: 0 }),
            left: chunk.records().iter().map(|record| record.offset).collect(),
            ..Self::new(chunk)
        }
    }
}

impl<'a, B: Backend> Worker<'a, B> {
    pub(super) fn new(push: &'a Push<'a, B>, chunk: Chunk) -> Self {
        let outcome = PartitionOutcome::new(&chunk);
        let mut records: VecDeque<Record> = chunk.into_records().into();
        if let Some(filter) = &push.parts.config.filter(&outcome.partition.topic) {
            records.retain(|record| filter.matches(record));
        }
        Self {
            push,
            outcome: PartitionOutcome {
                filtered: outcome.polled - records.len() as u64,
                ..outcome
            },
            records,
            attempts: 0,
            refusals: 0,
            refusal: None,
            one_at_a_time: false,
        }
    }

    pub(super) async fn work(mut self) -> PartitionOutcome {
        while !self.records.is_empty() && self.outcome.failure.is_none() {
            if self.push.is_stopped() {
                // The failure is that of the other partition.
                break;
            }
            if self.push.parts.clock.now() >= self.push.stop_at {
                self.out_of_time();
            } else {
                self.step().await;
            }
        }
        self.outcome.left = self.records.iter().map(|record| record.offset).collect();
        self.outcome
    }

    /// Hands over the records up to the first that cannot be decoded, or acts on
    /// that one.
    async fn step(&mut self) {
        let count = if self.one_at_a_time { 1 } else { self.chunk_size() };
        let topic = &*self.outcome.partition.topic;
        let mut records: Vec<Record> = self.records.iter().take(count).cloned().collect();
        if !self.push.parts.processor.decodes(topic) {
            let (good, undecodable) = decode::check(self.push.parts.config.message_format(topic), &records);
            if let (0, Some(error)) = (good, undecodable) {
                return self.failed(Stage::Decode, Failure::Undecodable(error)).await;
            }
            records.truncate(good);
        }
        let Some(chunk) = Chunk::new(records) else { return };
        let context = self.context();
        let work = AssertUnwindSafe(self.push.parts.processor.process(&chunk, &context)).catch_unwind();
        match tokio::time::timeout_at(self.push.stop_at.into(), work).await {
            Ok(Ok(progress)) => self.progress(chunk.len(), progress).await,
            Ok(Err(panic)) => {
                let what = format!("the handler panicked: {}", panic_message(&*panic));
                self.failed_without_a_record(chunk.len(), what).await;
            }
            Err(_) => self.out_of_time(),
        }
    }

    /// How many records are handed over at once.
    fn chunk_size(&self) -> usize {
        let (processor, topic) = (&self.push.parts.processor, &*self.outcome.partition.topic);
        let batch_size = processor.batch_size(topic);
        let at_once = processor.parallelization_factor(topic);
        if at_once == NonZeroUsize::MIN {
            return batch_size.map_or(MAX_CHUNK, NonZeroUsize::get);
        }
        parallel_chunk(batch_size.unwrap_or(at_once).get()).max(MAX_CHUNK)
    }

    fn context(&self) -> RunContext {
        RunContext {
            stop_at: self.push.stop_at,
            attempt: self.attempts + 1,
            run_id: self.push.id.clone(),
            group_id: self.push.parts.config.group_id.clone(),
            lag: None,
        }
    }

    async fn progress(&mut self, handed_over: usize, progress: Progress) {
        let settled = progress.settled.min(handed_over);
        for record in self.records.drain(..settled) {
            self.outcome.first_offset.get_or_insert(record.offset);
            self.outcome.processed += 1;
            self.outcome.bytes += record.size_bytes() as u64;
        }
        if settled > 0 {
            self.attempts = 0;
            self.refusals = 0;
            self.refusal = None;
        }
        match progress.stop {
            Some(failure) if settled == handed_over => {
                let partition = &self.outcome.partition;
                let what =
                    format!("the handler settled a whole chunk of {partition} and returned a failure: {failure}");
                self.stop(Error::new(ErrorType::DestinationFailed, what));
            }
            Some(failure) => self.failed(Stage::Handle, failure).await,
            None if settled == 0 && self.push.is_nearly_out_of_time() => self.out_of_time(),
            None if settled == 0 => {
                let no_reason = "the handler settled nothing and gave no reason".to_owned();
                self.failed_without_a_record(handed_over, no_reason).await;
            }
            None => {}
        }
    }

    /// No record of several is blamed: from here on they are handed over one at
    /// a time.
    async fn failed_without_a_record(&mut self, handed_over: usize, what: String) {
        if handed_over == 1 {
            return self.failed(Stage::Handle, Failure::Retry(what)).await;
        }
        let partition = &self.outcome.partition;
        tracing::warn!(%partition, records = handed_over, error = what, "the handler failed, retrying one record at a time");
        self.outcome.failed_tries += 1;
        self.one_at_a_time = true;
    }

    /// The first record failed.
    async fn failed(&mut self, stage: Stage, failure: Failure) {
        let Some(offset) = self.records.front().map(|first| first.offset) else {
            return;
        };
        let failure = failure.cut();
        let config = &self.push.parts.config;
        let partition = self.outcome.partition.clone();
        if let Failure::Throttled(text) = failure {
            return self.wait(text).await;
        }
        self.attempts += 1;
        self.outcome.failed_tries += 1;
        self.outcome.undecodable += u64::from(stage == Stage::Decode);
        match next(&failure, self.attempts, config.max_attempts.get(), &config.on_failure) {
            Next::Retry => {
                tracing::warn!(%partition, offset, tries = self.attempts, error = %failure, "record failed, retrying");
                let pause_ends = self.push.parts.clock.now() + pause_after(self.attempts);
                tokio::time::sleep_until(pause_ends.min(self.push.stop_at).into()).await;
            }
            Next::Skip => {
                tracing::warn!(%partition, offset, error = %failure, "record skipped (ON_FAILURE=skip)");
                let without_place = match &failure {
                    Failure::Undecodable(error) => Some(&*error.reason),
                    Failure::Retry(_) | Failure::Poison(_) | Failure::Throttled(_) | Failure::Fatal(_) => None,
                };
                self.outcome
                    .skipped
                    .add(offset, SkipReason::new(&failure.to_string(), without_place));
                self.pass();
            }
            Next::DeadLetter => self.send_dead_letter(stage, &failure).await,
            Next::Leave => self.leave(blocked(&partition, offset, &failure.to_string())),
            Next::Stop => {
                let what = format!("the handler failed fatally at offset {offset} of {partition}: {failure}");
                let next = "Correct what the failure names; AWS sends the records again";
                self.stop(Error::new(ErrorType::DestinationFailed, what).next(next));
            }
        }
    }

    /// The destination is throttled, or not ready.
    async fn wait(&mut self, text: String) {
        self.refusals += 1;
        let partition = &self.outcome.partition;
        tracing::warn!(%partition, refusals = self.refusals, error = text, "the destination is throttled or not ready, waiting");
        self.refusal = Some(text);
        let pause_ends = self.push.parts.clock.now() + throttled_pause(self.refusals);
        tokio::time::sleep_until(pause_ends.min(self.push.stop_at).into()).await;
    }

    async fn send_dead_letter(&mut self, stage: Stage, failure: &Failure) {
        let Some(record) = self.records.front() else { return };
        let (partition, offset) = (self.outcome.partition.clone(), record.offset);
        let config = &self.push.parts.config;
        let text = failure.to_string();
        if !self.push.dead_letters_left.take() {
            let what = format!(
                "{text}; and this invocation has sent {MAX_DEAD_LETTERS} dead letters, the limit of one: correct what \
                 fails before the whole topic is sent there"
            );
            return self.leave(blocked(&partition, offset, &what));
        }
        let reason = Reason {
            stage,
            error: &text,
            attempts: self.attempts,
            group_id: &config.group_id,
        };
        let Some(chunk) = Chunk::new(vec![dead_letter::dead_letter(record, &reason)]) else {
            return;
        };
        let context = self.context();
        let sending = AssertUnwindSafe(self.push.parts.dead_letters.process(&chunk, &context)).catch_unwind();
        let target = &config.on_failure;
        match tokio::time::timeout_at(self.push.stop_at.into(), sending).await {
            Ok(Ok(Progress { settled: 1.., .. })) => {
                tracing::warn!(%partition, offset, error = text, %target, "record sent as a dead letter");
                self.outcome.dead_lettered += 1;
                self.pass();
            }
            Ok(Ok(Progress { stop: None, .. })) | Err(_) => self.out_of_time(),
            Ok(Ok(Progress {
                stop: Some(refusal), ..
            })) => {
                let what = format!("{text}; and its dead letter was not accepted by {target}: {refusal}");
                self.leave(blocked(&partition, offset, &what));
            }
            Ok(Err(_)) => {
                let what = format!("{text}; and sending its dead letter to {target} panicked");
                self.leave(blocked(&partition, offset, &what));
            }
        }
    }

    /// The first record is settled without having been processed.
    fn pass(&mut self) {
        self.records.pop_front();
        self.attempts = 0;
        self.refusals = 0;
        self.refusal = None;
    }

    fn out_of_time(&mut self) {
        let Some(offset) = self.records.front().map(|first| first.offset) else {
            return;
        };
        let why = self.refusal.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let what = format!(
            "the time ended with offset {offset} of {} unfinished{why}. AWS sends it and the records behind it again",
            self.outcome.partition
        );
        let next = "Give the function more time, or the mapping a smaller BatchSize";
        self.leave(Error::new(ErrorType::Timeout, what).next(next));
    }

    /// Leaves the records of all partitions to AWS.
    fn stop(&mut self, error: Error) {
        self.push.stop();
        self.leave(error);
    }

    fn leave(&mut self, error: Error) {
        let partition = &self.outcome.partition;
        tracing::error!(%partition, offset = self.records.front().map(|first| first.offset), %error, "partition left to AWS");
        let attempts = self.attempts;
        self.outcome.failure = Some(PartitionFailure { error, attempts });
    }
}

fn blocked(partition: &TopicPartition, offset: i64, text: &str) -> Error {
    let what = format!("offset {offset} of {partition} failed: {text}. AWS sends it and the records behind it again");
    let next = "Correct the handler or the record, or set ON_FAILURE to skip it or to send it as a dead letter";
    Error::new(ErrorType::PartitionBlocked, what).next(next)
}
