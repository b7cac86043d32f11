//! The errors of events.

use super::Shard;

/// An event is not a valid request. Values in the message are cut after 80 bytes; the values of
/// unknown fields are left out, as they could be records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvent {
    /// The payload is not UTF-8.
    #[error("the event is not UTF-8; it must be a JSON object, such as {{}}")]
    NotUtf8,
    /// The payload is not JSON, or JSON that cannot be parsed: a lone surrogate, nested too deep.
    #[error("{place} cannot be read as JSON: {problem}; it must be a JSON object, such as {{}}")]
    NotJson {
        /// The text that was parsed: the event, or its `detail`.
        place: &'static str,
        /// The parser's error, with line and column.
        problem: String,
    },
    /// An object has the same key twice: JSON parsers differ in which of the two values they use.
    #[error("{place} has the key `{key}` twice in one object, {at}; give it once")]
    KeyTwice {
        /// The text that was parsed: the event, or its `detail`.
        place: &'static str,
        /// The key, cut.
        key: String,
        /// Line and column of the second one.
        at: String,
    },
    /// The payload is neither an object nor null.
    #[error("the event is {found}; it must be a JSON object, such as {{}}")]
    NotAnObject {
        /// The type of the JSON value, with its article.
        found: &'static str,
    },
    /// An event of AWS's own event source mapping for Kafka.
    #[error(
        "the event contains records from an event source mapping ({event_source}); this function is started by a schedule and reads Kafka itself; remove the event source mapping"
    )]
    NativeKafkaEvent {
        /// The `eventSource` of the event.
        event_source: String,
    },
    /// A field that the action does not have.
    #[error("unknown field `{field}`; allowed are {allowed}")]
    UnknownField {
        /// Its path: fields of an envelope's detail begin with `detail.`.
        field: String,
        /// The fields that the action has.
        allowed: &'static str,
    },
    /// A field that a backfill requires.
    #[error("`{field}` is missing; `action` \"backfill\" needs `name` and `from`")]
    MissingField {
        /// `name` or `from`.
        field: &'static str,
    },
    /// The action does not exist.
    #[error("unknown action {value}; `action` must be \"run\", \"plan\" or \"backfill\"")]
    UnknownAction {
        /// The value as JSON.
        value: String,
    },
    /// A known field whose value is not allowed.
    #[error("`{field}` is {value}; it {allowed}")]
    InvalidValue {
        /// Its path, with the index of the element where it is an array.
        field: String,
        /// The value as JSON.
        value: String,
        /// The values allowed, beginning with `must`.
        allowed: &'static str,
    },
    /// A field is both in an envelope and in its detail.
    #[error("`{field}` is given both in the event and in its `detail`; give it once")]
    GivenTwice {
        /// Its name, cut.
        field: String,
    },
    /// None of the partitions is in the shard.
    #[error("none of `partitions` is in shard {shard}; leave one of the two out")]
    NothingSelected {
        /// The `shard` of the event.
        shard: Shard,
    },
    /// A partition of a backfill that one field names and another does not.
    #[error(
        "partition {partition} is named in `{here}` and not in `{there}`; name the same partitions in both, or none in one of them"
    )]
    NamedOnce {
        /// The lowest such partition.
        partition: i32,
        /// The field that names it.
        here: &'static str,
        /// The field that does not.
        there: &'static str,
    },
    /// A backfill that ends before it begins.
    #[error("`from` lies after `to`{place}: {from} and {to}; exchange them")]
    Reversed {
        /// The partition, where the bounds are offsets; otherwise empty.
        place: String,
        /// The start, as time or offset.
        from: String,
        /// The end, as time or offset.
        to: String,
    },
}
