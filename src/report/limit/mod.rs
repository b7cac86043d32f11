//! How a report fits where it goes: a `CloudWatch` event holds 256 KB, a response
//! of Lambda 6 MB.
//!
//! Texts are cut at [`MAX_TEXT_BYTES`], the message of the error at
//! [`MAX_MESSAGE_BYTES`]. A report that still has more than [`LIMIT_BYTES`]
//! keeps its counts and the first entries of its lists, in this order:
//!
//! | list | has room for |
//! |---|---|
//! | `last_offsets` | half of the limit at most |
//! | `lost`, `blocked`, `unavailable`, `skipped` | what is left, in equal parts: what a short one does not use goes to the longer ones |
//! | `held`, `paused` | what is left then, in the same way |
//! | `partitions` | what is left then |
//!
//! A list that was cut ends with `{"omitted": n}`; `last_offsets`, which is an
//! object, with `"omitted": n`. What is skipped or lost has a line of its own in
//! the log, so that nothing is named nowhere.
//!
//! All sizes are those of the JSON form within a line of the log, where each
//! quote and backslash is escaped once more. So no other form is larger.

use std::borrow::Cow;
use std::io;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::{
    Blocked, Held, LastOffsets, PartitionReport, PlanReport, PlannedPartition, RunReport, Status, StopReason,
    UnavailablePartition, UnprocessedRange,
};
use crate::error::{Error, ErrorType};
use crate::record::TopicPartition;
use crate::text::cut;

/// The most that the report of a run has, in bytes, as a field of a log line.
pub const LIMIT_BYTES: usize = 200_000;

/// The most that a plan has, in bytes. Only one that fails is logged, and then
/// within [`LIMIT_BYTES`].
pub const PLAN_LIMIT_BYTES: usize = 5_000_000;

/// The longest message of a report's error, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 2_000;

/// The longest reason or error in a list, in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 500;

/// `,{"omitted":18446744073709551615}`, with its quotes escaped.
const OMITTED_BYTES: usize = 36;

/// How many lists a report has.
const LISTS: usize = 8;

/// The text of an entry.
pub(super) fn text<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&cut(text, MAX_TEXT_BYTES))
}

#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
pub(super) fn optional_text<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_deref()
        .map(|text| cut(text, MAX_TEXT_BYTES))
        .serialize(serializer)
}

impl Serialize for RunReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut limited = Limited::of(self);
        if size(&limited) > LIMIT_BYTES {
            limited.shorten();
        }
        limited.serialize(serializer)
    }
}

impl Serialize for PlanReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        LimitedPlan::of(self, PLAN_LIMIT_BYTES).serialize(serializer)
    }
}

impl PlanReport {
    /// The JSON form as a field of a log line: at most [`LIMIT_BYTES`].
    #[must_use]
    pub fn to_log_field(&self) -> String {
        // Texts and numbers: this cannot fail.
        serde_json::to_string(&LimitedPlan::of(self, LIMIT_BYTES)).unwrap_or_default()
    }
}

impl<'a> LimitedPlan<'a> {
    fn of(plan: &'a PlanReport, limit_bytes: usize) -> Self {
        let mut limited = Self {
            partitions: Shown::all(&plan.partitions),
            runs_to_catch_up: plan.runs_to_catch_up,
            error: plan.error.as_ref().map(Message::of),
        };
        if size(&limited) > limit_bytes {
            let sizes = limited.partitions.take();
            let mut room = limit_bytes - size(&limited) - OMITTED_BYTES;
            [limited.partitions.shown] = share(&[sizes], &mut room);
        }
        limited
    }
}

#[derive(Serialize)]
struct LimitedPlan<'a> {
    partitions: Shown<'a, PlannedPartition>,
    runs_to_catch_up: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Message<'a>>,
}

/// A report with as much of each list as is shown: the fields of [`RunReport`].
#[derive(Serialize)]
struct Limited<'a> {
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Message<'a>>,
    messages_processed: u64,
    last_offsets: ShownOffsets<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backfill: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<bool>,
    stop_reason: Option<StopReason>,
    lag: Option<u64>,
    skipped: Shown<'a, UnprocessedRange>,
    lost: Shown<'a, UnprocessedRange>,
    filtered: u64,
    dead_lettered: u64,
    bytes: u64,
    duration_ms: u64,
    held: Shown<'a, Held>,
    paused: Shown<'a, TopicPartition>,
    blocked: Shown<'a, Blocked>,
    unavailable: Shown<'a, UnavailablePartition>,
    partitions: Shown<'a, PartitionReport>,
}

#[derive(Serialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    error_type: ErrorType,
    message: Cow<'a, str>,
}

impl<'a> Message<'a> {
    fn of(error: &'a Error) -> Self {
        Self {
            error_type: error.kind,
            message: cut(error.message(), MAX_MESSAGE_BYTES),
        }
    }
}

