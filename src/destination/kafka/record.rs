//! A record -> its copy. Pure.

use bytes::Bytes;

use crate::destination::batched::{Encoder, Limits, Unfit};
use crate::record::{Header, Record};

/// The header that a copy has behind the record's own: topic, partition and offset of the record,
/// as `orders-3-17`. A copy that is written twice has the same one.
pub(crate) const SOURCE: &str = "kafka-consumer.source";

/// Makes copies of records: key, value and headers as they are.
pub(crate) struct Copies;

impl Encoder<Record> for Copies {
    fn encode(&self, record: &Record) -> Result<Record, Unfit> {
        let mut copy = record.clone();
        copy.headers.push(Header::new(SOURCE, Some(Bytes::from(record.id()))));
        Ok(copy)
    }

    fn too_large(&self, _: Limits) -> String {
        "MaximumPayloadSizeExceeded: the topic takes no record of this size. Raise its max.message.bytes".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::TopicPartition;

    #[test]
    fn a_copy_is_the_record_with_its_place_in_a_header_behind_its_own() {
        let record = Record {
            key: Some("k".into()),
            headers: vec![
                Header::new(&b"caf\xE9"[..], None),
                Header::new(SOURCE, Some("first-0-1".into())),
            ],
            ..Record::new(TopicPartition::new("orders", 3), 17)
        };
        let copy = Copies.encode(&record).expect("a copy");
        assert_eq!((&copy.key, &copy.value), (&record.key, &None));
        assert_eq!(copy.headers[..2], record.headers);
        assert_eq!(copy.headers[2], Header::new(SOURCE, Some("orders-3-17".into())));
    }
}
