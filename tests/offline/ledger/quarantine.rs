//! The quarantine after a run that crashed.

use kafka_consumer_lambda::claim::{ChunkLimit, Quarantine, SMALL_CHUNK};
use kafka_consumer_lambda::ledger::{FIRST_CHUNK, Ledger, MAX_CHUNK, Step};

use super::{busy, chunk, next, record, records, settle, with_quarantine};

#[expect(clippy::unnecessary_wraps, reason = "it stands where there may be none")]
fn quarantine(until: i64, limit: ChunkLimit) -> Option<Quarantine> {
    Some(Quarantine {
        until: next(until),
        limit,
    })
}

/// While a destination is throttled, a crash is not that of the record.
#[test]
fn while_the_run_waits_the_mark_is_removed_and_the_next_hand_over_writes_it_again() {
    let mut ledger = quarantined(20_000, ChunkLimit::Single);
    assert_eq!(ledger.step(false, 0), Step::Process(1), "the mark is written");
    ledger.set_waiting(true);
    assert!(!ledger.hands_over());
    ledger.flushed(0);
    ledger.set_waiting(false);
    assert_eq!(ledger.step(false, 0), Step::Flush);
    ledger.flushed(0);
    assert_eq!(ledger.step(false, 0), Step::Process(1));
}

fn quarantined(until: i64, limit: ChunkLimit) -> Ledger {
    with_quarantine(quarantine(until, limit))
}

#[test]
fn after_one_crash_a_chunk_is_at_most_a_32nd_of_the_largest() {
    assert_eq!(SMALL_CHUNK, MAX_CHUNK / 32);
    let mut ledger = quarantined(20_000, ChunkLimit::Small);
    assert_eq!(chunk(&ledger), FIRST_CHUNK);
    for _ in 0..6 {
        ledger.measured(chunk(&ledger), 0);
    }
    assert_eq!(chunk(&ledger), SMALL_CHUNK);
}

#[test]
fn after_two_crashes_records_are_handed_over_one_by_one() {
    let mut ledger = quarantined(20_000, ChunkLimit::Single);
    ledger.measured(FIRST_CHUNK, 0);
    assert_eq!(chunk(&ledger), 1);
}

#[test]
fn a_quarantined_partition_is_written_after_each_chunk() {
    for limit in [ChunkLimit::Small, ChunkLimit::Single] {
        let mut ledger = quarantined(20_000, limit);
        assert!(matches!(ledger.step(false, 0), Step::Process(_)));
        settle(&mut ledger, 0..1);
        assert_eq!(ledger.step(false, 0), Step::Flush);
        ledger.flushed(0);
        assert!(matches!(ledger.step(false, 0), Step::Process(_)));
    }
}

#[test]
fn in_quarantine_a_mark_at_the_record_is_written_before_it_is_handed_over() {
    let mut ledger = Ledger::new(next(0), (next(0), next(10)), 10, quarantine(10, ChunkLimit::Single), 0);
    ledger.polled(&records([3, 6]));
    assert_eq!((ledger.step(false, 0), ledger.settled_at()), (Step::Flush, next(3)));
    ledger.flushed(0);
    assert_eq!(ledger.step(false, 0), Step::Process(1));
    ledger.settled(1, &record(3));
    ledger.stand_at(&record(6));
    assert_eq!((ledger.step(false, 0), ledger.settled_at()), (Step::Flush, next(6)));
}

#[test]
fn the_end_of_the_quarantine_is_written_before_a_larger_chunk_is_handed_over() {
    let mut ledger = quarantined(3, ChunkLimit::Single);
    settle(&mut ledger, 0..2);
    ledger.flushed(0);
    assert_eq!(chunk(&ledger), 1);
    settle(&mut ledger, 2..3);
    assert_eq!((ledger.step(false, 0), ledger.quarantine()), (Step::Flush, None));
    ledger.flushed(0);
    assert_eq!(chunk(&ledger), FIRST_CHUNK);
    settle(&mut ledger, 3..4);
    assert!(matches!(ledger.step(false, 0), Step::Process(_)));
}

#[test]
fn after_a_small_chunk_of_single_records_chunks_are_small_again() {
    let mut ledger = quarantined(20_000, ChunkLimit::Single);
    for offset in 0..128 {
        assert_eq!(
            ledger.quarantine(),
            quarantine(20_000, ChunkLimit::Single),
            "at {offset}"
        );
        settle(&mut ledger, offset..offset + 1);
        ledger.flushed(0);
    }
    assert_eq!(ledger.quarantine(), quarantine(20_000, ChunkLimit::Small));
}

