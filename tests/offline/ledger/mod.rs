//! The ledger: each row of its table.

mod chunk;
mod model;
mod quarantine;

use kafka_consumer_lambda::claim::Quarantine;
use kafka_consumer_lambda::ledger::{FLUSH_EVERY_MS, Ledger, MAX_CHUNK, Step, Stop};
use kafka_consumer_lambda::record::Record;

use crate::support::states::{next, record};

fn records(offsets: impl IntoIterator<Item = i64>) -> Vec<Record> {
    offsets.into_iter().map(record).collect()
}

/// A partition to be read from 0, where its cursor is stored, up to `to`.
fn ledger(to: i64, share: u64) -> Ledger {
    Ledger::new(next(0), (next(0), next(to)), share, None, 0)
}

/// A ledger with as many buffered records as possible.
fn busy() -> Ledger {
    with_quarantine(None)
}

fn with_quarantine(quarantine: Option<Quarantine>) -> Ledger {
    let mut ledger = Ledger::new(next(0), (next(0), next(20_000)), 20_000, quarantine, 0);
    ledger.polled(&records(0..20_000));
    if quarantine.is_some() {
        // The mark of the first hand-over.
        ledger.flushed(0);
    }
    ledger
}

/// Settles the records `from..to`, which are the only ones.
fn settle(ledger: &mut Ledger, offsets: std::ops::Range<i64>) {
    let count = usize::try_from(offsets.end - offsets.start).expect("ascending");
    ledger.settled(count, &record(offsets.end - 1));
}

