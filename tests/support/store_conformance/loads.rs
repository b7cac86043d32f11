//! Reads of one item and of all items.

use kafka_consumer_lambda::claim::{Cursor, Failures};
use kafka_consumer_lambda::store::{Consumer, Store, WriteResult};

use super::super::store_histories::{Bench, consumer, failures, next, raw};

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

pub(crate) async fn loading_missing_items_returns_none<B: Bench>(bench: &B) {
    let consumer = consumer();
    assert_eq!(bench.store().load(&consumer).await, Ok(vec![]));
    assert_eq!(bench.store().load_one(&consumer, 0).await, Ok(None));
}
