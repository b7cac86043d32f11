//! How many records the next chunk holds.

use std::num::NonZeroUsize;

use super::{CHUNK_TARGET_MS, FIRST_CHUNK, MAX_CHUNK};

/// A chunk of calls that are made several at once holds the records of so many rounds, where it can. The
/// end of each chunk waits for its slowest call, and a key with many records takes long: with fewer rounds,
/// the other calls would wait more than they work.
const ROUNDS: usize = 4;

/// The least records of a chunk, where `round` of them are in all the calls that are made at once.
#[must_use]
pub(crate) fn parallel_chunk(round: usize) -> usize {
    round.saturating_mul(ROUNDS)
}

/// The size of chunks: as many records as the speed allows, or batches.
///
/// | a call takes | calls at once | first chunk | then |
/// |---|---|---|---|
/// | any number | 1 | [`FIRST_CHUNK`] | as many as are handled in [`CHUNK_TARGET_MS`] |
/// | a batch | 1 | a batch | a batch |
/// | one record, or a batch | several | one round: the records of as many calls; [`FIRST_CHUNK`] if that is more | as in the first row, and at least [`parallel_chunk`] |
#[derive(Debug, Clone)]
pub(super) struct ChunkSize {
    records: usize,
    /// A call costs the same for any number of records, up to this one. Of several
    /// calls at once, the records of all of them.
    batch: Option<usize>,
    /// How many calls are made at once.
    at_once: usize,
}

impl ChunkSize {
    pub(super) fn new(batch: Option<usize>, at_once: NonZeroUsize) -> Self {
        let at_once = at_once.get();
        Self {
            records: batch.unwrap_or(FIRST_CHUNK.max(at_once)),
            batch,
            at_once,
        }
    }

    /// The records of the next chunk.
    pub(super) fn get(&self) -> usize {
        self.records
    }

    pub(super) fn batch(&self) -> Option<usize> {
        self.batch
    }

    /// How many records are worth waiting for; `None`: a call takes what there is.
    pub(super) fn worth_waiting_for(&self) -> Option<usize> {
        self.batch.map(|batch| self.records.min(parallel_chunk(batch)))
    }

    /// How long the slowest of the calls took that settled `count` records in `took_ms`, at
    /// least: they were made one after the other, or in rounds.
    pub(super) fn call_ms(&self, count: usize, took_ms: u64) -> u64 {
        took_ms / count.div_ceil(self.round()).max(1) as u64
    }

    /// A chunk of `count` records took `took_ms`, and the next one aims at
    /// [`CHUNK_TARGET_MS`]. In batches, only their size counts.
    pub(super) fn measured(&mut self, count: usize, took_ms: u64) {
        let at_this_speed = usize::try_from((count as u64 * CHUNK_TARGET_MS) / took_ms.max(1)).unwrap_or(usize::MAX);
        let (best, most) = match self.batch {
            Some(batch) if self.at_once == 1 => (batch, batch),
            None if self.at_once == 1 => (at_this_speed, MAX_CHUNK),
            _ => {
                let least = parallel_chunk(self.round());
                (at_this_speed.max(least), MAX_CHUNK.max(least))
            }
        };
        self.records = best.clamp(1, self.records.saturating_mul(4).min(most));
    }

    /// The next chunk holds one record.
    pub(super) fn one(&mut self) {
        self.records = 1;
    }

    /// How many records are in all the calls that are made at once.
    fn round(&self) -> usize {
        self.batch.unwrap_or(self.at_once).max(1)
    }
}
