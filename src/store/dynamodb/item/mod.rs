//! An item of the table -> a [`Cursor`], or why it is invalid.
//!
//! Operators and other programs write these items too, so every attribute is
//! validated. Unknown attributes are ignored.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::claim::{Bounds, ChunkLimit, CommandId, Cursor, Failures, RunId, Unreported};
use crate::record::NextOffset;
use crate::store::{Consumer, InvalidCursor};
use crate::text::cut;

/// An item, as the SDK returns it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The names of the table's attributes. `offset` and `partition` are reserved
/// words, so expressions use placeholders throughout.
pub(super) mod name {
    /// Partition key, S: `<group_id>_<topic>`.
    pub(in super::super) const CONSUMER_ID: &str = "consumer_id";
    /// Sort key, N: the partition's number.
    pub(in super::super) const PARTITION: &str = "partition";
    /// N: the last processed offset; -1: nothing yet.
    pub(in super::super) const OFFSET: &str = "offset";
    /// S: the topic's name.
    pub(in super::super) const TOPIC: &str = "topic";
    /// S: the group's name.
    pub(in super::super) const GROUP_ID: &str = "group_id";
    /// S: the run that wrote the item last.
    pub(in super::super) const RUN: &str = "run";
    /// N: the claim's end, in milliseconds since the epoch.
    pub(in super::super) const CLAIM_UNTIL: &str = "claim_until";
    /// N: the planned end of the claim's run, exclusive.
    pub(in super::super) const CLAIM_TO: &str = "claim_to";
    /// N: the chunk limit of a quarantine.
    pub(in super::super) const CLAIM_CHUNK: &str = "claim_chunk";
    /// N: the offset from which a run in quarantine handed records over.
    pub(in super::super) const HANDED_OVER: &str = "handed_over";
    /// N: the failing record's own offset.
    pub(in super::super) const FAIL_OFFSET: &str = "fail_offset";
    /// N: how many attempts at that record failed.
    pub(in super::super) const ATTEMPTS: &str = "attempts";
    /// N: how many runs crashed while the handler had that record alone.
    pub(in super::super) const CRASHES: &str = "crashes";
    /// N: the earliest time of the next attempt, in milliseconds since the epoch.
    pub(in super::super) const NEXT_TRY_AT: &str = "next_try_at";
    /// S: the error of the last attempt.
    pub(in super::super) const ERROR: &str = "error";
    /// N: when a run wrote the item last, in milliseconds since the epoch.
    pub(in super::super) const UPDATED_AT: &str = "updated_at";
    /// BOOL: whether runs skip the partition.
    pub(in super::super) const PAUSED: &str = "paused";
    /// N: `offset` as it was before an operator moved it.
    pub(in super::super) const PREVIOUS_OFFSET: &str = "previous_offset";
    /// S: the operator's command that moved the cursor last.
    pub(in super::super) const COMMAND_ID: &str = "command_id";
    /// S: the request of a backfill, as JSON.
    pub(in super::super) const BACKFILL: &str = "backfill";
    /// N: the first offset that a backfill reads.
    pub(in super::super) const BACKFILL_FROM: &str = "backfill_from";
    /// N: a backfill's end, exclusive.
    pub(in super::super) const BACKFILL_TO: &str = "backfill_to";
    /// S: skipped and lost offsets that are not reported yet, as JSON.
    pub(in super::super) const UNREPORTED: &str = "unreported";
}

/// The table and key of the item that is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct ItemKey<'a> {
    pub(super) table: &'a str,
    pub(super) consumer: &'a Consumer,
    pub(super) partition: i32,
}

/// The partition of an item.
///
/// # Errors
/// When the sort key is no partition's number.
pub(super) fn partition(table: &str, consumer: &Consumer, item: &Item) -> Result<i32, InvalidCursor> {
    let found = item.get(name::PARTITION);
    let number = match found {
        Some(AttributeValue::N(number)) => number.parse().ok().filter(|partition| *partition >= 0),
        _ => None,
    };
    number.ok_or_else(|| {
        let what = format!(
            "table \"{table}\", consumer_id \"{consumer}\": partition is {}, but a partition's number (N), 0 or more, \
             belongs there",
            found.map_or_else(|| "missing".to_owned(), shown)
        );
        InvalidCursor::new(what).next("Delete the item")
    })
}

