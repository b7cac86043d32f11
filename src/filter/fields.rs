//! What a record has at the paths of a pattern.

use std::fmt;
use std::str;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::comparison::Leaf;
use super::json;
use super::number::Decimal;
use super::parse::Condition;
use crate::record::Header;

/// How deep a value may be nested: as deep as `serde_json` reads. A deeper one
/// is no JSON to the handler either.
const MAX_DEPTH: usize = 128;

/// In which elements of which arrays a value lies, from the outside in. Arrays
/// are numbered in the order in which they are found.
pub(super) type Membership = Vec<(u32, u32)>;

/// What a record has at the path of one condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// The field's values: none if it is not there, several within arrays.
    /// They are compared at once and not kept, because an array of a large
    /// record may hold very many.
    Values {
        /// Where those lie that pass one of the comparisons.
        passing: Vec<Membership>,
        /// Where all lie; empty unless a comparison is `exists: false`.
        all: Vec<Membership>,
    },
    /// The record holds another format there than the pattern. AWS ignores
    /// that part of the pattern.
    OtherFormat,
}

/// The conditions of a pattern and what was found for each.
#[derive(Debug)]
pub(super) struct Fields<'p> {
    conditions: &'p [Condition],
    found: Vec<Found>,
    arrays: u32,
}

/// A path that goes on in a value: the index of its condition, and the names
/// that are left.
type Rest<'p> = (usize, &'p str);

impl<'p> Fields<'p> {
    /// Nothing found yet for each of `conditions`.
    pub(super) fn new(conditions: &'p [Condition]) -> Self {
        let nothing = Found::Values {
            passing: Vec::new(),
            all: Vec::new(),
        };
        Self {
            conditions,
            found: vec![nothing; conditions.len()],
            arrays: 0,
        }
    }

    /// What was found for the condition of this index.
    pub(super) fn found(&self, condition: usize) -> &Found {
        &self.found[condition]
    }

    /// The condition of this index.
    pub(super) fn condition(&self, index: usize) -> &Condition {
        &self.conditions[index]
    }

    /// Whether no value lies in an array.
    pub(super) fn without_arrays(&self) -> bool {
        self.arrays == 0
    }

    /// Adds the field `name` with this text.
    pub(super) fn add_text(&mut self, name: &str, text: &str) {
        self.add_at(name, || Leaf::Text(text.to_owned()));
    }

    /// Adds the field `name` with this number.
    pub(super) fn add_number(&mut self, name: &str, number: i64) {
        self.add_at(name, || Leaf::Number(Decimal::parse(&number.to_string())));
    }

    fn add_at(&mut self, name: &str, leaf: impl Fn() -> Leaf) {
        for (index, _) in self
            .conditions
            .iter()
            .enumerate()
            .filter(|(_, condition)| condition.path == name)
        {
            self.add_leaf(&[index], &leaf(), &Membership::new());
        }
    }

    /// Adds bytes of a Kafka record as the field `name`, by this table:
    ///
    /// | bytes | list at `name` | fields below `name` |
    /// |---|---|---|
    /// | none (a tombstone, no key) | `null`; for `exists`: not there | ignored |
    /// | a JSON object or array | ignored | its fields |
    /// | other UTF-8 text | the text | ignored |
    /// | not UTF-8 | ignored | ignored |
    ///
    /// The source of "ignored" is AWS's table for filters of Kafka values. It
    /// does not name tombstones: they pass where a pattern does not exclude
    /// them, so that deletes are not lost.
    pub(super) fn add_payload(&mut self, name: &str, bytes: Option<&[u8]>) {
        let Selected { here, below } = select(&self.everything(), name);
        if here.is_empty() && below.is_empty() {
            return;
        }
        let Some(bytes) = bytes else {
            self.add_leaf(&here, &Leaf::Missing, &Membership::new());
            return self.ignore(&below);
        };
        let Ok(text) = str::from_utf8(bytes) else {
            self.ignore_all(&here);
            return self.ignore(&below);
        };
        let json = text.trim_start_matches([' ', '\t', '\n', '\r']);
        if json.starts_with(['{', '[']) && self.add_json(&below, json).is_ok() {
            return self.ignore_all(&here);
        }
        self.ignore(&below);
        self.add_leaf(&here, &Leaf::Text(text.to_owned()), &Membership::new());
    }

    /// Adds the members of the JSON object `json`, each as a field.
    #[cfg(test)]
    pub(super) fn add_members(&mut self, json: &str) -> Result<(), serde_json::Error> {
        let everything = self.everything();
        self.add_json(&everything, json)
    }

