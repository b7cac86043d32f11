//! Claims: who holds a partition, what a takeover remembers, and what a refused write means.

mod exploration;
mod verdict;

use futures::FutureExt;
use kafka_consumer_lambda::claim::{
    Claim, Cursor, CursorWrite, Ending, Failures, LONGEST_BELIEVED_MS, RunId, Seen, Standing, careful_until, claim,
    crashes_at_next, flush, release,
};
use kafka_consumer_lambda::record::NextOffset;
use kafka_consumer_lambda::store::memory::MemoryStore;
use kafka_consumer_lambda::store::{Consumer, Store, Written};

const NOW_MS: i64 = 1_800_000_000_000;
const EXPIRED: Option<i64> = Some(NOW_MS);
const LIVE: Option<i64> = Some(NOW_MS + 1);

fn next(offset: i64) -> NextOffset {
    NextOffset::new(offset).expect("offsets of tests are in range")
}

/// What a write makes of an item: whether it was made, and the item then.
fn write(item: Option<Cursor>, write: &CursorWrite) -> (Written, Option<Cursor>) {
    let consumer = Consumer {
        group_id: "g".into(),
        topic: "t".into(),
    };
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
    assert_eq!(written, Written::Applied);
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
    written(item.clone(), &claim(&Seen::Item(item.clone()), &ours))
}

#[test]
fn a_partition_is_held_from_now_until_its_claim_ends_if_that_can_be_believed() {
    let rows = [
        (None, Standing::Free),
        (Some(i64::MIN), Standing::Expired),
        (Some(0), Standing::Expired),
        (Some(NOW_MS - 1), Standing::Expired),
        (Some(NOW_MS), Standing::Expired),
        (Some(NOW_MS + 1), Standing::Held { until_ms: NOW_MS + 1 }),
        (
            Some(NOW_MS + LONGEST_BELIEVED_MS),
            Standing::Held {
                until_ms: NOW_MS + LONGEST_BELIEVED_MS,
            },
        ),
        (Some(NOW_MS + LONGEST_BELIEVED_MS + 1), Standing::Free),
        (Some(i64::MAX), Standing::Free),
    ];
    for (until, standing) in rows {
        assert_eq!(left(until).standing(NOW_MS), standing, "{until:?}");
    }
}

#[test]
fn a_clock_at_the_end_of_its_range_judges_claims_all_the_same() {
    assert_eq!(
        left(Some(i64::MAX)).standing(i64::MAX - 1),
        Standing::Held { until_ms: i64::MAX }
    );
    assert_eq!(left(Some(i64::MAX)).standing(i64::MAX), Standing::Expired);
}

#[test]
fn care_is_due_where_a_run_died_up_to_the_end_it_had_planned() {
    let careful = |cursor: &Cursor| careful_until(cursor, NOW_MS);
    assert_eq!(careful(&left(EXPIRED)), Some(next(9)));
    assert_eq!(careful(&left(None)), None);
    assert_eq!(careful(&left(LIVE)), None);
    // A claim that is too long to be believed was nobody's: no run died.
    assert_eq!(careful(&left(Some(i64::MAX))), None);
}

#[test]
fn care_stays_due_while_crashes_are_remembered() {
    for (crashes, careful) in [(0, None), (1, Some(next(9))), (2, Some(next(9)))] {
        for at in [5, 4] {
            let cursor = with_failure(left(None), crashed(at, crashes));
            assert_eq!(careful_until(&cursor, NOW_MS), careful, "{crashes} at {at}");
        }
    }
}

#[test]
fn no_care_is_due_once_the_cursor_has_reached_the_planned_end() {
    for (at, careful) in [(8, Some(next(9))), (9, None), (10, None)] {
        let cursor = Cursor {
            next: next(at),
            ..left(EXPIRED)
        };
        assert_eq!(careful_until(&cursor, NOW_MS), careful);
    }
    let unplanned = Cursor {
        claim_to: None,
        ..left(EXPIRED)
    };
    assert_eq!(careful_until(&unplanned, NOW_MS), None);
}

