//! How a run fails: the contract's error types, and a message that says what
//! happened, where, and what to do next.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

/// The type of a failure, as it is shown to Lambda, in the report and on the
/// command line. The names are public: alarms and scripts look for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum ErrorType {
    /// A setting is missing or wrong.
    InvalidConfiguration,
    /// The invocation event has an unknown action or field, or a wrong value.
    InvalidEvent,
    /// No connection to a broker (name, port, TLS), no response from it, or a partition has no leader.
    BrokerUnreachable,
    /// The broker refused the credentials.
    AuthenticationFailed,
    /// The user is authenticated and has no permission on the topic.
    NotAuthorized,
    /// The topic does not exist.
    UnknownTopic,
    /// The `DynamoDB` table does not exist, or has other keys.
    TableNotFound,
    /// `DynamoDB` sent no response, or refused the request.
    TableUnreachable,
    /// An item of the table cannot be read as a cursor.
    InvalidCursor,
    /// A cursor lies past the end of its partition.
    Truncated,
    /// Records after the cursor were deleted by retention.
    RetentionLoss,
    /// A record cannot be processed, and holds up its partition.
    PartitionBlocked,
    /// A claim was taken over, or expired, while its run was working.
    ClaimLost,
    /// The handler or its destination failed for good.
    DestinationFailed,
    /// The handler or its destination was unfinished at the deadline.
    Timeout,
    /// On the command line: a cursor was not moved, because a live run has
    /// claimed it or it changed since it was read.
    Held,
}

/// Defines [`ErrorType::ALL`] and `severity` from one list: a type that is missing
/// in it does not compile.
macro_rules! severities {
    ($(#[$documentation:meta])* $($kind:ident = $severity:literal,)+) => {
        /// Every type, in descending order of severity.
        pub const ALL: &[Self] = &[$(Self::$kind,)+];

        $(#[$documentation])*
        #[must_use]
        pub const fn severity(self) -> u8 {
            match self {
                $(Self::$kind => $severity,)+
            }
        }
    };
}

impl ErrorType {
    severities! {
        /// Which of several errors stands for all: the one with the highest
        /// severity, and of equal ones the first.
        ///
        /// | severity | type | |
        /// |---|---|---|
        /// | 15, 14 | `InvalidConfiguration`, `InvalidEvent` | nothing works until it is corrected |
        /// | 13 to 10 | `BrokerUnreachable`, `AuthenticationFailed`, `NotAuthorized`, `UnknownTopic` | topics wait |
        /// | 9 to 7 | `TableNotFound`, `TableUnreachable`, `InvalidCursor` | cursors wait |
        /// | 6, 5 | `DestinationFailed`, `Timeout` | records wait |
        /// | 4 | `Held` | another run has the claim |
        /// | 3 to 0 | `Truncated`, `RetentionLoss`, `PartitionBlocked`, `ClaimLost` | the other partitions were done |
        InvalidConfiguration = 15,
        InvalidEvent = 14,
        BrokerUnreachable = 13,
        AuthenticationFailed = 12,
        NotAuthorized = 11,
        UnknownTopic = 10,
        TableNotFound = 9,
        TableUnreachable = 8,
        InvalidCursor = 7,
        DestinationFailed = 6,
        Timeout = 5,
        Held = 4,
        Truncated = 3,
        RetentionLoss = 2,
        PartitionBlocked = 1,
        ClaimLost = 0,
    }

    /// Whether the other partitions were done all the same: exit code 3 of the
    /// command line.
    #[must_use]
    pub const fn is_partial(self) -> bool {
        self.severity() <= Self::Truncated.severity()
    }
}

impl fmt::Display for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A failure: its type, what happened to which topic, partition and offset, and
/// what to do next. Holds no password, key or record value.
///
/// As text it is `Type: message`, as JSON `{"type", "message"}`, where the
/// [`message`](Self::message) is what happened and what to do next.
#[derive(Debug, Clone)]
pub struct Error {
    /// The type.
    pub kind: ErrorType,
    /// What happened, and where. Without a full stop at its end.
    pub what: String,
    /// What to do next, as a sentence without its full stop. Empty where there
    /// is nothing to do.
    pub next: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure of the type `kind`, by what happened.
    pub fn new(kind: ErrorType, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            next: String::new(),
            source: None,
        }
    }

    /// The same, with what to do next.
    #[must_use]
    pub fn next(self, next: impl Into<String>) -> Self {
        Self {
            next: next.into(),
            ..self
        }
    }

    /// The same, with the error that caused it, for those who walk the chain of
    /// sources. Its text is not part of the message.
    #[must_use]
    pub fn caused_by(self, source: impl StdError + Send + Sync + 'static) -> Self {
        Self {
            source: Some(Arc::new(source)),
            ..self
        }
    }

    /// What happened, and what to do next.
    #[must_use]
    pub fn message(&self) -> String {
        if self.next.is_empty() {
            self.what.clone()
        } else {
            format!("{}. {}", self.what, self.next)
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// By type and message: the cause is not compared.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.message() == other.message()
    }
}

impl Eq for Error {}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut error = serializer.serialize_struct("Error", 2)?;
        error.serialize_field("type", &self.kind)?;
        error.serialize_field("message", &self.message())?;
        error.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_a_severity_of_its_own_in_the_order_of_the_table() {
        let severities: Vec<_> = ErrorType::ALL.iter().map(|kind| kind.severity()).collect();
        assert_eq!(severities, (0..16).rev().collect::<Vec<_>>());
    }

    #[test]
    fn the_errors_of_single_partitions_are_the_least_severe() {
        let partial: Vec<_> = ErrorType::ALL.iter().copied().filter(|it| it.is_partial()).collect();
        assert_eq!(partial, ErrorType::ALL[12..]);
    }

    #[test]
    fn an_error_is_its_type_what_happened_and_what_to_do_next() {
        let error = Error::new(ErrorType::UnknownTopic, "the topic t does not exist").next("Create it");
        assert_eq!(error.to_string(), "UnknownTopic: the topic t does not exist. Create it");
        assert_eq!(
            serde_json::to_value(&error).expect("JSON"),
            serde_json::json!({"type": "UnknownTopic", "message": "the topic t does not exist. Create it"})
        );
        let plain = Error::new(ErrorType::UnknownTopic, "no topic");
        assert_eq!(plain.to_string(), "UnknownTopic: no topic");
    }

    #[test]
    fn a_cause_is_the_source_and_no_part_of_the_message() {
        let error = Error::new(ErrorType::Timeout, "late").caused_by(fmt::Error);
        assert!(error.source().is_some_and(<dyn StdError>::is::<fmt::Error>));
        assert_eq!(error, Error::new(ErrorType::Timeout, "late"));
    }
}
