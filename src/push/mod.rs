//! A pushed batch: records that AWS's event source mapping, or a pipe of
//! `EventBridge`, has read. They go through the same filter, decoder, processor and
//! dead letters as those of a run. No table and no broker is contacted: AWS
//! keeps the positions.
//!
//! Partitions are worked on side by side, each in the order of its offsets.
//! What is not settled is sent again by AWS: either the whole batch, because
//! the invocation fails, or with `REPORT_BATCH_ITEM_FAILURES=true` the records
//! that the response names.

mod failure;
mod partition;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures::StreamExt as _;

use crate::clock::{Clock as _, Deadline};
use crate::error::{Error, ErrorType};
use crate::invoke::{self, Allowance, Backend, Invoked, MAX_DEAD_LETTERS, MIN_WORK, Parts, Response};
use crate::kafka_event::response::{BatchItemFailure, BatchResponse};
use crate::processor::Processor;
use crate::record::Chunk;
use crate::report::{Blocked, PartitionReport, RunReport, Status, TopicCounts, metrics_line};
use partition::{PartitionFailure, PartitionOutcome, Worker};

/// How many partitions are worked on at once.
const PARTITIONS_AT_ONCE: usize = 16;

/// The outcome of a pushed batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The report, with the metrics; logged already.
    pub invoked: Invoked,
    /// The records that are not settled, by partition in ascending order.
    pub response: BatchResponse,
}

impl Pushed {
    /// What the function returns: the response, or the error that fails the
    /// invocation, so that AWS sends the whole batch again.
    ///
    /// | not settled | `report` (`REPORT_BATCH_ITEM_FAILURES`) | returned |
    /// |---|---|---|
    /// | nothing | either | the empty response |
    /// | records that failed or were out of time | `true` | the response that names them |
    /// | the same | `false` | the error |
    /// | records of a fatal failure, or all because a topic has no handler | either | the error, so that the function shows it |
    pub fn returned(&self, report: bool) -> Result<&BatchResponse, &Error> {
        match self.invoked.error() {
            Some(error) if !report || is_of_all_records(error.kind) => Err(error),
            _ => Ok(&self.response),
        }
    }
}

/// Whether the failure is not that of a record.
fn is_of_all_records(kind: ErrorType) -> bool {
    matches!(kind, ErrorType::DestinationFailed | ErrorType::InvalidEvent)
}

/// What the partitions of one batch share.
struct Push<'a, B: Backend> {
    parts: &'a Parts<B>,
    /// When records must be settled.
    stop_at: Instant,
    /// Identifies the batch to the processor.
    id: Arc<str>,
    stopped: AtomicBool,
    dead_letters_left: Allowance,
}