/// The cursor of an item.
///
/// | attribute | if missing | refused |
/// |---|---|---|
/// | `offset` | refused | not a whole number, below -1, the last of the number range |
/// | `topic`, `group_id` | accepted | not a string, or not the consumer's |
/// | `run`, `error`, `command_id` | none | not a string |
/// | `claim_until`, `claim_to`, `claim_chunk`, `handed_over`, `next_try_at`, `fail_offset` | none | not a whole number, negative |
/// | `attempts`, `crashes` | 0 | the same, and above `u32` |
/// | `paused` | no | not a BOOL |
/// | `previous_offset` | none | as `offset` |
/// | `backfill`, `backfill_from`, `backfill_to` | no backfill | one of them without the others, not a string, no offset |
/// | `unreported` | none | a text that no run writes |
/// | `updated_at` | none | nothing: other programs write a text there, which is ignored |
///
/// # Errors
/// The first attribute that is refused.
pub(super) fn read(key: &ItemKey<'_>, item: &Item) -> Result<Cursor, InvalidCursor> {
    let fields = Fields { key: *key, item };
    fields.agrees(name::TOPIC, &key.consumer.topic)?;
    fields.agrees(name::GROUP_ID, &key.consumer.group_id)?;
    Ok(Cursor {
        next: fields.next()?,
        run: fields.text(name::RUN)?.map(RunId::new),
        claim_until_ms: fields.number(name::CLAIM_UNTIL, TIME, not_negative)?,
        claim_to: fields.number(name::CLAIM_TO, OFFSET, NextOffset::new)?,
        claim_chunk: fields.number(name::CLAIM_CHUNK, COUNT, |records| {
            u64::try_from(records).ok().map(ChunkLimit::of)
        })?,
        handed_over: fields.number(name::HANDED_OVER, OFFSET, NextOffset::new)?,
        failure: fields.failures()?,
        paused: fields.flag(name::PAUSED)?,
        updated_at_ms: match item.get(name::UPDATED_AT) {
            Some(AttributeValue::N(number)) => number.parse().ok(),
            _ => None,
        },
        previous: fields.number(name::PREVIOUS_OFFSET, LAST_PROCESSED, NextOffset::after)?,
        command: fields.text(name::COMMAND_ID)?.map(CommandId::new),
        backfill: fields.bounds()?,
        unreported: fields
            .optional(name::UNREPORTED, NOTE, |value| {
                Unreported::from_text(value.as_s().ok()?)
            })?
            .map(Arc::new),
    })
}

const TIME: &str = "a time in milliseconds since 1970 (N)";
const OFFSET: &str = "an offset (N), 0 or more,";
const LAST_PROCESSED: &str = "the last processed offset (N), -1 or more,";
const COUNT: &str = "a count (N), 0 or more,";
const TEXT: &str = "a text (S)";
const NOTE: &str = "what a run wrote (S)";
const BOUNDS_ADVICE: &str = "Correct it, or start a backfill of another name";

fn not_negative(number: i64) -> Option<i64> {
    (number >= 0).then_some(number)
}

struct Fields<'a> {
    key: ItemKey<'a>,
    item: &'a Item,
}

impl<'a> Fields<'a> {
    fn next(&self) -> Result<NextOffset, InvalidCursor> {
        let belongs = LAST_PROCESSED;
        let advice =
            "Correct it, or delete it with `kafka-consumer offsets delete`, which shows where a run starts then";
        let found = self.item.get(name::OFFSET);
        let next = match found {
            Some(AttributeValue::N(number)) => number.parse().ok().and_then(NextOffset::after),
            _ => None,
        };
        next.ok_or_else(|| self.invalid(name::OFFSET, found, belongs, advice))
    }

    fn failures(&self) -> Result<Option<Failures>, InvalidCursor> {
        let offset = self.number(name::FAIL_OFFSET, OFFSET, NextOffset::new)?;
        let failures = Failures {
            offset: offset.unwrap_or_default(),
            attempts: self.count(name::ATTEMPTS)?,
            crashes: self.count(name::CRASHES)?,
            next_try_at_ms: self.number(name::NEXT_TRY_AT, TIME, not_negative)?,
            error: self.text(name::ERROR)?.map(str::to_owned),
        };
        // Counts without an offset belong to no record.
        Ok(offset.map(|_| failures))
    }

