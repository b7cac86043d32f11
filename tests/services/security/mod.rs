//! How a run connects to Kafka, and what it says when it cannot: each cause is a sentence of its
//! own, with the next step, in time.

mod connects;
mod refused;
mod unreachable;

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::thread;

use crate::support::listeners::{Listener, secured};
use crate::support::world::World;

/// Of these runs, in seconds.
const POLL_TIMEOUT: u64 = 3;
/// Until when the cause must be told.
const IN_TIME_MS: u64 = (POLL_TIMEOUT + 2) * 1000;

/// What is in no output, at any level.
const SECRETS: [&str; 3] = ["-secret", "PRIVATE KEY", "planted"];

/// Runs that fail, side by side: each has its settings, and words that its message must hold.
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

    /// A run with the settings that `set` makes.
    fn add(&mut self, words: &[&str], set: impl FnOnce(&mut World)) -> &mut Self {
        let mut world = self.world.clone();
        set(&mut world);
        self.rows
            .push((world, words.iter().map(|it| (*it).to_owned()).collect()));
        self
    }

    /// All of them fail so: in time, each with a message of its own, without a secret in any
    /// output, and none takes what it could not look at for "nothing new".
    fn fail_with(&self, error_type: &str) {
        let messages: BTreeSet<String> = thread::scope(|scope| {
            let run = |(world, words)| scope.spawn(move || fails(world, error_type, words));
            let runs: Vec<_> = self.rows.iter().map(|(world, words)| run((world, words))).collect();
            let join = |run: thread::ScopedJoinHandle<'_, _>| run.join().unwrap_or_else(|it| resume_unwind(it));
            runs.into_iter().map(join).collect()
        });
        assert_eq!(messages.len(), self.rows.len(), "{messages:#?}");
    }
}

/// A run fails; returns its message.
fn fails(world: &World, error_type: &str, words: &[String]) -> String {
    let ran = world.run();
    let report = ran.failure(error_type, 1);
    let message = report["error"]["message"].as_str().expect("a message");
    for words in words {
        assert!(message.contains(words), "{words:?} is not said: {message}");
    }
    assert!(
        report["duration_ms"].as_u64().is_some_and(|it| it < IN_TIME_MS),
        "{report}"
    );
    assert_eq!(report["messages_processed"], 0);
    assert!(report["lag"].is_null(), "not looked at is not idle: {report}");
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
