//! A process is frozen between two invocations, and its connections are lost meanwhile.

use std::time::Duration;

use serde_json::json;

use crate::bootstrap;
use crate::support::listeners::{Listener, Proxied, secured};
use crate::support::proxy::Proxy;
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

/// Asserts that the next run and the one after it succeed within this time.
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

/// P13: also if they were lost without notice.
#[tokio::test]
async fn a_run_after_connections_were_lost_without_notice_costs_a_reconnect() {
    let (world, mut function, proxy) = warm().await;
    proxy.silence();
    goes_on(&world, &mut function, Duration::from_millis(1500));
}

#[tokio::test]
async fn a_run_after_the_broker_closed_its_connections_costs_a_reconnect() {
    let (world, mut function, proxy) = warm().await;
    proxy.cut();
    goes_on(&world, &mut function, Duration::from_millis(1500));
}

#[tokio::test]
async fn a_run_of_a_process_that_was_frozen_while_its_connections_were_lost_costs_a_reconnect() {
    let (world, mut function, proxy) = warm().await;
    function.freeze();
    proxy.silence();
    std::thread::sleep(Duration::from_secs(2));
    function.thaw();
    goes_on(&world, &mut function, Duration::from_millis(1500));
}

#[tokio::test]
async fn a_slow_network_is_no_lost_connection() {
    let (world, mut function, proxy) = warm().await;
    let connections = proxy.accepted();
    proxy.delay(Duration::from_millis(50));
    world.produce(2, 2);
    let report = function.invoke(&json!({}));
    assert_eq!(report.success()["messages_processed"], 2);
    assert_eq!(proxy.accepted(), connections, "it connected again");
}

/// A way to lose connections while the process is frozen.
type Loss = fn(&Proxy);

/// A warm function with this number of connections to the table, after a freeze in which they were lost.
async fn frozen_with_table_connections(kept: i32, loss: Loss) -> (World, Function, Proxy) {
    let mut world = World::new("staletable", kept).await;
    let port = world.endpoint.rsplit(':').next().and_then(|port| port.parse().ok());
    let proxy = Proxy::start(port.expect("an endpoint with a port"));
    world.set("AWS_ENDPOINT_URL_DYNAMODB", format!("http://127.0.0.1:{}", proxy.port));
    for partition in 0..kept {
        world.produce(partition, 1);
    }
    let mut function = bootstrap::start(&world);
    // The table is slow, so that all its writes are in flight at once.
    proxy.delay(Duration::from_millis(20));
    assert_eq!(function.invoke(&json!({})).success()["messages_processed"], kept);
    proxy.delay(Duration::ZERO);
    let open = i32::try_from(proxy.open()).expect("some connections");
    assert!(open >= kept, "{open} connections are kept");
    function.freeze();
    loss(&proxy);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    function.thaw();
    (world, function, proxy)
}

/// P13: also for any number of kept connections to the table.
async fn a_lost_table_connection_costs_a_reconnect(kept: i32, loss: Loss) {
    let (world, mut function, proxy) = frozen_with_table_connections(kept, loss).await;
    let before = proxy.accepted();
    for partition in 0..kept {
        world.produce(partition, 1);
    }
    let invocation = function.invoke(&json!({}));
    assert_eq!(invocation.success()["messages_processed"], kept);
    let limit = Duration::from_millis(1500);
    assert!(
        invocation.duration < limit,
        "{kept} kept: it took {:?}",
        invocation.duration
    );
    let connected = proxy.accepted() - before;
    assert!(
        connected <= usize::try_from(kept).expect("some") + 1,
        "{connected} new connections"
    );
    let next = function.invoke(&json!({}));
    assert_eq!(next.success()["messages_processed"], 0);
    assert!(next.duration < Duration::from_millis(300), "{:?}", next.duration);
}

#[tokio::test]
async fn any_number_of_table_connections_lost_without_notice_costs_one_reconnect() {
    for kept in [1, 4, 16] {
        a_lost_table_connection_costs_a_reconnect(kept, Proxy::silence).await;
    }
}

#[tokio::test]
async fn any_number_of_table_connections_that_are_reset_on_use_costs_one_reconnect() {
    for kept in [1, 4, 16] {
        a_lost_table_connection_costs_a_reconnect(kept, Proxy::reset_on_send).await;
    }
}

#[tokio::test]
async fn any_number_of_table_connections_closed_meanwhile_costs_one_reconnect() {
    for kept in [1, 4, 16] {
        a_lost_table_connection_costs_a_reconnect(kept, Proxy::cut).await;
    }
}

#[tokio::test]
async fn a_slow_table_is_no_lost_connection() {
    let (world, mut function, proxy) = frozen_with_table_connections(4, |_| {}).await;
    let connections = proxy.accepted();
    proxy.delay(Duration::from_millis(50));
    for partition in 0..4 {
        world.produce(partition, 1);
    }
    assert_eq!(function.invoke(&json!({})).success()["messages_processed"], 4);
    assert_eq!(proxy.accepted(), connections, "it connected again");
}
