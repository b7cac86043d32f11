//! `offsets import` and `export`: from and to the committed offsets of a Kafka
//! consumer group.

use super::change::{ChangeOutcome, CursorChange, CursorChanges};
use super::moves::{self, PlannedMove, Position, list_offsets, positions};
use super::target::{Log, Target};
use std::sync::Arc;

use crate::cli::parts::CliParts;
use crate::cli::selection::Partitions;
use crate::config::Config;
use crate::error::{Error, ErrorType};
use crate::invoke::Pins;
use crate::kafka::group_offsets::KafkaGroup;
use crate::record::{NextOffset, TopicPartition};
use crate::security::Security;
use crate::source::OffsetSpec;

#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct ImportArgs {
    /// The consumer group whose committed offsets become cursors
    #[arg(long, value_name = "G", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    from_group: String,

    #[command(flatten)]
    partitions: Partitions,

    /// Move the cursors; without it nothing is changed
    #[arg(long)]
    execute: bool,
}

#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct ExportArgs {
    /// The consumer group that gets the cursors as its committed offsets
    #[arg(long, value_name = "G", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    to_group: String,

    #[command(flatten)]
    partitions: Partitions,

    /// Commit to the group; without it nothing is changed
    #[arg(long)]
    execute: bool,
}

pub(super) async fn import(parts: &CliParts, arguments: &ImportArgs) -> Result<CursorChanges, Error> {
    let group = group(&parts.config, &arguments.from_group);
    let plan = async |positions: &[Position]| {
        let committed = group.committed(&names(positions)).await?;
        let ends = current_ends(parts, positions, &committed).await?;
        if !positions.is_empty() && committed.iter().all(Option::is_none) {
            return Err(no_commits(&parts.config, group.name()));
        }
        let planned = positions
            .iter()
            .zip(committed)
            .zip(ends)
            .map(|((position, committed), end)| match committed {
                // Not clamped: at the end of a recreated topic, its records would be skipped.
                Some(next) if next > end => PlannedMove::Keep {
                    outcome: ChangeOutcome::PastEnd,
                    note: format!(
                        "the committed offset {next} is past the end ({end}): the topic was recreated or truncated. \
                         Choose an offset with `offsets reset`"
                    ),
                },
                Some(next) => PlannedMove::to(Log { end, ..position.log }, Target::Offset(next.get())),
                None => PlannedMove::Keep {
                    outcome: ChangeOutcome::NoCommit,
                    note: format!("no committed offset in {}: not changed", group.name()),
                },
            });
        Ok(planned.collect())
    };
    moves::move_cursors(parts, &arguments.partitions, &[], arguments.execute, plan).await
}

/// The end offsets. A committed offset past the end is compared with an end that
/// is read after it: the group may have committed in between.
async fn current_ends(
    parts: &CliParts,
    positions: &[Position],
    committed: &[Option<NextOffset>],
) -> Result<Vec<NextOffset>, Error> {
    let mut ends: Vec<NextOffset> = positions.iter().map(|position| position.log.end).collect();
    let is_past = |i: &usize| committed[*i].is_some_and(|next| next > ends[*i]);
    let past: Vec<usize> = (0..ends.len()).filter(is_past).collect();
    let named: Vec<TopicPartition> = past.iter().map(|&i| positions[i].partition.clone()).collect();
    for (i, end) in past
        .into_iter()
        .zip(list_offsets(parts, &named, OffsetSpec::Latest).await?)
    {
        ends[i] = end.unwrap_or(ends[i]);
    }
    Ok(ends)
}

pub(super) async fn export(parts: &CliParts, arguments: &ExportArgs) -> Result<CursorChanges, Error> {
    let group = group(&parts.config, &arguments.to_group);
    let (positions, unmovable) = positions(parts, &arguments.partitions, &[], Pins::Leave).await?;
    let committed = group.committed(&names(&positions)).await?;
    let mut rows: Vec<CursorChange> = positions
        .iter()
        .zip(committed)
        .map(|(it, committed)| export_change(it, committed))
        .collect();
    let is_planned = |row: &CursorChange| row.outcome == ChangeOutcome::WouldMove;
    if arguments.execute && rows.iter().any(is_planned) {
        let offsets = rows.iter().zip(&positions).filter(|(row, _)| is_planned(row));
        let offsets = offsets.filter_map(|(row, position)| Some((position.partition.clone(), row.new_offset?)));
        group.commit(offsets.collect()).await?;
        // Read back: the group may have changed concurrently.
        let now = group.committed(&names(&positions)).await?;
        for (row, now) in rows.iter_mut().zip(now).filter(|(row, _)| is_planned(row)) {
            (row.outcome, row.note) = match now {
                now if now == row.new_offset => (ChangeOutcome::Moved, String::new()),
                Some(now) => (
                    ChangeOutcome::Changed,
                    format!("changed concurrently: the group's committed offset is {now}; run the command again"),
                ),
                None => (
                    ChangeOutcome::Changed,
                    "the group returns no committed offset; run the command again".into(),
                ),
            };
        }
    }
    for row in rows.iter_mut().filter(|row| is_planned(row) && !arguments.execute) {
        // Only a commit reveals members for both group protocols.
        let condition = "fails while the group has active members";
        row.note = if row.note.is_empty() {
            condition.into()
        } else {
            format!("{}; {condition}", row.note)
        };
    }
    rows.extend(unmovable);
    rows.sort_by_key(|row| row.partition.clone());
    Ok(CursorChanges {
        executed: arguments.execute,
        partitions: rows,
    })
}

/// The change of a group that has `committed` to the cursor's offset.
fn export_change(position: &Position, committed: Option<NextOffset>) -> CursorChange {
    let (earliest, end) = (position.log.earliest, position.log.end);
    let item = position.item();
    let next = item.map(|item| item.next);
    let (outcome, note) = match next {
        None => (ChangeOutcome::NoCursor, "no cursor: not changed".to_owned()),
        Some(_) if next == committed => (ChangeOutcome::Unchanged, "already at this offset".to_owned()),
        Some(next) if next > end => (ChangeOutcome::WouldMove, format!("the cursor is past the end ({end})")),
        Some(next) if next < earliest => (
            ChangeOutcome::WouldMove,
            format!("the cursor is below the earliest offset ({earliest})"),
        ),
        Some(_) if committed.is_none() => (ChangeOutcome::WouldMove, "no committed offset yet".to_owned()),
        Some(_) => (ChangeOutcome::WouldMove, String::new()),
    };
    CursorChange {
        partition: position.partition.clone(),
        current_offset: committed,
        new_offset: next,
        lag: next.map(|next| next.distance_to(end)),
        earliest_offset: Some(earliest),
        end_offset: Some(end),
        outcome,
        until: None,
        note,
    }
}

fn names(positions: &[Position]) -> Vec<TopicPartition> {
    positions.iter().map(|position| position.partition.clone()).collect()
}

/// A group's client, leaked until the process ends like the other clients.
fn group(config: &Config, name: &str) -> &'static KafkaGroup {
    let security = Arc::new(Security::new(config));
    Box::leak(Box::new(KafkaGroup::new(config, security, name)))
}

fn no_commits(config: &Config, group: &str) -> Error {
    let topics: Vec<&str> = config.topics.iter().map(AsRef::as_ref).collect();
    Error::new(
        ErrorType::InvalidConfiguration,
        format!("the group {group} has no committed offset of {}", topics.join(", ")),
    )
    .next("Correct --from-group: names are case-sensitive, and offsets of a group without members expire")
}
