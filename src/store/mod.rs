//! Storage of cursors: the [`Store`] seam, one file per backend.

pub mod dynamodb;
pub mod memory;

use std::future::Future;

use crate::claim::{Cursor, CursorWrite, Verdict};
use crate::error::{Error, ErrorType};

pub use crate::claim::InvalidCursor;
pub use crate::record::Consumer;

/// One item of the table. An unreadable cursor is a value here, because it stops
/// its own partition only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCursor {
    /// The partition's number.
    pub partition: i32,
    /// The cursor, or why the item is not one.
    pub cursor: Result<Cursor, InvalidCursor>,
}

/// The result of a conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteResult {
    /// The write was applied.
    Applied,
    /// A clause did not hold; this is the item that was there.
    Refused(Option<Result<Cursor, InvalidCursor>>),
    /// A read of the item decides whether it was applied: there was no response,
    /// or another write of the item conflicted with it. After a conflict it was not
    /// applied, and may be sent again. The text is the cause.
    Unknown(String),
}

/// Cursors and claims, by consumer and partition.
///
/// A backend returns the current items and makes no decisions. Every call ends
/// within the backend's own time-outs (seconds) and retries what is safe to
/// retry. Calls for different partitions may run concurrently.
pub trait Store: Send + Sync {
    /// All items of `consumer`, in ascending order of partition, read consistently.
    ///
    /// # Errors
    /// When the table does not exist, cannot be reached, or refuses the read.
    /// An item that is not a cursor is no error of the call.
    fn load(&self, consumer: &Consumer) -> impl Future<Output = Result<Vec<StoredCursor>, Error>> + Send;

    /// One item, read consistently; `None` if there is none.
    ///
    /// # Errors
    /// As for [`load`](Self::load), and when the item is not a cursor.
    fn load_one(
        &self,
        consumer: &Consumer,
        partition: i32,
    ) -> impl Future<Output = Result<Option<Cursor>, Error>> + Send;

    /// Sends one conditional write, which is applied as a whole or not at all.
    ///
    /// # Errors
    /// When the write was certainly not applied. Without a response the result
    /// is [`WriteResult::Unknown`]: a read of the item resolves it.
    fn write(
        &self,
        consumer: &Consumer,
        partition: i32,
        write: &CursorWrite,
    ) -> impl Future<Output = Result<WriteResult, Error>> + Send;
}

/// Why a write was not applied, or why its result is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteError {
    /// It was certainly not applied.
    NotApplied(Error),
    /// It may have been applied, or may still be.
    Unknown(Error),
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::NotApplied(error) | WriteError::Unknown(error) => error,
        }
    }
}

/// Makes `write` and resolves its result.
///
/// A refused write is judged by the item that was there, a write without a
/// response by one consistent read. A write that was certainly not applied is
/// sent once more.
///
/// # Errors
/// When the store fails, or when it stays unknown whether the write was applied.
pub async fn write_and_judge<S: Store>(
    store: &S,
    consumer: &Consumer,
    partition: i32,
    write: &CursorWrite,
    judge: impl Fn(Option<&Cursor>) -> Verdict,
) -> Result<Verdict, Error> {
    Ok(resolve_write(store, consumer, partition, write, judge).await?)
}

/// As [`write_and_judge`], with an error that keeps apart whether a failed
/// write may have been applied.
///
/// # Errors
/// As [`write_and_judge`].
pub async fn resolve_write<S: Store>(
    store: &S,
    consumer: &Consumer,
    partition: i32,
    write: &CursorWrite,
    judge: impl Fn(Option<&Cursor>) -> Verdict,
) -> Result<Verdict, WriteError> {
    let mut unknown: Option<String> = None;
    for _ in 0..2 {
        let certain = unknown.is_none();
        let failed = |error| {
            if certain {
                WriteError::NotApplied(error)
            } else {
                WriteError::Unknown(error)
            }
        };
        let item = match store.write(consumer, partition, write).await.map_err(failed)? {
            WriteResult::Applied => return Ok(Verdict::Applied),
            WriteResult::Refused(item) => item.transpose().map_err(|invalid| failed(invalid.into()))?,
            WriteResult::Unknown(cause) => {
                unknown = Some(cause);
                let item = store.load_one(consumer, partition).await;
                item.map_err(WriteError::Unknown)?
            }
        };
        match judge(item.as_ref()) {
            Verdict::NotApplied => {}
            verdict => return Ok(verdict),
        }
    }
    let (is_unknown, cause) = match unknown {
        Some(cause) => (true, cause),
        None => (
            false,
            "the item did not change, and the write was refused all the same".to_owned(),
        ),
    };
    let error = Error::new(
        ErrorType::TableUnreachable,
        format!("the cursor of {consumer}, partition {partition}, could not be written: {cause}"),
    )
    .next("Nothing is lost: the next run reads from the stored offset");
    Err(if is_unknown {
        WriteError::Unknown(error)
    } else {
        WriteError::NotApplied(error)
    })
}
