//! What a run would do, partition by partition: the response to `plan`.

use serde::Serialize;

use super::limit;
use crate::error::Error;
use crate::plan::PlanReason;
use crate::record::TopicPartition;

/// What a run would do: the response to `plan`. In memory it is complete; its
/// JSON form has at most [`PLAN_LIMIT_BYTES`](super::PLAN_LIMIT_BYTES).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanReport {
    /// Every partition of the request, in ascending order of topic and partition.
    pub partitions: Vec<PlannedPartition>,
    /// How many runs of the current limit read all records that can be read now.
    /// Partitions that are paused, claimed, backing off or otherwise not read
    /// are not counted, nor are future records.
    pub runs_to_catch_up: u64,
    /// Which topics cannot be read, and why: a run reads the others, and then
    /// fails with this error.
    pub error: Option<Error>,
}

/// What a run would do with one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedPartition {
    /// The partition.
    #[serde(flatten)]
    pub place: TopicPartition,
    /// The first offset it would read.
    pub from: Option<i64>,
    /// The current end offset; exclusive.
    pub to: Option<i64>,
    /// How many offsets it would read of those, by its share of the limit.
    pub messages: u64,
    /// Offsets between `from` and `to`.
    pub lag: u64,
    /// Why it reads it, or does not.
    pub why: PlanReason,
    /// Details, if any.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "limit::optional_text")]
    pub detail: Option<String>,
}
