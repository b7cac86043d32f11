//! The state of each partition, decisions and outcomes -> the report and its metrics.

use std::collections::BTreeMap;

use super::lane::{End, Lane, Outcome, Stored, Unread};
use super::notes::note_to_report;
use super::survey::Survey;
use super::{Answer, Counts, Invoked, Lanes, REPORT_TARGET, Run, Seams};
use crate::claim::{BatchLimit, Failures, PassedOver, Unreported};
use crate::clock::Clock;
use crate::error::{Error, ErrorType};
use crate::event::RunRequest;
use crate::plan::{self, Decision, PartitionState, Reading};
use crate::record::{NextOffset, TopicPartition};
use crate::report::{
    Blocked, Held, LONGEST_MESSAGE_BYTES, OffsetRange, PartitionReport, PlanReport, PlannedPartition, RunReport,
    Status, StopReason, TopicCounts, UnavailablePartition, metrics_line,
};
use crate::text::cut;

/// The report of a run, its log line and its metrics.
pub(super) fn summarize<D: Seams>(
    run: &Run<'_, D>,
    facts: &[PartitionState],
    decisions: &[Decision],
    chosen: &[usize],
    lanes: &Lanes,
    failed: Option<Error>,
) -> Invoked {
    let mut books = Books {
        backfill: run.backfill.is_some(),
        counts: run
            .topics
            .iter()
            .map(|topic| (topic.clone(), TopicCounts::default()))
            .collect(),
        errors: failed.into_iter().collect(),
        ..Books::default()
    };
    let done: BTreeMap<&TopicPartition, &Lane> = lanes.done.iter().map(|lane| (&lane.partition, lane)).collect();
    for &i in chosen {
        books.partition(&facts[i], &decisions[i], done.get(&facts[i].partition).copied());
    }
    let Books {
        mut report,
        errors,
        counts,
        behind,
        ..
    } = books;
    report.last_offsets.with_topic = run.config.topics.len() > 1;
    if !facts.is_empty() {
        report.lag = report.lag.or(chosen.is_empty().then_some(0));
        report.stop_reason = Some(stop_reason(&report, lanes));
    }
    report.duration_ms = run.now_ms();
    report.backfill = run.backfill.map(|request| request.name.to_string());
    report.done = run.backfill.map(|_| !facts.is_empty() && behind == 0);
    if let Some(error) = worst(errors) {
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
        answer: Answer::Run(Box::new(report)),
        metrics,
    }
}

#[derive(Default)]
struct Books {
    report: RunReport,
    backfill: bool,
    /// How many partitions do not stand at their end.
    behind: usize,
    errors: Vec<Error>,
    counts: Counts,
}

impl Books {
    fn partition(&mut self, facts: &PartitionState, decision: &Decision, lane: Option<&Lane>) {
        let place = facts.partition.clone();
        self.decision(&place, facts, decision);
        if let Some(note) = note_to_report(facts, decision, lane) {
            self.note(&place, &facts.partition, note);
        }
        if let Some(lane) = lane {
            self.outcome(&place, &facts.partition, &lane.outcome);
        }
        let next = match lane {
            Some(lane) if lane.was_claimed() => Some(lane.ledger.stored_at()),
            _ => plan::next_offset(facts, decision),
        };
        let end = facts.end.clone().and_then(Result::ok);
        let lag = next.zip(end).map(|(next, end)| next.distance_to(end));
        self.behind += usize::from(lag != Some(0));
        let counts = self.counts.entry(facts.partition.topic.clone()).or_default();
        if let Some(lag) = lag {
            for sum in [&mut self.report.lag, &mut counts.lag] {
                *sum = Some(sum.unwrap_or(0).saturating_add(lag));
            }
        }
        let stored = lane.and_then(|lane| lane.outcome.stored.at());
        let messages = lane.map_or(0, |lane| lane.outcome.messages);
        if messages > 0 || stored.is_some() || lag != Some(0) {
            self.report.partitions.push(PartitionReport {
                place,
                first_offset: lane.and_then(|lane| lane.outcome.first_offset),
                last_offset: stored.map(NextOffset::last_processed),
                messages,
                end_offset: end.map(NextOffset::get),
                lag,
                quarantine: lane.and_then(Lane::quarantine).map(quarantine),
            });
        }
    }

