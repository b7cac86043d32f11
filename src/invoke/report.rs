//! The state of each partition, its decision and its outcome -> the report of a
//! run and its metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::run::{PartitionRun, Run, Scope};
use super::worker::{CHECK_BROKERS, EndReason, PartitionOutcome, PartitionWorker, ReadFailure, Stored};
use super::{Backend, Invoked, Response, next_step};
use crate::claim::{ChunkLimit, Failures, PassedOver, Unreported};
use crate::clock::Clock;
use crate::error::{Error, ErrorType};
use crate::plan::{self, Decision, PartitionPlan};
use crate::record::{NextOffset, TopicPartition};
use crate::report::{
    Blocked, Held, MAX_MESSAGE_BYTES, PartitionReport, RunReport, Status, StopReason, TopicCounts,
    UnavailablePartition, UnprocessedRange, metrics_line,
};
use crate::text::cut;

/// The report of a run, and its metrics.
pub(super) fn report<B: Backend>(run: &Run<'_, B>, scope: &Scope, interrupted: bool) -> Invoked {
    let mut builder = ReportBuilder {
        is_backfill: run.backfill.is_some(),
        counts: run
            .topics
            .iter()
            .map(|topic| (topic.clone(), TopicCounts::default()))
            .collect(),
        errors: scope.error.iter().cloned().collect(),
        ..ReportBuilder::default()
    };
    for partition in &scope.partitions {
        builder.partition(partition);
    }
    let ReportBuilder {
        mut report,
        errors,
        counts,
        behind,
        ..
    } = builder;
    report.last_offsets.with_topic = run.config.topics.len() > 1;
    if scope.is_known {
        report.lag = report.lag.or(scope.partitions.is_empty().then_some(0));
        report.stop_reason = Some(stop_reason(&report, &scope.partitions, interrupted));
    }
    report.duration_ms = run.now_ms();
    report.backfill = run.backfill.map(|request| request.name.to_string());
    report.done = run.backfill.map(|_| scope.is_known && behind == 0);
    if let Some(error) = most_severe(errors) {
        report.status = Status::Failed;
        report.error = Some(error);
    }
    let metrics = counts
        .iter()
        .map(|(topic, counts)| {
            metrics_line(
                &run.config.group_id,
                // A backfill's lag is not the group's.
                &run.consumer(topic).scope(),
                counts,
                report.duration_ms,
                run.clock.wall_ms(),
            )
        })
        .collect();
    Invoked {
        response: Response::Run(Box::new(report)),
        metrics,
    }
}

#[derive(Default)]
struct ReportBuilder {
    report: RunReport,
    is_backfill: bool,
    /// How many partitions have a lag, or an unknown one.
    behind: usize,
    errors: Vec<Error>,
    counts: BTreeMap<Arc<str>, TopicCounts>,
}

impl ReportBuilder {
    fn partition(&mut self, partition: &PartitionRun) {
        let PartitionRun { plan, worker } = partition;
        let (state, worker) = (&plan.state, worker.as_ref());
        let place = state.partition.clone();
        self.decision(&place, plan);
        if let Some(unreported) = partition.unreported_by_earlier_run() {
            self.unreported(&place, &state.partition, unreported);
        }
        if let Some(worker) = worker {
            self.outcome(&place, &state.partition, &worker.outcome);
        }
        let next = match worker {
            Some(worker) if worker.was_claimed() => Some(worker.ledger.stored_at()),
            _ => plan.next_offset(),
        };
        let end = state.end.clone().and_then(Result::ok);
        let lag = next.zip(end).map(|(next, end)| next.distance_to(end));
        self.behind += usize::from(lag != Some(0));
        let counts = self.counts.entry(state.partition.topic.clone()).or_default();
        if let Some(lag) = lag {
            for sum in [&mut self.report.lag, &mut counts.lag] {
                *sum = Some(sum.unwrap_or(0).saturating_add(lag));
            }
        }
        let stored = worker.and_then(|worker| worker.outcome.stored.at());
        let messages = worker.map_or(0, |worker| worker.outcome.messages);
        if messages > 0 || stored.is_some() || lag != Some(0) {
            self.report.partitions.push(PartitionReport {
                place,
                first_offset: worker.and_then(|worker| worker.outcome.first_offset),
                last_offset: stored.map(NextOffset::last_processed),
                messages,
                end_offset: end.map(NextOffset::get),
                lag,
                quarantine: worker.and_then(PartitionWorker::quarantine).map(quarantine),
            });
        }
    }

