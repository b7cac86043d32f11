//! The edits of an operator.

use kafka_consumer_lambda::claim::Cursor;

use super::{Partition, Size, below, next};

impl Partition {
    /// The edits of an operator: replace the item, move the cursor, remove the claim, delete the item, pause it.
    pub(super) fn edited(&self, size: Size) -> Vec<Self> {
        let mut found = vec![];
        for at in [0, self.end - 1] {
            found.push(self.after(|here| here.edit(at, Some(Cursor::at(next(at))))));
            if let Some(item) = &self.item {
                let moved = Cursor {
                    next: next(at),
                    ..item.clone()
                };
                found.push(self.after(|here| here.edit(at, Some(moved))));
            }
        }
        if let Some(item) = &self.item {
            let unclaimed = Cursor {
                claim_until_ms: None,
                ..item.clone()
            };
            found.push(self.after(|here| {
                here.edit(item.next.get(), Some(unclaimed));
                here.runs.iter_mut().for_each(|run| run.lost = true);
            }));
        }
        if let Some(item) = &self.item
            && size.pauses
            && !item.paused
        {
            let paused = Cursor {
                paused: true,
                ..item.clone()
            };
            found.push(self.after(|here| {
                here.item = Some(paused);
                here.edits += 1;
            }));
        }
        found.push(self.after(|here| here.edit(0, None)));
        found
    }

    fn edit(&mut self, at: i64, item: Option<Cursor>) {
        // An edit that does not move the cursor needs no claim to take effect.
        self.edit_is_pending = self.item.as_ref().map(|item| item.next) != item.as_ref().map(|item| item.next);
        self.item = item;
        self.edits += 1;
        self.done |= below(at);
    }
}