#[test]
fn crashes_are_counted_at_the_next_offset_only() {
    let crashes = |cursor: &Cursor| crashes_at_next(cursor, NOW_MS);
    for (until, died) in [(None, 0), (LIVE, 0), (Some(i64::MAX), 0), (EXPIRED, 1)] {
        assert_eq!(crashes(&left(until)), died);
        assert_eq!(crashes(&with_failure(left(until), crashed(5, 2))), 2 + died);
        assert_eq!(crashes(&with_failure(left(until), crashed(4, 2))), died);
        assert_eq!(crashes(&with_failure(left(until), crashed(6, 2))), died);
    }
    assert_eq!(crashes(&with_failure(left(EXPIRED), crashed(5, u32::MAX))), u32::MAX);
}

#[test]
fn taking_over_an_expired_claim_counts_a_crash_and_keeps_what_is_known_of_the_record() {
    assert_eq!(taken_over(&left(EXPIRED), 9).failure, Some(crashed(5, 1)));
    let known = Failures {
        attempts: 2,
        error: Some("no JSON".into()),
        ..crashed(5, 1)
    };
    let item = taken_over(&with_failure(left(EXPIRED), known.clone()), 9);
    assert_eq!(item.failure, Some(Failures { crashes: 2, ..known }));
}

#[test]
fn a_crash_at_another_record_begins_a_count_of_its_own() {
    let other = Failures {
        attempts: 2,
        ..crashed(4, 7)
    };
    let item = taken_over(&with_failure(left(EXPIRED), other), 9);
    assert_eq!(item.failure, Some(crashed(5, 1)));
}

#[test]
fn a_claim_on_a_free_partition_counts_no_crash() {
    for until in [None, Some(i64::MAX)] {
        assert_eq!(taken_over(&left(until), 9).failure, None);
        let failed = with_failure(left(until), crashed(5, 1));
        assert_eq!(taken_over(&failed, 9).failure, failed.failure);
    }
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
fn two_crashes_at_one_record_are_two_although_the_first_takeover_died_too() {
    let first = taken_over(&left(EXPIRED), 9);
    let later_ms = NOW_MS + 70_000;
    assert_eq!(crashes_at_next(&first, later_ms), 2);
    assert_eq!(careful_until(&first, later_ms), Some(next(9)));
    // Had it moved on, the next crash would be the first at its record.
    let moved = written(
        first,
        &flush(&RunId::new("me"), next(5), next(6), &Ending::Interim, NOW_MS),
    );
    assert_eq!(crashes_at_next(&moved, later_ms), 1);
    assert_eq!(careful_until(&moved, later_ms), Some(next(9)));
}

#[test]
fn a_final_write_forgets_the_claim_and_the_failures() {
    let (me, item) = (RunId::new("me"), taken_over(&left(EXPIRED), 9));
    let done = written(item, &flush(&me, next(5), next(9), &Ending::Final, NOW_MS));
    let forgotten = Cursor {
        run: Some(me),
        updated_at_ms: Some(NOW_MS),
        ..Cursor::at(next(9))
    };
    assert_eq!(done, forgotten);
}

#[test]
fn an_interim_write_moves_the_cursor_and_keeps_the_claim() {
    let (me, item) = (RunId::new("me"), taken_over(&left(EXPIRED), 9));
    let moved = written(item.clone(), &flush(&me, next(5), next(6), &Ending::Interim, NOW_MS));
    assert_eq!(moved, Cursor { next: next(6), ..item });
}

#[test]
fn a_blocked_record_is_remembered_without_a_claim() {
    let (me, item) = (RunId::new("me"), taken_over(&left(EXPIRED), 9));
    let blocked = Ending::Blocked(crashed(6, 0));
    let item = written(item, &flush(&me, next(5), next(6), &blocked, NOW_MS));
    assert_eq!(item.failures(), Some(&crashed(6, 0)));
    assert_eq!((item.claim_until_ms, item.next), (None, next(6)));
}

#[test]
fn a_release_leaves_the_cursor_and_what_is_known_of_failures() {
    let item = taken_over(&left(EXPIRED), 9);
    let released = written(item.clone(), &release(&RunId::new("me")));
    let unclaimed = Cursor {
        claim_until_ms: None,
        claim_to: None,
        ..item
    };
    assert_eq!(released, unclaimed);
}
