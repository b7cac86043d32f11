//! `redrive`: passes selected records to the processor again. No cursor is read,
//! claimed or moved.

mod origin;
mod report;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::str::FromStr;
use std::sync::Arc;

use futures::FutureExt as _;
use tokio::sync::watch;

use super::exit::Exit;
use super::output::Out;
use super::parts::parts_with;
use super::records::{Offsets, Reader, only_partition};
use super::signals;
use crate::clock::{Clock as _, Deadline};
use crate::config::{Config, NotAllowed, OnFailure, Target, TopicName};
use crate::decode;
use crate::error::{Error, ErrorType};
use crate::invoke::{Interrupt, throttled_pause};
use crate::live::LiveParts;
use crate::processor::{Failure, Processor, Progress, RunContext, panic_message};
use crate::record::{Chunk, NextOffset, Record, TopicPartition};
use crate::source::kafka::KafkaSource;
use crate::source::{EndOffsets, ListedOffset, OffsetSpec, Source as _, Unavailable};
use origin::origin;
use report::{RecordOutcome, RedriveReport};

#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub(super) struct RedriveArgs {
    /// The partition of the offsets
    #[arg(long, value_name = "P", requires = "offsets", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,

    /// The records to process again: offsets and ranges, such as `17,20-25`
    #[arg(
        long,
        value_name = "LIST",
        group = "which",
        requires = "partition",
        allow_hyphen_values = true
    )]
    offsets: Option<Offsets>,

    /// The original records of this group's dead letters in TOPIC [default: the topic of `ON_FAILURE`]
    #[arg(long, value_name = "TOPIC", group = "which", num_args = 0..=1, default_missing_value = "", conflicts_with = "partition")]
    dead_letters: Option<LetterTopic>,

    /// Only dead letters written at this time or later (RFC 3339)
    #[arg(long, value_name = "TIME", requires = "dead_letters", conflicts_with = "offsets")]
    since: Option<jiff::Timestamp>,
}

/// The topic of the dead letters.
#[derive(Debug, Clone)]
enum LetterTopic {
    /// The topic of `ON_FAILURE`.
    OnFailure,
    /// This topic.
    Named(TopicName),
}

impl FromStr for LetterTopic {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Self, NotAllowed> {
        match text.strip_prefix(Target::KAFKA).unwrap_or(text) {
            "" => Ok(Self::OnFailure),
            topic => topic.parse().map(Self::Named),
        }
    }
}

/// Offsets to process again, by partition.
type OffsetsByPartition = BTreeMap<TopicPartition, Offsets>;

pub(super) async fn redrive<P: Processor + 'static>(
    config: Config,
    make: impl FnOnce(&Config) -> P,
    arguments: RedriveArgs,
    out: Out,
) -> Result<Exit, Error> {
    let selection = RecordSelection::of(&config, arguments)?;
    let interrupt = signals::interrupts()?;
    let parts = parts_with(config, make).await?;
    let mut redrive = Redrive {
        parts,
        run_id: uuid::Uuid::new_v4().to_string().into(),
        interrupt,
        report: RedriveReport::default(),
    };
    let selected = match selection {
        RecordSelection::Listed(partition, offsets) => OffsetsByPartition::from([(partition, offsets)]),
        RecordSelection::DeadLetters { topic, since_ms } => redrive.dead_letters(&topic, since_ms).await?,
    };
    let failed = redrive.all(selected).await.err();
    let Redrive { report, interrupt, .. } = redrive;
    let error = failed.or_else(|| report.error(*interrupt.borrow()));
    out.print(&report.table(), &report.json(error.as_ref()));
    match error {
        None => Ok(Exit::Done),
        Some(error) => Err(error),
    }
}

/// The selected records.
enum RecordSelection {
    /// Offsets of one partition.
    Listed(TopicPartition, Offsets),
    /// The original records of dead letters.
    DeadLetters { topic: Arc<str>, since_ms: Option<i64> },
}

impl RecordSelection {
    fn of(config: &Config, arguments: RedriveArgs) -> Result<Self, Error> {
        let usage = |what: String| Error::new(ErrorType::InvalidConfiguration, what);
        if let (Some(partition), Some(offsets)) = (arguments.partition, arguments.offsets) {
            return Ok(Self::Listed(only_partition(config, partition)?, offsets));
        }
        let topic = match (&arguments.dead_letters, &config.on_failure) {
            (Some(LetterTopic::Named(topic)), _) | (_, OnFailure::DeadLetter(Target::Kafka(topic))) => {
                topic.as_str().into()
            }
            (_, other @ (OnFailure::Halt | OnFailure::Skip | OnFailure::DeadLetter(Target::Sqs(_)))) => {
                let error = usage(format!("ON_FAILURE is {other}, which is not a topic"));
                return Err(error.next("Name the topic of the dead letters: --dead-letters TOPIC"));
            }
        };
        Ok(Self::DeadLetters {
            topic,
            since_ms: arguments.since.map(jiff::Timestamp::as_millisecond),
        })
    }
}

