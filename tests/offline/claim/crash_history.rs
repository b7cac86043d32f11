//! Takeovers of expired claims: the quarantine, and the crashes that are counted.

use kafka_consumer_lambda::claim::{ChunkLimit, Claim, CrashHistory, Cursor, Failures, ObservedItem, RunId, claim};

use super::{EXPIRED, LIVE, NOW_MS, crashed, left, next, quarantine, taken_over, with_chunk, with_failure, written};

#[test]
fn each_crash_makes_the_chunks_of_the_next_run_smaller() {
    let limits = [None, Some(ChunkLimit::Small), Some(ChunkLimit::Single)];
    let quarantine_after = |until, limit| with_chunk(left(until), limit).crash_history(NOW_MS).quarantine;
    for limit in limits {
        // No run crashed: the limit of an earlier run still applies. A claim that ends too late is
        // not a run's.
        for until in [None, LIVE, Some(i64::MAX)] {
            assert_eq!(
                quarantine_after(until, limit),
                limit.and_then(|limit| quarantine(9, limit))
            );
        }
    }
    assert_eq!(quarantine_after(EXPIRED, None), quarantine(9, ChunkLimit::Small));
    assert_eq!(
        quarantine_after(EXPIRED, Some(ChunkLimit::Small)),
        quarantine(9, ChunkLimit::Single)
    );
    assert_eq!(
        quarantine_after(EXPIRED, Some(ChunkLimit::Single)),
        quarantine(9, ChunkLimit::Single)
    );
}

#[test]
fn a_quarantine_ends_where_the_cursor_has_reached_the_planned_end() {
    for (at, expected) in [(8, quarantine(9, ChunkLimit::Small)), (9, None), (10, None)] {
        let cursor = Cursor {
            next: next(at),
            ..left(EXPIRED)
        };
        assert_eq!(cursor.crash_history(NOW_MS).quarantine, expected);
    }
    let unplanned = Cursor {
        claim_to: None,
        ..left(EXPIRED)
    };
    assert_eq!(unplanned.crash_history(NOW_MS).quarantine, None);
}

#[test]
fn a_crash_is_counted_only_for_a_record_that_was_handed_over_alone() {
    for (limit, single) in [(None, 0), (Some(ChunkLimit::Small), 0), (Some(ChunkLimit::Single), 1)] {
        for (until, count) in [(None, 0), (LIVE, 0), (Some(i64::MAX), 0), (EXPIRED, single)] {
            let item = with_chunk(left(until), limit);
            let crashes = |failed_at| {
                let known = with_failure(item.clone(), crashed(failed_at, 2));
                known.crash_history(NOW_MS).crashes
            };
            assert_eq!(item.crash_history(NOW_MS).crashes, count);
            assert_eq!(item.crash_history(NOW_MS).just_died, count == 1);
            assert_eq!((crashes(4), crashes(5), crashes(6)), (count, 2 + count, count));
        }
    }
    let often = with_failure(
        with_chunk(left(EXPIRED), Some(ChunkLimit::Single)),
        crashed(5, u32::MAX),
    );
    assert_eq!(often.crash_history(NOW_MS).crashes, u32::MAX);
}

/// P14: a claim that is left behind counts against no record.
#[test]
fn a_claim_that_expires_without_a_mark_at_the_cursor_counts_no_crash_and_makes_no_chunk_smaller() {
    for handed_over in [None, Some(next(4)), Some(next(6))] {
        for limit in [ChunkLimit::Small, ChunkLimit::Single] {
            let item = Cursor {
                handed_over,
                ..with_chunk(left(EXPIRED), Some(limit))
            };
            let history = item.crash_history(NOW_MS);
            assert_eq!(
                (history.quarantine, history.crashes, history.just_died),
                (quarantine(9, limit), 0, false)
            );
            let claimed = taken_over(&item, 9);
            assert_eq!((claimed.failure, claimed.handed_over), (None, None));
        }
    }
}

#[test]
fn a_crash_is_counted_once_however_often_the_partition_is_claimed_after_it() {
    let mut item = with_chunk(left(EXPIRED), Some(ChunkLimit::Single));
    for _ in 0..3 {
        item = taken_over(&item, 9);
        item.claim_until_ms = EXPIRED;
    }
    assert_eq!(item.failure, Some(crashed(5, 1)));
}

