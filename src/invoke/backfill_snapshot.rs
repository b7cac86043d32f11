//! The snapshot of a backfill's partitions, and the start of a backfill: its
//! bounds are stored before anything is read.

use std::sync::Arc;

use super::pins::pin_highest_first;
use super::run::Run;
use super::{Backend, Parts, snapshot};
use crate::backfill;
use crate::claim::{self, Bounds, Cursor};
use crate::clock::Deadline;
use crate::error::{Error, ErrorType};
use crate::event::{BackfillRequest, Bound};
use crate::plan::PartitionState;
use crate::record::{NextOffset, TopicPartition};
use crate::source::{ListedOffset, OffsetSpec, Source};

impl<'a, B: Backend> Run<'a, B> {
    /// A run of a backfill.
    ///
    /// # Errors
    /// When the request does not fit the settings.
    pub(super) fn for_backfill(
        parts: &'a Parts<B>,
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

/// The state of every partition of the backfill, in ascending order, with the
/// end of its log. Stores the bounds of a backfill that has not started.
pub(super) async fn snapshot<B: Backend>(
    run: &Run<'_, B>,
    request: &BackfillRequest,
) -> Result<Vec<PartitionState>, Error> {
    let mut states = snapshot::cursors_and_ends(run).await?.all()?;
    let consumer = run.consumer(&run.topics[0]);
    let cursors = states.iter().filter_map(|state| state.cursor.as_ref()?.as_ref().ok());
    backfill::check_all(&consumer, request, cursors)?;
    let to_start = backfill::to_start(request, &states)?;
    if !to_start.is_empty() {
        let bounds = find(run, request, &states, &to_start).await?;
        let writes = to_start
            .iter()
            .zip(bounds)
            .map(|(i, bounds)| (*i, claim::pin_bounds(&Arc::new(bounds), run.started_wall_ms)))
            .collect();
        let requested = request.requested();
        let check = |cursor: &Cursor| match &cursor.backfill {
            // Nearly all: this run wrote them.
            Some(bounds) if bounds.requested == requested => Ok(()),
            _ => backfill::check(&consumer, request, cursor),
        };
        pin_highest_first(run, &mut states, writes, check).await?;
    }
    states.retain(|state| state.cursor.is_some());
    snapshot::fill_earliest(run, &mut states, |state| {
        state.end.as_ref().is_some_and(ListedOffset::is_ok)
            && crate::plan::needs_earliest(&backfill::within(state.clone()))
    })
    .await?;
    Ok(states)
}

/// The bounds of the partitions `to_start`.
async fn find<B: Backend>(
    run: &Run<'_, B>,
    request: &BackfillRequest,
    states: &[PartitionState],
    to_start: &[usize],
) -> Result<Vec<Bounds>, Error> {
    let mut ends = Vec::with_capacity(to_start.len());
    for &i in to_start {
        let partition = &states[i].partition;
        let end = match &states[i].end {
            Some(Ok(end)) => *end,
            Some(Err(unavailable)) => return Err(unresolved(partition, &unavailable.0)),
            None => return Err(unresolved(partition, "the topic has no such partition any more")),
        };
        ends.push((partition.clone(), end));
    }
    let read_to = match request.to {
        // Records of the window may come after the first later one.
        Bound::At(unix_ms) => Bound::At(unix_ms.saturating_add(backfill::READ_ON_MS)),
        ref other => other.clone(),
    };
    let (from, to) = futures::try_join!(
        list_offsets(run, &request.from, &ends),
        list_offsets(run, &read_to, &ends)
    )?;
    let requested = request.requested();
    let found = ends.iter().zip(from.into_iter().zip(to));
    Ok(found
        .map(|((partition, end), (from, to))| {
            let bounds = backfill::bounds(from, to, *end, &requested);
            if (from, to) != (bounds.from, bounds.to) && clamped(request, partition, *end) {
                tracing::warn!(
                    %partition,
                    end = end.get(),
                    from = bounds.from.get(),
                    to = bounds.to.get(),
                    "the bounds of the backfill lie past the end of the log and were cut there"
                );
            }
            bounds
        })
        .collect())
}

/// Whether a requested offset lies past the end. A time after the last record
/// means the end, and is not cut.
fn clamped(request: &BackfillRequest, partition: &TopicPartition, end: NextOffset) -> bool {
    let is_past = |bound: &Bound| backfill::known_offset(bound, partition.partition, end).is_some_and(|at| at > end);
    is_past(&request.from) || is_past(&request.to)
}

/// The offset of a bound in each partition, whose end offsets are known.
async fn list_offsets<B: Backend>(
    run: &Run<'_, B>,
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
    let found = run.source.list_offsets(&partitions, what, run.request_until()).await?;
    let named = partitions.iter().zip(found);
    named
        .map(|(partition, found)| found.map_err(|unavailable| unresolved(partition, &unavailable.0)))
        .collect()
}

fn unresolved(partition: &TopicPartition, why: &str) -> Error {
    let what = format!(
        "the bounds of the backfill in {partition} cannot be looked up: {why}. Nothing was read: bounds are stored for \
         every partition before the first record"
    );
    Error::new(ErrorType::BrokerUnreachable, what).next("Try again")
}
