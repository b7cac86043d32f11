//! What all commands work with.

use crate::config::Config;
use crate::error::Error;
use crate::live::{self, LiveParts};
use crate::processor::{Configured, Processor};
use crate::security::Security;

/// The parts of a command that hands no record to anybody.
pub(super) type CliParts = LiveParts<Configured>;

/// The parts of such a command.
pub(super) async fn parts(config: Config) -> Result<&'static CliParts, Error> {
    parts_with(config, Configured::new).await
}

/// The parts of a command with a processor, until the process ends: closing a
/// client takes 100 ms, and longer with a lost broker, and saves nothing here.
pub(super) async fn parts_with<P: Processor + 'static>(
    config: Config,
    make: impl FnOnce(&Config) -> P,
) -> Result<&'static LiveParts<P>, Error> {
    Ok(Box::leak(Box::new(live::parts(config, make).await?)))
}

/// The same for a run, until the process ends.
pub(super) async fn parts_for_a_run<P: Processor + 'static>(
    config: Config,
    make: impl FnOnce(&Config) -> P,
) -> Result<&'static LiveParts<P>, Error> {
    // A secret that cannot be had takes its time, and the run's is the one that counts.
    if Security::new(&config).may_change() {
        return parts_with(config, make).await;
    }
    Ok(Box::leak(Box::new(live::parts_for_a_run(config, make).await?)))
}