    fn decision(&mut self, place: &TopicPartition, plan: &PartitionPlan) {
        let state = &plan.state;
        let partition = &state.partition;
        match &plan.decision {
            Decision::Read(_) | Decision::Idle => {}
            Decision::Paused => self.report.paused.push(place.clone()),
            Decision::Held(until) => self.report.held.push(Held {
                place: place.clone(),
                until: Some(*until),
            }),
            Decision::BackingOff => {
                let Some(Ok(cursor)) = &state.cursor else { return };
                let Some(failures) = cursor.failures() else { return };
                self.blocked(place, partition, failures);
            }
            Decision::Truncated(what) => {
                let advice = if self.is_backfill {
                    "Start a backfill of another name for what is there now".to_owned()
                } else if state.end.is_none() {
                    format!("Delete the cursor: {}", next_step::delete(partition))
                } else {
                    let reset = next_step::reset(partition, "--to-earliest");
                    format!("Set ON_TRUNCATION to earliest or latest, or move the cursor: {reset}, or --to-latest")
                };
                let what = format!("{partition}: {what}. Its cursor was not changed");
                self.errors.push(Error::new(ErrorType::Truncated, what).next(advice));
            }
            Decision::RetentionLoss(range) => {
                let what = format!(
                    "offsets {} to {} of {partition} were deleted by retention before they were read. Its cursor was \
                     not changed",
                    range.first, range.last
                );
                let advice = if self.is_backfill {
                    "Set ON_RETENTION_LOSS=continue, or start a backfill of another name".to_owned()
                } else {
                    let reset = next_step::reset(partition, "--to-earliest");
                    format!("Set ON_RETENTION_LOSS=continue, or move the cursor: {reset}")
                };
                self.errors
                    .push(Error::new(ErrorType::RetentionLoss, what).next(advice));
            }
            Decision::Unavailable(error) => {
                let what = format!("{partition} could not be read: {error}. Its cursor was not changed");
                self.errors
                    .push(Error::new(ErrorType::BrokerUnreachable, what).next(CHECK_BROKERS));
                self.unavailable(place, error.clone());
            }
            Decision::Invalid(invalid) => self.errors.push(invalid.clone().into()),
        }
    }

    fn blocked(&mut self, place: &TopicPartition, partition: &TopicPartition, failures: &Failures) {
        let offset = failures.offset.get();
        self.counts.entry(partition.topic.clone()).or_default().blocked += 1;
        let error = failures.error.clone().unwrap_or_else(|| plan::NO_REASON.into());
        let next_try_at = failures.next_try_at_ms;
        let skip = next_step::skip(partition, failures.offset, self.is_backfill);
        self.errors
            .push(blocked_error(partition, offset, &error, next_try_at, &skip));
        self.report.blocked.push(Blocked {
            place: place.clone(),
            offset,
            error,
            attempts: failures.all_attempts(),
            next_try_at,
        });
    }

    fn read_failed(&mut self, place: &TopicPartition, partition: &TopicPartition, failure: &ReadFailure) {
        self.errors.push(failure.error(partition, self.is_backfill));
        self.unavailable(place, failure.to_string());
    }

    fn unavailable(&mut self, place: &TopicPartition, error: String) {
        self.report.unavailable.push(UnavailablePartition {
            place: place.clone(),
            error,
        });
    }

