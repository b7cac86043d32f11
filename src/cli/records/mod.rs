//! Selected records: their offsets, and reading them.

mod offsets;
mod read;

pub(super) use offsets::Offsets;
pub(super) use read::Reader;

use crate::config::Config;
use crate::error::{Error, ErrorType};
use crate::record::TopicPartition;

/// The partition of this number of the one topic of the settings.
///
/// # Errors
///
/// Several topics: the number would be ambiguous.
pub(super) fn only_partition(config: &Config, partition: i32) -> Result<TopicPartition, Error> {
    match config.topics.as_slice() {
        [topic] => Ok(TopicPartition::new(topic.clone(), partition)),
        topics => Err(Error::new(
            ErrorType::InvalidConfiguration,
            format!(
                "partition {partition} is ambiguous: KAFKA_TOPIC names {} topics",
                topics.len()
            ),
        )
        .next("Choose one with --topic")),
    }
}
