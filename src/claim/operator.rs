//! What an operator changes, as conditional writes like those of a run.

use super::{Attribute, Clause, CursorWrite, Seen, Set};
use crate::record::NextOffset;

/// Moves a cursor that no live run has claimed to `next`, and remembers where
/// it stood: moving it there again undoes the move.
///
/// What runs left on the item goes: the cursor starts afresh at `next`, with
/// no failure counted and no care due, and a run that was frozen over the end
/// of its claim finds that `run` is no longer its own. A run that worked since
/// the item was read has moved the cursor or holds a claim, so the write is
/// refused.
///
/// A partition without an item gets one; it stood where a run would have
/// started.
#[must_use]
pub fn move_to(seen: &Seen, next: NextOffset) -> CursorWrite {
    let mut sets = vec![Set::Next(next), Set::Previous(seen.stored())];
    match seen {
        Seen::Nothing { .. } => {
            sets.push(Set::Identity);
            CursorWrite {
                conditions: vec![Clause::ItemMissing],
                sets,
                removes: vec![],
            }
        }
        Seen::Item(cursor) => CursorWrite {
            conditions: vec![Clause::NextIs(cursor.next), Clause::ClaimUntilIs(cursor.claim_until_ms)],
            sets,
            removes: vec![
                Attribute::Run,
                Attribute::ClaimUntil,
                Attribute::ClaimTo,
                Attribute::ClaimChunk,
                Attribute::Failures,
            ],
        },
    }
}

/// Makes runs leave the partition alone, from the next one on: a run at work
/// finishes. A partition without an item gets one where a run would have
/// started.
#[must_use]
pub fn pause(seen: &Seen) -> CursorWrite {
    match seen {
        Seen::Nothing { start } => CursorWrite {
            conditions: vec![Clause::ItemMissing],
            sets: vec![Set::Next(*start), Set::Identity, Set::Paused],
            removes: vec![],
        },
        Seen::Item(_) => CursorWrite {
            conditions: vec![Clause::ItemExists],
            sets: vec![Set::Paused],
            removes: vec![],
        },
    }
}

/// Ends a pause.
#[must_use]
pub fn resume() -> CursorWrite {
    CursorWrite {
        conditions: vec![Clause::ItemExists],
        sets: vec![],
        removes: vec![Attribute::Paused],
    }
}
