//! Routes of handlers, by topic and header.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_consumer_lambda::config::Config;
use kafka_consumer_lambda::destination::Configured;
use kafka_consumer_lambda::live;
use kafka_consumer_lambda::processor::routes::Router;
use kafka_consumer_lambda::processor::{Processor, Progress, RunContext};
use kafka_consumer_lambda::record::{Chunk, Header, Record, TopicPartition};
use kafka_consumer_lambda::{Failure, each, json, routes};
use proptest::prelude::*;

/// The calls of handlers: who was called with which offsets, at which attempt and lag.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<Call>>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    handler: &'static str,
    offsets: Vec<i64>,
    attempt: u32,
    lag: Option<u64>,
}

impl Calls {
    /// A handler that settles every record.
    fn settles(&self, handler: &'static str) -> Handler {
        self.handler(handler, Progress::all)
    }

    /// A handler that settles the records up to `offset`, and fails there.
    fn fails_at(&self, handler: &'static str, offset: i64) -> Handler {
        self.handler(handler, move |chunk| {
            let settled = chunk
                .records()
                .iter()
                .take_while(|record| record.offset < offset)
                .count();
            let stop = (settled < chunk.len()).then(|| Failure::Retry("busy".into()));
            Progress { settled, stop }
        })
    }

    fn handler(&self, name: &'static str, progress: impl Fn(&Chunk) -> Progress + Send + Sync + 'static) -> Handler {
        Handler {
            name,
            calls: self.clone(),
            progress: Box::new(progress),
            batch_size: None,
            decodes: false,
        }
    }

    fn all(&self) -> Vec<Call> {
        self.0.lock().expect("no panic").clone()
    }

    /// Who was called with which offsets.
    fn offsets(&self) -> Vec<(&'static str, Vec<i64>)> {
        self.all()
            .into_iter()
            .map(|call| (call.handler, call.offsets))
            .collect()
    }
}

struct Handler {
    name: &'static str,
    calls: Calls,
    progress: Box<dyn Fn(&Chunk) -> Progress + Send + Sync>,
    batch_size: Option<usize>,
    decodes: bool,
}

impl Handler {
    fn in_batches(self, size: usize) -> Self {
        let batch_size = Some(size);
        Self { batch_size, ..self }
    }

    fn decoding(self) -> Self {
        Self { decodes: true, ..self }
    }
}

impl Processor for Handler {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        let call = Call {
            handler: self.name,
            offsets: chunk.records().iter().map(|record| record.offset).collect(),
            attempt: run.attempt,
            lag: run.lag,
        };
        self.calls.0.lock().expect("no panic").push(call);
        (self.progress)(chunk)
    }

    fn decodes(&self, _: &str) -> bool {
        self.decodes
    }

    fn batch_size(&self, _: &str) -> Option<NonZeroUsize> {
        self.batch_size.and_then(NonZeroUsize::new)
    }
}

/// Records of `topic` from offset 0 on, with these values of the header `type`, or without it.
fn chunk(topic: &str, types: &[Option<&'static str>]) -> Chunk {
    let record = |(offset, value): (i64, Option<&'static str>)| {
        let header = value.map(|value| Header::new("type", Some(value.into())));
        Record {
            headers: header.into_iter().collect(),
            ..Record::new(TopicPartition::new(topic, 0), offset)
        }
    };
    Chunk::new((0..).zip(types.iter().copied()).map(record).collect()).expect("records")
}

fn context() -> RunContext {
    RunContext {
        stop_at: Instant::now() + Duration::from_mins(1),
        attempt: 3,
        run_id: "run".into(),
        group_id: "g".into(),
        lag: Some(10),
    }
}

async fn process(router: &Router, chunk: &Chunk) -> Progress {
    router.process(chunk, &context()).await
}

/// The handler of each topic.
async fn handlers(router: Router, calls: &Calls, topics: &[&str]) -> Vec<&'static str> {
    for topic in topics {
        assert!(router.takes(topic), "{topic}");
        let chunk = chunk(topic, &[None, None]);
        assert_eq!(process(&router, &chunk).await, Progress::all(&chunk));
    }
    calls.all().into_iter().map(|call| call.handler).collect()
}