    fn decision(&mut self, place: &TopicPartition, facts: &PartitionState, decision: &Decision) {
        let partition = &facts.partition;
        match decision {
            Decision::Read(_) | Decision::Idle => {}
            Decision::Paused => self.report.paused.push(place.clone()),
            Decision::Held(until) => self.report.held.push(Held {
                place: place.clone(),
                until: Some(*until),
            }),
            Decision::BackingOff => {
                let Some(Ok(cursor)) = &facts.cursor else { return };
                let Some(failures) = cursor.failures() else { return };
                self.blocked(place, partition, failures);
            }
            Decision::Truncated(what) => {
                let advice = if self.backfill {
                    "Start a backfill of another name for what is there now"
                } else if facts.end.is_none() {
                    "Delete it with `kafka-consumer offsets delete`"
                } else {
                    "Decide with ON_TRUNCATION=earliest or latest, or correct the item's offset"
                };
                let message = format!("{partition}: {what}. Its cursor was left alone. {advice}");
                self.errors.push(Error::new(ErrorType::Truncated, message));
            }
            Decision::RetentionLoss(range) => self.errors.push(Error::new(
                ErrorType::RetentionLoss,
                format!(
                    "offsets {} to {} of {partition} were deleted by retention before they were read. Its cursor was \
                     left alone. Go on with ON_RETENTION_LOSS=continue, or correct the item's offset",
                    range.first, range.last
                ),
            )),
            Decision::Unavailable(error) => self.unread(place, partition, &Unread::NoAnswer(error.clone())),
            Decision::Invalid(error) => {
                self.errors.push(Error::new(ErrorType::InvalidCursor, error.clone()));
            }
        }
    }

    fn blocked(&mut self, place: &TopicPartition, partition: &TopicPartition, failures: &Failures) {
        let offset = failures.offset.get();
        self.counts.entry(partition.topic.clone()).or_default().blocked += 1;
        let error = failures.error.clone().unwrap_or_else(|| plan::NO_REASON.into());
        let next_try_at = failures.next_try_at_ms;
        self.errors.push(blocked_error(partition, offset, &error, next_try_at));
        self.report.blocked.push(Blocked {
            place: place.clone(),
            offset,
            error,
            attempts: failures.all_attempts(),
            next_try_at,
        });
    }

    fn unread(&mut self, place: &TopicPartition, partition: &TopicPartition, why: &Unread) {
        let (error, message) = match why {
            Unread::NoAnswer(error) => (
                error.clone(),
                format!(
                    "no broker answered for {partition}: {error}. Its cursor was left where it is; the next run asks \
                     again"
                ),
            ),
            Unread::Gone(offset) => (
                format!("the log no longer has offset {offset}"),
                format!(
                    "the log of {partition} no longer has offset {offset}: retention or a truncation overtook this \
                     run. What was processed before is stored; the next run decides by ON_RETENTION_LOSS or \
                     ON_TRUNCATION"
                ),
            ),
            Unread::OutOfOrder => (
                "its records came out of order".to_owned(),
                format!(
                    "the records of {partition} came out of order. What was processed before is stored; the next run \
                     reads on from there"
                ),
            ),
            Unread::Defect(offset, panic) => (
                format!("this program failed at offset {offset}: {panic}"),
                format!(
                    "this program failed while it read {partition} from offset {offset} on, outside the handler: \
                     {panic}. No record counts as failed; what was processed before is stored, and the next run tries \
                     again. Report this, with the log of the run; to go on meanwhile, move the cursor past the record"
                ),
            ),
        };
        self.errors.push(Error::new(why.error_type(), message));
        self.report.unavailable.push(UnavailablePartition {
            place: place.clone(),
            error,
        });
    }

