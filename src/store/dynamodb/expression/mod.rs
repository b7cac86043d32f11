//! A [`CursorWrite`] -> the expressions of one `UpdateItem`.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::name;
use crate::claim::{Attribute, Clause, CursorWrite, Failures, Set};
use crate::store::Consumer;

/// What `UpdateItem` is sent beside the key. Every placeholder that is defined
/// is used, because `DynamoDB` refuses those that are not.
#[derive(Debug, PartialEq)]
pub(super) struct Expression {
    pub(super) update: Option<String>,
    pub(super) condition: Option<String>,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

/// The expressions for `write`. Where it both removes an attribute and sets
/// it, it is set: `DynamoDB` allows each attribute once.
pub(super) fn of(write: &CursorWrite, consumer: &Consumer) -> Expression {
    let mut changes = BTreeMap::new();
    for attribute in &write.removes {
        changes.extend(removed(*attribute).iter().map(|name| (*name, None)));
    }
    for set in &write.sets {
        changes.extend(values_of(set, consumer));
    }
    let mut parts = Parts::default();
    let update = parts.update(&changes);
    let conditions: Vec<_> = write.conditions.iter().map(|clause| parts.condition(clause)).collect();
    Expression {
        update: (!update.is_empty()).then_some(update),
        condition: (!conditions.is_empty()).then(|| conditions.join(" AND ")),
        names: parts.names,
        values: parts.values,
    }
}

/// Each attribute that a [`Set`] touches; `None`: it is removed.
fn values_of(set: &Set, consumer: &Consumer) -> Vec<(&'static str, Option<AttributeValue>)> {
    match set {
        Set::Next(next) => vec![(name::OFFSET, Some(number(next.last_processed())))],
        Set::Identity => {
            vec![
                (name::TOPIC, Some(text(&consumer.topic))),
                (name::GROUP_ID, Some(text(&consumer.group_id))),
            ]
        }
        Set::Run(run) => vec![(name::RUN, Some(text(run.as_str())))],
        Set::ClaimUntil(until_ms) => vec![(name::CLAIM_UNTIL, Some(number(*until_ms)))],
        Set::ClaimTo(end) => vec![(name::CLAIM_TO, Some(number(end.get())))],
        Set::ClaimChunk(limit) => vec![(name::CLAIM_CHUNK, Some(AttributeValue::N(limit.records().to_string())))],
        Set::HandedOver(at) => vec![(name::HANDED_OVER, Some(number(at.get())))],
        Set::Unreported(unreported) => vec![(name::UNREPORTED, Some(text(&unreported.to_text())))],
        Set::UpdatedAt(now_ms) => vec![(name::UPDATED_AT, Some(number(*now_ms)))],
        Set::Paused => vec![(name::PAUSED, Some(AttributeValue::Bool(true)))],
        Set::Command(command) => vec![(name::COMMAND_ID, Some(text(command.as_str())))],
        Set::Previous(next) => vec![(name::PREVIOUS_OFFSET, Some(number(next.last_processed())))],
        Set::Backfill(bounds) => vec![
            (name::BACKFILL, Some(text(&bounds.requested))),
            (name::BACKFILL_FROM, Some(number(bounds.from.get()))),
            (name::BACKFILL_TO, Some(number(bounds.to.get()))),
        ],
        Set::Failures(Failures {
            offset,
            attempts,
            crashes,
            next_try_at_ms,
            error,
        }) => vec![
            (name::FAIL_OFFSET, Some(number(offset.get()))),
            (name::ATTEMPTS, Some(number(i64::from(*attempts)))),
            (name::CRASHES, Some(number(i64::from(*crashes)))),
            // What an earlier failure left must not speak for this one.
            (name::NEXT_TRY_AT, next_try_at_ms.map(number)),
            (name::ERROR, error.as_deref().map(text)),
        ],
    }
}

fn removed(attribute: Attribute) -> &'static [&'static str] {
    match attribute {
        Attribute::Run => &[name::RUN],
        Attribute::Paused => &[name::PAUSED],
        Attribute::ClaimUntil => &[name::CLAIM_UNTIL],
        Attribute::ClaimTo => &[name::CLAIM_TO],
        Attribute::ClaimChunk => &[name::CLAIM_CHUNK],
        Attribute::HandedOver => &[name::HANDED_OVER],
        Attribute::Unreported => &[name::UNREPORTED],
        Attribute::Failures => &[
            name::FAIL_OFFSET,
            name::ATTEMPTS,
            name::CRASHES,
            name::NEXT_TRY_AT,
            name::ERROR,
        ],
    }
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

#[derive(Default)]
struct Parts {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Parts {
    fn update(&mut self, changes: &BTreeMap<&'static str, Option<AttributeValue>>) -> String {
        let (mut sets, mut removes) = (vec![], vec![]);
        for (name, value) in changes {
            let path = self.path(name);
            match value {
                Some(value) => {
                    sets.push(format!("{path} = :{name}"));
                    self.values.insert(format!(":{name}"), value.clone());
                }
                None => removes.push(path),
            }
        }
        [("SET", sets), ("REMOVE", removes)]
            .into_iter()
            .filter(|(_, actions)| !actions.is_empty())
            .map(|(verb, actions)| format!("{verb} {}", actions.join(", ")))
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn condition(&mut self, clause: &Clause) -> String {
        match clause {
            Clause::ItemMissing => format!("attribute_not_exists({})", self.path(name::CONSUMER_ID)),
            Clause::ItemExists => format!("attribute_exists({})", self.path(name::CONSUMER_ID)),
            Clause::NextIs(next) => self.equals(name::OFFSET, Some(number(next.last_processed()))),
            Clause::ClaimUntilIs(until_ms) => self.equals(name::CLAIM_UNTIL, until_ms.map(number)),
            Clause::RunIs(run) => self.equals(name::RUN, Some(text(run.as_str()))),
            Clause::UpdatedAtIs(at_ms) => self.equals(name::UPDATED_AT, Some(number(*at_ms))),
            Clause::NotPaused => format!(
                "(attribute_not_exists({}) OR {})",
                self.path(name::PAUSED),
                self.equals(name::PAUSED, Some(AttributeValue::Bool(false)))
            ),
            Clause::CommandIs(command) => {
                self.equals(name::COMMAND_ID, command.as_ref().map(|command| text(command.as_str())))
            }
            Clause::ClaimExists => format!("attribute_exists({})", self.path(name::CLAIM_UNTIL)),
        }
    }

    /// `None`: the attribute is not there. A comparison with a missing
    /// attribute would be false, so this needs a function of its own.
    fn equals(&mut self, name: &'static str, value: Option<AttributeValue>) -> String {
        let path = self.path(name);
        let Some(value) = value else {
            return format!("attribute_not_exists({path})");
        };
        // Numbered, because the same attribute may be set to another value.
        let placeholder = format!(":if_{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        format!("{path} = {placeholder}")
    }

    fn path(&mut self, name: &'static str) -> String {
        let placeholder = format!("#{name}");
        self.names.insert(placeholder.clone(), name.to_owned());
        placeholder
    }
}

#[cfg(test)]
mod tests;
