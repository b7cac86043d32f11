//! The text of an event -> JSON in which each key is unique.
//!
//! `serde_json` itself silently uses the last of two values for one key.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Number, Value};

use super::{InvalidEvent, cut};

/// The JSON in `text`, each key once. `place` names the text in messages.
pub(super) fn read(text: &[u8], place: &'static str) -> Result<Value, InvalidEvent> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let read = EachKeyOnce.deserialize(&mut deserializer);
    read.and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| explain(&error, place))
}

/// The visitor accepts all of JSON, so an error of the data is always a key that is given twice.
fn explain(error: &serde_json::Error, place: &'static str) -> InvalidEvent {
    let problem = error.to_string();
    let at = format!(" at line {} column {}", error.line(), error.column());
    let what = problem.strip_suffix(&at).unwrap_or(&problem);
    if error.classify() == Category::Data {
        InvalidEvent::KeyTwice {
            place,
            key: cut(what),
            at: at.trim_start().to_owned(),
        }
    } else {
        InvalidEvent::NotJson { place, problem }
    }
}

struct EachKeyOnce;

impl<'de> DeserializeSeed<'de> for EachKeyOnce {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EachKeyOnce {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = vec![];
        while let Some(item) = items.next_element_seed(Self)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(key));
            }
            let value = fields.next_value_seed(Self)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}
