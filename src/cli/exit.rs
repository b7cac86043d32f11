//! The exit codes.

use crate::error::{Error, ErrorType};

/// The exit code of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// The command did its work.
    Done = 0,
    /// The command failed.
    Failed = 1,
    /// Wrong arguments or settings.
    Usage = 2,
    /// Some partitions are blocked, truncated or lost; the others were done.
    Partial = 3,
}

impl From<&Error> for Exit {
    fn from(error: &Error) -> Self {
        match error.kind {
            ErrorType::InvalidConfiguration | ErrorType::InvalidEvent => Self::Usage,
            kind if kind.is_partial() => Self::Partial,
            _ => Self::Failed,
        }
    }
}
