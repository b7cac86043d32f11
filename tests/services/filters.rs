//! Filter patterns on real brokers, and `plan --explain-filter`.

use serde_json::{Value, json};

use crate::support::kafka::Message;
use crate::support::world::World;

async fn world() -> World {
    let world = World::new("filters", 1).await;
    let order = |price: u32| Message::value(format!("{{\"type\":\"order\",\"price\":{price}}}"));
    let records = [
        order(5).key("eu-1"),
        order(500).key("eu-2"),
        Message::value("no json").key("eu-3").header("priority", "high"),
        order(700).key("us-4").header("priority", "high"),
        order(1),
    ];
    world.produce_these(0, &records);
    world
}

/// By value, by key and by header.
const FILTER: &str = r#"[{"value":{"price":[{"numeric":[">",100]}]},"key":[{"prefix":"eu-"}]},{"key":[{"prefix":"us-"}],"headers":{"priority":["high"]}}]"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_hands_on_the_records_that_fit_and_passes_the_others() {
    let mut world = world().await;
    let ran = world.set("FILTER_PATTERNS", FILTER).set("ON_FAILURE", "skip").run();
    let report = ran.success();
    // Offset 2 is no JSON, so that the first pattern filters by its key alone; it cannot be decoded then.
    assert_eq!(ran.logged_offsets(), [1, 3]);
    assert_eq!(
        (&report["messages_processed"], &report["filtered"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(report["skipped"][0]["first_offset"], 2);
    assert_eq!(world.offset(0).await, Some(4));
    assert!(ran.stderr.contains("\"FilteredOutEventCount\":2"), "{}", ran.stderr);
    assert!(ran.stderr.contains("\"InvokedEventCount\":2"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_lets_one_in_a_thousand_pass_moves_the_cursors_over_all() {
    let mut world = World::new("filters", 2).await;
    let values: Vec<Message> = (0..2_500).map(|n| Message::value(format!("{{\"n\":{n}}}"))).collect();
    for partition in 0..2 {
        world.produce_these(partition, &values);
    }
    world
        .set("FILTER_PATTERNS", r#"[{"value":{"n":[1000,2000]}}]"#)
        .set("MAX_MESSAGES", "3");
    let ran = world.run();
    let report = ran.success();
    // Filtered records do not count for the limit.
    assert_eq!(report["messages_processed"], 3, "{report}");
    let ran = world.run();
    let report = ran.success();
    assert_eq!(report["messages_processed"], 1, "{report}");
    assert_eq!(
        (report["lag"].as_i64(), world.offset(0).await, world.offset(1).await),
        (Some(0), Some(2_499), Some(2_499))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_explains_which_patterns_the_next_records_fit_and_writes_nothing() {
    let mut world = world().await;
    world.set("FILTER_PATTERNS", FILTER);
    let ran = world.ran(&["plan", "--explain-filter", "--output", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let plan = ran.json();
    let row = |offset: i64, matches: Value| json!({"topic": world.topic, "partition": 0, "offset": offset, "matches": matches});
    let expected = [
        row(0, json!([])),
        row(1, json!([1])),
        row(2, json!([1])),
        row(3, json!([2])),
        row(4, json!([])),
    ];
    assert_eq!(plan["filter"], json!(expected));
    assert_eq!(plan["partitions"][0]["messages"], 5);
    assert_eq!(world.offset(0).await, None);
    let table = world.ran(&["plan", "--explain-filter"]).stdout;
    assert!(
        table.contains("matches pattern") && table.contains("none: filtered out"),
        "{table}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_pattern_and_a_missing_filter_are_wrong_settings_that_say_what_to_do() {
    let mut world = World::new("filters", 1).await;
    let ran = world.ran(&["plan", "--explain-filter"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("Set FILTER_PATTERNS"), "{}", ran.stderr);
    let ran = world.set("FILTER_PATTERNS", r#"[{"valu":{"a":[1]}}]"#).run();
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(
        ran.stderr.contains("FILTER_PATTERNS") && ran.stderr.contains("at valu.a"),
        "{}",
        ran.stderr
    );
}
