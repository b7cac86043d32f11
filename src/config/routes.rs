//! `DESTINATION`: where the records of each topic go.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::value::{Destination, MessageFormat};
use crate::filter::Filter;

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
}

/// The topics of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicPattern {
    /// The topic of this name.
    Exact(String),
    /// `prefix*`: the topics whose names begin so.
    Prefix(String),
    /// `*`: every topic.
    Any,
}

/// A value for each topic: that of its name, else that of the longest prefix,
/// else that of `*`.
#[derive(Debug, Clone, PartialEq)]
pub struct Routes<T = Arc<Route>> {
    /// In the order given.
    routes: Vec<(TopicPattern, T)>,
}

impl<T> Routes<T> {
    /// The same value for every topic.
    #[must_use]
    pub fn all(value: T) -> Self {
        Self {
            routes: vec![(TopicPattern::Any, value)],
        }
    }

    /// The value for `topic`; `None`: it has no route.
    #[must_use]
    pub fn of(&self, topic: &str) -> Option<&T> {
        let matching = self.routes.iter().filter_map(|(pattern, value)| {
            let precedence = match pattern {
                TopicPattern::Exact(name) => (topic == name).then_some(usize::MAX),
                TopicPattern::Prefix(prefix) => topic.starts_with(prefix.as_str()).then_some(prefix.len() + 1),
                TopicPattern::Any => Some(0),
            };
            Some((precedence?, value))
        });
        matching
            .max_by_key(|(precedence, _)| *precedence)
            .map(|(_, value)| value)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_the_route_of_its_name_then_of_the_longest_prefix_then_of_all() {
        let pattern = |text: &str| match text.strip_suffix('*') {
            Some("") => TopicPattern::Any,
            Some(prefix) => TopicPattern::Prefix(prefix.to_owned()),
            None => TopicPattern::Exact(text.to_owned()),
        };
        let routes = |texts: &[&'static str]| Routes {
            routes: texts.iter().map(|text| (pattern(text), *text)).collect(),
        };
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
}
