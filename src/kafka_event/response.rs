//! Which records a batch's response names as failed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::TopicPartition;

/// What a function's response means for the records it got.
///
/// | response | meaning |
/// |---|---|
/// | no `batchItemFailures`, or `null` or `[]` there; any JSON that is no object; other text | every record succeeded |
/// | each entry names the partition and an offset of the batch | those failed, the others succeeded |
/// | an entry of another shape, partition or offset; no list; text that begins with `{` and is no valid JSON | every record failed |
///
/// The source is AWS's
/// [guide](https://docs.aws.amazon.com/lambda/latest/dg/kafka-retry-configurations.html).
/// Where AWS does not document what an invalid entry means, it counts as a failure of
/// every record: an entry that was ignored would settle a record that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchOutcome {
    /// Every record succeeded.
    Succeeded,
    /// These offsets failed: at least one.
    Failed(BTreeSet<i64>),
    /// The response does not identify the failed records; holds the reason.
    Invalid(String),
}

/// In front of UTF-8 text, where its writer puts one.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The record that failed, in AWS's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// Which record.
    pub item_identifier: ItemIdentifier,
}

/// A record in a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemIdentifier {
    /// `topic-partition`.
    pub partition: String,
    /// Its offset.
    pub offset: i64,
}

/// The response that reports failed records to AWS's mapping.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// The failed records, in the order of their offsets; empty: every record succeeded.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

impl BatchItemFailure {
    /// The record of this partition and offset.
    #[must_use]
    pub fn new(partition: &TopicPartition, offset: i64) -> Self {
        let partition = partition.to_string();
        Self {
            item_identifier: ItemIdentifier { partition, offset },
        }
    }
}

impl BatchOutcome {
    /// What `payload` means for records of these offsets of `partition`.
    #[must_use]
    pub fn read(payload: &[u8], partition: &TopicPartition, offsets: &BTreeSet<i64>) -> Self {
        let payload = payload.strip_prefix(BYTE_ORDER_MARK).unwrap_or(payload);
        let mut response = match serde_json::from_slice(payload) {
            Ok(Value::Object(response)) => response,
            // Written as JSON twice, as by `json.dumps` in a handler.
            Ok(Value::String(text)) => match serde_json::from_str(&text) {
                Ok(Value::Object(response)) => response,
                Ok(_) | Err(_) => return Self::Succeeded,
            },
            // It may hold failures, and something that is not valid beside them.
            Err(error) if payload.trim_ascii_start().starts_with(b"{") => {
                return Self::Invalid(format!(
                    "the response is not valid JSON at line {}, column {}",
                    error.line(),
                    error.column()
                ));
            }
            Ok(_) | Err(_) => return Self::Succeeded,
        };
        let entries = match response.remove("batchItemFailures") {
            None | Some(Value::Null) => return Self::Succeeded,
            Some(Value::Array(entries)) => entries,
            Some(_) => return Self::Invalid("batchItemFailures is not a list".to_owned()),
        };
        let mut failed = BTreeSet::new();
        for (index, entry) in entries.into_iter().enumerate() {
            match failed_offset(entry, partition, offsets) {
                Ok(offset) => failed.insert(offset),
                Err(problem) => return Self::Invalid(format!("batchItemFailures[{index}] {problem}")),
            };
        }
        if failed.is_empty() {
            Self::Succeeded
        } else {
            Self::Failed(failed)
        }
    }
}