struct Redrive<P: Processor + 'static> {
    parts: &'static LiveParts<P>,
    /// Identifies the redrive to the processor.
    run_id: Arc<str>,
    interrupt: watch::Receiver<Interrupt>,
    report: RedriveReport,
}

impl<P: Processor> Redrive<P> {
    fn until(&self) -> std::time::Instant {
        Deadline::after(self.parts.config.poll_timeout, &self.parts.clock).at
    }

    fn reader(&self) -> Reader<'static, KafkaSource> {
        Reader {
            source: &self.parts.source,
            interrupt: self.interrupt.clone(),
            timeout: self.parts.config.poll_timeout,
        }
    }

    fn interrupted(&self) -> bool {
        *self.interrupt.borrow() > Interrupt::No
    }

    /// The original records of the dead letters of this group and these topics.
    async fn dead_letters(&mut self, topic: &Arc<str>, since_ms: Option<i64>) -> Result<OffsetsByPartition, Error> {
        let source = &self.parts.source;
        let ends = source
            .end_offsets(std::slice::from_ref(topic), self.until())
            .await?
            .all()?;
        let partitions: Vec<TopicPartition> = ends.iter().map(|(partition, _)| partition.clone()).collect();
        let what = since_ms.map_or(OffsetSpec::Earliest, OffsetSpec::ForTimestamp);
        let starts = source.list_offsets(&partitions, what, self.until()).await?;
        let mut found: BTreeMap<TopicPartition, Vec<(i64, i64)>> = BTreeMap::new();
        let config = &self.parts.config;
        for ((partition, end), start) in ends.iter().zip(starts) {
            let (start, end) = (known(partition, &start)?, known(partition, end)?);
            if start >= end {
                continue;
            }
            let reader = self.reader();
            let report = &mut self.report;
            let add = async |letter: &Record| {
                match origin(letter) {
                    None => report.not_dead_letters += 1,
                    Some(origin) if origin.group_id != *config.group_id => report.of_other_groups += 1,
                    Some(origin) if !config.topics.contains(&origin.partition.topic) => report.of_other_groups += 1,
                    Some(origin) => {
                        found
                            .entry(origin.partition)
                            .or_default()
                            .push((origin.offset, origin.offset));
                    }
                }
                ControlFlow::Continue(())
            };
            reader.read(partition, (start, end), add).await?;
        }
        self.report.letters_unread = self.interrupted();
        Ok(found
            .into_iter()
            .map(|(partition, offsets)| (partition, Offsets::of(offsets)))
            .collect())
    }

    /// Processes all selected records, partition by partition in ascending order.
    async fn all(&mut self, selected: OffsetsByPartition) -> Result<(), Error> {
        let topics = &self.parts.config.topics;
        let EndOffsets { partitions, refused } = self.parts.source.end_offsets(topics, self.until()).await?;
        let ends: BTreeMap<TopicPartition, ListedOffset> = partitions.into_iter().collect();
        let mut first_error = None;
        for (partition, offsets) in selected {
            if self.interrupted() || self.report.fatal.is_some() {
                self.report.ranges(&partition, &offsets, RecordOutcome::NotTried, None);
                continue;
            }
            let done = match ends.get(&partition) {
                Some(Ok(end)) => self.partition(&partition, &offsets, *end).await,
                Some(Err(why)) => Err(unavailable(&partition, why)),
                None => Err(refused.get(&partition.topic).cloned().unwrap_or_else(|| {
                    Error::new(
                        ErrorType::InvalidConfiguration,
                        format!("{} has no partition {}", partition.topic, partition.partition),
                    )
                })),
            };
            // A failure of one partition does not stop the others, and every offset is reported.
            if let Err(error) = done {
                let rest = self.report.unreported(&partition, &offsets);
                self.report
                    .ranges(&partition, &rest, RecordOutcome::NotTried, Some(&error.message()));
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    async fn partition(&mut self, partition: &TopicPartition, offsets: &Offsets, end: NextOffset) -> Result<(), Error> {
        let partitions = [partition.clone()];
        let listed = self
            .parts
            .source
            .list_offsets(&partitions, OffsetSpec::Earliest, self.until())
            .await?;
        let earliest = known(partition, listed.first().unwrap_or(&Ok(NextOffset::ZERO)))?;
        let gone = offsets.between(0, earliest.get());
        let detail = format!("deleted by retention: the log starts at {earliest}");
        self.report.ranges(partition, &gone, RecordOutcome::Gone, Some(&detail));
        let present = offsets.between(earliest.get(), end.get());
        for (from, to) in present.stretches() {
            self.stretch(partition, &present.between(from.get(), to.get()), (from, to))
                .await?;
        }
        let ahead = offsets.between(end.get().max(earliest.get()), i64::MAX);
        let detail = format!("past the end of the log, {end}");
        self.report
            .ranges(partition, &ahead, RecordOutcome::NoRecord, Some(&detail));
        Ok(())
    }

    /// Reads one stretch of the log. Requested offsets that are not in it have no record.
    async fn stretch(
        &mut self,
        partition: &TopicPartition,
        offsets: &Offsets,
        bounds: (NextOffset, NextOffset),
    ) -> Result<(), Error> {
        let reader = self.reader();
        let mut next = bounds.0.get();
        let mut stopped = self.interrupted() || self.report.fatal.is_some();
        if !stopped {
            let handle = async |record: &Record| {
                if !offsets.contains(record.offset) {
                    return ControlFlow::Continue(());
                }
                let hole = offsets.between(next, record.offset);
                self.report
                    .ranges(partition, &hole, RecordOutcome::NoRecord, Some(NO_RECORD));
                next = record.offset.saturating_add(1);
                self.record(record).await;
                go_on_unless(self.interrupted() || self.report.fatal.is_some())
            };
            reader.read(partition, bounds, handle).await?;
            stopped = self.interrupted() || self.report.fatal.is_some();
        }
        let rest = offsets.between(next, bounds.1.get());
        let (outcome, detail) = if stopped {
            (RecordOutcome::NotTried, None)
        } else {
            (RecordOutcome::NoRecord, Some(NO_RECORD))
        };
        self.report.ranges(partition, &rest, outcome, detail);
        Ok(())
    }

    /// Passes one record to the processor, once.
    async fn record(&mut self, record: &Record) {
        let parts = self.parts;
        let topic = &*record.partition.topic;
        if !parts.processor.decodes(topic)
            && let Err(error) = decode::decode(parts.config.message_format(topic), record)
        {
            return self
                .report
                .record(record, RecordOutcome::Failed, Some(&error.to_string()));
        }
        let Some(chunk) = Chunk::new(vec![record.clone()]) else {
            return;
        };
        let stop_at = parts.clock.now() + parts.config.time_limit;
        let context = RunContext {
            stop_at,
            attempt: 1,
            run_id: self.run_id.clone(),
            group_id: parts.config.group_id.clone(),
            lag: None,
        };
        let work =
            AssertUnwindSafe(patiently(&parts.processor, &chunk, &context, self.interrupt.clone())).catch_unwind();
        let failure = match tokio::time::timeout_at(stop_at.into(), work).await {
            Ok(Ok(progress)) if progress.stop.is_none() && progress.settled > 0 => None,
            Ok(Ok(progress)) => Some(progress.stop.map_or_else(
                || "the handler settled no record and returned no failure".to_owned(),
                |failure| {
                    if matches!(failure, Failure::Fatal(_)) {
                        self.report.fatal = Some(failure.to_string());
                    }
                    failure.to_string()
                },
            )),
            Ok(Err(panic)) => Some(format!("the handler panicked: {}", panic_message(&*panic))),
            Err(_) => Some(format!(
                "unfinished after {} s (TIME_LIMIT)",
                parts.config.time_limit.as_secs_f64()
            )),
        };
        let outcome = if failure.is_some() {
            RecordOutcome::Failed
        } else {
            RecordOutcome::Processed
        };
        self.report.record(record, outcome, failure.as_deref());
    }
}

const NO_RECORD: &str = "no record at this offset: compacted, aborted, or a control record";

fn go_on_unless(stop: bool) -> ControlFlow<()> {
    if stop {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

fn known(partition: &TopicPartition, listed: &ListedOffset) -> Result<NextOffset, Error> {
    listed.clone().map_err(|why| unavailable(partition, &why))
}

fn unavailable(partition: &TopicPartition, why: &Unavailable) -> Error {
    Error::new(
        ErrorType::BrokerUnreachable,
        format!("{partition} is unavailable: {why}"),
    )
    .next("Try again")
}

/// Passes the chunk to the processor; while that is throttled or not ready, again after a pause,
/// until the time ends or ctrl-c.
async fn patiently(
    processor: &impl Processor,
    chunk: &Chunk,
    context: &RunContext,
    mut interrupt: watch::Receiver<Interrupt>,
) -> Progress {
    let mut refusals = 0;
    loop {
        let progress = processor.process(chunk, context).await;
        let Some(Failure::Throttled(_)) = progress.stop else {
            return progress;
        };
        refusals += 1;
        let pause = throttled_pause(refusals);
        if pause >= context.time_left() {
            return progress;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            Ok(_) = interrupt.wait_for(|interrupt| *interrupt > Interrupt::No) => return progress,
        }
    }
}
