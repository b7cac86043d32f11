//! The only place where the stages are joined:
//! request -> plan -> claim -> fetch -> decode -> process -> settle -> flush -> report.

mod backfill_snapshot;
mod drain;
mod log;
mod next_step;
mod pins;
mod plan_report;
mod report;
mod run;
mod snapshot;
mod time;
mod unreported;
mod worker;
mod workers;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use serde::Serialize;
use tokio::sync::watch;

pub(crate) use log::log;
pub(crate) use report::most_severe;
pub(crate) use run::Allowance;
pub(crate) use time::MIN_WORK;
pub(crate) use worker::{pause_after, throttled_pause};

use crate::backfill;
use crate::clock::{Clock, Deadline};
use crate::config::Config;
use crate::error::{Error, ErrorType};
use crate::event::{BackfillRequest, Request};
use crate::plan::{self, PartitionPlan};
use crate::processor::{Processor, panic_message};
use crate::report::{PlanReport, RunReport};
use crate::source::Source;
use crate::store::Store;
use crate::text;
use run::Run;

pub use snapshot::Pins;
pub use snapshot::best_effort::{BestEffortSnapshot, snapshot_best_effort};

/// How many cursors are written concurrently.
pub(crate) const WRITES_AT_ONCE: usize = 16;

/// How many dead letters one run may write: an outage of what the handler
/// needs must not drain a topic into the target before an operator sees it.
pub(crate) const MAX_DEAD_LETTERS: u32 = 100;

/// The log target of reports, so that a subscriber can filter them out where
/// the report is printed anyway.
pub const REPORT_TARGET: &str = "report";

/// The implementations of the seams that a run uses.
///
/// A tuple of the five is a backend, in the order of the associated types, as in
/// `Parts<(MemoryStore, KafkaSource, Discard, DeadLetters, SystemClock)>`.
pub trait Backend {
    /// Stores cursors and claims.
    type Store: Store;
    /// Reads records.
    type Source: Source;
    /// Handles records.
    type Processor: Processor;
    /// Sends dead letters.
    type DeadLetters: Processor;
    /// Returns the time.
    type Clock: Clock;
}

impl<S: Store, K: Source, P: Processor, L: Processor, C: Clock> Backend for (S, K, P, L, C) {
    type Store = S;
    type Source = K;
    type Processor = P;
    type DeadLetters = L;
    type Clock = C;
}

/// The settings and the seams of a run. Built once per process and used by every
/// invocation.
pub struct Parts<B: Backend> {
    /// The validated settings.
    pub config: Arc<Config>,
    /// Stores cursors and claims.
    pub store: B::Store,
    /// Reads records. Its connections are kept between invocations.
    pub source: B::Source,
    /// Handles records.
    pub processor: B::Processor,
    /// Receives the dead letters of records that `ON_FAILURE` gives up.
    pub dead_letters: B::DeadLetters,
    /// Returns the time.
    pub clock: B::Clock,
}

/// The response of an invocation, as JSON without a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// To `run` and `backfill`, also where the run failed.
    Run(Box<RunReport>),
    /// To `plan`.
    Plan(PlanReport),
}

/// A response with the metrics that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoked {
    /// The response.
    pub response: Response,
    /// One line of `CloudWatch`'s embedded metric format per topic; empty for a plan.
    pub metrics: Vec<String>,
}

impl Invoked {
    /// The error that the invocation must return instead of the response.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match &self.response {
            Response::Run(report) => report.error.as_ref(),
            Response::Plan(plan) => plan.error.as_ref(),
        }
    }
}

/// How urgently a run must end before its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Interrupt {
    /// Not interrupted.
    #[default]
    No,
    /// End after the chunks in flight, and store what they settled.
    Finish,
    /// End at once: drop the chunks in flight, whose records are delivered
    /// again, and store what was settled before.
    Now,
}

/// Carries out `request` within `deadline`, or until `interrupt` ends it
/// earlier, and logs the report.
///
/// # Errors
/// When a plan cannot be made, or a backfill does not fit the settings. A run
/// that fails is not an `Err`: it has a report like any other, with its error
/// in [`Invoked::error`]. A panic outside of any partition's work is a
/// `PartitionBlocked` without a report.
pub async fn invoke<B: Backend>(
    parts: &Parts<B>,
    request: &Request,
    deadline: Deadline,
    interrupt: watch::Receiver<Interrupt>,
) -> Result<Invoked, Error> {
    let dispatched = AssertUnwindSafe(dispatch(parts, request, deadline, interrupt)).catch_unwind();
    dispatched.await.unwrap_or_else(|panic| {
        let what = text::cut(panic_message(&*panic), worker::MAX_PANIC_BYTES);
        let what = format!(
            "this program panicked outside the work on any partition: {what}. This is a defect of the program, not of \
             a record: no record counts as failed. What was stored before is kept, and the claims of this run expire"
        );
        let next = "Report this, with the log of the invocation; the next run tries again";
        Err(Error::new(ErrorType::PartitionBlocked, what).next(next))
    })
}

async fn dispatch<B: Backend>(
    parts: &Parts<B>,
    request: &Request,
    deadline: Deadline,
    interrupt: watch::Receiver<Interrupt>,
) -> Result<Invoked, Error> {
    let run = Run::new(parts, deadline);
    match request {
        Request::Plan(request) => {
            let snapshot = snapshot::snapshot(&run, Pins::Leave).await?;
            let invoked = Invoked {
                response: Response::Plan(plan_report::plan_report(&run, request, snapshot)?),
                metrics: vec![],
            };
            log::log(&invoked);
            Ok(invoked)
        }
        Request::Run(request) => Ok(run.run_live(request, interrupt).await),
        Request::Backfill(request) => {
            let run = Run::for_backfill(parts, request, deadline)?;
            Ok(run.run_backfill(request, interrupt).await)
        }
    }
}

/// Returns every partition with what a run would do with it, in ascending order
/// of topic and partition. Reads no records.
///
/// # Errors
/// When the table cannot be read or the brokers do not respond; with
/// [`Pins::Store`] also when a start position cannot be stored.
pub async fn inspect<B: Backend>(
    parts: &Parts<B>,
    deadline: Deadline,
    pins: Pins,
) -> Result<Vec<PartitionPlan>, Error> {
    let run = Run::new(parts, deadline);
    let states = snapshot::snapshot(&run, pins).await?.all()?;
    Ok(plan::decide_all(states, &run.policy()))
}

/// The same for each partition of a backfill. Stores the bounds of a backfill
/// that has not started; reads no records.
///
/// # Errors
/// When the table cannot be read, the brokers do not respond, the bounds cannot
/// be stored, or the backfill does not fit the settings or one of the same name.
pub async fn inspect_backfill<B: Backend>(
    parts: &Parts<B>,
    request: &BackfillRequest,
    deadline: Deadline,
) -> Result<Vec<PartitionPlan>, Error> {
    let run = Run::for_backfill(parts, request, deadline)?;
    let states = backfill_snapshot::snapshot(&run, request).await?;
    Ok(backfill::decide_all(states, &run.policy()))
}
