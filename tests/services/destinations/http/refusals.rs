//! Endpoints that refuse requests for now, for ever, or one event of several.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::{Destination, message};
use crate::support::http_endpoint::{Received, Reply};
use crate::support::kafka::{self, values};

/// No attempt: the record would be skipped at the first.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_refused_for_now_is_made_again_before_anything_later_and_without_an_attempt() {
    for status in [408, 425, 429, 500, 503, 504] {
        let mut to = Destination::with(["0", "1"]).await;
        to.endpoint.script([Reply::status(status), Reply::status(status)]);
        let report = to.skip_at_once().world.run().success();
        assert_eq!(
            (&report["messages_processed"], &report["skipped"]),
            (&json!(2), &json!([])),
            "{status}"
        );
        assert_eq!(to.endpoint.offsets(), [[0], [0], [0], [1]], "{status}");
    }
}

#[expect(clippy::disallowed_methods, reason = "the endpoint's clock")]
fn date_in(seconds: i64) -> String {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    printer.timestamp_to_rfc9110_string(&at).expect("a date")
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_in_seconds_and_as_a_date_is_waited_for_by_all_partitions() {
    let rows: [(fn() -> String, u128); 2] = [(|| "2".to_owned(), 2_000), (|| date_in(4), 2_900)];
    for (retry_after, least_ms) in rows {
        let to = Destination::new(2).await;
        to.world.produce(0, 2);
        to.world.produce(1, 2);
        let busy = AtomicBool::new(true);
        to.endpoint.on(move |_| {
            if busy.swap(false, Ordering::SeqCst) {
                Reply::status(429).with("Retry-After", retry_after())
            } else {
                Reply::status(204)
            }
        });
        to.world.run().success();
        let received = to.endpoint.received();
        let busy = received.iter().find(|it| it.status == 429).expect("refused");
        let after_ms = received
            .iter()
            .map(|it| it.at.saturating_duration_since(busy.at).as_millis());
        let after_ms: Vec<u128> = after_ms.collect();
        // The other partition's request may be in flight when the response arrives.
        assert!(after_ms.iter().all(|ms| *ms < 500 || *ms >= least_ms), "{after_ms:?}");
        assert!(after_ms.iter().any(|ms| *ms >= least_ms), "{after_ms:?}");
        assert_eq!(received.iter().filter(|it| it.status == 204).count(), 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_busy_for_the_whole_run_fails_it_and_skips_nothing() {
    let mut to = Destination::with(["0", "1"]).await;
    to.endpoint.on(|_| Reply::status(429).with("Retry-After", 3_600));
    to.skip_at_once().world.set("TIME_LIMIT", "3");
    let ran = to.world.run();
    let report = ran.failure("Timeout", 1);
    assert_eq!(report["skipped"], json!([]));
    assert!(message(&report).contains("HTTP 429 Too Many Requests"), "{report}");
    assert_eq!(
        to.endpoint.offsets(),
        [[0]],
        "no request before the time of Retry-After"
    );
    assert_eq!(to.world.offset(0).await, Some(-1));
    assert!(!format!("{ran:?}").contains("planted-response"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_and_a_wrong_url_stop_the_run_and_dead_letter_nothing() {
    let rows = [
        (401, "Set HTTP_HEADERS_SECRET_ARN"),
        (403, "Set HTTP_HEADERS_SECRET_ARN"),
        (404, "Correct the URL of DESTINATION"),
        (405, "takes no POST"),
        (410, "Correct the URL of DESTINATION"),
    ];
    for (status, next) in rows {
        let mut to = Destination::with(["0", "1"]).await;
        let dead = kafka::unique("dead");
        kafka::create_topic(&to.world.bootstrap, &dead, 1, &[]);
        to.endpoint.on(move |_| Reply::status(status));
        to.world
            .set("ON_FAILURE", format!("kafka://{dead}"))
            .set("MAX_ATTEMPTS", "1");
        let ran = to.world.run();
        let report = ran.failure("DestinationFailed", 1);
        for part in [next, &to.endpoint.url("/in"), "offset 0", &format!("HTTP {status}")] {
            assert!(message(&report).contains(part), "{status}: {report}");
        }
        assert!(!format!("{ran:?}").contains("planted-response"), "{ran:?}");
        assert_eq!(kafka::watermarks(&to.world.bootstrap, &dead, 0), (0, 0), "{status}");
        assert_eq!(to.endpoint.offsets(), [[0]], "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_refused_for_ever_is_found_in_its_batch_and_skipped_alone() {
    for status in [400, 413, 422] {
        let mut to = Destination::with(["0", "1", "poison", "3"]).await;
        to.endpoint.on(move |request| {
            let refused = request.text().contains("poison");
            Reply::status(if refused { status } else { 200 })
        });
        to.skip_at_once().world.set("BATCH_SIZE", "10");
        let report = to.world.run().success();
        assert_eq!(report["messages_processed"], 3, "{status}");
        assert_eq!(report["skipped"][0]["first_offset"], 2, "{status}");
        let reason = report["skipped"][0]["reason"].as_str().expect("a reason");
        assert!(reason.contains(&format!("HTTP {status}")), "{reason}");
        let accepted: Vec<i64> = to
            .endpoint
            .received()
            .iter()
            .filter(|it| it.status == 200)
            .flat_map(Received::offsets)
            .collect();
        assert_eq!(accepted, [0, 1, 3], "{status}: each once, in order");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_refused_for_ever_becomes_a_dead_letter() {
    let mut to = Destination::with(["0", "poison", "2"]).await;
    let dead = kafka::unique("dead");
    kafka::create_topic(&to.world.bootstrap, &dead, 1, &[]);
    to.endpoint
        .on(|request| Reply::status(if request.body == b"poison" { 422 } else { 202 }));
    to.world.set("ON_FAILURE", format!("kafka://{dead}"));
    let report = to.world.run().success();
    assert_eq!(
        (&report["dead_lettered"], &report["messages_processed"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(kafka::watermarks(&to.world.bootstrap, &dead, 0), (0, 1));
    assert_eq!(to.endpoint.offsets(), [[0], [1], [2]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_another_host_stops_the_run_and_nothing_is_sent_there() {
    let other = Destination::new(1).await.endpoint;
    for (status, location) in [
        (302, other.url("/planted?planted")),
        (307, other.url("/planted")),
        (301, "/in2".to_owned()),
    ] {
        let to = Destination::with(["0"]).await;
        to.endpoint
            .on(move |_| Reply::status(status).with("Location", &location));
        let ran = to.world.run();
        let report = ran.failure("DestinationFailed", 1);
        assert!(message(&report).contains(&format!("HTTP {status}")), "{report}");
        assert!(message(&report).contains("redirects to"), "{report}");
        assert!(!format!("{ran:?}").contains("planted"), "{ran:?}");
    }
    assert!(other.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_of_the_same_server_that_keeps_the_method_is_followed() {
    for status in [307, 308] {
        let to = Destination::with(["0", "1"]).await;
        to.endpoint.on(move |request| match &*request.path {
            "/in" => Reply::status(status).with("Location", "/in2"),
            _ => Reply::status(200),
        });
        to.world.run().success();
        let received = to.endpoint.received();
        let shown: Vec<(&str, &str, &str)> = received.iter().map(|it| (&*it.method, &*it.path, it.text())).collect();
        assert_eq!(
            shown,
            [
                ("POST", "/in", "0"),
                ("POST", "/in2", "0"),
                ("POST", "/in", "1"),
                ("POST", "/in2", "1")
            ]
        );
        assert_eq!(received[1].header("ce-offset"), Some("0"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_does_not_stop_the_topics_of_others() {
    let mut to = Destination::with(["0"]).await;
    let users = kafka::unique("users");
    kafka::create_topic(&to.world.bootstrap, &users, 1, &[]);
    kafka::produce_to_each(&to.world.bootstrap, &users, 0..1, &values(["a", "b"]));
    to.endpoint
        .on(|request| Reply::status(if request.path == "/in" { 404 } else { 200 }));
    let routes = json!({to.world.topic.clone(): to.endpoint.url("/in"),
                        users.clone(): {"to": to.endpoint.url("/users"), "batch_size": 5}});
    let topics = format!("{},{users}", to.world.topic);
    to.world.set("KAFKA_TOPIC", topics).set("DESTINATION", routes);
    let report = to.world.run().failure("DestinationFailed", 1);
    assert_eq!(report["messages_processed"], 2);
}
