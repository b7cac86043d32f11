//! The report of a run: counts, lag, stop reason, and everything that was
//! skipped, lost, held or blocked. The JSON shapes are public, and of a
//! bounded size.

mod dimension;
mod limit;
mod metrics;
mod plan;
mod skips;

use serde::Serialize;

pub use dimension::dimension;
pub use limit::{LIMIT_BYTES, MAX_MESSAGE_BYTES, PLAN_LIMIT_BYTES};
pub use metrics::{TopicCounts, metrics_line};
pub use plan::{PlanReport, PlannedPartition};
pub use skips::{SkipReason, SkippedRecords};

use crate::error::Error;
use crate::record::{OffsetRange, TopicPartition};

/// Whether a run did its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All of it.
    #[default]
    Success,
    /// Not all of it; the progress is stored.
    Failed,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Everything readable is read: the lag is 0, or the rest is paused, blocked
    /// or unavailable and listed there.
    CaughtUp,
    /// The limit of records was reached.
    MaxMessages,
    /// The time expired.
    Deadline,
    /// Other runs held all partitions with new records.
    Held,
    /// It was stopped by a signal.
    Interrupted,
}

impl StopReason {
    /// The word as in the JSON form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CaughtUp => "caught_up",
            Self::MaxMessages => "max_messages",
            Self::Deadline => "deadline",
            Self::Held => "held",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The report of one run. In memory it is complete; its JSON form has at most
/// [`LIMIT_BYTES`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunReport {
    /// Whether it did its work.
    pub status: Status,
    /// The most severe failure, if any.
    pub error: Option<Error>,
    /// Records handled by the processor, skipped ones not included.
    pub messages_processed: u64,
    /// The cursors this run stored, as last processed offsets.
    pub last_offsets: LastOffsets,
    /// The backfill's name, if it was one.
    pub backfill: Option<String>,
    /// Of a backfill: whether every partition stands at its end.
    pub done: Option<bool>,
    /// Why it ended; null if the state of the partitions could not be read.
    pub stop_reason: Option<StopReason>,
    /// The sum of end offset minus next offset over all partitions of the request
    /// whose state could be read, with the end offsets at the start; null if
    /// there is none.
    pub lag: Option<u64>,
    /// Records skipped by `ON_FAILURE=skip`.
    pub skipped: Vec<UnprocessedRange>,
    /// Offsets that retention deleted before they were read, or that
    /// `ON_TRUNCATION=latest` skipped.
    pub lost: Vec<UnprocessedRange>,
    /// Records that match no filter pattern: settled without the processor.
    pub filtered: u64,
    /// Records sent to a dead-letter target.
    pub dead_lettered: u64,
    /// Bytes of keys, values and headers handled.
    pub bytes: u64,
    /// How long the run took, in milliseconds.
    pub duration_ms: u64,
    /// Partitions claimed by another live run, or edited during the run.
    pub held: Vec<Held>,
    /// Partitions paused by an operator.
    pub paused: Vec<TopicPartition>,
    /// Partitions blocked by a record that failed.
    pub blocked: Vec<Blocked>,
    /// Partitions that no broker served, or whose log was truncated during the run.
    pub unavailable: Vec<UnavailablePartition>,
    /// The partitions that were read or stored, or that still have records.
    pub partitions: Vec<PartitionReport>,
}

/// Cursors that a run stored: partition -> last processed offset. The keys are
/// partitions; with several topics, `topic-partition`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastOffsets {
    /// In ascending order of topic and partition.
    pub entries: Vec<(TopicPartition, i64)>,
    /// Whether the keys name the topic.
    pub with_topic: bool,
}

impl LastOffsets {
    fn key(&self, partition: &TopicPartition) -> String {
        if self.with_topic {
            partition.to_string()
        } else {
            partition.partition.to_string()
        }
    }
}