fn chunk(ledger: &Ledger) -> usize {
    match ledger.step(false, 0) {
        Step::Process(count) => count,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_partition_that_has_failed_stops_in_every_state() {
    for (to, stop) in [(10, false), (10, true), (0, false)] {
        let mut ledger = ledger(to, 10);
        ledger.polled(&records(0..5));
        ledger.fail();
        assert_eq!(ledger.step(stop, FLUSH_EVERY_MS), Step::Stop(Stop::Failed));
        assert_eq!(ledger.remaining(), 0);
    }
}

#[test]
fn a_run_that_must_stop_begins_nothing_more() {
    let mut ledger = ledger(10, 10);
    assert_eq!(ledger.step(true, 0), Step::Stop(Stop::OutOfTime));
    ledger.polled(&records(0..5));
    assert_eq!(ledger.step(true, 0), Step::Stop(Stop::OutOfTime));
    settle(&mut ledger, 0..2);
    assert_eq!(ledger.step(true, FLUSH_EVERY_MS), Step::Stop(Stop::OutOfTime));
}

#[test]
fn a_run_that_must_stop_and_has_caught_up_reports_that_it_has_caught_up() {
    let mut ledger = ledger(5, 10);
    ledger.polled(&records(0..5));
    settle(&mut ledger, 0..5);
    assert_eq!(ledger.step(true, 0), Step::Stop(Stop::CaughtUp));
}

#[test]
fn settled_records_are_written_after_five_seconds_before_anything_else() {
    let mut ledger = ledger(10, 10);
    ledger.polled(&records(0..5));
    settle(&mut ledger, 0..2);
    assert_eq!(ledger.step(false, FLUSH_EVERY_MS - 1), Step::Process(3));
    assert_eq!(ledger.step(false, FLUSH_EVERY_MS), Step::Flush);
    assert_eq!(ledger.due_at_ms(), Some(FLUSH_EVERY_MS));
}

#[test]
fn five_seconds_are_counted_from_the_last_write() {
    let mut ledger = ledger(10, 10);
    ledger.polled(&records(0..5));
    settle(&mut ledger, 0..2);
    ledger.flushed(7_000);
    assert_eq!((ledger.stored_at(), ledger.due_at_ms()), (next(2), None));
    settle(&mut ledger, 2..3);
    assert_eq!(ledger.due_at_ms(), Some(7_000 + FLUSH_EVERY_MS));
    assert_eq!(ledger.step(false, 7_000 + FLUSH_EVERY_MS - 1), Step::Process(2));
    assert_eq!(ledger.step(false, 7_000 + FLUSH_EVERY_MS), Step::Flush);
}

#[test]
fn nothing_is_written_while_nothing_is_settled() {
    let mut ledger = ledger(10, 10);
    assert_eq!(ledger.step(false, u64::MAX), Step::Poll(10));
    ledger.polled(&records(0..5));
    assert_eq!(ledger.step(false, u64::MAX), Step::Process(5));
    assert_eq!(ledger.due_at_ms(), None);
}

#[test]
fn a_write_that_failed_is_not_due_again() {
    let mut ledger = ledger(10, 10);
    ledger.polled(&records(0..5));
    settle(&mut ledger, 0..2);
    ledger.fail();
    assert_eq!(ledger.due_at_ms(), None);
}

#[test]
fn a_jump_is_written_like_progress() {
    // Forward over lost records, and back by ON_TRUNCATION=earliest.
    for stored in [2, 1_000] {
        let mut ledger = Ledger::new(next(stored), (next(5), next(10)), 10, None, 0);
        assert_eq!(ledger.due_at_ms(), Some(FLUSH_EVERY_MS), "stored at {stored}");
        assert_eq!(ledger.step(false, FLUSH_EVERY_MS), Step::Flush, "stored at {stored}");
        ledger.flushed(FLUSH_EVERY_MS);
        assert_eq!(ledger.stored_at(), next(5));
        assert_eq!(ledger.step(false, 2 * FLUSH_EVERY_MS), Step::Poll(10));
    }
}

#[test]
fn buffered_records_are_processed_before_more_are_polled() {
    let mut ledger = ledger(10, 10);
    ledger.polled(&records(0..1));
    assert_eq!(ledger.step(false, 0), Step::Process(1));
    settle(&mut ledger, 0..1);
    assert_eq!(ledger.step(false, 0), Step::Poll(9));
}

#[test]
fn a_partition_settled_up_to_its_end_has_caught_up() {
    let mut ledger = ledger(5, 10);
    ledger.polled(&records(0..5));
    settle(&mut ledger, 0..4);
    assert_eq!(ledger.step(false, 0), Step::Process(1));
    settle(&mut ledger, 4..5);
    assert_eq!(ledger.step(false, 0), Step::Stop(Stop::CaughtUp));
}

#[test]
fn the_last_write_is_left_to_the_end_once_all_is_settled() {
    let mut ledger = ledger(5, 10);
    ledger.polled(&records(0..5));
    settle(&mut ledger, 0..5);
    assert_eq!(ledger.step(false, FLUSH_EVERY_MS), Step::Stop(Stop::CaughtUp));
}

#[test]
fn a_jump_to_the_end_or_past_it_completes_the_partition() {
    for from in [10, 11] {
        let ledger = Ledger::new(next(3), (next(from), next(10)), 0, None, 0);
        assert_eq!(ledger.step(false, 0), Step::Stop(Stop::CaughtUp));
        assert_eq!((ledger.settled_at(), ledger.remaining()), (next(from), 0));
    }
}

#[test]
fn a_used_share_stops_the_partition_after_the_last_record_of_it() {
    let mut ledger = ledger(10, 2);
    assert_eq!(ledger.step(false, 0), Step::Poll(2));
    ledger.polled(&records(0..2));
    assert_eq!(ledger.step(false, 0), Step::Process(2));
    settle(&mut ledger, 0..2);
    assert_eq!(ledger.step(false, 0), Step::Stop(Stop::ShareUsed));
    assert_eq!(ledger.remaining(), 8);
}

#[test]
fn a_partition_that_has_used_its_share_continues_with_a_grant() {
    let mut ledger = ledger(10, 0);
    assert_eq!(ledger.step(false, 0), Step::Stop(Stop::ShareUsed));
    ledger.grant(3);
    assert_eq!(ledger.step(false, 0), Step::Poll(3));
    ledger.grant(u64::MAX);
    assert_eq!(ledger.step(false, 0), Step::Poll(MAX_CHUNK));
}

#[test]
fn the_rest_of_a_share_is_returned_once() {
    let mut ledger = ledger(10, 7);
    ledger.polled(&records(0..2));
    assert_eq!(ledger.share(), 5);
    assert_eq!((ledger.give_back(), ledger.give_back()), (5, 0));
}

#[test]
fn a_poll_returns_at_most_the_largest_chunk() {
    assert_eq!(ledger(i64::MAX, u64::MAX).step(false, 0), Step::Poll(MAX_CHUNK));
}

#[test]
fn nothing_more_is_fetched_once_the_share_or_the_log_is_used_up() {
    let mut by_share = ledger(10, 2);
    assert!(!by_share.has_all());
    by_share.polled(&records(0..2));
    assert!(by_share.has_all());
    by_share.grant(1);
    assert!(!by_share.has_all());
    let mut by_log = ledger(10, 20);
    by_log.polled(&records(0..9));
    assert!(!by_log.has_all());
    by_log.polled(&records(9..10));
    assert!(by_log.has_all());
}

#[test]
fn records_from_the_end_on_are_left_to_a_later_run() {
    let mut ledger = ledger(5, 10);
    assert_eq!(ledger.polled(&records([3, 4, 5, 6])), 2);
    assert_eq!(ledger.step(false, 0), Step::Process(2));
    ledger.settled(2, &record(4));
    assert_eq!(ledger.settled_at(), next(5));
    assert_eq!(ledger.give_back(), 8);
}

/// P1: without a hole.
#[test]
fn records_that_arrive_do_not_let_the_cursor_pass_buffered_ones() {
    let mut ledger = ledger(10, 10);
    ledger.polled(&records(0..2));
    ledger.polled(&records(2..4));
    assert_eq!(ledger.settled_at(), next(0));
    assert_eq!(ledger.step(false, 0), Step::Process(4));
}

#[test]
fn a_gap_before_the_end_is_passed_once_all_that_was_delivered_is_settled() {
    // A record past the end, or the end itself, shows that only a gap is left.
    for behind in [true, false] {
        let mut ledger = ledger(10, 10);
        ledger.polled(&records([0, 1]));
        if behind {
            assert_eq!(ledger.polled(&records([12])), 0);
        } else {
            ledger.reached_end();
        }
        ledger.settled(1, &record(0));
        assert_eq!(ledger.settled_at(), next(1));
        ledger.settled(1, &record(1));
        assert_eq!(ledger.settled_at(), next(10));
        assert_eq!(ledger.step(false, 0), Step::Stop(Stop::CaughtUp));
    }
}

#[test]
fn a_log_that_is_only_a_gap_is_passed_without_a_record() {
    let mut ledger = ledger(10, 10);
    ledger.reached_end();
    assert_eq!(ledger.settled_at(), next(10));
    assert_eq!(ledger.step(false, 0), Step::Stop(Stop::CaughtUp));
    assert_eq!(ledger.due_at_ms(), Some(FLUSH_EVERY_MS));
}

#[test]
fn a_gap_between_records_is_passed_with_the_record_after_it() {
    let mut ledger = ledger(10, 10);
    ledger.polled(&records([2, 7]));
    ledger.settled(1, &record(2));
    assert_eq!(ledger.settled_at(), next(3));
    ledger.settled(1, &record(7));
    assert_eq!(ledger.settled_at(), next(8));
}

#[test]
fn the_largest_possible_offset_is_settled_like_any_other() {
    let mut ledger = Ledger::new(next(i64::MAX - 1), (next(i64::MAX - 1), next(i64::MAX)), 10, None, 0);
    ledger.polled(&records([i64::MAX - 1]));
    ledger.settled(1, &record(i64::MAX - 1));
    assert_eq!(ledger.settled_at(), next(i64::MAX));
    assert_eq!(ledger.step(false, 0), Step::Stop(Stop::CaughtUp));
}
