//! What every store must do: one suite, run for each of them by
//! [`conformance_tests`].
//!
//! Each write of `claim.rs` meets an item with each of the histories in
//! [`store_histories`](super::store_histories). A test says in which of them
//! the write is made and what the item is then; in all others it must be
//! refused, show the item, and leave it alone.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use futures::future::join;
use kafka_consumer_lambda::claim::{
    BatchLimit, Claim, CommandId, Cursor, CursorWrite, Ending, Failures, Flush, ObservedItem, RunId, Verdict, claim,
    flush, judge_claim, judge_flush, move_to, pause, pin, release, resume,
};
use kafka_consumer_lambda::store::{Consumer, Store, WriteResult, write_and_judge};

use super::states::next;
use super::store_histories::{
    Bench, EXPIRED_MS, History, LATER_MS, NOW_MS, OTHERS_UNTIL_MS, OUR_UNTIL_MS, blocked_at_5, check, claimed,
    consumer, ended, failures, flushed, me, our_claim, raw,
};

/// Makes a test of each behaviour, for the store that `$bench` makes.
macro_rules! conformance_tests {
    ($bench:expr) => {
        conformance_tests! {
            $bench;
            a_start_is_pinned_only_where_no_item_is
            a_partition_without_an_item_is_claimed_only_while_there_is_none
            a_free_partition_is_claimed_only_as_it_was_seen
            an_expired_claim_is_taken_over_only_as_it_was_seen
            an_interim_flush_needs_our_claim_and_the_cursor_where_we_left_it
            a_final_flush_needs_our_claim_and_the_cursor_where_we_left_it
            a_blocked_flush_needs_our_claim_and_the_cursor_where_we_left_it
            a_release_needs_an_item_that_we_wrote_last
            an_operators_move_needs_the_cursor_as_it_was_seen_and_leaves_nothing_of_a_run
            an_operators_move_makes_an_item_only_where_none_is
            an_operator_pauses_and_resumes_whatever_a_run_does
            a_deleted_item_is_never_brought_back
            a_claim_made_before_is_recognised
            a_flush_made_before_is_recognised
            a_claim_that_another_run_won_is_refused_with_its_end
            new_failures_replace_all_of_the_old_ones
            a_pause_refuses_a_claim_and_survives_every_other_write
            two_runs_claim_every_partition_once
            items_of_more_than_one_page_are_loaded_in_order
            only_the_consumers_own_items_are_loaded
            what_is_not_there_is_none
        }
    };
    ($bench:expr; $($name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                crate::support::store_conformance::$name(&$bench.await).await;
            }
        )*
    };
}
pub(crate) use conformance_tests;

pub(crate) async fn a_start_is_pinned_only_where_no_item_is<B: Bench>(bench: &B) {
    let made_in = [History::Nothing, History::OursThenDeleted];
    check(bench, &pin(next(7), NOW_MS), &made_in, |_| Cursor {
        updated_at_ms: Some(NOW_MS),
        ..Cursor::at(next(7))
    })
    .await;
}

pub(crate) async fn a_partition_without_an_item_is_claimed_only_while_there_is_none<B: Bench>(bench: &B) {
    let write = claim(&ObservedItem::Missing { start: next(0) }, &our_claim());
    let made_in = [History::Nothing, History::OursThenDeleted];
    check(bench, &write, &made_in, |_| Cursor {
        next: next(0),
        ..claimed("me", OUR_UNTIL_MS)
    })
    .await;
}

pub(crate) async fn a_free_partition_is_claimed_only_as_it_was_seen<B: Bench>(bench: &B) {
    let write = claim(&ObservedItem::Present(Cursor::at(next(5))), &our_claim());
    let made_in = [
        History::FiveAttributes,
        History::OursThenPut,
        History::OursThenReleased,
        History::OursThenBlocked,
    ];
    check(bench, &write, &made_in, |before| Cursor {
        failure: before.and_then(|item| item.failure),
        ..claimed("me", OUR_UNTIL_MS)
    })
    .await;
}

