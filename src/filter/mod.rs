//! Filter patterns in AWS's syntax, over whole Kafka records.
//!
//! AWS's mapping filters only values; here a pattern may also name `key`,
//! `headers`, `topic`, `partition`, `offset` and `timestamp`. A record is
//! passed to the handler if it matches one of the patterns. The operators and what they match
//! are those of [AWS's own matcher](https://github.com/aws/event-ruler); how a
//! value of another format is treated is AWS's
//! [table for Kafka](https://docs.aws.amazon.com/lambda/latest/dg/kafka-filtering.html).
//!
//! - `parse`: the pattern, and each way to write one that is refused.
//! - `fields`: what a record has at the paths of a pattern.
//! - `comparison`, `text`, `number`: one value against one element of a list.
//! - `matching`: all conditions together, within arrays in one element.

mod comparison;
mod fields;
mod json;
mod matching;
mod number;
mod parse;
mod text;

use serde_json::value::RawValue;

use crate::record::Record;
use fields::Fields;
pub(crate) use json::Members;
pub(crate) use number::Decimal;
use parse::Condition;
pub use parse::PatternError;

/// The fields of a record that a pattern may name, and whether fields below
/// them may be.
const RECORD_FIELDS: [(&str, Subfields); 7] = [
    ("value", Subfields::Allowed),
    ("key", Subfields::Allowed),
    ("headers", Subfields::Required),
    ("topic", Subfields::Refused),
    ("partition", Subfields::Refused),
    ("offset", Subfields::Refused),
    ("timestamp", Subfields::Refused),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subfields {
    Allowed,
    Required,
    Refused,
}

/// Patterns of which a record must match one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    patterns: Vec<Pattern>,
}

/// Why a setting holds no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// The text is not a JSON array.
    #[error("is not a JSON array of patterns: {0}")]
    Syntax(String),
    /// An array of no patterns would drop every record.
    #[error("is an empty array: no record would reach the handler. Remove it to pass on all")]
    Empty,
    /// One pattern is wrong.
    #[error("pattern {number}, {error}")]
    Pattern {
        /// The pattern's number, from 1.
        number: usize,
        /// Where in it, and what is wrong.
        error: PatternError,
    },
}

impl Filter {
    /// The filter that `json` writes: an array of patterns.
    ///
    /// # Errors
    ///
    /// A text that is not such an array, and a pattern that AWS's matcher would
    /// refuse or that could never match.
    pub fn parse(json: &str) -> Result<Self, FilterError> {
        let syntax = |error: serde_json::Error| FilterError::Syntax(error.to_string());
        // Reading it as a value first bounds how deep it is nested.
        serde_json::from_str::<serde_json::Value>(json).map_err(syntax)?;
        let patterns: Vec<&RawValue> = serde_json::from_str(json).map_err(syntax)?;
        if patterns.is_empty() {
            return Err(FilterError::Empty);
        }
        let numbered = (1..).zip(patterns);
        let patterns: Result<_, FilterError> = numbered
            .map(|(number, raw)| Pattern::of_record(raw).map_err(|error| FilterError::Pattern { number, error }))
            .collect();
        Ok(Self { patterns: patterns? })
    }

    /// Whether `record` matches one of the patterns.
    #[must_use]
    pub fn matches(&self, record: &Record) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(record))
    }

    /// The numbers, from 1, of the patterns that `record` matches, in ascending
    /// order.
    #[must_use]
    pub fn matching(&self, record: &Record) -> Vec<usize> {
        let numbered = (1..).zip(&self.patterns);
        numbered
            .filter(|(_, pattern)| pattern.matches(record))
            .map(|(number, _)| number)
            .collect()
    }
}

/// One pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    /// Its conditions, each once.
    conditions: Vec<Condition>,
    /// A record matches that meets all conditions of one of these: indexes of
    /// conditions, in ascending order of their paths.
    conjunctions: Vec<Vec<usize>>,
}

impl Pattern {
    fn parse(raw: &RawValue) -> Result<Self, PatternError> {
        let mut conditions = Vec::new();
        let mut index_of = |condition: Condition| {
            let known = conditions.iter().position(|known| *known == condition);
            known.unwrap_or_else(|| {
                conditions.push(condition);
                conditions.len() - 1
            })
        };
        let conjunctions = parse::pattern(raw)?;
        let conjunctions = conjunctions
            .into_iter()
            .map(|all| all.into_iter().map(&mut index_of).collect())
            .collect();
        Ok(Self {
            conditions,
            conjunctions,
        })
    }

    /// A pattern that names only what a Kafka record has.
    fn of_record(raw: &RawValue) -> Result<Self, PatternError> {
        let pattern = Self::parse(raw)?;
        for Condition { path, .. } in &pattern.conditions {
            if let Err(problem) = check_path(path) {
                let place = path.clone();
                return Err(PatternError { place, problem });
            }
        }
        Ok(pattern)
    }

    fn matches(&self, record: &Record) -> bool {
        self.matches_fields(&self.fields(record))
    }

    fn matches_fields(&self, fields: &Fields<'_>) -> bool {
        self.conjunctions
            .iter()
            .any(|conditions| matching::matches(conditions, fields))
    }

    /// What `record` has at the paths.
    fn fields(&self, record: &Record) -> Fields<'_> {
        let mut fields = Fields::new(&self.conditions);
        fields.add_text("topic", &record.partition.topic);
        fields.add_number("partition", i64::from(record.partition.partition));
        fields.add_number("offset", record.offset);
        if let Some(timestamp) = record.timestamp_ms() {
            fields.add_number("timestamp", timestamp);
        }
        fields.add_headers(&record.headers);
        fields.add_payload("key", record.key.as_deref());
        fields.add_payload("value", record.value.as_deref());
        fields
    }
}

/// What is wrong with a path as a path into a record.
fn check_path(path: &str) -> Result<(), String> {
    let (first, below) = match path.split_once('.') {
        Some((first, below)) => (first, !below.is_empty()),
        None => (path, false),
    };
    match RECORD_FIELDS.iter().find(|(name, _)| *name == first) {
        None => {
            let known: Vec<&str> = RECORD_FIELDS.iter().map(|(name, _)| *name).collect();
            Err(format!(
                "a record has no field {first:?}, so no record would match: it has {}",
                known.join(", ")
            ))
        }
        Some((_, Subfields::Required)) if !below => Err(format!("name a header: {{\"{first}\":{{\"<name>\":[...]}}}}")),
        Some((_, Subfields::Refused)) if below => Err(format!("{first} has no fields: write {{\"{first}\":[...]}}")),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
