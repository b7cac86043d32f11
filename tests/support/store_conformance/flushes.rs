//! Flushes and releases.

use kafka_consumer_lambda::claim::{Cursor, Ending, Failures, Flush, flush, judge_flush, release};
use kafka_consumer_lambda::store::{Store, WriteResult};

use super::super::store_histories::{
    Bench, History, LATER_MS, OUR_UNTIL_MS, blocked_at_5, check, claimed, consumer, ended, failures, flushed, me, next,
    raw,
};
use super::write_twice;

pub(crate) async fn an_interim_flush_needs_the_runs_claim_and_the_cursor_as_it_left_it<B: Bench>(bench: &B) {
    let write = flush(&flushed(Ending::Interim));
    check(bench, &write, &[History::Ours], |_| Cursor {
        next: next(8),
        updated_at_ms: Some(LATER_MS),
        ..claimed("me", OUR_UNTIL_MS)
    })
    .await;
}

pub(crate) async fn a_final_flush_needs_the_runs_claim_and_the_cursor_as_it_left_it<B: Bench>(bench: &B) {
    let write = flush(&flushed(Ending::Final(None)));
    check(bench, &write, &[History::Ours], |_| ended(8)).await;
}

pub(crate) async fn a_blocked_flush_needs_the_runs_claim_and_the_cursor_as_it_left_it<B: Bench>(bench: &B) {
    let write = flush(&flushed(Ending::Final(Some(failures(8)))));
    check(bench, &write, &[History::Ours], |_| Cursor {
        failure: Some(failures(8)),
        ..ended(8)
    })
    .await;
}

pub(crate) async fn a_release_needs_an_item_that_the_run_wrote_last<B: Bench>(bench: &B) {
    let applied_to = [
        History::Ours,
        History::OursThenFlushed,
        History::OursThenFinished,
        History::OursThenBlocked,
        History::OursThenReleased,
        History::OursThenMoved,
    ];
    check(bench, &release(&me(), None), &applied_to, |before| Cursor {
        claim_until_ms: None,
        claim_to: None,
        ..before.expect("there was an item")
    })
    .await;
}

pub(crate) async fn a_flush_that_was_applied_before_is_recognised<B: Bench>(bench: &B) {
    let consumer = consumer();
    let rows = [
        flushed(Ending::Interim),
        flushed(Ending::Final(None)),
        flushed(Ending::Final(Some(failures(8)))),
        Flush {
            hands_over: false,
            unreported: None,
            unknown: None,
            next: next(5),
            ..flushed(Ending::Final(None))
        },
        blocked_at_5(),
    ];
    for (partition, ours) in (0..).zip(rows) {
        History::Ours.make(bench, &consumer, partition).await;
        let judge = |item: Option<&Cursor>| judge_flush(&ours, item);
        write_twice(bench, &consumer, partition, &flush(&ours), judge).await;
    }
}

pub(crate) async fn new_failures_replace_all_of_the_old_ones<B: Bench>(bench: &B) {
    let consumer = consumer();
    let new = Failures {
        offset: next(9),
        attempts: 7,
        ..Failures::default()
    };
    for failures in [failures(8), new.clone()] {
        let write = raw(&Cursor {
            failure: Some(failures),
            ..Cursor::at(next(5))
        });
        assert_eq!(
            bench.store().write(&consumer, 0, &write).await,
            Ok(WriteResult::Applied)
        );
    }
    let item = bench.store().load_one(&consumer, 0).await.unwrap().unwrap();
    assert_eq!(item.failure, Some(new));
}
