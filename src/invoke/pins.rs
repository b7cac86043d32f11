//! Start positions, stored before anything is read: every later run starts at
//! the same offsets, and no partition counts as one that appeared later.

use futures::StreamExt;

use super::run::Run;
use super::{Backend, WRITES_AT_ONCE};
use crate::claim::{self, Cursor, CursorWrite, Verdict};
use crate::error::{Error, ErrorType};
use crate::plan::PartitionState;
use crate::record::TopicPartition;
use crate::source::Unavailable;
use crate::store::{self, Store};

/// Stores the start of each partition that has no cursor.
pub(super) async fn pin<B: Backend>(
    run: &Run<'_, B>,
    states: &mut [PartitionState],
    starts: &[usize],
) -> Result<(), Error> {
    let mut pins = Vec::with_capacity(starts.len());
    for &i in starts {
        match &states[i].start {
            Some(Ok(start)) => pins.push((i, claim::pin(*start, run.started_wall_ms))),
            Some(Err(unavailable)) => return Err(unpinnable(&states[i].partition, &unavailable.0)),
            None => return Err(unpinnable(&states[i].partition, "it was not listed")),
        }
    }
    for topic in run.topics {
        let (of_topic, others) = pins
            .into_iter()
            .partition(|(i, _)| states[*i].partition.topic == *topic);
        pins = others;
        pin_highest_first(run, states, of_topic, |_| Ok(())).await?;
    }
    Ok(())
}

/// Makes these first writes of one topic's partitions, the highest first: once
/// its item exists, no partition below counts as one that appeared later. The
/// others follow if `check` accepts the item.
pub(super) async fn pin_highest_first<B: Backend>(
    run: &Run<'_, B>,
    states: &mut [PartitionState],
    mut writes: Vec<(usize, CursorWrite)>,
    check: impl Fn(&Cursor) -> Result<(), Error>,
) -> Result<(), Error> {
    writes.sort_by_key(|(i, _)| std::cmp::Reverse(states[*i].partition.partition));
    let Some(((highest, write), rest)) = writes.split_first() else {
        return Ok(());
    };
    let first = pin_one(run, &states[*highest].partition, write).await?;
    check(&first)?;
    states[*highest].cursor = Some(Ok(first));
    let written: Vec<_> = futures::stream::iter(rest.iter().map(|(i, write)| {
        let partition = states[*i].partition.clone();
        async move { (*i, pin_one(run, &partition, write).await) }
    }))
    .buffer_unordered(WRITES_AT_ONCE)
    .collect()
    .await;
    for (i, cursor) in written {
        let cursor = cursor?;
        check(&cursor)?;
        states[i].cursor = Some(Ok(cursor));
    }
    Ok(())
}

/// Stores the earliest offset of each partition that appeared later, the lowest
/// first: a cursor above it would make it count as one that existed before. The
/// ones above a partition that is unavailable wait for it.
pub(super) async fn pin_later<B: Backend>(
    run: &Run<'_, B>,
    states: &mut [PartitionState],
    later: &[usize],
) -> Result<(), Error> {
    let mut waiting: Option<TopicPartition> = None;
    for &i in later {
        let partition = states[i].partition.clone();
        let below = waiting.as_ref().filter(|below| below.topic == partition.topic);
        match (below, &states[i].earliest) {
            (Some(below), _) => {
                let why = format!("it is new, and so is {below}, whose start must be stored first and is unavailable");
                states[i].end = Some(Err(Unavailable(why)));
            }
            (None, Some(Ok(start))) => {
                let write = claim::pin(*start, run.started_wall_ms);
                states[i].cursor = Some(Ok(pin_one(run, &partition, &write).await?));
            }
            (None, _) => waiting = Some(partition),
        }
    }
    Ok(())
}

/// Stores one start; if another run has stored one before, that one counts.
async fn pin_one<B: Backend>(
    run: &Run<'_, B>,
    partition: &TopicPartition,
    write: &CursorWrite,
) -> Result<Cursor, Error> {
    let consumer = run.consumer(&partition.topic);
    let exists = |item: Option<&Cursor>| match item {
        Some(_) => Verdict::Applied,
        None => Verdict::NotApplied,
    };
    let written = store::write_and_judge(run.store, &consumer, partition.partition, write, exists);
    run.with_time_limit(run.stop.at, written).await?;
    // Ours, or that of another run or an operator.
    let item = run.store.load_one(&consumer, partition.partition);
    run.with_time_limit(run.stop.at, item).await?.ok_or_else(|| {
        let what = format!("the item of {partition} was deleted as soon as its start was stored");
        Error::new(ErrorType::InvalidCursor, what).next("The next run stores it again")
    })
}

fn unpinnable(partition: &TopicPartition, why: &str) -> Error {
    Error::new(
        ErrorType::BrokerUnreachable,
        format!(
            "the start position of {partition} cannot be looked up: {why}. Nothing was read: START_POSITION is stored \
             for every partition before the first record"
        ),
    )
}
