//! The demo's handler: it counts how often it sees each order, and may die.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::clock::DemoClock;
use super::orders::Order;
use crate::decode;
use crate::processor::{Failure, Processor, Progress, RunContext};
use crate::record::{Chunk, Record};

/// How often each order was handled, by partition and offset.
pub(super) type ObservedItem = BTreeMap<(i32, i64), u32>;

/// How long the handler takes for its first chunk in the run that dies: longer
/// than settled records wait for the write of their offset.
const SLOW: Duration = Duration::from_secs(6);

/// Handles orders. Clones count together.
#[derive(Clone, Default)]
pub(super) struct Handler {
    seen: Arc<Mutex<ObservedItem>>,
    death: Option<Arc<Death>>,
}

impl Handler {
    /// The same handler, and a run in which it dies.
    pub(super) fn dying(&self, death: Arc<Death>) -> Self {
        Self {
            death: Some(death),
            ..self.clone()
        }
    }

    /// What it has seen so far.
    pub(super) fn seen(&self) -> ObservedItem {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, ObservedItem> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, records: &[Record]) -> Progress {
        for (settled, record) in records.iter().enumerate() {
            match decode::json::<Order>(record) {
                Ok(Some(_)) => {
                    *self
                        .lock()
                        .entry((record.partition.partition, record.offset))
                        .or_default() += 1;
                }
                Ok(None) => {}
                Err(error) => {
                    return Progress {
                        settled,
                        stop: Some(Failure::Poison(error.to_string())),
                    };
                }
            }
        }
        Progress {
            settled: records.len(),
            stop: None,
        }
    }
}

impl Processor for Handler {
    async fn process(&self, chunk: &Chunk, _run: &RunContext) -> Progress {
        let Some(death) = &self.death else {
            return self.handle(chunk.records());
        };
        if death.spares(chunk.partition().partition) {
            return self.handle(chunk.records());
        }
        // Half of the chunk is done, and nobody will ever hear of it.
        self.handle(&chunk.records()[..chunk.len().div_ceil(2)]);
        death.reached.add_permits(1);
        std::future::pending().await
    }

    fn decodes(&self) -> bool {
        true
    }
}

/// How a process dies: each partition settles a first chunk, and the end comes
/// when all of them are in the middle of the second.
///
/// The first chunk of all is slow, so each partition stores its offset after
/// its first chunk. While all are in their second, no write is on its way:
/// what the table shows then is what the dead process left.
pub(super) struct Death {
    clock: DemoClock,
    first_chunks: Mutex<Vec<i32>>,
    reached: Semaphore,
}

impl Death {
    pub(super) fn new(clock: DemoClock) -> Self {
        Self {
            clock,
            first_chunks: Mutex::default(),
            reached: Semaphore::new(0),
        }
    }

    /// Resolves when so many partitions are in the middle of a chunk.
    pub(super) async fn comes(&self, partitions: u32) {
        // The semaphore is never closed.
        let _ = self.reached.acquire_many(partitions).await;
    }

    /// Whether this chunk is the partition's first.
    fn spares(&self, partition: i32) -> bool {
        let mut first_chunks = self.first_chunks.lock().unwrap_or_else(PoisonError::into_inner);
        if first_chunks.contains(&partition) {
            return false;
        }
        if first_chunks.is_empty() {
            self.clock.work(SLOW);
        }
        first_chunks.push(partition);
        true
    }
}