impl<'a> Limited<'a> {
    fn of(report: &'a RunReport) -> Self {
        // By name: a new field cannot be forgotten.
        let RunReport {
            status,
            error,
            messages_processed,
            last_offsets,
            backfill,
            done,
            stop_reason,
            lag,
            skipped,
            lost,
            filtered,
            dead_lettered,
            bytes,
            duration_ms,
            held,
            paused,
            blocked,
            unavailable,
            partitions,
        } = report;
        Self {
            status: *status,
            error: error.as_ref().map(Message::of),
            messages_processed: *messages_processed,
            last_offsets: ShownOffsets {
                all: last_offsets,
                shown: last_offsets.entries.len(),
            },
            backfill: backfill.as_deref(),
            done: *done,
            stop_reason: *stop_reason,
            lag: *lag,
            skipped: Shown::all(skipped),
            lost: Shown::all(lost),
            filtered: *filtered,
            dead_lettered: *dead_lettered,
            bytes: *bytes,
            duration_ms: *duration_ms,
            held: Shown::all(held),
            paused: Shown::all(paused),
            blocked: Shown::all(blocked),
            unavailable: Shown::all(unavailable),
            partitions: Shown::all(partitions),
        }
    }

    /// The table at the top of this module.
    fn shorten(&mut self) {
        let offsets = self.last_offsets.take();
        let losses = [
            self.lost.take(),
            self.blocked.take(),
            self.unavailable.take(),
            self.skipped.take(),
        ];
        let elsewhere = [self.held.take(), self.paused.take()];
        let partitions = [self.partitions.take()];
        let without_lists = size(self) + LISTS * OMITTED_BYTES;
        let mut room = LIMIT_BYTES.saturating_sub(without_lists);

        let mut half = room / 2;
        room -= half;
        [self.last_offsets.shown] = share(&[offsets], &mut half);
        room += half;
        [
            self.lost.shown,
            self.blocked.shown,
            self.unavailable.shown,
            self.skipped.shown,
        ] = share(&losses, &mut room);
        [self.held.shown, self.paused.shown] = share(&elsewhere, &mut room);
        [self.partitions.shown] = share(&partitions, &mut room);
    }
}

/// The first entries of a list, and how many others there are.
struct Shown<'a, T> {
    all: &'a [T],
    shown: usize,
}

impl<'a, T: Serialize> Shown<'a, T> {
    fn all(all: &'a [T]) -> Self {
        Self { all, shown: all.len() }
    }

    /// Shows none, and returns the sizes of all.
    fn take(&mut self) -> Vec<usize> {
        self.shown = 0;
        self.all.iter().map(entry_size).collect()
    }
}

impl<T: Serialize> Serialize for Shown<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Omitted {
            omitted: usize,
        }

        let (shown, others) = self.all.split_at(self.shown);
        let mut list = serializer.serialize_seq(None)?;
        for entry in shown {
            list.serialize_element(entry)?;
        }
        if !others.is_empty() {
            list.serialize_element(&Omitted { omitted: others.len() })?;
        }
        list.end()
    }
}

/// The first of the stored cursors, and how many others there are.
struct ShownOffsets<'a> {
    all: &'a LastOffsets,
    shown: usize,
}

impl ShownOffsets<'_> {
    fn take(&mut self) -> Vec<usize> {
        self.shown = 0;
        let all = self.all.entries.iter();
        // The colon instead of the comma between the two.
        all.map(|(partition, offset)| entry_size(&self.all.key(partition)) + entry_size(offset))
            .collect()
    }
}

impl Serialize for ShownOffsets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (shown, others) = self.all.entries.split_at(self.shown);
        let mut map = serializer.serialize_map(None)?;
        for (partition, offset) in shown {
            map.serialize_entry(&self.all.key(partition), offset)?;
        }
        if !others.is_empty() {
            // No partition is called so: a key is a number, or ends with one.
            map.serialize_entry("omitted", &others.len())?;
        }
        map.end()
    }
}

/// How many of the first entries of each list have room, if the shortest lists
/// take what they need and the others share the rest equally. What is left of
/// the room stays.
fn share<const N: usize>(lists: &[Vec<usize>; N], room: &mut usize) -> [usize; N] {
    let mut shown = [0; N];
    let mut by_size: Vec<(usize, usize)> = lists.iter().map(|sizes| sizes.iter().sum()).zip(0..).collect();
    by_size.sort_unstable();
    for (rank, (_, list)) in by_size.into_iter().enumerate() {
        let part = *room / (N - rank);
        let mut used = 0;
        for size in &lists[list] {
            if used + size > part {
                break;
            }
            used += size;
            shown[list] += 1;
        }
        *room -= used;
    }
    shown
}

/// With the comma behind it.
fn entry_size(entry: &impl Serialize) -> usize {
    size(entry) + 1
}

/// How long the JSON form of `value` is as a text in JSON.
fn size(value: &impl Serialize) -> usize {
    let mut counted = Counted(0);
    // It only counts, so it cannot fail; a value that is no JSON has no size.
    let _ = serde_json::to_writer(&mut counted, value);
    counted.0
}

struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, json: &[u8]) -> io::Result<usize> {
        let escaped = json.iter().filter(|byte| matches!(byte, b'"' | b'\\')).count();
        self.0 += json.len() + escaped;
        Ok(json.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
