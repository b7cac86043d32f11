//! The errors of settings. Their text never shows a secret.

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

use crate::text::cut;

/// The parts of a name that make its value a secret.
///
/// More than strictly needed: hiding a harmless value costs little, showing a password much.
const SECRET_WORDS: [&str; 11] = [
    "password",
    "passphrase",
    "secret",
    "key",
    "token",
    "jaas",
    "pem",
    "credential",
    "assertion",
    "oauthbearer.config",
    "sasl.username",
];

/// Shown in place of a secret.
const HIDDEN: &str = "***";

/// The longest part of a value that is shown, in characters: enough to recognise it, short enough
/// for a log line.
const SHOWN_CHARS: usize = 80;

/// A text is not a valid value: what is allowed, and what to do next.
///
/// The text itself is not part of it, as it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NotAllowed {
    reason: Cow<'static, str>,
}

impl NotAllowed {
    /// `reason` is half a sentence that can follow the variable and the value.
    pub(crate) fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: reason.into() }
    }
}

/// A setting that is wrong. Its [`Display`](fmt::Display) is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSetting {
    variable: String,
    shown_value: Option<String>,
    reason: NotAllowed,
}

impl InvalidSetting {
    /// A value that is not allowed. It is hidden if the variable's name is that of a secret.
    pub(crate) fn value(variable: &str, value: &str, reason: NotAllowed) -> Self {
        Self {
            variable: variable.to_owned(),
            shown_value: Some(shown(variable, value)),
            reason,
        }
    }

    /// A setting that is wrong whatever its value, or missing: no value is shown.
    pub(crate) fn name(variable: &str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            variable: variable.to_owned(),
            shown_value: None,
            reason: NotAllowed::new(reason),
        }
    }

    /// The name of the environment variable.
    #[must_use]
    pub fn variable(&self) -> &str {
        &self.variable
    }
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A name from the environment may hold line breaks; a problem is one line.
        write!(f, "{}", self.variable.escape_debug())?;
        if let Some(value) = &self.shown_value {
            write!(f, "={value}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// All settings that are wrong, one line each. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSettings {
    problems: Vec<InvalidSetting>,
}

impl InvalidSettings {
    pub(super) fn new(problems: Vec<InvalidSetting>) -> Self {
        Self { problems }
    }

    /// The problems: variables that are not UTF-8 first, then those of AWS, of the named settings,
    /// and of the `KAFKA_*` properties.
    #[must_use]
    pub fn problems(&self) -> &[InvalidSetting] {
        &self.problems
    }
}

impl fmt::Display for InvalidSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidSettings {}

/// Whether the value of a variable or a librdkafka property must never be shown.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', ".");
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// The value in quotes, hidden where it is a secret, and cut to [`SHOWN_CHARS`].
pub(super) fn shown(name: &str, value: &str) -> String {
    // An address may carry `user:password@` in front of the host.
    if is_secret(name) || value.contains('@') {
        return HIDDEN.to_owned();
    }
    if let Some(url) = without_query(value) {
        return format!("{:?}", cut(url, SHOWN_CHARS));
    }
    if value.chars().count() <= SHOWN_CHARS {
        return format!("{value:?}");
    }
    let start: String = value.chars().take(SHOWN_CHARS).collect();
    format!("{start:?}... ({} characters)", value.chars().count())
}

/// A text with a URL up to its query, which may hold a token. `None`: it has none.
fn without_query(value: &str) -> Option<String> {
    let (before, _) = value.split_once('?').filter(|(before, _)| before.contains("://"))?;
    Some(format!("{before}?{HIDDEN}"))
}

/// As [`shown`], a value of a JSON text: a text in quotes, and anything else as it is written, in one line.
pub(super) fn shown_json(name: &str, value: &RawValue) -> String {
    let json = value.get();
    match serde_json::from_str::<String>(json) {
        Ok(text) => shown(name, &text),
        Err(_) if is_secret(name) || json.contains('@') => HIDDEN.to_owned(),
        // A line break between the parts of a JSON text has no meaning.
        Err(_) => {
            let json = without_query(json).map_or(Cow::Borrowed(json), Cow::Owned);
            cut(json, SHOWN_CHARS).replace(['\n', '\r'], " ")
        }
    }
}
