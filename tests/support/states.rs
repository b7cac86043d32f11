//! Offsets, records and states of partition 0 of the topic `t`.

use kafka_consumer_lambda::plan::PartitionState;
use kafka_consumer_lambda::record::{Consumer, NextOffset, Record, TopicPartition};

/// An offset that is in range.
pub(crate) fn next(offset: i64) -> NextOffset {
    NextOffset::new(offset).expect("offsets of tests are in range")
}

/// A tombstone without a key.
pub(crate) fn record(offset: i64) -> Record {
    Record::new(TopicPartition::new("t", 0), offset)
}

/// A log from `earliest` to `end`, without an item.
pub(crate) fn log(earliest: i64, end: i64) -> PartitionState {
    PartitionState {
        earliest: Some(Ok(next(earliest))),
        ..PartitionState::new(TopicPartition::new("t", 0), Some(Ok(next(end))), None)
    }
}

/// The group `g` on the topic.
pub(crate) fn consumer() -> Consumer {
    Consumer {
        group_id: "g".into(),
        topic: "t".into(),
        backfill: None,
    }
}
