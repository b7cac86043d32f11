//! One run: snapshot, decisions, workers, report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::watch;

use super::snapshot::{self, Pins, Snapshot};
use super::worker::PartitionWorker;
use super::workers::Workers;
use super::{Backend, Interrupt, Invoked, MAX_DEAD_LETTERS, Parts, backfill_snapshot, log, report};
use crate::backfill;
use crate::claim::RunId;
use crate::clock::{Clock, Deadline};
use crate::config::{Config, MessageLimit};
use crate::error::{Error, ErrorType};
use crate::event::{BackfillRequest, RunRequest};
use crate::kafka::fetch::FetchSizes;
use crate::plan::{self, Decision, PartitionPlan, PartitionState};
use crate::record::TopicPartition;
use crate::store::Consumer;

/// One run.
pub(super) struct Run<'a, B: Backend> {
    pub(super) id: RunId,
    /// A random number: which partition gets the long slice of time.
    pub(super) random: u64,
    pub(super) config: &'a Config,
    pub(super) topics: &'a [Arc<str>],
    /// The backfill whose cursors it moves; `None`: the live ones.
    pub(super) backfill: Option<&'a BackfillRequest>,
    pub(super) store: &'a B::Store,
    pub(super) source: &'a B::Source,
    pub(super) processor: &'a B::Processor,
    pub(super) dead_letters: &'a B::DeadLetters,
    pub(super) dead_letters_left: Allowance,
    pub(super) clock: &'a B::Clock,
    pub(super) sizes: FetchSizes,
    pub(super) started: Instant,
    pub(super) started_wall_ms: i64,
    pub(super) deadline: Deadline,
    /// The deadline less the time that the last writes need.
    pub(super) stop: Deadline,
    /// No work begins from here on: the stop, or earlier where other partitions
    /// need the rest.
    pub(super) begin_until: Instant,
    /// Handlers are cut off here: at the stop, or at the end of a slice.
    pub(super) cut_at: Instant,
    pub(super) halt: Arc<watch::Sender<Interrupt>>,
    /// How many partitions wait for one of those in flight to end.
    pub(super) waiting: Arc<AtomicUsize>,
    /// The topics whose handler failed fatally.
    pub(super) stopped_topics: Arc<Mutex<BTreeSet<Arc<str>>>>,
}

/// One partition of a run: its plan, and the worker that carries it out.
pub(super) struct PartitionRun {
    pub(super) plan: PartitionPlan,
    /// `None`: there was nothing to read.
    pub(super) worker: Option<PartitionWorker>,
}

impl PartitionRun {
    fn new(plan: PartitionPlan) -> Self {
        Self { plan, worker: None }
    }
}

/// What a run works on.
pub(super) struct Scope {
    /// The partitions of the request, in ascending order.
    pub(super) partitions: Vec<PartitionRun>,
    /// Whether anything is known of any partition, of the request or not.
    pub(super) is_known: bool,
    /// Why the run fails, whatever its partitions do.
    pub(super) error: Option<Error>,
}

impl<'a, B: Backend> Run<'a, B> {
    pub(super) fn new(parts: &'a Parts<B>, deadline: Deadline) -> Self {
        let clock = &parts.clock;
        let stop = deadline.less_reserve(clock);
        let id = uuid::Uuid::new_v4();
        Self {
            id: RunId::new(id.to_string()),
            random: id.as_u64_pair().1,
            config: &parts.config,
            topics: &parts.config.topics,
            backfill: None,
            store: &parts.store,
            source: &parts.source,
            processor: &parts.processor,
            dead_letters: &parts.dead_letters,
            dead_letters_left: Allowance::new(MAX_DEAD_LETTERS),
            clock,
            sizes: FetchSizes::new(parts.config.max_memory_bytes, parts.config.max_messages),
            started: clock.now(),
            started_wall_ms: clock.wall_ms(),
            deadline,
            stop,
            begin_until: stop.at,
            cut_at: stop.at,
            halt: Arc::new(watch::Sender::new(Interrupt::No)),
            waiting: Arc::default(),
            stopped_topics: Arc::default(),
        }
    }

    /// Reads the live cursors on, and reports what was done, also where it failed.
    pub(super) async fn run_live(&self, request: &RunRequest, interrupt: watch::Receiver<Interrupt>) -> Invoked {
        let snapshot = match self.too_short() {
            Some(error) => Err(error),
            None => snapshot::snapshot(self, Pins::Store).await,
        };
        let Snapshot { states, unreadable } = snapshot.unwrap_or_else(Snapshot::failed);
        let error = unreadable.or_else(|| request.unknown_partition(&states));
        let scope = Scope {
            is_known: !states.is_empty(),
            error,
            partitions: plan::decide_all(states, &self.policy())
                .into_iter()
                .filter(|plan| request.includes(plan.state.partition.partition))
                .map(PartitionRun::new)
                .collect(),
        };
        self.run_partitions(scope, request.max_messages, interrupt).await
    }

