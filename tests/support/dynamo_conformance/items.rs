//! The attributes of items.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use kafka_consumer_lambda::claim::{
    Bounds, ChunkLimit, Claim, CommandId, Cursor, Ending, Failures, Flush, LastWrite, ObservedItem, Quarantine, RunId,
    Unreported, claim, flush, pin, release,
};
use kafka_consumer_lambda::error::{Error, ErrorType};
use kafka_consumer_lambda::store::{Consumer, Store, WriteResult};

use super::super::store_histories::{Bench, consumer, failures, flushed, me, next, our_claim, raw};
use super::super::table::{Item, five_attributes};
use super::DynamoBench;

pub(crate) async fn the_attributes_have_their_documented_names_and_types(endpoint: &str) {
    let (bench, consumer) = (DynamoBench::create(endpoint).await, consumer());
    let failure = Failures {
        offset: next(5),
        attempts: 2,
        crashes: 1,
        next_try_at_ms: Some(30),
        error: Some("no JSON".to_owned()),
    };
    let cursor = Cursor {
        next: next(5),
        run: Some(RunId::new("run-1")),
        claim_until_ms: Some(20),
        claim_to: Some(next(9)),
        claim_chunk: Some(ChunkLimit::Small),
        handed_over: Some(next(5)),
        failure: Some(failure),
        paused: true,
        updated_at_ms: Some(10),
        previous: Some(next(3)),
        command: Some(CommandId::new("command-1")),
        backfill: Some(Arc::new(Bounds {
            from: next(1),
            to: next(7),
            requested: "all".to_owned(),
        })),
        unreported: Some(Arc::new(Unreported::default())),
    };
    assert_eq!(
        bench.store.write(&consumer, 3, &raw(&cursor)).await,
        Ok(WriteResult::Applied)
    );
    let mut expected = five_attributes(&consumer.group_id, &consumer.topic, 3, 4);
    expected.extend(
        [
            ("claim_until", 20),
            ("claim_to", 9),
            ("claim_chunk", 128),
            ("handed_over", 5),
            ("fail_offset", 5),
            ("attempts", 2),
            ("crashes", 1),
        ]
        .into_iter()
        .chain([("next_try_at", 30), ("updated_at", 10)])
        .chain([("previous_offset", 2), ("backfill_from", 1), ("backfill_to", 7)])
        .map(|(name, number)| (name.to_owned(), AttributeValue::N(number.to_string()))),
    );
    expected.insert("run".to_owned(), AttributeValue::S("run-1".to_owned()));
    expected.insert("error".to_owned(), AttributeValue::S("no JSON".to_owned()));
    expected.insert("backfill".to_owned(), AttributeValue::S("all".to_owned()));
    let note = r#"{"skipped":[],"skipped_records":0,"lost":[]}"#;
    expected.insert("unreported".to_owned(), AttributeValue::S(note.to_owned()));
    expected.insert("paused".to_owned(), AttributeValue::Bool(true));
    assert_eq!(bench.table.get_item(&consumer.to_string(), 3).await, Some(expected));
}

pub(crate) async fn attributes_of_other_programs_survive_every_write(endpoint: &str) {
    let (bench, consumer) = (DynamoBench::create(endpoint).await, consumer());
    let mut item = five_attributes(&consumer.group_id, &consumer.topic, 0, 4);
    item.insert(
        "owner".to_owned(),
        AttributeValue::Ss(vec!["a".to_owned(), "b".to_owned()]),
    );
    bench.table.put_item(item).await;
    let interim = Flush {
        quarantine: Some(Quarantine {
            until: next(9),
            limit: ChunkLimit::Single,
        }),
        next: next(6),
        ..flushed(Ending::Interim)
    };
    let blocked = Flush {
        last_write: interim.as_last_write(),
        next: next(8),
        ending: Ending::Final(Some(failures(8))),
        now_ms: interim.now_ms + 1,
        ..interim.clone()
    };
    let writes = [
        claim(&ObservedItem::Present(Cursor::at(next(5))), &our_claim()),
        flush(&interim),
        flush(&blocked),
        release(&me(), None),
    ];
    for write in writes {
        assert_eq!(
            bench.store.write(&consumer, 0, &write).await,
            Ok(WriteResult::Applied),
            "{write:?}"
        );
        let item = bench.table.get_item(&consumer.to_string(), 0).await.unwrap();
        assert!(item["owner"].is_ss(), "{write:?} left {item:?}");
    }
}

