//! What is known of a backfill's partitions before a run, and the start of a
//! backfill: its bounds are stored before anything is read.

use std::sync::Arc;

use super::pins::pin_highest_first;
use super::{PartsOf, Run, Seams, survey};
use crate::backfill;
use crate::claim::{self, Bounds, Cursor};
use crate::clock::Deadline;
use crate::error::{Error, ErrorType};
use crate::event::{BackfillRequest, Bound};
use crate::plan::{Decision, PartitionState};
use crate::record::{NextOffset, TopicPartition};
use crate::source::{ListedOffset, OffsetSpec, Source};

impl<'a, D: Seams> Run<'a, D> {
    /// A run of a backfill.
    ///
    /// # Errors
    /// When the request does not fit the settings.
    pub(super) fn of_backfill(
        parts: &'a PartsOf<D>,
        request: &'a BackfillRequest,
        deadline: Deadline,
    ) -> Result<Self, Error> {
        let topic = backfill::topic(&parts.config, request)?;
        Ok(Self {
            topics: std::slice::from_ref(&parts.config.topics[topic]),
            backfill: Some(request),
            ..Self::new(parts, deadline)
        })
    }
}

/// The facts of every partition of the backfill, in ascending order, as their
/// logs are; a backfill that has not begun begins.
pub(super) async fn survey<D: Seams>(
    run: &Run<'_, D>,
    request: &BackfillRequest,
) -> Result<Vec<PartitionState>, Error> {
    let mut facts = survey::cursors_and_ends(run).await?.all()?;
    let consumer = run.consumer(&run.topics[0]);
    let cursors = facts.iter().filter_map(|fact| fact.cursor.as_ref()?.as_ref().ok());
    backfill::check_all(&consumer, request, cursors)?;
    let to_start = backfill::to_start(request, &facts)?;
    if !to_start.is_empty() {
        let bounds = find(run, request, &facts, &to_start).await?;
        let writes = to_start
            .iter()
            .zip(bounds)
            .map(|(i, bounds)| (*i, claim::pin_bounds(&Arc::new(bounds), run.started_wall_ms)))
            .collect();
        let asked = request.asked();
        let check = |cursor: &Cursor| match &cursor.backfill {
            // Nearly all: they were written here.
            Some(bounds) if bounds.asked == asked => Ok(()),
            _ => backfill::check(&consumer, request, cursor),
        };
        pin_highest_first(run, &mut facts, writes, check).await?;
    }
    facts.retain(|fact| fact.cursor.is_some());
    survey::ask_earliest(run, &mut facts, |fact| {
        fact.end.as_ref().is_some_and(ListedOffset::is_ok)
            && crate::plan::needs_earliest(&backfill::within(fact.clone()))
    })
    .await?;
    Ok(facts)
}

/// What a run would do with each of `facts`.
pub(super) fn decide_all<D: Seams>(run: &Run<'_, D>, facts: &[PartitionState]) -> Vec<Decision> {
    let policy = run.policy();
    facts.iter().map(|fact| backfill::decide(fact, &policy)).collect()
}

/// The bounds of the partitions `to_start`.
async fn find<D: Seams>(
    run: &Run<'_, D>,
    request: &BackfillRequest,
    facts: &[PartitionState],
    to_start: &[usize],
) -> Result<Vec<Bounds>, Error> {
    let mut ends = Vec::with_capacity(to_start.len());
    for &i in to_start {
        let partition = &facts[i].partition;
        let end = match &facts[i].end {
            Some(Ok(end)) => *end,
            Some(Err(unavailable)) => return Err(unresolved(partition, &unavailable.0)),
            None => return Err(unresolved(partition, "the topic has no such partition any more")),
        };
        ends.push((partition.clone(), end));
    }
    let read_to = match request.to {
        // Records of the window may lie behind the first that is later.
        Bound::At(unix_ms) => Bound::At(unix_ms.saturating_add(backfill::READ_ON_MS)),
        ref other => other.clone(),
    };
    let (from, to) = futures::try_join!(
        list_offsets(run, &request.from, &ends),
        list_offsets(run, &read_to, &ends)
    )?;
    let asked = request.asked();
    let found = ends.iter().zip(from.into_iter().zip(to));
    Ok(found
        .map(|((partition, end), (from, to))| {
            let bounds = backfill::bounds(from, to, *end, &asked);
            if (from, to) != (bounds.from, bounds.to) && clamped(request, partition, *end) {
                tracing::warn!(
                    %partition,
                    end = end.get(),
                    from = bounds.from.get(),
                    to = bounds.to.get(),
                    "what the backfill asks for goes past the end of the log, and was cut there"
                );
            }
            bounds
        })
        .collect())
}

/// Whether an offset was asked for that lies behind the end. A time after the
/// last record means the end, and nothing is cut.
fn clamped(request: &BackfillRequest, partition: &TopicPartition, end: NextOffset) -> bool {
    let behind = |bound: &Bound| {
        let asked = backfill::known_offset(bound, partition.partition, end);
        asked.is_some_and(|asked| asked > end)
    };
    behind(&request.from) || behind(&request.to)
}

/// Where a bound lies in each partition, whose ends are known.
async fn list_offsets<D: Seams>(
    run: &Run<'_, D>,
    bound: &Bound,
    ends: &[(TopicPartition, NextOffset)],
) -> Result<Vec<NextOffset>, Error> {
    let what = match bound {
        Bound::Earliest => OffsetSpec::Earliest,
        Bound::At(unix_ms) => OffsetSpec::ForTimestamp(*unix_ms),
        Bound::Latest | Bound::Offsets(_) => {
            let known = |(partition, end): &(TopicPartition, NextOffset)| {
                backfill::known_offset(bound, partition.partition, *end)
                    .ok_or_else(|| unresolved(partition, "it is not named"))
            };
            return ends.iter().map(known).collect();
        }
    };
    let partitions: Vec<TopicPartition> = ends.iter().map(|(partition, _)| partition.clone()).collect();
    let found = run.source.list_offsets(&partitions, what, run.ask_until()).await?;
    let named = partitions.iter().zip(found);
    named
        .map(|(partition, found)| found.map_err(|unavailable| unresolved(partition, &unavailable.0)))
        .collect()
}

fn unresolved(partition: &TopicPartition, why: &str) -> Error {
    Error::new(
        ErrorType::BrokerUnreachable,
        format!(
            "the bounds of the backfill in {partition} cannot be looked up: {why}. Nothing was read: bounds are stored \
             for every partition before the first record. Try again"
        ),
    )
}
