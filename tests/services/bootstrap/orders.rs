//! `examples/orders.rs`, as a Lambda function on real services.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::TIMEOUT;
use crate::support::kafka::{Message, values};
use crate::support::runtime_api::{Function, Invocation};
use crate::support::world::World;

/// Builds the example's program: `cargo test --test services` does not, and an existing one may be stale.
fn orders() -> &'static PathBuf {
    static ORDERS: OnceLock<PathBuf> = OnceLock::new();
    ORDERS.get_or_init(|| {
        // target/debug/deps/services-0123 -> target/debug
        let tests = std::env::current_exe().expect("a test binary has a path");
        let folder = tests.ancestors().nth(2).expect("a test binary is in target/debug/deps");
        let profile = folder
            .file_name()
            .filter(|name| *name != "debug")
            .unwrap_or("dev".as_ref());
        let target = folder.parent().expect("target/debug is in target");
        // The features and the folder of this test binary, so that only the example is compiled.
        let features = if cfg!(feature = "embedded") {
            "integration,embedded"
        } else {
            "integration"
        };
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo.args(["build", "--offline", "--example", "orders", "--features", features]);
        cargo.arg("--profile").arg(profile).arg("--target-dir").arg(target);
        let output = cargo.output().expect("cargo starts");
        assert!(
            output.status.success(),
            "{cargo:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let program = folder.join("examples/orders");
        assert!(program.exists(), "{cargo:?} did not create {}", program.display());
        program
    })
}

fn start(world: &World) -> Function {
    Function::start(orders(), world.environment(), TIMEOUT).expect("it starts")
}

/// The log lines with this message.
fn lines_with(invocation: &Invocation, message: &str) -> Vec<Value> {
    let lines = invocation
        .stdout
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["message"] == message).collect()
}

#[tokio::test]
async fn good_orders_are_handled_in_order_each_with_its_id() {
    let world = World::new("orders", 1).await;
    world.produce_these(
        0,
        &values([r#"{"id":7,"quantity":2}"#, r#"{"id":8,"quantity":1,"more":true}"#]),
    );
    let invocation = start(&world).invoke(&json!({}));
    assert_eq!(invocation.success()["messages_processed"], 2);
    let stored = lines_with(&invocation, "order stored");
    let stored: Vec<_> = stored
        .iter()
        .map(|line| (line["id"].as_str(), line["order.id"].as_u64()))
        .collect();
    let id = |offset| format!("{}-0-{offset}", world.topic);
    assert_eq!(stored, [(Some(&*id(0)), Some(7)), (Some(&*id(1)), Some(8))]);
}

#[tokio::test]
async fn a_tombstone_reaches_the_handler_as_none() {
    let world = World::new("orders", 1).await;
    world.produce_these(0, &[Message::tombstone("7")]);
    let invocation = start(&world).invoke(&json!({}));
    assert_eq!(invocation.success()["last_offsets"], json!({"0": 0}));
    assert_eq!(lines_with(&invocation, "order deleted").len(), 1);
}

#[tokio::test]
async fn a_malformed_order_blocks_its_partition_and_names_the_offset() {
    let world = World::new("orders", 2).await;
    world.produce_these(
        0,
        &values([
            r#"{"id":1,"quantity":1}"#,
            r#"{"id":"planted"}"#,
            r#"{"id":2,"quantity":1}"#,
        ]),
    );
    world.produce_these(1, &values([r#"{"id":3,"quantity":1}"#]));
    let mut function = start(&world);
    let invocation = function.invoke(&json!({}));
    let message = invocation.failure("PartitionBlocked");
    assert!(
        message.starts_with(&format!("{}-0 is blocked at offset 1: ", world.topic)),
        "{message}"
    );
    assert!(!format!("{invocation:?}").contains("planted"), "{invocation:?}");
    assert_eq!(lines_with(&invocation, "order stored").len(), 2);
    assert_eq!((world.offset(0).await, world.offset(1).await), (Some(0), Some(0)));
}

#[tokio::test]
async fn an_order_that_the_handler_returns_as_poison_is_skipped_with_on_failure_skip() {
    let mut world = World::new("orders", 1).await;
    world.set("ON_FAILURE", "skip");
    world.produce_these(0, &values([r#"{"id":1,"quantity":0}"#, r#"{"id":2,"quantity":1}"#]));
    let invocation = start(&world).invoke(&json!({}));
    let report = invocation.success();
    assert_eq!(report["messages_processed"], 1);
    assert_eq!(report["skipped"][0]["first_offset"], 0);
    assert_eq!(report["skipped"][0]["reason"], "the order is for nothing");
}
