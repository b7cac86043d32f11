//! A Kafka trigger on a developer's machine: `run --every`, and a function in a local runtime.

use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::function_api::{self, FunctionApi, Reply};
use crate::support::kafka::values;
use crate::support::process;
use crate::support::world::{Ran, World};

/// Seconds, not minutes: a run starts each second, and this machine may be busy.
const SOON: Duration = Duration::from_secs(8);

async fn world(functions: &FunctionApi) -> World {
    let mut world = World::new("trigger", 1).await;
    world
        .set("DESTINATION", function_api::arn("orders"))
        .set("AWS_ENDPOINT_URL_LAMBDA", functions.url());
    world
}

async fn wait_for(functions: &FunctionApi, offset: i64) {
    let produced = Instant::now();
    while !functions.offsets("orders").concat().contains(&offset) {
        assert!(
            produced.elapsed() < SOON,
            "offset {offset}: {:?}",
            functions.offsets("orders")
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn interrupted(child: Child) -> Ran {
    let started = Instant::now();
    process::signal(child.id(), "INT");
    Ran::new(child.wait_with_output().expect("it ends"), started)
}

#[tokio::test(flavor = "multi_thread")]
async fn records_produced_while_it_runs_reach_the_function_soon_and_ctrl_c_ends_it_with_success() {
    let functions = FunctionApi::start();
    functions.on("orders", |_| Reply::ok("null"));
    let world = world(&functions).await;
    let child = world.start(&["run", "--every", "1s"]);
    for offset in 0..3 {
        world.produce_these(0, &values(["order"]));
        wait_for(&functions, offset).await;
    }
    let ended = interrupted(child);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(functions.offsets("orders").concat(), [0, 1, 2]);
    assert_eq!(world.offset(0).await, Some(2));
    assert!(!world.is_claimed(0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emulator_that_has_functions_by_name_only_is_called_by_name() {
    let functions = FunctionApi::start();
    functions.emulate().on("orders", |call| {
        if call.offsets().contains(&1) {
            Reply::function_error("ValueError", "planted")
        } else {
            Reply::ok("null")
        }
    });
    let mut world = world(&functions).await;
    world.produce(0, 3);
    world.set("ON_FAILURE", "skip").set("MAX_ATTEMPTS", 1);
    let report = tokio::task::block_in_place(|| world.run()).success();
    // An error of the function that the emulator does not mark is no success.
    assert_eq!(report["skipped"][0]["first_offset"], json!(1), "{report}");
    assert_eq!(
        (report["messages_processed"].as_u64(), world.offset(0).await),
        (Some(2), Some(2))
    );
    assert!(functions.calls("orders").iter().all(|call| call.arn == "orders"));
}
