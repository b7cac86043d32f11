//! The key attributes of a table, and the key of an item. Pure.

use std::fmt;

use aws_sdk_dynamodb::types::{AttributeValue, KeyType, ScalarAttributeType, TableDescription};
use serde_json::value::RawValue;

use super::guard::name;
use super::item::Item;
use super::value::{Sized, attribute, number};
use crate::filter::Members;

/// `DynamoDB`'s limits of key attributes, in bytes.
const MAX_HASH_BYTES: usize = 2048;
const MAX_RANGE_BYTES: usize = 1024;

/// The key attributes of a table: the partition key, and the sort key if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeySchema(Vec<KeyAttribute>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct KeyAttribute {
    name: String,
    kind: Kind,
    max_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
}

/// The values of the key attributes of an item: equal for records of one item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ItemKey(Vec<String>);

impl ItemKey {
    pub(super) fn new(attributes: &[(String, AttributeValue)]) -> Self {
        let text = |value: &AttributeValue| match value {
            AttributeValue::S(text) | AttributeValue::N(text) => text.clone(),
            _ => String::new(),
        };
        Self(attributes.iter().map(|(_, value)| text(value)).collect())
    }
}

impl fmt::Display for KeyAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Text => "S",
            Kind::Number => "N",
        };
        write!(f, "`{}` ({kind})", self.name)
    }
}

/// `id (S), at (N)`, the partition key first.
impl fmt::Display for KeySchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&attributes.join(", "))
    }
}

impl KeySchema {
    /// The key attributes of a table.
    ///
    /// # Errors
    /// Why no record can be written to it.
    pub(crate) fn of(table: &TableDescription) -> Result<Self, String> {
        let mut elements: Vec<_> = table.key_schema().iter().collect();
        elements.sort_by_key(|element| *element.key_type() != KeyType::Hash);
        let attributes: Result<Vec<_>, _> = elements
            .into_iter()
            .map(|element| {
                let definitions = table.attribute_definitions().iter();
                let defined = definitions.map(|it| (it.attribute_name(), it.attribute_type()));
                let kind = defined.into_iter().find(|(name, _)| *name == element.attribute_name());
                KeyAttribute::new(element.attribute_name(), element.key_type(), kind.map(|(_, kind)| kind))
            })
            .collect();
        match attributes? {
            attributes if attributes.is_empty() => Err("the table has no key attributes".to_owned()),
            attributes => Ok(Self(attributes)),
        }
    }

    /// The key of an item. Each attribute is that of the value if it has a field of this name,
    /// else it is taken from the record's key, by this table:
    ///
    /// | the record's key | |
    /// |---|---|
    /// | a JSON object | its field of the attribute's name |
    /// | other text, and the table has one key attribute | the text itself, as `S` or `N` |
    ///
    /// # Errors
    /// Why there is none; names attributes and no values.
    pub(super) fn key_of(
        &self,
        fields: Option<&Item>,
        key: Option<&[u8]>,
    ) -> Result<Vec<(String, AttributeValue)>, String> {
        let of = |attribute: &KeyAttribute| {
            let (value, place) = match fields.and_then(|fields| fields.get(&attribute.name)) {
                Some(value) => (value.clone(), "the value"),
                None => (self.of_record_key(attribute, key)?, "the record's key"),
            };
            attribute.check(&value, place)?;
            Ok((attribute.name.clone(), value))
        };
        self.0.iter().map(of).collect()
    }

