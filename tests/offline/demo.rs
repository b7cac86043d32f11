//! `kafka-consumer demo`, the real program: its text for people and its JSON for scripts, independent
//! of the environment.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::process::Output;
use std::time::Duration;

use assert_cmd::Command;
use serde_json::Value;

/// Far longer than it takes, also in parallel with other tests.
const PATIENCE: Duration = Duration::from_mins(1);

/// Settings for real services, some of which no run would accept.
const HOSTILE: [(&str, &str); 18] = [
    ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"),
    ("KAFKA_TOPIC", "invoices"),
    ("KAFKA_GROUP_ID", "production"),
    ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
    ("KAFKA_NO_SUCH_PROPERTY", "wrong"),
    ("MAX_MESSAGES", "none"),
    ("TIME_LIMIT", "for ever"),
    ("START_POSITION", "latest"),
    ("MESSAGE_FORMAT", "xml"),
    ("DYNAMODB_TABLE", "production-offsets"),
    ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
    ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1"),
    ("AWS_REGION", "nowhere-1"),
    ("AWS_PROFILE", "no-such-profile"),
    ("AWS_ACCESS_KEY_ID", "planted-key"),
    ("HTTP_PROXY", "http://127.0.0.1:1"),
    ("http_proxy", "http://127.0.0.1:1"),
    ("ALL_PROXY", "http://127.0.0.1:1"),
];

/// Runs the demo without a terminal, with these variables and no others.
fn demo(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_kafka-consumer"))
        .arg("demo")
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .timeout(PATIENCE)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{errors}\n{}",
        String::from_utf8_lossy(&output.stdout)
    );
    // No failure, and no progress bar without a terminal.
    assert_eq!(errors, "");
    output
}

#[test]
fn the_demo_shows_every_tick_and_the_result_of_every_order() {
    let output = demo(&[], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    let mut rest = text.as_str();
    for part in [
        "3500 orders wait in the topic \"orders\"",
        "== The first run",
        "1000 records in ",
        "limit reached · lag 2500",
        "│ orders-3  ┆     0 ┆            249 ┆     250 ┆  350 ┆  100 │",
        "│ consumer_id ┆ partition ┆ offset ┆ claim",
        "│ demo_orders ┆         0 ┆    249 ┆ -",
        "== A run that crashes",
        "The\nclaims are still in the table",
        "┆ run ",
        "== The next run resumes",
        "1000 records in ",
        "== New orders arrive",
        "250 more orders are in the topic",
        "caught up · lag 0",
        "│ demo_orders ┆         0 ┆   1539 ┆ -",
        "== A run without new records",
        "0 records in ",
        "Every order was handled at least once: all 3750 of them.",
        "were handled twice because of the\ncrash",
        "None was skipped.",
        "make up",
        "table create",
        "examples/orders.rs",
        "make test",
    ] {
        let at = rest
            .find(part)
            .unwrap_or_else(|| panic!("{part:?} is missing, or not in this order, in\n{text}"));
        rest = &rest[at + part.len()..];
    }
    assert!(!text.contains('\u{1b}'), "colours without a terminal:\n{text}");
}

#[test]
fn as_json_the_demo_is_one_document_with_every_tick_and_the_figures_of_the_check() {
    let output = demo(&["--output", "json"], &[]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    check_document(&document);
}

#[test]
fn settings_for_real_services_do_not_reach_the_demo() {
    let output = demo(&["--output", "json"], &HOSTILE);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    check_document(&document);
    let text = String::from_utf8(demo(&[], &HOSTILE).stdout).unwrap();
    assert!(text.contains("all 3750 of them"), "{text}");
    assert!(!text.contains("production") && !text.contains("planted-key"), "{text}");
}

fn check_document(document: &Value) {
    let ticks = document["ticks"].as_array().unwrap();
    let processed: Vec<Option<u64>> = ticks
        .iter()
        .map(|tick| tick["report"]["messages_processed"].as_u64())
        .collect();
    assert_eq!(processed[..4], [Some(1000), None, Some(1000), Some(1000)], "{document}");
    assert_eq!(processed.last(), Some(&Some(0)), "{document}");
    let crashed: Vec<usize> = (0..ticks.len()).filter(|&i| ticks[i]["crashed"] == true).collect();
    assert_eq!(crashed, [1], "{document}");

    let dead = ticks[1]["items"].as_array().unwrap();
    assert_eq!(dead.len(), 4);
    let mut stored: u64 = processed.into_iter().flatten().sum();
    for (item, before) in dead.iter().zip(ticks[0]["items"].as_array().unwrap()) {
        // A part of its work was stored, and its claim remains.
        let (from, to) = (before["offset"].as_i64().unwrap(), item["offset"].as_i64().unwrap());
        assert!(to > from, "{item}");
        stored += to.abs_diff(from);
        assert!(item["claim_until"].is_i64() && item["run"].is_string(), "{item}");
        assert!(before.get("claim_until").is_none(), "{before}");
    }
    assert_eq!(stored, 3750, "each order is stored once: {document}");
    for (partition, item) in ticks[2]["report"]["partitions"].as_array().unwrap().iter().zip(dead) {
        assert_eq!(
            partition["first_offset"].as_i64().unwrap(),
            item["offset"].as_i64().unwrap() + 1
        );
    }

    let check = &document["check"];
    assert_eq!(
        (&check["orders"], &check["handled"]),
        (&3750.into(), &3750.into()),
        "{check}"
    );
    assert_eq!(
        (&check["skipped"], &check["handled_more_often"]),
        (&0.into(), &0.into()),
        "{check}"
    );
    assert!(check["handled_twice"].as_u64().unwrap() > 0, "{check}");
    assert_eq!(check["handled_twice"], check["unstored_at_the_crash"], "{check}");
    assert_eq!(check["passed"], true, "{check}");
}
