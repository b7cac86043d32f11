//! Endpoints that are slow, cut connections, or cannot be reached.

use std::time::Duration;

use serde_json::json;

use super::{Destination, message};
use crate::support::endpoints;
use crate::support::http_endpoint::Reply;

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_a_run_share_connections() {
    let to = Destination::new(1).await;
    to.world.produce(0, 50);
    to.world.run().success();
    assert_eq!(to.endpoint.received().len(), 50);
    assert!(to.endpoint.connections() <= 3, "{}", to.endpoint.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_lost_is_an_event_that_is_sent_again_with_the_same_id() {
    let mut to = Destination::with(["0", "1"]).await;
    to.endpoint.script([Reply::Close]);
    let report = to.skip_at_once().world.run().success();
    assert_eq!(
        (&report["messages_processed"], &report["skipped"]),
        (&json!(2), &json!([]))
    );
    assert_eq!(to.endpoint.offsets(), [[0], [0], [1]]);
    let received = to.endpoint.received();
    assert_eq!(received[0].header("ce-id"), received[1].header("ce-id"));
}

/// The server has closed the connection while it was not in use.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_that_is_dead_costs_one_request_and_no_failure() {
    let to = Destination::with(["0", "1", "2"]).await;
    to.endpoint
        .script([Reply::status(200), Reply::Close, Reply::status(200)]);
    let ran = to.world.run();
    assert_eq!(ran.success()["messages_processed"], 3);
    assert_eq!(to.endpoint.offsets(), [[0], [1], [1], [2]]);
    assert!(!ran.stderr.contains("WARN"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_breaks_off_in_its_head_is_lost_and_one_in_its_body_is_not() {
    let head = Reply::Raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Le".to_vec());
    let body = Reply::Raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\nabc".to_vec());
    for (reply, expected) in [(head, vec![[0], [0]]), (body, vec![[0]])] {
        let to = Destination::with(["0"]).await;
        to.endpoint.script([reply]);
        to.world.run().success();
        assert_eq!(to.endpoint.offsets(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_endpoint_is_waited_for() {
    let to = Destination::with(["0", "1"]).await;
    to.endpoint.script([Reply::status(200).after(Duration::from_secs(6))]);
    to.world.run().success();
    assert_eq!(to.endpoint.offsets(), [[0], [1]], "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_outlives_the_run_is_a_timeout_and_its_event_comes_again() {
    let mut to = Destination::with(["0", "1"]).await;
    to.endpoint.script([Reply::status(200).after(Duration::from_secs(30))]);
    let ran = to.world.set("TIME_LIMIT", "3").run();
    let report = ran.failure("Timeout", 1);
    assert!(ran.took < Duration::from_secs(5), "{:?}", ran.took);
    assert_eq!(report["messages_processed"], 0);
    let report = to.world.run().success();
    assert_eq!(report["messages_processed"], 2);
    assert_eq!(to.endpoint.offsets(), [[0], [0], [1]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_cannot_be_reached_fails_the_run_and_skips_nothing() {
    let rows = [
        (
            format!("http://127.0.0.1:{}/", endpoints::closed()),
            "no connection to 127.0.0.1:1",
        ),
        (
            "https://no-such-host.invalid/?planted".to_owned(),
            "no-such-host.invalid:443 does not resolve",
        ),
    ];
    for (url, expected) in rows {
        let mut to = Destination::with(["0"]).await;
        to.skip_at_once().world.set("DESTINATION", url).set("TIME_LIMIT", "3");
        let ran = to.world.run();
        let report = ran.failure("Timeout", 1);
        assert!(message(&report).contains(expected), "{report}");
        assert_eq!(report["skipped"], json!([]));
        assert!(!format!("{ran:?}").contains("planted"), "{ran:?}");
    }
}
