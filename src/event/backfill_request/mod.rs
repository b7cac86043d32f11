//! The request of a backfill.

mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Field, Fields, InvalidEvent, cut, json, whole};
use crate::config::{MessageLimit, NotAllowed, StartPosition, whole_number};
use crate::record::NextOffset;

pub use stored::short;

/// The fields of a backfill, for messages.
pub(super) const FIELDS: &str = "`action`, `name`, `from`, `to`, `topic`, `partitions` and `max_messages`";

const NAME_ALLOWED: &str = "must be text of 1 to 64 letters, digits, `.`, `_` and `-`";
const BOUND_ALLOWED: &str = "must be \"earliest\", \"latest\", an RFC 3339 time such as 2026-11-01T06:00:00Z, a \
                             date, or an object of partitions and next offsets, such as {\"0\": 100}";
const OFFSETS_ALLOWED: &str = "must name at least one partition";
const PARTITION_ALLOWED: &str = "must be a partition's number, 0 to 2147483647, as text";
const OFFSET_ALLOWED: &str = "must be the next offset to read, 0 or more";
const BOUND_TEXT_ALLOWED: &str = "must be `earliest`, `latest`, an RFC 3339 time such as 2026-11-01T06:00:00Z, a \
                                  date, or next offsets by partition, such as 0:100,1:200";
const MAX_NAME_BYTES: usize = 64;

/// A backfill's name, which becomes part of its cursors' key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BackfillName(Arc<str>);

impl BackfillName {
    /// The name, shared with [`Consumer`](crate::store::Consumer).
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl fmt::Display for BackfillName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BackfillName {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Self, NotAllowed> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if text.is_empty() || text.len() > MAX_NAME_BYTES || !text.bytes().all(is_allowed) {
            return Err(NotAllowed::new(NAME_ALLOWED));
        }
        Ok(Self(text.into()))
    }
}

/// The start or the end of a backfill, as requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// The log start offset.
    Earliest,
    /// The end offset when the backfill is first started.
    Latest,
    /// The first record with this timestamp or a later one, in milliseconds since the epoch.
    At(i64),
    /// The next offset to read, by partition. Other partitions are not read.
    Offsets(BTreeMap<i32, NextOffset>),
}

impl Bound {
    /// The bound in the form of an event.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Offsets(offsets) => offsets
                .iter()
                .map(|(partition, next)| (partition.to_string(), Value::from(next.get())))
                .collect::<Map<_, _>>()
                .into(),
            other => other.to_string().into(),
        }
    }

    fn from_field(field: &Field<'_>) -> Result<Self, InvalidEvent> {
        match field.value {
            Value::String(text) => Ok(text
                .parse::<StartPosition>()
                .map_err(|_| field.invalid(BOUND_ALLOWED))?
                .into()),
            Value::Object(offsets) => Self::from_object(field, offsets),
            _ => Err(field.invalid(BOUND_ALLOWED)),
        }
    }

    fn from_object(field: &Field<'_>, object: &Map<String, Value>) -> Result<Self, InvalidEvent> {
        if object.is_empty() {
            return Err(field.invalid(OFFSETS_ALLOWED));
        }
        let mut offsets = BTreeMap::new();
        for (partition, next) in object {
            let number = whole_partition(partition).ok_or_else(|| field.invalid(PARTITION_ALLOWED))?;
            let path = || format!("{}.{number}", cut(&field.path));
            let next = whole(next)
                .and_then(NextOffset::new)
                .ok_or_else(|| InvalidEvent::InvalidValue {
                    field: path(),
                    value: super::shown(next),
                    allowed: OFFSET_ALLOWED,
                })?;
            if offsets.insert(number, next).is_some() {
                return Err(InvalidEvent::InvalidValue {
                    field: path(),
                    value: super::shown(field.value),
                    allowed: "must name each partition once",
                });
            }
        }
        Ok(Self::Offsets(offsets))
    }

    fn names(&self) -> Option<BTreeSet<i32>> {
        match self {
            Self::Offsets(offsets) => Some(offsets.keys().copied().collect()),
            _ => None,
        }
    }
}

impl From<StartPosition> for Bound {
    fn from(position: StartPosition) -> Self {
        match position {
            StartPosition::Earliest => Self::Earliest,
            StartPosition::Latest => Self::Latest,
            StartPosition::At { unix_ms } => Self::At(unix_ms),
        }
    }
}

fn whole_partition(text: &str) -> Option<i32> {
    whole_number(text).filter(|number: &i32| *number >= 0)
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => StartPosition::Earliest.fmt(f),
            Self::Latest => StartPosition::Latest.fmt(f),
            Self::At(unix_ms) => StartPosition::At { unix_ms: *unix_ms }.fmt(f),
            Self::Offsets(offsets) => {
                for (index, (partition, next)) in offsets.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(f, "{comma}{partition}:{next}")?;
                }
                Ok(())
            }
        }
    }
}

