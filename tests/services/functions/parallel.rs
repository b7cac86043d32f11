//! Several calls of a partition in flight at once, with the records of each key in one at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Destination, fails_on};
use crate::support::function_api::{Call, Reply};
use crate::support::kafka::Message;

/// A record's partition and its key, as base64.
type Key = (i64, String);

/// The calls that are in flight, by their keys.
#[derive(Clone, Default)]
struct InFlight(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    calls: Vec<BTreeSet<Key>>,
    most: usize,
    shared: Vec<Key>,
}

/// What the function got in all calls.
#[derive(Default)]
struct Sent {
    /// The offsets of each key in their order.
    of_keys: BTreeMap<Key, Vec<i64>>,
    /// How often each record was sent, by its partition and offset.
    times: BTreeMap<(i64, i64), usize>,
}

impl InFlight {
    /// A function that takes 20 ms, and then replies by `rule`.
    fn during<R>(&self, rule: R) -> impl Fn(&Call) -> Reply + Send + Sync + use<R>
    where
        R: Fn(&Call) -> Reply + Send + Sync,
    {
        let state = self.0.clone();
        move |call| {
            let keys: BTreeSet<Key> = call.records().into_iter().filter_map(key).collect();
            {
                let mut state = state.lock().expect("no panic with the lock held");
                let shared: Vec<Key> = state.calls.iter().flat_map(|others| others & &keys).collect();
                state.shared.extend(shared);
                state.calls.push(keys.clone());
                state.most = state.most.max(state.calls.len());
            }
            thread::sleep(Duration::from_millis(20));
            let reply = rule(call);
            let mut state = state.lock().expect("no panic with the lock held");
            let at = state
                .calls
                .iter()
                .position(|others| *others == keys)
                .expect("it was added");
            state.calls.swap_remove(at);
            reply
        }
    }

    /// The most calls that were in flight at once.
    fn most(&self) -> usize {
        let state = self.0.lock().expect("no panic with the lock held");
        assert_eq!(state.shared, [], "two calls with one key at once");
        state.most
    }
}

fn key(record: &Value) -> Option<Key> {
    Some((record["partition"].as_i64()?, record["key"].as_str()?.to_owned()))
}

/// One record for each character, which is its key; `-` has none.
fn keyed(keys: &str) -> Vec<Message> {
    let message = |key: char| {
        let message = Message::value("v");
        if key == '-' {
            message
        } else {
            message.key(key.to_string())
        }
    };
    keys.chars().map(message).collect()
}

impl Destination {
    async fn parallel(partitions: i32, keys: &str, batch_size: usize) -> (Self, InFlight) {
        let mut to = Self::new(partitions).await;
        for partition in 0..partitions {
            to.world.produce_these(partition, &keyed(keys));
        }
        to.world.set("PARALLELIZATION_FACTOR", 4).set("BATCH_SIZE", batch_size);
        (to, InFlight::default())
    }

    fn sent(&self) -> Sent {
        let Sent { mut of_keys, mut times } = Sent::default();
        for call in self.functions.calls("orders") {
            for record in call.records() {
                let (partition, offset) = (number(record, "partition"), number(record, "offset"));
                *times.entry((partition, offset)).or_default() += 1;
                if let Some(key) = key(record) {
                    of_keys.entry(key).or_default().push(offset);
                }
            }
        }
        Sent { of_keys, times }
    }

    /// Checks that no key's record was sent before an earlier one; repetitions do not matter.
    fn assert_in_order(&self) {
        for (key, mut offsets) in self.sent().of_keys {
            let mut seen = BTreeSet::new();
            offsets.retain(|offset| seen.insert(*offset));
            assert!(offsets.is_sorted(), "{key:?}: {offsets:?}");
        }
    }
}

