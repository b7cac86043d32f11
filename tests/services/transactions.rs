//! Records that an open transaction holds back.

use serde_json::json;

use crate::support::kafka::{self, Transaction, values};
use crate::support::world::World;

/// Three records, an open transaction of one record at offset 3, and fifty plain records after it.
async fn held_back() -> (World, Transaction) {
    let world = World::new("open", 1).await;
    world.produce(0, 3);
    let transaction = kafka::begin_transaction(&world.bootstrap, &world.topic, 0, &values(["3"]));
    assert_eq!(transaction.offsets, [3]);
    world.produce(0, 50);
    (world, transaction)
}

const WAITING: &str = "51 records wait for a transaction that began at offset 3";

#[tokio::test(flavor = "multi_thread")]
async fn records_behind_an_open_transaction_are_shown_by_lag_plan_and_doctor() {
    let (world, transaction) = held_back().await;
    let report = world.run().success();
    assert_eq!((&report["messages_processed"], &report["lag"]), (&json!(3), &json!(0)));
    let lag = world.ran(&["lag", "--output", "json"]).json();
    let row = &lag["partitions"][0];
    assert_eq!(
        [
            &row["end_offset"],
            &row["high_watermark"],
            &row["lag"],
            &row["state"],
            &row["detail"]
        ],
        [&json!(3), &json!(54), &json!(0), &json!("ok"), &json!(WAITING)]
    );
    let plan = world.ran(&["plan", "--output", "json"]).json();
    assert_eq!(
        (&plan["partitions"][0]["why"], &plan["partitions"][0]["detail"]),
        (&json!("up to date"), &json!(WAITING))
    );
    let doctor = world.ran(&["doctor"]);
    assert!(doctor.stdout.contains(WAITING), "{}", doctor.stdout);

    transaction.commit();
    let lag = world.ran(&["lag", "--output", "json"]).json();
    let row = &lag["partitions"][0];
    // The commit itself is an entry of the log.
    assert_eq!(
        [&row["end_offset"], &row["high_watermark"], &row["lag"], &row["detail"]],
        [&json!(55), &json!(55), &json!(52), &json!(null)]
    );
}

/// P2: a cursor moves back only by an operator, or if the log was truncated.
#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_between_the_last_stable_offset_and_the_end_is_no_truncation() {
    let (mut world, transaction) = held_back().await;
    world.set("KAFKA_ISOLATION_LEVEL", "read_uncommitted");
    assert_eq!(world.run().success()["last_offsets"], json!({"0": 53}));
    // A truncation would move the cursor back.
    world
        .set("KAFKA_ISOLATION_LEVEL", "read_committed")
        .set("ON_TRUNCATION", "earliest");
    let report = world.run().success();
    assert_eq!(
        (&report["messages_processed"], &report["lost"], world.offset(0).await),
        (&json!(0), &json!([]), Some(53))
    );
    let lag = world.ran(&["lag", "--output", "json"]).json();
    let row = &lag["partitions"][0];
    assert_eq!((&row["state"], &row["detail"]), (&json!("ok"), &json!(WAITING)));
    transaction.commit();
    world.produce(0, 1);
    let ran = world.run();
    ran.success();
    assert_eq!(ran.logged_offsets(), [55]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_past_the_end_behind_an_open_transaction_is_a_truncation() {
    let (world, _transaction) = held_back().await;
    world.put_offset(0, 54).await;
    let report = world.run().failure("Truncated", 3);
    assert_eq!(world.offset(0).await, Some(54), "{report}");
}