#[test]
fn a_quarantine_that_ends_at_or_before_the_cursor_does_not_apply() {
    let ledger = Ledger::new(next(2), (next(7), next(10)), 10, quarantine(7, ChunkLimit::Single), 0);
    assert_eq!(ledger.quarantine(), None);
    // The item still contains it.
    assert_eq!(ledger.step(false, 0), Step::Flush);
}

#[test]
fn work_that_is_not_finished_in_time_makes_the_chunks_of_the_next_run_smaller() {
    let mut ledger = busy();
    settle(&mut ledger, 0..5);
    ledger.tighten_quarantine();
    assert_eq!(ledger.quarantine(), quarantine(20_000, ChunkLimit::Small));
    ledger.tighten_quarantine();
    assert_eq!(ledger.quarantine(), quarantine(20_000, ChunkLimit::Single));
    let mut early = quarantined(9, ChunkLimit::Small);
    early.tighten_quarantine();
    assert_eq!(early.quarantine(), quarantine(9, ChunkLimit::Single));
}

#[test]
fn a_quarantine_that_reaches_past_the_end_stays_where_only_a_gap_is_passed() {
    let mut ledger = Ledger::new(next(0), (next(0), next(10)), 10, quarantine(12, ChunkLimit::Single), 0);
    assert_eq!(ledger.polled(&records([12])), 0);
    assert_eq!(
        (ledger.settled_at(), ledger.quarantine()),
        (next(10), quarantine(12, ChunkLimit::Single))
    );
}

#[test]
fn unfinished_single_records_keep_the_quarantine_for_a_whole_small_chunk() {
    let mut ledger = quarantined(20_000, ChunkLimit::Single);
    settle(&mut ledger, 0..100);
    ledger.tighten_quarantine();
    settle(&mut ledger, 100..200);
    assert_eq!(ledger.quarantine(), quarantine(20_000, ChunkLimit::Single));
    settle(&mut ledger, 200..228);
    assert_eq!(ledger.quarantine(), quarantine(20_000, ChunkLimit::Small));
}

#[test]
fn no_quarantine_is_started_where_all_records_are_settled() {
    let mut ledger = Ledger::new(next(0), (next(10), next(10)), 10, None, 0);
    ledger.tighten_quarantine();
    assert_eq!(ledger.quarantine(), None);
}

#[test]
fn in_quarantine_a_mark_is_written_before_each_hand_over_and_nothing_is_fetched_ahead() {
    for (limit, at_once) in [(ChunkLimit::Small, FIRST_CHUNK), (ChunkLimit::Single, 1)] {
        let mut ledger = Ledger::new(next(0), (next(0), next(100)), 100, quarantine(100, limit), 0);
        assert_eq!(ledger.step(false, 0), Step::Poll(at_once));
        assert!(!ledger.hands_over());
        ledger.polled(&records(0..i64::try_from(at_once).expect("small")));
        assert!(ledger.hands_over() && ledger.has_all());
        assert_eq!(ledger.step(false, 0), Step::Flush);
        ledger.flushed(0);
        assert_eq!(ledger.step(false, 0), Step::Process(at_once));
    }
}

#[test]
fn the_mark_of_a_settled_record_is_removed_before_the_next_is_fetched() {
    let mut ledger = Ledger::new(next(0), (next(0), next(10)), 10, quarantine(10, ChunkLimit::Single), 0);
    ledger.polled(&records([0]));
    ledger.flushed(0);
    ledger.settled(1, &record(0));
    assert_eq!((ledger.step(false, 0), ledger.hands_over()), (Step::Flush, false));
    ledger.flushed(0);
    assert_eq!(ledger.step(false, 0), Step::Poll(1));
}

#[test]
fn a_quarantine_ends_after_as_many_small_chunks_as_fit_into_the_largest_one() {
    let mut ledger = quarantined(20_000, ChunkLimit::Small);
    for chunk in 0..32 {
        assert_eq!(
            ledger.quarantine(),
            quarantine(20_000, ChunkLimit::Small),
            "chunk {chunk}"
        );
        settle(&mut ledger, chunk * 10..(chunk + 1) * 10);
        ledger.flushed(0);
    }
    assert_eq!(ledger.quarantine(), None);
}
