//! What `doctor` prints, and where all checks pass.

use serde_json::json;

use super::{fails, reports, skipped};
use crate::support::kafka::unique;
use crate::support::world::World;

#[tokio::test]
async fn a_healthy_setup_passes_all_checks_and_nothing_is_written() {
    let world = World::new("healthy", 3).await;
    world.produce(0, 5);
    world.put_offset(0, 1).await;
    let before = world.table.items().await;
    let (checks, ran) = world.doctor(0);
    assert_eq!(checks.wrong(), [], "{ran:?}");
    assert_eq!(ran.stderr, "");
    reports(
        checks.one("settings"),
        &format!("topic {}, group {}", world.topic, world.group),
        "",
    );
    skipped(
        checks.one("identity"),
        "AWS_ENDPOINT_URL_DYNAMODB is set, and AWS_ENDPOINT_URL_STS is not",
    );
    reports(checks.on("tcp", &world.bootstrap), "connected to 127.0.0.1 in ", "");
    reports(checks.one("authentication"), "no authentication", "");
    reports(
        checks.on("topic", &world.topic),
        "3 partitions; this user may describe and read it",
        "",
    );
    reports(checks.one("brokers"), "1 broker, reached as advertised: ", "");
    reports(checks.on("group", &world.group), "it has no committed offsets", "");
    reports(
        checks.one("table"),
        "with the keys consumer_id (S) and partition (N)",
        "",
    );
    reports(
        checks.one("table_rights"),
        "may Query, GetItem and UpdateItem; nothing was written",
        "",
    );
    reports(
        checks.on("cursors", &world.topic),
        "1 cursor; 3 partitions: 1 ok, 2 new; lag 3",
        "",
    );
    reports(checks.on("clock", "AWS"), "within a second of AWS's", "");
    assert_eq!(world.table.items().await, before, "nothing was written");
}

#[tokio::test]
async fn as_text_each_check_is_a_line_and_a_summary_comes_last() {
    let world = World::new("lines", 1).await;
    let ran = world.ran(&["doctor"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let topic = format!(
        "ok       topic {}: 1 partition; this user may describe and read it",
        world.topic
    );
    assert!(lines.contains(&topic.as_str()), "{ran:?}");
    assert!(lines[0].starts_with("ok       settings: topic "), "{ran:?}");
    assert!(lines[1].starts_with("           brokers "), "{ran:?}");
    let last = lines.last().expect("a summary");
    assert!(last.ends_with(" ok, 1 skipped"), "{last}");
}

#[tokio::test]
async fn as_json_the_document_has_a_status_and_checks_and_nothing_else() {
    let mut world = World::new("document", 1).await;
    world.set("KAFKA_TOPIC", unique("gone"));
    let document = world.ran(&["doctor", "--output", "json"]).json();
    let keys = |value: &serde_json::Value| {
        value
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&document), ["checks", "status"]);
    let known = ["details", "error", "name", "next", "status", "target", "what"];
    for check in document["checks"].as_array().expect("checks") {
        assert!(keys(check).iter().all(|key| known.contains(&key.as_str())), "{check}");
        assert!(check["what"].is_string() && check["name"].is_string(), "{check}");
        let failed = check["status"] == "failed";
        assert_eq!(check["error"].is_string(), failed, "{check}");
        assert!(!failed || check["next"].is_string(), "{check}");
    }
}

#[tokio::test]
async fn invalid_settings_end_doctor_as_any_command() {
    let mut world = World::new("settings", 1).await;
    world.set("MAX_MESSAGES", "many").set("POLL_TIMEOUT", "never");
    let ran = world.ran(&["doctor", "--output", "json"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(
        ran.stderr.starts_with("InvalidConfiguration: MAX_MESSAGES=\"many\""),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("\nPOLL_TIMEOUT=\"never\""), "{ran:?}");
}

#[tokio::test]
async fn a_missing_topic_does_not_hide_the_others() {
    let mut world = World::new("there", 2).await;
    let gone = unique("gone");
    world.set("KAFKA_TOPIC", format!("{gone},{}", world.topic));
    let (checks, _) = world.doctor(1);
    assert_eq!(checks.wrong(), [("topic", "UnknownTopic")]);
    let missing = checks.on("topic", &gone);
    fails(
        missing,
        "UnknownTopic",
        &format!("the topic {gone} does not exist"),
        "create the topic",
    );
    assert_eq!(
        missing["details"],
        json!([
            "the brokers return that it does not exist; to a user without Describe on it they would return an \
             authorization error"
        ])
    );
    reports(
        checks.on("topic", &world.topic),
        "2 partitions; this user may describe and read it",
        "",
    );
}
