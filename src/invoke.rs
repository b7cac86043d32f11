//! The only place where the stages are joined:
//! request -> plan -> claim -> poll -> decode -> process -> settle -> commit -> report.

mod lane;
mod lanes;
mod summary;
mod survey;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt};
use serde::Serialize;
use tokio::sync::watch;

use crate::claim::RunId;
use crate::clock::{Clock, Deadline};
use crate::config::{Config, MessageLimit};
use crate::error::{Error, ErrorType};
use crate::event::{Request, RunRequest};
use crate::plan::{self, Decision, Facts, Wish};
use crate::processor::Processor;
use crate::report::{PlanReport, RunReport, TopicCounts};
use crate::source::Source;
use crate::source::kafka::fetch::FetchSizes;
use crate::store::{Consumer, Store};
use lane::{Lane, Work};
use lanes::Lanes;

/// How many cursors are written at once.
const WRITES_AT_ONCE: usize = 16;

/// The log target of reports, so that they can be left out where they are shown anyway.
pub const REPORT_TARGET: &str = "report";

/// What a run works with. Built once, used for every invocation.
pub struct Parts<S, K, P, C> {
    /// The settings.
    pub config: Arc<Config>,
    /// Where cursors live.
    pub store: S,
    /// Where records come from.
    pub source: K,
    /// What happens to them.
    pub processor: P,
    /// What time it is.
    pub clock: C,
}

/// What an invocation answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// A run was made, well or not: its report says it.
    Run(Box<RunReport>),
    /// What a run would do.
    Plan(PlanReport),
}

/// An answer with the metrics that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoked {
    /// The answer.
    pub answer: Answer,
    /// One line of embedded metrics for each topic; none for a plan.
    pub metrics: Vec<String>,
}

impl Invoked {
    /// Why the invocation must fail, if it must.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match &self.answer {
            Answer::Run(report) => report.error.as_ref(),
            Answer::Plan(_) => None,
        }
    }
}

/// How urgently a run must end before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Interrupt {
    /// Not at all.
    #[default]
    No,
    /// After the chunks at work; what is settled is stored.
    Finish,
    /// At once: chunks at work are dropped and come again; what is settled is stored.
    Now,
}

/// Does what `request` asks for, within `deadline`, or until `interrupt` says
/// otherwise. The report is logged.
///
/// # Errors
/// When a plan cannot be made. A run that fails is not an `Err`: it has a
/// report like any other, and [`Invoked::error`] tells.
pub async fn invoke<S: Store, K: Source, P: Processor, C: Clock>(
    parts: &Parts<S, K, P, C>,
    request: &Request,
    deadline: Deadline,
    interrupt: watch::Receiver<Interrupt>,
) -> Result<Invoked, Error> {
    let run: Run<'_, Parts<S, K, P, C>> = Run::new(parts, deadline);
    match request {
        Request::Plan(request) => {
            let facts = survey::survey(&run, survey::Pins::Leave).await?;
            let answer = Answer::Plan(summary::plan_report(&run, request, &facts));
            Ok(Invoked {
                answer,
                metrics: vec![],
            })
        }
        Request::Run(request) => {
            let invoked = run.make(request, interrupt).await;
            summary::log(&invoked);
            Ok(invoked)
        }
    }
}

/// The four seams that a run works through, as one parameter.
trait Seams {
    type Store: Store;
    type Source: Source;
    type Processor: Processor;
    type Clock: Clock;
}

impl<S: Store, K: Source, P: Processor, C: Clock> Seams for Parts<S, K, P, C> {
    type Store = S;
    type Source = K;
    type Processor = P;
    type Clock = C;
}

/// One run.
struct Run<'a, D: Seams> {
    id: RunId,
    config: &'a Config,
    store: &'a D::Store,
    source: &'a D::Source,
    processor: &'a D::Processor,
    clock: &'a D::Clock,
    sizes: FetchSizes,
    started: Instant,
    started_wall_ms: i64,
    deadline: Deadline,
    /// The deadline less the time that the last writes need.
    stop: Deadline,
    /// No work begins from here on: the stop, or less where others need the rest.
    begin_until: Instant,
    halt: Arc<watch::Sender<Interrupt>>,
}

impl<'a, D: Seams> Run<'a, D> {
    fn new(parts: &'a Parts<D::Store, D::Source, D::Processor, D::Clock>, deadline: Deadline) -> Self {
        let clock = &parts.clock;
        let stop = deadline.less_reserve(clock);
        Self {
            id: RunId::new(uuid::Uuid::new_v4().to_string()),
            config: &parts.config,
            store: &parts.store,
            source: &parts.source,
            processor: &parts.processor,
            clock,
            sizes: FetchSizes::new(parts.config.max_memory_bytes, parts.config.max_messages),
            started: clock.now(),
            started_wall_ms: clock.wall_ms(),
            deadline,
            stop,
            begin_until: stop.at,
            halt: Arc::new(watch::Sender::new(Interrupt::No)),
        }
    }

