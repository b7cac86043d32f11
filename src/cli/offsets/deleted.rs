//! The copies of deleted cursors, and their restoration.

use std::sync::Arc;

use super::change::{ChangeOutcome, CursorChange};
use super::moves::{command_id, consumer};
use crate::claim::Cursor;
use crate::cli::parts::CliParts;
use crate::error::Error;
use crate::record::TopicPartition;
use crate::store::InvalidCursor;

/// The copy of a deleted cursor.
pub(super) type Copy = (TopicPartition, Result<Cursor, InvalidCursor>);

/// The copies of deleted cursors of the topics.
pub(super) async fn copies(parts: &CliParts) -> Result<Vec<Copy>, Error> {
    let mut copies = vec![];
    for topic in &parts.config.topics {
        let of_topic = parts.store.deleted(&consumer(parts, topic)).await?;
        let named = |number| TopicPartition::new(Arc::clone(topic), number);
        copies.extend(of_topic.into_iter().map(|copy| (named(copy.partition), copy.cursor)));
    }
    Ok(copies)
}

/// Restores a deleted cursor, or shows that `--execute` would.
pub(super) async fn restore(
    parts: &CliParts,
    partition: &TopicPartition,
    copy: &Result<Cursor, InvalidCursor>,
    execute: bool,
) -> CursorChange {
    let next = copy.as_ref().ok().map(|cursor| cursor.next);
    let mut row = CursorChange {
        new_offset: next,
        ..CursorChange::without_move(
            partition,
            None,
            ChangeOutcome::WouldRestore,
            "its deleted cursor is restored unchanged".into(),
        )
    };
    if execute {
        let consumer = consumer(parts, &partition.topic);
        let written = parts
            .store
            .restore(&consumer, partition.partition, copy, &command_id())
            .await;
        row.settle(ChangeOutcome::Restored, written);
    }
    row
}