    /// All paths, from their start.
    fn everything(&self) -> Vec<Rest<'p>> {
        self.conditions
            .iter()
            .map(|condition| &*condition.path)
            .enumerate()
            .collect()
    }

    /// Adds the headers of a Kafka record: the field `headers.<name>`, once for
    /// each header of that name.
    pub(super) fn add_headers(&mut self, headers: &[Header]) {
        let Selected { below, .. } = select(&self.everything(), "headers");
        if below.is_empty() {
            return;
        }
        for header in headers {
            let leaf = match header.value.as_deref().map(str::from_utf8) {
                None => Leaf::Null,
                Some(Ok(text)) => Leaf::Text(text.to_owned()),
                Some(Err(_)) => Leaf::Unreadable,
            };
            let Selected { here, .. } = select(&below, &header.name());
            self.add_leaf(&here, &leaf, &Membership::new());
        }
    }

    fn ignore(&mut self, rests: &[Rest<'_>]) {
        let paths: Vec<usize> = rests.iter().map(|(path, _)| *path).collect();
        self.ignore_all(&paths);
    }

    fn ignore_all(&mut self, paths: &[usize]) {
        for path in paths {
            self.found[*path] = Found::OtherFormat;
        }
    }

    fn add_leaf(&mut self, conditions: &[usize], leaf: &Leaf, membership: &Membership) {
        for index in conditions {
            let condition = &self.conditions[*index];
            let Found::Values { passing, all } = &mut self.found[*index] else {
                continue;
            };
            if condition.passes(leaf) {
                passing.push(membership.clone());
            }
            if condition.passes_if_absent() {
                all.push(membership.clone());
            }
        }
    }

    /// Adds the fields of `json` at `rests`.
    ///
    /// # Errors
    ///
    /// A text that is not JSON, or nested too deep. Fields before the error
    /// may have been added.
    fn add_json(&mut self, rests: &[Rest<'p>], json: &str) -> Result<(), serde_json::Error> {
        let position = Position {
            here: &[],
            below: rests,
        };
        self.walk(json, position, &mut Membership::new(), 0)
    }

    fn walk(
        &mut self,
        json: &str,
        at: Position<'_, 'p>,
        within: &mut Membership,
        depth: usize,
    ) -> Result<(), serde_json::Error> {
        if depth > MAX_DEPTH {
            return Err(serde_json::Error::custom("nested too deep"));
        }
        match json.as_bytes().first() {
            Some(b'{') => {
                let mut object = serde_json::Deserializer::from_str(json);
                let members = SelectMembers(at.below).deserialize(&mut object)?;
                object.end()?;
                for (Selected { here, below }, value) in members {
                    let position = Position {
                        here: &here,
                        below: &below,
                    };
                    self.walk(value.get(), position, within, depth + 1)?;
                }
            }
            Some(b'[') => {
                let elements: Vec<&RawValue> = serde_json::from_str(json)?;
                let array = self.arrays;
                self.arrays += 1;
                for (index, element) in (0..).zip(elements) {
                    within.push((array, index));
                    self.walk(element.get(), at, within, depth + 1)?;
                    within.pop();
                }
            }
            _ => self.add_leaf(at.here, &json::leaf(json), within),
        }
        Ok(())
    }
}

/// Which paths end at a value, and which go on below it.
#[derive(Clone, Copy)]
struct Position<'a, 'p> {
    here: &'a [usize],
    below: &'a [Rest<'p>],
}

/// What of `rests` the name of one member leaves.
struct Selected<'p> {
    here: Vec<usize>,
    below: Vec<Rest<'p>>,
}

/// A name may hold dots itself: a path is its names joined by dots, so that
/// `a.b` is the member `a.b` as well as `b` in `a`.
fn select<'p>(rests: &[Rest<'p>], name: &str) -> Selected<'p> {
    let mut selected = Selected {
        here: Vec::new(),
        below: Vec::new(),
    };
    for (path, rest) in rests {
        match rest.strip_prefix(name) {
            Some("") => selected.here.push(*path),
            Some(after) => selected
                .below
                .extend(after.strip_prefix('.').map(|below| (*path, below))),
            None => {}
        }
    }
    selected
}

/// Reads an object and keeps the members that a path goes through. The others
/// are read over, which is most of the time that a filter takes.
struct SelectMembers<'a, 'p>(&'a [Rest<'p>]);

impl<'de, 'p> DeserializeSeed<'de> for SelectMembers<'_, 'p> {
    type Value = Vec<(Selected<'p>, &'de RawValue)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, 'p> Visitor<'de> for SelectMembers<'_, 'p> {
    type Value = Vec<(Selected<'p>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(selected) = map.next_key_seed(SelectName(self.0))? {
            if selected.here.is_empty() && selected.below.is_empty() {
                map.next_value::<IgnoredAny>()?;
            } else {
                members.push((selected, map.next_value()?));
            }
        }
        Ok(members)
    }
}

struct SelectName<'a, 'p>(&'a [Rest<'p>]);

impl<'de, 'p> DeserializeSeed<'de> for SelectName<'_, 'p> {
    type Value = Selected<'p>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'p> Visitor<'_> for SelectName<'_, 'p> {
    type Value = Selected<'p>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(select(self.0, name))
    }
}
