//! Concurrent runs, a run that was frozen, and a run that was killed.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::midway::{MORE_THAN_A_PIPE_HOLDS, Midway, WAITING};
use crate::support::scripted_dynamodb::{Act, Scripted};
use crate::support::table::number;
use crate::support::world::{Ran, World, ranges};

/// A world with more records in each partition than a run whose log is not read can handle.
async fn world(name: &str, partitions: i32) -> World {
    let mut world = World::new(name, partitions).await;
    world.set("MAX_MESSAGES", "unlimited");
    for partition in 0..partitions {
        world.produce(partition, MORE_THAN_A_PIPE_HOLDS);
    }
    world
}

/// The partitions of a list in a report, in order.
fn partitions(list: &Value) -> Vec<i64> {
    let list = list.as_array().expect("a list");
    list.iter()
        .map(|row| row["partition"].as_i64().expect("a number"))
        .collect()
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// When the claim on a partition expires.
async fn claim_until(world: &World, partition: i32) -> i64 {
    number(&world.item(partition).await, "claim_until")
}

/// Waits until a claim has expired: at most a run's deadline and 10 seconds.
async fn wait_until_the_claim_expires(until_ms: i64) {
    let left = until_ms - now_ms();
    assert!(left < 15_000, "the claim lasts {left} ms more");
    // One more millisecond: a claim is still valid at its end.
    let left = u64::try_from(left + 1).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(left)).await;
}

