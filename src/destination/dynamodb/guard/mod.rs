//! The guard: which record an item was written from, and whether another may replace it. Pure.
//!
//! The condition of a write and [`compare`] are the same table, once for `DynamoDB` and once for
//! the item that a refused write returns:
//!
//! | the item was written from | the write |
//! |---|---|
//! | nothing: there is no item, or it has no guard | applies |
//! | the same partition of the same topic, a lower offset | applies |
//! | the same record | is there already |
//! | the same partition, a higher offset | is older |
//! | another partition or topic, not later by the records' timestamps, or one has none | applies |
//! | another partition or topic, later | is older |
//!
//! Offsets order the records of a partition. Between partitions only time does: a key is in two
//! of them after partitions were added to the topic, or where topics share a table.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::Item;
use crate::record::Record;

/// The attributes that are written beside the fields of a value.
pub(crate) mod name {
    pub(crate) const TOPIC: &str = "kafka_topic";
    pub(crate) const PARTITION: &str = "kafka_partition";
    pub(crate) const OFFSET: &str = "kafka_offset";
    /// Milliseconds since the epoch; not there for a record without a timestamp.
    pub(crate) const TIMESTAMP: &str = "kafka_timestamp";
    /// `true` on the marker of a deleted key; not there on an item.
    pub(crate) const DELETED: &str = "kafka_deleted";
    /// When the marker may be removed, in seconds since the epoch: for the table's time to live.
    pub(crate) const EXPIRES_AT: &str = "kafka_expires_at";

    /// All of them: no field of a value and no key attribute has such a name.
    pub(crate) const ALL: [&str; 6] = [TOPIC, PARTITION, OFFSET, TIMESTAMP, DELETED, EXPIRES_AT];
}

/// The record that an item is written from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp_ms: Option<i64>,
}

/// A write against the item that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Applies,
    /// The item was written from the same record.
    Repeated,
    /// The item was written from a newer record.
    Older,
    /// The item has a higher offset of the same partition, and an earlier timestamp: as where
    /// the topic was deleted and created again, and its offsets begin at 0 again.
    LowerOffsetLaterTime,
    /// The item's guard is of this topic and partition, and is not of the form that is written here.
    Unreadable,
}

impl From<&Record> for Origin {
    fn from(record: &Record) -> Self {
        Self {
            topic: record.partition.topic.clone(),
            partition: record.partition.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms(),
        }
    }
}

impl Origin {
    /// The guard of an item written from this record.
    pub(super) fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        let number = |it: i64| AttributeValue::N(it.to_string());
        let mut attributes = vec![
            (name::TOPIC, AttributeValue::S(self.topic.to_string())),
            (name::PARTITION, number(self.partition.into())),
            (name::OFFSET, number(self.offset)),
        ];
        attributes.extend(self.timestamp_ms.map(|ms| (name::TIMESTAMP, number(ms))));
        attributes
    }

    /// The write of this record against `item`.
    pub(super) fn compare(&self, item: &Item) -> Comparison {
        let number = |name| match item.get(name) {
            Some(AttributeValue::N(text)) => text.parse::<i64>().ok(),
            _ => None,
        };
        if !item.contains_key(name::OFFSET) {
            return Comparison::Applies;
        }
        let is_same_topic = matches!(item.get(name::TOPIC), Some(AttributeValue::S(topic)) if **topic == *self.topic);
        let times = self.timestamp_ms.zip(number(name::TIMESTAMP));
        if is_same_topic && number(name::PARTITION) == Some(self.partition.into()) {
            let is_later = times.is_some_and(|(own, its)| own > its);
            return match number(name::OFFSET) {
                None => Comparison::Unreadable,
                Some(its) if its < self.offset => Comparison::Applies,
                Some(its) if its == self.offset => Comparison::Repeated,
                Some(_) if is_later => Comparison::LowerOffsetLaterTime,
                Some(_) => Comparison::Older,
            };
        }
        match times {
            Some((own, its)) if own >= its => Comparison::Applies,
            Some(_) => Comparison::Older,
            None if self.timestamp_ms.is_none() || !item.contains_key(name::TIMESTAMP) => Comparison::Applies,
            None => Comparison::Unreadable,
        }
    }

    /// The condition of the write of this record.
    pub(super) fn condition(&self) -> Condition {
        let elsewhere = "NOT (#topic = :topic AND #partition = :partition)";
        let other = match self.timestamp_ms {
            Some(_) => format!("({elsewhere} AND (attribute_not_exists(#timestamp) OR #timestamp <= :timestamp))"),
            None => elsewhere.to_owned(),
        };
        let of = |name: &'static str| name.trim_start_matches("kafka_");
        let attributes = self.attributes();
        Condition {
            expression: format!(
                "attribute_not_exists(#offset) OR \
                 (#topic = :topic AND #partition = :partition AND #offset < :offset) OR {other}"
            ),
            names: attributes
                .iter()
                .map(|(name, _)| (format!("#{}", of(name)), (*name).to_owned()))
                .collect(),
            values: attributes
                .into_iter()
                .map(|(name, value)| (format!(":{}", of(name)), value))
                .collect(),
        }
    }
}

/// A condition expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    pub(super) expression: String,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

#[cfg(test)]
mod tests;
