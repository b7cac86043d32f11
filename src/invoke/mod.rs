//! The only place where the stages are joined:
//! request -> plan -> claim -> poll -> decode -> process -> settle -> commit -> report.

mod backfill;
mod drain;
mod glance;
mod lane;
mod lanes;
mod notes;
mod pins;
mod summary;
mod survey;
mod time;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use futures::FutureExt as _;
use serde::Serialize;
use tokio::sync::watch;

use crate::claim::RunId;
use crate::clock::{Clock, Deadline};
use crate::config::{Config, MessageLimit};
use crate::error::{Error, ErrorType};
use crate::event::{BackfillRequest, Request, RunRequest};
use crate::kafka::fetch::FetchSizes;
use crate::plan::{self, Decision, Demand, PartitionState, Reading};
use crate::processor::{Processor, panic_words};
use crate::report::{PlanReport, RunReport, TopicCounts};
use crate::source::Source;
use crate::store::{Consumer, Store};
use crate::text;
use lane::Lane;
use lanes::Lanes;

pub use glance::{Glance, glance};
pub use survey::Pins;

/// How many cursors are written at once.
pub(crate) const WRITES_AT_ONCE: usize = 16;

/// How many dead letters one run may write: an outage of what the handler
/// needs must not drain a topic into the target before anybody has looked.
pub(crate) const MOST_DEAD_LETTERS: u32 = 100;

/// The log target of reports, so that they can be left out where they are shown anyway.
pub const REPORT_TARGET: &str = "report";

