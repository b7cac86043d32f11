//! Offsets of a snapshot's partitions, by the partitions' index in it.

use std::time::Duration;

use crate::clock::Clock;
use crate::config::StartPosition;
use crate::error::Error;
use crate::invoke::Backend;
use crate::invoke::run::Run;
use crate::plan::PartitionState;
use crate::record::TopicPartition;
use crate::source::{EndOffsets, ListedOffset, OffsetSpec, Source, Unavailable};

pub(super) type OffsetsByIndex = Vec<(usize, ListedOffset)>;

type Offsets = Vec<(TopicPartition, ListedOffset)>;

/// How long a run waits for offsets that it may not need. A client whose
/// connections were lost meanwhile returns none.
const PREFETCH_TIMEOUT: Duration = Duration::from_millis(500);

/// The end offsets, and the earliest offsets of the partitions that will most
/// likely be read, so that they are known when the table responds. Partitions
/// that changed before the last run most likely changed before this one: their
/// earliest offsets are requested beside the end offsets.
pub(super) async fn end_offsets<B: Backend>(run: &Run<'_, B>) -> Result<(EndOffsets, Offsets), Error> {
    let expected = run.source.changed_partitions();
    let (ends, mut earliest) = futures::join!(
        run.source.end_offsets(run.topics, run.request_until()),
        prefetch_earliest_offsets(run, &expected)
    );
    let ends = ends?;
    let mut changed = run.source.changed_partitions();
    changed.retain(|partition| expected.binary_search(partition).is_err());
    earliest.extend(prefetch_earliest_offsets(run, &changed).await);
    Ok((ends, earliest))
}

/// An offset that is missing here is listed again where a decision depends on it.
async fn prefetch_earliest_offsets<B: Backend>(run: &Run<'_, B>, partitions: &[TopicPartition]) -> Offsets {
    if partitions.is_empty() {
        return vec![];
    }
    let until = run.request_until().min(run.clock.now() + PREFETCH_TIMEOUT);
    let offsets = run.source.prefetch_earliest_offsets(partitions, until).await;
    partitions.iter().cloned().zip(offsets).collect()
}

/// The two were not listed at the same moment: the topic may have been recreated
/// in between.
pub(super) fn is_of_one_log(earliest: &ListedOffset, end: Option<&ListedOffset>) -> bool {
    matches!((earliest, end), (Ok(earliest), Some(Ok(end))) if earliest <= end)
}

/// Lists an offset of each partition that `is_needed`.
pub(super) async fn list_matching<B: Backend>(
    run: &Run<'_, B>,
    states: &[PartitionState],
    what: OffsetSpec,
    is_needed: impl Fn(&PartitionState) -> bool,
) -> Result<OffsetsByIndex, Error> {
    let indices: Vec<usize> = (0..states.len()).filter(|&i| is_needed(&states[i])).collect();
    list_at(run, states, &indices, what).await
}

async fn list_at<B: Backend>(
    run: &Run<'_, B>,
    states: &[PartitionState],
    indices: &[usize],
    what: OffsetSpec,
) -> Result<OffsetsByIndex, Error> {
    if indices.is_empty() {
        return Ok(vec![]);
    }
    let partitions: Vec<TopicPartition> = indices.iter().map(|&i| states[i].partition.clone()).collect();
    let offsets = run.source.list_offsets(&partitions, what, run.request_until()).await?;
    Ok(indices.iter().copied().zip(offsets).collect())
}

/// The earliest offsets of the partitions where it `is_needed` and not known.
pub(super) async fn list_earliest<B: Backend>(
    run: &Run<'_, B>,
    states: &[PartitionState],
    is_needed: impl Fn(&PartitionState) -> bool,
) -> Result<OffsetsByIndex, Error> {
    let is_unknown = |state: &PartitionState| state.earliest.is_none() && is_needed(state);
    list_matching(run, states, OffsetSpec::Earliest, is_unknown).await
}

/// The high watermarks of the partitions that have an end offset, where it
/// `is_needed`. One that cannot be listed is an error in its place.
pub(super) async fn high_watermarks<B: Backend>(
    run: &Run<'_, B>,
    states: &[PartitionState],
    is_needed: impl Fn(&PartitionState) -> bool,
) -> OffsetsByIndex {
    let has_end = |state: &PartitionState| matches!(state.end, Some(Ok(_)));
    let indices: Vec<usize> = (0..states.len())
        .filter(|&i| has_end(&states[i]) && is_needed(&states[i]))
        .collect();
    let listed = list_at(run, states, &indices, OffsetSpec::HighWatermark).await;
    listed.unwrap_or_else(|error| {
        let unknown = Unavailable(format!("its high watermark is not known: {}", error.message()));
        indices.into_iter().map(|i| (i, Err(unknown.clone()))).collect()
    })
}

/// The offset of `START_POSITION` in the partitions at `indices`.
pub(super) async fn list_start_positions<B: Backend>(
    run: &Run<'_, B>,
    states: &[PartitionState],
    indices: &[usize],
) -> Result<OffsetsByIndex, Error> {
    let StartPosition::At { unix_ms } = run.config.start_position else {
        // `latest` is the end offset, which is known.
        let end = |&i: &usize| Some((i, states[i].end.clone()?));
        return Ok(indices.iter().filter_map(end).collect());
    };
    let found = list_at(run, states, indices, OffsetSpec::ForTimestamp(unix_ms)).await?;
    // The end was listed before: a record produced in between is not passed over.
    Ok(found
        .into_iter()
        .map(|(i, found)| (i, at_most(found, states[i].end.clone())))
        .collect())
}

/// The smaller of the two: a time may lie past the last record.
fn at_most(found: ListedOffset, end: Option<ListedOffset>) -> ListedOffset {
    match (found, end) {
        (Ok(found), Some(Ok(end))) => Ok(found.min(end)),
        (Err(unavailable), _) | (_, Some(Err(unavailable))) => Err(unavailable),
        (Ok(_), None) => Err(Unavailable("its end is not known".into())),
    }
}
