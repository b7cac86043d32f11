//! The seam to a service that takes records: what a new one implements.

use std::future::Future;

use crate::record::Record;

/// What a call of a service may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Entries of one call.
    pub(crate) entries: usize,
    /// Bytes of all entries of one call. An entry that is larger is sent alone.
    pub(crate) call_bytes: usize,
    /// Bytes of one entry: a larger one is never sent.
    pub(crate) entry_bytes: usize,
}

/// A service that takes entries. It knows the calls and the errors of the service, and
/// not what the entries are for: records and dead letters go through the same one.
///
/// The contract, which `tests/services/destinations/conformance.rs` checks for each:
///
/// - One call, with at most [`Limits::entries`] entries, at least one. The order of the
///   entries is the order of the offsets.
/// - Calls for different partitions are made at once, so `&self` is shared.
/// - No retries of entries: the caller sends them again. Retries of a call whose
///   response was lost are allowed, because an entry may be sent twice anyway.
/// - The future may be dropped at any `.await`. Its entries are sent again later.
pub(crate) trait Sender: Send + Sync {
    /// A record, or a dead letter, as the service takes it.
    type Entry: Send + Sync;

    /// What a call may hold.
    fn limits(&self) -> Limits;

    /// The bytes of an entry, as the service counts them.
    fn bytes(&self, entry: &Self::Entry) -> usize;

    /// Sends the entries in one call.
    ///
    /// # Errors
    /// If the call was refused as a whole.
    fn send(&self, entries: &[Self::Entry]) -> impl Future<Output = Result<Vec<EntryOutcome>, CallFailure>> + Send;
}

/// Makes the entries of a service. It knows what they are for.
pub(crate) trait Encoder<Entry>: Send + Sync {
    /// The entry of a record.
    ///
    /// # Errors
    /// If the service can never take it.
    fn encode(&self, record: &Record) -> Result<Entry, Unfit>;

    /// What is sent in place of an entry that is too large; `None`: nothing.
    fn reduced(&self, record: &Record) -> Option<Entry> {
        let _ = record;
        None
    }

    /// Why a record that is too large fails: what happened, and what to do next.
    fn too_large(&self, limits: Limits) -> String {
        format!(
            "MaximumPayloadSizeExceeded: the record alone is too large: {} bytes at most, or less by the destination's \
             own setting",
            limits.entry_bytes
        )
    }
}

/// Why a record has no entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It is far above every limit.
    TooLarge,
    /// The service takes no such content: why, and what to do next.
    Invalid(String),
}

/// What the service's response says of one entry. The texts name what happened and what to
/// do next, and hold nothing of the entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EntryOutcome {
    /// It is stored.
    Accepted,
    /// Refused for now, whatever its content.
    Throttled(String),
    /// The service takes no entry of this size.
    TooLarge,
    /// It can never be accepted.
    Invalid(String),
    /// No entry is accepted before something is corrected.
    Fatal(String),
}

/// A call that was refused as a whole, or whose response did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallFailure {
    /// Throttled, not reachable, an error of the service, or a response that was lost: it may have been accepted.
    Throttled(String),
    /// The call is too large. With fewer entries it is made again.
    TooLarge,
    /// The content of an entry cannot be accepted, and the service does not name the entry. The
    /// call is made again with fewer entries, until it is alone.
    Invalid(String),
    /// No call is accepted before something is corrected: permissions, a name, credentials.
    Fatal(String),
}
