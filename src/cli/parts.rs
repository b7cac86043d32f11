//! The clients and settings that commands share, and an invocation with them.

use tokio::sync::watch;

use crate::clock::Deadline;
use crate::config::Config;
use crate::destination::Configured;
use crate::error::Error;
use crate::event::Request;
use crate::invoke::{self, Interrupt, Invoked};
use crate::live::{self, LiveParts};
use crate::processor::Processor;
use crate::security::Security;

/// The parts of a command that processes no records.
pub(super) type CliParts = LiveParts<Configured>;

/// Connects for a command that processes no records.
pub(super) async fn parts(config: Config) -> Result<&'static CliParts, Error> {
    Ok(leaked(live::parts(config, Configured::new).await?))
}

/// Connects for a command with a processor, which must have a handler for each topic.
pub(super) async fn parts_with<P: Processor + 'static>(
    config: Config,
    make: impl FnOnce(&Config) -> P,
) -> Result<&'static LiveParts<P>, Error> {
    with_handlers(live::parts(config, make).await?)
}

/// Connects for a run.
pub(super) async fn parts_for_a_run<P: Processor + 'static>(
    config: Config,
    make: impl FnOnce(&Config) -> P,
) -> Result<&'static LiveParts<P>, Error> {
    // Fetching an unavailable secret takes time, which must count as the run's.
    if Security::new(&config).may_change() {
        return parts_with(config, make).await;
    }
    with_handlers(live::parts_for_a_run(config, make).await?)
}

fn with_handlers<P: Processor + 'static>(parts: LiveParts<P>) -> Result<&'static LiveParts<P>, Error> {
    live::check_topics(&parts.config, &parts.processor)?;
    Ok(leaked(parts))
}

/// Until the process ends: closing a client takes 100 ms, longer with an unreachable
/// broker, and saves nothing here.
fn leaked<P: Processor + 'static>(parts: LiveParts<P>) -> &'static LiveParts<P> {
    Box::leak(Box::new(parts))
}

/// One invocation as in Lambda, within `TIME_LIMIT`. Logs its metrics.
pub(super) async fn invoke_once<P: Processor>(
    parts: &LiveParts<P>,
    request: &Request,
    interrupt: watch::Receiver<Interrupt>,
) -> Result<Invoked, Error> {
    let deadline = Deadline::after(parts.config.time_limit, &parts.clock);
    let invoked = invoke::invoke(parts, request, deadline, interrupt).await?;
    for line in &invoked.metrics {
        tracing::info!(target: "metrics", "{line}");
    }
    Ok(invoked)
}
