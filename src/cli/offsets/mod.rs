//! `offsets`.

mod delete;
mod group;
mod list;
mod moves;
mod pause;
mod reset;
mod row;
mod target;
mod undo;

use super::Exit;
use super::output::{self, Out};
use super::parts::parts;
use super::selection::Partitions;
use crate::config::Config;
use crate::error::Error;

#[derive(Debug, clap::Subcommand)]
pub(super) enum OffsetsCommand {
    /// Show the stored cursors, those of partitions that are gone too
    List(list::ListArgs),
    /// Move cursors; shows what would change, and changes it with --execute
    ///
    /// Targets outside of the log are clamped, and it is said. With --execute
    /// the cursors are looked at again; one that a run moves in that moment, or
    /// has claimed, is left alone. A cursor that stands at its target already is not
    /// written, unless failed attempts are remembered there: a reset to the
    /// very offset forgets them, and a blocked record is tried afresh.
    Reset(reset::ResetArgs),
    /// Delete cursors; shows what the next run would do then, and deletes with --execute
    ///
    /// For cursors of partitions that a topic no longer has, and to start over at
    /// `START_POSITION`. One that a run has claimed is left alone. `undo` brings
    /// them back. Needs the rights dynamodb:PutItem and dynamodb:DeleteItem,
    /// which runs do not.
    Delete(delete::DeleteArgs),
    /// Move cursors back to where the last reset found them; again: redo it
    ///
    /// Deleted cursors come back as they were.
    Undo(undo::UndoArgs),
    /// Make runs leave partitions alone; at once, without --execute
    ///
    /// A run that is at work on a partition finishes; the next one leaves it
    /// alone. `resume` takes it back.
    Pause(Partitions),
    /// Make runs read paused partitions again; at once, without --execute
    Resume(Partitions),
    /// Take over the committed offsets of a consumer group of Kafka's
    ///
    /// Partitions without a commit are left alone. Needs Describe on the group.
    Import(group::ImportArgs),
    /// Commit the cursors to a consumer group of Kafka's, for tools that show its lag
    ///
    /// The group must have no active members. Needs Describe and Read on the
    /// group, and Read on the topic.
    Export(group::ExportArgs),
}

pub(super) async fn offsets(config: Config, command: OffsetsCommand, out: Out) -> Result<Exit, Error> {
    let parts = parts(config).await?;
    match command {
        OffsetsCommand::List(arguments) => list::list(parts, &arguments, out).await,
        OffsetsCommand::Reset(arguments) => reset::reset(parts, &arguments).await?.tell(out),
        OffsetsCommand::Delete(arguments) => delete::delete(parts, &arguments).await?.tell(out),
        OffsetsCommand::Undo(arguments) => undo::undo(parts, &arguments).await?.tell(out),
        OffsetsCommand::Pause(partitions) => pause::pause(parts, &partitions).await?.tell(out),
        OffsetsCommand::Resume(partitions) => pause::resume(parts, &partitions).await?.tell(out),
        OffsetsCommand::Import(arguments) => group::import(parts, &arguments).await?.tell(out),
        OffsetsCommand::Export(arguments) => group::export(parts, &arguments).await?.tell(out),
    }
}

/// A time as people read it.
fn at(unix_ms: i64) -> String {
    output::time(Some(unix_ms))
}
