//! Repetitions, old records, runs side by side and killed runs: the newest value of each key is in the table.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{View, upsert};
use crate::support::kafka::Message;
use crate::support::world::Ran;

/// `count` records of `keys` keys, each tenth a tombstone, and what remains of them.
fn records(prefix: &str, keys: usize, count: usize) -> (Vec<Message>, BTreeMap<String, i64>) {
    let mut newest = BTreeMap::new();
    let records = (0..count).map(|n| {
        let id = format!("{prefix}{}", n * 7 % keys);
        if n % 10 == 9 {
            newest.remove(&id);
            return Message::tombstone(id);
        }
        let value = i64::try_from(n).expect("a small number");
        newest.insert(id.clone(), value);
        upsert(&id, value)
    });
    (records.collect(), newest)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_of_all_or_of_old_records_changes_nothing() {
    let (records, newest) = records("k", 20, 300);
    let view = View::with(&records).await;
    view.run().success();
    assert_eq!(view.values().await, newest);
    let before = view.items().await;
    let backfill = |name, to| {
        view.ran(&[
            "backfill", "--output", "json", "--name", name, "--from", "earliest", "--to", to,
        ])
    };
    for (name, to, read) in [("again", "latest", 300), ("old", "0:120", 120)] {
        let report = backfill(name, to).success();
        assert_eq!(report["messages_processed"], read, "{report}");
        assert_eq!(view.items().await, before, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_groups_at_once_leave_the_newest_of_each_key() {
    let (records, newest) = records("k", 50, 2_000);
    let mut view = View::with(&records).await;
    view.world.set("TIME_LIMIT", 120);
    let other = view.world.of_another_group("other");
    let started = Instant::now();
    let all = ["run", "--output", "json", "--max-messages", "unlimited"];
    let runs = [view.world.start(&all), other.start(&all)].map(|run| {
        let output = run.wait_with_output();
        Ran::new(output.expect("it ends"), started)
    });
    for run in runs {
        assert_eq!(run.success()["messages_processed"], 2_000);
    }
    assert_eq!(view.values().await, newest);
}

/// P1: a run that dies repeats what it had not stored.
#[tokio::test(flavor = "multi_thread")]
async fn of_10_000_records_and_a_run_that_was_killed_exactly_the_newest_of_each_key_is_there() {
    let mut view = View::new(2).await;
    let mut newest = BTreeMap::new();
    for partition in 0..2 {
        let (records, of_these) = records(&format!("p{partition}-"), 400, 5_000);
        view.world.produce_these(partition, &records);
        newest.extend(of_these);
    }
    view.world.set("MAX_MESSAGES", "unlimited").set("TIME_LIMIT", 120);
    let mut killed = view.world.start(&["run"]);
    let since = Instant::now();
    while view.raw().await.len() < 300 {
        assert!(since.elapsed() < Duration::from_mins(1), "nothing is written");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    killed.kill().expect("it has not ended");
    killed.wait().expect("it ends");
    assert_ne!(view.values().await, newest, "it was killed in the middle");
    for partition in 0..2 {
        view.world.end_the_claim(partition).await;
    }
    view.run().success();
    assert_eq!(view.values().await, newest);
    let guards = view.raw().await;
    assert!(
        guards.iter().all(|item| item.contains_key("kafka_offset")),
        "{guards:?}"
    );
}
