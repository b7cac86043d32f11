//! Buffered records outside the time window of a backfill: settled without the
//! handler.

use super::PartitionWorker;
use crate::backfill::Window;
use crate::invoke::Backend;
use crate::invoke::run::Run;
use crate::record::Record;

impl<B: Backend> Run<'_, B> {
    pub(super) fn window(&self) -> Option<Window> {
        Window::of(self.backfill?)
    }
}

impl PartitionWorker {
    /// How many of the first buffered records are taken for a chunk of `count`.
    /// `None`: the first are not for the handler, and are settled.
    pub(super) fn selected<B: Backend>(&mut self, run: &Run<'_, B>, count: usize) -> Option<usize> {
        let Some(window) = run.window() else {
            return Some(self.batch_len(count, |_| true));
        };
        let mut passed = vec![];
        while let Some(record) = self.buffered.pop_front_if(|record| !window.selects(record)) {
            passed.push(record);
        }
        let Some(last) = passed.last() else {
            return Some(self.batch_len(count, |record| window.selects(record)));
        };
        self.ledger.settled(passed.len(), last);
        self.advance();
        None
    }

    /// How many of these records are not for the handler, and do not count for the limit.
    pub(super) fn not_selected<B: Backend>(run: &Run<'_, B>, records: &[Record]) -> u64 {
        run.window().map_or(0, |window| {
            let passed = records.iter().filter(|record| !window.selects(record));
            passed.count() as u64
        })
    }
}