impl<B: Backend> Push<'_, B> {
    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether so little time is left that a handler, or the target of dead
    /// letters, may decline to start.
    fn is_nearly_out_of_time(&self) -> bool {
        self.parts.clock.now() + MIN_WORK > self.stop_at
    }

    /// Whether a failure that concerns all records was found.
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// Processes `chunks`, one for each partition, within `deadline`, and logs the
/// report. No chunks: nothing is called. If the processor has no handler for one
/// of the topics, no record is handed over.
pub async fn push<B: Backend>(parts: &Parts<B>, chunks: Vec<Chunk>, deadline: Deadline) -> Pushed {
    let started = parts.clock.now();
    let push = Push {
        parts,
        stop_at: deadline.less_reserve(&parts.clock).at,
        id: uuid::Uuid::new_v4().to_string().into(),
        stopped: AtomicBool::new(false),
        dead_letters_left: Allowance::new(MAX_DEAD_LETTERS),
    };
    let mut refused = without_handler(&parts.processor, &chunks);
    let outcomes: Vec<PartitionOutcome> = if refused.is_some() {
        // One error for all.
        let left = |chunk| PartitionOutcome::left(chunk, refused.take());
        chunks.iter().map(left).collect()
    } else {
        let work = futures::stream::iter(chunks).map(|chunk| Worker::new(&push, chunk).work());
        work.buffered(PARTITIONS_AT_ONCE).collect().await
    };
    let took = parts.clock.now().saturating_duration_since(started);
    let pushed = pushed(parts, outcomes, u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    invoke::log(&pushed.invoked);
    pushed
}

/// The error for topics without a handler.
fn without_handler<P: Processor>(processor: &P, chunks: &[Chunk]) -> Option<Error> {
    let topics = chunks.iter().map(|chunk| &*chunk.partition().topic);
    let without: BTreeSet<&str> = topics.filter(|topic| !processor.takes(topic)).collect();
    if without.is_empty() {
        return None;
    }
    let names: Vec<&str> = without.into_iter().collect();
    let what = format!(
        "No handler for topic {}. No record of the batch was handed over, and AWS sends all of them again",
        names.join(", ")
    );
    let next = "Add a route for it to DESTINATION, or `topic` or `otherwise` to the routes of the handler";
    Some(Error::new(ErrorType::InvalidEvent, what).next(next))
}

fn pushed<B: Backend>(parts: &Parts<B>, outcomes: Vec<PartitionOutcome>, duration_ms: u64) -> Pushed {
    let mut report = RunReport {
        duration_ms,
        ..RunReport::default()
    };
    let mut errors = Vec::new();
    let mut failures = Vec::new();
    let mut counts: BTreeMap<Arc<str>, TopicCounts> = BTreeMap::new();
    for outcome in outcomes {
        count(counts.entry(outcome.partition.topic.clone()).or_default(), &outcome);
        failures.extend(
            outcome
                .left
                .iter()
                .map(|offset| BatchItemFailure::new(&outcome.partition, *offset)),
        );
        add(&mut report, &mut errors, outcome);
    }
    if let Some(error) = invoke::most_severe(errors) {
        report.status = Status::Failed;
        report.error = Some(error);
    }
    let line = |(topic, counts): (&Arc<str>, &TopicCounts)| {
        metrics_line(
            &parts.config.group_id,
            topic,
            counts,
            duration_ms,
            parts.clock.wall_ms(),
        )
    };
    let metrics = counts.iter().map(line).collect();
    Pushed {
        invoked: Invoked {
            response: Response::Run(Box::new(report)),
            metrics,
        },
        response: BatchResponse {
            batch_item_failures: failures,
        },
    }
}

fn count(counts: &mut TopicCounts, outcome: &PartitionOutcome) {
    counts.polled += outcome.polled;
    counts.filtered += outcome.filtered;
    counts.processed += outcome.processed;
    counts.invoked += outcome.processed + outcome.failed_tries - outcome.undecodable;
    counts.failed += outcome.failed_tries;
    counts.dropped += outcome.skipped.count();
    counts.dead_lettered += outcome.dead_lettered;
    let is_blocked = |failure: &PartitionFailure| failure.error.kind == ErrorType::PartitionBlocked;
    counts.blocked += u64::from(outcome.failure.as_ref().is_some_and(is_blocked));
}

fn add(report: &mut RunReport, errors: &mut Vec<Error>, outcome: PartitionOutcome) {
    report.messages_processed += outcome.processed;
    report.bytes += outcome.bytes;
    report.filtered += outcome.filtered;
    report.dead_lettered += outcome.dead_lettered;
    report.skipped.extend(outcome.skipped.ranges(&outcome.partition));
    if let (Some(failure), Some(offset)) = (outcome.failure, outcome.left.first()) {
        if failure.error.kind == ErrorType::PartitionBlocked {
            report.blocked.push(Blocked {
                place: outcome.partition.clone(),
                offset: *offset,
                error: failure.error.message(),
                attempts: failure.attempts,
                next_try_at: None,
            });
        }
        errors.push(failure.error);
    }
    report.partitions.push(PartitionReport {
        place: outcome.partition,
        first_offset: outcome.first_offset,
        last_offset: None,
        messages: outcome.processed,
        end_offset: None,
        lag: None,
        quarantine: None,
    });
}
