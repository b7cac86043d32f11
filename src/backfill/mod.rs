//! A backfill: a part of the log, read again under a cursor of its own.
//!
//! Its bounds are fixed for every partition before anything is read, and
//! stored with the cursors. What an invocation does with a partition:
//!
//! | items of this name | the partition | |
//! |---|---|---|
//! | none | asked for, and there | its bounds are stored |
//! | none | asked for, and not there | refused |
//! | some, asked for otherwise | any | refused: [`difference`] |
//! | some | has an item | goes on: [`decide`] |
//! | some | none, below the highest item, or asked for by its number | its bounds are stored: the start was interrupted |
//! | some | none, above the highest item | left out: it appeared later |
//!
//! Bounds are made of what was asked for and of the log as it is ([`bounds`]):
//!
//! | asked for | stored |
//! |---|---|
//! | `from` or `to` behind the end | the end |
//! | `from` before the earliest | as it is: the run reports what retention took |
//! | `from` behind `to` | `to`: nothing is read |
//! | `from` is a time | the first record with this time or a later one |
//! | `to` is a time | the first record that is an hour ([`READ_ON_MS`]) later: [`Window`] says which records are handed on |
//!
//! Within its bounds a backfill is an ordinary run on a log that ends at `to`
//! ([`decide`], the first row that fits):
//!
//! | cursor | log | decision |
//! |---|---|---|
//! | has no bounds | any | [`Invalid`](Decision::Invalid) |
//! | at `to` or behind it | any | [`Idle`](Decision::Idle): done |
//! | before `to` | ends before `to`, and there would be something to read | [`Truncated`](Decision::Truncated), whatever `ON_TRUNCATION` says |
//! | before `to` | else | as [`plan::decide`] says |

mod window;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::claim::{Bounds, Cursor};
use crate::config::{Config, MAX_KEY_BYTES};
use crate::error::{Error, ErrorType};
use crate::event::{BackfillRequest, Bound, short};
use crate::plan::{self, Decision, PartitionState, Policy};
use crate::record::NextOffset;
use crate::source::ListedOffset;
use crate::store::Consumer;
use crate::text::cut;

pub use window::{READ_ON_MS, Window};

/// The longest text of an item that is no request of ours, in a message.
const LONGEST_SHOWN_BYTES: usize = 200;

/// The topic that a backfill is about, by its place in the settings.
///
/// # Errors
/// When it is not one of them, or not said although there are several; and
/// when the cursors' key would be too long.
pub fn topic(config: &Config, request: &BackfillRequest) -> Result<usize, Error> {
    let refused = |message| Err(Error::new(ErrorType::InvalidEvent, message));
    let index = match &request.topic {
        None if config.topics.len() == 1 => 0,
        None => {
            return refused(format!(
                "`topic` is missing: a backfill is about one topic, and there are {}: {}",
                config.topics.len(),
                config.topics.join(", ")
            ));
        }
        Some(asked) => match config.topics.iter().position(|topic| topic == asked) {
            Some(index) => index,
            None => {
                return refused(format!(
                    "`topic` is {asked:?}, which KAFKA_TOPIC does not name: {}",
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

/// The partitions, by their place in `facts`, whose bounds are to be stored:
/// the table at the top of this module.
///
/// # Errors
/// When a partition is asked for that the topic does not have.
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
            format!("partition {unknown} is asked for, and the topic does not have it. Correct `{field}`"),
        ))
    })
}

/// The bounds of one partition.
///
/// `from` and `to` are where they were found in a log that ends at `end`.
#[must_use]
pub fn bounds(from: NextOffset, to: NextOffset, end: NextOffset, asked: &str) -> Bounds {
    let to = to.min(end);
    Bounds {
        from: from.min(to),
        to,
        asked: asked.to_owned(),
    }
}

/// Where a bound lies, if no broker must be asked for it.
#[must_use]
pub fn known_offset(bound: &Bound, partition: i32, end: NextOffset) -> Option<NextOffset> {
    match bound {
        Bound::Latest => Some(end),
        Bound::Offsets(offsets) => offsets.get(&partition).copied(),
        Bound::Earliest | Bound::At(_) => None,
    }
}

/// What a backfill of the same name was started with, where it is not what is
/// asked for now; `None`: the same. Both are compared in their [short](short)
/// form: an item may hold either.
#[must_use]
pub fn difference(started: &str, asked: &str) -> Option<String> {
    if started == asked {
        return None;
    }
    let read = |text: &str| {
        let value = serde_json::from_str::<Value>(text).map(short);
        value.unwrap_or_else(|_| cut(text, LONGEST_SHOWN_BYTES).into())
    };
    let (started_with, asked_for) = (read(started), read(asked));
    if started_with == asked_for {
        return None;
    }
    let said = |value: &Value, field: &str| match value.get(field) {
        Some(value) => value.to_string(),
        None => "not given".to_owned(),
    };
    let differences: Vec<String> = ["from", "to", "partitions"]
        .into_iter()
        .filter(|field| started_with.get(field) != asked_for.get(field))
        .map(|field| {
            let (was, is) = (said(&started_with, field), said(&asked_for, field));
            format!("`{field}` was {was} and is {is} now")
        })
        .collect();
    Some(format!(
        "{} (it was started with {started_with})",
        differences.join(", ")
    ))
}

/// Whether these cursors belong to the backfill that is asked for.
///
/// # Errors
/// What differs, if one was started with something else.
pub fn check_all<'a>(
    consumer: &Consumer,
    request: &BackfillRequest,
    cursors: impl Iterator<Item = &'a Cursor>,
) -> Result<(), Error> {
    let asked_of = |cursor: &'a Cursor| Some(cursor.backfill.as_ref()?.asked.as_str());
    let mut compared = None;
    for cursor in cursors {
        // The same text on all of them: it is read and compared once.
        if asked_of(cursor) != compared {
            check(consumer, request, cursor)?;
            compared = asked_of(cursor);
        }
    }
    Ok(())
}

/// Whether a cursor belongs to the backfill that is asked for.
///
/// # Errors
/// What differs, if it was started with something else.
pub fn check(consumer: &Consumer, request: &BackfillRequest, cursor: &Cursor) -> Result<(), Error> {
    // Without bounds there is nothing to compare; its decision says so.
    let Some(bounds) = &cursor.backfill else { return Ok(()) };
    difference(&bounds.asked, &request.asked()).map_or(Ok(()), |differs| {
        Err(Error::new(
            ErrorType::InvalidEvent,
            format!(
                "there is a backfill {} of {} already, and it differs: {differs}. Ask for the same to go on with it, or \
                 choose another name",
                request.name, consumer.topic
            ),
        ))
    })
}

/// The decision for one partition: the table at the top of this module.
#[must_use]
pub fn decide(state: &PartitionState, policy: &Policy) -> Decision {
    let Some(Ok(cursor)) = &state.cursor else {
        return plan::decide(state, false, policy);
    };
    let Some(bounds) = &cursor.backfill else {
        return Decision::Invalid(format!(
            "the item of {} has a backfill's key and no `backfill_to`. Delete it, or start a backfill of another name",
            state.partition
        ));
    };
    if cursor.next >= bounds.to {
        return Decision::Idle;
    }
    let end = match &state.end {
        Some(Ok(end)) => *end,
        // Nobody knows the log: what a run does without it.
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

/// The same facts, of a log that ends where the backfill does.
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

/// The bounds that are stored for a partition.
#[must_use]
pub fn stored(state: &PartitionState) -> Option<&Arc<Bounds>> {
    state.cursor.as_ref()?.as_ref().ok()?.backfill.as_ref()
}
