//! The original record of a dead letter. Pure.

use crate::dead_letter::{self, header};
use crate::record::{Record, TopicPartition};

/// The original record of a dead letter, and its consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) partition: TopicPartition,
    pub(super) offset: i64,
    pub(super) group_id: String,
}

/// `None`: the record is not a dead letter.
pub(super) fn origin(letter: &Record) -> Option<Origin> {
    let (_, ours) = dead_letter::split(letter);
    let text = |name: &str| {
        let header = ours.iter().rfind(|header| header.is_named(name))?;
        std::str::from_utf8(header.value.as_ref()?).ok()
    };
    let partition = text(header::PARTITION)?
        .parse()
        .ok()
        .filter(|number: &i32| *number >= 0)?;
    Some(Origin {
        partition: TopicPartition::new(text(header::TOPIC)?, partition),
        offset: text(header::OFFSET)?.parse().ok().filter(|offset: &i64| *offset >= 0)?,
        group_id: text(header::GROUP).unwrap_or_default().to_owned(),
    })
}
