//! A quarantine in the course of a run: how small chunks are, and when it ends.

use super::CLEAN_CHUNKS;
use crate::claim::{ChunkLimit, Quarantine, SMALL_CHUNK};
use crate::record::NextOffset;

/// The quarantine of a partition, if there is one.
#[derive(Debug, Clone)]
pub(super) struct QuarantineProgress {
    current: Option<Quarantine>,
    /// Records still to be handed over one by one.
    singles: usize,
    /// Small chunks still to be settled before the quarantine ends.
    smalls: usize,
}

impl QuarantineProgress {
    /// A quarantine that ends at or before `settled` is none.
    pub(super) fn new(quarantine: Option<Quarantine>, settled: NextOffset) -> Self {
        Self {
            current: quarantine.filter(|quarantine| settled < quarantine.until),
            singles: SMALL_CHUNK,
            smalls: CLEAN_CHUNKS,
        }
    }

    pub(super) fn get(&self) -> Option<Quarantine> {
        self.current
    }

    pub(super) fn is_active(&self) -> bool {
        self.current.is_some()
    }

    /// Whether records are handed over one by one.
    pub(super) fn is_single(&self) -> bool {
        self.current
            .is_some_and(|quarantine| quarantine.limit == ChunkLimit::Single)
    }

    /// The records of a chunk that would hold `chunk` without it.
    pub(super) fn limited(&self, chunk: usize) -> usize {
        self.current
            .map_or(chunk, |quarantine| quarantine.limit.records().min(chunk))
    }

    /// `records` more are settled, up to `settled`. The quarantine ends at the planned
    /// end of the crashed run, or after [`CLEAN_CHUNKS`] small chunks. After as many
    /// single records as a small chunk holds, the record that crashed the run is
    /// passed, and chunks are small again.
    pub(super) fn relax(&mut self, settled: NextOffset, records: usize) {
        self.current = self.current.filter(|quarantine| settled < quarantine.until);
        let Some(quarantine) = &mut self.current else { return };
        match quarantine.limit {
            ChunkLimit::Single => {
                self.singles = self.singles.saturating_sub(records);
                if self.singles == 0 {
                    quarantine.limit = ChunkLimit::Small;
                }
            }
            ChunkLimit::Small => {
                self.smalls = self.smalls.saturating_sub(usize::from(records > 0));
                if self.smalls == 0 {
                    self.current = None;
                }
            }
        }
    }

    /// A chunk was not finished in time: smaller chunks from here on, as if the run,
    /// which reads up to `to`, had crashed.
    pub(super) fn tighten(&mut self, settled: NextOffset, to: NextOffset) {
        let until = self.current.map_or(to, |quarantine| quarantine.until);
        let limit = if self.is_active() {
            ChunkLimit::Single
        } else {
            ChunkLimit::Small
        };
        *self = Self::new(Some(Quarantine { until, limit }), settled);
    }
}
