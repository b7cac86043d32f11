//! The request of a backfill, as it is stored on each of its items.
//!
//! | value of a field | stored |
//! |---|---|
//! | up to [`MAX_FIELD_BYTES`] of JSON | as it is |
//! | longer offsets by partition, or partitions | their number and hash: `{"partitions":2000,"sha256":"..."}` |
//!
//! So an item stays small, however many partitions the request names, and two
//! different requests are still distinguished. A stored text that names all
//! partitions has the same short form as the request that it was made from.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The longest value of a field that is stored unchanged, in bytes of JSON.
const MAX_FIELD_BYTES: usize = 200;

/// The short form of a request's fields; a value that is not an object is unchanged.
#[must_use]
pub fn short(request: Value) -> Value {
    match request {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, short_field(value)))
            .collect(),
        other => other,
    }
}

fn short_field(value: Value) -> Value {
    if value.to_string().len() <= MAX_FIELD_BYTES {
        return value;
    }
    let (count, named) = match &value {
        // Sorted, so that the hash does not depend on the order in the event.
        Value::Object(offsets) => (offsets.len(), json!(offsets.iter().collect::<BTreeMap<_, _>>())),
        Value::Array(partitions) => (partitions.len(), value.clone()),
        _ => return value,
    };
    let hash = Sha256::digest(named.to_string());
    // 128 bits are enough to distinguish requests.
    let half = hash.first_chunk().copied().map_or(0, u128::from_be_bytes);
    let hash = format!("{half:032x}");
    json!({ "partitions": count, "sha256": hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(partitions: i32) -> Value {
        (0..partitions)
            .map(|partition| (partition.to_string(), json!(partition * 7)))
            .collect()
    }

    #[test]
    fn a_short_request_is_stored_unchanged() {
        for request in [
            json!({"from": "earliest", "to": "2026-11-01T06:00:00Z"}),
            json!({"from": {"0": 100, "1": 200}, "to": "latest"}),
            json!({"from": "earliest", "to": "latest", "partitions": [0, 1, 2]}),
            json!("written by hand"),
        ] {
            assert_eq!(short(request.clone()), request);
        }
    }

    #[test]
    fn ten_thousand_named_partitions_are_a_count_and_a_hash() {
        let request = json!({"from": offsets(10_000), "to": offsets(10_000)});
        let stored = short(request.clone());
        assert_eq!(stored["from"]["partitions"], 10_000);
        assert!(stored.to_string().len() < 200, "{stored}");
        assert_eq!(short(stored.clone()), stored, "the short form of a short form");
        let mut other = request;
        other["to"]["77"] = json!(1);
        let other = short(other);
        assert_eq!(other["from"], stored["from"]);
        assert_ne!(other["to"], stored["to"], "one offset differs");
    }
}