    /// Makes the run and reports it, whatever happens.
    async fn make(&self, request: &RunRequest, interrupt: watch::Receiver<Interrupt>) -> Invoked {
        let surveyed = survey::survey(self, survey::Pins::Store).await;
        let (facts, failed) = match surveyed {
            Ok(facts) => (facts, None),
            Err(error) => (vec![], Some(error)),
        };
        let failed = failed.or_else(|| request.unknown_partition(&facts));
        let policy = self.policy();
        let decisions = plan::decide_all(&facts, &policy);
        let chosen: Vec<usize> = (0..facts.len())
            .filter(|&i| request.includes(facts[i].partition.partition))
            .collect();
        let mut work = self.lanes(&facts, &decisions, &chosen, request.max_messages);
        self.work(&mut work, &interrupt).await;
        summary::summarize(self, &facts, &decisions, &chosen, &work, failed)
    }

    fn policy(&self) -> plan::Policy {
        plan::Policy {
            start_position: self.config.start_position,
            on_retention_loss: self.config.on_retention_loss,
            on_truncation: self.config.on_truncation,
            now_ms: self.started_wall_ms,
        }
    }

    fn consumer(&self, topic: &Arc<str>) -> Consumer {
        Consumer {
            group_id: self.config.group_id.clone(),
            topic: topic.clone(),
        }
    }

    fn budget(&self, asked: Option<MessageLimit>) -> Option<u64> {
        match asked.unwrap_or(self.config.max_messages) {
            MessageLimit::At(records) => Some(records.get()),
            MessageLimit::Unlimited => None,
        }
    }

    /// A lane for each partition with work, with its share of the budget.
    fn lanes(&self, facts: &[Facts], decisions: &[Decision], chosen: &[usize], asked: Option<MessageLimit>) -> Lanes {
        let budget = self.budget(asked);
        let wanted: Vec<(usize, Work, Wish)> = chosen
            .iter()
            .filter_map(|&i| summary::work(&decisions[i]).map(|work| (i, work, plan::wish(&facts[i], &decisions[i]))))
            .collect();
        let shares = plan::fair_shares(&wanted.iter().map(|(_, _, wish)| *wish).collect::<Vec<_>>(), budget);
        let used: u64 = shares.iter().fold(0, |sum, share| sum.saturating_add(*share));
        let mut lanes = Lanes {
            leftover: budget.map_or(0, |budget| budget - used),
            limited: budget.is_some(),
            ..Lanes::default()
        };
        for ((i, work, wish), share) in wanted.into_iter().zip(shares) {
            let partition = facts[i].partition.clone();
            let consumer = self.consumer(&partition.topic);
            let lane = Lane::new(consumer, partition, work, share, (self.now_ms(), self.started_wall_ms));
            lanes.add(lane, share, wish.records);
        }
        lanes
    }

    /// Works through all lanes. Those where a run has died come last, each
    /// alone: if one kills this run too, everything else is stored, and it is
    /// known whose record it was.
    async fn work(&self, lanes: &mut Lanes, interrupt: &watch::Receiver<Interrupt>) {
        let in_time_for = |suspects: bool| {
            if suspects {
                self.until_half_time()
            } else {
                self.until(self.stop.at)
            }
        };
        in_time_for(!lanes.suspects.is_empty())
            .drain(lanes, interrupt.clone())
            .await;
        while lanes.next_suspect() {
            in_time_for(!lanes.suspects.is_empty())
                .drain(lanes, interrupt.clone())
                .await;
        }
    }

    /// The same run, with half of the time that is left: the rest is for others.
    fn until_half_time(&self) -> Self {
        let left = self.stop.at.saturating_duration_since(self.clock.now());
        self.until(self.stop.at.checked_sub(left / 2).unwrap_or(self.stop.at))
    }

    /// The same run, that begins nothing more from `begin_until` on.
    fn until(&self, begin_until: Instant) -> Self {
        Self {
            begin_until,
            id: self.id.clone(),
            halt: self.halt.clone(),
            ..*self
        }
    }

    /// The time for work, from the run's start to its last writes.
    fn whole_time(&self) -> Duration {
        self.stop.at.saturating_duration_since(self.started)
    }

