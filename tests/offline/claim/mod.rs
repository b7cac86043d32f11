//! Claims: who holds a partition, what a takeover remembers, and what a refused write means.

mod exploration;
mod operator;
mod verdict;

use futures::FutureExt;
use kafka_consumer_lambda::claim::{
    BatchLimit, Claim, ClaimStatus, CrashGuard, CrashHistory, Cursor, CursorWrite, Ending, Failures, Flush,
    LONGEST_BELIEVED_MS, LastWrite, ObservedItem, RunId, Set, Verdict, claim, flush, judge_claim, judge_flush, pin,
    release,
};
use kafka_consumer_lambda::store::memory::MemoryStore;
use kafka_consumer_lambda::store::{Store, WriteResult};

use crate::support::states::{consumer, next};

const NOW_MS: i64 = 1_800_000_000_000;
const EXPIRED: Option<i64> = Some(NOW_MS);
const LIVE: Option<i64> = Some(NOW_MS + 1);

/// What a write makes of an item: whether it was made, and the item then.
fn write(item: Option<Cursor>, write: &CursorWrite) -> (WriteResult, Option<Cursor>) {
    let consumer = consumer();
    let store = MemoryStore::new();
    if let Some(item) = item {
        store.put(&consumer, 0, item);
    }
    let written = store.write(&consumer, 0, write).now_or_never();
    let written = written.expect("memory is at hand").expect("memory does not fail");
    (written, store.get(&consumer, 0))
}

/// The item after a write that must be made.
fn written(item: Cursor, the_write: &CursorWrite) -> Cursor {
    let (written, item) = write(Some(item), the_write);
    assert_eq!(written, WriteResult::Applied);
    item.expect("it was written")
}

/// An item at 5 that a run to 9 left with this claim.
fn left(claim_until_ms: Option<i64>) -> Cursor {
    Cursor {
        run: Some(RunId::new("dead")),
        claim_until_ms,
        claim_to: Some(next(9)),
        ..Cursor::at(next(5))
    }
}

fn crashed(at: i64, crashes: u32) -> Failures {
    Failures {
        offset: next(at),
        crashes,
        ..Failures::default()
    }
}

