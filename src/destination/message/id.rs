//! Ids within the limits of SQS and SNS.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::record::Record;

/// The longest id of a group, and of a message for its deduplication.
const MAX_ID_CHARS: usize = 128;

/// What a group of a FIFO queue or topic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grouping {
    /// The partition: its messages keep their order.
    Partition,
    /// The key: messages of one key keep their order, and the groups of a partition are
    /// received side by side. A record without a key is a group of its own.
    Key,
}

/// The message group of a record.
pub(crate) fn group(record: &Record, by: Grouping) -> String {
    match (by, &record.key) {
        (Grouping::Partition, _) => shortened(record.partition.to_string()),
        // Two keys of one hash are one group: they keep their order as well.
        (Grouping::Key, Some(key)) => shortened(format!("{}-{:016x}", record.partition, hash(key))),
        (Grouping::Key, None) => deduplication(record),
    }
}

/// What makes two messages of a FIFO queue or topic the same: the record's id.
pub(crate) fn deduplication(record: &Record) -> String {
    shortened(record.id())
}

/// An id within the limit. One that is too long, of a topic with a name of
/// over 100 characters, becomes its end behind a hash of all of it.
fn shortened(id: String) -> String {
    if id.len() <= MAX_ID_CHARS {
        return id;
    }
    let hash = format!("{:016x}-", hash(id.as_bytes()));
    let end = id.ceil_char_boundary(id.len() + hash.len() - MAX_ID_CHARS);
    hash + &id[end..]
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::record::TopicPartition;

    fn record(topic: &str, offset: i64, key: Option<&'static str>) -> Record {
        Record {
            key: key.map(Bytes::from),
            ..Record::new(TopicPartition::new(topic, 3), offset)
        }
    }

    #[test]
    fn ids_name_the_partition_and_the_record() {
        let record = record("orders", 17, Some("k"));
        assert_eq!(group(&record, Grouping::Partition), "orders-3");
        assert_eq!(deduplication(&record), "orders-3-17");
    }

    #[test]
    fn a_key_is_one_group_whatever_its_records_are_and_a_record_without_a_key_is_its_own() {
        let of = |offset, key| group(&record("orders", offset, key), Grouping::Key);
        assert_eq!(of(17, Some("k")), of(18, Some("k")));
        assert_ne!(of(17, Some("k")), of(17, Some("l")));
        assert_ne!(of(17, Some("")), of(17, None));
        assert_eq!(of(17, None), "orders-3-17");
    }

    #[test]
    fn ids_of_long_topics_fit_and_stay_different() {
        let of = |topic: &str, offset| {
            let record = record(topic, offset, Some("k"));
            (
                group(&record, Grouping::Partition),
                group(&record, Grouping::Key),
                deduplication(&record),
            )
        };
        let (long, other) = ("t".repeat(249), format!("x{}", "t".repeat(248)));
        let (partition, key, id) = of(&long, 17);
        assert_eq!((partition.len(), key.len(), id.len()), (128, 128, 128));
        assert!(partition.ends_with("t-3") && id.ends_with("t-3-17"), "{id}");
        assert_ne!(id, of(&long, 18).2);
        assert_ne!(id, of(&other, 17).2);
        assert_eq!(of(&"t".repeat(123), 17).2, format!("{}-3-17", "t".repeat(123)));
    }
}