/// The offset that `entry` names, or what is wrong with the entry. Its text is
/// not repeated: it may hold anything.
fn failed_offset(entry: Value, partition: &TopicPartition, offsets: &BTreeSet<i64>) -> Result<i64, &'static str> {
    let Ok(failure) = serde_json::from_value::<BatchItemFailure>(entry) else {
        return Err(r#"is not {"itemIdentifier":{"partition":"<topic>-<partition>","offset":<number>}}"#);
    };
    let item = failure.item_identifier;
    if item.partition != partition.to_string() {
        return Err("names a partition that was not in the batch");
    }
    if !offsets.contains(&item.offset) {
        return Err("names an offset that was not in the batch");
    }
    Ok(item.offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(payload: &str) -> BatchOutcome {
        let offsets = BTreeSet::from([5, 6, 7]);
        BatchOutcome::read(payload.as_bytes(), &TopicPartition::new("orders", 0), &offsets)
    }

    fn entries(entries: &str) -> BatchOutcome {
        read(&format!(r#"{{"batchItemFailures":[{entries}]}}"#))
    }

    #[test]
    fn a_response_without_failures_settles_every_record() {
        let responses = [
            "",
            "null",
            r#""ok""#,
            "{}",
            r#"{"statusCode":200}"#,
            r#"{"batchItemFailures":null}"#,
            r#"{"batchItemFailures":[]}"#,
            "not json",
        ];
        for response in responses {
            assert_eq!(read(response), BatchOutcome::Succeeded, "{response}");
        }
    }

    #[test]
    fn the_named_offsets_failed() {
        let seven = r#"{"itemIdentifier":{"partition":"orders-0","offset":7}}"#;
        let five = r#"{"itemIdentifier":{"partition":"orders-0","offset":5},"more":1}"#;
        assert_eq!(entries(seven), BatchOutcome::Failed(BTreeSet::from([7])));
        assert_eq!(
            entries(&format!("{seven},{five},{seven}")),
            BatchOutcome::Failed(BTreeSet::from([5, 7]))
        );
    }

    #[test]
    fn a_response_that_is_written_as_json_twice_is_read() {
        let seven = r#"{"batchItemFailures":[{"itemIdentifier":{"partition":"orders-0","offset":7}}]}"#;
        let twice = serde_json::to_string(seven).expect("text");
        assert_eq!(read(&twice), BatchOutcome::Failed(BTreeSet::from([7])));
        assert_eq!(
            read(&format!("\u{feff}{seven}")),
            BatchOutcome::Failed(BTreeSet::from([7]))
        );
        assert_eq!(read(r#""{\"statusCode\":200}""#), BatchOutcome::Succeeded);
    }

    #[test]
    fn an_entry_that_names_no_record_of_the_batch_fails_every_record() {
        let rows = [
            (r#"{"itemIdentifier":""}"#, "is not"),
            (r#"{"itemIdentifier":null}"#, "is not"),
            (r#"{"itemIdentifier":"orders-0-6"}"#, "is not"),
            (r#"{"itemIdentifier":{"partition":"orders-0","offset":"6"}}"#, "is not"),
            (r#"{"itemIdentifier":{"partition":"orders-0"}}"#, "is not"),
            (r#"{"itemidentifier":{"partition":"orders-0","offset":6}}"#, "is not"),
            (
                r#"{"itemIdentifier":{"partition":"orders-1","offset":6}}"#,
                "a partition that was not in",
            ),
            (
                r#"{"itemIdentifier":{"partition":"orders-0","offset":99}}"#,
                "an offset that was not in",
            ),
            ("null", "is not"),
            (r#""""#, "is not"),
        ];
        let six = r#"{"itemIdentifier":{"partition":"orders-0","offset":6}}"#;
        for (entry, problem) in rows {
            let BatchOutcome::Invalid(text) = entries(&format!("{six},{entry}")) else {
                panic!("{entry} was taken");
            };
            assert!(
                text.starts_with("batchItemFailures[1] ") && text.contains(problem),
                "{entry}: {text}"
            );
        }
        for wrong in [
            r#"{"batchItemFailures":[{"itemIdentifier":{"partition":"orders-0","offset":6}}],"note":"\ud83d"}"#,
            r#"{"batchItemFailures":[],"n":1e400}"#,
            "{",
            r#"{"batchItemFailures":"x"}"#,
            r#"{"batchItemFailures":{}}"#,
            r#"{"batchItemFailures":false}"#,
        ] {
            assert!(matches!(read(wrong), BatchOutcome::Invalid(_)), "{wrong}");
        }
    }

    #[test]
    fn our_own_response_is_awss() {
        let response = BatchResponse {
            batch_item_failures: vec![BatchItemFailure::new(&TopicPartition::new("my-topic", 1), 7)],
        };
        let json = r#"{"batchItemFailures":[{"itemIdentifier":{"partition":"my-topic-1","offset":7}}]}"#;
        assert_eq!(serde_json::to_string(&response).unwrap(), json);
        assert_eq!(
            serde_json::to_string(&BatchResponse::default()).unwrap(),
            r#"{"batchItemFailures":[]}"#
        );
    }
}
