//! How a run fails: the contract's error types, and a message that says what
//! happened, where, and what to do next.

use std::fmt;

use serde::Serialize;

/// The type of a failure, as it is shown to Lambda, in the report and on the
/// command line. The names are public: alarms and scripts look for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum ErrorType {
    /// A setting is missing or wrong.
    InvalidConfiguration,
    /// The invocation event is not one this function knows.
    InvalidEvent,
    /// A broker's name, port or TLS does not answer, or a partition has no leader.
    BrokerUnreachable,
    /// The broker refused the credentials.
    AuthenticationFailed,
    /// The broker knows the user and refuses the topic.
    NotAuthorized,
    /// The topic does not exist.
    UnknownTopic,
    /// The `DynamoDB` table does not exist, or its keys are not ours.
    TableNotFound,
    /// `DynamoDB` did not answer, or refused the request.
    TableUnreachable,
    /// An item of the table cannot be read as a cursor.
    InvalidCursor,
    /// A cursor lies past the end of its partition.
    Truncated,
    /// Records after the cursor were deleted by retention.
    RetentionLoss,
    /// A record cannot be processed, and holds up its partition.
    PartitionBlocked,
    /// The right to move a cursor was lost while working.
    ClaimLost,
    /// The handler or its destination failed for good.
    DestinationFailed,
    /// The handler or its destination was unfinished at the deadline.
    Timeout,
    /// On the command line: a cursor was not moved, because a live run has
    /// claimed it or it changed since it was read.
    Held,
}

impl ErrorType {
    /// Whether the other partitions were done all the same: exit code 3 of the
    /// command line.
    #[must_use]
    pub fn is_partial(self) -> bool {
        matches!(
            self,
            Self::PartitionBlocked | Self::Truncated | Self::RetentionLoss | Self::ClaimLost
        )
    }
}

impl fmt::Display for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A failure: its type, and a message that says what happened, to which topic,
/// partition and offset, and what to do next. Never a password, a key or a
/// record's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{error_type}: {message}")]
pub struct Error {
    /// The type.
    #[serde(rename = "type")]
    pub error_type: ErrorType,
    /// The message.
    pub message: String,
}

impl Error {
    /// A failure of the type `error_type`.
    pub fn new(error_type: ErrorType, message: impl Into<String>) -> Self {
        Self {
            error_type,
            message: message.into(),
        }
    }
}

impl From<Error> for lambda_runtime::Diagnostic {
    fn from(error: Error) -> Self {
        Self {
            error_type: error.error_type.to_string(),
            error_message: error.message,
        }
    }
}