    fn of_record_key(&self, of: &KeyAttribute, key: Option<&[u8]>) -> Result<AttributeValue, String> {
        let missing =
            |why: &str| format!("the key attribute {of} of the table is not a field of the record's value, and {why}");
        let key = key.ok_or_else(|| missing("the record has no key"))?;
        let text = std::str::from_utf8(key).map_err(|_| missing("the record's key is not UTF-8 text"))?;
        if let Some(Members(members)) = object(text) {
            let found = members.into_iter().rfind(|(name, _)| *name == of.name);
            let (_, raw) =
                found.ok_or_else(|| missing("the record's key is a JSON object without a field of this name"))?;
            let Sized { value, .. } = attribute(raw)
                .map_err(|unsupported| format!("the field `{}` of the record's key {unsupported}", of.name))?;
            return Ok(value);
        }
        match (self.0.len(), of.kind) {
            (1, Kind::Text) => Ok(AttributeValue::S(text.to_owned())),
            (1, Kind::Number) => {
                let json = json_number(text).ok_or_else(|| missing("the record's key is not a number"))?;
                let number = number(json).map_err(|unsupported| format!("the record's key {unsupported}"))?;
                Ok(number.value)
            }
            _ => Err(missing(
                "the record's key is not a JSON object with the table's two key attributes",
            )),
        }
    }

    /// A key that no record has, for a request that writes nothing.
    #[cfg(feature = "cli")]
    pub(crate) fn unused_key(&self) -> std::collections::HashMap<String, AttributeValue> {
        let value = |kind| match kind {
            Kind::Text => AttributeValue::S("kafka-consumer doctor".to_owned()),
            Kind::Number => AttributeValue::N("-1".to_owned()),
        };
        let attributes = self.0.iter();
        attributes.map(|it| (it.name.clone(), value(it.kind))).collect()
    }

    /// The name of the partition key.
    #[cfg(feature = "cli")]
    pub(crate) fn partition_key(&self) -> &str {
        self.0.first().map_or("", |attribute| &attribute.name)
    }
}

impl KeyAttribute {
    fn new(name: &str, key_type: &KeyType, kind: Option<&ScalarAttributeType>) -> Result<Self, String> {
        if name::ALL.contains(&name) {
            return Err(format!(
                "the table's key attribute `{name}` is an attribute that this destination writes itself"
            ));
        }
        let kind = match kind {
            Some(ScalarAttributeType::S) => Kind::Text,
            Some(ScalarAttributeType::N) => Kind::Number,
            _ => {
                return Err(format!(
                    "the table's key attribute `{name}` is neither a string (S) nor a number (N), and JSON has no other keys"
                ));
            }
        };
        Ok(Self {
            name: name.to_owned(),
            kind,
            max_bytes: if *key_type == KeyType::Hash {
                MAX_HASH_BYTES
            } else {
                MAX_RANGE_BYTES
            },
        })
    }

    fn check(&self, value: &AttributeValue, place: &str) -> Result<(), String> {
        let text = match (self.kind, value) {
            (Kind::Text, AttributeValue::S(text)) => text,
            (Kind::Number, AttributeValue::N(_)) => return Ok(()),
            (Kind::Text, _) => {
                return Err(format!(
                    "the key attribute {self} of the table is not a string in {place}"
                ));
            }
            (Kind::Number, _) => {
                return Err(format!(
                    "the key attribute {self} of the table is not a number in {place}"
                ));
            }
        };
        match text.len() {
            0 => Err(format!(
                "the key attribute {self} of the table is an empty string in {place}"
            )),
            bytes if bytes > self.max_bytes => Err(format!(
                "the key attribute {self} of the table has {bytes} bytes in {place}, and DynamoDB takes {} at most",
                self.max_bytes
            )),
            _ => Ok(()),
        }
    }
}

/// The members of a JSON object; `None`: it is another text.
fn object(text: &str) -> Option<Members<'_>> {
    let is_object = text.trim_start().starts_with('{');
    is_object.then(|| serde_json::from_str(text).ok()).flatten()
}

/// The text of a JSON number; `None`: it is another text.
fn json_number(text: &str) -> Option<&str> {
    let json: &RawValue = serde_json::from_str(text).ok()?;
    let is_number = json.get().starts_with(|c: char| c == '-' || c.is_ascii_digit());
    is_number.then(|| json.get())
}

#[cfg(test)]
pub(super) mod tests;