pub(crate) async fn an_expired_claim_is_taken_over_only_as_it_was_seen<B: Bench>(bench: &B) {
    let write = claim(&ObservedItem::Present(claimed("other", EXPIRED_MS)), &our_claim());
    check(bench, &write, &[History::OthersExpired], |_| Cursor {
        claim_chunk: Some(BatchLimit::Small),
        ..claimed("me", OUR_UNTIL_MS)
    })
    .await;
}

pub(crate) async fn an_interim_flush_needs_our_claim_and_the_cursor_where_we_left_it<B: Bench>(bench: &B) {
    let write = flush(&flushed(Ending::Interim));
    check(bench, &write, &[History::Ours], |_| Cursor {
        next: next(8),
        updated_at_ms: Some(LATER_MS),
        ..claimed("me", OUR_UNTIL_MS)
    })
    .await;
}

pub(crate) async fn a_final_flush_needs_our_claim_and_the_cursor_where_we_left_it<B: Bench>(bench: &B) {
    let write = flush(&flushed(Ending::Final(None)));
    check(bench, &write, &[History::Ours], |_| ended(8)).await;
}

pub(crate) async fn a_blocked_flush_needs_our_claim_and_the_cursor_where_we_left_it<B: Bench>(bench: &B) {
    let write = flush(&flushed(Ending::Final(Some(failures(8)))));
    check(bench, &write, &[History::Ours], |_| Cursor {
        failure: Some(failures(8)),
        ..ended(8)
    })
    .await;
}

pub(crate) async fn a_release_needs_an_item_that_we_wrote_last<B: Bench>(bench: &B) {
    let made_in = [
        History::Ours,
        History::OursThenFlushed,
        History::OursThenFinished,
        History::OursThenBlocked,
        History::OursThenReleased,
        History::OursThenMoved,
    ];
    check(bench, &release(&me(), None), &made_in, |before| Cursor {
        claim_until_ms: None,
        claim_to: None,
        ..before.expect("there was an item")
    })
    .await;
}

pub(crate) async fn an_operators_move_needs_the_cursor_as_it_was_seen_and_leaves_nothing_of_a_run<B: Bench>(bench: &B) {
    let write = move_to(
        &ObservedItem::Present(Cursor::at(next(5))),
        next(3),
        &CommandId::new("c"),
    );
    let made_in = [
        History::FiveAttributes,
        History::OursThenPut,
        History::OursThenReleased,
        History::OursThenBlocked,
    ];
    check(bench, &write, &made_in, |before| Cursor {
        previous: Some(next(5)),
        command: Some(CommandId::new("c")),
        updated_at_ms: before.and_then(|item| item.updated_at_ms),
        ..Cursor::at(next(3))
    })
    .await;
}

pub(crate) async fn an_operators_move_makes_an_item_only_where_none_is<B: Bench>(bench: &B) {
    let write = move_to(&ObservedItem::Missing { start: next(1) }, next(3), &CommandId::new("c"));
    let made_in = [History::Nothing, History::OursThenDeleted];
    check(bench, &write, &made_in, |_| Cursor {
        previous: Some(next(1)),
        command: Some(CommandId::new("c")),
        ..Cursor::at(next(3))
    })
    .await;
}

pub(crate) async fn an_operator_pauses_and_resumes_whatever_a_run_does<B: Bench>(bench: &B) {
    let there: Vec<History> = History::ALL
        .into_iter()
        .filter(|history| !matches!(history, History::Nothing | History::OursThenDeleted))
        .collect();
    let paused = |before: Option<Cursor>, paused| Cursor {
        paused,
        ..before.expect("there was an item")
    };
    let observed = ObservedItem::Present(Cursor::at(next(5)));
    check(bench, &pause(&observed), &there, |before| paused(before, true)).await;
    check(bench, &resume(), &there, |before| paused(before, false)).await;
}

