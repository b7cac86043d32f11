//! Functions that fail, report failures, or respond with anything else.

use serde_json::json;

use super::{Destination, fails_on};
use crate::support::function_api::Reply;
use crate::support::kafka;

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_batch_is_halved_in_order_until_the_record_that_fails_is_alone() {
    let mut to = Destination::with(["0", "1", "poison", "3"]).await;
    to.functions.on("orders", fails_on("poison"));
    let ran = to.skip_at_once().world.run();
    let report = ran.success();
    assert_eq!(to.sizes(), [4, 2, 2, 1, 1]);
    assert_eq!(to.calls()[3], [2]);
    assert_eq!(report["skipped"][0]["first_offset"], 2);
    assert_eq!(report["messages_processed"], 3);
    let reason = report["skipped"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("ValueError"), "{reason}");
    assert!(!ran.stderr.contains("planted-message"), "{}", ran.stderr);
}

/// The record is tried again alone, and no batch with it is sent again.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_fails_alone_is_retried_alone_and_counts_its_attempts_over_runs() {
    let mut to = Destination::with(["0", "poison", "2"]).await;
    to.functions.on("orders", fails_on("poison"));
    to.world.set("MAX_ATTEMPTS", "5");
    let report = to.world.run().failure("PartitionBlocked", 3);
    assert_eq!(
        to.calls(),
        [vec![0, 1, 2], vec![0], vec![1, 2], vec![1], vec![1], vec![1]]
    );
    assert_eq!(
        (&report["blocked"][0]["offset"], &report["blocked"][0]["attempts"]),
        (&json!(1), &json!(3))
    );
    assert_eq!(report["last_offsets"], json!({"0": 0}));
    let attempts: Vec<_> = to.functions.calls("orders")[3..]
        .iter()
        .map(|call| call.client_context["custom"]["attempt"].clone())
        .collect();
    assert_eq!(attempts, ["1", "2", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reported_record_is_sent_alone_and_those_that_succeeded_are_not_sent_again() {
    let mut to = Destination::with(["5", "6", "7"]).await;
    let six = to.failures(&[1]);
    to.functions.script("orders", vec![six.clone(), six, Reply::ok("null")]);
    let report = to.skip_at_once().world.run().success();
    assert_eq!(to.calls(), [vec![0, 1, 2], vec![1]]);
    assert_eq!(report["last_offsets"], json!({"0": 2}));
    assert_eq!(report["skipped"][0]["first_offset"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_reported_record_is_retried_those_behind_it_are_not_sent_again() {
    let to = Destination::with(["5", "6", "7"]).await;
    let six = to.failures(&[1]);
    to.functions
        .script("orders", vec![six.clone(), six.clone(), six, Reply::ok("null")]);
    let report = to.world.run().success();
    assert_eq!(to.calls(), [vec![0, 1, 2], vec![1], vec![1], vec![1]]);
    assert_eq!(report["messages_processed"], 3);
}

/// What succeeded behind the cursor is not stored: the next run sends it again.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_reported_record_blocks_its_partition_the_cursor_stands_at_it() {
    let to = Destination::with(["5", "6", "7"]).await;
    let six = to.failures(&[1]);
    to.functions.on("orders", move |_| six.clone());
    let report = to.world.run().failure("PartitionBlocked", 3);
    assert_eq!(report["last_offsets"], json!({"0": 0}));
    assert_eq!(to.world.offset(0).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_names_no_record_of_the_batch_settles_nothing() {
    let entries = [
        r#"{"itemIdentifier":{"partition":"other-0","offset":0}}"#.to_owned(),
        r#"{"itemIdentifier":{"partition":"TOPIC-0","offset":99}}"#.to_owned(),
        r#"{"itemIdentifier":""}"#.to_owned(),
        r#"{"itemIdentifier":null}"#.to_owned(),
    ];
    for entry in entries {
        let to = Destination::with(["0", "1"]).await;
        let entry = entry.replace("TOPIC", &to.world.topic);
        let response = format!("{{\"batchItemFailures\":[{entry}]}}");
        to.functions.on("orders", move |_| Reply::ok(&*response));
        let report = to.world.run().failure("PartitionBlocked", 3);
        assert_eq!(report["messages_processed"], 0, "{entry}");
        assert_eq!(to.world.offset(0).await, Some(-1), "{entry}");
        let error = report["blocked"][0]["error"].as_str().expect("an error");
        assert!(error.contains("batchItemFailures[0]"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_other_response_settles_the_batch() {
    for response in [
        r#""ok""#,
        r#"{"statusCode":200}"#,
        "{}",
        "null",
        "",
        r#"{"batchItemFailures":[]}"#,
    ] {
        let to = Destination::with(["0", "1"]).await;
        to.functions.on("orders", move |_| Reply::ok(response));
        let report = to.world.run().success();
        assert_eq!(report["messages_processed"], 2, "{response}");
        assert_eq!(to.sizes(), [2], "{response}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_record_becomes_a_dead_letter_and_those_behind_it_go_on() {
    let mut to = Destination::with(["0", "poison", "2"]).await;
    to.functions.on("orders", fails_on("poison"));
    let dead = kafka::unique("dead");
    kafka::create_topic(&to.world.bootstrap, &dead, 1, &[]);
    to.world
        .set("ON_FAILURE", format!("kafka://{dead}"))
        .set("MAX_ATTEMPTS", "2");
    let report = to.world.run().success();
    assert_eq!(
        (&report["dead_lettered"], &report["messages_processed"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(kafka::watermarks(&to.world.bootstrap, &dead, 0), (0, 1));
    assert_eq!(
        to.calls(),
        [vec![0, 1, 2], vec![0], vec![1, 2], vec![1], vec![1], vec![2]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_lost_after_the_function_ran_is_retried() {
    let to = Destination::with(["0", "1"]).await;
    to.functions
        .script("orders", vec![Reply::DropConnection, Reply::ok("null")]);
    let report = to.world.run().success();
    assert_eq!(report["messages_processed"], 2);
    // It may have run: half of it is sent again, as after any failure.
    assert_eq!(to.calls(), [vec![0, 1], vec![0], vec![1]]);
}