    /// Works through the lanes that wait, some at a time, and hands what one
    /// could not use of the budget to those that can.
    async fn drain(&self, lanes: &mut Lanes, mut interrupt: watch::Receiver<Interrupt>) {
        let mut running = FuturesUnordered::new();
        let mut interruptible = true;
        lanes.interrupted |= self.interrupted(*interrupt.borrow_and_update());
        loop {
            if self.must_stop(Duration::ZERO) {
                lanes.out_of_time();
            }
            if running.is_empty()
                && lanes.waiting.is_empty()
                && (self.must_stop(Duration::ZERO) || !lanes.share_leftover())
            {
                break;
            }
            let free = self
                .sizes
                .partitions_at_once
                .saturating_sub(running.len())
                .min(lanes.waiting.len());
            let starting: Vec<Lane> = lanes.waiting.drain(..free).collect();
            let positions: Vec<_> = starting.iter().filter_map(Lane::position).collect();
            if let Err(error) = if positions.is_empty() {
                Ok(())
            } else {
                self.source.start(&positions)
            } {
                lanes.refused(starting, &error);
                self.abort();
                continue;
            }
            running.extend(starting.into_iter().map(|lane| lane.work(self).boxed()));
            // Lanes that wait for a share write what is settled, beside those at work.
            running.extend(lanes.take_due(self.now_ms()).map(|lane| lane.keep(self).boxed()));
            let due = lanes.next_due_ms().filter(|_| !self.must_stop(Duration::ZERO));
            tokio::select! {
                Some(lane) = running.next(), if !running.is_empty() => lanes.ended(lane),
                () = tokio::time::sleep_until(self.wake_at(due).into()), if due.is_some() => {}
                changed = interrupt.changed(), if interruptible => {
                    // Nobody can interrupt any more once the sender is gone.
                    interruptible = changed.is_ok();
                    lanes.interrupted |= self.interrupted(*interrupt.borrow());
                }
            }
        }
        let parked = std::mem::take(&mut lanes.parked);
        lanes.done.extend(
            futures::stream::iter(parked)
                .map(|mut lane| async move {
                    if lane.is_claimed() {
                        lane.close(self).await;
                    }
                    lane
                })
                .buffer_unordered(WRITES_AT_ONCE)
                .collect::<Vec<_>>()
                .await,
        );
    }

    /// The monotonic clock, in milliseconds since the run began.
    fn now_ms(&self) -> u64 {
        let since = self.clock.now().saturating_duration_since(self.started);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// When a wait must end: when a cursor is due to be written, or the time is over.
    fn wake_at(&self, due_ms: Option<u64>) -> Instant {
        due_ms.map_or(self.begin_until, |due| {
            (self.started + Duration::from_millis(due)).min(self.begin_until)
        })
    }

    /// When the last write must have been answered: a little before the
    /// deadline, so that the report still gets out.
    fn last_write_at(&self) -> Instant {
        let left = self.deadline.at.saturating_duration_since(self.stop.at);
        self.deadline.at.checked_sub(left / 10).unwrap_or(self.deadline.at)
    }

    /// What the table answers by `until`, or an error that says that it did not.
    async fn in_time<T>(&self, until: Instant, asked: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::time::timeout_at(until.into(), asked).await.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorType::TableUnreachable,
                format!(
                    "the table {} did not answer before the run had to end. What is not stored comes again in the \
                     next run. Look at DynamoDB's latency and throttling, or give the function more time",
                    self.config.table
                ),
            ))
        })
    }

    /// Until when a question to the brokers may take.
    fn ask_until(&self) -> Instant {
        (self.clock.now() + self.config.poll_timeout).min(self.stop.at)
    }

    /// Whether work that will take `expected` must not begin any more.
    fn must_stop(&self, expected: Duration) -> bool {
        self.halting() || self.stop.is_over(self.clock) || self.clock.now() + expected > self.begin_until
    }

    fn halting(&self) -> bool {
        *self.halt.borrow() > Interrupt::No
    }

    /// Stops every lane after the chunk at work.
    fn abort(&self) {
        self.interrupted(Interrupt::Finish);
    }

    fn interrupted(&self, interrupt: Interrupt) -> bool {
        self.halt
            .send_if_modified(|halt| std::mem::replace(halt, interrupt.max(*halt)) < interrupt);
        interrupt > Interrupt::No
    }

    /// Resolves once the run is to end as urgently as `interrupt`.
    async fn halted(&self, interrupt: Interrupt) {
        // The sender lives as long as the run: waiting cannot fail.
        let _ = self.halt.subscribe().wait_for(|halt| *halt >= interrupt).await;
    }

    /// Waits, but not past the time for work, nor when the run is stopped.
    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep_until((self.clock.now() + pause).min(self.begin_until).into()) => {}
            () = self.halted(Interrupt::Finish) => {}
        }
    }
}

impl RunRequest {
    /// A partition that the request names and that neither a topic nor the
    /// table has: asking for it is a mistake, and no idle run.
    fn unknown_partition(&self, facts: &[Facts]) -> Option<Error> {
        let known = |wanted: &i32| facts.iter().any(|fact| fact.partition.partition == *wanted);
        let wanted = self.partitions.as_deref().unwrap_or_default();
        let unknown = wanted.iter().find(|wanted| !facts.is_empty() && !known(wanted))?;
        Some(Error::new(
            ErrorType::InvalidEvent,
            format!("partition {unknown} is asked for, and no topic has it. Correct `partitions`"),
        ))
    }
}

/// What was counted, by topic.
type Counts = std::collections::BTreeMap<Arc<str>, TopicCounts>;
