//! A reset and runs on the same partitions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::Notify;

use crate::support::midway::{MORE_THAN_A_PIPE_HOLDS, WAITING};
use crate::support::scripted_dynamodb::{Act, Scripted};
use crate::support::table::number;
use crate::support::world::{Ran, World};

/// P11: a cursor that a live run has claimed is left alone, and named.
#[tokio::test]
async fn a_cursor_under_a_live_claim_is_not_moved_and_the_error_contains_the_end_of_the_claim() {
    let mut world = World::new("held", 2).await;
    world.set("MAX_MESSAGES", "unlimited");
    world.produce(0, MORE_THAN_A_PIPE_HOLDS);
    world.produce(1, 5);
    world.put_offset(1, 4).await;
    let run = world.midway_on(0).await;
    let until = number(&world.item(0).await, "claim_until");
    let ran = world.offsets(&["reset", "--to-earliest", "--execute"]);
    ran.refused("Held", 1);
    assert_eq!(ran.column("outcome"), ["held", "moved"]);
    assert_eq!(ran.column("until"), [json!(until), json!(null)]);
    assert_eq!(ran.column("new_offset"), [json!(null), json!(0)]);
    let time = jiff::Timestamp::from_millisecond(until).expect("a time").to_string();
    let error = ran.last_error();
    assert!(error.contains(&time) && error.contains("offsets pause"), "{error}");
    assert!(
        error.contains("offsets resume"),
        "or the partition is never read again: {error}"
    );
    // A dry run and undo report the same.
    world.offsets(&["reset", "--to-earliest"]).refused("Held", 1);
    let report = run.finish().await.success();
    assert_eq!(report["last_offsets"], json!({"0": WAITING - 1}));
    assert_eq!(
        (world.offset(0).await, world.offset(1).await),
        (Some(WAITING - 1), Some(-1))
    );
}

/// P11: a cursor that has changed since it was read is left alone, and named.
#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_a_run_has_moved_in_between_is_not_overwritten() {
    let world = World::new("between", 2).await;
    world.produce(0, 5);
    world.produce(1, 5);
    world.put_offset(0, 1).await;
    world.put_offset(1, 4).await;
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    let releases = [(); 2].map(|()| Arc::new(Notify::new()));
    // The table is read; the writes of both partitions wait.
    proxy.next([Act::Forward]);
    proxy.next(releases.clone().map(Act::HoldAndForward));
    let mut command = world.command(&["offsets", "--output", "json", "reset", "--to-earliest", "--execute"]);
    command.env("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
    let started = Instant::now();
    let reset = tokio::task::spawn_blocking(move || command.output().expect("the command starts"));
    while proxy.left() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::task::block_in_place(|| world.run()).success();
    for release in &releases {
        release.notify_one();
    }
    let ran = Ran::new(reset.await.expect("it ends"), started);
    ran.refused("Held", 1);
    assert_eq!(ran.column("outcome"), ["changed", "moved"]);
    assert!(
        ran.last_error().contains("changed concurrently: run the command again"),
        "{ran:?}"
    );
    assert_eq!((world.offset(0).await, world.offset(1).await), (Some(4), Some(-1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_result_of_a_write_without_a_response_is_determined_and_it_is_not_repeated() {
    let mut world = World::new("unknownwrite", 1).await;
    world.produce(0, 5);
    world.put_offset(0, 4).await;
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    world.set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
    proxy.next([Act::Forward, Act::ForwardAndHangUp]);
    let ran = tokio::task::block_in_place(|| world.offsets(&["reset", "--to-offset", "2", "--execute"]));
    assert_eq!(ran.row(0)["outcome"], "moved");
    let item = world.item(0).await;
    assert_eq!((number(&item, "offset"), number(&item, "previous_offset")), (1, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_refused_fails_its_partition_and_the_others_are_moved() {
    let mut world = World::new("refused", 3).await;
    for partition in 0..3 {
        world.produce(partition, 5);
        world.put_offset(partition, 4).await;
    }
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    world.set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
    let refusal = Act::error(
        400,
        "AccessDeniedException",
        "not authorized to perform: dynamodb:UpdateItem",
    );
    proxy.next([Act::Forward, refusal]);
    let ran = tokio::task::block_in_place(|| world.offsets(&["reset", "--to-earliest", "--execute"]));
    ran.refused("TableUnreachable", 1);
    let mut outcomes = ran.column("outcome");
    outcomes.sort_by_key(ToString::to_string);
    assert_eq!(outcomes, ["failed", "moved", "moved"]);
    assert!(
        ran.last_error().contains("1 of 3 partitions were not changed"),
        "{ran:?}"
    );
    for (row, partition) in ran.rows().iter().zip(0..) {
        let stored = if row["outcome"] == "moved" { -1 } else { 4 };
        assert_eq!(world.offset(partition).await, Some(stored), "{row}");
    }
}

/// P11: a command recognises its own write, also if a run has continued from there.
#[tokio::test(flavor = "multi_thread")]
async fn a_move_whose_response_was_lost_is_recognised_after_a_run_has_continued_from_there() {
    let world = World::new("lostmove", 1).await;
    world.produce(0, 9);
    world.put_offset(0, 6).await;
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    let release = Arc::new(Notify::new());
    // The query, the write, and the client's second attempt of it.
    proxy.next([
        Act::Forward,
        Act::ForwardAndHangUp,
        Act::HoldAndForward(Arc::clone(&release)),
    ]);
    let mut command = world.command(&["offsets", "--output", "json", "reset", "--shift-by", "-4", "--execute"]);
    command.env("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
    let started = Instant::now();
    let reset = tokio::task::spawn_blocking(move || command.output().expect("the command starts"));
    while proxy.left() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let between = tokio::task::block_in_place(|| world.run());
    assert_eq!(between.logged_ranges(), [(3, 8)]);
    release.notify_one();
    let ran = Ran::new(reset.await.expect("it ends"), started);
    assert_eq!(ran.row(0)["outcome"], "moved", "{ran:?}");
    assert_eq!(world.offset(0).await, Some(8));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_of_unknown_result_is_reported_as_unknown_with_advice_to_check_before_a_retry() {
    for (command, written) in [
        (&["reset", "--shift-by", "1", "--execute"][..], "UpdateItem"),
        (&["pause"], "UpdateItem"),
        (&["delete", "--all", "--execute"], "TransactWriteItems"),
    ] {
        let mut world = World::new("unknownmove", 1).await;
        world.produce(0, 9);
        world.put_offset(0, 4).await;
        let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
        world.set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
        proxy.always(written, Act::ForwardAndHangUp);
        if written == "UpdateItem" {
            proxy.always("GetItem", Act::HangUp);
        } else {
            // The item is read before it is deleted.
            proxy.next([Act::Forward, Act::Forward]);
            proxy.next(vec![Act::ForwardAndHangUp; 3]);
            proxy.next(vec![Act::HangUp; 3]);
        }
        let ran = tokio::task::block_in_place(|| world.offsets(command));
        ran.refused("TableUnreachable", 1);
        assert_eq!(ran.column("outcome"), ["unknown"], "{command:?}");
        let error = ran.last_error();
        for part in ["are not known to be changed", "unknown whether", "offsets list"] {
            assert!(error.contains(part), "{command:?}: {error}");
        }
        let stored = world.table.get_item(&world.consumer_id(), 0).await;
        match written {
            "UpdateItem" => assert!(stored.is_some_and(|item| number(&item, "offset") < 6)),
            _ => assert_eq!(stored, None),
        }
    }
}
