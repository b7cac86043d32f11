//! Processors from a closure that handles one record.

use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::decode;
use crate::processor::{Failure, Processor, Progress, RunContext};
use crate::record::{Chunk, Record};

/// A processor from a closure that handles one record.
///
/// The closure is called for each record of a partition in order, one call at
/// a time, and for several partitions at once. An `Err` stops the partition at
/// that record. Between two records it stops when the next would not be done
/// in the time left, so a slow handler still settles some records in each run.
///
/// A value that does not fit `MESSAGE_FORMAT` (default `json`) does not reach
/// the closure: it fails as [`Failure::Poison`] does.
///
/// ```
/// use kafka_consumer_lambda::processor::Processor;
/// use kafka_consumer_lambda::{Failure, Record, each};
///
/// fn handler() -> impl Processor {
///     each(|record: Record| async move {
///         if record.is_tombstone() {
///             return Ok(()); // the key was deleted: nothing to store
///         }
///         store(&record.id()).await.map_err(|error| Failure::Retry(error.to_string()))
///     })
/// }
/// # async fn store(_: &str) -> Result<(), std::io::Error> { Ok(()) }
/// # let _ = handler();
/// ```
pub fn each<F, Fut>(handle: F) -> impl Processor
where
    F: Fn(Record) -> Fut + Send + Sync,
    Fut: Future<Output = Result<(), Failure>> + Send,
{
    Each { handle }
}

/// A processor from a closure that handles one JSON value.
///
/// Like [`each`], with the value parsed into `T`; `None` is a tombstone. A
/// value that is not a `T` is [`Failure::Undecodable`]: the error names the record
/// and the position of the error in it, and shows nothing of the value.
/// `MESSAGE_FORMAT` does not apply.
///
/// ```
/// use kafka_consumer_lambda::processor::Processor;
/// use kafka_consumer_lambda::{Record, json};
///
/// #[derive(serde::Deserialize)]
/// struct Order { id: u64 }
///
/// fn handler() -> impl Processor {
///     json(|order: Option<Order>, record: Record| async move {
///         match order {
///             Some(order) => tracing::info!(order.id, "stored"),
///             None => tracing::info!(record = record.id(), "deleted"),
///         }
///         Ok(())
///     })
/// }
/// # let _ = handler();
/// ```
pub fn json<T, F, Fut>(handle: F) -> impl Processor
where
    T: DeserializeOwned + Send + Sync,
    F: Fn(Option<T>, Record) -> Fut + Send + Sync,
    Fut: Future<Output = Result<(), Failure>> + Send,
{
    Json {
        handle,
        value: PhantomData,
    }
}

struct Each<F> {
    handle: F,
}

impl<F, Fut> Processor for Each<F>
where
    F: Fn(Record) -> Fut + Send + Sync,
    Fut: Future<Output = Result<(), Failure>> + Send,
{
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        one_by_one(chunk, run, |record| (self.handle)(record.clone())).await
    }
}

struct Json<T, F> {
    handle: F,
    value: PhantomData<fn() -> T>,
}

impl<T, F, Fut> Processor for Json<T, F>
where
    T: DeserializeOwned + Send + Sync,
    F: Fn(Option<T>, Record) -> Fut + Send + Sync,
    Fut: Future<Output = Result<(), Failure>> + Send,
{
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        one_by_one(chunk, run, |record| {
            let work = decode::json::<T>(record).map(|value| (self.handle)(value, record.clone()));
            async move {
                match work {
                    Ok(work) => work.await,
                    Err(error) => Err(Failure::Undecodable(error)),
                }
            }
        })
        .await
    }

    fn decodes(&self, _topic: &str) -> bool {
        true
    }
}

/// Handles one record after the other. Stops between two if the next would not be
/// finished in time, by the slowest so far: a record that is cut off has used its
/// time for nothing, and is handled again.
async fn one_by_one<'a, Fut>(chunk: &'a Chunk, run: &RunContext, handle: impl Fn(&'a Record) -> Fut) -> Progress
where
    Fut: Future<Output = Result<(), Failure>> + Send,
{
    let mut slowest = Duration::ZERO;
    for (settled, record) in chunk.records().iter().enumerate() {
        let left = run.time_left();
        // The first record is always tried: the run has just checked the time.
        if settled > 0 && left <= slowest {
            return Progress { settled, stop: None };
        }
        if let Err(failure) = handle(record).await {
            return Progress {
                settled,
                stop: Some(failure),
            };
        }
        slowest = slowest.max(left.saturating_sub(run.time_left()));
    }
    Progress::all(chunk)
}