/// P4: the operator wins.
#[test]
fn an_edit_of_the_offset_after_a_crash_discards_the_crash() {
    let item = Cursor {
        next: next(6),
        ..with_chunk(left(EXPIRED), Some(ChunkLimit::Single))
    };
    let edited = taken_over(&item, 9);
    assert_eq!((edited.failure, edited.handed_over), (None, None));
}

#[test]
fn a_partition_without_an_item_has_no_crash_history() {
    assert_eq!(
        ObservedItem::Missing { start: next(5) }.crash_history(NOW_MS),
        CrashHistory::default()
    );
}

#[test]
fn a_claim_stores_the_limit_of_chunks_and_the_crash_of_a_run_with_a_single_record() {
    let first = taken_over(&left(EXPIRED), 9);
    assert_eq!((first.claim_chunk, &first.failure), (Some(ChunkLimit::Small), &None));
    let second = taken_over(&with_chunk(left(EXPIRED), Some(ChunkLimit::Small)), 9);
    assert_eq!((second.claim_chunk, &second.failure), (Some(ChunkLimit::Single), &None));
    let third = taken_over(&with_chunk(left(EXPIRED), Some(ChunkLimit::Single)), 9);
    assert_eq!(third.claim_chunk, Some(ChunkLimit::Single));
    assert_eq!(third.failure, Some(crashed(5, 1)));
}

#[test]
fn a_crash_keeps_the_other_failures_of_the_record() {
    let known = Failures {
        attempts: 2,
        error: Some("no JSON".into()),
        ..crashed(5, 1)
    };
    let item = with_chunk(with_failure(left(EXPIRED), known.clone()), Some(ChunkLimit::Single));
    assert_eq!(taken_over(&item, 9).failure, Some(Failures { crashes: 2, ..known }));
}

#[test]
fn a_crash_at_another_record_starts_a_new_count() {
    let other = Failures {
        attempts: 2,
        ..crashed(4, 7)
    };
    let item = with_chunk(with_failure(left(EXPIRED), other), Some(ChunkLimit::Single));
    assert_eq!(taken_over(&item, 9).failure, Some(crashed(5, 1)));
}

#[test]
fn a_claim_on_a_free_partition_counts_no_crash_and_starts_no_quarantine() {
    for until in [None, Some(i64::MAX)] {
        let item = taken_over(&left(until), 9);
        assert_eq!((item.failure, item.claim_chunk), (None, None));
        let failed = with_failure(left(until), crashed(5, 1));
        assert_eq!(taken_over(&failed, 9).failure, failed.failure);
    }
    // A quarantine that ends at the cursor is removed.
    let passed = Cursor {
        claim_to: Some(next(5)),
        ..with_chunk(left(None), Some(ChunkLimit::Single))
    };
    assert_eq!(taken_over(&passed, 9).claim_chunk, None);
}

#[test]
fn a_run_that_plans_less_keeps_the_planned_end_of_the_crashed_one() {
    for (to, planned) in [(7, 9), (9, 9), (12, 12)] {
        assert_eq!(taken_over(&left(EXPIRED), to).claim_to, Some(next(planned)));
    }
    // No run crashed: the plan is that of the new run.
    assert_eq!(taken_over(&left(None), 7).claim_to, Some(next(7)));
}

#[test]
fn the_crashes_of_a_record_that_crashes_every_run_are_counted_from_the_third_on() {
    let mut item = left(None);
    let mut observed_runs = vec![];
    for run in 0..6 {
        let now_ms = NOW_MS + run * 100_000;
        let observed = ObservedItem::Present(item.clone());
        let history = item.crash_history(now_ms);
        observed_runs.push((history.quarantine.map(|quarantine| quarantine.limit), history.crashes));
        let ours = Claim {
            run: RunId::new(run.to_string()),
            until_ms: now_ms + 70_000,
            to: next(9),
            now_ms,
        };
        item = written(item, &claim(&observed, &ours));
        // It crashes with the record in the handler.
        item.handed_over = Some(item.next);
    }
    let (small, single) = (Some(ChunkLimit::Small), Some(ChunkLimit::Single));
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
fn a_stored_chunk_of_one_is_single_and_any_larger_one_is_small() {
    assert_eq!([0, 1].map(ChunkLimit::of), [ChunkLimit::Single; 2]);
    assert_eq!([2, 128, u64::MAX].map(ChunkLimit::of), [ChunkLimit::Small; 3]);
}
