//! A process is frozen between two invocations, and its connections die meanwhile.

use std::time::Duration;

use serde_json::json;

use crate::bootstrap;
use crate::support::listeners::{Listener, Proxied, secured};
use crate::support::runtime_api::{Function, Invocation};
use crate::support::world::World;

/// A warm function, connected through the proxy.
async fn warm() -> (World, Function, Proxied<'static>) {
    let mut world = World::secured("stale", 4).await;
    let proxy = secured().proxy().await;
    world.connect(Listener::Proxied);
    world.produce(0, 3);
    let mut function = bootstrap::start(&world);
    assert_eq!(function.invoke(&json!({})).success()["messages_processed"], 3);
    assert_eq!(function.invoke(&json!({})).success()["messages_processed"], 0);
    (world, function, proxy)
}

/// The next run does its work in this time, and so does the one after it.
fn goes_on(world: &World, function: &mut Function, limit: Duration) -> Invocation {
    world.produce(1, 2);
    let invocation = function.invoke(&json!({}));
    let report = invocation.success();
    assert_eq!(
        (&report["messages_processed"], &report["unavailable"]),
        (&2.into(), &json!([]))
    );
    assert!(invocation.duration < limit, "it took {:?}", invocation.duration);
    let next = function.invoke(&json!({}));
    assert_eq!(next.success()["messages_processed"], 0);
    assert!(
        next.duration < Duration::from_millis(300),
        "the next took {:?}",
        next.duration
    );
    invocation
}

/// P13: also where nobody told it.
#[tokio::test]
async fn a_run_after_its_connections_died_in_silence_costs_a_reconnect() {
    let (world, mut function, proxy) = warm().await;
    proxy.black_hole();
    goes_on(&world, &mut function, Duration::from_millis(1500));
}

#[tokio::test]
async fn a_run_after_the_broker_closed_its_connections_costs_a_reconnect() {
    let (world, mut function, proxy) = warm().await;
    proxy.cut();
    goes_on(&world, &mut function, Duration::from_millis(1500));
}

#[tokio::test]
async fn a_run_of_a_process_that_was_stopped_while_its_connections_died_costs_a_reconnect() {
    let (world, mut function, proxy) = warm().await;
    let signal = |name: &str| {
        let pid = function.pid().to_string();
        let status = std::process::Command::new("kill").args([name, &pid]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {name}");
    };
    signal("-STOP");
    proxy.black_hole();
    std::thread::sleep(Duration::from_secs(2));
    signal("-CONT");
    goes_on(&world, &mut function, Duration::from_millis(1500));
}

#[tokio::test]
async fn a_slow_network_is_no_dead_connection() {
    let (world, mut function, proxy) = warm().await;
    let connections = proxy.accepted();
    proxy.delay(Duration::from_millis(50));
    world.produce(2, 2);
    let report = function.invoke(&json!({}));
    assert_eq!(report.success()["messages_processed"], 2);
    assert_eq!(proxy.accepted(), connections, "it connected again");
}
