//! `DESTINATION` as a JSON object from topic to destination. All problems are
//! reported, each with its topic and field.

use std::fmt;
use std::str::FromStr as _;

use serde_json::value::RawValue;

use super::{TopicPattern, VARIABLE, WrittenRoute, batch_size, parallelization_factor};
use crate::config::problem::{InvalidSetting, NotAllowed, shown, shown_json};
use crate::config::value::Destination;
use crate::filter::{Filter, Members};

/// The fields of a route.
const FIELDS: &str = "`to`, `filters`, `format`, `batch_size`, `parallelization_factor` and `envelope`";

/// The routes that `json` writes: at least one, no topic twice. If there is a
/// problem, `None`, and each problem in `problems`.
pub(super) fn read(json: &str, problems: &mut Vec<InvalidSetting>) -> Option<Vec<(TopicPattern, WrittenRoute)>> {
    let topics = match serde_json::from_str::<Members<'_>>(json) {
        Ok(Members(topics)) if !topics.is_empty() => topics,
        Ok(_) => {
            let reason = NotAllowed::new("is an empty object: no topic has a route; add one, or `*` for every topic");
            problems.push(InvalidSetting::value(VARIABLE, json, reason));
            return None;
        }
        Err(error) => {
            let reason = format!(
                "is not JSON: {error}; routes are a JSON object from topic to {}",
                Destination::ALLOWED
            );
            problems.push(InvalidSetting::value(VARIABLE, json, NotAllowed::new(reason)));
            return None;
        }
    };
    let problems_before = problems.len();
    let mut routes = Vec::new();
    for (topic, raw, is_repeated) in each(&topics) {
        let mut reader = RouteReader {
            topic: shown(VARIABLE, topic),
            problems,
        };
        if is_repeated {
            reader.report("", "is written twice; write each topic once");
            continue;
        }
        let pattern = topic.parse().map_err(|reason: NotAllowed| reader.report("", reason));
        let route = reader.route(raw);
        routes.extend(pattern.ok().zip(route));
    }
    (problems.len() == problems_before).then_some(routes)
}

/// Each member, and whether one before it has the same name.
fn each<'j>(members: &'j [(String, &'j RawValue)]) -> impl Iterator<Item = (&'j str, &'j RawValue, bool)> {
    let is_repeated = |at: usize, name: &str| members[..at].iter().any(|(before, _)| before == name);
    let numbered = members.iter().enumerate();
    numbered.map(move |(at, (name, raw))| (name.as_str(), *raw, is_repeated(at, name)))
}

/// Reads the route of one topic.
struct RouteReader<'a> {
    /// As it is shown in messages.
    topic: String,
    problems: &'a mut Vec<InvalidSetting>,
}

impl RouteReader<'_> {
    /// Reports a problem of the route, or of a place in it.
    fn report(&mut self, place: &str, reason: impl fmt::Display) {
        let comma = if place.is_empty() { "" } else { ", " };
        let text = format!("route {}{comma}{place}: {reason}", self.topic);
        self.problems.push(InvalidSetting::name(VARIABLE, text));
    }

    fn route(&mut self, raw: &RawValue) -> Option<WrittenRoute> {
        if !raw.get().starts_with('{') {
            return self.field("to", raw, Destination::from_str).map(WrittenRoute::from);
        }
        match serde_json::from_str::<Members<'_>>(raw.get()) {
            Ok(Members(fields)) => self.fields(&fields),
            Err(error) => {
                self.report("", error);
                None
            }
        }
    }

    fn fields(&mut self, fields: &[(String, &RawValue)]) -> Option<WrittenRoute> {
        let mut to = None;
        let mut route = WrittenRoute::from(Destination::Discard);
        for (name, raw, is_repeated) in each(fields) {
            if is_repeated {
                self.report(&shown(VARIABLE, name), "is written twice; write each field once");
                continue;
            }
            match name {
                "to" => to = self.field(name, raw, str::parse),
                "filters" => route.filter = self.filter(raw),
                "format" => route.format = self.field(name, raw, str::parse),
                "batch_size" => route.batch_size = self.field(name, raw, batch_size),
                "parallelization_factor" => {
                    route.parallelization_factor = self.field(name, raw, parallelization_factor);
                }
                "envelope" => route.envelope = self.field(name, raw, str::parse),
                _ => self.report(
                    &shown(VARIABLE, name),
                    format!("is not a field; the fields are {FIELDS}"),
                ),
            }
        }
        if fields.iter().all(|(name, _)| name != "to") {
            self.report("to", format!("is missing; it must be {}", Destination::ALLOWED));
        }
        to.map(|to| WrittenRoute { to, ..route })
    }

    /// The value of a field that is a text or a number.
    fn field<T>(&mut self, name: &str, raw: &RawValue, parse: impl FnOnce(&str) -> Result<T, NotAllowed>) -> Option<T> {
        let parsed = match serde_json::from_str::<String>(raw.get()) {
            Ok(text) => parse(text.trim()),
            // A number; no field allows the JSON of anything else.
            Err(_) => parse(raw.get()),
        };
        let report = |reason| self.report(&format!("{name}={}", shown_json(VARIABLE, raw)), reason);
        parsed.map_err(report).ok()
    }

    fn filter(&mut self, raw: &RawValue) -> Option<Filter> {
        let report = |error| self.report("filters", error);
        Filter::parse(raw.get()).map_err(report).ok()
    }
}
