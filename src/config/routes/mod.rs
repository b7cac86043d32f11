//! `DESTINATION`: where the records of each topic go.
//!
//! - `json`: routes as they are written.
//! - `settings`: routes and the settings that are their defaults.

mod json;
mod settings;

use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;

use super::name;
use super::number::whole_number;
use super::problem::NotAllowed;
use super::value::{Destination, MessageEnvelope, MessageFormat};
use crate::filter::Filter;
pub(super) use settings::unused;

/// The setting that holds routes.
const VARIABLE: &str = "DESTINATION";

/// As `BatchSize` of AWS's event source mappings.
const BATCH_SIZE: RangeInclusive<usize> = 1..=10_000;

/// `ParallelizationFactor` of AWS's mappings of streams ends at 10.
const PARALLELIZATION_FACTOR: RangeInclusive<usize> = 1..=100;

/// How the records of a topic are handled.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Where they go.
    pub to: Destination,
    /// Which of them are passed on; `None`: all.
    pub filter: Option<Arc<Filter>>,
    /// How their values are decoded.
    pub format: MessageFormat,
    /// How many of them one call takes at most; `None`: the destination's own number.
    pub batch_size: Option<NonZeroUsize>,
    /// How many batches of one partition are in flight at once. Above 1, records of different keys, or
    /// without a key, have no order among themselves.
    pub parallelization_factor: NonZeroUsize,
    /// What queues, topics and HTTP endpoints get of them.
    pub envelope: MessageEnvelope,
}

/// A route as it is written: the settings apply for what it leaves out.
struct WrittenRoute {
    to: Destination,
    filter: Option<Filter>,
    format: Option<MessageFormat>,
    batch_size: Option<NonZeroUsize>,
    parallelization_factor: Option<NonZeroUsize>,
    envelope: Option<MessageEnvelope>,
}

impl From<Destination> for WrittenRoute {
    fn from(to: Destination) -> Self {
        Self {
            to,
            filter: None,
            format: None,
            batch_size: None,
            parallelization_factor: None,
            envelope: None,
        }
    }
}

/// The topics of a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TopicPattern {
    /// The topic of this name.
    Exact(String),
    /// `prefix*`: the topics whose names begin so.
    Prefix(String),
    /// `*`: every topic.
    Any,
}

impl TopicPattern {
    /// Whether it is a pattern of `topic`.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        match self {
            Self::Exact(name) => topic == name,
            Self::Prefix(prefix) => topic.starts_with(prefix.as_str()),
            Self::Any => true,
        }
    }

    /// The higher, the fewer topics match.
    fn precedence(&self) -> usize {
        match self {
            Self::Exact(_) => usize::MAX,
            Self::Prefix(prefix) => prefix.len(),
            Self::Any => 0,
        }
    }
}

/// As it is written in `DESTINATION`.
impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
            Self::Any => f.write_str("*"),
        }
    }
}

impl FromStr for TopicPattern {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Self, NotAllowed> {
        match text.strip_suffix('*') {
            Some("") => Ok(Self::Any),
            Some(prefix) if name::is_topic_prefix(prefix) => Ok(Self::Prefix(prefix.to_owned())),
            None if name::is_topic(text) => Ok(Self::Exact(text.to_owned())),
            _ => Err(NotAllowed::new(
                "must be the name of a topic (1 to 249 of a-z, A-Z, 0-9, `.`, `_` and `-`, not `.` or `..`), `prefix*` \
                 or `*`, with `*` at the end only",
            )),
        }
    }
}

/// A value for each topic: that of its name, else that of the longest prefix,
/// else that of `*`.
#[derive(Debug, Clone, PartialEq)]
pub struct Routes<T = Arc<Route>> {
    /// In the order given, no pattern twice.
    routes: Vec<(TopicPattern, T)>,
}

impl<T> Routes<T> {
    /// `routes`, which have no pattern twice.
    fn new(routes: Vec<(TopicPattern, T)>) -> Self {
        let mut patterns = HashSet::new();
        debug_assert!(routes.iter().all(|(pattern, _)| patterns.insert(pattern)));
        Self { routes }
    }