/// Waits for two runs, and checks meanwhile that no cursor moves back.
async fn both(world: &World, runs: [Child; 2]) -> [Ran; 2] {
    let started = Instant::now();
    let runs = runs.map(|run| tokio::task::spawn_blocking(move || run.wait_with_output().expect("it ends")));
    let mut stored = BTreeMap::new();
    while !runs.iter().all(tokio::task::JoinHandle::is_finished) {
        for item in world.table.items().await {
            let offset = number(&item, "offset");
            let before = stored.insert(number(&item, "partition"), offset);
            assert!(before.is_none_or(|before| before <= offset), "{before:?} {item:?}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let [first, second] = runs;
    [first, second].map(|run| {
        let output = futures::FutureExt::now_or_never(run).expect("it is finished");
        Ran::new(output.expect("it waits"), started)
    })
}

/// P3: a run works on a partition only with a claim on its cursor.
#[tokio::test]
async fn two_concurrent_runs_claim_disjoint_partitions_and_no_record_is_handled_twice() {
    let mut world = World::new("race", 12).await;
    // So little memory that each reads one partition at a time: they compete for every one.
    world
        .set("MAX_MESSAGES", "unlimited")
        .set("MAX_MEMORY_BYTES", 1024 * 1024);
    for partition in 0..12 {
        world.produce(partition, 300);
    }
    let runs = both(&world, [(); 2].map(|()| world.start(&["run", "--output", "json"]))).await;
    let reports = [runs[0].success(), runs[1].success()];
    let taken = [&reports[0], &reports[1]].map(|report| {
        let stored = report["last_offsets"].as_object().expect("offsets");
        stored
            .keys()
            .map(|key| key.parse().expect("a number"))
            .collect::<BTreeSet<i64>>()
    });
    assert!(taken[0].is_disjoint(&taken[1]), "{reports:?}");
    for (report, others) in [(&reports[0], &taken[1]), (&reports[1], &taken[0])] {
        let held = partitions(&report["held"]);
        assert!(held.iter().all(|held| others.contains(held)), "{reports:?}");
    }
    let mut handled: Vec<_> = runs.iter().flat_map(Ran::logged).collect();
    handled.extend(world.run().logged());
    handled.sort_unstable();
    for partition in 0..12 {
        let offsets = handled.iter().filter(|(of, _)| *of == partition);
        let offsets = ranges(offsets.map(|(_, offset)| *offset));
        assert_eq!(offsets, [(0, 299)], "partition {partition}: each once");
    }
}

/// P3: a run works on a partition only with a claim on its cursor.
#[tokio::test]
async fn a_concurrent_run_names_the_partitions_that_the_other_one_holds_and_reads_the_rest() {
    let world = world("beside", 3).await;
    let (first, second) = (world.midway_on(0).await, world.midway_on(2).await);
    let until = [claim_until(&world, 0).await, claim_until(&world, 2).await];
    let report = world.run().success();
    let held = |partition: i32, until| json!({"topic": world.topic, "partition": partition, "until": until});
    assert_eq!(report["held"], json!([held(0, until[0]), held(2, until[1])]));
    assert_eq!(report["last_offsets"], json!({"1": WAITING - 1}));
    assert_eq!(report["stop_reason"], "held");
    assert!(report["lag"].as_i64().is_some_and(|lag| lag > WAITING), "{report}");
    for (run, partition) in [(first, "0"), (second, "2")] {
        let report = run.finish().await.success();
        assert_eq!(report["last_offsets"], json!({partition: WAITING - 1}));
    }
    assert_eq!(world.run().success()["messages_processed"], 0);
}

/// A run on one partition, frozen from the middle of its work until its claim has expired.
async fn frozen_past_its_claim(world: &mut World) -> Midway {
    world.set("TIME_LIMIT", 2);
    let mut run = world.midway_on(0).await;
    run.signal("STOP");
    world.set("TIME_LIMIT", 60);
    wait_until_the_claim_expires(claim_until(world, 0).await).await;
    run
}

/// P3: a run that lost its claim stores nothing more on that partition.
#[tokio::test]
async fn a_run_that_was_frozen_past_its_claim_and_replaced_stores_nothing_and_fails_with_claim_lost() {
    let mut world = world("frozen", 1).await;
    let mut frozen = frozen_past_its_claim(&mut world).await;
    let other = world.run();
    assert_eq!(other.success()["last_offsets"], json!({"0": WAITING - 1}));
    let stored = world.item(0).await;
    frozen.signal("CONT");
    let ran = frozen.finish().await;
    assert_eq!(world.item(0).await, stored, "{ran:?}");
    let report = ran.failure("ClaimLost", 3);
    assert_eq!(report["last_offsets"], json!({}));
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(message.contains(&format!("{}-0", world.topic)), "{message}");
}

/// P1: a cursor moves only past records that were settled.
#[tokio::test]
async fn a_run_that_was_frozen_past_its_claim_fails_also_where_no_other_run_replaced_it() {
    let mut world = world("frozen", 1).await;
    let mut frozen = frozen_past_its_claim(&mut world).await;
    frozen.signal("CONT");
    let ran = frozen.finish().await;
    // Whether its last write was applied or not, its records and those of the next run leave no hole.
    let mut handled = ran.logged_offsets();
    for _ in 0..2 {
        let next = world.run();
        next.success();
        handled.extend(next.logged_offsets());
    }
    handled.sort_unstable();
    handled.dedup();
    assert_eq!(ranges(handled), [(0, WAITING - 1)]);
    assert_eq!(world.offset(0).await, Some(WAITING - 1));
    ran.failure("ClaimLost", 3);
}

/// P1: a run that dies repeats what it had not stored.
#[tokio::test]
async fn after_a_kill_the_partition_is_held_until_the_claim_ends_and_then_continues_without_a_hole() {
    let world = world("killed", 2).await;
    world.midway_on(0).await.kill();
    let until = claim_until(&world, 0).await;
    let report = world.run().success();
    assert_eq!(
        report["held"],
        json!([{"topic": world.topic, "partition": 0, "until": until}])
    );
    assert_eq!(
        report["last_offsets"],
        json!({"1": WAITING - 1}),
        "the other one is done"
    );
    assert_eq!(world.offset(0).await, Some(-1), "held until the claim expires");
    world.end_the_claim(0).await;
    let ran = world.run();
    assert_eq!(ran.success()["last_offsets"], json!({"0": WAITING - 1}));
    assert_eq!(ran.logged_ranges(), [(0, WAITING - 1)]);
    assert_eq!(world.run().success()["messages_processed"], 0);
}

#[tokio::test]
async fn after_a_kill_the_partition_is_quarantined_until_a_run_gets_past_what_the_killed_one_had_planned() {
    let world = world("crashed", 1).await;
    world.midway_on(0).await.kill();
    assert!(
        !world.item(0).await.contains_key("claim_chunk"),
        "no run has detected it yet"
    );
    world.end_the_claim(0).await;
    let next = world.midway_on(0).await;
    let item = world.item(0).await;
    assert_eq!(
        (number(&item, "claim_chunk"), number(&item, "claim_to")),
        (128, WAITING)
    );
    next.finish().await.success();
    let item = world.item(0).await;
    assert!(
        !item.contains_key("claim_chunk") && !item.contains_key("claim_to"),
        "{item:?}"
    );
}

/// P14: the run is killed after its claim, before it can fetch anything.
#[tokio::test(flavor = "multi_thread")]
async fn kills_before_the_first_record_is_handed_over_count_against_no_record() {
    let mut world = World::new("crashes", 1).await;
    world.produce(0, 10);
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    world
        .set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint)
        .set("ON_FAILURE", "skip")
        .set("MAX_ATTEMPTS", "1");
    for chunk in [0, 128, 128, 128, 128] {
        // The claim is applied without a response: the run cannot start.
        proxy.next([Act::Forward, Act::ForwardAndHold(Arc::default())]);
        kill_once(&world, "claim_until").await;
        assert_eq!(noted(&world).await, [chunk, 0]);
        world.end_the_claim(0).await;
    }
    let ran = tokio::task::block_in_place(|| world.run());
    let report = ran.success();
    assert_eq!(
        (&report["messages_processed"], &report["skipped"]),
        (&json!(10), &json!([]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_after_the_hand_over_make_the_next_chunks_smaller_and_count_if_the_chunk_is_one_record() {
    let mut world = World::new("crashes", 1).await;
    world.produce(0, 10);
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    world.set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
    proxy.next([Act::Forward, Act::ForwardAndHold(Arc::default())]);
    kill_once(&world, "claim_until").await;
    world.end_the_claim(0).await;
    for (chunk, crashes) in [(128, 0), (1, 0), (1, 1), (1, 2)] {
        // The mark of the hand-over is written, after the claim.
        proxy.next([Act::Forward, Act::Forward, Act::ForwardAndHold(Arc::default())]);
        kill_once(&world, "handed_over").await;
        assert_eq!(noted(&world).await, [chunk, crashes]);
        world.end_the_claim(0).await;
    }
    let ran = tokio::task::block_in_place(|| world.run());
    let report = ran.failure("PartitionBlocked", 3);
    assert_eq!(report["blocked"][0]["attempts"], 3, "{report}");
}

/// Starts a run, and kills it once the item has its claim and this attribute.
async fn kill_once(world: &World, attribute: &str) {
    let mut run = world.start(&["run"]);
    let since = Instant::now();
    loop {
        let item = world.table.get_item(&world.consumer_id(), 0).await.unwrap_or_default();
        let is_live = item.contains_key("claim_until") && number(&item, "claim_until") > now_ms();
        if is_live && item.contains_key(attribute) {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(30), "{attribute} was not written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    run.kill().expect("it has not ended");
    run.wait().expect("it ends");
}

/// The item's chunk size and crashes; 0 where it has none.
async fn noted(world: &World) -> [i64; 2] {
    let item = world.item(0).await;
    ["claim_chunk", "crashes"].map(|name| item.get(name).map_or(0, |_| number(&item, name)))
}
