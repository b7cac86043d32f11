//! A backfill: a part of the log is read again with cursors of its own.
//!
//! Its bounds are fixed for every partition before anything is read, and
//! stored with the cursors. What an invocation does with a partition:
//!
//! | items of this name | the partition | |
//! |---|---|---|
//! | none | requested, exists | its bounds are stored |
//! | none | requested, does not exist | refused |
//! | some, of another request | any | refused: [`difference`] |
//! | some | has an item | resumed: [`decide`] |
//! | some | no item, below the highest item, or requested by its number | its bounds are stored: the start was interrupted |
//! | some | no item, above the highest item | left out: it appeared later |
//!
//! Bounds follow from the request and the log ([`bounds`]):
//!
//! | requested | stored |
//! |---|---|
//! | `from` or `to` after the end | the end |
//! | `from` before the log start | as requested: the run reports what retention deleted |
//! | `from` after `to` | `to`: nothing is read |
//! | `from` is a time | the first record with this time or a later one |
//! | `to` is a time | the first record that is an hour ([`READ_ON_MS`]) later: [`Window`] selects the records |
//!
//! Within its bounds a backfill is an ordinary run on a log that ends at `to`
//! ([`decide`], the first row that fits):
//!
//! | cursor | log | decision |
//! |---|---|---|
//! | has no bounds | any | [`Invalid`](Decision::Invalid) |
//! | at `to` or after it | any | [`Idle`](Decision::Idle): done |
//! | before `to` | ends before `to`, with offsets to read | [`Truncated`](Decision::Truncated), regardless of `ON_TRUNCATION` |
//! | before `to` | else | as in [`plan::decide`] |

mod window;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::claim::{Bounds, Cursor, InvalidCursor};
use crate::config::{Config, MAX_KEY_BYTES};
use crate::error::{Error, ErrorType};
use crate::event::{BackfillRequest, Bound, short};
use crate::plan::{self, Decision, PartitionPlan, PartitionState, Policy};
use crate::record::{Consumer, ListedOffset, NextOffset};
use crate::text::cut;

pub use window::{READ_ON_MS, Window};

/// The longest `backfill` attribute that is quoted in a message, if it is no
/// request, in bytes.
const MAX_SHOWN_BYTES: usize = 200;

/// The topic of a backfill, as its index in `KAFKA_TOPIC`.
///
/// # Errors
/// When it is not one of them, or missing although there are several; and when
/// the cursors' key would be too long.
pub fn topic(config: &Config, request: &BackfillRequest) -> Result<usize, Error> {
    let refused = |what| Err(Error::new(ErrorType::InvalidEvent, what));
    let index = match &request.topic {
        None if config.topics.len() == 1 => 0,
        None => {
            return refused(format!(
                "`topic` is missing: a backfill is about one topic, and there are {}: {}",
                config.topics.len(),
                config.topics.join(", ")
            ));
        }
        Some(requested) => match config.topics.iter().position(|topic| topic == requested) {
            Some(index) => index,
            None => {
                return refused(format!(
                    "`topic` is {requested:?}, which KAFKA_TOPIC does not name: {}",
                    config.topics.join(", ")
                ));
            }
        },
    };
    let key = consumer(config, index, request).to_string();
    if key.len() > MAX_KEY_BYTES {
        return refused(format!(
            "`name` is too long: the key <group_id>_<topic>#<name> has {} bytes, and a table's key at most {MAX_KEY_BYTES}",
            key.len()
        ));
    }
    Ok(index)
}

fn consumer(config: &Config, topic: usize, request: &BackfillRequest) -> Consumer {
    Consumer {
        group_id: config.group_id.clone(),
        topic: config.topics[topic].clone(),
        backfill: Some(request.name.shared()),
    }
}

/// The partitions, as indexes of `states`, whose bounds are to be stored:
/// the table at the top of this module.
///
/// # Errors
/// When a partition is requested that the topic does not have.
pub fn to_start(request: &BackfillRequest, states: &[PartitionState]) -> Result<Vec<usize>, Error> {
    let highest = states.iter().rposition(|state| state.cursor.is_some());
    let named = request.named();
    if highest.is_none() {
        known(named.as_ref(), states)?;
    }
    let begins = |i: &usize| {
        let state = &states[*i];
        state.cursor.is_none()
            && match &named {
                Some((_, named)) => named.contains(&state.partition.partition),
                None => highest.is_none_or(|highest| *i < highest),
            }
    };
    Ok((0..states.len()).filter(begins).collect())
}