/// What a run works with. Built once, used for every invocation.
pub struct Parts<S, K, P, C, L> {
    /// The settings.
    pub config: Arc<Config>,
    /// Where cursors live.
    pub store: S,
    /// Where records come from.
    pub source: K,
    /// What happens to them.
    pub processor: P,
    /// What happens to those that fail for good.
    pub dead_letters: L,
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
            Answer::Plan(plan) => plan.error.as_ref(),
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
/// When a plan cannot be made, or a backfill does not fit the settings. A run
/// that fails is not an `Err`: it has a report like any other, and
/// [`Invoked::error`] tells. A panic outside of any partition's work is a
/// `PartitionBlocked` without a report.
pub async fn invoke<S: Store, K: Source, P: Processor, C: Clock, L: Processor>(
    parts: &Parts<S, K, P, C, L>,
    request: &Request,
    deadline: Deadline,
    interrupt: watch::Receiver<Interrupt>,
) -> Result<Invoked, Error> {
    let carried_out = AssertUnwindSafe(carry_out(parts, request, deadline, interrupt)).catch_unwind();
    carried_out.await.unwrap_or_else(|panic| {
        let what = text::cut(panic_words(&*panic), lane::LONGEST_PANIC_BYTES);
        let message = format!(
            "this program failed outside of any partition: {what}. No record counts as failed; what was stored stays, \
             and claims end by themselves. Report this, with the log of the invocation"
        );
        Err(Error::new(ErrorType::PartitionBlocked, message))
    })
}

async fn carry_out<S: Store, K: Source, P: Processor, C: Clock, L: Processor>(
    parts: &Parts<S, K, P, C, L>,
    request: &Request,
    deadline: Deadline,
    interrupt: watch::Receiver<Interrupt>,
) -> Result<Invoked, Error> {
    let run: Run<'_, Parts<S, K, P, C, L>> = Run::new(parts, deadline);
    match request {
        Request::Plan(request) => {
            let planned = summary::plan_report(&run, request, survey::survey(&run, survey::Pins::Leave).await?)?;
            let invoked = Invoked {
                answer: Answer::Plan(planned),
                metrics: vec![],
            };
            summary::log(&invoked);
            Ok(invoked)
        }
        Request::Run(request) => Ok(run.make(request, interrupt).await),
        Request::Backfill(request) => {
            let run: Run<'_, Parts<S, K, P, C, L>> = Run::of_backfill(parts, request, deadline)?;
            Ok(run.fill(request, interrupt).await)
        }
    }
}

/// What is known of every partition before a run, and what a run would do with
/// it: for those who want to know, or to move cursors themselves.
///
/// # Errors
/// When the table or the brokers cannot be asked; with [`Pins::Store`] also
/// when a start position cannot be stored.
pub async fn look<S: Store, K: Source, P: Processor, C: Clock, L: Processor>(
    parts: &Parts<S, K, P, C, L>,
    deadline: Deadline,
    pins: Pins,
) -> Result<(Vec<PartitionState>, Vec<Decision>), Error> {
    let run: Run<'_, Parts<S, K, P, C, L>> = Run::new(parts, deadline);
    let facts = survey::survey(&run, pins).await?.all()?;
    let decisions = plan::decide_all(&facts, &run.policy());
    Ok((facts, decisions))
}

/// The same of a backfill, for each of its partitions; one that has not begun
/// begins, but nothing is read.
///
/// # Errors
/// When the table or the brokers cannot be asked, the bounds cannot be stored,
/// or the backfill does not fit the settings or one of the same name.
pub async fn look_at_backfill<S: Store, K: Source, P: Processor, C: Clock, L: Processor>(
    parts: &Parts<S, K, P, C, L>,
    request: &BackfillRequest,
    deadline: Deadline,
) -> Result<(Vec<PartitionState>, Vec<Decision>), Error> {
    let run: Run<'_, Parts<S, K, P, C, L>> = Run::of_backfill(parts, request, deadline)?;
    let facts = backfill::survey(&run, request).await?;
    let decisions = backfill::decide_all(&run, &facts);
    Ok((facts, decisions))
}

/// The seams that a run works through, as one parameter.
trait Seams {
    type Store: Store;
    type Source: Source;
    type Processor: Processor;
    type Clock: Clock;
    type DeadLetters: Processor;
}

impl<S: Store, K: Source, P: Processor, C: Clock, L: Processor> Seams for Parts<S, K, P, C, L> {
    type Store = S;
    type Source = K;
    type Processor = P;
    type Clock = C;
    type DeadLetters = L;
}

type PartsOf<D> = Parts<
    <D as Seams>::Store,
    <D as Seams>::Source,
    <D as Seams>::Processor,
    <D as Seams>::Clock,
    <D as Seams>::DeadLetters,
>;

/// One run.
struct Run<'a, D: Seams> {
    id: RunId,
    /// A number drawn by lot.
    lot: u64,
    config: &'a Config,
    topics: &'a [Arc<str>],
    /// The backfill whose cursors it moves; `None`: the live ones.
    backfill: Option<&'a BackfillRequest>,
    store: &'a D::Store,
    source: &'a D::Source,
    processor: &'a D::Processor,
    dead_letters: &'a D::DeadLetters,
    dead_letters_left: Allowance,
    clock: &'a D::Clock,
    sizes: FetchSizes,
    started: Instant,
    started_wall_ms: i64,
    deadline: Deadline,
    /// The deadline less the time that the last writes need.
    stop: Deadline,
    /// No work begins from here on: the stop, or less where others need the rest.
    begin_until: Instant,
    /// Handlers are cut off here: at the stop, or at the end of a slice.
    cut_at: Instant,
    halt: Arc<watch::Sender<Interrupt>>,
}

impl<'a, D: Seams> Run<'a, D> {
    fn new(parts: &'a PartsOf<D>, deadline: Deadline) -> Self {
        let clock = &parts.clock;
        let stop = deadline.less_reserve(clock);
        let id = uuid::Uuid::new_v4();
        Self {
            id: RunId::new(id.to_string()),
            lot: id.as_u64_pair().1,
            config: &parts.config,
            topics: &parts.config.topics,
            backfill: None,
            store: &parts.store,
            source: &parts.source,
            processor: &parts.processor,
            dead_letters: &parts.dead_letters,
            dead_letters_left: Allowance::new(MOST_DEAD_LETTERS),
            clock,
            sizes: FetchSizes::new(parts.config.max_memory_bytes, parts.config.max_messages),
            started: clock.now(),
            started_wall_ms: clock.wall_ms(),
            deadline,
            stop,
            begin_until: stop.at,
            cut_at: stop.at,
            halt: Arc::new(watch::Sender::new(Interrupt::No)),
        }
    }

