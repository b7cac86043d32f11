//! Routes by topic, and topics without one.

use kafka_consumer_lambda::config::Config;
use kafka_consumer_lambda::destination::Configured;
use kafka_consumer_lambda::processor::{Processor, Progress};
use kafka_consumer_lambda::{Failure, Record, each, json, live, routes};

use super::{Call, Calls, chunk, handlers, process};

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