    fn outcome(&mut self, place: &TopicPartition, partition: &TopicPartition, outcome: &PartitionOutcome) {
        let counts = self.counts.entry(partition.topic.clone()).or_default();
        counts.polled += outcome.polled;
        counts.processed += outcome.messages;
        counts.failed += outcome.failed_tries;
        counts.dropped += outcome.skipped.count();
        counts.filtered += outcome.filtered;
        counts.invoked += outcome.messages + outcome.failed_tries - outcome.undecodable;
        self.report.filtered += outcome.filtered;
        counts.dead_lettered += outcome.dead_lettered;
        self.report.dead_lettered += outcome.dead_lettered;
        self.report.messages_processed += outcome.messages;
        self.report.bytes += outcome.bytes;
        if let Some(stored) = outcome.stored.at() {
            self.report
                .last_offsets
                .entries
                .push((partition.clone(), stored.last_processed()));
        }
        // A jump that was not stored is made and reported by the next run. Where
        // that is unknown it is reported twice rather than never.
        if let Some((range, reason)) = outcome.lost
            && outcome.stored != Stored::Nothing
        {
            counts.lost += range.count();
            self.report.lost.push(UnprocessedRange {
                place: place.clone(),
                range,
                reason: reason.into(),
            });
        }
        self.report.skipped.extend(outcome.skipped.ranges(place));
        self.errors.extend(outcome.errors().cloned());
        match &outcome.end {
            Some(EndReason::Held { until_ms }) => self.report.held.push(Held {
                place: place.clone(),
                until: *until_ms,
            }),
            Some(EndReason::Paused) => self.report.paused.push(place.clone()),
            Some(EndReason::Blocked(failures)) => self.blocked(place, partition, failures),
            Some(EndReason::ReadFailed(failure)) => self.read_failed(place, partition, failure),
            Some(
                EndReason::CaughtUp
                | EndReason::ShareUsed
                | EndReason::OutOfTime
                | EndReason::Failed(_)
                | EndReason::NotClaimed(_)
                | EndReason::ClaimLost(_),
            )
            | None => {}
        }
    }

    /// What an earlier run passed over and did not report.
    fn unreported(&mut self, place: &TopicPartition, partition: &TopicPartition, unreported: &Unreported) {
        let unprocessed = |passed: &PassedOver| UnprocessedRange {
            place: place.clone(),
            range: passed.range,
            reason: format!("{} (by an earlier run, which ended before its report)", passed.reason),
        };
        self.report.skipped.extend(unreported.skipped.iter().map(unprocessed));
        let counts = self.counts.entry(partition.topic.clone()).or_default();
        counts.dropped += unreported.skipped_records;
        counts.lost += unreported.lost.iter().map(|lost| lost.range.count()).sum::<u64>();
        self.report.lost.extend(unreported.lost.iter().map(unprocessed));
    }
}

fn quarantine(limit: ChunkLimit) -> &'static str {
    match limit {
        ChunkLimit::Small => "small_chunks",
        ChunkLimit::Single => "single_records",
    }
}

/// `skip`: how to skip the record.
fn blocked_error(
    partition: &TopicPartition,
    offset: i64,
    error: &str,
    next_try_at_ms: Option<i64>,
    skip: &str,
) -> Error {
    let retry = next_try_at_ms.map_or_else(String::new, |ms| {
        let at = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
        format!(". It is tried again after {at}")
    });
    let what = format!("{partition} is blocked at offset {offset}: {error}{retry}");
    Error::new(ErrorType::PartitionBlocked, what).next(format!(
        "Correct the cause, choose another ON_FAILURE, or skip offset {offset}: {skip}"
    ))
}

/// The error that a run fails with: the most severe one. Its message counts the
/// others.
/// The most severe of `errors`, with the number of the others.
pub(crate) fn most_severe(mut errors: Vec<Error>) -> Option<Error> {
    // Stable: among equals, the first partition's.
    errors.sort_by_key(|error| std::cmp::Reverse(error.kind.severity()));
    let others = errors.len().saturating_sub(1);
    let mut first = errors.into_iter().next()?;
    let more = if others > 0 {
        format!(" ({others} more in the report)")
    } else {
        String::new()
    };
    first.what = format!("{}{more}", cut(first.message(), MAX_MESSAGE_BYTES - more.len()));
    first.next.clear();
    Some(first)
}

fn stop_reason(report: &RunReport, partitions: &[PartitionRun], interrupted: bool) -> StopReason {
    let ends = || {
        partitions
            .iter()
            .filter_map(|it| Some(&it.worker.as_ref()?.outcome.end))
    };
    let any = |is: fn(&EndReason) -> bool| ends().flatten().any(is);
    if report.lag == Some(0) {
        StopReason::CaughtUp
    } else if interrupted {
        StopReason::Interrupted
    } else if any(|end| matches!(end, EndReason::OutOfTime)) {
        StopReason::Deadline
    } else if ends().any(Option::is_none) || any(|end| matches!(end, EndReason::ShareUsed)) {
        StopReason::MaxMessages
    } else if !report.held.is_empty() {
        StopReason::Held
    } else {
        StopReason::CaughtUp
    }
}
