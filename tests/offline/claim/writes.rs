//! The writes of a run: the items after them, and the conditions that refuse them.

use kafka_consumer_lambda::claim::{
    ChunkLimit, Claim, Cursor, Ending, Flush, ObservedItem, RunId, Set, Verdict, claim, flush, judge_claim,
    judge_flush, pin, release,
};
use kafka_consumer_lambda::store::WriteResult;

use super::{EXPIRED, NOW_MS, crashed, flushed, left, next, quarantine, taken_over, with_chunk, write, written};

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
fn a_refused_flush_shows_that_an_earlier_one_of_unknown_result_was_applied() {
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
    // An operator's edit is distinguished from it.
    let edited = after.map(|item| Cursor { next: next(2), ..item });
    assert_eq!(
        judge_flush(&second, edited.as_ref()),
        Verdict::Edited { until_ms: None }
    );
}

#[test]
fn a_last_write_removes_the_claim_the_quarantine_and_the_failures() {
    let item = taken_over(&with_chunk(left(EXPIRED), Some(ChunkLimit::Single)), 9);
    let done = written(item.clone(), &flush(&flushed(&item, 9, None, Ending::Final(None))));
    let expected = Cursor {
        run: Some(RunId::new("me")),
        updated_at_ms: Some(NOW_MS + 5),
        ..Cursor::at(next(9))
    };
    assert_eq!(done, expected);
}

#[test]
fn a_last_write_keeps_a_quarantine_that_has_not_ended() {
    let item = taken_over(&with_chunk(left(EXPIRED), Some(ChunkLimit::Small)), 12);
    let still_due = quarantine(9, ChunkLimit::Single);
    let done = written(item.clone(), &flush(&flushed(&item, 7, still_due, Ending::Final(None))));
    assert_eq!(done.crash_history(NOW_MS + 6).quarantine, still_due);
    assert_eq!((done.claim_until_ms, done.next), (None, next(7)));
}

#[test]
fn an_interim_write_moves_the_cursor_and_keeps_the_claim() {
    let item = taken_over(&left(EXPIRED), 9);
    let single = quarantine(9, ChunkLimit::Single);
    let moved = written(item.clone(), &flush(&flushed(&item, 6, single, Ending::Interim)));
    let expected = Cursor {
        next: next(6),
        claim_chunk: Some(ChunkLimit::Single),
        updated_at_ms: Some(NOW_MS + 5),
        ..item.clone()
    };
    assert_eq!(moved, expected);
    let relaxed = written(item.clone(), &flush(&flushed(&item, 6, None, Ending::Interim)));
    assert_eq!((relaxed.claim_chunk, relaxed.claim_to), (None, Some(next(9))));
}

#[test]
fn no_two_writes_of_a_run_have_the_same_timestamp_even_if_the_clock_goes_back() {
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
fn the_failures_of_a_record_are_stored_without_a_claim() {
    let item = taken_over(&left(EXPIRED), 9);
    let blocked = Ending::Final(Some(crashed(6, 0)));
    let item = written(item.clone(), &flush(&flushed(&item, 6, None, blocked)));
    assert_eq!(item.failures(), Some(&crashed(6, 0)));
    assert_eq!((item.claim_until_ms, item.next), (None, next(6)));
}

#[test]
fn a_release_stores_the_quarantine_although_nothing_was_settled() {
    let item = taken_over(&left(None), 9);
    let item = written(item, &release(&RunId::new("me"), quarantine(8, ChunkLimit::Single)));
    assert_eq!(
        (item.claim_to, item.claim_chunk),
        (Some(next(8)), Some(ChunkLimit::Single))
    );
}

#[test]
fn a_release_keeps_the_cursor_and_the_failures() {
    let item = taken_over(&with_chunk(left(EXPIRED), Some(ChunkLimit::Single)), 9);
    let unclaimed = Cursor {
        claim_until_ms: None,
        ..item.clone()
    };
    let single = quarantine(9, ChunkLimit::Single);
    assert_eq!(written(item.clone(), &release(&RunId::new("me"), single)), unclaimed);
    let without_quarantine = Cursor {
        claim_to: None,
        claim_chunk: None,
        ..unclaimed
    };
    assert_eq!(written(item, &release(&RunId::new("me"), None)), without_quarantine);
}

/// An item of this program has the table's five attributes, so that other programs can read it.
#[test]
fn a_pinned_start_names_its_topic_and_group() {
    assert!(pin(next(7), NOW_MS).sets.contains(&Set::Identity));
}
