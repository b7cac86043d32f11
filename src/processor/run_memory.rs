//! What a processor remembers of each partition until the run ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::processor::RunContext;
use crate::record::TopicPartition;

/// A value for each partition, for one run. A call of another run begins with none: it may be a
/// replay, of which nothing may be left out.
///
/// Calls of one partition that are made at once share its value.
#[derive(Debug, Default)]
pub(crate) struct RunMemory<T> {
    of_run: Mutex<OfRun<T>>,
}

#[derive(Debug, Default)]
struct OfRun<T> {
    run_id: Arc<str>,
    partitions: HashMap<TopicPartition, T>,
}

impl<T: Default> RunMemory<T> {
    /// Reads or changes the value of `partition`. `work` is short: other calls wait for it.
    pub(crate) fn with<R>(&self, partition: &TopicPartition, run: &RunContext, work: impl FnOnce(&mut T) -> R) -> R {
        let mut of_run = self.of_run.lock().unwrap_or_else(PoisonError::into_inner);
        if of_run.run_id != run.run_id {
            *of_run = OfRun {
                run_id: run.run_id.clone(),
                partitions: HashMap::new(),
            };
        }
        work(of_run.partitions.entry(partition.clone()).or_default())
    }
}
