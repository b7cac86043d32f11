//! The result of one check, with the next step.

use std::fmt;

use clap::builder::styling::{AnsiColor, Effects, Style};
use serde::Serialize;

use crate::cli::output::Screen;
use crate::error::{Error, ErrorType};
use crate::kafka::errors::Explanation;

/// The status of a check, the least serious first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// It works.
    Ok,
    /// Not checked, because another failure makes the result meaningless.
    Skipped,
    /// It works, and needs attention.
    Warning,
    /// Runs fail because of it, or will.
    Failed,
}

/// The result of a check, printed as JSON and as lines.
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
    /// The type of error with which a run fails.
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

    /// Not checked, and why.
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

    /// A failure that a run has too, with the same text.
    pub(super) fn error(name: &'static str, error: &Error) -> Self {
        Self {
            next: Some(error.next.clone()).filter(|next| !next.is_empty()),
            error_type: Some(error.kind),
            ..Self::new(name, Status::Failed, &error.what)
        }
    }

    pub(super) fn explained(name: &'static str, error_type: ErrorType, explanation: Explanation) -> Self {
        Self::failed(name, error_type, explanation.what, explanation.next)
    }

    /// AWS refused the credentials, whatever their permissions.
    pub(super) fn credentials_refused(name: &'static str, error_type: ErrorType, code: &str) -> Self {
        let what = format!("the AWS credentials were refused: {code}");
        Self::failed(name, error_type, what, "Renew them, and check this machine's clock")
    }

    /// The target of the check, where there are several checks with this name.
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

    /// The check as text: a line, with details and the next step indented.
    pub(super) fn lines(&self, screen: Screen) -> String {
        let style = match self.status {
            _ if !screen.colours => Style::new(),
            Status::Ok => AnsiColor::Green.on_default(),
            Status::Skipped => Style::new().effects(Effects::DIMMED),
            Status::Warning => AnsiColor::Yellow.on_default(),
            Status::Failed => AnsiColor::Red.on_default(),
        };
        let status = format!("{style}{:<8}{style:#}", self.status);
        let name = self.name.replace('_', " ");
        let target = self.target.iter().map(|target| format!(" {target}"));
        let mut lines = format!("{status} {name}{}: {}", target.collect::<String>(), self.what);
        let next = self.next.iter().map(|next| format!("next: {next}"));
        for line in self.details.iter().cloned().chain(next) {
            lines.push_str("\n           ");
            lines.push_str(&line);
        }
        lines
    }

    /// The last line on stderr, for the first check that failed.
    pub(super) fn error_line(&self) -> Option<String> {
        // An explained error names its endpoint already.
        let target = self.target.iter().filter(|target| !self.what.contains(*target));
        let what: String = target
            .map(|target| format!("{target}: "))
            .chain([self.what.clone()])
            .collect();
        let error = Error::new(self.error_type?, what);
        Some(error.next(self.next.clone().unwrap_or_default()).to_string())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_one_line_with_details_and_next_step_indented() {
        let check = Check::failed("table", ErrorType::TableNotFound, "it is not there", "Create it")
            .on("cursors")
            .with(["in eu-west-1".to_owned()]);
        assert_eq!(
            check.lines(Screen::default()),
            "failed   table cursors: it is not there\n           in eu-west-1\n           next: Create it"
        );
        assert_eq!(
            check.error_line().as_deref(),
            Some("TableNotFound: cursors: it is not there. Create it")
        );
        assert_eq!(
            Check::skipped("client_certificate", "there is none").lines(Screen::default()),
            "skipped  client certificate: not checked: there is none"
        );
    }

    #[test]
    fn absent_parts_are_left_out_of_the_document() {
        let json = |check: &Check| serde_json::to_value(check).expect("it is JSON");
        assert_eq!(
            json(&Check::ok("clock", "the same")),
            serde_json::json!({"name": "clock", "status": "ok", "what": "the same"})
        );
        let failed = Check::error(
            "topic",
            &Error::new(ErrorType::UnknownTopic, "there is none").next("Create it"),
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
