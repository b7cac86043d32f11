//! Records that can never be written, and tables that are throttled, gone, forbidden or out of reach.

use std::time::Duration;

use aws_sdk_dynamodb::types::ScalarAttributeType;
use serde_json::json;

use super::{View, arn, upsert};
use crate::support::dead_letters;
use crate::support::kafka::{self, Message, unique};
use crate::support::scripted_dynamodb::Act;

fn throttled() -> Act {
    Act::error(400, "ProvisionedThroughputExceededException", "too much")
}

/// The SDK's attempts of one request.
const ATTEMPTS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn records_that_can_never_be_written_are_skipped_with_the_reason_and_the_others_are_written() {
    let large = json!({"id": "large", "v": "x".repeat(420_000)}).to_string();
    let nearly = json!({"id": "nearly", "v": "x".repeat(409_550)}).to_string();
    let rows = [
        (Message::value(large), "larger than 409600 bytes (400 KB)"),
        (Message::value(nearly), "larger than 409600 bytes (400 KB)"),
        (
            Message::value(r#"{"v":1}"#),
            "the key attribute `id` (S) of the table is not a field",
        ),
        (
            Message::value(r#"{"id":""}"#),
            "`id` (S) of the table is an empty string",
        ),
        (
            Message::value(r#"{"id":7}"#),
            "`id` (S) of the table is not a string in the value",
        ),
        (Message::value("[1]"), "the value is an array"),
        (Message::value(r#"{"id":"n","n":1e126}"#), "outside of DynamoDB's range"),
        (
            Message::value(r#"{"id":"g","kafka_offset":1}"#),
            "has a field `kafka_offset`",
        ),
        (Message::default(), "and the record has no key"),
    ];
    let mut view = View::new(1).await;
    let mut records: Vec<Message> = vec![upsert("first", 1)];
    for (record, _) in &rows {
        records.push(record.clone());
        records.push(upsert("after", 1));
    }
    view.world.produce_these(0, &records);
    let report = view.skip_at_once().run().success();
    let skipped = report["skipped"].as_array().expect("a list");
    assert_eq!(skipped.len(), rows.len(), "{report:#}");
    for (at, (entry, (_, reason))) in skipped.iter().zip(&rows).enumerate() {
        assert_eq!(entry["first_offset"], 2 * at + 1);
        let text = entry["reason"].as_str().expect("a reason");
        assert!(text.contains(reason) && text.contains(&view.table.name), "{text}");
    }
    assert_eq!(
        view.values().await,
        [("after".to_owned(), 1), ("first".to_owned(), 1)].into()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_can_never_be_written_blocks_its_partition_and_names_the_attribute() {
    let view = View::with(&[upsert("a", 1), Message::value(r#"{"v":1}"#), upsert("b", 1)]).await;
    let report = view.run().failure("PartitionBlocked", 3);
    let blocked = &report["blocked"][0];
    assert_eq!((&blocked["offset"], &blocked["attempts"]), (&json!(1), &json!(1)));
    let error = blocked["error"].as_str().expect("an error");
    assert!(error.contains("the key attribute `id` (S)"), "{error}");
    assert_eq!(view.world.offset(0).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_can_never_be_written_becomes_a_dead_letter_and_is_not_tried_again() {
    let mut view = View::with(&[upsert("a", 1), Message::value("7").key("k")]).await;
    let dead = unique("dead");
    kafka::create_topic(&view.world.bootstrap, &dead, 1, &[]);
    view.world.set("ON_FAILURE", format!("kafka://{dead}"));
    let report = view.run().success();
    assert_eq!(report["dead_lettered"], 1);
    let letters = tokio::task::block_in_place(|| dead_letters::read(&view.world.bootstrap, &dead, 0, 1));
    assert_eq!(letters[0].value.as_deref(), Some(&b"7"[..]));
}

/// No attempt: the record would be skipped at the first.
#[tokio::test(flavor = "multi_thread")]
async fn throttled_writes_are_sent_again_without_an_attempt() {
    let records: Vec<Message> = (0..10).map(|n| upsert(&format!("k{n}"), n)).collect();
    let mut view = View::with(&records).await;
    let proxy = view.scripted().await;
    proxy.next_of("PutItem", vec![throttled(); 25]);
    let report = view.skip_at_once().run().success();
    assert_eq!(
        (&report["messages_processed"], &report["skipped"]),
        (&json!(10), &json!([]))
    );
    assert_eq!(view.values().await.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_throttled_for_the_whole_run_fails_it_and_skips_nothing() {
    for operation in ["PutItem", "DescribeTable"] {
        let mut view = View::with(&[upsert("a", 1)]).await;
        view.scripted().await.always(operation, throttled());
        view.skip_at_once().world.set("TIME_LIMIT", "3");
        let report = view.run().failure("Timeout", 1);
        assert_eq!(report["skipped"], json!([]), "{operation}");
        let message = report["error"]["message"].as_str().expect("a message");
        assert!(
            message.contains("throttles the table") && message.contains("bill it on demand"),
            "{message}"
        );
        assert_eq!(view.world.offset(0).await, Some(-1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_response_is_lost_is_sent_again_and_changes_nothing() {
    for lost in [1, ATTEMPTS, 2 * ATTEMPTS] {
        let mut view = View::with(&[upsert("a", 1)]).await;
        let proxy = view.scripted().await;
        proxy.next_of("PutItem", vec![Act::ForwardAndHangUp; lost]);
        let report = view.skip_at_once().run().success();
        assert_eq!(
            (&report["messages_processed"], &report["skipped"]),
            (&json!(1), &json!([]))
        );
        assert_eq!(view.values().await, [("a".to_owned(), 1)].into());
        let writes = proxy.take_operations().into_iter().filter(|it| it == "PutItem");
        assert_eq!(writes.count(), lost + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_gone_or_forbidden_stops_the_run_and_dead_letters_nothing() {
    let denied = || Act::error(400, "AccessDeniedException", "User is not authorized");
    let expired = || Act::error(400, "ExpiredTokenException", "planted");
    let gone = || Act::error(400, "ResourceNotFoundException", "gone");
    let rows = [
        (
            "DescribeTable",
            denied(),
            "Allow dynamodb:DescribeTable and dynamodb:PutItem",
        ),
        ("PutItem", denied(), "Allow dynamodb:DescribeTable and dynamodb:PutItem"),
        ("DescribeTable", gone(), "correct DESTINATION"),
        ("PutItem", gone(), "correct DESTINATION"),
        ("PutItem", expired(), "Renew them"),
        ("PutItem", Act::error(400, "NotSeenBefore", "why"), "NotSeenBefore: why"),
    ];
    for (operation, act, expected) in rows {
        let records: Vec<Message> = (0..50).map(|n| upsert(&format!("k{n}"), n)).collect();
        let mut view = View::with(&records).await;
        let dead = unique("dead");
        kafka::create_topic(&view.world.bootstrap, &dead, 1, &[]);
        let proxy = view.scripted().await;
        proxy.always(operation, act);
        view.world
            .set("ON_FAILURE", format!("kafka://{dead}"))
            .set("MAX_ATTEMPTS", "1");
        let report = view.run().failure("DestinationFailed", 1);
        let message = report["error"]["message"].as_str().expect("a message");
        for part in [expected, &arn(&view.table.name), "offset 0"] {
            assert!(message.contains(part), "{operation}: {message}");
        }
        assert!(!message.contains("planted"), "{message}");
        assert_eq!(kafka::watermarks(&view.world.bootstrap, &dead, 0), (0, 0));
        let requests = proxy.take_operations().into_iter().filter(|it| it == operation).count();
        assert!(
            (1..=20).contains(&requests),
            "{requests} of 50 records: it stops at the first"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_does_not_exist_or_has_a_binary_key_takes_no_record() {
    let mut view = View::with(&[upsert("a", 1)]).await;
    let gone = arn("no-such-table");
    view.world.set("DESTINATION", &gone);
    let report = view.run().failure("DestinationFailed", 1);
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains(&format!("{gone}: the table does not exist in us-east-1")),
        "{message}"
    );

    let view = View::keyed(1, &[("id", ScalarAttributeType::B)]).await;
    view.world.produce_these(0, &[upsert("a", 1)]);
    let report = view.run().failure("DestinationFailed", 1);
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains("`id` is neither a string (S) nor a number (N)"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_during_a_write_is_a_timeout_and_its_records_come_again() {
    let mut view = View::with(&[upsert("a", 1), upsert("b", 2)]).await;
    let proxy = view.scripted().await;
    proxy.always("PutItem", Act::Silence);
    view.world.set("TIME_LIMIT", "3");
    let ran = view.run();
    let report = ran.failure("Timeout", 1);
    assert!(ran.took < Duration::from_secs(6), "{:?}", ran.took);
    assert_eq!(report["messages_processed"], 0);
    proxy.always("PutItem", Act::Forward);
    view.world.set("TIME_LIMIT", "30");
    assert_eq!(view.run().success()["messages_processed"], 2);
    assert_eq!(view.values().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_records_of_one_key_in_a_call_are_one_write() {
    let mut view = View::with(&[upsert("a", 1), upsert("b", 1), upsert("a", 2), upsert("a", 3)]).await;
    let proxy = view.scripted().await;
    assert_eq!(view.run().success()["messages_processed"], 4);
    let writes = |operations: Vec<String>| operations.into_iter().filter(|it| it == "PutItem").count();
    // The first chunk of a run may be smaller than the topic.
    assert!((2..=4).contains(&writes(proxy.take_operations())));
    assert_eq!(view.values().await, [("a".to_owned(), 3), ("b".to_owned(), 1)].into());
}
