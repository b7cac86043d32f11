//! `offsets import` and `export`: from and to the committed offsets of a
//! consumer group of Kafka's.

use super::moves::{self, Position, Wanted, list_offsets, positions};
use super::reset::towards;
use super::row::{Moves, Outcome, Row};
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

pub(super) async fn import(parts: &CliParts, arguments: &ImportArgs) -> Result<Moves, Error> {
    let group = group(&parts.config, &arguments.from_group);
    let wanted = async |positions: &[Position]| {
        let committed = group.committed(&names(positions)).await?;
        let ends = ends_since(parts, positions, &committed).await?;
        if !positions.is_empty() && committed.iter().all(Option::is_none) {
            return Err(no_commits(&parts.config, group.name()));
        }
        let wanted = positions
            .iter()
            .zip(committed)
            .zip(ends)
            .map(|((position, committed), end)| match committed {
                // Not clamped: behind the end of a recreated topic, its records would be passed over.
                Some(next) if next > end => Wanted::Leave {
                    outcome: Outcome::PastEnd,
                    note: format!(
                        "the commit {next} is past the end ({end}): the topic was recreated or truncated. Choose with \
                         `offsets reset`"
                    ),
                },
                Some(next) => towards(Log { end, ..position.log }, Target::Offset(next.get())),
                None => Wanted::Leave {
                    outcome: Outcome::NoCommit,
                    note: format!("no commit in {}: left alone", group.name()),
                },
            });
        Ok(wanted.collect())
    };
    moves::carry_out(parts, &arguments.partitions, &[], arguments.execute, wanted).await
}

/// The ends of the logs. A commit past the end is believed only against an end
/// that was asked for after it: the group may just have moved on.
async fn ends_since(
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

pub(super) async fn export(parts: &CliParts, arguments: &ExportArgs) -> Result<Moves, Error> {
    let group = group(&parts.config, &arguments.to_group);
    let (positions, stuck) = positions(parts, &arguments.partitions, &[], Pins::Leave).await?;
    let committed = group.committed(&names(&positions)).await?;
    let mut rows: Vec<Row> = positions
        .iter()
        .zip(committed)
        .map(|(it, committed)| export_row(it, committed))
        .collect();
    let wanted = |row: &Row| row.outcome == Outcome::WouldMove;
    if arguments.execute && rows.iter().any(wanted) {
        let offsets = rows.iter().zip(&positions).filter(|(row, _)| wanted(row));
        let offsets = offsets.filter_map(|(row, position)| Some((position.partition.clone(), row.new_offset?)));
        group.commit(offsets.collect()).await?;
        // What counts is what others will read there.
        let now = group.committed(&names(&positions)).await?;
        for (row, now) in rows.iter_mut().zip(now).filter(|(row, _)| wanted(row)) {
            (row.outcome, row.note) = match now {
                now if now == row.new_offset => (Outcome::Moved, String::new()),
                Some(now) => (
                    Outcome::Changed,
                    format!("changed meanwhile: the group's commit is {now}; look again"),
                ),
                None => (Outcome::Changed, "the group shows no commit; look again".into()),
            };
        }
    }
    for row in rows.iter_mut().filter(|row| wanted(row) && !arguments.execute) {
        // Only a commit finds it out for every kind of group.
        let refused = "refused while the group has active members";
        row.note = if row.note.is_empty() {
            refused.into()
        } else {
            format!("{}; {refused}", row.note)
        };
    }
    rows.extend(stuck);
    rows.sort_by_key(|row| row.place.clone());
    Ok(Moves {
        executed: arguments.execute,
        partitions: rows,
    })
}

/// The row of a cursor on its way to a group that has `committed`.
fn export_row(position: &Position, committed: Option<NextOffset>) -> Row {
    let (earliest, end) = (position.log.earliest, position.log.end);
    let item = position.item();
    let next = item.map(|item| item.next);
    let (outcome, note) = match next {
        None => (Outcome::NoCursor, "no cursor: left alone".to_owned()),
        Some(_) if next == committed => (Outcome::Unchanged, "stands there already".to_owned()),
        Some(next) if next > end => (Outcome::WouldMove, format!("the cursor is past the end ({end})")),
        Some(next) if next < earliest => (
            Outcome::WouldMove,
            format!("the cursor is below the earliest offset ({earliest})"),
        ),
        Some(_) if committed.is_none() => (Outcome::WouldMove, "no commit yet".to_owned()),
        Some(_) => (Outcome::WouldMove, String::new()),
    };
    Row {
        place: position.partition.clone(),
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

/// A group's client, until the process ends, as the other parts.
fn group(config: &Config, name: &str) -> &'static KafkaGroup {
    let security = Arc::new(Security::new(config));
    Box::leak(Box::new(KafkaGroup::new(config, security, name)))
}

fn no_commits(config: &Config, group: &str) -> Error {
    let topics: Vec<&str> = config.topics.iter().map(AsRef::as_ref).collect();
    Error::new(
        ErrorType::InvalidConfiguration,
        format!(
            "there is no group {group} that has committed an offset of {}. Correct --from-group: names are \
             case-sensitive, and offsets of a group without members expire",
            topics.join(", ")
        ),
    )
}
