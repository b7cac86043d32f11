//! `offsets`.

use super::Exit;
use super::output::Out;
use crate::config::Config;
use crate::error::{Error, ErrorType};

#[derive(Debug, clap::Subcommand)]
pub(super) enum OffsetsCommand {
    /// Show the stored cursors
    List,
}

pub(super) async fn offsets(config: Config, command: OffsetsCommand, out: Out) -> Result<Exit, Error> {
    super::parts::parts(config.clone()).await?;
    let _ = (config, command, out);
    Err(Error::new(ErrorType::InvalidConfiguration, "not there"))
}
