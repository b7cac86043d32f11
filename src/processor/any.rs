//! Processors of different types in one place: the handlers of routes, and destinations.

use std::num::NonZeroUsize;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::{Processor, Progress, RunContext};
use crate::record::Chunk;

/// A [`Processor`] of any type.
pub(crate) trait AnyProcessor: Send + Sync {
    fn process<'a>(&'a self, chunk: &'a Chunk, run: &'a RunContext) -> BoxFuture<'a, Progress>;
    fn decodes(&self, topic: &str) -> bool;
    fn batch_size(&self, topic: &str) -> Option<NonZeroUsize>;
    fn parallelization_factor(&self, topic: &str) -> NonZeroUsize;
    fn takes(&self, topic: &str) -> bool;
}

impl<P: Processor> AnyProcessor for P {
    fn process<'a>(&'a self, chunk: &'a Chunk, run: &'a RunContext) -> BoxFuture<'a, Progress> {
        Processor::process(self, chunk, run).boxed()
    }

    fn decodes(&self, topic: &str) -> bool {
        Processor::decodes(self, topic)
    }

    fn batch_size(&self, topic: &str) -> Option<NonZeroUsize> {
        Processor::batch_size(self, topic)
    }

    fn parallelization_factor(&self, topic: &str) -> NonZeroUsize {
        Processor::parallelization_factor(self, topic)
    }

    fn takes(&self, topic: &str) -> bool {
        Processor::takes(self, topic)
    }
}