    /// Reads a backfill on, and reports what was done, also where it failed.
    pub(super) async fn run_backfill(
        &self,
        request: &BackfillRequest,
        interrupt: watch::Receiver<Interrupt>,
    ) -> Invoked {
        let snapshot = match self.too_short() {
            Some(error) => Err(error),
            None => backfill_snapshot::snapshot(self, request).await,
        };
        let (states, error) = match snapshot {
            Ok(states) => (states, None),
            Err(error) => (vec![], Some(error)),
        };
        let within = |plan: PartitionPlan| PartitionPlan {
            state: backfill::within(plan.state),
            ..plan
        };
        let plans = backfill::decide_all(states, &self.policy()).into_iter();
        let partitions: Vec<_> = plans.map(within).map(PartitionRun::new).collect();
        let scope = Scope {
            is_known: !partitions.is_empty(),
            error,
            partitions,
        };
        self.run_partitions(scope, request.max_messages, interrupt).await
    }

    /// Works on the partitions, logs the report, and then removes what it names
    /// from the items that had it noted as unreported.
    async fn run_partitions(
        &self,
        mut scope: Scope,
        max_messages: Option<MessageLimit>,
        interrupt: watch::Receiver<Interrupt>,
    ) -> Invoked {
        let mut workers = self.workers(&scope.partitions, max_messages);
        self.work(&mut workers, &interrupt).await;
        let done = std::mem::take(&mut workers.done).into_iter();
        let mut done: BTreeMap<TopicPartition, PartitionWorker> =
            done.map(|worker| (worker.partition.clone(), worker)).collect();
        for partition in &mut scope.partitions {
            partition.worker = done.remove(&partition.plan.state.partition);
        }
        let invoked = report::report(self, &scope, workers.interrupted);
        log::log(&invoked);
        self.acknowledge_reported(&scope.partitions).await;
        invoked
    }

    pub(super) fn policy(&self) -> plan::Policy {
        plan::Policy {
            start_position: self.config.start_position,
            on_retention_loss: self.config.on_retention_loss,
            on_truncation: self.config.on_truncation,
            now_ms: self.started_wall_ms,
        }
    }

    pub(super) fn consumer(&self, topic: &Arc<str>) -> Consumer {
        Consumer {
            group_id: self.config.group_id.clone(),
            topic: topic.clone(),
            backfill: self.backfill.map(|request| request.name.shared()),
        }
    }

    /// The limit of records: the request's, or else the settings'. `None`: no limit.
    pub(super) fn budget(&self, max_messages: Option<MessageLimit>) -> Option<u64> {
        match max_messages.unwrap_or(self.config.max_messages) {
            MessageLimit::At(records) => Some(records.get()),
            MessageLimit::Unlimited => None,
        }
    }

    /// A worker for each partition to be read, with its share of the budget.
    fn workers(&self, partitions: &[PartitionRun], max_messages: Option<MessageLimit>) -> Workers {
        let budget = self.budget(max_messages);
        let run_ms = (self.now_ms(), self.started_wall_ms);
        let (to_read, demands): (Vec<_>, Vec<_>) = partitions
            .iter()
            .filter_map(|PartitionRun { plan, .. }| match &plan.decision {
                Decision::Read(reading) => Some(((&plan.state.partition, reading), plan.demand())),
                _ => None,
            })
            .unzip();
        let shares = plan::fair_shares(&demands, budget);
        let used: u64 = shares.iter().fold(0, |sum, share| sum.saturating_add(*share));
        let mut workers = Workers {
            leftover: budget.map_or(0, |budget| budget - used),
            limited: budget.is_some(),
            ..Workers::default()
        };
        for ((partition, reading), share) in to_read.into_iter().zip(shares) {
            let consumer = self.consumer(&partition.topic);
            workers.add(PartitionWorker::new(
                consumer,
                partition.clone(),
                reading.clone(),
                share,
                run_ms,
                self.processor,
            ));
        }
        workers
    }
}

impl RunRequest {
    /// The error for a partition of the request that neither a topic nor the
    /// table has: the request is wrong, and the run is not idle.
    pub(super) fn unknown_partition(&self, states: &[PartitionState]) -> Option<Error> {
        let known = |partition: &i32| states.iter().any(|state| state.partition.partition == *partition);
        let requested = self.partitions.as_deref().unwrap_or_default();
        let unknown = requested
            .iter()
            .find(|partition| !states.is_empty() && !known(partition))?;
        let what = format!("partition {unknown} is requested, but no topic has it");
        Some(Error::new(ErrorType::InvalidEvent, what).next("Correct `partitions`"))
    }
}

/// How many more there may be of something, for all workers of a run together.
#[derive(Clone)]
pub(crate) struct Allowance(Arc<AtomicU32>);

impl Allowance {
    pub(crate) fn new(most: u32) -> Self {
        Self(Arc::new(AtomicU32::new(most)))
    }

    /// Takes one, if there is one left.
    pub(crate) fn take(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
    }

    pub(super) fn give_back(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