/// A run's first flush of an item that it has claimed.
fn flushed(item: &Cursor, to: i64, guard: Option<CrashGuard>, ending: Ending) -> Flush {
    Flush {
        hands_over: false,
        unreported: None,
        unknown: None,
        run: RunId::new("me"),
        last_write: LastWrite {
            next: item.next,
            updated_at_ms: item.updated_at_ms.expect("it was claimed"),
        },
        next: next(to),
        guard,
        ending,
        now_ms: NOW_MS + 5,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands where there may be none")]
fn guard(until: i64, limit: BatchLimit) -> Option<CrashGuard> {
    Some(CrashGuard {
        until: next(until),
        limit,
    })
}

/// So many records at once, and the handler had them.
fn with_chunk(cursor: Cursor, claim_chunk: Option<BatchLimit>) -> Cursor {
    Cursor {
        claim_chunk,
        handed_over: claim_chunk.map(|_| cursor.next),
        ..cursor
    }
}

fn with_failure(cursor: Cursor, failure: Failures) -> Cursor {
    Cursor {
        failure: Some(failure),
        ..cursor
    }
}

/// The item once a run that plans to reach `to` took it over as it was.
fn taken_over(item: &Cursor, to: i64) -> Cursor {
    let ours = Claim {
        run: RunId::new("me"),
        until_ms: NOW_MS + 70_000,
        to: next(to),
        now_ms: NOW_MS,
    };
    written(item.clone(), &claim(&ObservedItem::Present(item.clone()), &ours))
}

/// In numbers: the 90 minutes of a managed instance, and two more for clocks that differ.
#[test]
fn a_claim_is_believed_for_ninety_two_minutes_and_no_longer() {
    let standing = |until_ms| left(Some(until_ms)).claim_status(NOW_MS);
    let until_ms = NOW_MS + 5_520_000;
    assert_eq!(standing(until_ms), ClaimStatus::Held { until_ms });
    assert_eq!(standing(until_ms + 1), ClaimStatus::Free);
}

#[test]
fn a_partition_is_held_from_now_until_its_claim_ends_if_that_can_be_believed() {
    let rows = [
        (None, ClaimStatus::Free),
        (Some(i64::MIN), ClaimStatus::Expired),
        (Some(0), ClaimStatus::Expired),
        (Some(NOW_MS - 1), ClaimStatus::Expired),
        (Some(NOW_MS), ClaimStatus::Expired),
        (Some(NOW_MS + 1), ClaimStatus::Held { until_ms: NOW_MS + 1 }),
        (
            Some(NOW_MS + LONGEST_BELIEVED_MS),
            ClaimStatus::Held {
                until_ms: NOW_MS + LONGEST_BELIEVED_MS,
            },
        ),
        (Some(NOW_MS + LONGEST_BELIEVED_MS + 1), ClaimStatus::Free),
        (Some(i64::MAX), ClaimStatus::Free),
    ];
    for (until, standing) in rows {
        assert_eq!(left(until).claim_status(NOW_MS), standing, "{until:?}");
    }
}

#[test]
fn a_clock_at_the_end_of_its_range_judges_claims_all_the_same() {
    assert_eq!(
        left(Some(i64::MAX)).claim_status(i64::MAX - 1),
        ClaimStatus::Held { until_ms: i64::MAX }
    );
    assert_eq!(left(Some(i64::MAX)).claim_status(i64::MAX), ClaimStatus::Expired);
}

#[test]
fn each_death_makes_the_next_run_more_careful() {
    let limits = [None, Some(BatchLimit::Small), Some(BatchLimit::Single)];
    let careful = |until, limit| with_chunk(left(until), limit).crash_history(NOW_MS).guard;
    for limit in limits {
        // Nobody died: what an earlier run left is still due. A claim that is too long to be
        // believed was nobody's.
        for until in [None, LIVE, Some(i64::MAX)] {
            assert_eq!(careful(until, limit), limit.and_then(|limit| guard(9, limit)));
        }
    }
    assert_eq!(careful(EXPIRED, None), guard(9, BatchLimit::Small));
    assert_eq!(careful(EXPIRED, Some(BatchLimit::Small)), guard(9, BatchLimit::Single));
    assert_eq!(careful(EXPIRED, Some(BatchLimit::Single)), guard(9, BatchLimit::Single));
}

#[test]
fn no_care_is_due_once_the_cursor_has_reached_the_planned_end() {
    for (at, due) in [(8, guard(9, BatchLimit::Small)), (9, None), (10, None)] {
        let cursor = Cursor {
            next: next(at),
            ..left(EXPIRED)
        };
        assert_eq!(cursor.crash_history(NOW_MS).guard, due);
    }
    let unplanned = Cursor {
        claim_to: None,
        ..left(EXPIRED)
    };
    assert_eq!(unplanned.crash_history(NOW_MS).guard, None);
}

#[test]
fn a_death_is_counted_only_where_one_record_was_handed_over_alone() {
    for (limit, alone) in [(None, 0), (Some(BatchLimit::Small), 0), (Some(BatchLimit::Single), 1)] {
        for (until, died) in [(None, 0), (LIVE, 0), (Some(i64::MAX), 0), (EXPIRED, alone)] {
            let item = with_chunk(left(until), limit);
            let crashes = |failed_at| {
                let known = with_failure(item.clone(), crashed(failed_at, 2));
                known.crash_history(NOW_MS).crashes
            };
            assert_eq!(item.crash_history(NOW_MS).crashes, died);
            assert_eq!(item.crash_history(NOW_MS).just_died, died == 1);
            assert_eq!((crashes(4), crashes(5), crashes(6)), (died, 2 + died, died));
        }
    }
    let often = with_failure(
        with_chunk(left(EXPIRED), Some(BatchLimit::Single)),
        crashed(5, u32::MAX),
    );
    assert_eq!(often.crash_history(NOW_MS).crashes, u32::MAX);
}

/// P14: a claim that is left behind counts against no record.
#[test]
fn a_claim_that_expires_without_a_mark_at_the_cursor_counts_no_death_and_makes_no_chunk_smaller() {
    for handed_over in [None, Some(next(4)), Some(next(6))] {
        for limit in [BatchLimit::Small, BatchLimit::Single] {
            let item = Cursor {
                handed_over,
                ..with_chunk(left(EXPIRED), Some(limit))
            };
            let history = item.crash_history(NOW_MS);
            assert_eq!(
                (history.guard, history.crashes, history.just_died),
                (guard(9, limit), 0, false)
            );
            let claimed = taken_over(&item, 9);
            assert_eq!((claimed.failure, claimed.handed_over), (None, None));
        }
    }
}

#[test]
fn a_death_is_counted_once_however_often_the_partition_is_claimed_after_it() {
    let mut item = with_chunk(left(EXPIRED), Some(BatchLimit::Single));
    for _ in 0..3 {
        item = taken_over(&item, 9);
        item.claim_until_ms = EXPIRED;
    }
    assert_eq!(item.failure, Some(crashed(5, 1)));
}

/// P4: the operator wins.
#[test]
fn an_offset_that_is_edited_after_a_death_leaves_the_death_behind() {
    let item = Cursor {
        next: next(6),
        ..with_chunk(left(EXPIRED), Some(BatchLimit::Single))
    };
    let edited = taken_over(&item, 9);
    assert_eq!((edited.failure, edited.handed_over), (None, None));
}

/// P4: the operator wins.
#[test]
fn a_partition_that_was_paused_since_it_was_read_is_not_claimed() {
    let observed = ObservedItem::Present(left(None));
    let ours = Claim {
        run: RunId::new("me"),
        until_ms: NOW_MS + 70_000,
        to: next(9),
        now_ms: NOW_MS,
    };
    let paused = Cursor {
        paused: true,
        ..left(None)
    };
    let (made, item) = write(Some(paused.clone()), &claim(&observed, &ours));
    assert_eq!(
        (&made, &item),
        (&WriteResult::Refused(Some(Ok(paused.clone()))), &Some(paused))
    );
    assert_eq!(judge_claim(&observed, &ours, item.as_ref()), Verdict::Paused);
}

#[test]
fn a_flush_is_known_by_what_an_earlier_one_of_unknown_fate_left() {
    let item = taken_over(&left(None), 9);
    let first = flushed(&item, 6, None, Ending::Interim);
    let applied = written(item.clone(), &flush(&first));
    let second = Flush {
        unknown: Some(first.as_last_write()),
        ..flushed(&item, 7, None, Ending::Final(None))
    };
    let (made, after) = write(Some(applied), &flush(&second));
    assert!(matches!(made, WriteResult::Refused(_)));
    assert_eq!(
        judge_flush(&second, after.as_ref()),
        Verdict::AppliedBefore(first.as_last_write())
    );
    // An operator's edit is not taken for it.
    let edited = after.map(|item| Cursor { next: next(2), ..item });
    assert_eq!(
        judge_flush(&second, edited.as_ref()),
        Verdict::Edited { until_ms: None }
    );
}

#[test]
fn a_partition_without_an_item_has_no_past() {
    assert_eq!(
        ObservedItem::Missing { start: next(5) }.crash_history(NOW_MS),
        CrashHistory::default()
    );
}

#[test]
fn a_claim_notes_the_care_that_is_due_and_the_death_of_a_run_with_one_record() {
    let first = taken_over(&left(EXPIRED), 9);
    assert_eq!((first.claim_chunk, &first.failure), (Some(BatchLimit::Small), &None));
    let second = taken_over(&with_chunk(left(EXPIRED), Some(BatchLimit::Small)), 9);
    assert_eq!((second.claim_chunk, &second.failure), (Some(BatchLimit::Single), &None));
    let third = taken_over(&with_chunk(left(EXPIRED), Some(BatchLimit::Single)), 9);
    assert_eq!(third.claim_chunk, Some(BatchLimit::Single));
    assert_eq!(third.failure, Some(crashed(5, 1)));
}

#[test]
fn a_death_keeps_what_is_known_of_the_record() {
    let known = Failures {
        attempts: 2,
        error: Some("no JSON".into()),
        ..crashed(5, 1)
    };
    let item = with_chunk(with_failure(left(EXPIRED), known.clone()), Some(BatchLimit::Single));
    assert_eq!(taken_over(&item, 9).failure, Some(Failures { crashes: 2, ..known }));
}

#[test]
fn a_death_at_another_record_begins_a_count_of_its_own() {
    let other = Failures {
        attempts: 2,
        ..crashed(4, 7)
    };
    let item = with_chunk(with_failure(left(EXPIRED), other), Some(BatchLimit::Single));
    assert_eq!(taken_over(&item, 9).failure, Some(crashed(5, 1)));
}

#[test]
fn a_claim_on_a_free_partition_counts_no_death_and_needs_no_care() {
    for until in [None, Some(i64::MAX)] {
        let item = taken_over(&left(until), 9);
        assert_eq!((item.failure, item.claim_chunk), (None, None));
        let failed = with_failure(left(until), crashed(5, 1));
        assert_eq!(taken_over(&failed, 9).failure, failed.failure);
    }
    // Care that ended where the cursor is now is forgotten.
    let passed = Cursor {
        claim_to: Some(next(5)),
        ..with_chunk(left(None), Some(BatchLimit::Single))
    };
    assert_eq!(taken_over(&passed, 9).claim_chunk, None);
}

#[test]
fn a_run_that_plans_less_keeps_the_planned_end_of_the_one_that_died() {
    for (to, planned) in [(7, 9), (9, 9), (12, 12)] {
        assert_eq!(taken_over(&left(EXPIRED), to).claim_to, Some(next(planned)));
    }
    // Nobody died: the plan is ours.
    assert_eq!(taken_over(&left(None), 7).claim_to, Some(next(7)));
}

#[test]
fn a_record_that_kills_every_run_is_counted_from_the_third_on() {
    let mut item = left(None);
    let mut observed_runs = vec![];
    for run in 0..6 {
        let now_ms = NOW_MS + run * 100_000;
        let observed = ObservedItem::Present(item.clone());
        let history = item.crash_history(now_ms);
        observed_runs.push((history.guard.map(|guard| guard.limit), history.crashes));
        let ours = Claim {
            run: RunId::new(run.to_string()),
            until_ms: now_ms + 70_000,
            to: next(9),
            now_ms,
        };
        item = written(item, &claim(&observed, &ours));
        // It dies with the record in the handler.
        item.handed_over = Some(item.next);
    }
    let (small, single) = (Some(BatchLimit::Small), Some(BatchLimit::Single));
    assert_eq!(
        observed_runs,
        [
            (None, 0),
            (small, 0),
            (single, 0),
            (single, 1),
            (single, 2),
            (single, 3)
        ]
    );
}

#[test]
fn a_last_write_forgets_the_claim_the_care_and_the_failures() {
    let item = taken_over(&with_chunk(left(EXPIRED), Some(BatchLimit::Single)), 9);
    let done = written(item.clone(), &flush(&flushed(&item, 9, None, Ending::Final(None))));
    let forgotten = Cursor {
        run: Some(RunId::new("me")),
        updated_at_ms: Some(NOW_MS + 5),
        ..Cursor::at(next(9))
    };
    assert_eq!(done, forgotten);
}

#[test]
fn a_last_write_keeps_the_care_that_is_still_due() {
    let item = taken_over(&with_chunk(left(EXPIRED), Some(BatchLimit::Small)), 12);
    let still_due = guard(9, BatchLimit::Single);
    let done = written(item.clone(), &flush(&flushed(&item, 7, still_due, Ending::Final(None))));
    assert_eq!(done.crash_history(NOW_MS + 6).guard, still_due);
    assert_eq!((done.claim_until_ms, done.next), (None, next(7)));
}

#[test]
fn an_interim_write_moves_the_cursor_and_keeps_the_claim() {
    let item = taken_over(&left(EXPIRED), 9);
    let single = guard(9, BatchLimit::Single);
    let moved = written(item.clone(), &flush(&flushed(&item, 6, single, Ending::Interim)));
    let expected = Cursor {
        next: next(6),
        claim_chunk: Some(BatchLimit::Single),
        updated_at_ms: Some(NOW_MS + 5),
        ..item.clone()
    };
    assert_eq!(moved, expected);
    let relaxed = written(item.clone(), &flush(&flushed(&item, 6, None, Ending::Interim)));
    assert_eq!((relaxed.claim_chunk, relaxed.claim_to), (None, Some(next(9))));
}

#[test]
fn no_two_writes_of_a_run_bear_the_same_time_whatever_the_clock_says() {
    let item = taken_over(&left(EXPIRED), 9);
    for now_ms in [NOW_MS - 1_000, NOW_MS, NOW_MS + 1, i64::MIN] {
        let flush = Flush {
            hands_over: false,
            unreported: None,
            unknown: None,
            now_ms,
            ..flushed(&item, 6, None, Ending::Interim)
        };
        assert_eq!(flush.stamp_ms(), NOW_MS + 1, "at {now_ms}");
    }
    assert_eq!(flushed(&item, 6, None, Ending::Interim).stamp_ms(), NOW_MS + 5);
}

#[test]
fn a_failed_record_is_remembered_without_a_claim() {
    let item = taken_over(&left(EXPIRED), 9);
    let blocked = Ending::Final(Some(crashed(6, 0)));
    let item = written(item.clone(), &flush(&flushed(&item, 6, None, blocked)));
    assert_eq!(item.failures(), Some(&crashed(6, 0)));
    assert_eq!((item.claim_until_ms, item.next), (None, next(6)));
}

#[test]
fn a_release_notes_the_care_that_became_due_although_nothing_was_settled() {
    let item = taken_over(&left(None), 9);
    let item = written(item, &release(&RunId::new("me"), guard(8, BatchLimit::Single)));
    assert_eq!(
        (item.claim_to, item.claim_chunk),
        (Some(next(8)), Some(BatchLimit::Single))
    );
}

#[test]
fn a_stored_chunk_of_one_is_single_and_any_larger_one_is_small() {
    assert_eq!([0, 1].map(BatchLimit::of), [BatchLimit::Single; 2]);
    assert_eq!([2, 128, u64::MAX].map(BatchLimit::of), [BatchLimit::Small; 3]);
}

/// An item of this program has the table's five attributes, whoever reads it.
#[test]
fn a_pinned_start_names_its_topic_and_group() {
    assert!(pin(next(7), NOW_MS).sets.contains(&Set::Identity));
}

#[test]
fn a_release_leaves_the_cursor_and_what_is_known_of_failures() {
    let item = taken_over(&with_chunk(left(EXPIRED), Some(BatchLimit::Single)), 9);
    let unclaimed = Cursor {
        claim_until_ms: None,
        ..item.clone()
    };
    let due = guard(9, BatchLimit::Single);
    assert_eq!(written(item.clone(), &release(&RunId::new("me"), due)), unclaimed);
    let carefree = Cursor {
        claim_to: None,
        claim_chunk: None,
        ..unclaimed
    };
    assert_eq!(written(item, &release(&RunId::new("me"), None)), carefree);
}
