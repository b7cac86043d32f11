//! Passes of one backfill, each like one invocation in Lambda, until it is done.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;

use super::total::Total;
use crate::cli::exit::Exit;
use crate::cli::output::{self, Out};
use crate::cli::parts::invoke_once;
use crate::cli::progress::{self, WithProgress};
use crate::clock::Clock as _;
use crate::config::MessageLimit;
use crate::error::{Error, ErrorType};
use crate::event::{BackfillRequest, Request};
use crate::invoke::{Interrupt, Response};
use crate::live::LiveParts;
use crate::processor::Processor;
use crate::report::{Held, RunReport};

/// The longest wait before the next pass: a claim of another run may be released early.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The shortest wait.
const MIN_WAIT: Duration = Duration::from_millis(500);

/// So many passes in a row may move no cursor before the command fails.
const MAX_IDLE_PASSES: u32 = 3;

/// What comes after a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Next {
    /// Every partition has reached its end.
    Done,
    /// Another pass.
    Again,
    /// Another pass, once these partitions are no longer claimed by other runs.
    Wait(Vec<Held>),
    /// The limit of records is reached, or the command was interrupted.
    Stop,
    /// The backfill cannot continue.
    Fail(Error),
}

/// What comes after a pass: the first row that fits.
///
/// | the pass | next |
/// |---|---|
/// | all partitions have reached their ends | done |
/// | failed, and not only in single partitions | fail |
/// | interrupted, or the limit is reached | stop; fail if it failed |
/// | moved a cursor | again: a failure that remains ends the next pass |
/// | partitions claimed by other runs | wait |
/// | failed | fail |
/// | paused partitions | fail: only an operator resumes them |
/// | else: the deadline came before the first record was settled | again, a few times |
fn next(pass: &RunReport, stop: bool) -> Next {
    let fail = |error: &Error| Next::Fail(error.clone());
    let partial = pass.error.as_ref().is_none_or(|error| error.kind.is_partial());
    match &pass.error {
        None if pass.done == Some(true) => Next::Done,
        Some(error) if !partial || stop => fail(error),
        None if stop => Next::Stop,
        _ if pass.messages_processed > 0 || !pass.last_offsets.entries.is_empty() => Next::Again,
        _ if !pass.held.is_empty() => Next::Wait(pass.held.clone()),
        Some(error) => fail(error),
        None if !pass.paused.is_empty() => fail(&paused(pass)),
        None => Next::Again,
    }
}

fn too_short(pass: &RunReport) -> Error {
    let places = pass.partitions.iter().map(|row| row.place.to_string());
    Error::new(
        ErrorType::Timeout,
        format!(
            "{MAX_IDLE_PASSES} passes moved no cursor: TIME_LIMIT is too short for the first record of {}",
            places.collect::<Vec<_>>().join(", ")
        ),
    )
    .next("Increase it with --time-limit")
}

fn paused(pass: &RunReport) -> Error {
    let places = pass
        .paused
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    Error::new(
        ErrorType::Held,
        format!("all partitions that remain of the backfill are paused: {places}"),
    )
    .next("Remove `paused` from the items of the backfill, and run the same command again")
}

fn waiting_for(held: &Held) -> String {
    let place = &held.place;
    match held.until {
        Some(_) => {
            let until = output::time(held.until);
            format!("waiting for {place}: another run has claimed it until {until}, or until that run ends")
        }
        None => {
            format!("waiting for {place}: its item changed during the pass; the next pass reads from what is stored")
        }
    }
}

/// How many records count towards the limit.
fn handled(pass: &RunReport) -> u64 {
    let skipped: u64 = pass.skipped.iter().map(|skipped| skipped.range.count()).sum();
    pass.messages_processed + pass.dead_lettered + skipped
}

/// The passes of one command.
pub(super) struct Passes<P: Processor + 'static> {
    pub(super) parts: &'static LiveParts<WithProgress<P>>,
    pub(super) request: BackfillRequest,
    /// How many more records may be handled; `None`: all.
    pub(super) left: Option<u64>,
    pub(super) interrupt: watch::Receiver<Interrupt>,
}

impl<P: Processor> Passes<P> {
    pub(super) async fn run(mut self, out: Out) -> Result<Exit, Error> {
        let mut total = Total::default();
        let mut announced = BTreeSet::new();
        let mut idle_passes = 0;
        let next = loop {
            let pass = self.pass().await?;
            let must_stop = self.left == Some(0) || *self.interrupt.borrow() > Interrupt::No;
            let mut next = next(&pass, must_stop);
            let moved = pass.messages_processed > 0 || !pass.last_offsets.entries.is_empty();
            idle_passes = if moved { 0 } else { idle_passes + 1 };
            if next == Next::Again && idle_passes >= MAX_IDLE_PASSES {
                next = Next::Fail(too_short(&pass));
            }
            total.add(pass);
            match &next {
                Next::Again => {}
                Next::Wait(held) => {
                    self.wait(held, &mut announced).await;
                    if *self.interrupt.borrow() > Interrupt::No {
                        break Next::Stop;
                    }
                }
                _ => break next,
            }
        };
        self.parts.processor.end();
        out.print(&total.table(), &total);
        Ok(self.print_end(&next, &total))
    }

