//! The functions of `DESTINATION`.

use serde_json::{Value, json};

use super::{Checks, fails, reports, skipped};
use crate::support::function_api::{Configuration, FunctionApi, Reply, arn};
use crate::support::world::World;

/// A world whose records go to the function `orders` by its alias `live`.
async fn world() -> (World, FunctionApi, String) {
    let mut world = World::new("function", 1).await;
    let api = FunctionApi::start();
    let live = format!("{}:live", arn("orders"));
    api.on("orders", |_| Reply::ok("null"));
    world
        .set("AWS_ENDPOINT_URL_LAMBDA", api.url())
        .set("DESTINATION", &live)
        .set("POLL_TIMEOUT", "3");
    (world, api, live)
}

fn both<'a>(checks: &'a Checks, arn: &str) -> [&'a Value; 2] {
    [checks.on("function", arn), checks.on("function_rights", arn)]
}

#[tokio::test]
async fn a_function_that_is_active_and_may_be_invoked_is_fine_and_is_not_run() {
    let (world, api, live) = world().await;
    world.produce(0, 2);
    let (checks, _) = world.doctor(0);
    assert_eq!(checks.wrong(), []);
    let [function, rights] = both(&checks, &live);
    reports(function, "its timeout of 30 s is below the 60 s of a run", "");
    reports(rights, "this role may invoke it; it was not run", "");
    assert_eq!((api.dry_runs("orders"), api.calls("orders").len()), (1, 0));
}

#[tokio::test]
async fn a_function_that_does_not_exist_is_a_failure() {
    let (mut world, _api, _) = world().await;
    world.set("DESTINATION", arn("gone"));
    let (checks, ran) = world.doctor(1);
    let [function, rights] = both(&checks, &arn("gone"));
    fails(
        function,
        "DestinationFailed",
        "it does not exist",
        "correct DESTINATION",
    );
    skipped(rights, "it does not exist");
    let last = ran.stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with(&format!("DestinationFailed: {}: it does not exist", arn("gone"))),
        "{ran:?}"
    );
}

#[tokio::test]
async fn a_missing_permission_to_invoke_is_a_failure_that_names_it_with_the_alias() {
    let (world, api, live) = world().await;
    api.forbid("orders", "lambda:InvokeFunction");
    let (checks, _) = world.doctor(1);
    let [function, rights] = both(&checks, &live);
    assert_eq!(function["status"], "ok", "{function}");
    fails(
        rights,
        "DestinationFailed",
        "this role may not lambda:InvokeFunction",
        &format!("Allow lambda:InvokeFunction on exactly {live} to this role"),
    );
}

#[tokio::test]
async fn a_missing_permission_to_read_the_configuration_is_a_warning() {
    let (world, api, live) = world().await;
    api.forbid("orders", "lambda:GetFunctionConfiguration");
    let (checks, _) = world.doctor(0);
    assert_eq!(checks.wrong(), [("function", "warning")]);
    let [function, rights] = both(&checks, &live);
    reports(
        function,
        "no permission lambda:GetFunctionConfiguration",
        "for this check",
    );
    assert_eq!(rights["status"], "ok", "{rights}");
}

#[tokio::test]
async fn a_function_that_can_outlive_the_run_is_a_warning_with_both_times() {
    let (mut world, api, live) = world().await;
    let slow = Configuration {
        timeout: 900,
        ..Configuration::default()
    };
    api.configure("orders", slow);
    world.set("TIME_LIMIT", "55");
    let (checks, _) = world.doctor(0);
    assert_eq!(checks.wrong(), [("function", "warning")]);
    reports(
        checks.on("function", &live),
        "its timeout of 900 s is not below the 55 s of a run",
        "Reduce its timeout",
    );
}

#[tokio::test]
async fn a_function_in_a_state_that_refuses_invocations_is_a_failure() {
    let (world, api, live) = world().await;
    let broken = Configuration {
        state: "Failed",
        ..Configuration::default()
    };
    api.configure("orders", broken);
    let (checks, _) = world.doctor(1);
    fails(
        checks.on("function", &live),
        "DestinationFailed",
        "its state is Failed",
        "deploy the function again",
    );
}

#[tokio::test]
async fn without_a_response_of_lambda_the_network_is_the_next_step() {
    let (mut world, _api, live) = world().await;
    world.set("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:1");
    let (checks, _) = world.doctor(1);
    for check in both(&checks, &live) {
        fails(
            check,
            "DestinationFailed",
            "Lambda did not respond",
            "Lambda interface endpoint",
        );
    }
}

#[tokio::test]
async fn each_function_of_the_routes_is_checked_once() {
    let (mut world, api, live) = world().await;
    api.on("refunds", |_| Reply::ok("null"));
    let routes = json!({
        world.topic.clone(): {"to": live, "batch_size": 10},
        "refunds-*": arn("refunds"),
        "other": live,
        "*": "discard",
    });
    world.set("DESTINATION", routes.to_string());
    let (checks, _) = world.doctor(0);
    // Of the routes without a topic. Their functions are checked all the same.
    assert_eq!(checks.wrong(), [("settings", "warning")]);
    for function in [live, arn("refunds")] {
        let [function, rights] = both(&checks, &function);
        assert_eq!((&function["status"], &rights["status"]), (&json!("ok"), &json!("ok")));
    }
    assert_eq!((api.dry_runs("orders"), api.dry_runs("refunds")), (1, 1));
}