/// The form on the command line: the words and times of an event, or offsets as `0:100,1:200` or as JSON.
impl FromStr for Bound {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Self, NotAllowed> {
        let not_allowed = || NotAllowed::new(BOUND_TEXT_ALLOWED);
        if let Ok(position) = text.parse::<StartPosition>() {
            return Ok(position.into());
        }
        if text.trim_start().starts_with('{') {
            let refused = |why: InvalidEvent| NotAllowed::new(format!("{BOUND_TEXT_ALLOWED}; {why}"));
            let value = json::read(text.as_bytes(), "the text").map_err(refused)?;
            let path = "offsets".to_owned();
            return Self::from_field(&Field { path, value: &value }).map_err(refused);
        }
        let mut offsets = BTreeMap::new();
        for pair in text.split(',') {
            let (partition, next) = pair.split_once(':').ok_or_else(not_allowed)?;
            let partition = whole_partition(partition.trim()).ok_or_else(not_allowed)?;
            let next = whole_number(next.trim()).and_then(NextOffset::new);
            if offsets.insert(partition, next.ok_or_else(not_allowed)?).is_some() {
                return Err(not_allowed());
            }
        }
        Ok(Self::Offsets(offsets))
    }
}

/// A request to process a range of offsets again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackfillRequest {
    /// Its name: an invocation with the same name resumes it.
    pub name: BackfillName,
    /// The topic; `None`: the only one in `KAFKA_TOPIC`.
    pub topic: Option<Arc<str>>,
    /// The first record to read.
    pub from: Bound,
    /// The end, exclusive.
    pub to: Bound,
    /// The partitions to read: ascending, none twice, at least one. `None`:
    /// those that a bound names, or all.
    pub partitions: Option<Vec<i32>>,
    /// The limit of this invocation; `None`: `MAX_MESSAGES`.
    pub max_messages: Option<MessageLimit>,
}

impl BackfillRequest {
    /// A backfill between two bounds, which are checked against each other.
    ///
    /// # Errors
    /// When one field names a partition that another does not, or the end is
    /// before the start.
    pub fn new(name: BackfillName, from: Bound, to: Bound, partitions: Option<Vec<i32>>) -> Result<Self, InvalidEvent> {
        let request = Self {
            name,
            topic: None,
            from,
            to,
            partitions,
            max_messages: None,
        };
        request.check_partitions()?;
        request.check_order()?;
        Ok(request)
    }

    /// Reads the fields of an event.
    pub(super) fn from_fields(fields: &Fields<'_>) -> Result<Self, InvalidEvent> {
        let given = |name: &'static str| fields.get(name).filter(|field| !field.value.is_null());
        let known = ["action", "name", "from", "to", "topic", "partitions", "max_messages"];
        if let Some((_, unknown)) = fields.iter().find(|(name, _)| !known.contains(name)) {
            return Err(InvalidEvent::UnknownField {
                field: cut(&unknown.path),
                allowed: FIELDS,
            });
        }
        let needed = |name: &'static str| given(name).ok_or(InvalidEvent::MissingField { field: name });
        let name = needed("name")?;
        let name = name
            .text()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| name.invalid(NAME_ALLOWED))?;
        let from = Bound::from_field(needed("from")?)?;
        let to = given("to").map_or(Ok(Bound::Latest), Bound::from_field)?;
        let partitions = given("partitions").map(Field::partitions).transpose()?;
        let topic = |field: &Field<'_>| {
            let topic = field.text().filter(|text| !text.is_empty());
            topic
                .map(Arc::from)
                .ok_or_else(|| field.invalid("must be a topic's name"))
        };
        Ok(Self {
            topic: given("topic").map(topic).transpose()?,
            max_messages: given("max_messages").map(Field::max_messages).transpose()?,
            ..Self::new(name, from, to, partitions)?
        })
    }

    /// The partitions that are named, and the field that names them; `None`: all partitions.
    #[must_use]
    pub fn named(&self) -> Option<(&'static str, BTreeSet<i32>)> {
        self.all_named().into_iter().next()
    }

    fn all_named(&self) -> Vec<(&'static str, BTreeSet<i32>)> {
        let partitions = self.partitions.as_ref().map(|some| some.iter().copied().collect());
        [
            ("from", self.from.names()),
            ("to", self.to.names()),
            ("partitions", partitions),
        ]
        .into_iter()
        .filter_map(|(field, names)| Some((field, names?)))
        .collect()
    }

    /// Bounds and partitions in the [short](short) form that is stored, to
    /// detect a different request under the same name.
    #[must_use]
    pub fn requested(&self) -> String {
        let mut request = json!({ "from": self.from.to_json(), "to": self.to.to_json() });
        if let Some(("partitions", partitions)) = self.named() {
            request["partitions"] = json!(partitions);
        }
        short(request).to_string()
    }

    fn check_partitions(&self) -> Result<(), InvalidEvent> {
        let named = self.all_named();
        for (here, partitions) in &named {
            for (there, others) in &named {
                if let Some(partition) = partitions.difference(others).next() {
                    return Err(InvalidEvent::NamedOnce {
                        partition: *partition,
                        here,
                        there,
                    });
                }
            }
        }
        Ok(())
    }

    fn check_order(&self) -> Result<(), InvalidEvent> {
        let reversed = |place: String, from: String, to: String| InvalidEvent::Reversed { place, from, to };
        match (&self.from, &self.to) {
            (Bound::At(from), Bound::At(to)) if from > to => {
                Err(reversed(String::new(), self.from.to_string(), self.to.to_string()))
            }
            (Bound::Offsets(from), Bound::Offsets(to)) => {
                let wrong = from.iter().find_map(|(partition, from)| {
                    let to = to.get(partition).filter(|to| from > *to)?;
                    Some((partition, from, to))
                });
                wrong.map_or(Ok(()), |(partition, from, to)| {
                    let place = format!(" in partition {partition}");
                    Err(reversed(place, from.to_string(), to.to_string()))
                })
            }
            _ => Ok(()),
        }
    }
}
