//! How many records the next chunk holds.

use super::{CHUNK_TARGET_MS, FIRST_CHUNK, MAX_CHUNK};

/// The size of chunks: as many records as the speed allows, or batches.
#[derive(Debug, Clone)]
pub(super) struct ChunkSize {
    records: usize,
    /// A call costs the same for any number of records, up to this one.
    batch: Option<usize>,
}

impl ChunkSize {
    pub(super) fn new(batch: Option<usize>) -> Self {
        Self {
            records: batch.unwrap_or(FIRST_CHUNK),
            batch,
        }
    }

    /// The records of the next chunk.
    pub(super) fn get(&self) -> usize {
        self.records
    }

    pub(super) fn batch(&self) -> Option<usize> {
        self.batch
    }

    /// A chunk of `count` records took `took_ms`, and the next one aims at
    /// [`CHUNK_TARGET_MS`]. In batches, only their size counts.
    pub(super) fn measured(&mut self, count: usize, took_ms: u64) {
        let at_most = self.records.saturating_mul(4).min(self.batch.unwrap_or(MAX_CHUNK));
        let at_this_speed = (count as u64 * CHUNK_TARGET_MS) / took_ms.max(1);
        let best = self
            .batch
            .unwrap_or_else(|| usize::try_from(at_this_speed).unwrap_or(usize::MAX));
        self.records = best.clamp(1, at_most);
    }

    /// The next chunk holds one record.
    pub(super) fn one(&mut self) {
        self.records = 1;
    }
}