/// Skipped or lost offsets of one partition, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnprocessedRange {
    /// The partition.
    #[serde(flatten)]
    pub place: TopicPartition,
    /// The offsets: `first_offset` and `last_offset` in the JSON form.
    #[serde(flatten, serialize_with = "OffsetRange::serialize_as_fields")]
    pub range: OffsetRange,
    /// Why they were skipped or lost.
    #[serde(serialize_with = "limit::text")]
    pub reason: String,
}

/// A partition that another run has claimed, or that was edited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The partition.
    #[serde(flatten)]
    pub place: TopicPartition,
    /// Until when, in milliseconds since the epoch; null where it was edited.
    pub until: Option<i64>,
}

/// A partition blocked by a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blocked {
    /// The partition.
    #[serde(flatten)]
    pub place: TopicPartition,
    /// The record's offset.
    pub offset: i64,
    /// Its last error.
    #[serde(serialize_with = "limit::text")]
    pub error: String,
    /// Attempts and crashes over all runs.
    pub attempts: u32,
    /// The earliest time of the next attempt, in milliseconds since the epoch.
    pub next_try_at: Option<i64>,
}

/// A partition that no broker served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnavailablePartition {
    /// The partition.
    #[serde(flatten)]
    pub place: TopicPartition,
    /// The request and its failure.
    #[serde(serialize_with = "limit::text")]
    pub error: String,
}

/// What a run did with one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    /// The partition.
    #[serde(flatten)]
    pub place: TopicPartition,
    /// The first record handled.
    pub first_offset: Option<i64>,
    /// The cursor this run stored: the last processed offset.
    pub last_offset: Option<i64>,
    /// Records handled.
    pub messages: u64,
    /// The end offset at the start of the run.
    pub end_offset: Option<i64>,
    /// End offset minus next offset; null if it is unknown.
    pub lag: Option<u64>,
    /// `small_chunks` or `single_records`, if the partition is quarantined
    /// because an earlier run crashed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_report_has_the_shape_of_the_contract() {
        let json = serde_json::to_string(&RunReport {
            stop_reason: Some(StopReason::CaughtUp),
            lag: Some(0),
            ..Default::default()
        })
        .expect("a report is JSON");
        assert_eq!(
            json,
            "{\"status\":\"success\",\"messages_processed\":0,\"last_offsets\":{},\"stop_reason\":\"caught_up\",\
             \"lag\":0,\"skipped\":[],\"lost\":[],\"filtered\":0,\"dead_lettered\":0,\"bytes\":0,\"duration_ms\":0,\"held\":[],\
             \"paused\":[],\"blocked\":[],\"unavailable\":[],\"partitions\":[]}"
        );
    }

    #[test]
    fn skipped_and_lost_offsets_have_the_shape_of_the_contract() {
        let lost = UnprocessedRange {
            place: TopicPartition::new("t", 3),
            range: OffsetRange { first: 5, last: 9 },
            reason: "deleted".into(),
        };
        assert_eq!(
            serde_json::to_string(&lost).expect("JSON"),
            r#"{"topic":"t","partition":3,"first_offset":5,"last_offset":9,"reason":"deleted"}"#
        );
    }

    #[test]
    fn last_offsets_are_in_order_and_name_the_topic_where_there_are_several() {
        let entries = vec![(TopicPartition::new("t", 2), 5), (TopicPartition::new("t", 10), -1)];
        let of = |last_offsets| {
            serde_json::to_string(&RunReport {
                last_offsets,
                ..RunReport::default()
            })
            .expect("JSON")
        };
        let one = LastOffsets {
            entries: entries.clone(),
            with_topic: false,
        };
        assert!(of(one).contains(r#""last_offsets":{"2":5,"10":-1},"#));
        let several = LastOffsets {
            entries,
            with_topic: true,
        };
        assert!(of(several).contains(r#""last_offsets":{"t-2":5,"t-10":-1},"#));
    }
}
