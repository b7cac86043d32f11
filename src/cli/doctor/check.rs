//! One finding: what is so, and what to do about it.

use std::fmt;

use console::Style;
use serde::Serialize;

use crate::cli::output::Screen;
use crate::error::{Error, ErrorType};

/// What came of looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// As it should be.
    Ok,
    /// Nobody looked, because it would say nothing.
    Skipped,
    /// It works, and should be seen to.
    Warning,
    /// Runs fail, or will.
    Failed,
}

/// A finding, as JSON and as lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<String>,
    pub(super) status: Status,
    pub(super) what: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) details: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
    /// What a run fails with because of it.
    #[serde(rename = "error", skip_serializing_if = "Option::is_none")]
    pub(super) error_type: Option<ErrorType>,
}

impl Check {
    fn new(name: &'static str, status: Status, what: impl Into<String>) -> Self {
        Self {
            name,
            target: None,
            status,
            what: what.into(),
            details: vec![],
            next: None,
            error_type: None,
        }
    }

    pub(super) fn ok(name: &'static str, what: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, what)
    }

    /// Not looked at, and why.
    pub(super) fn skipped(name: &'static str, why: impl fmt::Display) -> Self {
        Self::new(name, Status::Skipped, format!("not checked: {why}"))
    }

    pub(super) fn warning(name: &'static str, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            next: Some(next.into()),
            ..Self::new(name, Status::Warning, what)
        }
    }

    pub(super) fn failed(
        name: &'static str,
        error_type: ErrorType,
        what: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            next: Some(next.into()),
            error_type: Some(error_type),
            ..Self::new(name, Status::Failed, what)
        }
    }

    /// A failure that a run would have too, in its words.
    pub(super) fn error(name: &'static str, error: &Error) -> Self {
        let message = error.message();
        let (what, next) = sentences(&message);
        Self {
            next: next.map(str::to_owned),
            error_type: Some(error.kind),
            ..Self::new(name, Status::Failed, what)
        }
    }

    /// What it is about, where there are several of its kind.
    pub(super) fn on(self, target: impl fmt::Display) -> Self {
        Self {
            target: Some(target.to_string()),
            ..self
        }
    }

    pub(super) fn with(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }

    /// The finding in words: a line, and what belongs to it indented.
    pub(super) fn lines(&self, screen: Screen) -> String {
        let style = match self.status {
            Status::Ok => Style::new().green(),
            Status::Skipped => Style::new().dim(),
            Status::Warning => Style::new().yellow(),
            Status::Failed => Style::new().red(),
        };
        let status = style
            .force_styling(screen.colours)
            .apply_to(format!("{:<8}", self.status));
        let name = self.name.replace('_', " ");
        let about = self
            .target
            .as_ref()
            .map_or(name.clone(), |target| format!("{name} {target}"));
        let mut lines = format!("{status} {about}: {}", self.what);
        let next = self.next.iter().map(|next| format!("next: {next}"));
        for line in self.details.iter().cloned().chain(next) {
            lines.push_str("\n           ");
            lines.push_str(&line);
        }
        lines
    }

    /// As the last line on stderr, when it is why the doctor failed.
    pub(super) fn complaint(&self) -> Option<String> {
        let about = self
            .target
            .as_ref()
            .map_or(String::new(), |target| format!("{target}: "));
        let next = self.next.as_ref().map_or(String::new(), |next| format!(". {next}"));
        Some(format!("{}: {about}{}{next}", self.error_type?, self.what))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Failed => "failed",
        })
    }
}

/// What a message says happened, and what it says to do next: its last sentence.
pub(super) fn sentences(message: &str) -> (&str, Option<&str>) {
    let begins = |at: &usize| message[at + 2..].starts_with(|c: char| c.is_ascii_uppercase());
    let last = message.rmatch_indices(". ").map(|(at, _)| at).find(begins);
    match last {
        Some(at) => (&message[..at], Some(message[at + 2..].trim_end_matches('.'))),
        None => (message, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_with_what_to_do() {
        let rows = [
            ("it is gone. Create it", ("it is gone", Some("Create it"))),
            ("a. b is no sentence. Look", ("a. b is no sentence", Some("Look"))),
            (
                "It said: No. Try 1.5 s. Ask again, e.g. twice.",
                ("It said: No. Try 1.5 s", Some("Ask again, e.g. twice")),
            ),
            ("it is gone", ("it is gone", None)),
            ("", ("", None)),
        ];
        for (message, expected) in rows {
            assert_eq!(sentences(message), expected, "{message}");
        }
    }

    #[test]
    fn a_finding_is_one_line_and_what_belongs_to_it_is_indented() {
        let check = Check::failed("table", ErrorType::TableNotFound, "it is not there", "Create it")
            .on("cursors")
            .with(["asked in eu-west-1".to_owned()]);
        assert_eq!(
            check.lines(Screen::default()),
            "failed   table cursors: it is not there\n           asked in eu-west-1\n           next: Create it"
        );
        assert_eq!(
            check.complaint().as_deref(),
            Some("TableNotFound: cursors: it is not there. Create it")
        );
        assert_eq!(
            Check::skipped("client_certificate", "there is none").lines(Screen::default()),
            "skipped  client certificate: not checked: there is none"
        );
    }

    #[test]
    fn what_is_not_there_is_not_in_the_document() {
        let json = |check: &Check| serde_json::to_value(check).expect("it is JSON");
        assert_eq!(
            json(&Check::ok("clock", "the same")),
            serde_json::json!({"name": "clock", "status": "ok", "what": "the same"})
        );
        let failed = Check::error(
            "topic",
            &Error::new(ErrorType::UnknownTopic, "there is none. Create it"),
        )
        .on("t");
        assert_eq!(
            json(&failed),
            serde_json::json!({
                "name": "topic", "target": "t", "status": "failed", "what": "there is none", "next": "Create it",
                "error": "UnknownTopic"
            })
        );
    }
}