    /// The value for `topic`; `None`: it has no route.
    #[must_use]
    pub fn of(&self, topic: &str) -> Option<&T> {
        self.route(topic).map(|(_, value)| value)
    }

    fn route(&self, topic: &str) -> Option<&(TopicPattern, T)> {
        let matching = self.routes.iter().filter(|(pattern, _)| pattern.matches(topic));
        matching.max_by_key(|(pattern, _)| pattern.precedence())
    }

    /// Every route, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = (&TopicPattern, &T)> {
        self.routes.iter().map(|(pattern, value)| (pattern, value))
    }

    /// The same topics, with values made of these.
    #[must_use]
    pub fn map<U>(&self, make: impl Fn(&T) -> U) -> Routes<U> {
        let routes = self
            .routes
            .iter()
            .map(|(pattern, value)| (pattern.clone(), make(value)));
        Routes {
            routes: routes.collect(),
        }
    }
}

fn batch_size(text: &str) -> Result<NonZeroUsize, NotAllowed> {
    number_of("records", &BATCH_SIZE, text)
}

fn parallelization_factor(text: &str) -> Result<NonZeroUsize, NotAllowed> {
    number_of("batches", &PARALLELIZATION_FACTOR, text)
}

fn number_of(what: &str, allowed: &RangeInclusive<usize>, text: &str) -> Result<NonZeroUsize, NotAllowed> {
    let (least, most) = (allowed.start(), allowed.end());
    whole_number::<usize>(text)
        .filter(|number| allowed.contains(number))
        .and_then(NonZeroUsize::new)
        .ok_or_else(|| NotAllowed::new(format!("must be a whole number of {what}, {least} to {most}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn routes<S: AsRef<str> + Clone>(texts: &[S]) -> Routes<S> {
        let pattern = |text: &S| text.as_ref().parse().expect("a pattern");
        Routes::new(texts.iter().map(|text| (pattern(text), text.clone())).collect())
    }

    #[test]
    fn a_topic_has_the_route_of_its_name_then_of_the_longest_prefix_then_of_all() {
        let all = routes(&["*", "orders*", "orders-*", "orders-eu"]);
        let rows = [
            ("orders-eu", "orders-eu"),
            ("orders-us", "orders-*"),
            ("orders", "orders*"),
            ("users", "*"),
        ];
        for (topic, expected) in rows {
            assert_eq!(all.of(topic), Some(&expected), "{topic}");
        }
        assert_eq!(routes(&["orders"]).of("users"), None);
    }

    #[test]
    fn a_pattern_is_a_name_or_a_prefix_or_all() {
        for text in ["orders", "A.b_c-9", "...", "orders-*", ".*", "a*", "*"] {
            let pattern: TopicPattern = text.parse().expect(text);
            assert_eq!(pattern.to_string(), text);
        }
        let (longest, too_long) = ("t".repeat(249), "t".repeat(250));
        for text in [longest.clone(), longest + "*"] {
            assert!(text.parse::<TopicPattern>().is_ok(), "{text}");
        }
        for text in [
            "", ".", "..", "**", "a**", "*a", "a*b", "a b", "ä", "a/b", " a", "a,b", "a?", &too_long,
        ] {
            assert!(text.parse::<TopicPattern>().is_err(), "{text}");
        }
    }

    /// The patterns of a topic, from the one that takes precedence on.
    fn patterns_of(topic: &str) -> impl Iterator<Item = String> {
        let prefixes = (0..=topic.len()).rev().map(|length| format!("{}*", &topic[..length]));
        std::iter::once(topic.to_owned()).chain(prefixes)
    }

    proptest! {
        #[test]
        fn the_route_of_a_topic_is_the_first_of_its_patterns(
            written in proptest::collection::btree_set("[ab]{1,3}|[ab]{0,3}\\*", 0..12),
            shuffle in any::<prop::sample::Index>(),
            topic in "[ab]{1,4}",
        ) {
            let mut texts: Vec<String> = written.iter().cloned().collect();
            if !texts.is_empty() {
                let by = shuffle.index(texts.len());
                texts.rotate_left(by);
            }
            let expected = patterns_of(&topic).find(|pattern| written.contains(pattern));
            let routes = routes(&texts);
            prop_assert_eq!(routes.of(&topic), expected.as_ref());
        }
    }
}
