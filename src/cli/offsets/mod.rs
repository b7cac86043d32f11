//! `offsets`: lists and changes cursors.

mod change;
mod delete;
mod deleted;
mod group;
mod list;
mod moves;
mod pause;
mod reset;
mod target;
mod undo;

use super::exit::Exit;
use super::output::{self, Out};
use super::parts::parts;
use super::selection::Partitions;
use crate::config::Config;
use crate::error::Error;

#[derive(Debug, clap::Subcommand)]
pub(super) enum OffsetsCommand {
    /// List the stored cursors, including those of partitions that no longer exist
    #[command(after_help = "EXAMPLES:
  kafka-consumer offsets list                # the stored cursors
  kafka-consumer offsets list --output json  # as JSON, for scripts")]
    List(list::ListArgs),
    /// Move cursors; shows what would change, and changes it with --execute
    ///
    /// Targets outside the log are clamped, and the note says so. With --execute
    /// the cursors are read again; a cursor that a run has claimed, or moves at
    /// the same time, is not changed. A cursor that is at its target already is
    /// only written to clear failed attempts: a reset to the same offset retries
    /// a blocked record from its first attempt.
    #[command(after_help = "EXAMPLES:
  kafka-consumer offsets reset --to-earliest                                 # show the change
  kafka-consumer offsets reset --to-datetime 2026-11-01T06:00:00Z --execute  # to a time
  kafka-consumer offsets reset --shift-by -100 --partition 3 --execute       # back by 100 offsets
  kafka-consumer offsets reset --to-offset 4018 --partition 3 --execute      # past a blocked record")]
    Reset(reset::ResetArgs),
    /// Delete cursors; shows where the next run would start, and deletes with --execute
    ///
    /// For cursors of partitions that no longer exist, and to restart at
    /// `START_POSITION`. A cursor that a run has claimed is not deleted. `undo`
    /// restores deleted cursors. Needs the permissions dynamodb:PutItem and
    /// dynamodb:DeleteItem, which runs do not need.
    #[command(after_help = "EXAMPLES:
  kafka-consumer offsets delete --partition 7            # show the next start
  kafka-consumer offsets delete --partition 7 --execute  # delete one cursor
  kafka-consumer offsets delete --all --execute          # delete all cursors")]
    Delete(delete::DeleteArgs),
    /// Move cursors back to before the last reset; a second undo redoes it
    ///
    /// Deleted cursors are restored unchanged.
    #[command(after_help = "EXAMPLES:
  kafka-consumer offsets undo                          # show the change
  kafka-consumer offsets undo --execute                # undo the last reset
  kafka-consumer offsets undo --partition 3 --execute  # of one partition")]
    Undo(undo::UndoArgs),
    /// Pause partitions, so that runs skip them; takes effect without --execute
    ///
    /// A run that has claimed a partition finishes first; later runs skip it
    /// until `resume`.
    #[command(after_help = "EXAMPLES:
  kafka-consumer offsets pause                              # all partitions
  kafka-consumer offsets pause --partition 3 --partition 4  # two partitions")]
    Pause(Partitions),
    /// Resume paused partitions; takes effect without --execute
    #[command(after_help = "EXAMPLES:
  kafka-consumer offsets resume                # all partitions
  kafka-consumer offsets resume --partition 3  # one partition")]
    Resume(Partitions),
    /// Set cursors to the committed offsets of a Kafka consumer group
    ///
    /// Partitions without a committed offset are not changed. Needs Describe on
    /// the group.
    #[command(after_help = "EXAMPLES:
  kafka-consumer offsets import --from-group orders-service            # show the change
  kafka-consumer offsets import --from-group orders-service --execute  # move the cursors")]
    Import(group::ImportArgs),
    /// Commit the cursors as offsets of a Kafka consumer group, for tools that show its lag
    ///
    /// The group must have no active members. Needs Describe and Read on the
    /// group, and Read on the topic.
    #[command(after_help = "EXAMPLES:
  kafka-consumer offsets export --to-group orders-lag            # show the change
  kafka-consumer offsets export --to-group orders-lag --execute  # commit to the group")]
    Export(group::ExportArgs),
}

pub(super) async fn offsets(config: Config, command: OffsetsCommand, out: Out) -> Result<Exit, Error> {
    let parts = parts(config).await?;
    match command {
        OffsetsCommand::List(arguments) => list::list(parts, &arguments, out).await,
        OffsetsCommand::Reset(arguments) => reset::reset(parts, &arguments).await?.print(out),
        OffsetsCommand::Delete(arguments) => delete::delete(parts, &arguments).await?.print(out),
        OffsetsCommand::Undo(arguments) => undo::undo(parts, &arguments).await?.print(out),
        OffsetsCommand::Pause(partitions) => pause::pause(parts, &partitions).await?.print(out),
        OffsetsCommand::Resume(partitions) => pause::resume(parts, &partitions).await?.print(out),
        OffsetsCommand::Import(arguments) => group::import(parts, &arguments).await?.print(out),
        OffsetsCommand::Export(arguments) => group::export(parts, &arguments).await?.print(out),
    }
}

/// A time in RFC 3339.
fn at(unix_ms: i64) -> String {
    output::time(Some(unix_ms))
}
