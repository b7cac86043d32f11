//! The writes and deletes of an operator.

use kafka_consumer_lambda::claim::{
    CommandId, Cursor, Ending, ObservedItem, claim, flush, move_to, pause, release, resume,
};
use kafka_consumer_lambda::store::{Store, WriteResult};

use super::super::store_histories::{Bench, History, check, consumer, failures, flushed, me, next, our_claim};

pub(crate) async fn an_operators_move_needs_the_unchanged_cursor_and_removes_the_attributes_of_runs<B: Bench>(
    bench: &B,
) {
    let write = move_to(
        &ObservedItem::Present(Cursor::at(next(5))),
        next(3),
        &CommandId::new("c"),
    );
    let applied_to = [
        History::FiveAttributes,
        History::OursThenPut,
        History::OursThenReleased,
        History::OursThenBlocked,
    ];
    check(bench, &write, &applied_to, |before| Cursor {
        previous: Some(next(5)),
        command: Some(CommandId::new("c")),
        updated_at_ms: before.and_then(|item| item.updated_at_ms),
        ..Cursor::at(next(3))
    })
    .await;
}

pub(crate) async fn an_operators_move_creates_an_item_only_where_there_is_none<B: Bench>(bench: &B) {
    let write = move_to(&ObservedItem::Missing { start: next(1) }, next(3), &CommandId::new("c"));
    let applied_to = [History::NoItem, History::OursThenDeleted];
    check(bench, &write, &applied_to, |_| Cursor {
        previous: Some(next(1)),
        command: Some(CommandId::new("c")),
        ..Cursor::at(next(3))
    })
    .await;
}

pub(crate) async fn an_operator_pauses_and_resumes_a_partition_in_every_state<B: Bench>(bench: &B) {
    let with_item: Vec<History> = History::ALL
        .into_iter()
        .filter(|history| !matches!(history, History::NoItem | History::OursThenDeleted))
        .collect();
    let paused = |before: Option<Cursor>, paused| Cursor {
        paused,
        ..before.expect("there was an item")
    };
    let observed = ObservedItem::Present(Cursor::at(next(5)));
    check(bench, &pause(&observed), &with_item, |before| paused(before, true)).await;
    check(bench, &resume(), &with_item, |before| paused(before, false)).await;
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
