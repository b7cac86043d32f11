//! Start positions and claims.

use futures::future::join;
use kafka_consumer_lambda::claim::{
    ChunkLimit, Claim, Cursor, Ending, ObservedItem, RunId, Verdict, claim, flush, judge_claim, pin, release, resume,
};
use kafka_consumer_lambda::store::{Store, WriteResult, write_and_judge};

use super::super::store_histories::{
    Bench, EXPIRED_MS, History, NOW_MS, OTHERS_UNTIL_MS, OUR_UNTIL_MS, check, claimed, consumer, flushed, me, next,
    our_claim,
};
use super::write_twice;

pub(crate) async fn a_start_is_pinned_only_where_there_is_no_item<B: Bench>(bench: &B) {
    let applied_to = [History::NoItem, History::OursThenDeleted];
    check(bench, &pin(next(7), NOW_MS), &applied_to, |_| Cursor {
        updated_at_ms: Some(NOW_MS),
        ..Cursor::at(next(7))
    })
    .await;
}

pub(crate) async fn a_partition_without_an_item_is_claimed_only_while_there_is_none<B: Bench>(bench: &B) {
    let write = claim(&ObservedItem::Missing { start: next(0) }, &our_claim());
    let applied_to = [History::NoItem, History::OursThenDeleted];
    check(bench, &write, &applied_to, |_| Cursor {
        next: next(0),
        ..claimed("me", OUR_UNTIL_MS)
    })
    .await;
}

pub(crate) async fn a_free_partition_is_claimed_only_if_its_item_is_unchanged<B: Bench>(bench: &B) {
    let write = claim(&ObservedItem::Present(Cursor::at(next(5))), &our_claim());
    let applied_to = [
        History::FiveAttributes,
        History::OursThenPut,
        History::OursThenReleased,
        History::OursThenBlocked,
    ];
    check(bench, &write, &applied_to, |before| Cursor {
        failure: before.and_then(|item| item.failure),
        ..claimed("me", OUR_UNTIL_MS)
    })
    .await;
}

pub(crate) async fn an_expired_claim_is_taken_over_only_if_its_item_is_unchanged<B: Bench>(bench: &B) {
    let write = claim(&ObservedItem::Present(claimed("other", EXPIRED_MS)), &our_claim());
    check(bench, &write, &[History::OthersExpired], |_| Cursor {
        claim_chunk: Some(ChunkLimit::Small),
        ..claimed("me", OUR_UNTIL_MS)
    })
    .await;
}

pub(crate) async fn a_claim_that_was_applied_before_is_recognised<B: Bench>(bench: &B) {
    let consumer = consumer();
    for (partition, history) in (0..).zip([History::NoItem, History::FiveAttributes, History::OthersExpired]) {
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
