//! Where cursors live: the [`Store`] seam, one file per backend.

pub mod dynamodb;
pub mod memory;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::claim::{Cursor, CursorWrite, Verdict};
use crate::error::{Error, ErrorType};

/// Whose cursors: a consumer group on one topic, or one of its backfills.
/// Shown as the table's partition key: `<group_id>_<topic>`, for a backfill
/// `<group_id>_<topic>#<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Consumer {
    /// The group's name.
    pub group_id: Arc<str>,
    /// The topic's name.
    pub topic: Arc<str>,
    /// The backfill's name; `None`: the live cursors.
    pub backfill: Option<Arc<str>>,
}

impl Consumer {
    /// The key without its group: `<topic>`, for a backfill `<topic>#<name>`.
    #[must_use]
    pub fn scope(&self) -> String {
        match &self.backfill {
            Some(name) => format!("{}#{name}", self.topic),
            None => self.topic.to_string(),
        }
    }
}

impl fmt::Display for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.group_id, self.scope())
    }
}

/// One item of the table. A cursor that cannot be read is a value here: it
/// stops its own partition and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCursor {
    /// The partition's number.
    pub partition: i32,
    /// The cursor, or why the item is not one.
    pub cursor: Result<Cursor, InvalidCursor>,
}

/// Why an item cannot be read as a cursor: it names the item, the attribute,
/// what was found and what belongs there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidCursor(pub String);

/// What a store answered to a conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteResult {
    /// The write was made.
    Applied,
    /// A clause did not hold; this is the item that was there.
    Refused(Option<Result<Cursor, InvalidCursor>>),
    /// No answer: the write may have been applied or not.
    Unknown(String),
}

/// Cursors and claims, by consumer and partition.
///
/// A backend answers what is there at that moment; it decides nothing. Every
/// call ends within the backend's own patience (seconds), and retries what can
/// safely be tried again. Calls for different partitions may run at once.
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

    /// Makes one conditional write: all of it, or nothing.
    ///
    /// # Errors
    /// When the write was certainly not made. Without an answer it is
    /// [`WriteResult::Unknown`], which is no error yet: the item tells.
    fn write(
        &self,
        consumer: &Consumer,
        partition: i32,
        write: &CursorWrite,
    ) -> impl Future<Output = Result<WriteResult, Error>> + Send;
}

/// Why it is not known what became of a write, or why it was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteError {
    /// It was certainly not made.
    NotApplied(Error),
    /// It may have been made, or may yet be.
    Unknown(Error),
}

impl From<WriteError> for Error {
    fn from(unwritten: WriteError) -> Self {
        match unwritten {
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
    let mut unanswered: Option<String> = None;
    for _ in 0..2 {
        let certain = unanswered.is_none();
        let failed = |error| {
            if certain {
                WriteError::NotApplied(error)
            } else {
                WriteError::Unknown(error)
            }
        };
        let item = match store.write(consumer, partition, write).await.map_err(failed)? {
            WriteResult::Applied => return Ok(Verdict::Applied),
            WriteResult::Refused(item) => item
                .transpose()
                .map_err(|invalid| failed(Error::new(ErrorType::InvalidCursor, invalid.0)))?,
            WriteResult::Unknown(trouble) => {
                unanswered = Some(trouble);
                let item = store.load_one(consumer, partition).await;
                item.map_err(WriteError::Unknown)?
            }
        };
        match judge(item.as_ref()) {
            Verdict::NotApplied => {}
            verdict => return Ok(verdict),
        }
    }
    let (unknown, trouble) = match unanswered {
        Some(trouble) => (true, trouble),
        None => (
            false,
            "the item did not change, and the write was refused all the same".to_owned(),
        ),
    };
    let error = Error::new(
        ErrorType::TableUnreachable,
        format!(
            "the cursor of {consumer}, partition {partition}, could not be written: {trouble}. \
             Nothing is lost: the next run reads from the stored offset"
        ),
    );
    Err(if unknown {
        WriteError::Unknown(error)
    } else {
        WriteError::NotApplied(error)
    })
}
