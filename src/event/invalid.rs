//! The words for events that are not understood.

use super::Shard;

/// Why an event is not a request. Values in it are cut after 80 characters; the values of unknown
/// fields are left out, as they could be somebody's records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvent {
    /// The payload is no text at all.
    #[error("the event is not UTF-8; it must be a JSON object, such as {{}}")]
    NotUtf8,
    /// The payload is not JSON, or JSON that cannot be read: a lone surrogate, nested too deep.
    #[error("{place} cannot be read as JSON: {problem}; it must be a JSON object, such as {{}}")]
    NotJson {
        /// What the text is.
        place: &'static str,
        /// What is wrong, and the line and column.
        problem: String,
    },
    /// A key stands twice in one object: readers of JSON differ in which of the two counts.
    #[error("{place} holds the key `{key}` twice in one object, {at}; give it once")]
    KeyTwice {
        /// What the text is.
        place: &'static str,
        /// The key.
        key: String,
        /// Where it stands for the second time.
        at: String,
    },
    /// The payload is neither an object nor null.
    #[error("the event is {found}; it must be a JSON object, such as {{}}")]
    NotAnObject {
        /// The kind of JSON value, with its article.
        found: &'static str,
    },
    /// A Kafka event source mapping of AWS sent records.
    #[error(
        "the event holds records from an event source mapping ({event_source}); this function is started by a schedule and reads Kafka itself; remove the event source mapping"
    )]
    NativeKafkaEvent {
        /// What the event names as its source.
        event_source: String,
    },
    /// A field that has no meaning.
    #[error("unknown field `{field}`; allowed are {allowed}")]
    UnknownField {
        /// Its name; fields of an envelope's detail begin with `detail.`.
        field: String,
        /// The fields of the action.
        allowed: &'static str,
    },
    /// A field that a backfill cannot do without.
    #[error("`{field}` is missing; `action` \"backfill\" needs `name` and `from`")]
    MissingField {
        /// Its name.
        field: &'static str,
    },
    /// An action that does not exist.
    #[error("unknown action {value}; `action` must be \"run\", \"plan\" or \"backfill\"")]
    UnknownAction {
        /// The value as JSON.
        value: String,
    },
    /// A known field whose value is not allowed.
    #[error("`{field}` is {value}; it {allowed}")]
    InvalidValue {
        /// The field, and the index in it where there is one.
        field: String,
        /// The value as JSON.
        value: String,
        /// What is allowed, beginning with `must`.
        allowed: &'static str,
    },
    /// A field stands both in an envelope and in its detail.
    #[error("`{field}` is given both in the event and in its `detail`; give it once")]
    GivenTwice {
        /// The field.
        field: String,
    },
    /// None of the partitions is in the shard.
    #[error("none of `partitions` is in shard {shard}; leave one of the two out")]
    NothingSelected {
        /// The shard.
        shard: Shard,
    },
    /// A partition of a backfill that has one bound and not the other, or none.
    #[error(
        "partition {partition} is named in `{here}` and not in `{there}`; name the same partitions in both, or none in one of them"
    )]
    NamedOnce {
        /// The partition.
        partition: i32,
        /// The field that names it.
        here: &'static str,
        /// The field that does not.
        there: &'static str,
    },
    /// A backfill that ends before it begins.
    #[error("`from` lies after `to`{place}: {from} and {to}; exchange them")]
    Reversed {
        /// Where, if in one partition alone.
        place: String,
        /// The beginning.
        from: String,
        /// The end.
        to: String,
    },
}
