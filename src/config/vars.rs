//! The variables that are set, as text.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use super::problem::InvalidSetting;
use super::setting::SETTINGS;

/// What the environment says. An empty value counts as unset.
pub(super) struct Vars {
    text: BTreeMap<String, String>,
    /// Those that are set to something that is no text.
    not_text: BTreeSet<String>,
}

impl Vars {
    /// Of two values for the same variable the later counts. What is not UTF-8 is kept where this
    /// program reads it; the rest of the environment may hold anything.
    pub(super) fn new(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let set: BTreeMap<OsString, OsString> = vars.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let mut read = Self {
            text: BTreeMap::new(),
            not_text: BTreeSet::new(),
        };
        for (name, value) in set {
            let shown_name = name.to_string_lossy().into_owned();
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => _ = read.text.insert(name, value),
                _ if means_something(&shown_name) => _ = read.not_text.insert(shown_name),
                _ => {}
            }
        }
        read
    }

    pub(super) fn get(&self, variable: &str) -> Option<&str> {
        self.text.get(variable).map(String::as_str)
    }

    /// Whether it is set, to text or not.
    pub(super) fn is_set(&self, variable: &str) -> bool {
        self.text.contains_key(variable) || self.not_text.contains(variable)
    }

    /// Those that are text, by name.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.text.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The names of those that are no text.
    pub(super) fn not_text(&self) -> impl Iterator<Item = &str> {
        self.not_text.iter().map(String::as_str)
    }

    /// What is wrong with those that are no text. Their values are not shown: any may be a secret.
    pub(super) fn problems(&self) -> Vec<InvalidSetting> {
        let problem = |name| InvalidSetting::name(name, "is not UTF-8; set it again, as UTF-8");
        self.not_text().map(problem).collect()
    }
}

/// Whether this program or the AWS SDK in it reads the variable.
fn means_something(variable: &str) -> bool {
    ["KAFKA_", "AWS_"].iter().any(|prefix| variable.starts_with(prefix))
        || variable == "RUST_LOG"
        || SETTINGS.iter().any(|setting| setting.variable == variable)
}
