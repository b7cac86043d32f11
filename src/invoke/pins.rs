//! Starts that are stored before anything is read, so that they are the same
//! for every later run, and so that no partition is taken for another kind.

use futures::StreamExt;

use super::{Run, Seams, WRITES_AT_ONCE};
use crate::claim::{self, Cursor, CursorWrite, Verdict};
use crate::error::{Error, ErrorType};
use crate::plan::PartitionState;
use crate::record::TopicPartition;
use crate::source::Unavailable;
use crate::store::{self, Store};

/// Stores the start of each partition that has no cursor.
pub(super) async fn pin<D: Seams>(
    run: &Run<'_, D>,
    facts: &mut [PartitionState],
    starts: &[usize],
) -> Result<(), Error> {
    let mut wanted = Vec::with_capacity(starts.len());
    for &i in starts {
        match &facts[i].start {
            Some(Ok(start)) => wanted.push((i, claim::pin(*start, run.started_wall_ms))),
            Some(Err(unavailable)) => return Err(unpinnable(&facts[i].partition, &unavailable.0)),
            None => return Err(unpinnable(&facts[i].partition, "it was not looked up")),
        }
    }
    for topic in run.topics {
        let (of_topic, others) = wanted
            .into_iter()
            .partition(|(i, _)| facts[*i].partition.topic == *topic);
        wanted = others;
        pin_highest_first(run, facts, of_topic, |_| Ok(())).await?;
    }
    Ok(())
}

/// Makes these first writes of one topic's partitions, the highest first: once
/// it is there, no partition below counts as one that appeared later. The rest
/// follows if `check` accepts what is there then.
pub(super) async fn pin_highest_first<D: Seams>(
    run: &Run<'_, D>,
    facts: &mut [PartitionState],
    mut writes: Vec<(usize, CursorWrite)>,
    check: impl Fn(&Cursor) -> Result<(), Error>,
) -> Result<(), Error> {
    writes.sort_by_key(|(i, _)| std::cmp::Reverse(facts[*i].partition.partition));
    let Some(((highest, write), rest)) = writes.split_first() else {
        return Ok(());
    };
    let first = pin_one(run, &facts[*highest].partition, write).await?;
    check(&first)?;
    facts[*highest].cursor = Some(Ok(first));
    let written: Vec<_> = futures::stream::iter(rest.iter().map(|(i, write)| {
        let partition = facts[*i].partition.clone();
        async move { (*i, pin_one(run, &partition, write).await) }
    }))
    .buffer_unordered(WRITES_AT_ONCE)
    .collect()
    .await;
    for (i, cursor) in written {
        let cursor = cursor?;
        check(&cursor)?;
        facts[i].cursor = Some(Ok(cursor));
    }
    Ok(())
}

/// Stores the earliest offset of each partition that appeared later, the lowest
/// first: a cursor above it would make it count as one that was there before.
/// Those above one that cannot be asked wait for it.
pub(super) async fn pin_later<D: Seams>(
    run: &Run<'_, D>,
    facts: &mut [PartitionState],
    later: &[usize],
) -> Result<(), Error> {
    let mut waiting: Option<TopicPartition> = None;
    for &i in later {
        let partition = facts[i].partition.clone();
        let below = waiting.as_ref().filter(|below| below.topic == partition.topic);
        match (below, &facts[i].earliest) {
            (Some(below), _) => {
                let why = format!("it is new, and so is {below}, whose start must be stored first and cannot be asked");
                facts[i].end = Some(Err(Unavailable(why)));
            }
            (None, Some(Ok(start))) => {
                let write = claim::pin(*start, run.started_wall_ms);
                facts[i].cursor = Some(Ok(pin_one(run, &partition, &write).await?));
            }
            (None, _) => waiting = Some(partition),
        }
    }
    Ok(())
}

/// Stores one start; where another run was faster, its word counts.
async fn pin_one<D: Seams>(run: &Run<'_, D>, partition: &TopicPartition, write: &CursorWrite) -> Result<Cursor, Error> {
    let consumer = run.consumer(&partition.topic);
    let is_there = |item: Option<&Cursor>| match item {
        Some(_) => Verdict::Applied,
        None => Verdict::NotApplied,
    };
    let written = store::write_and_judge(run.store, &consumer, partition.partition, write, is_there);
    run.in_time(run.stop.at, written).await?;
    // Ours, or that of a run or an operator who was faster.
    let item = run.store.load_one(&consumer, partition.partition);
    run.in_time(run.stop.at, item).await?.ok_or_else(|| {
        Error::new(
            ErrorType::InvalidCursor,
            format!("the item of {partition} was deleted as soon as its start was stored. The next run stores it"),
        )
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