    /// All three or none: a backfill without its end has no place to stop.
    fn bounds(&self) -> Result<Option<Arc<Bounds>>, InvalidCursor> {
        let requested = self.text(name::BACKFILL)?;
        let from = self.number(name::BACKFILL_FROM, OFFSET, NextOffset::new)?;
        let to = self.number(name::BACKFILL_TO, OFFSET, NextOffset::new)?;
        match (requested, from, to) {
            (None, None, None) => Ok(None),
            (Some(requested), Some(from), Some(to)) => Ok(Some(Arc::new(Bounds {
                from,
                to,
                requested: requested.to_owned(),
            }))),
            (None, _, _) => Err(self.invalid(name::BACKFILL, None, TEXT, BOUNDS_ADVICE)),
            (_, None, _) => Err(self.invalid(name::BACKFILL_FROM, None, OFFSET, BOUNDS_ADVICE)),
            (_, _, None) => Err(self.invalid(name::BACKFILL_TO, None, OFFSET, BOUNDS_ADVICE)),
        }
    }

    fn count(&self, name: &str) -> Result<u32, InvalidCursor> {
        Ok(self
            .number(name, COUNT, |number| u32::try_from(number).ok())?
            .unwrap_or_default())
    }

    fn number<T>(
        &self,
        name: &str,
        belongs: &str,
        check: impl Fn(i64) -> Option<T>,
    ) -> Result<Option<T>, InvalidCursor> {
        self.optional(name, belongs, |value| match value {
            AttributeValue::N(number) => number.parse().ok().and_then(&check),
            _ => None,
        })
    }

    fn text(&self, name: &str) -> Result<Option<&'a str>, InvalidCursor> {
        self.optional(name, TEXT, |value| value.as_s().ok().map(String::as_str))
    }

    fn flag(&self, name: &str) -> Result<bool, InvalidCursor> {
        Ok(self
            .optional(name, "true or false (BOOL)", |value| value.as_bool().ok().copied())?
            .unwrap_or_default())
    }

    /// `<group_id>_<topic>` is ambiguous if a name contains an underscore; these
    /// two attributes resolve the owner.
    fn agrees(&self, name: &str, ours: &str) -> Result<(), InvalidCursor> {
        match self.item.get(name) {
            None => Ok(()),
            Some(AttributeValue::S(theirs)) if theirs == ours => Ok(()),
            found => Err(self.invalid(
                name,
                found,
                &format!("{} (S)", quoted(ours)),
                "If the item belongs to another group and topic, choose another group id; if not, correct it",
            )),
        }
    }

    fn optional<T>(
        &self,
        name: &str,
        belongs: &str,
        read: impl Fn(&'a AttributeValue) -> Option<T>,
    ) -> Result<Option<T>, InvalidCursor> {
        let Some(value) = self.item.get(name) else {
            return Ok(None);
        };
        read(value)
            .map(Some)
            .ok_or_else(|| self.invalid(name, Some(value), belongs, "Correct the attribute or remove it"))
    }

    fn invalid(&self, name: &str, found: Option<&AttributeValue>, belongs: &str, advice: &str) -> InvalidCursor {
        let ItemKey {
            table,
            consumer,
            partition,
        } = self.key;
        let what = format!(
            "table \"{table}\", consumer_id \"{consumer}\", partition {partition}: {name} is {}, but {belongs} belongs there",
            found.map_or_else(|| "missing".to_owned(), shown)
        );
        InvalidCursor::new(what).next(advice)
    }
}

/// A value with its type as text, at most a line long.
fn shown(value: &AttributeValue) -> String {
    match value {
        AttributeValue::N(number) => format!("{number} (N)"),
        AttributeValue::S(text) => format!("{} (S)", quoted(text)),
        AttributeValue::Bool(flag) => format!("{flag} (BOOL)"),
        AttributeValue::Null(_) => "NULL".to_owned(),
        AttributeValue::L(_) => "a list (L)".to_owned(),
        AttributeValue::M(_) => "a map (M)".to_owned(),
        AttributeValue::B(_) => "binary (B)".to_owned(),
        _ => "a set".to_owned(),
    }
}

fn quoted(text: &str) -> String {
    const MAX_BYTES: usize = 60;
    format!("{:?}", cut(text, MAX_BYTES))
}

#[cfg(test)]
mod tests;
