//! Functions that are throttled, gone, forbidden, broken, slow or out of reach.

use std::time::Duration;

use serde_json::json;

use super::Destination;
use crate::support::function_api::{FunctionApi, Reply, arn};
use crate::support::kafka::{self, values};

/// No attempt: the record would be skipped at the first.
#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_function_is_waited_for_without_an_attempt() {
    let mut to = Destination::with(["0", "1"]).await;
    let throttled = Reply::throttled(None);
    to.functions
        .script("orders", vec![throttled.clone(), throttled, Reply::ok("null")]);
    let report = to.skip_at_once().world.run().success();
    assert_eq!(
        (&report["messages_processed"], &report["skipped"]),
        (&json!(2), &json!([]))
    );
    assert_eq!(to.sizes(), [2, 2, 2], "the whole batch each time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_not_ready_is_waited_for() {
    for (status, code) in [
        (409, "ResourceConflictException"),
        (502, "ENINotReadyException"),
        (409, "SnapStartNotReadyException"),
        (502, "EC2ThrottledException"),
    ] {
        let mut to = Destination::with(["0"]).await;
        to.functions.script(
            "orders",
            vec![Reply::error(status, code, "not ready"), Reply::ok("null")],
        );
        let report = to.skip_at_once().world.run().success();
        assert_eq!(report["messages_processed"], 1, "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_throttled_for_the_whole_run_fails_it_and_skips_nothing() {
    let mut to = Destination::with(["0", "1"]).await;
    to.functions.on("orders", |_| Reply::throttled(Some(1)));
    to.skip_at_once().world.set("TIME_LIMIT", "3");
    let report = to.world.run().failure("Timeout", 1);
    assert_eq!(report["skipped"], json!([]));
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains("TooManyRequestsException") && message.contains("No attempt is counted"),
        "{message}"
    );
    assert_eq!(to.world.offset(0).await, Some(-1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_gone_forbidden_or_broken_stops_the_run_and_dead_letters_nothing() {
    let rows = [
        (404, "ResourceNotFoundException", "correct DESTINATION"),
        (403, "AccessDeniedException", "Allow lambda:InvokeFunction"),
        (502, "InvalidZipFileException", "Correct the function"),
        (502, "KMSDisabledException", "Correct the function"),
        (403, "InvalidSignatureException", "Renew them"),
    ];
    for (status, code, next) in rows {
        let mut to = Destination::with(["0", "1"]).await;
        let dead = kafka::unique("dead");
        kafka::create_topic(&to.world.bootstrap, &dead, 1, &[]);
        to.functions.on("orders", move |_| Reply::error(status, code, "why"));
        to.world
            .set("ON_FAILURE", format!("kafka://{dead}"))
            .set("MAX_ATTEMPTS", "1");
        for _ in 0..2 {
            let report = to.world.run().failure("DestinationFailed", 1);
            let message = report["error"]["message"].as_str().expect("a message");
            for part in [next, "function:orders", "offset 0"] {
                assert!(message.contains(part), "{code}: {message}");
            }
        }
        assert_eq!(kafka::watermarks(&to.world.bootstrap, &dead, 0), (0, 0), "{code}");
        assert_eq!(to.sizes(), [2, 2], "{code}: once in each run");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_outlives_the_run_is_a_timeout_and_its_records_come_again() {
    let mut to = Destination::with(["0", "1"]).await;
    to.functions.script(
        "orders",
        vec![Reply::ok("null").after(Duration::from_secs(30)), Reply::ok("null")],
    );
    let ran = to.world.set("TIME_LIMIT", "3").run();
    let report = ran.failure("Timeout", 1);
    assert!(ran.took < Duration::from_secs(5), "{:?}", ran.took);
    assert_eq!(report["messages_processed"], 0);
    let report = to.world.run().success();
    assert_eq!(report["messages_processed"], 2);
    assert_eq!(to.calls(), [vec![0, 1], vec![0, 1]]);
}

/// Longer than other calls of AWS's services may take.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_takes_as_long_as_the_function_does() {
    let mut to = Destination::with(["0", "1"]).await;
    to.functions
        .on("orders", |_| Reply::ok("null").after(Duration::from_secs(10)));
    let report = to.world.set("TIME_LIMIT", "40").run().success();
    assert_eq!(report["messages_processed"], 2);
    assert_eq!(to.calls(), [vec![0, 1]], "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_lambda_itself_skips_nothing() {
    let mut to = Destination::with(["0", "1"]).await;
    let failed = Reply::error(500, "ServiceException", "internal");
    to.functions
        .script("orders", vec![failed.clone(), failed, Reply::ok("null")]);
    let report = to.skip_at_once().world.run().success();
    assert_eq!(
        (&report["messages_processed"], &report["skipped"]),
        (&json!(2), &json!([]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_breaks_off_is_a_call_that_may_have_run() {
    let to = Destination::with(["0", "1"]).await;
    let broken = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nnul".to_vec();
    to.functions
        .script("orders", vec![Reply::Raw(broken), Reply::ok("null")]);
    let report = to.world.run().success();
    assert_eq!(report["messages_processed"], 2);
    assert_eq!(to.calls(), [vec![0, 1], vec![0], vec![1]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_gone_does_not_stop_the_topics_of_others() {
    let mut to = Destination::new(4).await;
    let users = kafka::unique("users");
    kafka::create_topic(&to.world.bootstrap, &users, 1, &[]);
    kafka::produce_to_each(&to.world.bootstrap, &users, 0..1, &values(["a", "b", "c"]));
    for partition in 0..4 {
        to.world.produce(partition, 1);
    }
    to.functions
        .on("orders", |_| Reply::error(404, "ResourceNotFoundException", "gone"));
    to.functions.on("users", |_| Reply::ok("null"));
    let routes = json!({to.world.topic.clone(): arn("orders"), users.clone(): {"to": arn("users"), "batch_size": 1}});
    let topics = format!("{},{users}", to.world.topic);
    to.world.set("KAFKA_TOPIC", topics).set("DESTINATION", routes);
    let report = to.world.run().failure("DestinationFailed", 1);
    assert_eq!(to.functions.offsets("users"), [vec![0], vec![1], vec![2]]);
    assert_eq!(report["messages_processed"], 3);
}

/// A call that was not sent is no attempt.
#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_cannot_be_connected_to_fails_the_run_and_skips_nothing() {
    let mut to = Destination::with(["0", "1"]).await;
    to.skip_at_once()
        .world
        .set("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:1")
        .set("TIME_LIMIT", "3");
    let report = to.world.run().failure("Timeout", 1);
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(message.contains("no connection to Lambda"), "{message}");
    assert_eq!(report["skipped"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_run_share_connections() {
    let mut to = Destination::new(1).await;
    to.world.produce(0, 50);
    to.world.set("BATCH_SIZE", "5").run().success();
    assert_eq!(to.sizes(), [5; 10]);
    // A call may begin before the connection of the last one is known to be free.
    let connections = to.functions.connections();
    assert!(connections <= 3, "{connections}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_this_one_is_refused_at_the_start() {
    let functions = FunctionApi::start();
    let mut to = Destination::with(["0"]).await;
    to.world
        .set("AWS_LAMBDA_FUNCTION_NAME", "orders")
        .set("AWS_ENDPOINT_URL_LAMBDA", functions.url());
    let ran = to.world.run();
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("is this function itself"), "{}", ran.stderr);
}