pub(crate) async fn a_deleted_item_is_never_brought_back<B: Bench>(bench: &B) {
    let (consumer, store) = (consumer(), bench.store());
    let writes = [
        flush(&flushed(Ending::Interim)),
        flush(&flushed(Ending::Final(None))),
        flush(&flushed(Ending::Final(Some(failures(8))))),
        release(&me(), None),
        claim(&ObservedItem::Present(Cursor::at(next(5))), &our_claim()),
        move_to(
            &ObservedItem::Present(Cursor::at(next(5))),
            next(3),
            &CommandId::new("c"),
        ),
        pause(&ObservedItem::Present(Cursor::at(next(5)))),
        resume(),
    ];
    for write in writes {
        History::OursThenDeleted.make(bench, &consumer, 0).await;
        assert_eq!(
            store.write(&consumer, 0, &write).await,
            Ok(WriteResult::Refused(None)),
            "{write:?}"
        );
        assert_eq!(store.load(&consumer).await, Ok(vec![]), "{write:?}");
    }
}

pub(crate) async fn a_claim_made_before_is_recognised<B: Bench>(bench: &B) {
    let consumer = consumer();
    for (partition, history) in (0..).zip([History::Nothing, History::FiveAttributes, History::OthersExpired]) {
        history.make(bench, &consumer, partition).await;
        let observed = match bench.store().load_one(&consumer, partition).await.unwrap() {
            None => ObservedItem::Missing { start: next(0) },
            Some(item) => ObservedItem::Present(item),
        };
        let write = claim(&observed, &our_claim());
        let judge = |item: Option<&Cursor>| judge_claim(&observed, &our_claim(), item);
        write_twice(bench, &consumer, partition, &write, judge).await;
    }
}

