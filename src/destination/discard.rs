//! `DESTINATION=discard`: records are read, decoded and dropped.

use crate::processor::{Processor, Progress, RunContext};
use crate::record::Chunk;

/// Settles every record. For measurements, and to move a cursor past records that
/// are not needed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Discard;

impl Processor for Discard {
    async fn process(&self, chunk: &Chunk, _run: &RunContext) -> Progress {
        Progress::all(chunk)
    }
}
