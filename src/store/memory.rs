//! Cursors in memory, for tests of the layers above a store.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::claim::{Attribute, Clause, Cursor, CursorWrite, Set};
use crate::error::Error;
use crate::store::{Consumer, Store, StoredCursor, WriteResult};

/// A table in memory. It evaluates the same conditions as `DynamoDB`.
#[derive(Debug, Default)]
pub struct MemoryStore {
    items: Mutex<BTreeMap<(String, i32), Cursor>>,
}

impl MemoryStore {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes an item without any condition, as an operator's `PutItem` does.
    pub fn put(&self, consumer: &Consumer, partition: i32, cursor: Cursor) {
        self.items().insert((consumer.to_string(), partition), cursor);
    }

    /// The current item.
    #[must_use]
    pub fn get(&self, consumer: &Consumer, partition: i32) -> Option<Cursor> {
        self.items().get(&(consumer.to_string(), partition)).cloned()
    }

    /// Deletes an item, as an operator's `DeleteItem` does.
    pub fn delete(&self, consumer: &Consumer, partition: i32) {
        self.items().remove(&(consumer.to_string(), partition));
    }

    fn items(&self) -> MutexGuard<'_, BTreeMap<(String, i32), Cursor>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    async fn load(&self, consumer: &Consumer) -> Result<Vec<StoredCursor>, Error> {
        let key = consumer.to_string();
        Ok(self
            .items()
            .range((key.clone(), i32::MIN)..=(key, i32::MAX))
            .map(|((_, partition), cursor)| StoredCursor {
                partition: *partition,
                cursor: Ok(cursor.clone()),
            })
            .collect())
    }

    async fn load_one(&self, consumer: &Consumer, partition: i32) -> Result<Option<Cursor>, Error> {
        Ok(self.get(consumer, partition))
    }

    async fn write(&self, consumer: &Consumer, partition: i32, write: &CursorWrite) -> Result<WriteResult, Error> {
        let mut items = self.items();
        let key = (consumer.to_string(), partition);
        let old = items.get(&key);
        if !write.conditions.iter().all(|clause| holds(clause, old)) {
            return Ok(WriteResult::Refused(old.cloned().map(Ok)));
        }
        let mut item = old.cloned().unwrap_or_default();
        write.removes.iter().for_each(|attribute| remove(&mut item, *attribute));
        write.sets.iter().for_each(|set| apply(&mut item, set));
        items.insert(key, item);
        Ok(WriteResult::Applied)
    }
}

/// Whether a clause holds for an item, as `DynamoDB` evaluates it: a
/// comparison with a missing attribute is false.
#[must_use]
pub fn holds(clause: &Clause, item: Option<&Cursor>) -> bool {
    match clause {
        Clause::ItemMissing => item.is_none(),
        Clause::ItemExists => item.is_some(),
        Clause::NextIs(next) => item.is_some_and(|item| item.next == *next),
        Clause::ClaimUntilIs(until) => item.and_then(|item| item.claim_until_ms) == *until,
        Clause::RunIs(run) => item.is_some_and(|item| item.run.as_ref() == Some(run)),
        Clause::UpdatedAtIs(at) => item.is_some_and(|item| item.updated_at_ms == Some(*at)),
        Clause::NotPaused => !item.is_some_and(|item| item.paused),
        Clause::CommandIs(command) => item.and_then(|item| item.command.as_ref()) == command.as_ref(),
        Clause::ClaimExists => item.is_some_and(|item| item.claim_until_ms.is_some()),
    }
}

fn apply(item: &mut Cursor, set: &Set) {
    match set {
        Set::Next(next) => item.next = *next,
        // The key of the map is the identity.
        Set::Identity => {}
        Set::Run(run) => item.run = Some(run.clone()),
        Set::ClaimUntil(until) => item.claim_until_ms = Some(*until),
        Set::ClaimTo(to) => item.claim_to = Some(*to),
        Set::ClaimChunk(limit) => item.claim_chunk = Some(*limit),
        Set::HandedOver(at) => item.handed_over = Some(*at),
        Set::Unreported(unreported) => item.unreported = Some(unreported.clone()),
        Set::Failures(failures) => item.failure = Some(failures.clone()),
        Set::UpdatedAt(now) => item.updated_at_ms = Some(*now),
        Set::Paused => item.paused = true,
        Set::Command(command) => item.command = Some(command.clone()),
        Set::Previous(next) => item.previous = Some(*next),
        Set::Backfill(bounds) => item.backfill = Some(bounds.clone()),
    }
}

fn remove(item: &mut Cursor, attribute: Attribute) {
    match attribute {
        Attribute::Run => item.run = None,
        Attribute::ClaimUntil => item.claim_until_ms = None,
        Attribute::ClaimTo => item.claim_to = None,
        Attribute::ClaimChunk => item.claim_chunk = None,
        Attribute::HandedOver => item.handed_over = None,
        Attribute::Unreported => item.unreported = None,
        Attribute::Failures => item.failure = None,
        Attribute::Paused => item.paused = false,
    }
}
