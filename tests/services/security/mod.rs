//! How a run connects to Kafka, and its errors: each cause has a message with the next step, in time.

mod connects;
mod refused;
mod unreachable;

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::thread;

use crate::support::listeners::{Listener, secured};
use crate::support::world::World;

/// `POLL_TIMEOUT` of these runs, in seconds.
const POLL_TIMEOUT: u64 = 3;
/// The time within which the error must be reported.
const IN_TIME_MS: u64 = (POLL_TIMEOUT + 2) * 1000;

/// Part of every secret, which no output at any level may contain.
const SECRETS: [&str; 3] = ["-secret", "PRIVATE KEY", "planted"];

/// Runs that fail, in parallel: each with its settings, and parts that its message must contain.
struct Refusals {
    world: World,
    rows: Vec<(World, Vec<String>)>,
}

impl Refusals {
    async fn new(name: &str) -> Self {
        let mut world = World::secured(name, 1).await;
        world.produce(0, 1);
        world.set("POLL_TIMEOUT", POLL_TIMEOUT).set("RUST_LOG", "trace");
        Self { world, rows: vec![] }
    }

    /// Adds a run with the settings of `set`.
    fn add(&mut self, parts: &[&str], set: impl FnOnce(&mut World)) -> &mut Self {
        let mut world = self.world.clone();
        set(&mut world);
        self.rows
            .push((world, parts.iter().map(|it| (*it).to_owned()).collect()));
        self
    }

    /// Asserts that all of them fail with this type, in time, with the parts in their messages, without
    /// a secret in any output, and with an unknown lag.
    fn fail_with(&self, error_type: &str) {
        let messages: BTreeSet<String> = thread::scope(|scope| {
            let run = |(world, parts)| scope.spawn(move || fails(world, error_type, parts));
            let runs: Vec<_> = self.rows.iter().map(|(world, parts)| run((world, parts))).collect();
            let join = |run: thread::ScopedJoinHandle<'_, _>| run.join().unwrap_or_else(|it| resume_unwind(it));
            runs.into_iter().map(join).collect()
        });
        assert_eq!(messages.len(), self.rows.len(), "{messages:#?}");
    }
}

/// Asserts that a run fails, and returns its message.
fn fails(world: &World, error_type: &str, parts: &[String]) -> String {
    let ran = world.run();
    let report = ran.failure(error_type, 1);
    let message = report["error"]["message"].as_str().expect("a message");
    for part in parts {
        assert!(message.contains(part), "{part:?} is missing in: {message}");
    }
    assert!(
        report["duration_ms"].as_u64().is_some_and(|it| it < IN_TIME_MS),
        "{report}"
    );
    assert_eq!(report["messages_processed"], 0);
    assert!(report["lag"].is_null(), "unknown, not idle: {report}");
    for secret in SECRETS {
        assert!(
            !ran.stdout.contains(secret) && !ran.stderr.contains(secret),
            "{secret}: {ran:?}"
        );
    }
    message.to_owned()
}

fn at(listener: Listener) -> String {
    secured().address(listener)
}

fn wrong(name: &'static str) -> (&'static str, &'static str) {
    (name, "wrong-secret")
}

/// A port of this machine, by the name for which it has a certificate.
fn localhost(port: u16) -> String {
    format!("localhost:{port}")
}
