//! What can be known of the partitions when not everybody answers: for people
//! who look at a system in trouble. A run needs it all, and makes a survey.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::survey::{self, Cursors};
use super::{Parts, Run, RunRequest, Seams};
use crate::clock::{Clock, Deadline};
use crate::error::{Error, ErrorType};
use crate::plan::{self, Decision, PartitionState};
use crate::processor::Processor;
use crate::record::TopicPartition;
use crate::source::{EndOffsets, ListedOffset, Source, Unavailable};
use crate::store::{InvalidCursor, Store};

/// What could be learned, and what kept the rest from being known.
#[derive(Debug, Clone)]
pub struct Glance {
    /// The partitions of the request that the brokers or the table know, in
    /// ascending order. What nobody answered is an error in its place.
    pub facts: Vec<PartitionState>,
    /// What a run would do with each of them.
    pub decisions: Vec<Decision>,
    /// Who did not answer, the table first.
    pub errors: Vec<Error>,
    /// Why the table could not be read.
    pub table: Option<Error>,
    /// Why the brokers did not tell the ends of these topics.
    pub brokers: BTreeMap<Arc<str>, Error>,
    /// When this was so, in milliseconds since the epoch.
    pub at_ms: i64,
}

/// Asks the table and the brokers side by side, each for itself: what one of
/// them cannot tell, the other still does. Claims, pins and writes nothing.
///
/// # Errors
/// Only when the request names a partition that certainly nobody knows.
pub async fn glance<S: Store, K: Source, P: Processor, C: Clock, L: Processor>(
    parts: &Parts<S, K, P, C, L>,
    request: &RunRequest,
    deadline: Deadline,
) -> Result<Glance, Error> {
    let run: Run<'_, Parts<S, K, P, C, L>> = Run::new(parts, deadline);
    let (cursors, ends) = futures::join!(cursors(&run), ends(&run));
    let table = cursors.as_ref().err().cloned();
    let silent = |(topic, ends): (&Arc<str>, &Result<_, Error>)| Some((topic.clone(), ends.as_ref().err()?.clone()));
    let brokers = ends.iter().filter_map(silent).collect();
    let (mut facts, mut errors) = merge(cursors, ends);
    complete(&run, &mut facts, &mut errors).await;
    // Of several topics, each would say the same of the same brokers.
    errors.dedup();
    if errors.is_empty()
        && let Some(unknown) = request.unknown_partition(&facts)
    {
        return Err(unknown);
    }
    let decisions = plan::decide_all(&facts, &run.policy());
    let (facts, decisions) = facts
        .into_iter()
        .zip(decisions)
        .filter(|(fact, _)| request.includes(fact.partition.partition))
        .unzip();
    Ok(Glance {
        facts,
        decisions,
        errors,
        table,
        brokers,
        at_ms: run.started_wall_ms,
    })
}

/// The table gets as long as the brokers.
async fn cursors<D: Seams>(run: &Run<'_, D>) -> Result<Cursors, Error> {
    let slow = |_| {
        let table = &run.config.table;
        let waited = run.config.poll_timeout.as_secs_f64();
        Err(Error::new(
            ErrorType::TableUnreachable,
            format!(
                "the table {table} did not answer within {waited} s (POLL_TIMEOUT). Look at DynamoDB's latency and \
                 throttling, and in a VPC at its gateway endpoint, or ask again"
            ),
        ))
    };
    tokio::time::timeout_at(run.ask_until().into(), survey::cursors(run))
        .await
        .unwrap_or_else(slow)
}

type Ends = BTreeMap<Arc<str>, Result<Vec<(TopicPartition, ListedOffset)>, Error>>;

/// The ends, by topic: one that does not exist, or that this user may not
/// read, must not hide the others.
async fn ends<D: Seams>(run: &Run<'_, D>) -> Ends {
    let topics = &run.config.topics;
    let EndOffsets { partitions, refused } = match run.source.end_offsets(topics, run.ask_until()).await {
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

/// The facts of what answered. An item that nobody could read is no missing
/// item, and an end that nobody told is no missing partition:
///
/// | table | brokers | item | end |
/// |---|---|---|---|
/// | answered | answered | as found | as found |
/// | failed | answered | cannot be read | as found |
/// | answered | failed for its topic | as found | nobody answers |
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
    let mut silent = BTreeMap::new();
    for (topic, ends) in ends {
        match ends {
            Ok(ends) => found.extend(ends),
            Err(error) => {
                silent.insert(topic, error.kind);
                errors.push(error);
            }
        }
    }
    let mut facts = survey::facts(cursors, found);
    for fact in &mut facts {
        if no_table {
            fact.cursor = Some(Err(InvalidCursor("the table could not be read".into())));
        }
        if let Some(why) = silent.get(&fact.partition.topic) {
            fact.end = Some(Err(Unavailable(format!("its end is not known ({why})"))));
        }
    }
    (facts, errors)
}

/// What is asked only once cursors and ends are known.
async fn complete<D: Seams>(run: &Run<'_, D>, facts: &mut [PartitionState], errors: &mut Vec<Error>) {
    if let Err(error) = survey::ask_again(run, facts).await {
        for fact in facts.iter_mut().filter(|fact| survey::past_the_end(fact)) {
            fact.end = Some(Err(Unavailable("its end could not be asked for once more".into())));
        }
        errors.push(error);
    }
    let (starts, _) = survey::starts(run, facts);
    let has_end = |fact: &PartitionState| matches!(fact.end, Some(Ok(_)));
    let (earliest, found, high) = futures::join!(
        survey::earliest(run, facts, has_end),
        survey::start_positions(run, facts, &starts),
        survey::high_watermarks(run, facts, |_| true)
    );
    for (i, high) in high {
        facts[i].high_watermark = Some(high);
    }
    match earliest {
        Ok(earliest) => {
            for (i, looked) in earliest {
                facts[i].earliest = Some(looked);
            }
        }
        Err(error) => errors.push(error),
    }
    match found {
        Ok(found) => {
            for (i, looked) in starts.into_iter().zip(found) {
                facts[i].start = Some(looked);
            }
        }
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
        let (facts, errors) = merge(Err(down(ErrorType::TableUnreachable)), one_end());
        assert!(matches!(facts[0].cursor, Some(Err(_))) && matches!(facts[0].end, Some(Ok(_))));
        assert_eq!(types(&errors), [ErrorType::TableUnreachable]);
    }

    #[test]
    fn without_the_brokers_no_partition_counts_as_gone() {
        let (facts, errors) = merge(Ok(one_cursor()), no_end());
        assert!(matches!(facts[0].cursor, Some(Ok(_))) && matches!(facts[0].end, Some(Err(_))));
        assert_eq!(types(&errors), [ErrorType::BrokerUnreachable]);
    }

    #[test]
    fn an_item_of_a_partition_that_is_gone_is_shown_beside_those_that_are_there() {
        let (facts, errors) = merge(Ok(one_cursor()), one_end());
        let seen: Vec<_> = facts
            .iter()
            .map(|fact| (fact.partition.partition, fact.end.is_some()))
            .collect();
        assert_eq!((seen, errors), (vec![(1, true), (7, false)], vec![]));
    }

    #[test]
    fn where_nobody_answers_both_are_named_the_table_first() {
        let (facts, errors) = merge(Err(down(ErrorType::TableNotFound)), no_end());
        assert!(facts.is_empty());
        assert_eq!(types(&errors), [ErrorType::TableNotFound, ErrorType::BrokerUnreachable]);
    }
}
