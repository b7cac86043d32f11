//! Routes by header, which split a chunk.

use std::time::Duration;

use bytes::Bytes;
use kafka_consumer_lambda::processor::{Processor, Progress, RunContext};
use kafka_consumer_lambda::record::{Chunk, Header, Record, TopicPartition};
use kafka_consumer_lambda::{Failure, routes};
use proptest::prelude::*;

use super::{Call, Calls, Handler, chunk, context, process};

#[tokio::test]
async fn values_are_checked_for_all_handlers_of_a_topic_unless_each_decodes_them() {
    let calls = Calls::default();
    let both = |priority: Handler| {
        routes()
            .header("type", "priority", priority.in_batches(3))
            .topic("orders", calls.settles("orders").decoding().in_batches(5))
    };
    assert!(both(calls.settles("priority").decoding()).decodes("orders"));
    let one = both(calls.settles("priority"));
    assert!(!one.decodes("orders") && !one.decodes("users"));
    assert_eq!(one.batch_size("orders").map(usize::from), Some(5));
    assert_eq!(one.batch_size("users").map(usize::from), Some(3));
}

#[tokio::test]
async fn consecutive_records_of_one_handler_are_one_call_and_all_are_handled_in_order() {
    let calls = Calls::default();
    let router = routes()
        .header("type", "priority", calls.settles("priority"))
        .topic("orders", calls.settles("orders"));
    let (high, low) = (Some("priority"), Some("standard"));
    let chunk = chunk("orders", &[None, low, high, high, None, high]);
    assert_eq!(process(&router, &chunk).await, Progress::all(&chunk));
    let call = |handler, offsets: &[i64], attempt, lag| Call {
        handler,
        offsets: offsets.to_vec(),
        attempt,
        lag: Some(lag),
    };
    // The attempt is that of the chunk's first record; the lag includes what lies behind the call.
    assert_eq!(
        calls.all(),
        [
            call("orders", &[0, 1], 3, 14),
            call("priority", &[2, 3], 1, 12),
            call("orders", &[4], 1, 11),
            call("priority", &[5], 1, 10),
        ]
    );
}

#[tokio::test]
async fn no_handler_gets_more_records_at_once_than_its_batch_size() {
    let calls = Calls::default();
    let router = routes()
        .header("type", "priority", calls.settles("priority").in_batches(2))
        .otherwise(calls.settles("other"));
    let chunk = chunk("orders", &[Some("priority"), Some("priority"), Some("priority"), None]);
    assert_eq!(process(&router, &chunk).await, Progress::all(&chunk));
    assert_eq!(
        calls.offsets(),
        [("priority", vec![0, 1]), ("priority", vec![2]), ("other", vec![3])]
    );
}

#[tokio::test]
async fn the_first_route_that_a_record_matches_applies_whether_of_a_topic_or_a_header() {
    let calls = Calls::default();
    let router = routes()
        .topic("users", calls.settles("users"))
        .header("type", "a", calls.settles("a"))
        .header("type", "a", calls.settles("never"))
        .topic("orders", calls.settles("orders"))
        .header("type", "b", calls.settles("b"))
        .otherwise(calls.settles("other"));
    for topic in ["users", "orders", "payments"] {
        process(&router, &chunk(topic, &[Some("a"), Some("b"), None])).await;
    }
    assert_eq!(
        calls.offsets(),
        [
            ("users", vec![0, 1, 2]),
            ("a", vec![0]),
            ("orders", vec![1, 2]),
            ("a", vec![0]),
            ("b", vec![1]),
            ("other", vec![2]),
        ]
    );
}

#[tokio::test]
async fn after_a_failure_nothing_behind_it_is_handed_over_and_what_is_before_it_is_settled() {
    for (failing, settled, called) in [(0, 0, 1), (1, 1, 1), (2, 2, 2), (3, 3, 2), (4, 4, 3)] {
        let calls = Calls::default();
        let router = routes()
            .header("type", "priority", calls.fails_at("priority", failing))
            .otherwise(calls.fails_at("other", failing));
        let high = Some("priority");
        let progress = process(&router, &chunk("t", &[None, None, high, high, None, high])).await;
        let stop = Some(Failure::Retry("busy".into()));
        assert_eq!(progress, Progress { settled, stop });
        assert_eq!(calls.all().len(), called, "{failing}");
    }
}

#[tokio::test]
async fn a_handler_that_is_out_of_time_ends_the_chunk_there() {
    let calls = Calls::default();
    let one = |_: &Chunk| Progress { settled: 1, stop: None };
    let router = routes()
        .header("type", "slow", calls.handler("slow", one))
        .otherwise(calls.settles("other"));
    let progress = process(&router, &chunk("t", &[None, Some("slow"), Some("slow"), None])).await;
    assert_eq!(progress, Progress { settled: 2, stop: None });
    assert_eq!(calls.offsets(), [("other", vec![0]), ("slow", vec![1, 2])]);
}

#[tokio::test]
async fn no_other_handler_is_called_once_the_time_has_ended() {
    let calls = Calls::default();
    let router = routes()
        .header("type", "priority", calls.settles("priority"))
        .otherwise(calls.settles("other"));
    let context = RunContext {
        stop_at: context().stop_at.checked_sub(Duration::from_hours(1)).expect("a time"),
        ..context()
    };
    let progress = router.process(&chunk("t", &[None, Some("priority")]), &context).await;
    assert_eq!(progress, Progress { settled: 1, stop: None });
    assert_eq!(calls.offsets(), [("other", vec![0])]);
}

