//! What an operator changes, as conditional writes like those of a run, and
//! what a refused or unanswered one means.

use std::sync::Arc;

use super::verdict::unless_changed;
use super::{Attribute, Clause, Cursor, CursorWrite, ObservedItem, Set, Verdict};
use crate::record::NextOffset;

/// The name of one operator's command, unique for each time that it is given.
/// A move bears it, so that its command recognises its own write.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CommandId(Arc<str>);

impl CommandId {
    /// A command's name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name as stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

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
/// started. A move to where the cursor stands already only clears the item: what
/// can be undone is the move before it.
#[must_use]
pub fn move_to(observed: &ObservedItem, next: NextOffset, command: &CommandId) -> CursorWrite {
    let mut sets = vec![Set::Next(next), Set::Command(command.clone())];
    sets.extend((!is_in_place(observed, next)).then_some(Set::Previous(observed.stored())));
    match observed {
        ObservedItem::Missing { .. } => {
            sets.push(Set::Identity);
            CursorWrite {
                conditions: vec![Clause::ItemMissing],
                sets,
                removes: vec![],
            }
        }
        ObservedItem::Present(cursor) => CursorWrite {
            conditions: vec![
                Clause::NextIs(cursor.next),
                Clause::ClaimUntilIs(cursor.claim_until_ms),
                Clause::CommandIs(cursor.command.clone()),
            ],
            sets,
            removes: vec![
                Attribute::Run,
                Attribute::ClaimUntil,
                Attribute::ClaimTo,
                Attribute::ClaimChunk,
                Attribute::HandedOver,
                Attribute::Failures,
            ],
        },
    }
}

/// Whether a move leaves the cursor where it was seen.
fn is_in_place(observed: &ObservedItem, next: NextOffset) -> bool {
    matches!(observed, ObservedItem::Present(cursor) if cursor.next == next)
}

/// Makes runs leave the partition alone, from the next one on: a run at work
/// finishes. A partition without an item gets one where a run would have
/// started.
#[must_use]
pub fn pause(observed: &ObservedItem) -> CursorWrite {
    match observed {
        ObservedItem::Missing { start } => CursorWrite {
            conditions: vec![Clause::ItemMissing],
            sets: vec![Set::Next(*start), Set::Identity, Set::Paused],
            removes: vec![],
        },
        ObservedItem::Present(_) => CursorWrite {
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

/// What a refused or unanswered [`move_to`] means.
///
/// | item | verdict |
/// |---|---|
/// | bears the command | applied, wherever it stands: a run may have gone on from there |
/// | as it was seen, the command before it too | not applied |
/// | anything else | edited: a run or another operator was faster |
#[must_use]
pub fn judge_move(observed: &ObservedItem, command: &CommandId, now: Option<&Cursor>) -> Verdict {
    let by = now.and_then(|item| item.command.as_ref());
    let was_by = match observed {
        ObservedItem::Present(cursor) => cursor.command.as_ref(),
        ObservedItem::Missing { .. } => None,
    };
    if by == Some(command) {
        Verdict::Applied
    } else if by == was_by {
        unless_changed(observed, now)
    } else {
        Verdict::Edited {
            until_ms: now.and_then(|item| item.claim_until_ms),
        }
    }
}

/// What a refused or unanswered [`pause`] means.
///
/// | item | verdict |
/// |---|---|
/// | paused | applied |
/// | none, as it was seen | not applied |
/// | one, as it was seen | not applied |
/// | one has come or gone | edited |
#[must_use]
pub fn judge_pause(observed: &ObservedItem, now: Option<&Cursor>) -> Verdict {
    match (now, observed) {
        (Some(item), _) if item.paused => Verdict::Applied,
        (None, ObservedItem::Missing { .. }) | (Some(_), ObservedItem::Present(_)) => Verdict::NotApplied,
        (item, _) => Verdict::Edited {
            until_ms: item.and_then(|item| item.claim_until_ms),
        },
    }
}

/// What a refused or unanswered [`resume`] means: an item that is not paused,
/// or is gone, holds up no run.
#[must_use]
pub fn judge_resume(now: Option<&Cursor>) -> Verdict {
    match now {
        Some(item) if item.paused => Verdict::NotApplied,
        _ => Verdict::Applied,
    }
}
