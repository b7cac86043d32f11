//! The meaning of a refused write, or of one without a response, by the item
//! that is there.

use crate::claim::{Claim, Cursor, Ending, Flush, LastWrite, ObservedItem, RunId};

/// The result of a write, derived from the item that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The item holds what was written: an earlier attempt had been applied.
    Applied,
    /// The item is still as it was before the write, so the write can be sent again.
    NotApplied,
    /// An operator changed or deleted the item, or another run was faster.
    Edited {
        /// Until when another run holds it, in milliseconds since the epoch.
        until_ms: Option<i64>,
    },
    /// An operator paused the partition.
    Paused,
    /// The item holds an earlier write of this run whose result was unknown.
    /// The write can be sent again, conditional on that one.
    AppliedBefore(LastWrite),
    /// Another run took the claim over.
    TakenOver {
        /// The other run.
        by: RunId,
    },
}

/// The meaning of a refused [`claim`](crate::claim::claim), or of one without a
/// response.
///
/// | item | verdict |
/// |---|---|
/// | our run and our `claim_until` | applied |
/// | paused | paused |
/// | exactly as it was read | not applied |
/// | anything else | edited: a lost race, or an operator's change |
#[must_use]
pub fn judge_claim(observed: &ObservedItem, claim: &Claim, now: Option<&Cursor>) -> Verdict {
    let is_ours = |item: &Cursor| item.run.as_ref() == Some(&claim.run) && item.claim_until_ms == Some(claim.until_ms);
    if now.is_some_and(is_ours) {
        Verdict::Applied
    } else if now.is_some_and(|item| item.paused) {
        Verdict::Paused
    } else {
        unless_changed(observed, now)
    }
}

/// For a write that is conditional on the item as it was read, and was not
/// applied: whether the attributes that it depends on are unchanged.
pub(super) fn unless_changed(observed: &ObservedItem, now: Option<&Cursor>) -> Verdict {
    match (now, observed) {
        (None, ObservedItem::Missing { .. }) => Verdict::NotApplied,
        (Some(item), ObservedItem::Present(observed))
            if item.next == observed.next && item.claim_until_ms == observed.claim_until_ms =>
        {
            Verdict::NotApplied
        }
        (item, _) => Verdict::Edited {
            until_ms: item.and_then(|item| item.claim_until_ms),
        },
    }
}

/// The meaning of a refused [`flush`](crate::claim::flush), or of one without a
/// response.
///
/// | item | verdict |
/// |---|---|
/// | none | edited: deleted, and never brought back |
/// | no run | edited |
/// | another run | taken over |
/// | our run, with the offset, the time and the claim that the flush writes | applied |
/// | our run, as its last write stored it, the claim still there | not applied |
/// | our run, as an earlier flush with an unknown result wrote it, the claim still there | applied before |
/// | anything else | edited |
#[must_use]
pub fn judge_flush(flush: &Flush, now: Option<&Cursor>) -> Verdict {
    let Some(item) = now else {
        return Verdict::Edited { until_ms: None };
    };
    let Some(run) = &item.run else {
        return Verdict::Edited {
            until_ms: item.claim_until_ms,
        };
    };
    if *run != flush.run {
        return Verdict::TakenOver { by: run.clone() };
    }
    let stands_at = |next, updated_at_ms| item.next == next && item.updated_at_ms == Some(updated_at_ms);
    let is_claimed = item.claim_until_ms.is_some();
    if stands_at(flush.next, flush.stamp_ms()) && is_claimed == (flush.ending == Ending::Interim) {
        Verdict::Applied
    } else if stands_at(flush.last_write.next, flush.last_write.updated_at_ms) && is_claimed {
        Verdict::NotApplied
    } else if let Some(left) = flush.unknown
        && stands_at(left.next, left.updated_at_ms)
        && is_claimed
    {
        Verdict::AppliedBefore(left)
    } else {
        Verdict::Edited { until_ms: None }
    }
}
