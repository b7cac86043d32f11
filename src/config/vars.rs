//! The environment variables that are set, as text.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use super::problem::InvalidSetting;
use super::setting::SETTINGS;

/// The environment variables. An empty value counts as unset.
pub(super) struct Vars {
    text: BTreeMap<String, String>,
    /// Those whose name or value is not UTF-8.
    not_utf8: BTreeSet<String>,
}

impl Vars {
    /// Of two values for the same variable the later applies. A variable that is not UTF-8 is kept only if
    /// this program reads it.
    pub(super) fn new(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let set: BTreeMap<OsString, OsString> = vars.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let mut read = Self {
            text: BTreeMap::new(),
            not_utf8: BTreeSet::new(),
        };
        for (name, value) in set {
            let shown_name = name.to_string_lossy().into_owned();
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => _ = read.text.insert(name, value),
                _ if is_read(&shown_name) => _ = read.not_utf8.insert(shown_name),
                _ => {}
            }
        }
        read
    }

    pub(super) fn get(&self, variable: &str) -> Option<&str> {
        self.text.get(variable).map(String::as_str)
    }

    /// Whether it is set, to UTF-8 or not.
    pub(super) fn is_set(&self, variable: &str) -> bool {
        self.text.contains_key(variable) || self.not_utf8.contains(variable)
    }

    /// Those that are UTF-8, by name.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.text.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The names of those that are not UTF-8.
    pub(super) fn not_utf8(&self) -> impl Iterator<Item = &str> {
        self.not_utf8.iter().map(String::as_str)
    }

    /// The problems of those that are not UTF-8. Their values are not shown: any may be a secret.
    pub(super) fn problems(&self) -> Vec<InvalidSetting> {
        let problem = |name| InvalidSetting::name(name, "is not UTF-8; set it again, as UTF-8");
        self.not_utf8().map(problem).collect()
    }
}

/// Whether this program or the AWS SDK in it reads the variable.
fn is_read(variable: &str) -> bool {
    ["KAFKA_", "AWS_"].iter().any(|prefix| variable.starts_with(prefix))
        || variable == "RUST_LOG"
        || SETTINGS.iter().any(|setting| setting.variable == variable)
}
