//! Records in hand that a backfill by time does not select: settled, and not
//! handed on.

use super::Lane;
use crate::backfill::Window;
use crate::invoke::{Run, Seams};
use crate::record::Record;

impl<D: Seams> Run<'_, D> {
    pub(super) fn window(&self) -> Option<Window> {
        Window::of(self.backfill?)
    }
}

impl Lane {
    /// How many of the first `count` records in hand are to be handed on.
    /// `None`: the first were not, and are settled.
    pub(super) fn selected<D: Seams>(&mut self, run: &Run<'_, D>, count: usize) -> Option<usize> {
        let Some(window) = run.window() else {
            return Some(count);
        };
        let mut passed = vec![];
        while let Some(record) = self.in_hand.pop_front_if(|record| !window.selects(record)) {
            passed.push(record);
        }
        let Some(last) = passed.last() else {
            let selected = |record: &&Record| window.selects(record);
            return Some(self.in_hand.iter().take(count).take_while(selected).count());
        };
        self.ledger.settled(passed.len(), last);
        self.on_to_the_next();
        None
    }

    /// How many of these records count for no limit, for they are not handed on.
    pub(super) fn not_selected<D: Seams>(run: &Run<'_, D>, records: &[Record]) -> u64 {
        run.window().map_or(0, |window| {
            let passed = records.iter().filter(|record| !window.selects(record));
            passed.count() as u64
        })
    }
}
