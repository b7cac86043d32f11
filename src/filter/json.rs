//! JSON with what a pattern depends on: the digits of numbers and duplicate
//! members. `serde_json::Value` keeps neither.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::comparison::Leaf;
use super::number::Decimal;

/// The first level of a JSON value.
pub(super) enum Level<'j> {
    /// Members in their order, each name as often as it is written.
    Object(Vec<(String, &'j RawValue)>),
    Array(Vec<&'j RawValue>),
    Leaf(Leaf),
}

impl<'j> Level<'j> {
    /// The first level of `raw`.
    ///
    /// # Errors
    ///
    /// A name of a member that is no text: an unpaired surrogate.
    pub(super) fn of(raw: &'j RawValue) -> Result<Self, serde_json::Error> {
        match raw.get().as_bytes() {
            [b'{', ..] => Ok(Self::Object(serde_json::from_str::<Members<'j>>(raw.get())?.0)),
            [b'[', ..] => Ok(Self::Array(serde_json::from_str(raw.get())?)),
            _ => Ok(Self::Leaf(leaf(raw.get()))),
        }
    }
}

/// The value of `json`, a valid JSON text that is neither an object nor an array.
pub(super) fn leaf(json: &str) -> Leaf {
    match json {
        "null" => Leaf::Null,
        "true" => Leaf::Bool(true),
        "false" => Leaf::Bool(false),
        text if text.starts_with('"') => serde_json::from_str(text).map_or(Leaf::Unreadable, Leaf::Text),
        number => Leaf::Number(Decimal::parse(number)),
    }
}

/// The members of a JSON object in their order, each name as often as it is written.
pub(crate) struct Members<'j>(pub(crate) Vec<(String, &'j RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}
