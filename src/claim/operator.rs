//! An operator's changes, as conditional writes like those of a run, and the
//! meaning of a refused one or one without a response.

use std::sync::Arc;

use super::verdict::unless_changed;
use super::{Attribute, Clause, Cursor, CursorWrite, ObservedItem, Set, Verdict};
use crate::record::NextOffset;

/// The identifier of one operator's command, unique for each execution. A move
/// stores it, so that the command recognises its own write.
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

/// Moves a cursor that no live run has claimed to `next`, and stores its former
/// position: moving it back there undoes the move.
///
/// The attributes of runs are removed: the cursor starts afresh at `next`,
/// without failures or a quarantine, and a run that was frozen beyond the end
/// of its claim finds that `run` is no longer its own. A run that worked since
/// the item was read has moved the cursor or holds a claim, so the write is
/// refused.
///
/// A partition without an item gets one; its former position is where a run
/// would have started. A move to the current position only clears the item:
/// the move before it remains the one that can be undone.
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

/// Whether a move leaves the cursor where it was read.
fn is_in_place(observed: &ObservedItem, next: NextOffset) -> bool {
    matches!(observed, ObservedItem::Present(cursor) if cursor.next == next)
}

/// Pauses the partition from the next run on: a run in progress finishes. A partition without an item gets one where a run would have
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

/// The meaning of a refused [`move_to`], or of one without a response.
///
/// | item | verdict |
/// |---|---|
/// | has the command | applied, at any offset: a run may have moved it since |
/// | as it was read, the previous command too | not applied |
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

/// The meaning of a refused [`pause`], or of one without a response.
///
/// | item | verdict |
/// |---|---|
/// | paused | applied |
/// | missing, as it was read | not applied |
/// | present, as it was read | not applied |
/// | created or deleted since | edited |
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

/// The meaning of a refused [`resume`], or of one without a response: applied if
/// the item is not paused or does not exist.
#[must_use]
pub fn judge_resume(now: Option<&Cursor>) -> Verdict {
    match now {
        Some(item) if item.paused => Verdict::NotApplied,
        _ => Verdict::Applied,
    }
}
