//! The settings of destinations: `DESTINATION`, and the defaults of its routes.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::{Route, Routes, TopicPattern, VARIABLE, WrittenRoute, batch_size, json, parallelization_factor};
use crate::config::function::{self, FunctionArn};
use crate::config::name;
use crate::config::problem::{InvalidSetting, NotAllowed};
use crate::config::table::TableArn;
use crate::config::value::Destination;
use crate::config::{Config, SETTINGS, Settings, boolean};
use crate::filter::Filter;
use crate::kafka_event::EventSource;

/// The table of cursors.
const TABLE_VARIABLE: &str = "DYNAMODB_TABLE";

/// Lambda sets it: the name of the function that this program runs in.
const FUNCTION_NAME_VARIABLE: &str = "AWS_LAMBDA_FUNCTION_NAME";

impl Settings<'_> {
    /// Where the records of each topic go, how they are decoded, and which are passed on.
    pub(in crate::config) fn routes(&mut self, topics: Option<&[Arc<str>]>) -> Option<Routes> {
        let format = self.optional("MESSAGE_FORMAT", str::parse);
        let written = self.written_routes();
        // Where it is wrong, that is reported already.
        let values = self.parse("LOG_VALUES", boolean).unwrap_or_default();
        let batch_size = self.optional("BATCH_SIZE", batch_size);
        // Where it is wrong, that is reported already.
        let factor = self.parse("PARALLELIZATION_FACTOR", parallelization_factor);
        let factor = factor.unwrap_or(NonZeroUsize::MIN);
        let envelope = self.optional("ENVELOPE", str::parse);
        let filter = self.optional("FILTER_PATTERNS", filter).map(Arc::new);
        let route = |written: WrittenRoute| Route {
            format: written.format.or(format).unwrap_or(written.to.message_format()),
            to: match written.to {
                Destination::Log { .. } => Destination::Log { values },
                to => to,
            },
            filter: written.filter.map(Arc::new).or_else(|| filter.clone()),
            batch_size: written.batch_size.or(batch_size),
            parallelization_factor: written.parallelization_factor.unwrap_or(factor),
            envelope: written.envelope.or(envelope).unwrap_or_default(),
        };
        let written = written?.into_iter();
        let routes = Routes::new(
            written
                .map(|(pattern, written)| (pattern, Arc::new(route(written))))
                .collect(),
        );
        self.check_topics(&routes, topics);
        self.check_loops(&routes, topics);
        Some(routes)
    }

    /// `DESTINATION`, as one route for every topic or as JSON.
    fn written_routes(&mut self) -> Option<Vec<(TopicPattern, WrittenRoute)>> {
        let json = self
            .vars
            .get(VARIABLE)
            .map(str::trim)
            .filter(|text| text.starts_with('{'));
        if let Some(json) = json {
            let routes = json::read(json, &mut self.problems)?;
            for (pattern, route) in &routes {
                if let Some(why) = self.refusal(&route.to) {
                    let place = format!("route \"{pattern}\": {} {why}", route.to);
                    self.problems.push(InvalidSetting::name(VARIABLE, place));
                }
            }
            return Some(routes);
        }
        let to = self.parse(VARIABLE, destination)?;
        if let Some(why) = self.refusal(&to) {
            let problem = InvalidSetting::value(VARIABLE, &to.to_string(), NotAllowed::new(why));
            self.problems.push(problem);
        }
        Some(vec![(TopicPattern::Any, to.into())])
    }

    /// Why a destination is refused that is this program's own: this function, or the table of
    /// cursors. Their accounts are not known here: the name or the region must differ.
    fn refusal(&self, destination: &Destination) -> Option<&'static str> {
        match destination {
            Destination::Function(function) if self.is_this_function(function) => Some(THIS_FUNCTION),
            Destination::DynamoDb(table) if self.is_cursor_table(table) => Some(CURSOR_TABLE),
            _ => None,
        }
    }

    /// A function that invokes itself would do so without end.
    fn is_this_function(&self, function: &FunctionArn) -> bool {
        let is = |variable: &str, value: &str| self.vars.get(variable).is_some_and(|text| text.trim() == value);
        is(FUNCTION_NAME_VARIABLE, function.name()) && is("AWS_REGION", function.region())
    }

    /// Items of records would be read as cursors. Where the region is not set in the environment,
    /// it may be the same.
    fn is_cursor_table(&self, table: &TableArn) -> bool {
        let set = |variable: &str| self.vars.get(variable).map(str::trim).filter(|text| !text.is_empty());
        let default = SETTINGS.iter().find(|setting| setting.variable == TABLE_VARIABLE);
        let cursors = set(TABLE_VARIABLE).or(default.and_then(|setting| setting.default));
        let region = set("AWS_REGION").or(set("AWS_DEFAULT_REGION"));
        cursors.is_some_and(|cursors| match cursors.parse::<TableArn>() {
            Ok(cursors) => cursors == *table,
            Err(_) => cursors == table.name() && region.is_none_or(|region| region == table.region()),
        })
    }

    /// A topic that is read must not be written to by its own route: the run would read what it writes,
    /// without end.
    fn check_loops(&mut self, routes: &Routes, topics: Option<&[Arc<str>]>) {
        let loops = |topic: &&Arc<str>| {
            let to = routes.of(topic).map(|route| &route.to);
            matches!(to, Some(Destination::Kafka(to)) if *to.as_str() == ***topic)
        };
        for topic in topics.unwrap_or_default().iter().filter(loops) {
            let reason = format!(
                "sends the records of {topic:?} to this topic itself, which would be read and written without end; name \
                 another topic"
            );
            self.problems.push(InvalidSetting::name(VARIABLE, reason));
        }
    }

    /// Each topic that is read must have a route.
    fn check_topics(&mut self, routes: &Routes, topics: Option<&[Arc<str>]>) {
        let topics = topics.filter(|topics| !name::are_default(topics)).unwrap_or_default();
        let without: Vec<String> = topics
            .iter()
            .filter(|topic| routes.of(topic).is_none())
            .map(|topic| format!("{topic:?}"))
            .collect();
        if !without.is_empty() {
            let reason = format!(
                "has no route for {} of KAFKA_TOPIC; add it, or `*` for every other topic",
                without.join(", ")
            );
            self.problems.push(InvalidSetting::name(VARIABLE, reason));
        }
    }

    /// The kind of cluster that functions see as the source of their events.
    pub(in crate::config) fn event_source(&mut self) -> Option<EventSource> {
        let variable = "MSK_CLUSTER_ARN";
        if !self.vars.is_set(variable) {
            return Some(EventSource::SelfManaged);
        }
        self.parse(variable, function::cluster_arn)
            .map(|arn| EventSource::Msk { arn })
    }
}

