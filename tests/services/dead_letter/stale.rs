//! The producer's connections are lost while the process is frozen between two runs.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{PLENTY, all, topic_target};
use crate::bootstrap;
use crate::support::dead_letters::{give, letter};
use crate::support::kafka::{Message, create_topic, unique, watermarks};
use crate::support::listeners::{Listener, secured};
use crate::support::proxy::Proxy;
use crate::support::runtime_api::Function;
use crate::support::world::World;

/// A way to lose connections.
type Loss = fn(&Proxy);

const LOSSES: [(&str, Loss); 3] = [
    ("silent", Proxy::silence),
    ("reset", Proxy::reset_on_send),
    ("closed", Proxy::cut),
];

/// Stops the process for two seconds, as Lambda does between two invocations.
fn frozen(function: &Function, meanwhile: impl FnOnce()) {
    let signal = |name: &str| {
        let pid = function.pid().to_string();
        let status = std::process::Command::new("kill").args([name, &pid]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {name}");
    };
    signal("-STOP");
    meanwhile();
    std::thread::sleep(Duration::from_secs(2));
    signal("-CONT");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_costs_half_a_second_and_an_open_one_nothing() {
    let bootstrap = secured().address(Listener::Plaintext);
    let topic = unique("dead");
    create_topic(&bootstrap, &topic, 1, &[]);
    let proxy = secured().proxy().await;
    let target = topic_target(&secured().address(Listener::Proxied), &topic);
    let write = async |limit: Duration| {
        let started = Instant::now();
        assert_eq!(give(&target, &[letter(1, None, None)], limit).await, all(1));
        let took = started.elapsed();
        // Longer than an acknowledgement counts as fresh.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        took
    };
    write(PLENTY).await;
    let connections = proxy.accepted();
    write(PLENTY).await;
    assert_eq!(proxy.accepted(), connections, "an open connection is kept");
    for (loss, lose) in LOSSES {
        lose(&proxy);
        let took = write(Duration::from_millis(1800)).await;
        assert!(took < Duration::from_millis(1500), "{loss}: {took:?}");
    }
    assert_eq!(watermarks(&bootstrap, &topic, 0), (0, 5), "each letter is there once");
}

/// P13, for the producer of dead letters: nothing is blocked, and all is written in this run.
#[tokio::test]
async fn dead_letters_after_lost_connections_cost_a_reconnect() {
    let mut world = World::secured("stale-letters", 4).await;
    let dead = unique("dead");
    create_topic(&world.bootstrap, &dead, 1, &[]);
    let proxy = secured().proxy().await;
    world
        .connect(Listener::Proxied)
        .set("ON_FAILURE", format!("kafka://{dead}"));
    let undecodable = |partitions: std::ops::Range<i32>| {
        partitions.for_each(|partition| world.produce_these(partition, &[Message::value("nothing")]));
    };
    undecodable(0..1);
    let mut function = bootstrap::start(&world);
    assert_eq!(function.invoke(&json!({})).success()["dead_lettered"], 1);
    for (loss, lose) in LOSSES {
        undecodable(0..4);
        frozen(&function, || lose(&proxy));
        let invocation = function.invoke(&json!({}));
        assert_eq!(invocation.success()["dead_lettered"], 4, "{loss}");
        // The consumer reconnects too.
        let limit = Duration::from_millis(2500);
        assert!(invocation.duration < limit, "{loss}: {:?}", invocation.duration);

        undecodable(0..4);
        let connections = proxy.accepted();
        frozen(&function, || {});
        let next = function.invoke(&json!({}));
        assert_eq!(next.success()["dead_lettered"], 4, "{loss}");
        assert_eq!(proxy.accepted(), connections, "{loss}: it connected again");
    }
    assert_eq!(
        watermarks(&world.bootstrap, &dead, 0),
        (0, 25),
        "each letter is there once"
    );
}