/// Its failure would otherwise count as an attempt of the next record, which another handler gets.
#[tokio::test]
async fn a_handler_that_settles_all_and_fails_is_a_fatal_failure_and_blames_no_record() {
    let calls = Calls::default();
    let odd = |chunk: &Chunk| Progress {
        settled: chunk.len(),
        stop: Some(Failure::Poison("odd".into())),
    };
    let router = routes()
        .header("type", "odd", calls.handler("odd", odd))
        .otherwise(calls.settles("other"));
    let progress = process(&router, &chunk("t", &[None, Some("odd"), None])).await;
    let text =
        "the handler settled all records of t-0 that it was given, from offset 1 on, and returned a failure: odd";
    let stop = Some(Failure::Fatal(text.into()));
    assert_eq!(progress, Progress { settled: 2, stop });
    // At the end of a chunk the run itself reports it.
    let progress = process(&router, &chunk("t", &[None, Some("odd")])).await;
    let stop = Some(Failure::Poison("odd".into()));
    assert_eq!(progress, Progress { settled: 2, stop });
}

#[tokio::test]
async fn a_record_that_matches_no_route_is_poison_and_shows_no_value() {
    let calls = Calls::default();
    let router = routes().header("type", "priority", calls.settles("priority"));
    assert!(router.takes("orders"));
    let chunk = chunk("orders", &[Some("priority"), Some("planted"), Some("priority")]);
    let text = "no handler for the record at offset 1 of orders-0: it has none of the headers of a route, and there is \
                no `otherwise`";
    let stop = Some(Failure::Poison(text.into()));
    assert_eq!(process(&router, &chunk).await, Progress { settled: 1, stop });
    assert_eq!(calls.offsets(), [("priority", vec![0])]);
}

#[tokio::test]
async fn a_router_is_a_handler_and_is_passed_over_for_topics_that_it_does_not_take() {
    let calls = Calls::default();
    let orders = routes()
        .header("type", "priority", calls.settles("priority orders"))
        .otherwise(calls.settles("orders"));
    let router = routes()
        .header(
            "type",
            "priority",
            routes().topic("users", calls.settles("priority users")),
        )
        .topic("orders", orders)
        .topic("*", calls.settles("all"));
    for topic in ["orders", "users", "payments"] {
        process(&router, &chunk(topic, &[Some("priority"), None])).await;
    }
    assert_eq!(
        calls.offsets(),
        [
            ("priority orders", vec![0]),
            ("orders", vec![1]),
            ("priority users", vec![0]),
            ("all", vec![1]),
            ("all", vec![0, 1]),
        ]
    );
}

#[tokio::test]
async fn the_bytes_of_the_last_header_of_a_name_are_compared() {
    let (latin_1, empty) = (&b"caf\xE9"[..], &b""[..]);
    let header = |name: &'static str, value: Option<&'static [u8]>| Header::new(name, value.map(Bytes::from_static));
    let rows = [
        (vec![header("type", Some(b"a"))], "a"),
        (vec![header("type", Some(b"b")), header("type", Some(b"a"))], "a"),
        (vec![header("type", Some(b"a")), header("type", Some(b"b"))], "other"),
        (vec![header("type", Some(b"a")), header("type", None)], "other"),
        (vec![header("type", Some(b"a")), header("kind", Some(b"b"))], "a"),
        (vec![header("Type", Some(b"a"))], "other"),
        (vec![header("type", Some(b"A"))], "other"),
        (vec![header("type", Some(b"a "))], "other"),
        (vec![header("type", Some(b"caf\xE9"))], "latin 1"),
        (vec![header("type", Some(b"caf\xE8"))], "other"),
        (vec![header("type", Some(b""))], "empty"),
        (vec![header("type", None)], "other"),
        (vec![], "other"),
    ];
    for (headers, expected) in rows {
        let calls = Calls::default();
        let router = routes()
            .header("type", "a", calls.settles("a"))
            .header("type", latin_1, calls.settles("latin 1"))
            .header("type", empty, calls.settles("empty"))
            .otherwise(calls.settles("other"));
        let record = Record {
            headers: headers.clone(),
            ..Record::new(TopicPartition::new("t", 0), 0)
        };
        process(&router, &Chunk::new(vec![record]).expect("a record")).await;
        assert_eq!(calls.offsets(), [(expected, vec![0])], "{headers:?}");
    }
}

proptest! {
    /// Each record is handled once, in order, by the handler of its header, up to the first that fails.
    #[test]
    fn any_mix_of_headers_is_handled_in_order_up_to_the_first_failure(
        types in proptest::collection::vec(prop::sample::select(vec![None, Some("a"), Some("b")]), 1..40),
        failing in 0..60_i64,
        batch_size in prop::option::of(1..5_usize),
    ) {
        let calls = Calls::default();
        let a = Handler { batch_size, ..calls.fails_at("a", failing) };
        let router = routes()
            .header("type", "a", a)
            .header("type", "b", calls.fails_at("b", failing))
            .otherwise(calls.fails_at("other", failing));
        let chunk = chunk("t", &types);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let progress = runtime.block_on(process(&router, &chunk));
        let settled = types.len().min(usize::try_from(failing).expect("small"));
        prop_assert_eq!((progress.settled, progress.stop.is_some()), (settled, settled < types.len()));
        let mut expected = 0;
        for (handler, offsets) in calls.offsets() {
            for offset in &offsets {
                prop_assert_eq!(*offset, expected);
                let index = usize::try_from(expected).expect("small");
                prop_assert_eq!(types[index].unwrap_or("other"), handler);
                expected += 1;
            }
            prop_assert!(handler != "a" || batch_size.is_none_or(|most| offsets.len() <= most));
            let first = offsets[0];
            prop_assert!(first <= failing, "{first} was handed over after {failing} had failed");
        }
    }
}