    fn outcome(&mut self, place: &TopicPartition, partition: &TopicPartition, outcome: &Outcome) {
        let counts = self.counts.entry(partition.topic.clone()).or_default();
        counts.polled += outcome.polled;
        counts.processed += outcome.messages;
        counts.failed += outcome.failed_tries;
        counts.dropped += outcome.skipped.count();
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
        // A jump that was not stored comes again, and is reported then. In
        // doubt it is reported twice, rather than never.
        if let Some((first, last, reason)) = outcome.lost
            && outcome.stored != Stored::Nothing
        {
            let range = OffsetRange {
                place: place.clone(),
                first_offset: first,
                last_offset: last,
                reason: reason.into(),
            };
            counts.lost += range.count();
            self.report.lost.push(range);
        }
        self.report.skipped.extend(outcome.skipped.ranges(place));
        self.errors.extend(outcome.errors().cloned());
        match &outcome.end {
            Some(End::Held { until_ms }) => self.report.held.push(Held {
                place: place.clone(),
                until: *until_ms,
            }),
            Some(End::Paused) => self.report.paused.push(place.clone()),
            Some(End::Blocked(failures)) => self.blocked(place, partition, failures),
            Some(End::Unread(why)) => self.unread(place, partition, why),
            Some(
                End::CaughtUp
                | End::ShareUsed
                | End::OutOfTime
                | End::Failed(_)
                | End::NotClaimed(_)
                | End::ClaimLost(_),
            )
            | None => {}
        }
    }

    /// What a run passed over that died before its report.
    fn note(&mut self, place: &TopicPartition, partition: &TopicPartition, note: &Unreported) {
        let range = |passed: &PassedOver| OffsetRange {
            place: place.clone(),
            first_offset: passed.range.first,
            last_offset: passed.range.last,
            reason: format!("{} (by an earlier run, which ended before its report)", passed.reason),
        };
        self.report.skipped.extend(note.skipped.iter().map(range));
        let lost: Vec<OffsetRange> = note.lost.iter().map(range).collect();
        let counts = self.counts.entry(partition.topic.clone()).or_default();
        counts.dropped += note.skipped_records;
        counts.lost += lost.iter().map(OffsetRange::count).sum::<u64>();
        self.report.lost.extend(lost);
    }
}

fn quarantine(pace: BatchLimit) -> &'static str {
    match pace {
        BatchLimit::Small => "small_chunks",
        BatchLimit::Single => "single_records",
    }
}

fn blocked_error(partition: &TopicPartition, offset: i64, error: &str, next_try_at_ms: Option<i64>) -> Error {
    let again = next_try_at_ms.map_or_else(String::new, |ms| {
        format!(
            " It is tried again after {}.",
            jiff::Timestamp::from_millisecond(ms).unwrap_or_default()
        )
    });
    Error::new(
        ErrorType::PartitionBlocked,
        format!(
            "{partition} is blocked at offset {offset}: {error}.{again} Correct the cause, or \
             pass it over: choose another ON_FAILURE, or move the cursor past it"
        ),
    )
}

/// The error that a run fails with: the one that says most of why it could
/// not do its work; how many others there are is said too.
fn worst(mut errors: Vec<Error>) -> Option<Error> {
    // Stable: among equals, the first partition's.
    errors.sort_by_key(|error| std::cmp::Reverse(error.kind.severity()));
    let others = errors.len().saturating_sub(1);
    let mut first = errors.into_iter().next()?;
    let more = if others > 0 {
        format!(" ({others} more in the report)")
    } else {
        String::new()
    };
    first.what = format!("{}{more}", cut(first.message(), LONGEST_MESSAGE_BYTES - more.len()));
    first.next.clear();
    Some(first)
}

