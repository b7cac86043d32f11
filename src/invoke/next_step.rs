//! What an operator does next, as a command that can be copied.

use crate::record::{NextOffset, TopicPartition};

/// The flags that select one partition.
fn flags(partition: &TopicPartition) -> String {
    format!("--topic {} --partition {}", partition.topic, partition.partition)
}

/// Moves the cursor of `partition` to a target, such as `--to-earliest`.
pub(super) fn reset(partition: &TopicPartition, target: &str) -> String {
    format!("`kafka-consumer offsets reset {} {target} --execute`", flags(partition))
}

/// Deletes the cursor of `partition`.
pub(super) fn delete(partition: &TopicPartition) -> String {
    format!("`kafka-consumer offsets delete {} --execute`", flags(partition))
}

/// Deletes all cursors of the topic of `partition`.
pub(super) fn delete_all(partition: &TopicPartition) -> String {
    format!(
        "`kafka-consumer offsets delete --topic {} --all --execute`",
        partition.topic
    )
}

/// Skips the record at `offset`. `offsets reset` would move the live cursor, so
/// that of a backfill is set in the table, where it is the last processed offset.
pub(super) fn skip(partition: &TopicPartition, offset: NextOffset, is_backfill: bool) -> String {
    if is_backfill {
        format!(
            "set `offset` to {offset} in the item of the backfill, partition {}",
            partition.partition
        )
    } else {
        reset(partition, &format!("--to-offset {}", offset.get().saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_its_topic_and_partition_and_changes_something() {
        let partition = TopicPartition::new("orders", 3);
        assert_eq!(
            reset(&partition, "--to-earliest"),
            "`kafka-consumer offsets reset --topic orders --partition 3 --to-earliest --execute`"
        );
        assert_eq!(
            delete(&partition),
            "`kafka-consumer offsets delete --topic orders --partition 3 --execute`"
        );
        assert_eq!(
            delete_all(&partition),
            "`kafka-consumer offsets delete --topic orders --all --execute`"
        );
    }

    #[test]
    fn a_skip_moves_the_cursor_past_one_record_and_never_the_live_cursor_for_a_backfill() {
        let (partition, offset) = (TopicPartition::new("orders", 3), NextOffset::ZERO);
        assert_eq!(
            skip(&partition, offset, false),
            "`kafka-consumer offsets reset --topic orders --partition 3 --to-offset 1 --execute`"
        );
        assert_eq!(
            skip(&partition, offset, true),
            "set `offset` to 0 in the item of the backfill, partition 3"
        );
    }
}