fn number(record: &Value, field: &str) -> i64 {
    record[field].as_i64().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn four_calls_of_a_partition_are_in_flight_at_once_and_never_two_with_one_key() {
    let (to, in_flight) = Destination::parallel(2, &"abc-dabefg-hh".repeat(10), 3).await;
    to.functions.on("orders", in_flight.during(|_| Reply::ok("null")));
    let report = to.world.run().success();
    assert_eq!(report["messages_processed"], 260);
    let most = in_flight.most();
    assert!((5..=8).contains(&most), "{most} calls at once of two partitions");
    let Sent { of_keys, times } = to.sent();
    assert!(of_keys.values().all(|offsets| offsets.is_sorted()), "{of_keys:?}");
    assert!(
        times.len() == 260 && times.values().all(|times| *times == 1),
        "each once"
    );
    assert!(to.sizes().iter().all(|size| *size <= 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_one_call_of_a_partition_is_in_flight() {
    let (mut to, in_flight) = Destination::parallel(1, &"ab".repeat(10), 2).await;
    to.world.set("PARALLELIZATION_FACTOR", "");
    to.functions.on("orders", in_flight.during(|_| Reply::ok("null")));
    to.world.run().success();
    assert_eq!(in_flight.most(), 1);
    assert_eq!(to.calls().concat(), (0..20).collect::<Vec<i64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reported_record_holds_back_its_key_and_what_succeeded_is_not_sent_again() {
    let (to, in_flight) = Destination::parallel(1, &"abcd".repeat(5), 2).await;
    let failure = to.failures(&[3]);
    let failed = Mutex::new(0);
    let rule = in_flight.during(move |call| {
        let mut failed = failed.lock().expect("no panic with the lock held");
        if call.offsets().contains(&3) && *failed < 3 {
            *failed += 1;
            return failure.clone();
        }
        Reply::ok("null")
    });
    to.functions.on("orders", rule);
    let report = to.world.run().success();
    assert_eq!(report["messages_processed"], 20);
    assert!(in_flight.most() > 1);
    to.assert_in_order();
    let times = to.sent().times;
    let repeated: Vec<_> = times.iter().filter(|(_, times)| **times != 1).collect();
    assert_eq!(repeated, [(&(0, 3), &4)], "3 is sent again, and nothing else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_fails_is_halved_while_others_are_in_flight() {
    let (mut to, in_flight) = Destination::parallel(1, &"abcdefgh".repeat(4), 8).await;
    to.world.produce_these(0, &[Message::value("poison").key("a")]);
    to.world.produce_these(0, &keyed("aabb"));
    to.functions.on("orders", in_flight.during(fails_on("poison")));
    let report = to.skip_at_once().world.run().success();
    assert_eq!(
        (&report["messages_processed"], &report["skipped"][0]["first_offset"]),
        (&json!(36), &json!(32))
    );
    let with_poison: Vec<usize> = to
        .calls()
        .iter()
        .filter(|call| call.contains(&32))
        .map(Vec::len)
        .collect();
    assert_eq!(with_poison.last(), Some(&1), "{with_poison:?}");
    in_flight.most();
    to.assert_in_order();
}

/// No attempt: the record would be skipped at the first.
#[tokio::test(flavor = "multi_thread")]
async fn where_some_calls_are_throttled_no_attempt_counts_and_every_record_is_sent() {
    let (mut to, in_flight) = Destination::parallel(1, &"abcdefgh-".repeat(4), 1).await;
    let calls = Mutex::new(0);
    let rule = in_flight.during(move |_| {
        let mut calls = calls.lock().expect("no panic with the lock held");
        *calls += 1;
        if *calls % 5 == 0 {
            Reply::throttled(None)
        } else {
            Reply::ok("null")
        }
    });
    to.functions.on("orders", rule);
    let report = to.skip_at_once().world.run().success();
    assert_eq!(
        (&report["messages_processed"], &report["skipped"]),
        (&json!(36), &json!([]))
    );
    let refusals = to.calls().len() - 36;
    assert!(
        (1..=9).contains(&refusals),
        "{refusals}: a record is sent again only if it was throttled"
    );
    assert!(in_flight.most() > 1);
    to.assert_in_order();
}
