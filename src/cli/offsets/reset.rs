//! `offsets reset`: in the words of kafka-consumer-groups.

use super::moves::{self, Position, Wanted};
use super::row::{Moves, Outcome};
use super::target::{self, Log, Target, aim};
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

    /// To the first record that is still there
    #[arg(long)]
    to_earliest: bool,

    /// Behind the newest record
    #[arg(long)]
    to_latest: bool,

    /// To the first record at or after this time: RFC 3339, or a date; UTC if it has no offset
    #[arg(long, value_name = "TIME", value_parser = target::datetime)]
    to_datetime: Option<i64>,

    /// This many offsets on; back with a minus: `-100`
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    shift_by: Option<i64>,

    /// To the first record of this long ago until now: `2h`, `1d 12h`, `PT2H`; `2m` is two minutes, `2M` two months
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

pub(super) async fn reset(parts: &CliParts, arguments: &ResetArgs) -> Result<Moves, Error> {
    let target = arguments.target.target(parts.clock.wall_ms());
    let wanted = async |positions: &[Position]| {
        let unix_ms = match target {
            Ok(target) => return Ok(positions.iter().map(|it| towards(it.log, target)).collect()),
            Err(unix_ms) => unix_ms,
        };
        let names: Vec<TopicPartition> = positions.iter().map(|it| it.partition.clone()).collect();
        let found = moves::list_offsets(parts, &names, OffsetSpec::ForTimestamp(unix_ms)).await?;
        let wanted = positions.iter().zip(found).map(|(it, found)| match found {
            // A source answers past every record where there is none.
            Ok(found) => towards(it.log, Target::Found((found.get() < i64::MAX).then_some(found))),
            Err(why) => Wanted::Leave {
                outcome: Outcome::Unavailable,
                note: format!("no broker answers for it: {why}"),
            },
        });
        Ok(wanted.collect())
    };
    moves::carry_out(parts, &arguments.partitions, &[], arguments.execute, wanted).await
}

/// The move of one cursor to a target.
pub(super) fn towards(log: Log, target: Target) -> Wanted {
    let (next, clamped) = aim(target, log);
    Wanted::Move {
        next,
        note: clamped.map(|clamped| clamped.to_string()),
    }
}
