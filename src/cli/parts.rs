//! What all commands work with.

use crate::config::Config;
use crate::error::Error;
use crate::live::{self, LiveParts};
use crate::processor::Configured;

pub(super) type CliParts = LiveParts<Configured>;

/// The parts of a command, until the process ends: closing a client takes
/// 100 ms, and longer with a lost broker, and saves nothing here.
pub(super) async fn parts(config: Config) -> Result<&'static CliParts, Error> {
    parts_with(config, Configured::new).await
}

/// The same, with another processor.
pub(super) async fn parts_with<P: 'static>(
    config: Config,
    make: impl FnOnce(&Config) -> P,
) -> Result<&'static LiveParts<P>, Error> {
    Ok(Box::leak(Box::new(live::parts(config, make).await?)))
}