#[tokio::test]
async fn each_topic_has_the_handler_of_its_first_route_or_the_other_one() {
    let calls = Calls::default();
    let router = routes()
        .topic("orders", calls.settles("orders"))
        .otherwise(calls.settles("other"))
        .topic("user-*", calls.settles("users"))
        .topic("user-eu", calls.settles("never"));
    let topics = ["orders", "user-eu", "orders-2", "users", "user-"];
    assert_eq!(
        handlers(router, &calls, &topics).await,
        ["orders", "users", "other", "other", "users"]
    );
}

#[tokio::test]
async fn a_chunk_of_a_topic_is_one_call_with_the_run_s_own_context() {
    let calls = Calls::default();
    let router = routes().topic("orders", calls.settles("orders"));
    process(&router, &chunk("orders", &[None; 3])).await;
    let expected = Call {
        handler: "orders",
        offsets: vec![0, 1, 2],
        attempt: 3,
        lag: Some(10),
    };
    assert_eq!(calls.all(), [expected]);
}

#[tokio::test]
async fn a_topic_without_a_route_is_not_taken_and_none_of_its_records_is_handled() {
    let calls = Calls::default();
    let router = routes().topic("orders", calls.settles("orders"));
    assert!(router.takes("orders") && !router.takes("users") && !routes().takes("orders"));
    let progress = process(&router, &chunk("users", &[None])).await;
    let text = "there is no handler for the topic users";
    let stop = Some(Failure::Fatal(text.into()));
    assert_eq!(progress, Progress { settled: 0, stop });
    assert!(calls.all().is_empty());
}

fn config(topics: Option<&str>) -> Config {
    let topics = topics.map(|topics| ("KAFKA_TOPIC".to_owned(), topics.to_owned()));
    Config::from_lookup(topics).expect("these are settings")
}

/// The error of a start, before any connection is made.
async fn refused(topics: &str) -> String {
    let started = live::parts(config(Some(topics)), |_| {
        routes().topic("orders", each(|_: Record| async { Ok(()) }))
    });
    let Err(error) = started.await else {
        panic!("it started")
    };
    error.to_string()
}

#[tokio::test]
async fn a_function_does_not_start_with_a_topic_that_has_no_handler() {
    let next = "Add a route for it to DESTINATION, or `topic` or `otherwise` to the routes of the handler; or remove it \
                from KAFKA_TOPIC";
    assert_eq!(
        refused("orders,users,payments").await,
        format!("InvalidConfiguration: no handler for topic users, payments of KAFKA_TOPIC. {next}")
    );
}

/// A function behind AWS's mapping need not set `KAFKA_TOPIC`: only a run reads its default.
#[test]
fn the_default_topic_needs_a_handler_where_a_run_reads_it() {
    let orders = routes().topic("orders", each(|_: Record| async { Ok(()) }));
    let error = live::check_topics(&config(None), &orders).expect_err("a run would read test-topic");
    assert!(error.to_string().contains("no handler for topic test-topic"), "{error}");
    let all = routes().otherwise(each(|_: Record| async { Ok(()) }));
    live::check_topics(&config(None), &all).expect("every topic has a handler");
}

#[test]
fn destinations_take_the_topics_of_their_routes() {
    let setting = (
        "DESTINATION".to_owned(),
        r#"{"orders": "log", "user-*": "discard"}"#.to_owned(),
    );
    let configured = Configured::new(&Config::from_lookup([setting]).expect("these are settings"));
    assert!(configured.takes("orders") && configured.takes("user-eu") && !configured.takes("payments"));
}

#[test]
fn a_route_that_could_never_apply_is_refused() {
    for topic in ["", "a b", "*a", "a*b", ".."] {
        let refused = std::panic::catch_unwind(|| routes().topic(topic, each(|_: Record| async { Ok(()) })));
        assert!(refused.is_err(), "{topic:?}");
    }
}

#[tokio::test]
async fn decoding_and_batch_size_are_those_of_the_topic_s_handler() {
    #[derive(serde::Deserialize)]
    struct Order {}
    let calls = Calls::default();
    let router = routes()
        .topic("orders", json(|_: Option<Order>, _: Record| async { Ok(()) }))
        .topic("users", calls.settles("users").in_batches(7));
    assert!(router.decodes("orders") && !router.decodes("users") && !router.decodes("others"));
    assert_eq!(router.batch_size("orders"), None);
    assert_eq!(router.batch_size("users").map(usize::from), Some(7));
    assert_eq!(router.batch_size("others"), None);
}

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
