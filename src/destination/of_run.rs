//! What calls of one run have shown of each partition. The next run begins without it,
//! because it may be a replay: what was done before must be done again then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::processor::RunContext;
use crate::record::TopicPartition;

/// A value for each partition, of one run at a time.
#[derive(Debug)]
pub(super) struct OfRun<T>(Mutex<Values<T>>);

#[derive(Debug)]
struct Values<T> {
    run_id: Arc<str>,
    of: HashMap<TopicPartition, T>,
}

impl<T> Default for OfRun<T> {
    fn default() -> Self {
        Self(Mutex::new(Values {
            run_id: Arc::default(),
            of: HashMap::new(),
        }))
    }
}

impl<T: Default> OfRun<T> {
    /// Uses the value of `partition`; `T::default()` where this run has none yet. Calls for one
    /// partition may come from several tasks: `with` must not wait.
    pub(super) fn with<R>(&self, partition: &TopicPartition, run: &RunContext, with: impl FnOnce(&mut T) -> R) -> R {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if values.run_id != run.run_id {
            *values = Values {
                run_id: run.run_id.clone(),
                of: HashMap::new(),
            };
        }
        if let Some(value) = values.of.get_mut(partition) {
            return with(value);
        }
        with(values.of.entry(partition.clone()).or_default())
    }
}