pub(crate) async fn a_flush_made_before_is_recognised<B: Bench>(bench: &B) {
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

/// Writes as a client does that got no answer to the first try.
async fn write_twice<B: Bench>(
    bench: &B,
    consumer: &Consumer,
    partition: i32,
    write: &CursorWrite,
    judge: impl Fn(Option<&Cursor>) -> Verdict,
) {
    let store = bench.store();
    assert_eq!(store.write(consumer, partition, write).await, Ok(WriteResult::Applied));
    let item = store.load_one(consumer, partition).await.unwrap();
    assert_eq!(
        store.write(consumer, partition, write).await,
        Ok(WriteResult::Refused(item.map(Ok)))
    );
    let verdict = write_and_judge(store, consumer, partition, write, judge).await;
    assert_eq!(verdict, Ok(Verdict::Applied), "{write:?}");
}

pub(crate) async fn a_claim_that_another_run_won_is_refused_with_its_end<B: Bench>(bench: &B) {
    let consumer = consumer();
    History::Others.make(bench, &consumer, 0).await;
    let observed = ObservedItem::Present(Cursor::at(next(5)));
    let write = claim(&observed, &our_claim());
    let judge = |item: Option<&Cursor>| judge_claim(&observed, &our_claim(), item);
    let verdict = write_and_judge(bench.store(), &consumer, 0, &write, judge).await;
    assert_eq!(
        verdict,
        Ok(Verdict::Edited {
            until_ms: Some(OTHERS_UNTIL_MS)
        })
    );
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

pub(crate) async fn a_pause_refuses_a_claim_and_survives_every_other_write<B: Bench>(bench: &B) {
    let (consumer, store) = (consumer(), bench.store());
    bench.put(&consumer, 0, next(5)).await;
    let item = store.load_one(&consumer, 0).await.unwrap().unwrap();
    bench.pause(&consumer, 0).await;
    let ours = claim(&ObservedItem::Present(item.clone()), &our_claim());
    let refused = store.write(&consumer, 0, &ours).await.unwrap();
    assert!(
        matches!(refused, WriteResult::Refused(Some(Ok(Cursor { paused: true, .. })))),
        "{refused:?}"
    );
    let resumed = store.write(&consumer, 0, &resume()).await;
    assert_eq!(resumed, Ok(WriteResult::Applied));
    assert_eq!(store.write(&consumer, 0, &ours).await, Ok(WriteResult::Applied));
    bench.pause(&consumer, 0).await;
    let writes = [flush(&flushed(Ending::Final(None))), release(&me(), None)];
    for write in writes {
        assert_eq!(store.write(&consumer, 0, &write).await, Ok(WriteResult::Applied));
        assert!(store.load_one(&consumer, 0).await.unwrap().unwrap().paused, "{write:?}");
    }
}

pub(crate) async fn two_runs_claim_every_partition_once<B: Bench>(bench: &B) {
    let (consumer, store) = (consumer(), bench.store());
    let rival = Claim {
        run: RunId::new("rival"),
        ..our_claim()
    };
    for partition in 0..20 {
        let observed = if partition % 2 == 0 {
            ObservedItem::Missing { start: next(0) }
        } else {
            bench.put(&consumer, partition, next(5)).await;
            ObservedItem::Present(Cursor::at(next(5)))
        };
        let (ours, theirs) = (claim(&observed, &our_claim()), claim(&observed, &rival));
        let written = join(
            store.write(&consumer, partition, &ours),
            store.write(&consumer, partition, &theirs),
        )
        .await;
        let winner = match (written.0.unwrap(), written.1.unwrap()) {
            (WriteResult::Applied, WriteResult::Refused(Some(Ok(item)))) if item.run == Some(me()) => me(),
            (WriteResult::Refused(Some(Ok(item))), WriteResult::Applied) if item.run == Some(rival.run.clone()) => {
                rival.run.clone()
            }
            both => panic!("partition {partition}: {both:?}"),
        };
        let item = store.load_one(&consumer, partition).await.unwrap().unwrap();
        assert_eq!(item.run, Some(winner));
    }
}

pub(crate) async fn items_of_more_than_one_page_are_loaded_in_order<B: Bench>(bench: &B) {
    let (consumer, store) = (consumer(), bench.store());
    // A page holds 1 MB. Eleven items, so that 10 comes after 9 and not after 1.
    let long = Failures {
        error: Some("x".repeat(200_000)),
        ..failures(5)
    };
    let cursor = Cursor {
        failure: Some(long),
        ..Cursor::at(next(5))
    };
    for partition in (0..11).rev() {
        assert_eq!(
            store.write(&consumer, partition, &raw(&cursor)).await,
            Ok(WriteResult::Applied)
        );
    }
    let items = store.load(&consumer).await.unwrap();
    assert_eq!(
        items.iter().map(|item| item.partition).collect::<Vec<_>>(),
        (0..11).collect::<Vec<_>>()
    );
    assert!(items.iter().all(|item| item.cursor.as_ref() == Ok(&cursor)));
}

pub(crate) async fn only_the_consumers_own_items_are_loaded<B: Bench>(bench: &B) {
    let (ours, store) = (consumer(), bench.store());
    let longer = Consumer {
        topic: format!("{}2", ours.topic).into(),
        ..ours.clone()
    };
    bench.put(&ours, 1, next(5)).await;
    bench.put(&longer, 2, next(6)).await;
    let partitions = async |consumer| {
        let items = store.load(consumer).await.unwrap();
        items
            .into_iter()
            .map(|item| (item.partition, item.cursor.unwrap().next.get()))
            .collect::<Vec<_>>()
    };
    assert_eq!(partitions(&ours).await, [(1, 5)]);
    assert_eq!(partitions(&longer).await, [(2, 6)]);
}

pub(crate) async fn what_is_not_there_is_none<B: Bench>(bench: &B) {
    let consumer = consumer();
    assert_eq!(bench.store().load(&consumer).await, Ok(vec![]));
    assert_eq!(bench.store().load_one(&consumer, 0).await, Ok(None));
}