const CURSOR_TABLE: &str =
    "is the table of cursors (DYNAMODB_TABLE), which holds no records; name another table for the items";

const THIS_FUNCTION: &str = "is this function itself, which would invoke itself without end; name the function that \
                             handles the records";

fn destination(text: &str) -> Result<Destination, NotAllowed> {
    Destination::parse(text)?.ok_or_else(|| {
        NotAllowed::new(format!(
            "must be {}, or routes: a JSON object from topic to one of these",
            Destination::ALLOWED
        ))
    })
}

fn filter(text: &str) -> Result<Filter, NotAllowed> {
    Filter::parse(text).map_err(|error| NotAllowed::new(error.to_string()))
}

/// The warning for routes that no topic of `KAFKA_TOPIC` has.
pub(in crate::config) fn unused(config: &Config) -> Option<String> {
    if config.has_default_topic() {
        return None;
    }
    let topics = config.topics.iter();
    let used: HashSet<&TopicPattern> = topics
        .filter_map(|topic| Some(&config.routes.route(topic)?.0))
        .collect();
    let patterns = config.routes.iter().map(|(pattern, _)| pattern);
    let unused: Vec<String> = patterns
        .filter(|pattern| !used.contains(pattern))
        .map(|pattern| format!("\"{pattern}\""))
        .collect();
    (!unused.is_empty()).then(|| {
        format!(
            "{VARIABLE}: no topic of KAFKA_TOPIC has the routes {}; only events of AWS's mapping can use them",
            unused.join(", ")
        )
    })
}
