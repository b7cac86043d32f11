//! `offsets`.

mod list;

use super::Exit;
use super::output::Out;
use super::parts::parts;
use crate::config::Config;
use crate::error::Error;

#[derive(Debug, clap::Subcommand)]
pub(super) enum OffsetsCommand {
    /// Show the stored cursors, those of partitions that are gone too
    List(list::ListArgs),
}

pub(super) async fn offsets(config: Config, command: OffsetsCommand, out: Out) -> Result<Exit, Error> {
    let parts = parts(config).await?;
    match command {
        OffsetsCommand::List(arguments) => list::list(parts, &arguments, out).await,
    }
}