fn stop_reason(report: &RunReport, lanes: &Lanes) -> StopReason {
    let any = |is: fn(&End) -> bool| lanes.done.iter().filter_map(|lane| lane.outcome.end.as_ref()).any(is);
    let unshared = lanes.done.iter().any(|lane| lane.outcome.end.is_none());
    if report.lag == Some(0) {
        StopReason::CaughtUp
    } else if lanes.interrupted {
        StopReason::Interrupted
    } else if any(|end| matches!(end, End::OutOfTime)) {
        StopReason::Deadline
    } else if unshared || any(|end| matches!(end, End::ShareUsed)) {
        StopReason::MaxMessages
    } else if !report.held.is_empty() {
        StopReason::Held
    } else {
        StopReason::CaughtUp
    }
}

/// Every run says what it did, also one that failed: as fields to search by,
/// and as the whole report.
pub(super) fn log(invoked: &Invoked) {
    let report = match &invoked.answer {
        Answer::Run(report) => report,
        Answer::Plan(plan) => return log_plan(plan),
    };
    let json = serde_json::to_string(report).unwrap_or_default();
    let stop_reason = report.stop_reason.map(StopReason::as_str);
    match &report.error {
        None => tracing::info!(
            target: REPORT_TARGET,
            messages_processed = report.messages_processed,
            lag = report.lag,
            stop_reason,
            duration_ms = report.duration_ms,
            report = json,
            "run"
        ),
        Some(error) => tracing::error!(
            target: REPORT_TARGET,
            error_type = %error.kind,
            error = error.message(),
            messages_processed = report.messages_processed,
            lag = report.lag,
            stop_reason,
            duration_ms = report.duration_ms,
            report = json,
            "run failed"
        ),
    }
}

/// A plan that fails is not returned by the function: what is known all the
/// same is logged.
fn log_plan(plan: &PlanReport) {
    if let Some(error) = &plan.error {
        tracing::error!(
            target: REPORT_TARGET,
            error_type = %error.kind,
            error = error.message(),
            plan = plan.to_log_field(),
            "plan failed"
        );
    }
}

/// What a run would do, for each partition of the request.
///
/// # Errors
/// When nothing is known of any topic, or the request names a partition that
/// no topic has.
pub(super) fn plan_report<D: Seams>(
    run: &Run<'_, D>,
    request: &RunRequest,
    survey: Survey,
) -> Result<PlanReport, Error> {
    let Survey { facts, refused } = survey;
    let facts = facts.as_slice();
    match refused.clone().filter(|_| facts.is_empty()) {
        Some(error) => return Err(error),
        None if refused.is_none() => request.unknown_partition(facts).map_or(Ok(()), Err)?,
        None => {}
    }
    let decisions = plan::decide_all(facts, &run.policy());
    let chosen: Vec<usize> = (0..facts.len())
        .filter(|&i| request.includes(facts[i].partition.partition))
        .collect();
    let wishes: Vec<_> = chosen.iter().map(|&i| plan::demand(&facts[i], &decisions[i])).collect();
    let budget = run.budget(request.max_messages);
    let shares = plan::fair_shares(&wishes, budget);
    let planned = |(&i, share): (&usize, u64)| planned_partition(&facts[i], &decisions[i], share);
    Ok(PlanReport {
        partitions: chosen.iter().zip(shares).map(planned).collect(),
        runs_to_catch_up: plan::runs_to_catch_up(&wishes, budget),
        error: refused,
    })
}

fn planned_partition(facts: &PartitionState, decision: &Decision, share: u64) -> PlannedPartition {
    let end = facts.end.clone().and_then(Result::ok);
    let next = plan::next_offset(facts, decision);
    let (why, detail) = match decision {
        Decision::Read(Reading { why, from, to, .. }) if share == 0 && from != to => {
            ("no share of the limit", Some(why.as_str().to_owned()))
        }
        _ => plan::describe(facts, decision),
    };
    PlannedPartition {
        place: facts.partition.clone(),
        from: next.map(NextOffset::get),
        to: end.map(NextOffset::get),
        messages: share,
        lag: next.zip(end).map_or(0, |(next, end)| next.distance_to(end)),
        why,
        detail,
    }
}