pub(crate) async fn an_item_that_is_no_cursor_stops_its_partition_only(endpoint: &str) {
    let (bench, consumer) = (DynamoBench::create(endpoint).await, consumer());
    bench.put(&consumer, 0, next(5)).await;
    let bad = five_attributes(&consumer.group_id, &consumer.topic, 1, 4);
    bench
        .table
        .put_item(with(bad, "offset", AttributeValue::S("4".to_owned())))
        .await;

    let items = bench.store.load(&consumer).await.unwrap();
    assert_eq!(items[0].cursor, Ok(Cursor::at(next(5))));
    let why = items[1].cursor.clone().unwrap_err();
    assert!(why.to_string().contains("partition 1: offset is \"4\" (S)"), "{why}");

    let error = bench.store.load_one(&consumer, 1).await.unwrap_err();
    assert_eq!(error, Error::from(why.clone()));
    let refused = bench.store.write(&consumer, 1, &pin(next(0), 100)).await;
    assert_eq!(refused, Ok(WriteResult::Refused(Some(Err(why)))));
}

pub(crate) async fn an_item_of_a_group_with_the_same_key_is_refused(endpoint: &str) {
    let bench = DynamoBench::create(endpoint).await;
    let ours = Consumer {
        group_id: "a".into(),
        topic: "b_c".into(),
        backfill: None,
    };
    let theirs = Consumer {
        group_id: "a_b".into(),
        topic: "c".into(),
        backfill: None,
    };
    bench.put(&theirs, 0, next(5)).await;
    let items = bench.store.load(&ours).await.unwrap();
    let why = items[0].cursor.clone().unwrap_err();
    assert!(
        why.to_string()
            .contains("topic is \"c\" (S), but \"b_c\" (S) belongs there"),
        "{why}"
    );
    assert_eq!(
        bench.store.load(&theirs).await.unwrap()[0].cursor,
        Ok(Cursor::at(next(5)))
    );
}

pub(crate) async fn a_sort_key_that_is_no_partition_fails_the_load(endpoint: &str) {
    let bench = DynamoBench::create(endpoint).await;
    for key in ["-1", "1.5", "1099511627776"] {
        let consumer = consumer();
        bench.put(&consumer, 0, next(5)).await;
        let item = five_attributes(&consumer.group_id, &consumer.topic, 0, 4);
        bench
            .table
            .put_item(with(item, "partition", AttributeValue::N(key.to_owned())))
            .await;
        let error = bench.store.load(&consumer).await.unwrap_err();
        assert_eq!(error.kind, ErrorType::InvalidCursor);
        assert!(error.message().contains(&format!("partition is {key} (N)")), "{error}");
    }
}

pub(crate) async fn a_number_is_read_however_it_was_written(endpoint: &str) {
    let bench = DynamoBench::create(endpoint).await;
    for (written, offset) in [("7.0", 7), ("1E2", 100), ("007", 7), ("+7", 7), ("-1.00", -1)] {
        let consumer = consumer();
        let item = five_attributes(&consumer.group_id, &consumer.topic, 0, 0);
        bench
            .table
            .put_item(with(item, "offset", AttributeValue::N(written.to_owned())))
            .await;
        let cursor = bench.store.load_one(&consumer, 0).await.unwrap().unwrap();
        assert_eq!(cursor.next.last_processed(), offset, "{written}");
        let ours = Claim {
            to: next(1000),
            ..our_claim()
        };
        let claimed = bench
            .store
            .write(&consumer, 0, &claim(&ObservedItem::Present(cursor), &ours))
            .await;
        assert_eq!(claimed, Ok(WriteResult::Applied), "{written}");
    }
}

fn with(mut item: Item, name: &str, value: AttributeValue) -> Item {
    item.insert(name.to_owned(), value);
    item
}
