//! Why a connection or a request failed, and what to do next. Each failure is
//! worded once, here, for runs and for `doctor`.
//!
//! | file | |
//! |---|---|
//! | `cause` | librdkafka's log lines, error events and statistics -> [`ConnectionError`](cause::ConnectionError); pure |
//! | `explain` | a connection error -> what happened, and the next step; pure |
//! | `create` | why librdkafka creates no client from the properties; pure |
//! | `response` | why a request got no response |

pub(crate) mod cause;
pub(crate) mod create;
pub(crate) mod explain;
pub(crate) mod response;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::error::{Error, ErrorType};

/// What happened, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Explanation {
    /// Without a full stop at its end.
    pub(crate) what: String,
    /// A sentence without its full stop. Never empty.
    pub(crate) next: String,
}

impl Explanation {
    pub(crate) fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            next: next.into(),
        }
    }

    pub(crate) fn into_error(self, kind: ErrorType) -> Error {
        Error::new(kind, self.what).next(self.next)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}", self.what, self.next)
    }
}