fn known(named: Option<&(&'static str, BTreeSet<i32>)>, states: &[PartitionState]) -> Result<(), Error> {
    let there: BTreeSet<i32> = states.iter().map(|state| state.partition.partition).collect();
    let Some((field, named)) = named else {
        return Ok(());
    };
    named.difference(&there).next().map_or(Ok(()), |unknown| {
        Err(Error::new(
            ErrorType::InvalidEvent,
            format!("partition {unknown} is requested, but the topic does not have it"),
        )
        .next(format!("Correct `{field}`")))
    })
}

/// The bounds of one partition.
///
/// `from` and `to` are the listed offsets of a log that ends at `end`.
#[must_use]
pub fn bounds(from: NextOffset, to: NextOffset, end: NextOffset, requested: &str) -> Bounds {
    let to = to.min(end);
    Bounds {
        from: from.min(to),
        to,
        requested: requested.to_owned(),
    }
}

/// The offset of a bound, if it needs no request to a broker.
#[must_use]
pub fn known_offset(bound: &Bound, partition: i32, end: NextOffset) -> Option<NextOffset> {
    match bound {
        Bound::Latest => Some(end),
        Bound::Offsets(offsets) => offsets.get(&partition).copied(),
        Bound::Earliest | Bound::At(_) => None,
    }
}

/// How the request that started a backfill differs from the current one;
/// `None`: they are the same. Both are compared in their [short](short) form,
/// because an item may hold either.
#[must_use]
pub fn difference(started: &str, requested: &str) -> Option<String> {
    if started == requested {
        return None;
    }
    let read = |text: &str| {
        let value = serde_json::from_str::<Value>(text).map(short);
        value.unwrap_or_else(|_| cut(text, MAX_SHOWN_BYTES).into())
    };
    let (started_with, requested_now) = (read(started), read(requested));
    if started_with == requested_now {
        return None;
    }
    let shown = |value: &Value, field: &str| match value.get(field) {
        Some(value) => value.to_string(),
        None => "not given".to_owned(),
    };
    let differences: Vec<String> = ["from", "to", "partitions"]
        .into_iter()
        .filter(|field| started_with.get(field) != requested_now.get(field))
        .map(|field| {
            let (was, is) = (shown(&started_with, field), shown(&requested_now, field));
            format!("`{field}` was {was} and is {is} now")
        })
        .collect();
    Some(format!(
        "{} (it was started with {started_with})",
        differences.join(", ")
    ))
}

/// Whether these cursors belong to the requested backfill.
///
/// # Errors
/// The difference, if one was started by another request.
pub fn check_all<'a>(
    consumer: &Consumer,
    request: &BackfillRequest,
    cursors: impl Iterator<Item = &'a Cursor>,
) -> Result<(), Error> {
    let asked_of = |cursor: &'a Cursor| Some(cursor.backfill.as_ref()?.requested.as_str());
    let mut compared = None;
    for cursor in cursors {
        // All have the same text, which is compared once.
        if asked_of(cursor) != compared {
            check(consumer, request, cursor)?;
            compared = asked_of(cursor);
        }
    }
    Ok(())
}

/// Whether a cursor belongs to the requested backfill.
///
/// # Errors
/// The difference, if it was started by another request.
pub fn check(consumer: &Consumer, request: &BackfillRequest, cursor: &Cursor) -> Result<(), Error> {
    // Without bounds there is nothing to compare: its decision is `Invalid`.
    let Some(bounds) = &cursor.backfill else { return Ok(()) };
    difference(&bounds.requested, &request.requested()).map_or(Ok(()), |differs| {
        Err(Error::new(
            ErrorType::InvalidEvent,
            format!(
                "there is a backfill {} of {} already, and it differs: {differs}",
                request.name, consumer.topic
            ),
        )
        .next("Request the same bounds to continue it, or choose another name"))
    })
}

/// The plan of each partition, in the order of `states`.
#[must_use]
pub fn decide_all(states: Vec<PartitionState>, policy: &Policy) -> Vec<PartitionPlan> {
    let plan = |state| PartitionPlan {
        decision: decide(&state, policy),
        state,
    };
    states.into_iter().map(plan).collect()
}

/// The decision for one partition: the table at the top of this module.
#[must_use]
pub fn decide(state: &PartitionState, policy: &Policy) -> Decision {
    let Some(Ok(cursor)) = &state.cursor else {
        return plan::decide(state, false, policy);
    };
    let Some(bounds) = &cursor.backfill else {
        let what = format!(
            "the item of {} has a backfill's key and no `backfill_to`",
            state.partition
        );
        let advice = "Delete it, or start a backfill of another name";
        return Decision::Invalid(InvalidCursor::new(what).next(advice));
    };
    if cursor.next >= bounds.to {
        return Decision::Idle;
    }
    let end = match &state.end {
        Some(Ok(end)) => *end,
        // Without the end the decision is that of a run.
        _ => return plan::decide(state, false, policy),
    };
    match plan::decide(&within(state.clone()), false, policy) {
        Decision::Read(_) | Decision::RetentionLoss(_) if end < bounds.to => Decision::Truncated(format!(
            "the log ends at {end}, and the backfill at {}: the topic was recreated or truncated after the backfill \
             was started",
            bounds.to
        )),
        decision => decision,
    }
}

/// The state with the log's end at that of the backfill.
#[must_use]
pub fn within(mut state: PartitionState) -> PartitionState {
    let cursor = state.cursor.as_ref().and_then(|cursor| cursor.as_ref().ok());
    if let Some(to) = cursor.and_then(|cursor| Some(cursor.backfill.as_ref()?.to)) {
        state.end = Some(Ok(to));
        state.earliest = state
            .earliest
            .map(|earliest: ListedOffset| earliest.map(|earliest| earliest.min(to)));
    }
    state
}

/// The stored bounds of a partition.
#[must_use]
pub fn stored(state: &PartitionState) -> Option<&Arc<Bounds>> {
    state.cursor.as_ref()?.as_ref().ok()?.backfill.as_ref()
}
