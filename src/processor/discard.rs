//! `DESTINATION=discard`: reads, decodes, and does nothing.

use crate::processor::{Processor, Progress, RunContext};
use crate::record::Chunk;

/// Settles every record. For measuring, and for moving a cursor over records
/// that nobody needs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Discard;

impl Processor for Discard {
    async fn process(&self, chunk: &Chunk, _run: &RunContext) -> Progress {
        Progress::all(chunk)
    }
}
