//! The demo's handler: it counts how often each order is handled, and may crash.

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
pub(super) type HandledCounts = BTreeMap<(i32, i64), u32>;

/// How long the handler takes for its first chunk in the run that crashes: longer
/// than the interval at which offsets are stored.
const SLOW: Duration = Duration::from_secs(6);

/// Handles orders. Clones share the counts.
#[derive(Clone, Default)]
pub(super) struct Handler {
    handled: Arc<Mutex<HandledCounts>>,
    crash: Option<Arc<Crash>>,
}

impl Handler {
    /// The same handler, for the run in which it crashes.
    pub(super) fn crashing(&self, crash: Arc<Crash>) -> Self {
        Self {
            crash: Some(crash),
            ..self.clone()
        }
    }

    /// The counts so far.
    pub(super) fn handled(&self) -> HandledCounts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, HandledCounts> {
        self.handled.lock().unwrap_or_else(PoisonError::into_inner)
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
                        stop: Some(Failure::Undecodable(error)),
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
        let Some(crash) = &self.crash else {
            return self.handle(chunk.records());
        };
        if crash.is_first_chunk(chunk.partition().partition) {
            return self.handle(chunk.records());
        }
        // Half of the chunk is handled, and never reported as settled.
        self.handle(&chunk.records()[..chunk.len().div_ceil(2)]);
        crash.reached.add_permits(1);
        std::future::pending().await
    }

    fn decodes(&self, _topic: &str) -> bool {
        true
    }
}

/// A crash of the process: each partition settles a first chunk, and the process
/// ends when all of them are in the middle of the second.
///
/// The first chunk of all is slow, so each partition stores its offset after
/// its first chunk. While all are in their second, no write is in flight:
/// the table then holds what the crashed process stored.
pub(super) struct Crash {
    clock: DemoClock,
    first_chunks: Mutex<Vec<i32>>,
    reached: Semaphore,
}

impl Crash {
    pub(super) fn new(clock: DemoClock) -> Self {
        Self {
            clock,
            first_chunks: Mutex::default(),
            reached: Semaphore::new(0),
        }
    }

    /// Resolves when so many partitions are in the middle of a chunk.
    pub(super) async fn reached(&self, partitions: u32) {
        // The semaphore is never closed.
        let _ = self.reached.acquire_many(partitions).await;
    }

    /// Whether this chunk is the partition's first.
    fn is_first_chunk(&self, partition: i32) -> bool {
        let mut first_chunks = self.first_chunks.lock().unwrap_or_else(PoisonError::into_inner);
        if first_chunks.contains(&partition) {
            return false;
        }
        if first_chunks.is_empty() {
            self.clock.advance_in_run(SLOW);
        }
        first_chunks.push(partition);
        true
    }
}
