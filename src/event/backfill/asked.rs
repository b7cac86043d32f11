//! What a backfill is asked for, as it is stored on each of its items.
//!
//! | value of a field | stored |
//! |---|---|
//! | up to [`LONGEST_FIELD_BYTES`] of JSON | as it is |
//! | longer offsets by partition, or partitions | how many, and their hash: `{"partitions":2000,"sha256":"..."}` |
//!
//! So an item stays small, whatever the request names, and the same request is
//! still told from another. A stored text that names everything has the same
//! short form as the request that it was made of.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The longest value of a field that is stored as it is.
const LONGEST_FIELD_BYTES: usize = 200;

/// The short form of a request's fields; text that is no object stays as it is.
#[must_use]
pub fn short(asked: Value) -> Value {
    match asked {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, short_field(value)))
            .collect(),
        other => other,
    }
}

fn short_field(value: Value) -> Value {
    if value.to_string().len() <= LONGEST_FIELD_BYTES {
        return value;
    }
    let (count, named) = match &value {
        // In one order, whichever they were written in.
        Value::Object(offsets) => (offsets.len(), json!(offsets.iter().collect::<BTreeMap<_, _>>())),
        Value::Array(partitions) => (partitions.len(), value.clone()),
        _ => return value,
    };
    let hash = Sha256::digest(named.to_string());
    // Half of it tells requests apart.
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
    fn what_is_short_stays_as_it_is() {
        for asked in [
            json!({"from": "earliest", "to": "2026-11-01T06:00:00Z"}),
            json!({"from": {"0": 100, "1": 200}, "to": "latest"}),
            json!({"from": "earliest", "to": "latest", "partitions": [0, 1, 2]}),
            json!("written by hand"),
        ] {
            assert_eq!(short(asked.clone()), asked);
        }
    }

    #[test]
    fn ten_thousand_named_partitions_are_a_count_and_a_hash() {
        let asked = json!({"from": offsets(10_000), "to": offsets(10_000)});
        let stored = short(asked.clone());
        assert_eq!(stored["from"]["partitions"], 10_000);
        assert!(stored.to_string().len() < 200, "{stored}");
        assert_eq!(short(stored.clone()), stored, "a short form is its own");
        let mut other = asked;
        other["to"]["77"] = json!(1);
        let other = short(other);
        assert_eq!(other["from"], stored["from"]);
        assert_ne!(other["to"], stored["to"], "one offset is another");
    }
}
