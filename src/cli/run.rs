//! `run`.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::exit::Exit;
use super::output::{self, Out};
use super::parts::{invoke_once, parts_for_a_run};
use super::selection::Selection;
use super::signals;
use crate::clock::Clock as _;
use crate::config::Config;
use crate::error::Error;
use crate::event::Request;
use crate::invoke::{Interrupt, Invoked, Response};
use crate::live::LiveParts;
use crate::processor::Processor;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    selection: Selection,

    /// Run at this interval until ctrl-c: `60s`, `5m`
    #[arg(long, value_name = "DURATION", value_parser = every)]
    every: Option<Duration>,
}

fn every(text: &str) -> Result<Duration, String> {
    let every = humantime::parse_duration(text).map_err(|error| format!("{error}; allowed: 60s, 5m, 1h"))?;
    if every < Duration::from_secs(1) {
        Err("allowed: 1s or more".into())
    } else {
        Ok(every)
    }
}

pub(super) async fn run<P: Processor + 'static>(
    config: Config,
    make: impl FnOnce(&Config) -> P,
    arguments: RunArgs,
    out: Out,
) -> Result<Exit, Error> {
    let interrupt = signals::interrupts()?;
    let parts = parts_for_a_run(config, make).await?;
    let request = Request::Run((&arguments.selection).into());
    match arguments.every {
        None => {
            let invoked = invoke_once(parts, &request, interrupt).await?;
            Ok(output::print_invoked(&invoked, out))
        }
        Some(every) => {
            run_every(parts, &request, every, interrupt, out).await;
            Ok(Exit::Done)
        }
    }
}

/// Runs at a fixed interval, until ctrl-c or until stdout is closed. A run that
/// takes longer skips ticks. A failure is printed, and the next run tries
/// again, as on a schedule.
async fn run_every<P: Processor>(
    parts: &LiveParts<P>,
    request: &Request,
    every: Duration,
    mut interrupt: watch::Receiver<Interrupt>,
    out: Out,
) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            _ = interrupt.wait_for(|interrupt| *interrupt > Interrupt::No) => return,
            _ = ticks.tick() => {}
        }
        let started_ms = parts.clock.wall_ms();
        match invoke_once(parts, request, interrupt.clone()).await {
            Ok(invoked) => print_tick(&invoked, started_ms, out),
            Err(error) => output::print_error(&error.to_string()),
        }
        if output::stdout_is_closed() {
            tracing::warn!("stdout is closed: no further run is started");
            return;
        }
    }
}

/// Prints one line for one of many runs; a failure to stderr.
fn print_tick(invoked: &Invoked, started_ms: i64, out: Out) {
    match &invoked.response {
        Response::Run(report) => out.print(
            &output::tick_line(&output::time_to_the_second(started_ms), report),
            report,
        ),
        Response::Plan(_) => out.print_result(&invoked.response),
    }
    if let Some(error) = invoked.error() {
        output::print_error(&error.to_string());
    }
}