    /// One invocation, as in Lambda.
    async fn pass(&mut self) -> Result<RunReport, Error> {
        let limit = self.left.and_then(std::num::NonZeroU64::new);
        let request = Request::Backfill(BackfillRequest {
            max_messages: Some(limit.map_or(MessageLimit::Unlimited, MessageLimit::At)),
            ..self.request.clone()
        });
        let invoked = invoke_once(self.parts, &request, self.interrupt.clone()).await;
        if invoked.is_err() {
            self.parts.processor.end();
        }
        let Response::Run(pass) = invoked?.response else {
            return Err(Error::new(ErrorType::InvalidEvent, "a backfill returned a plan"));
        };
        self.left = self.left.map(|left| left.saturating_sub(handled(&pass)));
        if !self.parts.processor.is_drawn() {
            let to_go = pass.lag.map_or_else(|| "unknown".into(), |lag| lag.to_string());
            progress::print_above_bar(&format!(
                "backfill {}: {} records in {:.1} s, {to_go} offsets to go",
                self.request.name,
                pass.messages_processed,
                Duration::from_millis(pass.duration_ms).as_secs_f64(),
            ));
        }
        Ok(*pass)
    }

    /// Waits until the first of these may be released; prints each claim once.
    async fn wait(&mut self, held: &[Held], announced: &mut BTreeSet<(i32, Option<i64>)>) {
        for held in held {
            if announced.insert((held.place.partition, held.until)) {
                progress::print_above_bar(&waiting_for(held));
            }
        }
        let now_ms = self.parts.clock.wall_ms();
        let first = held.iter().filter_map(|held| held.until).min().unwrap_or(now_ms);
        let until = Duration::from_millis(u64::try_from(first.saturating_sub(now_ms)).unwrap_or(0));
        tokio::select! {
            () = tokio::time::sleep(until.clamp(MIN_WAIT, MAX_WAIT)) => {}
            _ = self.interrupt.wait_for(|interrupt| *interrupt > Interrupt::No) => {}
        }
    }

    /// Prints how it ended to stderr, last.
    fn print_end(&self, next: &Next, total: &Total) -> Exit {
        match next {
            Next::Fail(error) => {
                progress::print_above_bar(&error.to_string());
                Exit::from(error)
            }
            Next::Stop => {
                let to_go = total.report.lag.map_or_else(|| "some".into(), |lag| lag.to_string());
                progress::print_above_bar(&format!(
                    "backfill {} is not done: {to_go} offsets to go. Run the same command again to resume",
                    self.request.name
                ));
                Exit::Done
            }
            Next::Done | Next::Again | Next::Wait(_) => {
                progress::print_above_bar(&format!("backfill {} is done", self.request.name));
                Exit::Done
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{OffsetRange, TopicPartition};
    use crate::report::{LastOffsets, UnprocessedRange};

    fn place() -> TopicPartition {
        TopicPartition {
            topic: "t".into(),
            partition: 0,
        }
    }

    fn open() -> RunReport {
        RunReport {
            done: Some(false),
            ..RunReport::default()
        }
    }

    fn moved() -> RunReport {
        RunReport {
            last_offsets: LastOffsets {
                entries: vec![(TopicPartition::new("t", 0), 5)],
                with_topic: false,
            },
            ..open()
        }
    }

    fn failed(error_type: ErrorType, pass: RunReport) -> RunReport {
        RunReport {
            error: Some(Error::new(error_type, "x")),
            ..pass
        }
    }

    fn held(pass: RunReport) -> RunReport {
        let held = Held {
            place: place(),
            until: None,
        };
        RunReport {
            held: vec![held],
            ..pass
        }
    }

    #[test]
    fn each_result_of_a_pass_has_its_next_step() {
        use ErrorType::{DestinationFailed, PartitionBlocked};
        let fail = |error_type| Next::Fail(Error::new(error_type, "x"));
        let wait = Next::Wait(held(open()).held);
        let done = RunReport {
            done: Some(true),
            ..RunReport::default()
        };
        for (pass, stop, expected) in [
            (done.clone(), false, Next::Done),
            (done, true, Next::Done),
            (failed(DestinationFailed, moved()), false, fail(DestinationFailed)),
            (failed(PartitionBlocked, moved()), true, fail(PartitionBlocked)),
            (moved(), true, Next::Stop),
            (open(), true, Next::Stop),
            (failed(PartitionBlocked, moved()), false, Next::Again),
            (held(moved()), false, Next::Again),
            (held(open()), false, wait.clone()),
            (failed(PartitionBlocked, held(open())), false, wait),
            (failed(PartitionBlocked, open()), false, fail(PartitionBlocked)),
            (open(), false, Next::Again),
        ] {
            assert_eq!(next(&pass, stop), expected, "{pass:?}, {stop}");
        }
        let paused = RunReport {
            paused: vec![place()],
            ..open()
        };
        let Next::Fail(error) = next(&paused, false) else {
            panic!("paused partitions are a failure")
        };
        assert!(error.message().contains("t-0"), "{error}");
    }

    #[test]
    fn a_wait_names_the_end_of_a_claim_or_that_an_item_changed() {
        let waiting = |until| waiting_for(&Held { place: place(), until });
        assert_eq!(
            waiting(Some(1_800_000_060_000)),
            "waiting for t-0: another run has claimed it until 2027-01-15T08:01:00Z, or until that run ends"
        );
        assert_eq!(
            waiting(None),
            "waiting for t-0: its item changed during the pass; the next pass reads from what is stored"
        );
    }

    #[test]
    fn processed_skipped_and_dead_lettered_records_count_towards_the_limit() {
        let skipped = UnprocessedRange {
            place: place(),
            range: OffsetRange { first: 3, last: 4 },
            reason: "x".into(),
        };
        let pass = RunReport {
            messages_processed: 10,
            dead_lettered: 1,
            skipped: vec![skipped],
            ..open()
        };
        assert_eq!(handled(&pass), 13);
    }
}
