//! The state of the partitions as far as it can be read, for an operator while
//! the table or the brokers are not available. A run needs all of it, and uses
//! [`snapshot`](super::snapshot).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::offsets::{high_watermarks, list_earliest, list_start_positions};
use super::{Cursors, is_past_the_end, relist_ends, set, starts, states};
use crate::clock::Deadline;
use crate::error::{Error, ErrorType};
use crate::event::RunRequest;
use crate::invoke::run::Run;
use crate::invoke::{Backend, Parts};
use crate::plan::{self, PartitionPlan, PartitionState};
use crate::record::TopicPartition;
use crate::source::{EndOffsets, ListedOffset, Source, Unavailable};
use crate::store::InvalidCursor;

/// What could be read, and the errors of what could not.
#[derive(Debug, Clone)]
pub struct BestEffortSnapshot {
    /// The partitions of the request that the brokers or the table have, in
    /// ascending order, with what a run would do with them. An offset or cursor
    /// that could not be read is an error in its place.
    pub partitions: Vec<PartitionPlan>,
    /// Why something could not be read: the table's error first.
    pub errors: Vec<Error>,
    /// Why the table could not be read.
    pub table: Option<Error>,
    /// Why the end offsets of these topics could not be listed.
    pub brokers: BTreeMap<Arc<str>, Error>,
    /// When it was read, in milliseconds since the epoch.
    pub at_ms: i64,
}

/// Reads the table and the brokers side by side: an error of one of them leaves
/// what the other returned. Claims, pins and writes nothing.
///
/// # Errors
/// Only when both responded and the request names a partition that neither has.
pub async fn snapshot_best_effort<B: Backend>(
    parts: &Parts<B>,
    request: &RunRequest,
    deadline: Deadline,
) -> Result<BestEffortSnapshot, Error> {
    let run = Run::new(parts, deadline);
    let (cursors, ends) = futures::join!(cursors(&run), ends(&run));
    let table = cursors.as_ref().err().cloned();
    let failed = |(topic, ends): (&Arc<str>, &Result<_, Error>)| Some((topic.clone(), ends.as_ref().err()?.clone()));
    let brokers = ends.iter().filter_map(failed).collect();
    let (mut states, mut errors) = merge(cursors, ends);
    complete(&run, &mut states, &mut errors).await;
    // Several topics fail with the same error of the same brokers.
    errors.dedup();
    if errors.is_empty()
        && let Some(unknown) = request.unknown_partition(&states)
    {
        return Err(unknown);
    }
    let mut partitions = plan::decide_all(states, &run.policy());
    partitions.retain(|plan| request.includes(plan.state.partition.partition));
    Ok(BestEffortSnapshot {
        partitions,
        errors,
        table,
        brokers,
        at_ms: run.started_wall_ms,
    })
}

/// The cursors, with the same timeout as the brokers.
async fn cursors<B: Backend>(run: &Run<'_, B>) -> Result<Cursors, Error> {
    let read = tokio::time::timeout_at(run.request_until().into(), super::cursors(run));
    read.await.unwrap_or_else(|_| {
        let table = &run.config.table;
        let waited = run.config.poll_timeout.as_secs_f64();
        let what = format!("the table {table} did not respond within {waited} s (POLL_TIMEOUT)");
        Err(Error::new(ErrorType::TableUnreachable, what)
            .next("Check DynamoDB's latency and throttling, and in a VPC its gateway endpoint, or try again"))
    })
}

type Ends = BTreeMap<Arc<str>, Result<Vec<(TopicPartition, ListedOffset)>, Error>>;

/// The end offsets, by topic: one that does not exist, or that this user may
/// not read, must not hide the others.
async fn ends<B: Backend>(run: &Run<'_, B>) -> Ends {
    let topics = &run.config.topics;
    let EndOffsets { partitions, refused } = match run.source.end_offsets(topics, run.request_until()).await {
        Ok(ends) => ends,
        Err(error) => return topics.iter().map(|topic| (topic.clone(), Err(error.clone()))).collect(),
    };
    let mut ends: Ends = topics.iter().map(|topic| (topic.clone(), Ok(vec![]))).collect();
    for (partition, end) in partitions {
        if let Some(Ok(of_topic)) = ends.get_mut(&partition.topic) {
            of_topic.push((partition, end));
        }
    }
    ends.extend(refused.into_iter().map(|(topic, error)| (topic, Err(error))));
    ends
}

