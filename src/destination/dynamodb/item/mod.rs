//! A record -> the write of an item, or why there can be none. Pure.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use serde_json::value::RawValue;

use super::guard::{Origin, name};
use super::key::{ItemKey, KeySchema};
use super::value::{Sized, attribute};
use crate::config::MessageFormat;
use crate::decode::{Value, decode};
use crate::destination::batched::{Encoder, Limits, Unfit};
use crate::filter::Members;
use crate::record::Record;
use crate::text::cut;

/// An item as `DynamoDB` takes it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// `DynamoDB`'s limit of an item, names included: 400 KB.
pub(super) const MAX_ITEM_BYTES: usize = 400 * 1024;

/// What the guard takes at least, beside the topic: three names and two numbers.
const GUARD_BYTES: usize = 42;

/// A field's name is shown up to this length.
const MAX_SHOWN_BYTES: usize = 64;

/// How long the marker of a deleted key is kept at least: longer than a log holds records that
/// its tombstone replaces, which is a week by the defaults of brokers.
const MARKER_SECONDS: i64 = 30 * 24 * 60 * 60;

/// What is written for a record. Its key is not known before the table's key attributes are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Write {
    /// The attributes of the value; `None` for a tombstone.
    pub(super) fields: Option<Item>,
    /// The record's key.
    pub(super) key: Option<Bytes>,
    pub(super) origin: Origin,
    /// The item's size at least.
    pub(super) bytes: usize,
}

/// An item that replaces the one of its key, if its guard is newer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Put {
    pub(super) key: ItemKey,
    pub(super) item: Item,
}

/// Makes the writes of records.
///
/// | the record's value | write |
/// |---|---|
/// | a JSON object | its fields as attributes, in place of the whole item |
/// | none (a tombstone) | a marker: the key, the guard and `kafka_deleted` |
/// | another JSON value, or no JSON | none: it never passes |
pub(crate) struct Items;

impl Encoder<Write> for Items {
    fn encode(&self, record: &Record) -> Result<Write, Unfit> {
        let fields = fields(record).map_err(Unfit::Invalid)?;
        let origin = Origin::from(record);
        let field_bytes = fields.as_ref().map_or(0, |(_, bytes)| *bytes);
        Ok(Write {
            bytes: GUARD_BYTES + origin.topic.len() + field_bytes,
            fields: fields.map(|(fields, _)| fields),
            key: record.key.clone(),
            origin,
        })
    }

    fn too_large(&self, _: Limits) -> String {
        format!(
            "MaximumPayloadSizeExceeded: the item of this record is larger than {MAX_ITEM_BYTES} bytes (400 KB), the most \
             that DynamoDB stores, names of attributes included. Shorten the value, or send it to another destination"
        )
    }
}

/// The attributes of a value and their size; `None` for a tombstone.
fn fields(record: &Record) -> Result<Option<(Item, usize)>, String> {
    let Value::Json(json) = decode(MessageFormat::Json, record).map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let Members(members) = object(json)?;
    let mut sizes = HashMap::new();
    let mut fields = Item::new();
    for (field, raw) in members {
        if field.is_empty() {
            return Err("the value has a field with an empty name, which DynamoDB does not store".to_owned());
        }
        if name::ALL.contains(&&*field) {
            return Err(format!(
                "the value has a field `{field}`, which is the name of an attribute that this destination writes; rename \
                 the field"
            ));
        }
        let Sized { value, bytes } = attribute(raw).map_err(|unsupported| {
            format!(
                "the field `{}` of the value {unsupported}",
                cut(&field, MAX_SHOWN_BYTES)
            )
        })?;
        sizes.insert(field.clone(), field.len() + bytes);
        fields.insert(field, value);
    }
    Ok(Some((fields, sizes.values().sum())))
}

fn object(json: &RawValue) -> Result<Members<'_>, String> {
    let kind = match json.get().as_bytes() {
        [b'{', ..] => {
            return serde_json::from_str(json.get())
                .map_err(|_| "the name of a field of the value is no Unicode text".to_owned());
        }
        [b'[', ..] => "an array",
        [b'"', ..] => "a string",
        b"null" => "null",
        b"true" | b"false" => "a boolean",
        _ => "a number",
    };
    Err(format!(
        "the value is {kind}, and a JSON object is needed, whose fields become the attributes of an item"
    ))
}

impl Write {
    /// The item for a table with these keys.
    ///
    /// # Errors
    /// Why the record never has one: a key attribute is missing, of another type, empty or too long.
    pub(super) fn put(&self, schema: &KeySchema, now_s: i64) -> Result<Put, String> {
        let attributes = schema.key_of(self.fields.as_ref(), self.key.as_deref())?;
        let key = ItemKey::new(&attributes);
        let mut item = self.fields.clone().unwrap_or_else(|| marker(now_s));
        item.extend(attributes);
        let guard = self.origin.attributes().into_iter();
        item.extend(guard.map(|(name, value)| (name.to_owned(), value)));
        Ok(Put { key, item })
    }
}

/// What is there in place of a deleted item beside key and guard. Without it an older record,
/// sent again, would create the item again.
fn marker(now_s: i64) -> Item {
    let expires_at = now_s.saturating_add(MARKER_SECONDS);
    HashMap::from([
        (name::DELETED.to_owned(), AttributeValue::Bool(true)),
        (name::EXPIRES_AT.to_owned(), AttributeValue::N(expires_at.to_string())),
    ])
}

#[cfg(test)]
mod tests;
