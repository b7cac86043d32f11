//! `offsets reset`: with the flags of kafka-consumer-groups.

use super::change::{ChangeOutcome, CursorChanges};
use super::moves::{self, PlannedMove, Position};
use super::target::{self, Target};
use crate::cli::parts::CliParts;
use crate::cli::selection::Partitions;
use crate::clock::Clock as _;
use crate::error::Error;
use crate::record::TopicPartition;
use crate::source::OffsetSpec;

#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct ResetArgs {
    #[command(flatten)]
    target: TargetArgs,

    #[command(flatten)]
    pub(super) partitions: Partitions,

    /// Move the cursors; without it nothing is changed
    #[arg(long)]
    pub(super) execute: bool,
}

#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
struct TargetArgs {
    /// To this offset, the next to read
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,

    /// To the earliest offset of the log
    #[arg(long)]
    to_earliest: bool,

    /// To the end of the log
    #[arg(long)]
    to_latest: bool,

    /// To the first record at or after this time: RFC 3339, or a date; UTC if it has no offset
    #[arg(long, value_name = "TIME", value_parser = target::datetime)]
    to_datetime: Option<i64>,

    /// Forward by N offsets; back with a minus: `-100`
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    shift_by: Option<i64>,

    /// To the first record since this long ago: `2h`, `1d 12h`, `PT2H`; `2m` is two minutes, `2M` two months
    #[arg(long, value_name = "DURATION", value_parser = target::duration)]
    by_duration: Option<i64>,
}

impl TargetArgs {
    /// The target, or the time to look up, in milliseconds since the epoch.
    fn target(&self, now_ms: i64) -> Result<Target, i64> {
        let ago = self.by_duration.map(|duration| now_ms.saturating_sub(duration).max(0));
        match (self.to_offset, self.shift_by, self.to_datetime.or(ago)) {
            (Some(offset), ..) => Ok(Target::Offset(offset)),
            (_, Some(by), _) => Ok(Target::Shift(by)),
            (.., Some(unix_ms)) => Err(unix_ms),
            _ if self.to_latest => Ok(Target::Latest),
            _ => Ok(Target::Earliest),
        }
    }
}

pub(super) async fn reset(parts: &CliParts, arguments: &ResetArgs) -> Result<CursorChanges, Error> {
    let target = arguments.target.target(parts.clock.wall_ms());
    let plan = async |positions: &[Position]| {
        let unix_ms = match target {
            Ok(target) => return Ok(positions.iter().map(|it| PlannedMove::to(it.log, target)).collect()),
            Err(unix_ms) => unix_ms,
        };
        let names: Vec<TopicPartition> = positions.iter().map(|it| it.partition.clone()).collect();
        let found = moves::list_offsets(parts, &names, OffsetSpec::ForTimestamp(unix_ms)).await?;
        let planned = positions.iter().zip(found).map(|(it, found)| match found {
            // A source returns the largest offset where there is no such record.
            Ok(found) => PlannedMove::to(it.log, Target::Found((found.get() < i64::MAX).then_some(found))),
            Err(why) => PlannedMove::Keep {
                outcome: ChangeOutcome::Unavailable,
                note: format!("the partition is unavailable: {why}"),
            },
        });
        Ok(planned.collect())
    };
    moves::move_cursors(parts, &arguments.partitions, &[], arguments.execute, plan).await
}