/// The states of what was read. An item that could not be read is not a missing
/// item, and an end offset that could not be listed is not a missing partition:
///
/// | table | brokers | item | end |
/// |---|---|---|---|
/// | read | listed | as found | as found |
/// | failed | listed | cannot be read | as found |
/// | read | failed for its topic | as found | unavailable |
/// | failed | failed for its topic | no partition is known | |
fn merge(cursors: Result<Cursors, Error>, ends: Ends) -> (Vec<PartitionState>, Vec<Error>) {
    let mut errors = Vec::new();
    let (cursors, no_table) = match cursors {
        Ok(cursors) => (cursors, false),
        Err(error) => {
            errors.push(error);
            (Cursors::new(), true)
        }
    };
    let mut found = Vec::new();
    let mut failed = BTreeMap::new();
    for (topic, ends) in ends {
        match ends {
            Ok(ends) => found.extend(ends),
            Err(error) => {
                failed.insert(topic, error.kind);
                errors.push(error);
            }
        }
    }
    let mut states = states(cursors, found);
    for state in &mut states {
        if no_table {
            state.cursor = Some(Err(InvalidCursor::new("the table could not be read")));
        }
        if let Some(why) = failed.get(&state.partition.topic) {
            state.end = Some(Err(Unavailable(format!("its end is not known ({why})"))));
        }
    }
    (states, errors)
}

/// Lists the offsets that depend on cursors and end offsets.
async fn complete<B: Backend>(run: &Run<'_, B>, states: &mut [PartitionState], errors: &mut Vec<Error>) {
    if let Err(error) = relist_ends(run, states).await {
        for state in states.iter_mut().filter(|state| is_past_the_end(state)) {
            state.end = Some(Err(Unavailable("its end could not be listed again".into())));
        }
        errors.push(error);
    }
    let (starts, _) = starts(run, states);
    let has_end = |state: &PartitionState| matches!(state.end, Some(Ok(_)));
    let (earliest, start_positions, high_watermarks) = futures::join!(
        list_earliest(run, states, has_end),
        list_start_positions(run, states, &starts),
        high_watermarks(run, states, |_| true)
    );
    set(states, high_watermarks, |state| &mut state.high_watermark);
    match earliest {
        Ok(earliest) => set(states, earliest, |state| &mut state.earliest),
        Err(error) => errors.push(error),
    }
    match start_positions {
        Ok(start_positions) => set(states, start_positions, |state| &mut state.start),
        Err(error) => errors.push(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::Cursor;
    use crate::record::NextOffset;

    fn down(error_type: ErrorType) -> Error {
        Error::new(error_type, "down")
    }

    fn one_cursor() -> Cursors {
        let cursor = Ok(Cursor::at(NextOffset::ZERO));
        Cursors::from([(TopicPartition::new("t", 7), cursor)])
    }

    fn one_end() -> Ends {
        let end = (TopicPartition::new("t", 1), Ok(NextOffset::ZERO));
        Ends::from([("t".into(), Ok(vec![end]))])
    }

    fn no_end() -> Ends {
        Ends::from([("t".into(), Err(down(ErrorType::BrokerUnreachable)))])
    }

    fn types(errors: &[Error]) -> Vec<ErrorType> {
        errors.iter().map(|error| error.kind).collect()
    }

    #[test]
    fn without_the_table_no_partition_counts_as_one_without_an_item() {
        let (states, errors) = merge(Err(down(ErrorType::TableUnreachable)), one_end());
        assert!(matches!(states[0].cursor, Some(Err(_))) && matches!(states[0].end, Some(Ok(_))));
        assert_eq!(types(&errors), [ErrorType::TableUnreachable]);
    }

    #[test]
    fn without_the_brokers_no_partition_counts_as_gone() {
        let (states, errors) = merge(Ok(one_cursor()), no_end());
        assert!(matches!(states[0].cursor, Some(Ok(_))) && matches!(states[0].end, Some(Err(_))));
        assert_eq!(types(&errors), [ErrorType::BrokerUnreachable]);
    }

    #[test]
    fn an_item_of_a_partition_that_is_gone_is_shown_beside_those_that_are_there() {
        let (states, errors) = merge(Ok(one_cursor()), one_end());
        let seen: Vec<_> = states
            .iter()
            .map(|state| (state.partition.partition, state.end.is_some()))
            .collect();
        assert_eq!((seen, errors), (vec![(1, true), (7, false)], vec![]));
    }

    #[test]
    fn where_both_fail_both_errors_are_returned_the_tables_first() {
        let (states, errors) = merge(Err(down(ErrorType::TableNotFound)), no_end());
        assert!(states.is_empty());
        assert_eq!(types(&errors), [ErrorType::TableNotFound, ErrorType::BrokerUnreachable]);
    }
}