    /// Makes the run and reports it, whatever happens.
    async fn make(&self, request: &RunRequest, interrupt: watch::Receiver<Interrupt>) -> Invoked {
        let surveyed = match self.too_short() {
            Some(error) => Err(error),
            None => survey::survey(self, survey::Pins::Store).await,
        };
        let (facts, failed) = match surveyed {
            Ok(survey) => (survey.facts, survey.refused),
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
        self.report(&facts, &decisions, &chosen, &work, failed).await
    }

    /// Goes on with a backfill, and reports it.
    async fn fill(&self, request: &BackfillRequest, interrupt: watch::Receiver<Interrupt>) -> Invoked {
        let surveyed = match self.too_short() {
            Some(error) => Err(error),
            None => backfill::survey(self, request).await,
        };
        let (facts, failed) = match surveyed {
            Ok(facts) => (facts, None),
            Err(error) => (vec![], Some(error)),
        };
        let decisions = backfill::decide_all(self, &facts);
        let facts: Vec<PartitionState> = facts.into_iter().map(crate::backfill::within).collect();
        let chosen: Vec<usize> = (0..facts.len()).collect();
        let mut work = self.lanes(&facts, &decisions, &chosen, request.max_messages);
        self.work(&mut work, &interrupt).await;
        self.report(&facts, &decisions, &chosen, &work, failed).await
    }

    /// Writes the report to the log, and then removes the notes that it names
    /// from their items.
    async fn report(
        &self,
        facts: &[PartitionState],
        decisions: &[Decision],
        chosen: &[usize],
        work: &Lanes,
        failed: Option<Error>,
    ) -> Invoked {
        let invoked = summary::summarize(self, facts, decisions, chosen, work, failed);
        summary::log(&invoked);
        self.remove_notes(notes::reported(facts, decisions, chosen, work)).await;
        invoked
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
            backfill: self.backfill.map(|request| request.name.shared()),
        }
    }

    fn budget(&self, asked: Option<MessageLimit>) -> Option<u64> {
        match asked.unwrap_or(self.config.max_messages) {
            MessageLimit::At(records) => Some(records.get()),
            MessageLimit::Unlimited => None,
        }
    }

    /// A lane for each partition with work, with its share of the budget.
    fn lanes(
        &self,
        facts: &[PartitionState],
        decisions: &[Decision],
        chosen: &[usize],
        asked: Option<MessageLimit>,
    ) -> Lanes {
        let budget = self.budget(asked);
        let wanted: Vec<(usize, &Reading, Demand)> = chosen
            .iter()
            .filter_map(|&i| match &decisions[i] {
                Decision::Read(reading) => Some((i, reading, plan::demand(&facts[i], &decisions[i]))),
                _ => None,
            })
            .collect();
        let shares = plan::fair_shares(&wanted.iter().map(|(_, _, wish)| *wish).collect::<Vec<_>>(), budget);
        let used: u64 = shares.iter().fold(0, |sum, share| sum.saturating_add(*share));
        let mut lanes = Lanes {
            leftover: budget.map_or(0, |budget| budget - used),
            limited: budget.is_some(),
            ..Lanes::default()
        };
        for ((i, reading, _), share) in wanted.into_iter().zip(shares) {
            let partition = facts[i].partition.clone();
            let consumer = self.consumer(&partition.topic);
            let lane = Lane::new(
                consumer,
                partition,
                reading.clone(),
                share,
                (self.now_ms(), self.started_wall_ms),
            );
            lanes.add(lane);
        }
        lanes
    }
}

impl RunRequest {
    /// A partition that the request names and that neither a topic nor the
    /// table has: asking for it is a mistake, and no idle run.
    fn unknown_partition(&self, facts: &[PartitionState]) -> Option<Error> {
        let known = |wanted: &i32| facts.iter().any(|fact| fact.partition.partition == *wanted);
        let wanted = self.partitions.as_deref().unwrap_or_default();
        let unknown = wanted.iter().find(|wanted| !facts.is_empty() && !known(wanted))?;
        Some(Error::new(
            ErrorType::InvalidEvent,
            format!("partition {unknown} is asked for, and no topic has it. Correct `partitions`"),
        ))
    }
}

/// How many more there may be of something, for all lanes of a run together.
#[derive(Clone)]
struct Allowance(Arc<AtomicU32>);

impl Allowance {
    fn new(most: u32) -> Self {
        Self(Arc::new(AtomicU32::new(most)))
    }

    /// Takes one, if there is one left.
    fn take(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
    }

    fn give_back(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// What was counted, by topic.
type Counts = std::collections::BTreeMap<Arc<str>, TopicCounts>;
